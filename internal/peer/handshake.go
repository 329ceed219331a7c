package peer

import (
	"context"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// maxHello is the longest message of a handshake, in bytes.
const maxHello = 64 << 10

// Hello is the handshake of whoever connects: it sends h and waits for the answer,
// until ctx ends. Versions and the inbox's window are filled in if h has none. The
// error is an *wire.Error if the other end refused, or answered with something
// else; then, and whenever there is an error, the connection is closed.
func (c *Conn) Hello(ctx context.Context, h *wire.Hello) (*wire.Welcome, error) {
	hello := *h
	if hello.Newest == 0 {
		hello.Newest, hello.Oldest = wire.Version, wire.MinVersion
	}
	hello.Inbox = c.options.Window
	m, err := hello.Message()
	if err == nil {
		_, err = c.measure(&m)
	}
	if err != nil {
		c.Close(err)
		return nil, err
	}
	c.begin(&m, false)
	if err := c.readFirst(ctx); err != nil {
		c.Close(err)
		return nil, err
	}
	w, err := wire.ParseWelcome(&c.m)
	if err != nil {
		c.Close(err)
		return nil, err
	}
	c.version = w.Version
	if w.MaxMessage > 0 {
		c.maxSend.Store(int64(w.MaxMessage))
	}
	c.alive.interval = time.Duration(w.Interval) * time.Millisecond
	c.alive.timeout = time.Duration(w.Timeout) * time.Millisecond
	c.Open(w.Window)
	return w, nil
}

// AwaitHello is the first half of the arbiter's handshake: it waits for a hello,
// until ctx ends. Anything else is answered with an error, as far as that can be
// told, and the connection is closed; so is a hello of a version not spoken here.
// After it comes Welcome or Refuse.
func (c *Conn) AwaitHello(ctx context.Context) (*wire.Hello, error) {
	if err := c.readFirst(ctx); err != nil {
		if e, ok := err.(*wire.Error); ok {
			c.Refuse(e)
		}
		c.Close(err)
		return nil, err
	}
	h, err := wire.ParseHello(&c.m)
	if err == nil {
		var e *wire.Error
		if c.version, e = wire.Negotiate(h); e != nil {
			err = e
		}
	}
	if err != nil {
		c.Refuse(wire.AsError(err, wire.CodeProtocol))
		return nil, err
	}
	c.out.mu.Lock()
	c.out.window = h.Inbox
	c.out.mu.Unlock()
	return h, nil
}

// Welcome ends the arbiter's handshake. Fields of w that are zero are filled in from
// the Options: version, window, largest message, interval and timeout.
func (c *Conn) Welcome(w *wire.Welcome) error {
	o := &c.options
	if w.Version == 0 {
		w.Version = c.version
	}
	w.Window = o.Window
	if w.MaxMessage == 0 {
		w.MaxMessage = o.MaxMessage
	}
	if w.Interval == 0 {
		w.Interval = uint32(o.Interval / time.Millisecond)
	}
	if w.Timeout == 0 {
		w.Timeout = uint32(o.Timeout / time.Millisecond)
	}
	m, err := w.Message()
	if err != nil {
		return err
	}
	c.begin(&m, true)
	return nil
}

// Refuse answers a hello with an error and closes the connection. It gives the
// other end at most a second to read it.
func (c *Conn) Refuse(e *wire.Error) {
	m := e.Frame(wire.KindError, 0)
	c.part(&m)
	c.Close(e)
}

// Open ends a handshake that was made by other means, or none: the other end
// grants window. Hello and Welcome call it.
func (c *Conn) Open(window wire.Window) {
	c.reader.SetLimit(c.options.MaxMessage)
	c.out.mu.Lock()
	c.out.window = window
	c.out.open = true
	owed := c.releaseLocked()
	c.out.mu.Unlock()
	owed.pay()
	c.Flush()
}

// begin writes m before everything else. With open the handshake is over with it.
func (c *Conn) begin(m *wire.Message, open bool) {
	k := c.farewell(m)
	k.farewell = false
	c.out.mu.Lock()
	if c.out.shut {
		c.out.mu.Unlock()
		return
	}
	c.out.first = k
	window := c.out.window
	c.out.mu.Unlock()
	if open {
		c.Open(window)
		return
	}
	c.Flush()
}

// readFirst reads the one message of the other end's handshake into c.m.
func (c *Conn) readFirst(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { c.Close(context.Cause(ctx)) })
	op, payload, err := c.reader.Next()
	if !stop() && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		select {
		case <-c.done:
			return c.reason
		default:
		}
		return protocolError(err)
	}
	if op != frame.Binary {
		return wire.Errorf(wire.CodeProtocol, "a %v frame; the native profile has binary ones only", op)
	}
	if err := c.m.Parse(payload); err != nil {
		return wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	return nil
}
