package cell

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// DefaultGrace is how long a stop may take where the Spec says nothing.
const DefaultGrace = 5 * time.Second

// Cell is one actor. What its worker reads for each message stands first, and what changes
// with each that comes, last: two processors that use one cache line wait for each other.
type Cell struct {
	// fixed
	spec *Spec
	host Host
	user any // from the constructor on

	leaves atomic.Bool // state is Stopping or later; written under mu
	ended  atomic.Bool // state is Closed or Terminated; likewise

	base   context.Context // values of the host; never waited for
	aid    string
	name   string
	log    *slog.Logger
	born   time.Duration          // since epoch
	own    *Birth                 // where that differs from the Spec; fixed by Prepare
	sender atomic.Pointer[string] // of the last request that came over a connection
	told   told                   // what is answered, and charged to the inbox all the same

	mu      sync.Mutex // guards what follows
	state   State
	begun   bool // the state is made and the start hook is over
	closing bool // the stop hook has been, or is, at work
	awaited bool // somebody waits for room
	inbox   mailbox.Queue[Letter]
	active  int32    // handlers that have the turn
	quicks  int32    // commands that are answered in place at this moment
	urgent  int32    // messages of urgent commands that wait
	reserve int32    // of active, those in the places for urgent ones
	working *Request // those whose turns are not over, but for that of a batch
	batch   *batch   // what its worker has taken at once; nil: nothing
	extra   *extra
	counts  counts
}

// extra is what most actors never have, or only when they end.
type extra struct {
	room    chan struct{} // closed when there is room; nil: nobody waits for that
	death   *wire.Death   // how it ends, once it is stopping
	left    uint64        // of counts.dropped, calls that the actor ended on …
	letters uint64        // … and one-way messages
	waiting []*Turn       // interleaved handlers that want the turn back
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
	inquiry *Inquiry    // the run of the info hook; nil: it does not run
}

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

// counts are those of Counts that every actor has.
type counts struct{ accepted, started, refused, dropped, inPlace uint64 }

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
	n, _ := c.countsLocked()
	return n
}

// Inbox returns how many messages wait, how many it is charged with (those being
// handled too), and their bytes.
func (c *Cell) Inbox() (waiting, charged, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waiting = c.countsLocked()
	charged, bytes = c.inbox.Charged()
	return waiting, charged, bytes
}

// String names the actor in logs: name.aid, or kind.aid where it has no name. Most aids begin
// with the kind, and say enough.
func (c *Cell) String() string {
	switch {
	case c.name != "":
		return c.name + "." + c.aid
	case strings.HasPrefix(c.aid, c.spec.Kind+"-"):
		return c.aid
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
	c.host.Commons().work(c, (*Cell).start, false)
}

func (c *Cell) start(d *desk) {
	r := c.begin()
	returned := false
	defer func() {
		if !returned {
			c.unstarted(r, &wire.Death{Cause: wire.CauseStart, Reason: "it called runtime.Goexit"})
		}
	}()
	failed := c.construct(r.turn)
	returned = true
	if failed != nil {
		c.unstarted(r, failed)
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
func (c *Cell) unstarted(r *Request, d *wire.Death) {
	c.finish(r)
	c.host.Ready(c, errors.New(d.Reason))
	c.Kill(d)
}

// construct makes the state, or says how that failed. What the user's functions return is looked
// at here, too: the methods of an error are the user's as well, and may panic.
func (c *Cell) construct(t *Turn) (failed *wire.Death) {
	var err error
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		c.log.Error("panic while starting", "actor", c.String(), "panic", p, "stack", StackOfPanic())
		failed = &wire.Death{Cause: wire.CauseStart, Reason: fmt.Sprintf("panic: %v", p)}
		if err != nil {
			failed.Reason = fmt.Sprintf("the error it could not start with, of the type %T, cannot be asked: panic: %v; is it a nil pointer, and was nil meant?", err, p)
		}
	}()
	if err = c.construction(t); err == nil {
		return nil
	}
	var final interface{ Final() bool }
	return &wire.Death{Cause: wire.CauseStart, Reason: err.Error(), Final: errors.As(err, &final) && final.Final()}
}

// construction runs the constructor and the start hook.
func (c *Cell) construction(t *Turn) error {
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

// misuse reports that a handler broke a rule.
func (c *Cell) misuse(what string) { c.host.Misuse(c, what) }
