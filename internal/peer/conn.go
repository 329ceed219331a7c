package peer

import (
	"errors"
	"io"
	"math"
	"runtime"
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

// inbox is what the reader counts, and reads with.
type inbox struct {
	frames   *frame.Reader
	pieces   pieces
	m        wire.Message // the one that is handled; owned by the reader, here so that none is allocated
	missing  int          // bytes that m lacks, for want of memory; likewise
	reads    atomic.Uint64
	messages atomic.Uint64
	bytes    atomic.Uint64
	late     atomic.Uint64
	never    atomic.Uint64
	skipped  atomic.Uint64
	refused  atomic.Uint64
	aimless  atomic.Uint64
	judged   atomic.Uint64 // how many of these the timer has seen
	dry      atomic.Bool   // it is in the Handler's Dry, and flushes next
	flood    atomic.Bool   // there were too many: set by the timer
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

// source counts the reads that brought something.
type source struct{ c *Conn }

func (s *source) Read(b []byte) (int, error) {
	n, err := s.c.t.Read(b)
	s.count(n)
	return n, err
}

func (s *source) count(n int) {
	if n > 0 {
		s.c.in.reads.Add(1)
		s.c.in.bytes.Add(uint64(n))
	}
}

// patientSource is that of a transport that can wait without a buffer.
type patientSource struct {
	source
	t frame.Patient
}

func (s *patientSource) ReadLoan(l frame.Loan) (int, error) {
	n, err := s.t.ReadLoan(l)
	s.count(n)
	return n, err
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

// read is the reader.
func (c *Conn) read(h Handler) error {
	defer func() { c.in.m, c.in.pieces = wire.Message{}, pieces{} }() // they would keep their buffers for those who know of c
	runner, _ := h.(Runner)
	for n := 0; ; {
		op, payload, err := c.in.frames.Next()
		if err != nil {
			return readError(err)
		}
		if c.deaf.Load() {
			continue
		}
		taken, err := c.take(h, runner, op, payload)
		if err != nil {
			return err
		}
		if n += taken; n >= turn {
			n = 0
			runtime.Gosched()
		}
		if !c.in.frames.Ready() {
			c.in.dry.Store(true)
			h.Dry(c)
			c.room.owe()
			c.in.dry.Store(false)
			c.Flush()               // a credit may have let held data go
			c.in.m = wire.Message{} // nothing may come for long, and it would keep its buffer
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

// take handles one frame, and those of a run that follow it. It returns how many that were.
func (c *Conn) take(h Handler, runner Runner, op frame.Opcode, payload []byte) (n int, err error) {
	switch op {
	case frame.Binary:
	case frame.Close:
		return 1, io.EOF
	case frame.Ping, frame.Pong:
		return 1, c.aimless() // signs of life
	default:
		return 1, wire.Errorf(wire.CodeProtocol, "a %s frame, where only binary ones are", op)
	}
	ps := &c.in.pieces
	missing := c.in.frames.Missing()
	if ps.placed != nil { // where it goes was asked before it was read
		if !ps.there {
			c.strayed(nil, payload[wire.HeaderSize:], len(payload)-wire.HeaderSize+missing)
		}
		return 1, c.takePiece(h)
	}
	m := &c.in.m
	if err := m.ParseCut(payload, missing); err != nil {
		return 1, wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	if missing == 0 {
		if n, err := c.takeRun(h, runner, m, payload); n > 0 || err != nil {
			return n, err
		}
	}
	others := 1
	switch m.Kind {
	case wire.KindPiece:
		dst, err := c.piece(payload, len(payload)+missing)
		if err != nil {
			return 1, err
		}
		c.strayed(dst, payload[wire.HeaderSize:], len(payload)-wire.HeaderSize+missing)
		return 1, c.takePiece(h)
	case wire.KindNotify:
		others = beatWhole
	case wire.KindRequest:
		if err := c.roomFor(m.Size() + missing); err != nil {
			return 1, err
		}
	}
	c.other(others)
	return 1, c.handle(h, m, missing)
}

// takePiece handles the message that the piece that was read last belongs to, if that
// has made it whole.
func (c *Conn) takePiece(h Handler) error {
	ps := &c.in.pieces
	b, missing := ps.assembled()
	if b == nil {
		return nil
	}
	m := &c.in.m
	if err := m.ParseCut(b, missing); err != nil {
		return wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	err := c.handle(h, m, missing)
	c.recycle(b)
	return err
}

// roomFor charges a request of size bytes to the window of the other end.
func (c *Conn) roomFor(size int) *wire.Error {
	if !c.room.receive(wire.Cost(size)) {
		return c.beyondWindow()
	}
	return nil
}

func (c *Conn) beyondWindow() *wire.Error {
	return wire.Errorf(wire.CodeProtocol, "a request beyond the window of %d messages, %d bytes", c.room.window.Messages, c.room.window.Bytes)
}

// handle handles one message, which lacks so many bytes at its end. A request has been
// charged.
func (c *Conn) handle(h Handler, m *wire.Message, missing int) error {
	c.in.messages.Add(1)
	c.in.missing = missing
	if missing > 0 && !c.abridge(m) {
		return ErrBudget
	}
	switch m.Kind {
	case wire.KindReply, wire.KindError:
		if err := c.answer(m); err != nil {
			return err
		}
	case wire.KindCredit:
		news, err := c.credited(m)
		if err != nil {
			return err
		}
		if !news {
			return c.aimless()
		}
	case wire.KindRequest:
		h.Receive(c, m)
	case wire.KindNotify:
		h.Receive(c, m)
		return c.aimless()
	case wire.KindUndelivered:
		if err := c.cameBack(m); err != nil {
			return err
		}
		h.Receive(c, m)
	case wire.KindCancel, wire.KindWatch, wire.KindUnwatch, wire.KindDown, wire.KindXoff,
		wire.KindXon, wire.KindStop, wire.KindGoodbye:
		h.Receive(c, m)
	case wire.KindHello, wire.KindWelcome:
		return wire.Errorf(wire.CodeProtocol, "a second %s", m.Kind)
	default:
		c.in.skipped.Add(1)
		return c.aimless()
	}
	return nil
}

// aimless counts a frame that asks for nothing and tells nothing new. No window bounds
// those, so the timer looks how many there are, and nobody waits for the timer for whom
// they are too many already.
func (c *Conn) aimless() error {
	n := c.in.aimless.Add(1)
	if n%turn == 0 {
		runtime.Gosched() // see read
	}
	if c.in.flood.Load() || n-c.in.judged.Load() > c.alive.mostAimless() {
		return wire.Errorf(wire.CodeProtocol, "a flood of pings, heartbeats or other frames that say nothing: more than %d a second", maxAimless)
	}
	return nil
}

// answer hands a reply to who waits for it.
func (c *Conn) answer(m *wire.Message) error {
	note, status := c.calls.Take(m.ID)
	if status != Never {
		c.fates.answered(m)
	}
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
