package peer

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Options are the bounds and times of a Conn. The zero value works.
type Options struct {
	// MaxMessage is the longest message read, in bytes as wire.Message.Size counts
	// them, and the longest one posted unless a welcome names another. Default: 16 MiB.
	MaxMessage int
	// Outbox bounds what waits to be written.
	Outbox Limits
	// Window is the room granted to the other end. Default: 1 MiB, 8192 messages.
	Window wire.Window
	// Interval is the time between two Beats. 0: none. Who says Hello takes it from
	// the welcome.
	Interval time.Duration
	// Timeout is the silence after which the other end is given up. 0: never. Who
	// says Hello takes it from the welcome.
	Timeout time.Duration
	// Pool is shared by the connections of a program. Default: one of its own.
	Pool *Pool
	// Logger gets what is wrong with the other end and cannot be told to anybody.
	// Default: none.
	Logger *slog.Logger
}

// The defaults of Options.
const (
	DefaultMaxMessage = 16 << 20
	DefaultInterval   = 3 * time.Second
	DefaultTimeout    = 10 * time.Second
)

// DefaultWindow returns the default of Options.Window.
func DefaultWindow() wire.Window { return wire.Window{Messages: 8192, Bytes: 1 << 20} }

// Handler is who a Conn's messages are for.
type Handler interface {
	// Receive takes a message that Conn does not handle itself, on the goroutine of
	// Run, and must not block. m and its slices are valid only during the call and
	// may be changed. The room of a request is to be given back: see Conn.Charge.
	Receive(c *Conn, m *wire.Message)
	// Dry is called, after something was received, before the reader waits for more:
	// now is the time to flush the connections that Receive posted to.
	Dry(c *Conn)
	// Beat is called every Interval, on a goroutine of its own, and must not block:
	// the owner posts a notify and flushes.
	Beat(c *Conn)
}

// Conn is one end of one connection. Its methods may be called from any goroutine,
// but for the handshake and Run, which follow one another. Its owner calls Close
// if Run was not called, and Calls().End when either has ended.
type Conn struct {
	// static
	t         Transport
	log       *slog.Logger
	options   Options
	flushLoop func() // flushRun, made once: go with a method value allocates

	// owned by the handshake, then static
	reader  *frame.Reader
	maxSend atomic.Int64
	version uint32

	// owned by the reader
	m     wire.Message
	fresh bool // something was received since the last Dry

	calls Calls
	out   outbox
	room  room
	in    inStats
	alive keepalive

	// owned by the flusher
	handed *chunk

	moved   atomic.Uint64 // writes of a flusher that may wait
	waiting atomic.Bool   // there is one

	wg      sync.WaitGroup // flushers' goroutines, the timer
	running atomic.Bool    // Run was called
	said    chan struct{}  // closed when the farewell was written or is lost
	done    chan struct{}  // closed by Close
	closed  bool           // guarded by out.mu
	reason  error          // why; static once done is closed
}

// New returns one end of the connection over t, before its handshake. t is closed
// with it.
func New(t Transport, o Options) *Conn {
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	def := DefaultWindow()
	if o.Window.Messages == 0 {
		o.Window.Messages = def.Messages
	}
	if o.Window.Bytes == 0 {
		o.Window.Bytes = def.Bytes
	}
	if o.Pool == nil {
		o.Pool = new(Pool)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Conn{
		t:       t,
		log:     o.Logger,
		options: o,
		said:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	c.flushLoop = c.flushRun
	c.reader = frame.NewReader((*source)(c), frame.Options{Limit: maxHello})
	c.maxSend.Store(int64(o.MaxMessage))
	c.calls.started = c.startedKnown
	c.out.pool, c.out.limits = o.Pool, o.Outbox.withDefaults()
	c.out.idle.L = &c.out.mu
	c.room.window = o.Window
	c.alive.interval, c.alive.timeout = o.Interval, o.Timeout
	return c
}

// Calls returns the calls in flight on the other end.
func (c *Conn) Calls() *Calls { return &c.calls }

// Info says what is known of the other end.
func (c *Conn) Info() Info { return c.t.Info() }

// Version returns the version of the protocol that was agreed on; 0 before.
func (c *Conn) Version() uint32 { return c.version }

// Done returns a channel that is closed when the connection is over. Its
// goroutines end soon after; Run waits for them.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Post queues m, whose slices are copied. It never waits, and writes nothing: see
// Flush. ch is the room m takes in its sender's window; it is given back when m was
// written or dropped, also if Post fails.
//
// The error is ErrFull if the class is at its bound, an *wire.Error with
// CodeTooLarge, or ErrClosed. Before the handshake is over messages wait for it.
func (c *Conn) Post(class Class, m *wire.Message, ch Charge) error {
	size, err := c.measure(m)
	if err != nil {
		ch.Return()
		return err
	}
	cost := 0
	if class == Data {
		if m.Kind == wire.KindRequest {
			cost = wire.Cost(size)
		} else {
			class = Ordered
		}
	}
	o := &c.out
	o.mu.Lock()
	if o.shut || o.leaving {
		o.mu.Unlock()
		ch.Return()
		return ErrClosed
	}
	var owed debts
	switch {
	case class == Control || class == Reply:
		if !o.bounded(class, size+frame.BinaryHeaderSize(size), false) {
			o.stats.full++
			o.mu.Unlock()
			ch.Return()
			return ErrFull
		}
		o.appendFrame(class, m, size, ch)
	default:
		if oneWay := m.Flags&wire.FlagOneWay != 0; !o.bounded(class, cost, oneWay) {
			if owed = c.purgeLocked(); !o.bounded(class, cost, oneWay) {
				o.stats.full++
				o.mu.Unlock()
				owed.pay()
				ch.Return()
				return ErrFull
			}
		}
		o.place++
		o.appendData(m, size, cost, ch, 0)
	}
	o.mu.Unlock()
	owed.pay()
	return nil
}

// Request adds n to the calls in flight, gives m its id and queues it, as Post
// does. A message that is not a request (a watch) is queued as Ordered.
//
// An error means that m was not queued and n.Caller is told nothing: what Calls.Add
// says, CodeOverloaded if the outbox is full, CodeTooLarge, or CodeClosed after
// Goodbye. If the connection is over and Calls().End was not called yet, the call is
// noted and ends with that.
func (c *Conn) Request(m *wire.Message, n Note, ch Charge) (id uint64, err *wire.Error) {
	size, err := c.measureCall(m)
	if err != nil {
		ch.Return()
		return 0, err
	}
	cost := requestCost(m, size)
	var owed debts
	o := &c.out
	o.mu.Lock()
	if o.leaving && !o.shut {
		o.mu.Unlock()
		ch.Return()
		return 0, errLeaving(m)
	}
	if cost > 0 && !o.shut && !o.bounded(Data, cost, false) {
		if owed = c.purgeLocked(); !o.bounded(Data, cost, false) {
			o.stats.full++
			o.mu.Unlock()
			owed.pay()
			ch.Return()
			return 0, wire.Errorf(wire.CodeOverloaded, "the queue to %q is full; it reads more slowly than it is called", m.Target).NotStarted()
		}
	}
	n.Sent = o.place + 1
	id, ok := c.calls.add(&n)
	switch {
	case !ok:
		err = c.calls.refusal(n)
		o.mu.Unlock()
		ch.Return()
	case o.shut:
		o.place++
		o.mu.Unlock()
		ch.Return()
	default:
		o.place++
		m.ID = id
		o.appendData(m, size, cost, ch, id)
		o.mu.Unlock()
	}
	owed.pay()
	return id, err
}

// PostWait is Post of data for an end that may wait: it waits, in turn, for room in
// the other end's window, until ctx or the connection ends. The arbiter never uses
// it: its reader must not wait.
func (c *Conn) PostWait(ctx context.Context, m *wire.Message) error {
	size, err := c.measure(m)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	o := &c.out
	o.mu.Lock()
	if o.shut || o.leaving {
		o.mu.Unlock()
		return ErrClosed
	}
	cost := requestCost(m, size)
	if o.waiters.empty() && o.direct(cost) || cost == 0 {
		o.place++
		o.appendData(m, size, cost, Charge{}, 0)
		o.mu.Unlock()
		return nil
	}
	w := &waiter{m: m, size: size, cost: cost, ready: make(chan error, 1)}
	o.waiters.push(w)
	o.mu.Unlock()
	return c.wait(ctx, w)
}

// RequestWait is Request for an end that may wait, as PostWait. If ctx ends first
// the error is CodeDeadline or CodeCanceled, certainly not started.
func (c *Conn) RequestWait(ctx context.Context, m *wire.Message, n Note) (id uint64, err *wire.Error) {
	size, err := c.measureCall(m)
	if err != nil {
		return 0, err
	}
	if ctx.Err() != nil {
		return 0, contextError(ctx, m)
	}
	o := &c.out
	o.mu.Lock()
	if o.leaving && !o.shut {
		o.mu.Unlock()
		return 0, errLeaving(m)
	}
	cost := requestCost(m, size)
	direct := o.waiters.empty() && o.direct(cost) || cost == 0
	if n.Sent = 0; direct || o.shut {
		n.Sent = o.place + 1
	}
	id, ok := c.calls.add(&n)
	if !ok {
		err = c.calls.refusal(n)
		o.mu.Unlock()
		return 0, err
	}
	m.ID = id
	if direct || o.shut {
		o.place++
		if !o.shut {
			o.appendData(m, size, cost, Charge{}, id)
		}
		o.mu.Unlock()
		return id, nil
	}
	w := &waiter{m: m, size: size, cost: cost, call: id, ready: make(chan error, 1)}
	o.waiters.push(w)
	o.mu.Unlock()
	e := c.wait(ctx, w)
	if e == nil || errors.Is(e, ErrClosed) {
		return id, nil // if it is closed, End ends the call
	}
	if _, status := c.calls.Take(id); status != Found {
		return id, nil // its Caller was told already
	}
	return 0, contextError(ctx, m)
}

// requestCost returns what m costs in the other end's window; 0 if it is not charged.
func requestCost(m *wire.Message, size int) int {
	if m.Kind != wire.KindRequest {
		return 0
	}
	return wire.Cost(size)
}

func contextError(ctx context.Context, m *wire.Message) *wire.Error {
	code := wire.CodeCanceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = wire.CodeDeadline
	}
	return wire.Errorf(code, "%q to %q was not sent: %v while waiting for room", m.Command, m.Target, ctx.Err()).NotStarted()
}

func errLeaving(m *wire.Message) *wire.Error {
	return wire.Errorf(wire.CodeClosed, "%q to %q was not sent: the connection is being closed", m.Command, m.Target).NotStarted()
}

// measure returns the size of m, if it can be sent.
func (c *Conn) measure(m *wire.Message) (int, error) {
	size, err := c.measureCall(m)
	if err != nil {
		return 0, err // not a nil *wire.Error
	}
	return size, nil
}

func (c *Conn) measureCall(m *wire.Message) (int, *wire.Error) {
	size := m.Size()
	if limit := c.maxSend.Load(); int64(size) > limit {
		return 0, wire.Errorf(wire.CodeTooLarge, "a %v of %d bytes to %q is over the limit of %d", m.Kind, size, m.Target, limit).NotStarted()
	}
	if !m.Fits() {
		return 0, wire.Errorf(wire.CodeTooLarge, "a part of the %v's header is longer than the header can say (target %d, sender %d, command %d, extensions %d bytes)",
			m.Kind, len(m.Target), len(m.Sender), len(m.Command), len(m.Ext)).NotStarted()
	}
	return size, nil
}

// Written reports whether the message at place sent of the data stream (Note.Sent)
// may have reached the other end: false means that its handler certainly did not
// start. It is exact once Run has returned, and before only false may become true.
func (c *Conn) Written(sent uint64) bool {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return sent <= c.out.written
}

// Taken returns what the other end said last of what it has taken, and of the
// handlers it has begun.
func (c *Conn) Taken() wire.Credit {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return wire.Credit{Messages: c.out.credited.Messages, Bytes: c.out.credited.Bytes, Started: c.out.started}
}

// startedKnown says what is known of a call that was taken out.
func (c *Conn) startedKnown(n *Note) wire.Started {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if n.Sent == 0 || n.Sent > c.out.admitted {
		return wire.StartedNo // it is held, or waits, and will be dropped there
	}
	return wire.StartedUnknown
}

// Goodbye ends the connection in order: nothing more is taken, what is queued is
// written (but not data that waits for the other end's window), then the reason,
// and the other end gets a second to close. It returns when the connection is
// closed, at the latest when ctx ends.
func (c *Conn) Goodbye(ctx context.Context, d *wire.Death) {
	defer c.Close(nil)
	m := d.Message(wire.KindGoodbye, 0)
	o := &c.out
	o.mu.Lock()
	if o.shut || !o.open {
		o.mu.Unlock()
		return
	}
	if !o.leaving {
		o.leaving = true
		o.final = c.farewell(&m)
	}
	o.mu.Unlock()
	c.Flush()
	select {
	case <-c.said:
	case <-c.done:
		return
	case <-ctx.Done():
		return
	}
	c.linger(ctx)
}

// farewell returns m as the last chunk of the connection.
func (c *Conn) farewell(m *wire.Message) *chunk {
	size := m.Size()
	k := c.out.pool.get(frame.BinaryHeaderSize(size) + size)
	k.b = m.Append(frame.AppendBinary(k.b, size))
	k.frames, k.farewell = 1, true
	return k
}

// linger ends the sending direction and waits for the other end to close.
func (c *Conn) linger(ctx context.Context) {
	w, ok := c.t.(writeCloser)
	if !ok || w.CloseWrite() != nil || !c.running.Load() {
		return
	}
	t := time.NewTimer(lingerTime)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.done: // the reader saw the end
	case <-ctx.Done():
	}
}

// Close ends the connection at once: what is queued is dropped and what it owes is
// paid. Run then returns reason. Only the first call counts; none waits.
func (c *Conn) Close(reason error) {
	o := &c.out
	o.mu.Lock()
	if c.closed {
		o.mu.Unlock()
		return
	}
	c.closed, c.reason = true, reason
	left := o.shutLocked()
	o.mu.Unlock()
	c.t.Close() // how it failed to close changes nothing
	left.clear(o.pool)
	close(c.done)
}

// endSoonLocked closes the connection for err when the reader has had the time to
// find out better.
func (c *Conn) endSoonLocked(err error) {
	if c.closed {
		return
	}
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		t := time.NewTimer(lingerTime)
		defer t.Stop()
		select {
		case <-t.C:
			c.Close(err)
		case <-c.done:
		}
	}()
}
