package cell

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// early is a cancel that overtook its request: control passes ahead of data.
type early struct {
	source Source
	id     uint64
}

// maxEarly is how many are remembered. Most of what is in there are cancels that
// came after the answer, which nothing will ever match.
const maxEarly = 256

// Deliver takes r: into the inbox, or answered at once. An error means it was not
// taken and the handler will not start; then nothing else is told.
func (c *Cell) Deliver(r *Request) *wire.Error { return c.deliver(r, true) }

// Put is Deliver for who has more: Wake is to be called soon, or nothing starts.
func (c *Cell) Put(r *Request) *wire.Error { return c.deliver(r, false) }

// Wake lets what was Put start. last says that the caller is about to sleep.
func (c *Cell) Wake(last bool) {
	c.mu.Lock()
	c.wakeLocked(last)
	c.mu.Unlock()
}

func (c *Cell) deliver(r *Request, wake bool) *wire.Error {
	if r.cmd == nil {
		r.cmd = commandOf(c.spec, r.Command)
	}
	if r.cmd == nil {
		return c.refuse(c.unknown(r.Command))
	}
	if r.cmd.InPlace {
		c.mu.Lock()
		if c.state >= Closed {
			d := c.deathLocked()
			c.mu.Unlock()
			return c.refuse((&wire.Error{Code: wire.CodeDown, Message: "it has ended", Death: d}).NotStarted())
		}
		c.counts.inPlace++
		c.quicks++
		c.mu.Unlock()
		r.pay(true)
		c.inPlace(r)
		return nil
	}
	if r.Size == 0 {
		r.Size = weigh(r.Command, r.Sender, r.Value)
	}
	l := r.letter()
	c.mu.Lock()
	if c.dropOvertakenLocked(&l) {
		c.mu.Unlock()
		r.pay(false)
		return nil
	}
	e := c.admitLocked(&l, r.Granted)
	if e == nil && wake {
		c.wakeLocked(false)
	}
	c.mu.Unlock()
	return e
}

// Take has l, a message of this process, delivered as Deliver does with a request. It is
// sent by the actor by, if that is not nil, and refused once that has ended: nothing of an
// actor's comes after c was told of its end.
func (c *Cell) Take(command string, l *Letter, by *Cell) *wire.Error {
	l.cmd = commandOf(c.spec, command)
	if l.cmd == nil {
		return c.refuse(c.unknown(command))
	}
	size := weigh(command, l.sender(), l.Value)
	l.weight = uint32(size)
	if l.cmd.InPlace {
		return c.deliver(l.open(new(Request)), true)
	}
	if uint64(size) > math.MaxUint32 {
		l.request = l.open(new(Request))
		l.request.Size, l.weight = size, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if by != nil && by.Ended() { // looked at with the lock that also who tells c of the end takes
		c.counts.refused++
		return wire.ErrSenderEnded
	}
	e := c.admitLocked(l, false)
	if e == nil {
		c.wakeLocked(false)
	}
	return e
}

// admitLocked puts l into the inbox, or says why not. What was granted has room.
func (c *Cell) admitLocked(l *Letter, granted bool) *wire.Error {
	if c.state >= Stopping {
		c.counts.refused++
		return (&wire.Error{Code: wire.CodeDown, Message: "it takes no more messages", Death: c.deathLocked()}).NotStarted()
	}
	if l.Chained {
		c.inbox.PushFront(l, l.size())
	} else if !c.pushLocked(l, granted) {
		if !l.Waits {
			c.counts.refused++
		}
		n, bytes := c.inbox.Charged()
		return wire.Errorf(wire.CodeOverloaded, "its inbox is full: %d messages, %d bytes", n, bytes).NotStarted()
	}
	c.counts.accepted++
	if l.cmd.Urgent {
		c.urgent++
	}
	return nil
}

// pushLocked puts l into the inbox, if it has room.
func (c *Cell) pushLocked(l *Letter, granted bool) bool {
	force := granted || l.cmd.Urgent && c.urgent < maxUrgent
	if c.inbox.Push(l, l.size(), c.spec.Inbox, force) {
		return true
	}
	// What is over has perhaps not yet given its room back. Who has the answer, and asks
	// again, is not to find its own call in the way.
	c.settleLocked()
	n, bytes := c.told.sum()
	return c.inbox.PushPast(n, bytes, l, l.size(), c.spec.Inbox)
}

// maxUrgent is how many messages of urgent commands a full inbox takes.
const maxUrgent = 1024

func (c *Cell) refuse(e *wire.Error) *wire.Error {
	c.mu.Lock()
	c.counts.refused++
	c.mu.Unlock()
	return e
}

func (c *Cell) unknown(command string) *wire.Error {
	text := fmt.Sprintf("the kind %q has no command %q", c.spec.Kind, command)
	if near := wire.Nearest(command, c.commandNames); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	}
	return wire.Errorf(wire.CodeUnknownCommand, "%s", text).NotStarted()
}

func (c *Cell) commandNames(yield func(string) bool) {
	for name := range c.spec.Commands {
		if !yield(name) {
			return
		}
	}
}

// Post has the actor take a turn of its own: a timer, a hook, a Down. It is not
// bounded; whoever posts keeps count.
func (c *Cell) Post(do func(ctx context.Context, state any)) {
	r := c.spec.NewRequest()
	r.do = do
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= Closed {
		return
	}
	l := r.letter()
	c.inbox.Push(&l, 0, c.spec.Inbox, true)
	c.wakeLocked(false)
}

// Room returns a channel that is closed when the inbox has room again, or the
// actor ends.
func (c *Cell) Room() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= Stopping {
		return closedChan
	}
	x := c.extraLocked()
	if x.room == nil {
		x.room = make(chan struct{})
		c.awaited = true
		if c.batch != nil {
			c.batch.awaited.Store(true)
		}
	}
	return x.room
}

// Cancel says that nobody waits for the request id any longer: one in the inbox is
// dropped, the context of one at work ends.
//
// Requests by different sources may have the same id.
func (c *Cell) Cancel(source Source, id uint64) bool {
	c.mu.Lock()
	is := func(l Letter) bool { return l.is(source, id) }
	var l Letter
	batched := c.takeLocked(is)
	found := len(batched) > 0
	if found {
		l = batched[0]
	} else if l, found = c.inbox.Remove(is); found {
		c.tookLocked(&l)
	}
	var t *Turn
	if found {
		c.counts.dropped++
		c.inbox.Release(1, l.size())
		c.freeRoomLocked()
	} else {
		for w := range c.atWorkLocked {
			if w.is(source, id) {
				t = w.turn
				break
			}
		}
		if t == nil && source != nil {
			c.earlyLocked(early{source, id})
		}
	}
	c.mu.Unlock()
	if found {
		l.unpaid()
	} else if t != nil {
		t.cancel(t.unwanted())
	}
	return found || t != nil
}

func (c *Cell) earlyLocked(e early) {
	x := c.extraLocked()
	if len(x.early) < maxEarly {
		x.early = append(x.early, e)
		return
	}
	x.early[x.oldest] = e
	x.oldest = (x.oldest + 1) % maxEarly
}

// dropOvertakenLocked reports whether l was canceled before it came: then it counts as
// dropped.
func (c *Cell) dropOvertakenLocked(l *Letter) bool {
	if c.extra == nil || l.ID == 0 || l.request == nil || l.request.Source == nil || c.state >= Stopping || !slices.Contains(c.extra.early, early{l.request.Source, l.ID}) {
		return false
	}
	c.counts.accepted++
	c.counts.dropped++
	return true
}

// maxBack is how many messages that came back wait for the actor's hook. Who sends
// more than that in one turn, all of it in vain, is told of no more.
const maxBack = 1024

// PostUndelivered has the actor's hook told of a message that came back.
func (c *Cell) PostUndelivered(e *wire.Error) {
	c.mu.Lock()
	x := c.extraLocked()
	full := x.back >= maxBack
	if !full {
		x.back++
	}
	c.mu.Unlock()
	if full {
		return // it is a dead letter all the same
	}
	c.Post(func(ctx context.Context, state any) {
		c.mu.Lock()
		x.back--
		c.mu.Unlock()
		c.spec.Undelivered(ctx, state, e)
	})
}
