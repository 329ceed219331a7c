package peer

import (
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// amount is so many messages, and so many bytes, in one number: the sum of two amounts, and
// their difference, are right in both as long as neither part of the result is too large for
// its bits. So one atomic number counts both, and, of two that count from a connection's
// beginning and are long beyond all bits, the difference is still right.
type amount uint64

const (
	bytesBits = 40

	// The largest window that can be granted, so that what is in use of it is an amount.
	maxWindowMessages = 1 << 22
	maxWindowBytes    = 1 << 38
)

func amountOf(messages, bytes uint64) amount { return amount(messages<<bytesBits + bytes) }

func (a amount) messages() uint64 { return uint64(a >> bytesBits) }
func (a amount) bytes() uint64    { return uint64(a & (1<<bytesBits - 1)) }

// total is an amount that many count in.
type total struct{ n atomic.Uint64 }

func (t *total) add(a amount) amount { return amount(t.n.Add(uint64(a))) }
func (t *total) sub(a amount)        { t.n.Add(-uint64(a)) }
func (t *total) load() amount        { return amount(t.n.Load()) }
func (t *total) store(a amount)      { t.n.Store(uint64(a)) }

// room is the window this end grants: what of it the other end has used and what
// was given back, both counted from the connection's beginning. What the reader writes and
// what handlers do is each on a cache line of its own.
type room struct {
	window wire.Window // static

	toldStarted uint64      // handlers begun, as a credit frame said; guarded by outbox.mu
	toldWindow  wire.Window // what is told, from the beginning; likewise
	body        [16]byte    // of the credit frame; likewise
	_           [64]byte

	received total  // written by the reader
	seen     amount // the reader's: back, when it last looked
	_        [64]byte

	back    total         // given back
	started atomic.Uint64 // handlers begun
	_       [64]byte

	told total       // of what was given back, what a credit frame said; written under outbox.mu
	due  atomic.Bool // a credit frame is to be written
}

// grantable returns w, or the largest window there can be.
func grantable(w wire.Window) wire.Window {
	return wire.Window{Messages: min(w.Messages, maxWindowMessages), Bytes: min(w.Bytes, maxWindowBytes)}
}

// Window returns the room that this end grants to the other: that of the Options, or as
// much of it as can be counted, which is 4,194,304 messages and 256 GiB.
func (c *Conn) Window() wire.Window { return c.room.window }

// Credit gives back the room of one request whose wire.Cost, as it was received,
// is cost. When that is owing the other end is told, by a credit frame on the control
// lane. It never waits. It ends what Admit began, too; for a message that went
// elsewhere Charge.Return does the same.
func (c *Conn) Credit(cost int) {
	c.purse.count(-cost)
	c.credit(amountOf(1, uint64(cost)))
}

func (c *Conn) credit(a amount) {
	r := &c.room
	if r.owing(r.back.add(a), 1) && r.due.CompareAndSwap(false, true) {
		c.FlushSoon()
	}
}

// owing reports whether so much of the window, of which back is given back, was not told yet
// that it is time to tell: a quarter, or as much as would make a half of it with what is in
// use, if that is less, but a sixteenth at least; of all these an n-th. A credit frame may be
// under way at that moment; then one more is told than needed.
//
// With what is stuck, three eighths at most (Backlog), what is not told stays below the half,
// up to which the other end sends a message of any size.
func (r *room) owing(back amount, n uint64) bool {
	untold := back - r.told.load()
	if untold.messages() >= max(1, r.window.Messages/4/n) {
		return true
	}
	w := r.window.Bytes
	if untold.bytes() < max(1, w/16/n) {
		return false // whatever is in use: the reader, which counts that, is left alone
	}
	used := min(w/2, (r.received.load() - back).bytes())
	return untold.bytes() >= max(1, min(w/4, max(w/16, w/2-used))/n)
}

// Started counts one request's handler as begun. The other end is told with the
// next credit.
func (c *Conn) Started() { c.room.started.Add(1) }

// owe has the next flush tell what is owing: the more is in use, the sooner that is. It is
// called by the reader, before it flushes.
func (r *room) owe() {
	if !r.due.Load() && r.owing(r.back.load(), 1) {
		r.due.Store(true)
	}
}

// grantLocked queues a credit frame if one is due, or if half of that was given back and
// something is written anyway.
func (c *Conn) grantLocked() {
	r, o := &c.room, &c.out
	if !r.due.Load() {
		if o.lanes[Control].head == nil && o.lanes[Reply].head == nil && o.lanes[Data].head == nil || !r.owing(r.back.load(), 2) {
			return
		}
	}
	r.due.Store(false) // before the counters are read: what is added later asks again
	back := r.back.load()
	more := back - r.told.load()
	r.told.store(back)
	r.toldWindow.Messages += more.messages()
	r.toldWindow.Bytes += more.bytes()
	r.toldStarted = r.started.Load()
	credit := wire.Credit{Messages: r.toldWindow.Messages, Bytes: r.toldWindow.Bytes, Started: r.toldStarted}
	m := credit.Message(&r.body)
	o.appendFrame(Control, &m, m.Size(), Charge{})
}

// receive counts a request of the other end and reports whether it had the room.
// It is called by the reader, before anybody could give the room back.
func (r *room) receive(cost int) bool {
	one := amountOf(1, uint64(cost))
	// The other end knows of at most as much given back as is known here, so what
	// it may send fits here too.
	return r.has(r.received.add(one)-one, &r.seen, cost)
}

// has reports whether there is room for one more request of cost, where used was received. What
// of that is given back is looked at only when what seen says of it leaves no room.
func (r *room) has(used amount, seen *amount, cost int) bool {
	inUse := used - *seen
	if fits(r.window, inUse.messages(), inUse.bytes(), uint64(cost)) {
		return true
	}
	*seen = r.back.load()
	inUse = used - *seen
	return fits(r.window, inUse.messages(), inUse.bytes(), uint64(cost))
}

// Charged returns what the other end's requests take of the room granted to it, until
// they have been written, begun or dropped. It is exact while nothing moves.
func (c *Conn) Charged() (messages, bytes uint64) {
	back := c.room.back.load() // first: what is received is never less
	a := c.room.received.load() - back
	return a.messages(), a.bytes()
}

// credited takes a credit frame of the other end, and moves on what it has room for. It
// reports whether there was anything new in it.
func (c *Conn) credited(m *wire.Message) (news bool, err error) {
	cr, err := wire.ParseCredit(m)
	if err != nil {
		return false, wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	o := &c.out
	o.mu.Lock()
	if cr.Messages < o.credited.Messages || cr.Bytes < o.credited.Bytes || cr.Started < o.started ||
		cr.Messages > o.sent.Messages || cr.Bytes > o.sent.Bytes {
		sent, before := o.sent, o.credited
		o.mu.Unlock()
		return false, wire.Errorf(wire.CodeProtocol,
			"a credit of %d messages and %d bytes, after one of %d and %d, where %d and %d were sent",
			cr.Messages, cr.Bytes, before.Messages, before.Bytes, sent.Messages, sent.Bytes)
	}
	now := wire.Window{Messages: cr.Messages, Bytes: cr.Bytes}
	news = now != o.credited || cr.Started != o.started
	o.credited = now
	o.started = cr.Started
	owed := c.releaseLocked()
	o.mu.Unlock()
	owed.pay()
	return news, nil
}
