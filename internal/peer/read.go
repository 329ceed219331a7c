package peer

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// inStats are written by the reader.
type inStats struct {
	reads, bytes, messages, late, never, unknown atomic.Uint64
}

// source is the Conn as its frame.Reader reads it. The reader looks at no clock:
// that something was read is what the keepalive wants to know.
type source Conn

func (s *source) Read(b []byte) (int, error) {
	n, err := s.t.Read(b)
	if n > 0 {
		s.in.reads.Add(1)
		s.in.bytes.Add(uint64(n))
	}
	return n, err
}

// Run reads until the connection ends, and returns why: the reason given to Close
// (nil after Goodbye), io.EOF if the other end closed it, an *wire.Error with
// CodeProtocol if that broke the protocol, ErrSilent, ErrStuck, or what the
// transport said. When it returns every goroutine of the Conn has ended. It is
// called once, after the handshake.
func (c *Conn) Run(h Handler) error {
	c.running.Store(true)
	c.startKeepalive(func() { h.Beat(c) })
	err := c.read(h)
	if e := (*wire.Error)(nil); errors.As(err, &e) {
		c.log.Warn("the connection broke the protocol", "remote", c.t.Info().Remote, "reason", e.Message)
		m := (&wire.Death{Cause: wire.CauseProtocol, Reason: e.Message}).Message(wire.KindGoodbye, 0)
		c.part(&m)
	}
	c.Close(err)
	c.Wait()
	return c.reason
}

// Wait waits until every goroutine of the Conn has ended, which they do once it is
// closed. Run does so itself.
func (c *Conn) Wait() {
	<-c.done
	c.stopKeepalive()
	o := &c.out
	o.mu.Lock()
	for o.flushing {
		o.idle.Wait()
	}
	o.mu.Unlock()
	c.wg.Wait()
}

// read is the reader.
func (c *Conn) read(h Handler) error {
	m := &c.m
	for {
		if c.fresh && !c.reader.Ready() {
			c.fresh = false
			h.Dry(c)
		}
		op, payload, err := c.reader.Next()
		if err != nil {
			return protocolError(err)
		}
		c.fresh = true
		c.in.messages.Add(1)
		if op != frame.Binary {
			return wire.Errorf(wire.CodeProtocol, "a %v frame; the native profile has binary ones only", op)
		}
		if err := m.Parse(payload); err != nil {
			return wire.Errorf(wire.CodeProtocol, "%v", err)
		}
		if err := c.receive(h, m); err != nil {
			return err
		}
	}
}

// protocolError returns err as an *wire.Error if it says that the other end broke
// the protocol.
func protocolError(err error) error {
	if e := (*frame.Error)(nil); errors.As(err, &e) {
		return wire.Errorf(wire.CodeProtocol, "%v", e)
	}
	return err
}

// receive handles one message. A nil *wire.Error must not become an error.
func (c *Conn) receive(h Handler, m *wire.Message) error {
	switch m.Kind {
	case wire.KindReply, wire.KindError:
		return c.answer(m)
	case wire.KindCredit:
		if err := c.credited(m); err != nil {
			return err
		}
		c.Flush()
	case wire.KindRequest:
		if !c.room.receive(wire.Cost(m.Size())) {
			return wire.Errorf(wire.CodeProtocol, "a request of %d bytes beyond the window of %d messages and %d bytes",
				m.Size(), c.room.window.Messages, c.room.window.Bytes)
		}
		h.Receive(c, m)
	case wire.KindHello, wire.KindWelcome:
		return wire.Errorf(wire.CodeProtocol, "a %v after the handshake", m.Kind)
	case wire.KindCancel, wire.KindUndelivered, wire.KindWatch, wire.KindUnwatch, wire.KindDown,
		wire.KindXoff, wire.KindXon, wire.KindNotify, wire.KindStop, wire.KindGoodbye:
		h.Receive(c, m)
	default:
		c.in.unknown.Add(1) // of a newer version: it may be skipped
	}
	return nil
}

// answer brings a reply or an error to who waits for it.
func (c *Conn) answer(m *wire.Message) error {
	n, status := c.calls.Take(m.ID)
	switch status {
	case Late:
		c.in.late.Add(1)
	case Never:
		c.in.never.Add(1)
		return wire.Errorf(wire.CodeProtocol, "a %v to %d, which was never asked", m.Kind, m.ID)
	case Found:
		if m.Kind == wire.KindReply {
			n.Caller.Result(n.ID, m)
		} else if f, ok := n.Caller.(Forwarder); ok {
			f.Forward(n.ID, m)
		} else {
			n.Caller.Failed(n.ID, wire.ParseError(m))
		}
	}
	return nil
}

// part writes m as the last message, instead of all that is queued, ends the
// sending direction and reads what the other end still sends, so that it is not
// lost, for at most lingerTime. It is called by who reads, and Close follows.
func (c *Conn) part(m *wire.Message) {
	o := &c.out
	o.mu.Lock()
	if o.shut || o.leaving {
		o.mu.Unlock()
		return
	}
	left := o.shutLocked()
	o.leaving = true
	o.first = c.farewell(m)
	o.mu.Unlock()
	left.clear(o.pool)

	t := time.AfterFunc(lingerTime, func() { c.t.Close() })
	defer t.Stop()
	c.Flush()
	select {
	case <-c.said:
	case <-c.done:
		return
	case <-time.After(lingerTime):
		return
	}
	if w, ok := c.t.(writeCloser); ok && w.CloseWrite() == nil {
		io.CopyN(io.Discard, c.t, 1<<20) // its error is the end that is waited for
	}
}
