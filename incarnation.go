package arbiter

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// place says where an actor lives.
type place uint8

const (
	inGoroutine place = iota
	inProcess
	inProgram
	remote
)

var placeNames = [...]string{"goroutine", "process", "exec", "remote"}

// incarnation is one life of one actor: what the registry finds, what calls are in
// flight on, and what ends once.
type incarnation struct {
	// fixed
	arb    *Arbiter
	aid    string
	name   string
	place  place
	pulsar bool             // it is, or will be, a real actor of pulsar
	part   uint8            // where what it is sent is counted: see tally
	depth  int32            // how many parents it has, one above the other
	spec   *cell.Spec       // of its kind; nil for a program and who joined
	args   *actor.SpawnArgs // how it was spawned; nil for who joined, and for those of which spec says all

	parent *incarnation // who spawned it; nil for who joined
	slot   *slot        // the place it is one in a row of; or nil
	*seat               // what it has as such a one; nil likewise
	pool   *pool        // the workers it stands for; or nil

	// One of the two carries its messages: a cell of this process, or a session.
	cell    *cell.Cell
	session *session
	local   peer.Calls // in flight on cell; those on a session are its Conn's

	waitsFor []wait                       // guarded by arb.waits.mu
	mode     atomic.Uint32                // a cell.Mode; that of a program is known from its hello on
	state    atomic.Int32                 // a cell.State, where there is no cell to ask
	process  atomic.Pointer[proc.Process] // its own, once it was started
	cry      *cry                         // of its process; set before that is started
	asked    atomic.Bool                  // somebody wished for its end
	lost     atomic.Bool                  // its connection is over, and why is being found out
	gone     atomic.Bool                  // it has its aid no longer; set by the registry
	spawned  atomic.Pointer[spawns]       // what it has spawned; nil: nothing yet
	ready    milestone                    // it runs, or has ended
	ended    milestone                    // its end was told to everybody

	mu          sync.Mutex // guards what follows
	begun       bool       // ready is passed, or about to be
	lived       bool       // it was ready
	unborn      bool       // it ended before it began
	over        bool       // end was called
	stopWatched bool       // watchStop was called
	embryo      *embryo    // what it is to begin with; nil once it has begun
	start       *patience  // how long it may take to be ready; nil once it is, or has ended
	death       *wire.Death
	killing     *wire.Death
	ties        *ties // nil: none
}

// ties are who is to be told of whose end.
type ties struct {
	watchers []watcher                    // who is to be told of its end
	watches  map[*cell.Watch]*incarnation // what it is to be told itself, where it has no session
}

// tiesLocked returns i's, made if need be.
func (i *incarnation) tiesLocked() *ties {
	if i.ties == nil {
		i.ties = &ties{}
	}
	return i.ties
}

// seat is what only who is in a slot has: most actors, and there may be a million,
// are in none.
type seat struct {
	gate    gate      // see replace.go
	since   time.Time // when it was ready; zero: never; guarded by the incarnation's mu
	recycle quota     // when it has done enough; likewise
	fell    bool      // it is to end since all of its row are started again; guarded by row.mu
}

// milestone is something that happens once. Nothing is made for it until somebody
// waits. All methods may be called concurrently.
type milestone struct{ news atomic.Pointer[chan struct{}] }

// bygone is the news of every milestone that was passed.
var bygone = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// passed reports whether it was passed.
func (m *milestone) passed() bool { return m.news.Load() == &bygone }

// until returns what is closed once it is passed.
func (m *milestone) until() <-chan struct{} {
	if m.news.Load() == nil {
		news := make(chan struct{})
		m.news.CompareAndSwap(nil, &news)
	}
	return *m.news.Load()
}

// pass passes it, if it was not yet.
func (m *milestone) pass() {
	if waited := m.news.Swap(&bygone); waited != nil && waited != &bygone {
		close(*waited)
	}
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

// born is when i was made.
func (i *incarnation) born() time.Time {
	if i.cell != nil {
		return i.cell.Born()
	}
	return i.session.born
}

// kind is the name of its kind.
func (i *incarnation) kind() string {
	switch {
	case i.args != nil:
		return i.args.Kind
	case i.spec != nil:
		return i.spec.Kind
	}
	return i.session.kind
}

// label names i for people.
func (i *incarnation) label() string {
	if i.name != "" {
		return i.name
	}
	return i.aid
}

func (i *incarnation) ref() actor.Ref { return actor.Ref{AID: i.aid, Name: i.name} }

// runs reports whether i is ready and nobody has asked it to stop.
func (i *incarnation) runs() bool { return i.lifeState() == cell.Running }

// lifeState is where i is in its life.
func (i *incarnation) lifeState() cell.State {
	if i.cell != nil {
		return i.cell.State()
	}
	return cell.State(i.state.Load())
}

// leaves reports whether i is known to be about to end. It takes no lock.
func (i *incarnation) leaves() bool {
	switch {
	case i.asked.Load():
		return true
	case i.cell != nil:
		return i.cell.Leaves()
	}
	return cell.State(i.state.Load()) >= cell.Stopping
}

// grace is how long i's stop may take.
func (i *incarnation) grace() time.Duration {
	var own, kind time.Duration
	switch {
	case i.slot != nil:
		own = i.slot.args.Grace
	case i.args != nil:
		own = i.args.Grace
	}
	if i.spec != nil {
		kind = i.spec.Grace
	}
	return min(cmp.Or(own, kind, cell.DefaultGrace), longest)
}

// howEnded is how i has ended.
func (i *incarnation) howEnded() *wire.Death {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.death
}

// wasReady reports whether i has ever been ready.
func (i *incarnation) wasReady() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.lived
}

// markReady tells whoever waits for the start. Once.
func (i *incarnation) markReady() {
	i.mu.Lock()
	first := i.beginsLocked()
	i.lived = i.lived || first
	if first && i.seat != nil {
		i.since = time.Now()
	}
	i.mu.Unlock()
	if first {
		i.state.CompareAndSwap(int32(cell.Starting), int32(cell.Running))
		i.ready.pass()
	}
	if first && i != i.arb.self {
		i.happened(actor.Event{Type: "ready", Actor: i.ref(), Kind: i.kind()})
	}
}

// end is the end of this life: nobody finds i any more, every call in flight on it
// fails, every watcher is told, what it had asked of others is taken back. If it
// was supervised another may have its name now. The first end counts.
func (i *incarnation) end(d *wire.Death) {
	i.mu.Lock()
	if i.over {
		i.mu.Unlock()
		return
	}
	i.over = true
	i.death = d
	var had ties
	if i.ties != nil {
		had, i.ties = *i.ties, nil
	}
	unready := i.beginsLocked()
	i.mu.Unlock()

	state := cell.Terminated
	if d.Cause == wire.CauseStopped {
		state = cell.Closed
	}
	i.state.Store(int32(state))
	i.arb.dead.remember(i) // first: who does not find it any more finds how it ended
	var then verdict
	if i.slot != nil {
		then = i.slot.ended(i, d)
	} else {
		i.arb.registry.succeed(i, nil)
	}
	i.arb.counts.ended(i)
	i.hangUp(d)
	i.arb.ledger.close(i)
	for w, to := range had.watches {
		to.removeWatcher(func(have watcher) bool { return have.watch == w })
	}
	for _, w := range had.watchers {
		i.tell(w)
	}
	i.arb.ended(i, d)
	i.carryOut(then)
	then.arm() // last: who follows finds its own aid and name, and its life is told after this one
	if unready {
		i.ready.pass()
	}
	i.ended.pass()
}

// hangUp is the end of i for who waits for an answer of it, and for whom it waited.
func (i *incarnation) hangUp(d *wire.Death) {
	i.calls().End(func(n peer.Note) *wire.Error { return i.downError(d, n) })
	if i.session != nil {
		i.session.withdraw()
		i.session.letters.bury(i, d)
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
		w.by.forgetWatch(w.watch)
		w.watch.Down(&cell.Down{AID: i.aid, Name: i.name, Death: *i.death})
		return
	}
	s := w.by.session
	s.forgetWatch(w.id)
	post := func(d wire.Death) error {
		m := d.Message(wire.KindDown, w.id)
		m.Sender, m.Command = []byte(i.aid), []byte(i.name)
		return s.conn.Post(peer.Ordered, &m, peer.Charge{})
	}
	err := post(*i.death)
	if peer.NoRoom(err) {
		err = post(i.death.Brief())
	}
	s.unposted(err)
	s.conn.Flush()
}

// addWatcher has w told of i's end. It returns how i ended if it is too late.
func (i *incarnation) addWatcher(w watcher) *wire.Death {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return i.death
	}
	t := i.tiesLocked()
	t.watchers = append(t.watchers, w)
	return nil
}

func (i *incarnation) removeWatcher(match func(watcher) bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ties != nil {
		i.ties.watchers = slices.DeleteFunc(i.ties.watchers, match)
	}
}

// stop asks i to stop, and returns at once.
func (i *incarnation) stop(reason string) {
	i.asked.Store(true)
	if i.stillborn(&wire.Death{Cause: wire.CauseStopped, Reason: reason}) {
		return
	}
	if i.lifeState() < cell.Stopping {
		i.happened(actor.Event{Type: "stopping", Actor: i.ref(), Kind: i.kind(), Text: reason})
	}
	if i.cell != nil {
		i.cell.Stop(reason, 0)
		return
	}
	i.state.CompareAndSwap(int32(cell.Running), int32(cell.Stopping))
	i.session.stop(reason)
	i.watchStop()
}

// stopMargin is what an actor that sees to its grace itself has beyond it.
const stopMargin = 500 * time.Millisecond

// watchStop ends i, which was asked to stop, or leaves, if it has not ended when its grace
// is over.
// What joined has a grace of its own, which is not known here.
func (i *incarnation) watchStop() {
	if !i.inOwnProcess() {
		return
	}
	i.mu.Lock()
	watched := i.stopWatched
	i.stopWatched = true
	i.mu.Unlock()
	if watched {
		return
	}
	grace := i.grace()
	limit := grace
	if i.place == inProcess {
		limit += stopMargin
	}
	i.arb.background(func() {
		p := &patience{timer: time.NewTimer(limit), limit: limit, due: time.Now().Add(limit)}
		defer p.timer.Stop()
		ended := i.ended.until()
		for {
			select {
			case <-ended:
				return
			case <-p.timer.C:
				if !p.excused() {
					reason := "it was asked to stop and had not after %v"
					if !i.asked.Load() {
						reason = "it said goodbye, and its process had not ended after %v"
					}
					i.kill(&wire.Death{Cause: wire.CauseHung, Reason: fmt.Sprintf(reason, grace)})
					return
				}
			}
		}
	})
}

// kill ends i at once.
func (i *incarnation) kill(d *wire.Death) {
	if i.stillborn(d) {
		return
	}
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

// invalid is the error of arguments that cannot be meant.
func invalid(format string, args ...any) *wire.Error {
	return wire.Errorf(wire.CodeInvalid, format, args...).NotStarted()
}
