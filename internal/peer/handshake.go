package peer

import (
	"context"
	"errors"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// features are what a Conn can do if the other end can as well.
const features = wire.FeaturePieces | wire.FeatureXoff

// maxHello is the largest first message, in bytes: whoever sends it is not known
// yet.
const maxHello = 64 << 10

// Hello is the handshake of who connects: it says h, offering what a Conn can do, and
// waits for the welcome. The error is a *wire.Error if the other end refused, or is no
// arbiter.
func (c *Conn) Hello(ctx context.Context, h *wire.Hello) (*wire.Welcome, error) {
	offer := *h
	offer.Features |= features
	m, err := offer.Message()
	if err != nil {
		return nil, err
	}
	c.putFirst(&m, false)
	c.Flush()
	answer, err := c.first(ctx)
	if err != nil {
		return nil, err
	}
	switch answer.Kind {
	case wire.KindError:
		return nil, wire.ParseError(answer)
	case wire.KindWelcome:
	default:
		return nil, wire.Errorf(wire.CodeProtocol, "the answer to the hello is a %s", answer.Kind)
	}
	w, err := wire.ParseWelcome(answer)
	if err != nil {
		return nil, err
	}
	if w.MaxMessage > 0 {
		if c.follows {
			c.options.MaxMessage = min(w.MaxMessage, maxMessage)
			c.limit = c.options.MaxMessage
		}
		c.limit = min(c.limit, w.MaxMessage)
	}
	if c.alive.interval == 0 {
		c.alive.interval = time.Duration(w.Interval) * time.Millisecond
	}
	if c.alive.timeout == 0 {
		c.alive.timeout = time.Duration(w.Timeout) * time.Millisecond
	}
	c.open(w.Window, w.Features&features)
	c.Flush() // what was posted before
	return w, nil
}

// AwaitHello is the first half of the handshake of who was connected to: it waits
// for the hello. Anything else is answered with an error, where it can be.
func (c *Conn) AwaitHello(ctx context.Context) (*wire.Hello, error) {
	m, err := c.first(ctx)
	if err == nil && m.Kind != wire.KindHello {
		err = wire.Errorf(wire.CodeProtocol, "the first message is a %s, not a hello", m.Kind)
	}
	var h *wire.Hello
	if err == nil {
		h, err = wire.ParseHello(m)
	}
	if err != nil {
		var e *wire.Error
		if errors.As(err, &e) {
			c.Refuse(e)
		}
		return nil, err
	}
	c.out.mu.Lock()
	c.out.window = h.Inbox
	c.out.mu.Unlock()
	c.offered = h.Features
	return h, nil
}

// Rest returns what was read behind the hello already, for who reads the transport from now on.
func (c *Conn) Rest() []byte { return c.in.frames.Rest() }

// Welcome is the second half: it answers the hello with w, and what both can do. What
// was posted before follows.
func (c *Conn) Welcome(w *wire.Welcome) error {
	common := c.offered & features
	c.guest = w.AID
	answer := *w
	answer.Features |= common
	m, err := answer.Message()
	if err != nil {
		return err
	}
	c.out.mu.Lock()
	window := c.out.window
	c.out.mu.Unlock()
	c.putFirst(&m, false)
	c.open(window, common)
	c.Flush()
	return nil
}

// Refuse answers the hello with e, and gives the other end a moment to read it. Only
// the first Refuse of a connection does anything, and what AwaitHello fails with it
// has refused itself. Close is still to be called.
func (c *Conn) Refuse(e *wire.Error) {
	m := e.Frame(wire.KindError, 0)
	if !c.putFirst(&m, true) {
		return
	}
	c.lingerFor(lingerTime)
}

// lingerFor writes the farewell that was queued, and gives the other end until limit to
// have read it.
func (c *Conn) lingerFor(limit time.Duration) {
	stop := time.AfterFunc(limit, func() { _ = c.t.Close() })
	defer stop.Stop()
	c.Flush()
	<-c.said // at the latest when the transport is closed
	if w, ok := c.t.(writeCloser); ok {
		_ = w.CloseWrite()
	}
	drain(c.t)
}

// drain reads what still comes, until t ends: an end that goes on talking is not
// listened to for ever.
func drain(t Transport) {
	var trash [512]byte
	for range 1024 {
		if _, err := t.Read(trash[:]); err != nil {
			return
		}
	}
}

// open lets messages go. Both ends can do what common says.
func (c *Conn) open(window wire.Window, common wire.Features) {
	c.in.frames.SetLimit(c.options.MaxMessage)
	c.in.pieces.agreed = common&wire.FeaturePieces != 0
	c.xoff = common&wire.FeatureXoff != 0
	o := &c.out
	o.mu.Lock()
	o.window = window
	if c.in.pieces.agreed {
		o.piece = pieceSize(c.t)
	}
	o.open = true
	owed := c.releaseLocked()
	o.mu.Unlock()
	owed.pay()
}

// putFirst queues a frame of the handshake before everything else. A farewell is
// the last of the connection as well. It reports whether it was taken: not if the
// connection is over.
func (c *Conn) putFirst(m *wire.Message, farewell bool) bool {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shut || farewell && o.leaving {
		return false
	}
	o.first = o.single(m)
	o.first.farewell = farewell
	o.leaving = o.leaving || farewell
	return true
}

// first reads the first message of the other end.
func (c *Conn) first(ctx context.Context) (*wire.Message, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.t.Close() })
	defer stop()
	op, payload, err := c.in.frames.Next()
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, readError(err)
	}
	if op != frame.Binary {
		return nil, wire.Errorf(wire.CodeProtocol, "the first frame is a %s one; this listener takes binary ones", op)
	}
	m := new(wire.Message)
	if err := m.Parse(payload); err != nil {
		return nil, wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	return m, nil
}
