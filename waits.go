package arbiter

import (
	"context"
	"slices"
	"sync"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// waits finds the waits that could never end. It is the graph of which actor's turn
// waits for a call to which actor: an edge per call that a serial actor's handler
// made, which keeps the turn meanwhile, or a hook of any. A call that would close a circle is refused.
//
// Who waits for a command of the arbiter's waits for those who have to start, or to end, before it is answered.
//
// There is one such turn at a time, so all edges of an actor belong to the handler, or hook, at
// work. Who interleaves or is concurrent has none but in its hooks: it can answer
// while it waits, up to its limit; there the deadline is what ends a wait.
type waits struct {
	mu sync.Mutex // guards incarnation.waitsFor of all
}

// wait is one edge. key tells the calls of one caller apart.
type wait struct {
	to  *incarnation
	key uint64
}

// add notes that from's turn waits for a call to to. If to's turn waits, through
// others or not, for from, it notes nothing and returns the names along the way,
// from and back to it.
func (w *waits) add(from, to *incarnation, key uint64) (path []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var seen map[*incarnation]bool
	if to == from || len(to.waitsFor) > 0 {
		seen = make(map[*incarnation]bool)
		if way := w.wayLocked(to, from, seen); way != nil {
			path = append(path, from.label())
			for _, i := range way {
				path = append(path, i.label())
			}
			return path
		}
	}
	from.waitsFor = append(from.waitsFor, wait{to, key})
	return nil
}

// wayLocked returns the actors on a way of waits that leads from at to goal.
func (w *waits) wayLocked(at, goal *incarnation, seen map[*incarnation]bool) []*incarnation {
	if at == goal {
		return []*incarnation{at}
	}
	if seen[at] {
		return nil
	}
	seen[at] = true
	for _, e := range at.waitsFor {
		if way := w.wayLocked(e.to, goal, seen); way != nil {
			return append([]*incarnation{at}, way...)
		}
	}
	return nil
}

// remove forgets one edge: the call has ended.
func (w *waits) remove(from *incarnation, key uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := slices.IndexFunc(from.waitsFor, func(e wait) bool { return e.key == key }); n >= 0 {
		last := len(from.waitsFor) - 1
		from.waitsFor[n] = from.waitsFor[last]
		from.waitsFor[last] = wait{}
		from.waitsFor = from.waitsFor[:last]
	}
}

// forget forgets all edges of from, which has ended.
func (w *waits) forget(from *incarnation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	from.waitsFor = nil
}

// waitFor notes that a handler, if its turn waits for the command of the arbiter's that is at
// work in ctx, waits for all by that: until they are ready, or have ended. over is to be called
// when it does not any more. Where one of them waits for the handler, nothing is noted.
func (a *Arbiter) waitFor(ctx context.Context, all ...*incarnation) (over func(), failed *wire.Error) {
	from, note := a.asker(ctx)
	if from == nil || !note.Turn {
		return func() {}, nil
	}
	var keys []uint64
	over = func() {
		for _, key := range keys {
			a.waits.remove(from, key)
		}
	}
	for _, i := range all {
		key := a.keys.Add(1) | localKey
		if path := a.waits.add(from, i, key); path != nil {
			over()
			return func() {}, cycle(path)
		}
		keys = append(keys, key)
	}
	// It may have given up: what it has begun goes on, without it.
	s, _ := cell.ScopeOf(ctx)
	remove, stop := over, context.AfterFunc(s.Turn, over)
	return func() { stop(); remove() }, nil
}

// asker returns which actor asked for the command of the arbiter's that is at work in ctx, from
// within a handler, and the note of that call; nil: none did.
func (a *Arbiter) asker(ctx context.Context) (*incarnation, peer.Note) {
	s, ok := cell.ScopeOf(ctx)
	if !ok || s.Turn == nil || s.Cell != a.self.cell {
		return nil, peer.Note{}
	}
	note, ok := a.self.local.Peek(s.Turn.Parent())
	if !ok || !note.Within {
		return nil, note
	}
	return a.callerOf(note), note
}

// ownEnd refuses a command by which a handler would wait for the end of its own actor, if that is
// among those that are to end: its end waits for its handlers.
func (a *Arbiter) ownEnd(ctx context.Context, among func(i *incarnation) bool) *wire.Error {
	from, _ := a.asker(ctx)
	if from == nil || !among(from) {
		return nil
	}
	name := from.label()
	e := wire.Errorf(wire.CodeCycle, "the wait could never end: a handler of %s waits for the end of %s, which waits for its handlers; call Self.Stop, or send the command one way", name, name)
	e.Path = []string{name, name}
	return e.NotStarted()
}

// waitForEnds is waitFor for those who are about to be asked to end: what their hooks then ask of who waits
// for them is refused, and no end is. Where one waits for it already, its grace ends that.
func (a *Arbiter) waitForEnds(ctx context.Context, all ...*incarnation) (over func()) {
	var each []func()
	for _, i := range all {
		over, _ := a.waitFor(ctx, i)
		each = append(each, over)
	}
	return func() {
		for _, over := range each {
			over()
		}
	}
}

// waitForEnd is waitFor for who is about to end: its end waits for its handlers, however many it has at a
// time.
func (a *Arbiter) waitForEnd(ctx context.Context, i *incarnation) (over func(), failed *wire.Error) {
	if failed = a.ownEnd(ctx, func(from *incarnation) bool { return from == i }); failed != nil {
		return nil, failed
	}
	return a.waitFor(ctx, i)
}

// cycle is the error of a call that would have closed a circle.
func cycle(path []string) *wire.Error {
	text := "the wait could never end: "
	for n, name := range path {
		if n > 0 {
			text += " waits for "
		}
		text += name
	}
	e := wire.Errorf(wire.CodeCycle, "%s; make one of them interleaved, or send one way", text)
	e.Path = path
	return e.NotStarted()
}
