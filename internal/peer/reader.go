package peer

import (
	"errors"
	"io"
	"runtime"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

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
	flushes  atomic.Bool   // the reader flushes next, and does nothing before that may wait
	flood    atomic.Bool   // there were too many: set by the timer
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

// read is the reader.
func (c *Conn) read(h Handler) error {
	defer func() { c.in.m, c.in.pieces = wire.Message{}, pieces{} }() // they would keep their buffers for those who know of c
	defer c.in.flushes.Store(false)
	runner, _ := h.(Runner)
	for n, untold := 0, 0; ; {
		op, payload, err := c.in.frames.Next()
		if err != nil {
			return readError(err)
		}
		if c.deaf.Load() {
			c.giveWay()
			continue
		}
		taken, err := c.take(h, runner, op, payload)
		if err != nil {
			return err
		}
		n += taken
		untold += taken
		dry := !c.in.frames.Ready()
		if !dry && untold < passEvery {
			continue
		}
		untold = 0
		c.in.flushes.Store(true)
		h.Dry(c)
		if dry {
			c.room.owe()
			c.in.m = wire.Message{} // nothing may come for long, and it would keep its buffer
		}
		c.flushOrLeave() // a credit may have let held data go
		if n >= turn {   // here, where nothing is left to the reader
			n = 0
			runtime.Gosched()
		}
	}
}

// passEvery is how many messages a reader takes of what one read brought before it has them passed
// on: who they are for begins while it takes the others.
const passEvery = 2 * MaxRun

// giveWay is called by the reader before what may take a while, as a Handler may for some messages.
func (c *Conn) giveWay() {
	if c.in.flushes.Load() {
		c.flushOwn()
	}
}

// flushOwn flushes what was left to the reader, which calls it.
func (c *Conn) flushOwn() {
	c.in.flushes.Store(false) // first: what is posted from here on is written by who posts it, or below
	c.Flush()
}

// flushOrLeave is flushOwn, unless those who were woken do that.
func (c *Conn) flushOrLeave() {
	c.in.flushes.Store(false) // likewise
	c.out.mu.Lock()
	if !c.idleLocked() || c.leavesLocked() {
		c.out.mu.Unlock()
		return
	}
	c.beginLocked() // which gives up the lock
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
	if err := m.ParseCut(b[front:], missing); err != nil {
		return wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	own := wire.NewMemory(b)
	if missing == 0 {
		m.Own = own
	}
	err := c.handle(h, m, missing)
	m.Own = nil
	c.recycle(own.Swap(nil), cap(b))
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
	case wire.KindReply, wire.KindError, wire.KindCredit:
	default:
		c.giveWay()
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
