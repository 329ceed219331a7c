package cell

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// wakeLocked starts a goroutine if one more handler may run. last says that the caller is about to sleep.
func (c *Cell) wakeLocked(last bool) {
	if !c.begun || c.state >= Closed {
		return // who waits in the start hook has given up its turn to nobody
	}
	limit := 1
	if c.spec.Mode == Concurrent {
		limit = max(c.spec.Limit, 1)
	}
	switch {
	case len(c.waitingLocked()) > 0:
	case int(c.active-c.reserve) < limit:
		if c.readyLocked() > 0 {
			c.active++
			c.host.Commons().work(c, (*Cell).run, last)
		}
	case c.urgent > 0 && int(c.reserve) < c.spec.Reserve:
		c.active++
		c.reserve++
		c.host.Commons().work(c, (*Cell).runReserve, last)
	}
}

// tookLocked notes that l has left the inbox.
func (c *Cell) tookLocked(l *Letter) {
	if l.cmd != nil && l.cmd.Urgent {
		c.urgent--
	}
}

// crowdedLocked reports whether as many handlers of an interleaved actor are at
// work, most of them waiting, as its inbox may hold messages. What was granted is
// bounded by nothing else: its sender has the room back when its handler begins.
func (c *Cell) crowdedLocked() bool {
	if c.spec.Mode != Interleaved {
		return false
	}
	limit, _ := c.spec.Inbox.Bounds()
	charged, _ := c.inbox.Charged()
	return charged-c.inbox.Len() >= limit
}

// readyLocked returns how many messages may start: where it is crowded, those that
// somebody at work waits for.
func (c *Cell) readyLocked() int {
	if c.crowdedLocked() {
		return c.inbox.Fronts()
	}
	return c.inbox.Len()
}

// nextLocked takes the next message that may start, or the next urgent one, into l.
func (c *Cell) nextLocked(urgent bool, l *[1]Letter) (ok bool) {
	switch {
	case urgent && c.urgent == 0:
	case urgent:
		l[0], ok = c.inbox.Remove(func(l Letter) bool { return l.cmd != nil && l.cmd.Urgent })
	case c.crowdedLocked():
		l[0], ok = c.inbox.PopFront()
	default:
		ok = c.inbox.Take(l[:]) > 0
	}
	if ok {
		c.tookLocked(&l[0])
	}
	return ok
}

// waitingLocked are the interleaved handlers that want the turn back, in order.
func (c *Cell) waitingLocked() []*Turn {
	if c.extra == nil {
		return nil
	}
	return c.extra.waiting
}

// run has the turn, and works until the inbox is empty or the turn passes to a
// handler that wants it back.
func (c *Cell) run(d *desk) { c.runAs(d, false) }

// runReserve is run for a place of the reserve: it only does what is urgent.
func (c *Cell) runReserve(d *desk) { c.runAs(d, true) }

func (c *Cell) runAs(d *desk, reserve bool) {
	var t *Turn
	held, lingers := true, false
	c.mu.Lock()
	for {
		if len(c.waitingLocked()) > 0 || c.state >= Closed {
			break
		}
		if n := c.batchLocked(); n > 1 {
			if !c.runBatchLocked(d, n) {
				break
			}
			lingers = true
			continue
		}
		var one [1]Letter
		if !c.nextLocked(reserve, &one) {
			if !lingers || c.state != Running || c.host.Commons().busy() {
				break
			}
			// Those it answered are about to run, and likely to ask again: they find it at
			// work, and need not wake it each on its own.
			lingers = false
			c.mu.Unlock()
			runtime.Gosched()
			c.mu.Lock()
			continue
		}
		lingers = true
		late := one[0].late()
		r := one[0].open(&d.request)
		if c.budget() > 0 {
			r.began = time.Now()
		}
		switch {
		case late:
			c.counts.dropped++
		case r.do == nil:
			c.counts.started++
		}
		if t == nil {
			t = new(Turn)
		}
		t.of(c, r)
		c.linkLocked(r)
		c.superviseLocked(r)
		more := c.readyLocked() > 0
		if c.spec.Mode == Concurrent {
			c.wakeLocked(false) // one goroutine starts the next
		}
		c.mu.Unlock()
		of := one[0].request
		if of != nil && of.parcel != nil && c.spec.Mode != Serial {
			c.spec.part(r, of.parcel)
			of = nil
		}
		alive := c.handle(r, late, more, nil)
		if t = nil; more {
			t = new(Turn) // here, where no lock is held
		}
		c.mu.Lock()
		c.unlinkLocked(r)
		kept := c.leaveLocked(r.turn)
		c.inbox.Release(1, r.Size)
		if r.told {
			c.told.take(r.Size)
		}
		c.freeRoomLocked()
		if !alive {
			break
		}
		if r == &d.request {
			*r = Request{} // it is to keep nothing alive while the worker rests
			if of != nil {
				c.spec.done(of.parcel, 1)
			}
		} else {
			c.spec.recycle(r)
		}
		if !kept {
			held = false
			break
		}
	}
	if reserve {
		c.reserve--
	}
	if held {
		c.passLocked()
	} else {
		c.wakeLocked(false) // it is perhaps no longer crowded, and nobody else looks
	}
	if c.active == 0 {
		c.inbox.Trim()
	}
	over := c.state == Stopping && c.idleLocked()
	c.mu.Unlock()
	if over {
		c.close()
	}
}

// passLocked gives up the turn: to a handler that wants it back, or to the next
// message.
func (c *Cell) passLocked() {
	c.active--
	if waiting := c.waitingLocked(); len(waiting) > 0 {
		t := waiting[0]
		c.extra.waiting = waiting[1:]
		if len(waiting) == 1 {
			c.extra.waiting = nil
		}
		c.active++
		t.stand = present
		close(t.more().resume)
		return
	}
	c.wakeLocked(false)
}

// leaveLocked ends the part t has in the order of turns: its handler has returned.
// It returns false if t had been given up, by a goroutine the handler left behind:
// then it is somebody else's, and is not taken back.
func (c *Cell) leaveLocked(t *Turn) (kept bool) {
	was := t.stand
	t.stand = left
	if was != away {
		return true
	}
	if i := slices.Index(c.waitingLocked(), t); i >= 0 {
		c.extra.waiting = slices.Delete(c.extra.waiting, i, i+1)
		close(t.more().resume)
	}
	return false
}

// begin begins a turn of the actor's own: a hook's.
func (c *Cell) begin() *Request {
	r := c.spec.NewRequest()
	(&Turn{is: hook}).of(c, r)
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
	c.leaveBatchLocked(r.turn)
	if !c.leaveLocked(r.turn) {
		c.active++ // whoever calls goes on with a turn
	}
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
// the outcome. It returns false if the handler took the actor with it. Where r is of a
// batch, stage says where it is.
func (c *Cell) handle(r *Request, late, more bool, stage *atomic.Uint32) (alive bool) {
	if late {
		r.pay(false)
		c.ends(r, stage)
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
		c.log.Error("panic in a handler", "actor", c.String(), "command", r.Command, "panic", p, "stack", StackOfPanic())
		c.Kill(&wire.Death{Cause: wire.CausePanic, Reason: fmt.Sprint(p)})
	}()
	if r.do != nil {
		r.do(t, c.user)
		finished = true
		return true
	}
	v, err := r.cmd.Run(t, c.user, r)
	finished = true
	c.ends(r, stage)
	c.answer(r, v, err, more)
	return true
}

// ends notes that r is over, before its caller is told so.
func (c *Cell) ends(r *Request, stage *atomic.Uint32) {
	if stage != nil {
		stage.CompareAndSwap(begun, over)
	} else if r.ID != 0 {
		r.told = true
		c.told.add(r.Size)
	}
}

// told sums the messages that are answered, or just being answered, and still charged to
// the inbox: their number above, their bytes below.
type told struct{ n atomic.Int64 }

const oneTold = 1 << 40

func (t *told) add(size int)  { t.n.Add(oneTold + int64(size)) }
func (t *told) take(size int) { t.n.Add(-oneTold - int64(size)) }

func (t *told) sum() (n, bytes int) {
	sum := t.n.Load()
	return int(sum / oneTold), int(sum % oneTold)
}
