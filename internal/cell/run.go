package cell

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// wakeLocked starts a goroutine if one more handler may run.
func (c *Cell) wakeLocked() {
	if c.state != Running && c.state != Stopping {
		return
	}
	limit := 1
	if c.spec.Mode == Concurrent {
		limit = max(c.spec.Limit, 1)
	}
	if c.active < limit && c.inbox.Len() > 0 && len(c.waiting) == 0 {
		c.active++
		go c.run()
	}
}

// run has the turn, and works until the inbox is empty or the turn passes to a
// handler that wants it back.
func (c *Cell) run() {
	var t *Turn
	c.mu.Lock()
	for {
		if len(c.waiting) > 0 || c.state >= Closed {
			break
		}
		r, ok := c.inbox.Pop()
		if !ok {
			break
		}
		late := !r.Deadline.IsZero() && !time.Now().Before(r.Deadline)
		switch {
		case late:
			c.counts.Dropped++
		case r.do == nil:
			c.counts.Started++
		}
		if t == nil {
			t = new(Turn)
		}
		t.of(c, r)
		c.linkLocked(r)
		more := c.inbox.Len() > 0
		if c.spec.Mode == Concurrent {
			c.wakeLocked() // one goroutine starts the next
		}
		c.mu.Unlock()
		alive := c.handle(r, late, more)
		if t = nil; more {
			t = new(Turn) // here, where no lock is held
		}
		c.mu.Lock()
		c.unlinkLocked(r)
		c.inbox.Release(r.Size)
		if c.room != nil {
			close(c.room)
			c.room = nil
		}
		if !alive {
			break
		}
		c.spec.recycle(r)
	}
	c.passLocked()
	over := c.state == Stopping && c.active == 0 && c.inbox.Len() == 0 && c.working == nil
	c.mu.Unlock()
	if over {
		c.close()
	}
}

// passLocked gives up the turn: to a handler that wants it back, or to the next
// message.
func (c *Cell) passLocked() {
	c.active--
	if len(c.waiting) > 0 {
		t := c.waiting[0]
		c.waiting = c.waiting[1:]
		if len(c.waiting) == 0 {
			c.waiting = nil
		}
		c.active++
		close(t.more().resume)
		return
	}
	c.wakeLocked()
}

// begin begins a turn of the actor's own: a hook's.
func (c *Cell) begin() *Request {
	r := c.spec.NewRequest()
	new(Turn).of(c, r)
	c.mu.Lock()
	c.linkLocked(r)
	dead := c.state >= Closed
	c.mu.Unlock()
	if dead {
		r.turn.cancel(canceled)
	}
	return r
}

// finish ends the turn of r.
func (c *Cell) finish(r *Request) {
	r.turn.cancel(canceled)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unlinkLocked(r)
}

// linkLocked puts r, which has a turn, among those that are at work.
func (c *Cell) linkLocked(r *Request) {
	r.next = c.working
	if r.next != nil {
		r.next.prev = r
	}
	c.working = r
}

// unlinkLocked takes r off the list, if it is there.
func (c *Cell) unlinkLocked(r *Request) {
	if r.prev != nil {
		r.prev.next = r.next
	} else if c.working == r {
		c.working = r.next
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.prev, r.next = nil, nil
}

// handle runs r's handler in its turn, unless it is too late for that, and tells
// the outcome. It returns false if the handler took the actor with it.
func (c *Cell) handle(r *Request, late, more bool) (alive bool) {
	if late {
		r.pay(false)
		c.host.Fail(r, wire.Errorf(wire.CodeDeadline, "its time was up before the handler started").NotStarted(), more)
		return true
	}
	r.pay(true)
	t := r.turn
	finished := false
	defer func() {
		if finished {
			t.cancel(canceled)
			return
		}
		c.finish(r)
		// A panic, or runtime.Goexit (recover is nil then, and the goroutine goes on
		// ending whatever is done here).
		p := recover()
		if p == nil {
			p = "the handler called runtime.Goexit"
		}
		c.log.Error("panic in a handler", "actor", c.String(), "command", r.Command, "panic", p, "stack", string(debug.Stack()))
		c.Kill(&wire.Death{Cause: wire.CausePanic, Reason: fmt.Sprint(p)})
	}()
	if r.do != nil {
		r.do(t, c.user)
		finished = true
		return true
	}
	v, err := r.cmd.Run(t, c.user, r)
	finished = true
	c.answer(r, v, err, more)
	return true
}
