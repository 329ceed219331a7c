package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	MaxMessage int           // bytes of one message, either way; default 16 MiB
	Outbox     Limits        // what may wait to be written
	Window     wire.Window   // the room granted to the other end; default 8,192 messages, 1 MiB
	Interval   time.Duration // between heartbeats; 0: what the welcome says, or none
	Timeout    time.Duration // of silence; 0: likewise
	Pool       *Pool         // of buffers; default one of its own
	Logger     *slog.Logger  // default slog.Default()
	// OwnsEnd says that the owner ends Calls itself once Run has returned, because
	// it can tell better why. Otherwise Run does.
	OwnsEnd bool
}

// DefaultWindow is the room granted where Options say nothing.
var DefaultWindow = wire.Window{Messages: 8192, Bytes: 1 << 20}

// DefaultMaxMessage is the largest message, in bytes, where Options say nothing.
const DefaultMaxMessage = 16 << 20

// Conn is one end of one connection. Its methods may be called from any goroutine,
// but the handshake and Run, which are for one goroutine, in this order.
type Conn struct {
	// static once the handshake is over
	t       Transport
	options Options
	log     *slog.Logger
	limit   int // bytes of a message we send

	calls Calls
	out   outbox
	room  room
	alive keepalive
	in    inbox

	flushLoop func()         // flushRun, bound once
	handed    *chunk         // from the flusher that hands over to its goroutine
	waiting   atomic.Int32   // flushers' goroutines that may wait for the other end
	moved     atomic.Uint64  // its writes
	wg        sync.WaitGroup // the flusher's goroutine and the timers; Add under out.mu, alive.mu or mu
	said      chan struct{}  // closed when the goodbye was written or dropped
	ended     chan struct{}  // closed when the reader has ended

	mu     sync.Mutex  // guards what follows
	reason error       // why the connection ends; the first one counts
	over   bool        // reason is set
	linger *time.Timer // set while not over
}

// inbox is what the reader counts, and reads with.
type inbox struct {
	frames   *frame.Reader
	m        wire.Message // the one that is handled; owned by the reader, here so that none is allocated
	reads    atomic.Uint64
	messages atomic.Uint64
	bytes    atomic.Uint64
	late     atomic.Uint64
	never    atomic.Uint64
	skipped  atomic.Uint64
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
	Queued                [3]int // bytes that wait: control, replies, data
}

// New returns a Conn over t. It does nothing until its handshake.
func New(t Transport, o Options) *Conn {
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.Window.Messages == 0 {
		o.Window.Messages = DefaultWindow.Messages
	}
	if o.Window.Bytes == 0 {
		o.Window.Bytes = DefaultWindow.Bytes
	}
	if o.Pool == nil {
		o.Pool = new(Pool)
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Conn{t: t, options: o, log: o.Logger, limit: o.MaxMessage, said: make(chan struct{}), ended: make(chan struct{})}
	c.out.pool = o.Pool
	c.out.limits = o.Outbox.withDefaults()
	c.out.idle.L = &c.out.mu
	c.room.window = o.Window
	c.alive.interval, c.alive.timeout = o.Interval, o.Timeout
	c.flushLoop = c.flushRun
	c.calls.started = func(n *Note) wire.Started {
		if c.Written(n.Sent) {
			return wire.StartedUnknown
		}
		return wire.StartedNo
	}
	c.in.frames = frame.NewReader(&source{c}, frame.Options{Masking: frame.Unmasked, Limit: maxHello})
	return c
}

// source counts the reads that brought something.
type source struct{ c *Conn }

func (s *source) Read(b []byte) (int, error) {
	n, err := s.c.t.Read(b)
	if n > 0 {
		s.c.in.reads.Add(1)
		s.c.in.bytes.Add(uint64(n))
	}
	return n, err
}

// Calls returns the calls in flight on the other end.
func (c *Conn) Calls() *Calls { return &c.calls }

// Info says what the connection is.
func (c *Conn) Info() Info { return c.t.Info() }

// Run reads until the connection ends and returns why: what Close was given, a
// *wire.Error with CodeProtocol if the other end broke the protocol, ErrSilent,
// ErrStuck, io.EOF if the other end closed, or the error of the socket. When it
// returns, every goroutine of c has ended.
func (c *Conn) Run(h Handler) error {
	c.startKeepalive(func() { h.Beat(c) })
	err := c.read(h)
	c.end(err)
	var violation *wire.Error
	if errors.As(err, &violation) {
		c.reproach(violation)
	}
	close(c.ended)
	_ = c.t.Close()
	c.stopKeepalive()
	c.settle()
	err = c.why()
	if !c.options.OwnsEnd {
		c.calls.End(func(n Note) *wire.Error { return c.lost(n, err) })
	}
	return err
}

// reproach tells the other end why it is cut off, as far as that can be told at
// once.
func (c *Conn) reproach(e *wire.Error) {
	d := wire.Death{Cause: wire.CauseProtocol, Reason: e.Message}
	m := d.Message(wire.KindGoodbye, 0)
	if c.Post(Control, &m, Charge{}) == nil {
		c.Flush()
	}
}

// lost is how a call fails whose connection has ended.
func (c *Conn) lost(n Note, err error) *wire.Error {
	e := wire.Errorf(wire.CodeClosed, "the connection is gone (%v) while %q was in flight", err, n.Command)
	if !c.Written(n.Sent) {
		e.Started = wire.StartedNo
	}
	return e
}

// settle waits until nobody writes any more.
func (c *Conn) settle() {
	o := &c.out
	o.mu.Lock()
	left := o.shutLocked()
	for o.flushing {
		o.idle.Wait()
	}
	o.mu.Unlock()
	left.clear(c)
	c.stopLinger()
	c.wg.Wait()
}

// read is the reader.
func (c *Conn) read(h Handler) error {
	for {
		op, payload, err := c.in.frames.Next()
		if err != nil {
			return readError(err)
		}
		if err := c.take(h, op, payload); err != nil {
			return err
		}
		if !c.in.frames.Ready() {
			h.Dry(c)
			c.Flush() // a credit may have let held data go
		}
	}
}

// readError says what a failed read means.
func readError(err error) error {
	var violation *frame.Error
	if errors.As(err, &violation) {
		return wire.Errorf(wire.CodeProtocol, "a frame that may not be: %s", violation.Reason)
	}
	return err
}

// take handles one frame.
func (c *Conn) take(h Handler, op frame.Opcode, payload []byte) error {
	switch op {
	case frame.Binary:
	case frame.Close:
		return io.EOF
	case frame.Ping, frame.Pong:
		return nil // signs of life
	default:
		return wire.Errorf(wire.CodeProtocol, "a %s frame, where only binary ones are", op)
	}
	m := &c.in.m
	if err := m.Parse(payload); err != nil {
		return wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	c.in.messages.Add(1)
	switch m.Kind {
	case wire.KindReply, wire.KindError:
		if err := c.answer(m); err != nil {
			return err
		}
	case wire.KindCredit:
		if err := c.credited(m); err != nil {
			return err
		}
	case wire.KindRequest:
		if !c.room.receive(wire.Cost(m.Size())) {
			return wire.Errorf(wire.CodeProtocol, "a request beyond the window of %d messages, %d bytes", c.room.window.Messages, c.room.window.Bytes)
		}
		h.Receive(c, m)
	case wire.KindCancel, wire.KindUndelivered, wire.KindWatch, wire.KindUnwatch, wire.KindDown, wire.KindXoff,
		wire.KindXon, wire.KindNotify, wire.KindStop, wire.KindGoodbye:
		h.Receive(c, m)
	case wire.KindHello, wire.KindWelcome:
		return wire.Errorf(wire.CodeProtocol, "a second %s", m.Kind)
	default:
		c.in.skipped.Add(1)
	}
	return nil
}

// answer hands a reply to who waits for it.
func (c *Conn) answer(m *wire.Message) error {
	note, status := c.calls.Take(m.ID)
	switch {
	case status == Late:
		c.in.late.Add(1)
	case status == Never:
		c.in.never.Add(1)
		return wire.Errorf(wire.CodeProtocol, "a reply to %d, which was never asked", m.ID)
	case m.Kind == wire.KindReply:
		note.Caller.Result(note.ID, m)
	default:
		if f, ok := note.Caller.(Forwarder); ok {
			f.Forward(note.ID, m)
		} else {
			note.Caller.Failed(note.ID, wire.ParseError(m))
		}
	}
	return nil
}

// check returns the size of m, or why it cannot be sent.
func (c *Conn) check(m *wire.Message) (int, *wire.Error) {
	size := m.Size()
	if size > c.limit {
		return 0, wire.Errorf(wire.CodeTooLarge, "the message has %d bytes, and the limit is %d", size, c.limit).NotStarted()
	}
	if !m.Fits() {
		return 0, wire.Errorf(wire.CodeInvalid, "a field of the header is longer than it can say").NotStarted()
	}
	return size, nil
}

// classOf returns the class m is posted in, and what it takes of the other end's
// window: of class Data only requests are counted there, the rest is Ordered.
func classOf(class Class, m *wire.Message) (Class, int) {
	if class != Data && class != Ordered {
		return class, 0
	}
	if class == Ordered || m.Kind != wire.KindRequest {
		return Ordered, 0
	}
	return Data, wire.Cost(m.Size())
}

// Post queues m in its class. It never waits and does not write: Flush does. ch is
// Post's from here on, whatever it returns. The error is ErrFull, ErrClosed, or a
// *wire.Error for what can never be sent.
func (c *Conn) Post(class Class, m *wire.Message, ch Charge) error {
	size, failed := c.check(m)
	if failed != nil {
		ch.Return()
		return failed
	}
	class, cost := classOf(class, m)
	o := &c.out
	o.mu.Lock()
	err := o.refusal()
	n := cost
	if class < Data {
		n = frame.BinaryHeaderSize(size) + size
	}
	var owed debts
	if err == nil {
		var room bool
		if room, owed = c.roomLocked(class, n, m.Flags&wire.FlagOneWay != 0); !room {
			err = ErrFull
		}
	}
	if err != nil {
		o.mu.Unlock()
		ch.Return()
		owed.pay()
		return err
	}
	if class < Data {
		o.appendFrame(class, m, size, ch)
	} else {
		o.place++
		o.appendData(m, size, cost, ch, 0)
	}
	o.mu.Unlock()
	owed.pay()
	return nil
}

// refusal says why nothing is taken any more.
func (o *outbox) refusal() error {
	if o.shut || o.leaving {
		return ErrClosed
	}
	return nil
}

// Request notes a call and posts m, whose ID it sets, as data. If it fails the
// call is not noted, and n.Caller told nothing. ch is Request's from here on.
func (c *Conn) Request(m *wire.Message, n Note, ch Charge) (id uint64, err *wire.Error) {
	size, err := c.check(m)
	if err != nil {
		ch.Return()
		return 0, err
	}
	class, cost := classOf(Data, m)
	o := &c.out
	o.mu.Lock()
	if o.refusal() != nil {
		o.mu.Unlock()
		ch.Return()
		return 0, c.refused(n)
	}
	room, owed := c.roomLocked(class, cost, false)
	if !room {
		queued := o.load[Data]
		o.mu.Unlock()
		ch.Return()
		owed.pay()
		return 0, wire.Errorf(wire.CodeOverloaded, "%d bytes already wait to be taken by it", queued).NotStarted()
	}
	n.Sent = o.place + 1
	c.calls.mu.Lock()
	id, ok := c.calls.addLocked(&n)
	c.calls.mu.Unlock()
	if !ok {
		o.mu.Unlock()
		ch.Return()
		owed.pay()
		return 0, c.calls.refusal(n)
	}
	m.ID = id
	o.place++
	o.appendData(m, size, cost, ch, id)
	o.mu.Unlock()
	owed.pay()
	return id, nil
}

// refused is the error of a call that comes when the connection is over.
func (c *Conn) refused(n Note) *wire.Error {
	if c.calls.Ended() {
		return c.calls.refusal(n)
	}
	return wire.Errorf(wire.CodeClosed, "the connection is closing").NotStarted()
}

// PostWait posts m as data once the other end's window has room for it. It waits
// until ctx ends, which is then the error, or the connection does.
func (c *Conn) PostWait(ctx context.Context, m *wire.Message) error {
	size, failed := c.check(m)
	if failed != nil {
		return failed
	}
	_, cost := classOf(Data, m)
	o := &c.out
	o.mu.Lock()
	if err := o.refusal(); err != nil {
		o.mu.Unlock()
		return err
	}
	if cost == 0 || (o.direct(cost) && o.waiters.empty()) {
		o.place++
		o.appendData(m, size, cost, Charge{}, 0)
		o.mu.Unlock()
		return nil
	}
	w := &waiter{m: *m, size: size, cost: cost, ready: make(chan error, 1)}
	o.waiters.push(w)
	o.mu.Unlock()
	c.Flush()
	return waitError(c.wait(ctx, w))
}

// RequestWait is Request for who may wait for room, as PostWait does.
func (c *Conn) RequestWait(ctx context.Context, m *wire.Message, n Note) (id uint64, err *wire.Error) {
	size, err := c.check(m)
	if err != nil {
		return 0, err
	}
	_, cost := classOf(Data, m)
	o := &c.out
	o.mu.Lock()
	if o.refusal() != nil {
		o.mu.Unlock()
		return 0, c.refused(n)
	}
	direct := cost == 0 || (o.direct(cost) && o.waiters.empty())
	n.Sent = 0
	if direct {
		n.Sent = o.place + 1
	}
	c.calls.mu.Lock()
	id, ok := c.calls.addLocked(&n)
	c.calls.mu.Unlock()
	if !ok {
		o.mu.Unlock()
		return 0, c.calls.refusal(n)
	}
	m.ID = id
	if direct {
		o.place++
		o.appendData(m, size, cost, Charge{}, id)
		o.mu.Unlock()
		return id, nil
	}
	w := &waiter{m: *m, size: size, cost: cost, call: id, ready: make(chan error, 1)}
	o.waiters.push(w)
	o.mu.Unlock()
	c.Flush()
	if e := c.wait(ctx, w); e != nil {
		if _, status := c.calls.Take(id); status == Found {
			return 0, wire.AsError(waitError(e), wire.CodeClosed).With(wire.StartedNo)
		}
		// Its Caller was told already.
	}
	return id, nil
}

// waitError says why there was no room.
func waitError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return wire.Errorf(wire.CodeDeadline, "there was no room on the way before the deadline").NotStarted()
	case errors.Is(err, ErrClosed):
		return wire.Errorf(wire.CodeClosed, "the connection is closed").NotStarted()
	}
	return wire.Errorf(wire.CodeCanceled, "the caller gave up while there was no room on the way").NotStarted()
}

// Written reports whether the message at the place sent in the data stream may
// have reached the other end. Once the connection has ended, false is certain.
func (c *Conn) Written(sent uint64) bool {
	if sent == 0 {
		return false
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.shut && !c.out.flushing {
		return sent <= c.out.written
	}
	return sent <= c.out.admitted
}

// Goodbye says why this end leaves, writes what was posted before, but for data
// that the other end has no room for, and closes. It returns when that is done,
// ctx ends, whose error it then returns, or the connection was lost, with
// ErrClosed. Nothing can be posted any more. A second Goodbye waits for the first.
func (c *Conn) Goodbye(ctx context.Context, d *wire.Death) error {
	m := d.Message(wire.KindGoodbye, 0)
	o := &c.out
	o.mu.Lock()
	if !o.shut && !o.leaving {
		o.leaving = true
		o.final = o.single(&m)
		o.final.farewell = true
	}
	over := o.shut
	o.mu.Unlock()
	if over {
		c.Close(ErrClosed)
		return ErrClosed
	}
	c.FlushSoon()
	select {
	case <-c.said:
	case <-ctx.Done():
		c.Close(ErrClosed)
		return ctx.Err()
	}
	o.mu.Lock()
	told := o.told
	o.mu.Unlock()
	if !told {
		return ErrClosed
	}
	// The other end reads it, sees the end, and closes: only then is it certain that
	// nothing was lost.
	if w, ok := c.t.(writeCloser); ok {
		_ = w.CloseWrite()
	}
	wait := time.NewTimer(lingerTime)
	defer wait.Stop()
	select {
	case <-c.ended:
	case <-ctx.Done():
	case <-wait.C:
	}
	c.Close(ErrClosed)
	return nil
}

// Close ends the connection: what waits is dropped, Run returns reason. The first
// reason counts. It does not wait.
func (c *Conn) Close(reason error) {
	c.end(reason)
	o := &c.out
	o.mu.Lock()
	left := o.shutLocked()
	o.mu.Unlock()
	left.clear(c)
	_ = c.t.Close()
	c.stopLinger()
}

// end notes why the connection ends.
func (c *Conn) end(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over, c.reason = true, reason
	}
}

// endSoon ends the connection because it cannot be written to: what the other end
// said last may still be read.
func (c *Conn) endSoon(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.linger != nil {
		return
	}
	c.wg.Add(1)
	c.linger = time.AfterFunc(lingerTime, func() {
		defer c.wg.Done()
		c.Close(fmt.Errorf("it cannot be written to: %w", err))
	})
}

// stopLinger stops what endSoon began. The connection must be over.
func (c *Conn) stopLinger() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.linger != nil && c.linger.Stop() {
		c.wg.Done()
	}
	c.linger = nil
}

func (c *Conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// Stats returns what the connection has done so far.
func (c *Conn) Stats() Stats {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	return Stats{
		MessagesIn: c.in.messages.Load(), BytesIn: c.in.bytes.Load(),
		MessagesOut: o.stats.messages, BytesOut: o.stats.bytes, Flushes: o.stats.flushes,
		Held: o.stats.held, Dropped: o.stats.dropped, Full: o.stats.full,
		Late: c.in.late.Load(), Never: c.in.never.Load(), Skipped: c.in.skipped.Load(),
		Queued: o.load,
	}
}
