package arbiter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
	"github.com/arbiter-go/arbiter/supervise"
)

// slot is a place in which one incarnation follows another, under one name. Who
// follows is there as soon as the one before has ended: until it is started,
// messages to it wait.
type slot struct {
	// fixed
	row    *row
	name   string
	index  int // from 1
	spec   *cell.Spec
	args   actor.SpawnArgs
	parent *incarnation

	// guarded by row.mu
	current   *incarnation // who has the name; nil: nobody
	successor *incarnation // who is to have it once it is ready
	timer     *time.Timer  // begins current; nil: somebody else does, or it waits for an end
	due       time.Time    // when, at the earliest; zero: somebody else begins it
	restarts  int
	last      *wire.Death // how the one before ended
	held      bool        // stopped by hand: nobody follows
	removed   bool        // the row has lost it
	starters  int         // how many starts wait for an end
	failing   failing     // tries to recycle who is in it
	status    string      // why there is nobody: "stopped", "failed", "done"
	reason    string      // in words
}

// supervised makes the first incarnation of an actor with a restart policy.
func (a *Arbiter) supervised(spec *cell.Spec, args *actor.SpawnArgs, parent *incarnation) (*incarnation, *wire.Error) {
	if args.Name == "" {
		return nil, invalid("an actor that is started again needs a name, by which it is found again: give it one")
	}
	group, err := supervise.NewGroup(*args.Restart, nil)
	if err != nil {
		return nil, invalid("restart: %v", err)
	}
	r := &row{arb: a, name: args.Name, group: group, untried: true, leaving: make(map[*incarnation]leaver)}
	s := r.add(1, args.Name, spec, args, parent)
	i := s.current
	if failed := a.enlistRow(r); failed != nil {
		return nil, failed
	}
	return i, nil
}

// slotNamed returns the slot called name, or nil.
func (a *Arbiter) slotNamed(name string) *slot {
	of, _, _ := strings.Cut(name, "/")
	r := a.rowNamed(of)
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		if s.name == name {
			return s
		}
	}
	return nil
}

func (i *incarnation) embryoless() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.embryo == nil
}

// rest leaves the slot empty, and out of the group until it is started: as one that does
// not fail it would keep the others from being given up. row.mu is held.
func (s *slot) rest(status, reason string) {
	s.status, s.reason = status, reason
	if !s.removed { // or another one may have its name by now
		s.row.group.Forget(s.name)
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// next puts a new incarnation into the slot, which begins after the wait, from arm on: it has to be
// findable before. row.mu is held until it is.
func (s *slot) next(wait time.Duration) *incarnation {
	i := s.incarnate()
	s.current, s.status, s.reason = i, "", ""
	s.restarts++
	s.due = time.Now().Add(wait)
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	return i
}

// arm has who waits in the slot begin when that is due, but if it has to wait for an
// end before that. row.mu is held.
func (s *slot) arm() {
	r, i := s.row, s.current
	if r.over || s.timer != nil || s.due.IsZero() || i == nil || i.embryoless() || s.waitsFor() != nil {
		return
	}
	s.timer = time.AfterFunc(max(time.Until(s.due), 0), func() {
		if !r.arb.background(i.begin) {
			i.stop("the arbiter has stopped")
		}
	})
}

func (s *slot) incarnate() *incarnation {
	args := s.args
	i := s.row.arb.incarnate(s.spec, &args, s.parent, s.name)
	i.slot, i.seat = s, new(seat)
	s.row.arb.counts.began(i)
	return i
}

// furnish adds to spec what slots of a pool have of their own.
func (s *slot) furnish(spec *proc.Spec) {
	p := s.row.pool
	if p == nil {
		return
	}
	spec.Listen = p.files
	r := strings.NewReplacer("{index}", fmt.Sprint(s.index), "{index0}", fmt.Sprint(s.index-1), "{slot}", s.name, "{pool}", p.row.name)
	for _, v := range p.args.WorkerEnv {
		spec.Env = append(spec.Env, r.Replace(v))
	}
}

// stop empties the slot until it is started by hand, and returns how its actor
// ended.
func (s *slot) stop(ctx context.Context, reason string) (*wire.Death, error) {
	leaving, last, over := s.hold(ctx, reason)
	defer over()
	if len(leaving) == 0 {
		return last, nil
	}
	if err := awaitAll(ctx, leaving); err != nil {
		return nil, err
	}
	return leaving[0].death, nil
}

// holds reports whether i is, or was, in the slot.
func (s *slot) holds(i *incarnation) bool { return i.slot == s }

// hold asks who is in the slot to stop, and has nobody follow until it is started by
// hand. It returns who is to end, also those that had given way before; if nobody is,
// how the last one ended. over is to be called when that is not waited for any more.
func (s *slot) hold(ctx context.Context, reason string) (leaving []*incarnation, last *wire.Death, over func()) {
	r := s.row
	r.mu.Lock()
	s.held = true
	r.group.Forget(s.name) // or it would count as one that does not fail
	for _, i := range [...]*incarnation{s.current, s.successor} {
		if i != nil {
			leaving = append(leaving, i)
		}
	}
	if s.current == nil {
		s.rest("stopped", reason)
		last = s.last
	}
	r.changed()
	for i, l := range r.leaving {
		if l.from == s && !slices.Contains(leaving, i) {
			leaving = append(leaving, i)
		}
	}
	r.mu.Unlock()
	if last == nil {
		last = &wire.Death{Cause: wire.CauseStopped, Reason: reason}
	}
	over = r.arb.waitForEnds(ctx, leaving...)
	for _, i := range leaving { // also who had given way: what it has to answer may take others' time
		i.dismiss(reason)
	}
	return leaving, last, over
}

// start fills an empty slot, and forgets that the supervisor gave up. An end that has
// to come before that is waited for: that of who stops, or which the next one waits
// for, too. It returns who is in the slot then. A stop by hand that came before holds if
// unlessHeld, and one that comes while it waits in any case.
func (s *slot) start(ctx context.Context, unlessHeld bool) (*incarnation, error) {
	for again := false; ; again = true {
		i, end, over, failed := s.tryStart(ctx, again, unlessHeld || again)
		if failed != nil {
			return nil, failed
		}
		if end == nil {
			i.begin() // or it would wait for longer
			return i, nil
		}
		select {
		case <-end.ended.until():
			over()
		case <-ctx.Done():
			over()
			s.giveUpStart()
			return nil, ctx.Err()
		}
	}
}

// giveUpStart is called by who does not wait for an end any more to start somebody.
func (s *slot) giveUpStart() {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	s.starters--
	s.settle()
}

// settle gives up the name of a single actor that has ended for good. One that was stopped by hand, or given
// up, keeps it, to be started, and so does one that somebody is about to start. row.mu is held.
func (s *slot) settle() {
	if s.row.pool == nil && s.current == nil && s.status == "done" && s.starters == 0 {
		s.row.dissolve()
	}
}

// free ends who is left of a single actor, of whom nobody has the name, and gives the name up if there is
// nobody. It returns how the last one ended; d, if none has.
func (s *slot) free(ctx context.Context, end func(i *incarnation), d *wire.Death) (*wire.Death, error) {
	all := s.row.living()
	s.row.mu.Lock()
	if len(all) == 0 && s.current == nil {
		s.row.dissolve()
	}
	last := s.last
	s.row.mu.Unlock()
	for _, i := range all {
		end(i)
	}
	if err := awaitAll(ctx, all); err != nil {
		return nil, err
	}
	if len(all) > 0 {
		last = all[0].death
	}
	return cmp.Or(last, d), nil
}

// tryStart returns who is in the slot, if need be a new one, or whose end has to be
// waited for, until over is called. Who tries again has waited for one.
func (s *slot) tryStart(ctx context.Context, again, unlessHeld bool) (i, end *incarnation, over func(), failed *wire.Error) {
	r := s.row
	r.mu.Lock()
	defer r.mu.Unlock()
	if again {
		s.starters--
	}
	if r.over || s.removed {
		return nil, nil, nil, s.goneError()
	}
	if s.held && unlessHeld {
		return nil, nil, nil, wire.Errorf(wire.CodeRefused, "%q was stopped by command meanwhile: start it again", s.name).NotStarted()
	}
	end = s.waitsFor()
	if end == nil && s.current != nil && s.current.isEnding() {
		end = s.current
	}
	if end != nil { // first: a start that is refused starts nobody later
		if over, failed = r.arb.waitForEnd(ctx, end); failed != nil {
			s.settle()
			return nil, nil, nil, failed
		}
	}
	s.held = false
	if r.group.GaveUp() {
		r.group.Reset()
	}
	r.group.Add(s.name)
	if end != nil {
		s.starters++
		return nil, end, over, nil
	}
	if s.current != nil {
		return s.current, nil, nil, nil
	}
	i = s.incarnate()
	if taken, ok := r.arb.registry.add(i); !ok {
		r.arb.counts.ended(i)
		failed := wire.Errorf(wire.CodeExists, "%q belongs to a living actor", taken).NotStarted()
		i.stillbornUnseen(failed)
		return nil, nil, nil, failed
	}
	s.current, s.status, s.reason = i, "", ""
	s.due = time.Time{}
	s.restarts++
	r.changed()
	return i, nil, nil, nil
}

// awaitIn is awaitReady for i, which is in a slot, and for who follows it there, where it fell with
// the others of its row before it was ready: nobody wished for that, and it is no start that failed. It
// returns for whom it has waited last.
func (a *Arbiter) awaitIn(ctx context.Context, i *incarnation) (*incarnation, error) {
	for {
		if !i.readyNow() {
			over, failed := a.waitFor(ctx, i)
			if failed != nil {
				return i, failed.With(wire.StartedYes)
			}
			err := a.awaitReady(ctx, i)
			over()
			if err != nil && ctx.Err() != nil {
				return i, err
			}
		}
		err := i.startError()
		if err == nil {
			return i, nil
		}
		next := i.slot.inPlaceOf(i)
		if next == nil {
			return i, err
		}
		i = next
	}
}

// isEnding reports whether i lives only until its end is known.
func (i *incarnation) isEnding() bool { return i.leaves() || i.lost.Load() || i.killed() != nil }

// goneError is why nothing is started in the slot any more. row.mu is held.
func (s *slot) goneError() *wire.Error {
	if s.row.over {
		return s.row.overError()
	}
	return wire.Errorf(wire.CodeRefused, "%q is not there any more: its pool has fewer workers now", s.name).NotStarted()
}

// info is what there is to say of the slot.
func (s *slot) info() actor.Slot {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	out := actor.Slot{Name: s.name, Restarts: s.restarts, State: s.status, Reason: s.reason}
	if s.last != nil {
		d := actorDeath(s.last)
		out.Last = &d
	}
	if i := s.current; i != nil {
		out.AID, out.State = i.aid, i.lifeState().String()
		if !i.embryoless() {
			out.State, out.Waits = "waiting", max(time.Until(s.due), 0)
		}
	}
	return out
}
