package cell

import (
	"context"
	"fmt"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// answer tells the outcome of a handler. One that returns because its actor was
// killed is not heard: its caller is told of the end.
func (c *Cell) answer(r *Request, v Value, err error, more bool) {
	if r.ID != 0 && c.ended.Load() {
		return
	}
	if err != nil {
		c.host.Fail(r, outcome(err), more)
		return
	}
	if r.ID != 0 {
		c.host.Reply(r, v, more)
	}
}

// outcome is the error a handler returned, as it is told.
func outcome(err error) *wire.Error {
	e := wire.AsError(err, wire.CodeApp)
	if e.Started == wire.StartedUnknown && e.Code != wire.CodeInvalid {
		e = e.With(wire.StartedYes)
	}
	return e
}

// inPlace answers r on the goroutine that delivers it, beside whatever runs.
func (c *Cell) inPlace(r *Request) {
	t := (&Turn{is: beside}).of(c, r)
	v, err := c.quick(t, r)
	t.cancel(canceled)
	c.answer(r, v, err, false)
	c.mu.Lock()
	c.quicks--
	over := c.state == Stopping && c.idleLocked()
	c.mu.Unlock()
	if over {
		go c.close() // it was asked to stop by this, perhaps, and the answer goes first
	}
}

func (c *Cell) quick(t *Turn, r *Request) (v Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic in a command answered in place", "actor", c.String(), "command", r.Command, "panic", p, "stack", StackOfPanic())
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return r.cmd.Run(t, nil, r)
}

// Nested answers a call its own handler makes to the same actor, in place: on the
// handler's goroutine, as part of its turn.
func (c *Cell) Nested(outer *Turn, call *Call) {
	cmd := commandOf(c.spec, call.Command)
	if cmd == nil {
		call.Failed(0, c.refuse(c.unknown(call.Command)))
		return
	}
	r := &Request{Command: call.Command, Value: call.Argument, due: dueAt(call.Deadline), Sender: c.aid, Nested: !call.Accept}
	t := (&Turn{is: outer.is}).of(c, r)
	t.more().outer = outer
	stop := context.AfterFunc(outer, func() { t.cancel(outer.over.Load()) })
	defer stop()
	defer t.cancel(canceled)
	v, err := cmd.Run(t, c.user, r)
	if err == nil {
		call.Value(v)
		return
	}
	e := outcome(err)
	if call.Accept && e.Started != wire.StartedNo {
		c.host.Fail(r, e, true) // for the log: nobody asked how it would end
		call.Value(nil)
		return
	}
	call.Failed(0, e)
}
