package peer

import (
	"errors"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Handler is told what a Conn reads. Receive and Dry run on the reader's
// goroutine, Beat on a timer's; none of them may block.
type Handler interface {
	// Receive takes every message Conn does not handle itself: all but replies,
	// errors and credits. m is valid only during the call, and may be changed.
	Receive(c *Conn, m *wire.Message)
	// Dry says that no further whole message is buffered: what Receive posted to
	// other connections is to be flushed now.
	Dry(c *Conn)
	// Beat says that it is time for a heartbeat: the owner posts a notify.
	Beat(c *Conn)
}

// Options say how a Conn behaves. The zero value is ready.
type Options struct {
	MaxMessage int           // bytes of one message, either way; default 16 MiB, or what the welcome says
	Outbox     Limits        // what may wait to be written
	Window     wire.Window   // the room granted to the other end; default 8,192 messages, 1 MiB
	Interval   time.Duration // between heartbeats; 0: what the welcome says, or none
	Timeout    time.Duration // of silence; 0: likewise
	// Trusting says that the end of the other end is always the end of the connection,
	// as on one machine: its silence then means nothing, and Timeout is not looked at.
	Trusting bool
	Pool     *Pool   // of buffers; default one of its own
	Budget   *Budget // of what all connections hold; nil: none
	// Lost, if not nil, is told of each one-way request that was posted and, because the
	// connection ended, not written. It is called by whoever ends that, before Run
	// returns; m is valid only during the call, and its body may be damaged. It must not
	// block, nor use the Conn.
	Lost func(m *wire.Message)
	// OwnsEnd says that the owner ends Calls itself once Run has returned, because
	// it can tell better why. Otherwise Run does.
	OwnsEnd bool
}

// DefaultWindow is the room granted where Options say nothing.
var DefaultWindow = wire.Window{Messages: 8192, Bytes: 1 << 20}

// DefaultMaxMessage is the largest message, in bytes, where Options say nothing.
const DefaultMaxMessage = 16 << 20

// maxMessage is the largest limit there can be: what is in use of a window, half of it and
// one message, is an amount then. An end that does what the welcome says has no other bound
// but its memory: its arbiter may end it anyway, and what is allocated for a message grows
// with what has come of it.
const maxMessage = min(maxWindowBytes, math.MaxInt)

// Conn is one end of one connection. Its methods may be called from any goroutine,
// but the handshake and Run, which are for one goroutine, in this order.
type Conn struct {
	// static once the handshake is over
	t          Transport
	options    Options
	limit      int           // bytes of a message we send
	follows    bool          // Options name no limit: the welcome's is ours
	offered    wire.Features // by the hello of the other end
	xoff       bool          // the other end heeds xoff
	guest      string        // the aid of the other end; "": that is the arbiter
	backlogged total         // what is charged to its window and to a Backlog

	// Held, if set before use, reports whether no messages are to go to target for now: who
	// posts one that may be held back, or waits for room with it, is told ErrHeld. It must not block.
	Held func(target []byte) bool
	// Unsent, if set before use, is called for each one-way request that the profile of
	// the other end has no image of, with its sender. It must not block.
	Unsent func(sender string, e *wire.Error)

	purse   purse
	reading reading // of purse
	calls   Calls
	out     outbox
	room    room
	alive   keepalive
	in      inbox
	woken   Woken
	fates   fates

	flushLoop func()         // flushRun, bound once
	handed    *chunk         // from the flusher that hands over to its goroutine
	blocked   atomic.Int64   // since when the flusher's goroutine waits to write, in Unix nanoseconds; 0: it does not
	deaf      atomic.Bool    // what comes is not handled any more
	moved     atomic.Uint64  // its writes
	wg        sync.WaitGroup // the flusher's goroutine and the timers; Add under out.mu, alive.mu or mu
	said      chan struct{}  // closed when the goodbye was written or dropped
	ended     chan struct{}  // closed when the reader has ended

	mu     sync.Mutex  // guards what follows
	reason error       // why the connection ends; the first one counts
	over   bool        // reason is set
	cut    bool        // by endBy
	linger *time.Timer // set while not over, or by endBy
}

// Stats count what a connection has done. Messages are of all classes, bytes as
// written.
type Stats struct {
	MessagesIn, BytesIn   uint64
	MessagesOut, BytesOut uint64
	Flushes               uint64
	Held                  uint64 // messages that waited for the other end's window
	Dropped               uint64 // messages that were taken and never written
	Full                  uint64 // messages refused because a class was full
	Late, Never           uint64 // replies nobody waited for any more; to calls never made
	Skipped               uint64 // messages of kinds not known
	Refused               uint64 // messages that the profile refused, and answered, itself
	Queued                [3]int // bytes that wait: control, replies, data
}

// New returns a Conn over t. It does nothing until its handshake.
func New(t Transport, o Options) *Conn {
	follows := o.MaxMessage <= 0
	if follows {
		o.MaxMessage = DefaultMaxMessage
	}
	o.MaxMessage = min(o.MaxMessage, maxMessage)
	if o.Window.Messages == 0 {
		o.Window.Messages = DefaultWindow.Messages
	}
	if o.Window.Bytes == 0 {
		o.Window.Bytes = DefaultWindow.Bytes
	}
	if o.Pool == nil {
		o.Pool = new(Pool)
	}
	c := &Conn{t: t, options: o, limit: o.MaxMessage, follows: follows, said: make(chan struct{}), ended: make(chan struct{})}
	c.purse.pool, c.purse.budget = o.Pool, o.Budget
	c.out.pool = &c.purse
	c.out.limits = o.Outbox.withDefaults()
	c.out.idle.L = &c.out.mu
	c.room.window = grantable(o.Window)
	if o.Trusting {
		o.Timeout = -1
	}
	c.alive.interval, c.alive.timeout = o.Interval, o.Timeout
	c.flushLoop = c.flushRun
	c.woken.c = c
	c.calls.started = func(n *Note) wire.Started {
		if c.Written(n.Sent) {
			return wire.StartedUnknown
		}
		return wire.StartedNo
	}
	if b, ok := t.(Binder); ok {
		b.Bind(c)
	}
	var src io.Reader = &source{c}
	if p, ok := t.(frame.Patient); ok {
		src = &patientSource{source{c}, p}
	}
	c.in.frames = frame.NewReader(src, frame.Options{Masking: frame.Unmasked, Limit: maxHello, Place: c.place, Cut: true, Buffers: &o.Pool.frames})
	return c
}

// Calls returns the calls in flight on the other end.
func (c *Conn) Calls() *Calls { return &c.calls }

// Refused returns how many messages the profile of the other end has refused, and
// answered, itself.
func (c *Conn) Refused() uint64 { return c.in.refused.Load() }

// Info says what the connection is.
func (c *Conn) Info() Info { return c.t.Info() }

// Run reads until the connection ends and returns why: what Close was given, a
// *wire.Error with CodeProtocol if the other end broke the protocol, ErrSilent,
// ErrStuck, io.EOF if the other end closed, or the error of the socket. When it
// returns, every goroutine of c has ended.
func (c *Conn) Run(h Handler) error {
	c.startKeepalive(func() { h.Beat(c) })
	c.meter()
	err := c.read(h)
	c.end(err)
	var violation *wire.Error
	if errors.As(err, &violation) {
		c.reproach(violation)
	}
	close(c.ended)
	_ = c.t.Close()
	c.reading.end() // what was read while the other end was told why is counted, too
	c.stopKeepalive()
	c.settle()
	err = c.why()
	if !c.options.OwnsEnd {
		c.calls.End(func(n Note) *wire.Error { return c.lost(n, err) })
	}
	return err
}

// reproach tells the other end why it is cut off, ahead of everything that waits, and
// gives it a moment to read that: a socket that is closed while unread bytes are in it
// may lose what was written last.
func (c *Conn) reproach(e *wire.Error) {
	d := wire.Death{Cause: wire.CauseProtocol, Reason: e.Message}
	m := d.Message(wire.KindGoodbye, 0)
	o := &c.out
	o.mu.Lock()
	if o.shut || o.leaving {
		o.mu.Unlock()
		return
	}
	o.first = o.single(&m)
	o.first.farewell = true
	o.leaving, o.parted = true, true
	o.mu.Unlock()
	c.lingerFor(reproachTime)
}

// lost is how a call fails whose connection has ended, before or after it was made.
func (c *Conn) lost(n Note, err error) *wire.Error {
	if n.Sent == 0 {
		return wire.Errorf(wire.CodeClosed, "the connection is closed (%v): %q was not sent", err, n.Command).NotStarted()
	}
	e := wire.Errorf(wire.CodeClosed, "the connection is gone (%v) while %q was in flight", err, n.Command)
	if !c.Written(n.Sent) {
		e.Started = wire.StartedNo
	}
	return e
}

// settle waits until nobody writes any more, and all that was not written is told.
func (c *Conn) settle() {
	o := &c.out
	o.mu.Lock()
	left := o.shutLocked()
	for o.flushing || o.clearing > 1 { // the one is its own
		o.idle.Wait()
	}
	o.mu.Unlock()
	left.clear(c)
	c.stopLinger()
	c.wg.Wait()
}

// turn is how many frames a reader takes before it lets other goroutines run: a buffer
// full of tiny ones would keep them waiting for milliseconds.
const turn = 256

// Stats returns what the connection has done so far.
func (c *Conn) Stats() Stats {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	return Stats{
		MessagesIn: c.in.messages.Load(), BytesIn: c.in.bytes.Load(),
		MessagesOut: o.stats.messages, BytesOut: o.stats.bytes, Flushes: o.stats.flushes,
		Held: o.stats.held, Dropped: o.stats.dropped, Full: o.stats.full,
		Late: c.in.late.Load(), Never: c.in.never.Load(), Skipped: c.in.skipped.Load(), Refused: c.in.refused.Load(),
		Queued: o.load,
	}
}
