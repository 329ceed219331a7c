package cell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// DefaultGrace is how long a stop may take where the Spec says nothing.
const DefaultGrace = 5 * time.Second

// Cell is one actor.
type Cell struct {
	// fixed
	spec *Spec
	host Host
	base context.Context // values of the host; never waited for
	aid  string
	name string
	log  *slog.Logger
	born time.Duration // since epoch
	own  *Birth        // where that differs from the Spec; fixed by Prepare

	sender atomic.Pointer[string] // of the last request that came over a connection
	leaves atomic.Bool            // state is Stopping or later; written under mu
	ended  atomic.Bool            // state is Closed or Terminated; likewise
	told   told                   // what is answered, and charged to the inbox all the same

	mu      sync.Mutex // guards what follows
	state   State
	begun   bool        // the state is made and the start hook is over
	closing bool        // the stop hook has been, or is, at work
	awaited atomic.Bool // somebody waits for room; written under mu
	user    any
	inbox   mailbox.Queue[Letter]
	active  int32         // handlers that have the turn
	quicks  int32         // commands that are answered in place at this moment
	urgent  int32         // messages of urgent commands that wait
	reserve int32         // of active, those in the places for urgent ones
	working *Request      // those whose turns are not over, but for that of a batch
	batch   *batch        // what its worker has taken at once; nil: nothing
	room    chan struct{} // closed when there is room; nil: nobody waits for that
	death   *wire.Death   // how it ends, once it is stopping
	extra   *extra
	counts  Counts
}

// extra is what most actors never have.
type extra struct {
	waiting []*Turn // interleaved handlers that want the turn back
	life    context.Context
	end     context.CancelFunc
	timers  map[*Timer]struct{}
	config  map[string]any
	early   []early     // cancels that came before their requests, a ring
	oldest  int         // in early
	back    int         // messages that came back and wait for the hook
	marks   []mark      // see Status
	budget  *time.Timer // of the handlers at work
	due     time.Time   // when it fires; zero: it is not armed
	grace   *patience   // how long the stop may take
}

// early is a cancel that overtook its request: control passes ahead of data.
type early struct {
	source Source
	id     uint64
}

// maxEarly is how many are remembered. Most of what is in there are cancels that
// came after the answer, which nothing will ever match.
const maxEarly = 256

// Counts are what became of an actor's messages.
type Counts struct {
	Accepted uint64 // admitted to the inbox
	Started  uint64 // their handlers began
	Refused  uint64 // turned away: full, stopping, unknown command
	Dropped  uint64 // admitted, and over before they started: canceled, expired, lost with the actor
	Left     uint64 // of these, calls that the actor ended on …
	Letters  uint64 // … and one-way messages
	InPlace  uint64 // answered in place, beside all these
}

// New makes an actor that waits to be started. base gives its contexts their
// values.
func New(spec *Spec, host Host, base context.Context, aid, name string, log *slog.Logger) *Cell {
	c := &Cell{spec: spec, host: host, base: base, aid: aid, name: name, log: log, born: time.Since(epoch)}
	c.inbox.Share(&spec.memory)
	return c
}

// Spec returns what it shares with others of its kind.
func (c *Cell) Spec() *Spec { return c.spec }

// Base returns the context its own contexts have their values from.
func (c *Cell) Base() context.Context { return c.base }

// AID returns its aid.
func (c *Cell) AID() string { return c.aid }

// Name returns the name it was given, or "".
func (c *Cell) Name() string { return c.name }

// Logger returns its logger, which names it. It is made when asked for: most actors
// never log.
func (c *Cell) Logger() *slog.Logger {
	label := c.name
	if label == "" {
		label = c.aid
	}
	return c.log.With("actor", label)
}

// Born returns when it was made, for comparing with others: see now.
func (c *Cell) Born() time.Time { return epoch.Add(c.born) }

// State returns where it is in its life.
func (c *Cell) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Leaves reports whether the actor is stopping, or has ended. It takes no lock.
func (c *Cell) Leaves() bool { return c.leaves.Load() }

// Ended reports whether the actor has ended.
func (c *Cell) Ended() bool { return c.ended.Load() }

// Over returns what is true once the actor has ended.
func (c *Cell) Over() *atomic.Bool { return &c.ended }

// Counts returns what became of its messages so far.
func (c *Cell) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.countsLocked()
}

// Inbox returns how many messages wait, how many it is charged with (those being
// handled too), and their bytes.
func (c *Cell) Inbox() (waiting, charged, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleLocked()
	charged, bytes = c.inbox.Charged()
	return c.lenLocked(), charged, bytes
}

// String names the actor in logs: name.aid.
func (c *Cell) String() string {
	if c.name != "" {
		return c.name + "." + c.aid
	}
	return c.spec.Kind + "." + c.aid
}

// Start runs the constructor and the start hook, in another goroutine. Until
// they are done messages wait in the inbox.
func (c *Cell) Start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != Initial {
		return
	}
	c.state = Starting
	c.active++
	c.host.Commons().work(c, (*Cell).start)
}

func (c *Cell) start(d *desk) {
	r := c.begin()
	returned := false
	defer func() {
		if !returned {
			c.unstarted(r, errors.New("it called runtime.Goexit"))
		}
	}()
	err := c.construct(r.turn)
	returned = true
	if err != nil {
		c.unstarted(r, err)
		return
	}
	c.finish(r)
	c.spec.recycle(r)
	c.mu.Lock()
	c.begun = true
	began := c.state == Starting
	if began {
		c.state = Running
	}
	c.mu.Unlock()
	if began {
		for _, task := range c.spec.Periodic {
			c.AddTimer(task.Every, task.Every, task.Do)
		}
		c.host.Ready(c, nil)
	}
	c.run(d)
}

// unstarted is the end of an actor that could not start.
func (c *Cell) unstarted(r *Request, err error) {
	c.finish(r)
	c.host.Ready(c, err)
	var final interface{ Final() bool }
	c.Kill(&wire.Death{Cause: wire.CauseStart, Reason: err.Error(), Final: errors.As(err, &final) && final.Final()})
}

func (c *Cell) construct(t *Turn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic while starting", "actor", c.String(), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	if c.spec.New != nil {
		user, err := c.spec.New(t)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.user = user
		c.mu.Unlock()
	}
	if c.spec.Started != nil {
		return c.spec.Started(t, c.user)
	}
	return nil
}

// Deliver takes r: into the inbox, or answered at once. An error means it was not
// taken and the handler will not start; then nothing else is told.
func (c *Cell) Deliver(r *Request) *wire.Error { return c.deliver(r, true) }

// Put is Deliver for who has more: Wake is to be called soon, or nothing starts.
func (c *Cell) Put(r *Request) *wire.Error { return c.deliver(r, false) }

// PutAll is Put for each of requests, in their order. It calls refused with those it has not
// taken.
func (c *Cell) PutAll(requests []*Request, refused func(r *Request, e *wire.Error)) {
	for len(requests) > 0 {
		n := slices.IndexFunc(requests, func(r *Request) bool { return r.cmd == nil || r.cmd.InPlace })
		if n == 0 { // it is done with before those behind it are taken
			if e := c.Put(requests[0]); e != nil {
				refused(requests[0], e)
			}
			requests = requests[1:]
			continue
		}
		if n < 0 {
			n = len(requests)
		}
		c.putAll(requests[:n], refused)
		requests = requests[n:]
	}
}

// putAll puts requests, none of which is answered in place, into the inbox.
func (c *Cell) putAll(requests []*Request, refused func(r *Request, e *wire.Error)) {
	c.mu.Lock()
	for i, r := range requests {
		overtaken := r.ID != 0 && c.dropOvertakenLocked(r)
		var e *wire.Error
		if !overtaken {
			l := r.letter()
			e = c.admitLocked(&l, r.Granted)
		}
		if e == nil && !overtaken {
			continue
		}
		c.mu.Unlock()
		if overtaken {
			r.pay(false)
		} else {
			refused(r, e)
		}
		c.putAll(requests[i+1:], refused)
		return
	}
	c.mu.Unlock()
}

// Wake lets what was Put start.
func (c *Cell) Wake() {
	c.mu.Lock()
	c.wakeLocked()
	c.mu.Unlock()
}

func (c *Cell) deliver(r *Request, wake bool) *wire.Error {
	if r.cmd == nil {
		r.cmd = c.spec.Commands[r.Command]
	}
	if r.cmd == nil {
		return c.refuse(c.unknown(r.Command))
	}
	if r.cmd.InPlace {
		c.mu.Lock()
		if c.state >= Closed {
			d := c.death
			c.mu.Unlock()
			return c.refuse((&wire.Error{Code: wire.CodeDown, Message: "it has ended", Death: d}).NotStarted())
		}
		c.counts.InPlace++
		c.quicks++
		c.mu.Unlock()
		r.pay(true)
		c.inPlace(r)
		return nil
	}
	if r.Size == 0 {
		r.Size = weigh(r.Command, r.Sender, r.Value)
	}
	c.mu.Lock()
	if c.dropOvertakenLocked(r) {
		c.mu.Unlock()
		r.pay(false)
		return nil
	}
	l := r.letter()
	e := c.admitLocked(&l, r.Granted)
	if e == nil && wake {
		c.wakeLocked()
	}
	c.mu.Unlock()
	return e
}

// Take has l, a message of this process, delivered as Deliver does with a request. It is
// sent by the actor by, if that is not nil, and refused once that has ended: nothing of an
// actor's comes after c was told of its end.
func (c *Cell) Take(command string, l *Letter, by *Cell) *wire.Error {
	l.cmd = c.spec.Commands[command]
	if l.cmd == nil {
		return c.refuse(c.unknown(command))
	}
	l.size = weigh(command, l.Sender, l.Value)
	if l.cmd.InPlace {
		return c.deliver(l.open(new(Request)), true)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if by != nil && by.Ended() { // looked at with the lock that also who tells c of the end takes
		c.counts.Refused++
		return wire.ErrSenderEnded
	}
	e := c.admitLocked(l, false)
	if e == nil {
		c.wakeLocked()
	}
	return e
}

// admitLocked puts l into the inbox, or says why not. What was granted has room.
func (c *Cell) admitLocked(l *Letter, granted bool) *wire.Error {
	if c.state >= Stopping {
		c.counts.Refused++
		return (&wire.Error{Code: wire.CodeDown, Message: "it takes no more messages", Death: c.death}).NotStarted()
	}
	if l.Chained {
		c.inbox.PushFront(*l, l.size)
	} else if !c.pushLocked(l, granted) {
		if !l.Waits {
			c.counts.Refused++
		}
		n, bytes := c.inbox.Charged()
		return wire.Errorf(wire.CodeOverloaded, "its inbox is full: %d messages, %d bytes", n, bytes).NotStarted()
	}
	c.counts.Accepted++
	if l.cmd.Urgent {
		c.urgent++
	}
	return nil
}

// pushLocked puts l into the inbox, if it has room.
func (c *Cell) pushLocked(l *Letter, granted bool) bool {
	force := granted || l.cmd.Urgent && c.urgent < maxUrgent
	if c.inbox.Push(mailbox.Data, *l, l.size, c.spec.Inbox, force) {
		return true
	}
	// What is over has perhaps not yet given its room back. Who has the answer, and asks
	// again, is not to find its own call in the way.
	c.settleLocked()
	n, bytes := c.told.sum()
	return c.inbox.PushPast(n, bytes, *l, l.size, c.spec.Inbox)
}

// maxUrgent is how many messages of urgent commands a full inbox takes.
const maxUrgent = 1024

func (c *Cell) refuse(e *wire.Error) *wire.Error {
	c.mu.Lock()
	c.counts.Refused++
	c.mu.Unlock()
	return e
}

func (c *Cell) unknown(command string) *wire.Error {
	text := fmt.Sprintf("the kind %q has no command %q", c.spec.Kind, command)
	if near := wire.Nearest(command, c.commandNames); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return wire.Errorf(wire.CodeUnknownCommand, "%s", text).NotStarted()
}

func (c *Cell) commandNames(yield func(string) bool) {
	for name := range c.spec.Commands {
		if !yield(name) {
			return
		}
	}
}

// Post has the actor take a turn of its own: a timer, a hook, a Down. It is not
// bounded; whoever posts keeps count.
func (c *Cell) Post(do func(ctx context.Context, state any)) {
	r := c.spec.NewRequest()
	r.do = do
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= Closed {
		return
	}
	c.inbox.Push(mailbox.Data, r.letter(), 0, c.spec.Inbox, true)
	c.wakeLocked()
}

// Room returns a channel that is closed when the inbox has room again, or the
// actor ends.
func (c *Cell) Room() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= Stopping {
		return closedChan
	}
	if c.room == nil {
		c.room = make(chan struct{})
		c.awaited.Store(true)
	}
	return c.room
}

// Cancel says that nobody waits for the request id any longer: one in the inbox is
// dropped, the context of one at work ends.
//
// Requests by different sources may have the same id.
func (c *Cell) Cancel(source Source, id uint64) bool {
	c.mu.Lock()
	is := func(l Letter) bool { return l.is(source, id) }
	var l Letter
	batched := c.takeLocked(is)
	found := len(batched) > 0
	if found {
		l = batched[0]
	} else if l, found = c.inbox.Remove(is); found {
		c.tookLocked(&l)
	}
	var t *Turn
	if found {
		c.counts.Dropped++
		c.inbox.Release(l.size)
		c.freeRoomLocked()
	} else {
		for w := range c.atWorkLocked {
			if w.is(source, id) {
				t = w.turn
				break
			}
		}
		if t == nil && source != nil {
			c.earlyLocked(early{source, id})
		}
	}
	c.mu.Unlock()
	if found {
		l.unpaid()
	} else if t != nil {
		t.cancel(t.unwanted())
	}
	return found || t != nil
}

func (c *Cell) earlyLocked(e early) {
	x := c.extraLocked()
	if len(x.early) < maxEarly {
		x.early = append(x.early, e)
		return
	}
	x.early[x.oldest] = e
	x.oldest = (x.oldest + 1) % maxEarly
}

// dropOvertakenLocked reports whether r was canceled before it came: then it counts as
// dropped.
func (c *Cell) dropOvertakenLocked(r *Request) bool {
	if c.extra == nil || r.ID == 0 || r.Source == nil || c.state >= Stopping || !slices.Contains(c.extra.early, early{r.Source, r.ID}) {
		return false
	}
	c.counts.Accepted++
	c.counts.Dropped++
	return true
}

// misuse reports that a handler broke a rule.
func (c *Cell) misuse(what string) { c.host.Misuse(c, what) }

// maxBack is how many messages that came back wait for the actor's hook. Who sends
// more than that in one turn, all of it in vain, is told of no more.
const maxBack = 1024

// PostUndelivered has the actor's hook told of a message that came back.
func (c *Cell) PostUndelivered(e *wire.Error) {
	c.mu.Lock()
	x := c.extraLocked()
	full := x.back >= maxBack
	if !full {
		x.back++
	}
	c.mu.Unlock()
	if full {
		return // it is a dead letter all the same
	}
	c.Post(func(ctx context.Context, state any) {
		c.mu.Lock()
		x.back--
		c.mu.Unlock()
		c.spec.Undelivered(ctx, state, e)
	})
}
