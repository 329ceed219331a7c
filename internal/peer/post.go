package peer

import (
	"context"
	"errors"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

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
// Post's from here on, whatever it returns. The error is ErrFull, ErrBudget, ErrClosed, or
// a *wire.Error for what can never be sent.
func (c *Conn) Post(class Class, m *wire.Message, ch Charge) error {
	return c.PostAnd(class, m, ch, Later)
}

// PostAnd is Post that has what is queued written as well.
func (c *Conn) PostAnd(class Class, m *wire.Message, ch Charge, f Flushing) error {
	size, failed := c.check(m)
	if failed != nil {
		ch.Return()
		return failed
	}
	class, cost := classOf(class, m)
	o := &c.out
	o.mu.Lock()
	err := o.refuses(m)
	n := cost
	if class < Data {
		n = frame.BinaryHeaderSize(size) + size
	}
	var owed debts
	if err == nil {
		owed, err = c.roomLocked(class, n, m, size)
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
	c.flushLocked(f)
	owed.pay()
	return nil
}

// Cancel tells the other end that nobody waits any more for the call id, which was noted
// as n and is no longer: ahead of everything that waits, but behind the call itself while
// that is not written, which takes a while if it is large. Who passes calls on would not
// know what the cancel is for. The error is as Post's.
func (c *Conn) Cancel(id uint64, n Note) error {
	o := &c.out
	o.mu.Lock()
	class := Control
	if n.Sent > o.written && o.held.len() == 0 {
		class = Ordered
	}
	o.mu.Unlock()
	return c.Post(class, &wire.Message{Kind: wire.KindCancel, ID: id}, Charge{})
}

// refusal says why nothing is taken any more.
func (o *outbox) refusal() error {
	if o.shut || o.leaving {
		return ErrClosed
	}
	return nil
}

// refuses says why m is not taken. It is looked at with the lock that also who tells the
// other end of the end of m's sender takes.
func (o *outbox) refuses(m *wire.Message) error {
	if err := o.refusal(); err != nil {
		return err
	}
	if m.Late() {
		return wire.ErrSenderEnded
	}
	return nil
}

// Request notes a call and posts m, whose ID it sets, as data. If it fails the
// call is not noted, and n.Caller told nothing. ch is Request's from here on.
//
// Where the owner ends the calls, one that comes between the end of the connection
// and that is noted, though it goes nowhere: it is told the same as those before it.
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
		if !c.options.OwnsEnd {
			o.mu.Unlock()
			ch.Return()
			return 0, c.refused(n)
		}
		n.Sent = 0 // so it was not written
		id, err = c.calls.Add(n)
		if err == nil {
			o.taken++ // here, so that whoever ends the calls has it in the account
		}
		o.mu.Unlock()
		ch.Return()
		m.ID = id
		return id, err
	}
	if m.Late() {
		o.mu.Unlock()
		ch.Return()
		return 0, wire.ErrSenderEnded
	}
	owed, full := c.roomLocked(class, cost, m, size)
	if full != nil {
		queued := o.load[Data]
		o.mu.Unlock()
		ch.Return()
		owed.pay()
		if full == ErrBudget {
			return 0, wire.Errorf(wire.CodeOverloaded, "%v; call again later", full).NotStarted()
		}
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

// Flushing says what becomes of a message that was posted.
type Flushing uint8

// When it is written.
const (
	Later Flushing = iota // when somebody flushes
	Now                   // before who posts goes on, as by Flush; by the reader, which goes on to flush; or by the last who is Woken
	Soon                  // as by FlushSoon
)

// flushLocked has what is queued written, and gives up the lock.
func (c *Conn) flushLocked(f Flushing) {
	switch {
	case f == Later || c.in.flushes.Load() || !c.idleLocked() || c.woken.n.Load() > 0 && !c.out.enough():
	case f == Now:
		c.beginLocked() // which gives up the lock
		return
	default:
		c.soonLocked()
	}
	c.out.mu.Unlock()
}

// flush has what is queued written.
func (c *Conn) flush(f Flushing) {
	c.out.mu.Lock()
	c.flushLocked(f)
}

// PostWait posts m as data once the other end's window has room for it. It waits
// until ctx ends, which is then the error, or the connection does, or messages to its
// target are Held: then it is to wait for that, with ErrHeld.
func (c *Conn) PostWait(ctx context.Context, m *wire.Message, f Flushing) error {
	size, failed := c.check(m)
	if failed != nil {
		return failed
	}
	_, cost := classOf(Data, m)
	o := &c.out
	o.mu.Lock()
	err := c.postLocked(m, size, cost)
	if err == nil {
		c.flushLocked(f)
		return nil
	}
	if err != ErrFull {
		o.mu.Unlock()
		if err == ErrBudget { // at once: who waited would be told of room here, and not of room elsewhere
			return wire.Errorf(wire.CodeOverloaded, "%v", err).NotStarted()
		}
		return err
	}
	w := &waiter{m: *m, size: size, cost: cost, holds: true, done: ctx.Done(), ready: make(chan error, 1)}
	o.waiters.push(w)
	o.mu.Unlock()
	c.Flush()
	err = c.wait(ctx, w, time.Now().Add(WaitLimit))
	if err == nil {
		c.flush(f)
	}
	return waitError(err)
}

// PostNow posts m as data if the other end's window has room for it and nobody waits for
// that. It never waits: else the error is ErrFull, or as of Post, or ErrHeld.
func (c *Conn) PostNow(m *wire.Message, f Flushing) error {
	size, failed := c.check(m)
	if failed != nil {
		return failed
	}
	_, cost := classOf(Data, m)
	o := &c.out
	o.mu.Lock()
	err := c.postLocked(m, size, cost)
	if err == nil {
		c.flushLocked(f)
		return nil
	}
	if err == ErrFull {
		o.stats.full++
	}
	o.mu.Unlock()
	return err
}

// postLocked queues m, of class Data, if there is room for it now and nobody waits for
// that.
func (c *Conn) postLocked(m *wire.Message, size, cost int) error {
	o := &c.out
	if err := o.refuses(m); err != nil {
		return err
	}
	if c.holds(m) {
		return ErrHeld
	}
	if !c.purse.affords(Data, m, size) {
		c.purse.budget.refuse()
		return ErrBudget
	}
	if cost != 0 && (!o.waiters.empty() || !o.free(cost)) {
		return ErrFull
	}
	o.place++
	o.appendData(m, size, cost, Charge{}, 0)
	return nil
}

// RequestWait is Request for who may wait for room, as PostWait does.
func (c *Conn) RequestWait(ctx context.Context, m *wire.Message, n Note, f Flushing) (id uint64, err *wire.Error) {
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
	if n.Holds && c.holds(m) {
		o.mu.Unlock()
		return 0, ErrHeld
	}
	direct := cost == 0 || o.waiters.empty() && o.free(cost)
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
		c.flushLocked(f)
		return id, nil
	}
	w := &waiter{m: *m, size: size, cost: cost, call: id, deadline: n.Deadline, holds: n.Holds, done: ctx.Done(), ready: make(chan error, 1)}
	o.waiters.push(w)
	o.mu.Unlock()
	c.Flush()
	limit := n.Deadline
	if limit.IsZero() {
		limit = time.Now().Add(WaitLimit)
	}
	if e := c.wait(ctx, w, limit); e != nil {
		if _, status := c.calls.Take(id); status == Found {
			if e == error(ErrHeld) {
				return 0, ErrHeld
			}
			return 0, wire.AsError(waitError(e), wire.CodeClosed).With(wire.StartedNo)
		}
		// Its Caller is told by whoever has taken it, or was already.
	}
	c.flush(f)
	return id, nil
}

// waitError says why there was no room.
func waitError(err error) error {
	switch {
	case err == nil, err == error(ErrHeld), err == error(wire.ErrSenderEnded):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return wire.Errorf(wire.CodeDeadline, "there was no room on the way before the deadline").NotStarted()
	case errors.Is(err, ErrClosed):
		return wire.Errorf(wire.CodeClosed, "the connection is closed").NotStarted()
	}
	return wire.Errorf(wire.CodeCanceled, "the caller gave up while there was no room on the way").NotStarted()
}

// Queued returns how many bytes of a class wait to be written.
func (c *Conn) Queued(class Class) int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.load[class]
}

// Progress returns how many messages there have been in the data stream, and how many of
// them, from the first on, wait no more to be written.
func (c *Conn) Progress() (placed, written uint64) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.load[Data] == 0 {
		return o.place, o.place // the newest may have been dropped
	}
	return o.place, o.written
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
