package peer

import (
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// room is the window this end grants: what of it the other end has used and what
// was given back, both counted from the connection's beginning.
type room struct {
	window wire.Window // static

	receivedMessages, receivedBytes atomic.Uint64 // written by the reader

	messages, bytes         atomic.Uint64 // given back
	started                 atomic.Uint64 // handlers begun
	toldMessages, toldBytes atomic.Uint64 // of what was given back, what a credit frame said; written under outbox.mu
	toldStarted             uint64        // likewise; guarded by outbox.mu
	due                     atomic.Bool   // a credit frame is to be written

	body [16]byte // of the credit frame; guarded by outbox.mu
}

// Credit gives back the room of one request whose wire.Cost, as it was received,
// is cost. When that is owing the other end is told, by a credit frame on the control
// lane. It never waits. It ends what Admit began, too; for a message that went
// elsewhere Charge.Return does the same.
func (c *Conn) Credit(cost int) {
	c.purse.count(-cost)
	c.credit(1, uint64(cost))
}

func (c *Conn) credit(messages, bytes uint64) {
	r := &c.room
	r.messages.Add(messages)
	r.bytes.Add(bytes)
	if r.owing(1) && r.due.CompareAndSwap(false, true) {
		c.FlushSoon()
	}
}

// owing reports whether so much of the window was given back and not told yet that it is
// time to tell: a quarter, or as much as would make a half of it with what is in use, if
// that is less, but a sixteenth at least; of all these an n-th. A credit frame may be
// under way at that moment; then one more is told than needed.
//
// With what is stuck, three eighths at most (Backlog), what is not told stays below the half,
// up to which the other end sends a message of any size.
func (r *room) owing(n uint64) bool {
	messages, bytes := r.messages.Load(), r.bytes.Load()
	w := r.window.Bytes
	used := min(w/2, r.receivedBytes.Load()-bytes)
	return messages-r.toldMessages.Load() >= max(1, r.window.Messages/4/n) ||
		bytes-r.toldBytes.Load() >= max(1, min(w/4, max(w/16, w/2-used))/n)
}

// Started counts one request's handler as begun. The other end is told with the
// next credit.
func (c *Conn) Started() { c.room.started.Add(1) }

// grantLocked queues a credit frame if one is due, or if half of that was given back and
// something is written anyway.
func (c *Conn) grantLocked() {
	r, o := &c.room, &c.out
	if !r.due.Load() {
		if o.lanes[Control].head == nil && o.lanes[Reply].head == nil && o.lanes[Data].head == nil || !r.owing(2) {
			return
		}
	}
	r.due.Store(false) // before the counters are read: what is added later asks again
	credit := wire.Credit{Messages: r.messages.Load(), Bytes: r.bytes.Load(), Started: r.started.Load()}
	r.toldMessages.Store(credit.Messages)
	r.toldBytes.Store(credit.Bytes)
	r.toldStarted = credit.Started
	m := credit.Message(&r.body)
	o.appendFrame(Control, &m, m.Size(), Charge{})
}

// receive counts a request of the other end and reports whether it had the room.
// It is called by the reader, before anybody could give the room back.
func (r *room) receive(cost int) bool {
	messages, bytes := r.receivedMessages.Add(1)-1-r.messages.Load(), r.receivedBytes.Add(uint64(cost))-uint64(cost)-r.bytes.Load()
	// The other end knows of at most as much given back as is known here, so what
	// it may send fits here too.
	return fits(r.window, messages, bytes, uint64(cost))
}

// Charged returns what the other end's requests take of the room granted to it, until
// they have been written, begun or dropped. It is exact while nothing moves.
func (c *Conn) Charged() (messages, bytes uint64) {
	r := &c.room
	return r.receivedMessages.Load() - r.messages.Load(), r.receivedBytes.Load() - r.bytes.Load()
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
