package arbiter

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// place says where an actor lives.
type place uint8

const (
	inGoroutine place = iota
	inProcess
	remote
)

var placeNames = [...]string{"goroutine", "process", "remote"}

// incarnation is one life of one actor: what the registry finds, what calls are in
// flight on, and what ends once.
type incarnation struct {
	// fixed
	arb   *Arbiter
	aid   string
	name  string
	kind  string
	place place
	mode  cell.Mode
	born  time.Time

	// One of the two carries its messages: a cell of this process, or a session.
	cell    *cell.Cell
	session *session
	local   peer.Calls // in flight on cell; those on a session are its Conn's

	waitsFor []wait        // guarded by arb.waits.mu
	state    atomic.Int32  // a cell.State, where there is no cell to ask
	ready    chan struct{} // closed when it runs or has ended; nil for the arbiter's own
	ended    chan struct{} // closed when its end was told to everybody; likewise

	mu       sync.Mutex // guards what follows
	begun    bool       // ready is closed
	over     bool       // end was called
	death    *wire.Death
	watchers []watcher // who is to be told of its end
	killing  *wire.Death
}

// watcher is one wish to be told.
type watcher struct {
	by    *incarnation // whose it is
	id    uint64       // a session's id for it
	watch *cell.Watch  // a local one
}

// calls are those in flight on i.
func (i *incarnation) calls() *peer.Calls {
	if i.session != nil {
		return i.session.conn.Calls()
	}
	return &i.local
}

// label names i for people.
func (i *incarnation) label() string {
	if i.name != "" {
		return i.name
	}
	return i.aid
}

func (i *incarnation) ref() actor.Ref { return actor.Ref{AID: i.aid, Name: i.name} }

// markReady tells whoever waits for the start. Once.
func (i *incarnation) markReady() {
	i.mu.Lock()
	first := !i.begun
	i.begun = true
	i.mu.Unlock()
	if first && i.ready != nil {
		i.state.CompareAndSwap(int32(cell.Starting), int32(cell.Running))
		close(i.ready)
		i.arb.events.add(actor.Event{Type: "ready", Actor: i.ref(), Kind: i.kind})
	}
}

// end is the end of this life: nobody finds i any more, every call in flight on it
// fails, every watcher is told, what it had asked of others is taken back. The
// first end counts.
func (i *incarnation) end(d *wire.Death) {
	i.mu.Lock()
	if i.over {
		i.mu.Unlock()
		return
	}
	i.over = true
	i.death = d
	watchers := i.watchers
	i.watchers = nil
	begun := i.begun
	i.begun = true
	i.mu.Unlock()

	state := cell.Terminated
	if d.Cause == wire.CauseStopped {
		state = cell.Closed
	}
	i.state.Store(int32(state))
	i.arb.registry.remove(i)
	i.arb.dead.remember(i)
	i.calls().End(func(n peer.Note) *wire.Error { return i.downError(d, n) })
	if i.session != nil {
		i.session.withdraw()
	}
	for _, w := range watchers {
		i.tell(w)
	}
	i.arb.ended(i, d)
	if !begun && i.ready != nil {
		close(i.ready)
	}
	if i.ended != nil {
		close(i.ended)
	}
}

// downError is how a call in flight on i fails when i ends.
func (i *incarnation) downError(d *wire.Death, n peer.Note) *wire.Error {
	e := &wire.Error{Code: wire.CodeDown, Target: i.label(), Command: n.Command, Message: "it " + d.String(), Death: d}
	if i.session != nil && !i.session.conn.Written(n.Sent) {
		e.Started = wire.StartedNo
	}
	return e
}

// tell tells one watcher of i's end.
func (i *incarnation) tell(w watcher) {
	if w.watch != nil {
		w.watch.Down(&cell.Down{AID: i.aid, Name: i.name, Death: *i.death})
		return
	}
	s := w.by.session
	s.forgetWatch(w.id)
	m := i.death.Message(wire.KindDown, w.id)
	m.Sender, m.Command = []byte(i.aid), []byte(i.name)
	if s.conn.Post(peer.Ordered, &m, peer.Charge{}) == nil {
		s.conn.Flush()
	}
}

// addWatcher has w told of i's end. It returns how i ended if it is too late.
func (i *incarnation) addWatcher(w watcher) *wire.Death {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return i.death
	}
	i.watchers = append(i.watchers, w)
	return nil
}

func (i *incarnation) removeWatcher(match func(watcher) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.watchers = slices.DeleteFunc(i.watchers, match)
}

// stop asks i to stop, and returns at once.
func (i *incarnation) stop(reason string) {
	if i.cell != nil {
		i.cell.Stop(reason, 0)
		return
	}
	i.state.CompareAndSwap(int32(cell.Running), int32(cell.Stopping))
	i.session.stop(reason)
}

// kill ends i at once.
func (i *incarnation) kill(d *wire.Death) {
	if i.cell != nil {
		i.cell.Kill(d)
		return
	}
	i.mu.Lock()
	if i.killing == nil {
		i.killing = d
	}
	i.mu.Unlock()
	i.session.kill(d)
}

// killed returns the death that kill announced, or nil.
func (i *incarnation) killed() *wire.Death {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.killing
}

// info is what ps says of i.
func (i *incarnation) info() actor.Info {
	info := actor.Info{
		AID: i.aid, Name: i.name, Kind: i.kind, State: cell.State(i.state.Load()).String(), Mode: i.mode.String(),
		In: placeNames[i.place], PID: os.Getpid(), Uptime: time.Since(i.born), InFlight: i.calls().Len(),
	}
	if c := i.cell; c != nil {
		info.State = c.State().String()
		info.Inbox, _, _ = c.Inbox()
		counts := c.Counts()
		info.Accepted, info.Started, info.Refused = counts.Accepted, counts.Started, counts.Refused
		info.Language = "go"
		return info
	}
	i.session.describe(&info)
	return info
}

// unknownActor is the error of a call to an address nobody has.
func (a *Arbiter) unknownActor(address string) *wire.Error {
	if d := a.dead.find(address); d != nil {
		e := &wire.Error{Code: wire.CodeDown, Target: d.label, Death: d.death, Message: "it " + d.death.String()}
		return e.NotStarted()
	}
	text := fmt.Sprintf("there is no actor %q", address)
	if near := a.registry.nearest(address); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	e := wire.Errorf(wire.CodeUnknownActor, "%s", text)
	e.Target = address
	return e.NotStarted()
}

// unknownCommand is for messages of the arbiter's own that nobody answers.
func invalid(format string, args ...any) *wire.Error {
	return wire.Errorf(wire.CodeInvalid, format, args...).NotStarted()
}
