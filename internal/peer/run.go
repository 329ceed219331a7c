package peer

import (
	"bytes"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Run is one-way requests to one target that came one right after the other, which costs
// less than each on its own: their target is looked up once, and what counts them and locks
// what they go to is asked once. It is valid only during the call it is given to.
type Run struct {
	// Messages are they, in their order, without extensions. Their number is from 2 to MaxRun.
	Messages []wire.Message

	from    *Conn       // nil: it has its room again
	costs   [MaxRun]int // of from's window
	sum     amount      // of these
	backlog *Backlog    // that is charged with all of them; nil: none

	messages [MaxRun]wire.Message
}

// MaxRun is how many messages there are in a Run at most.
const MaxRun = 64

// Runner is a Handler that takes many messages at once.
type Runner interface {
	// ReceiveRun takes all of r, or none and returns false: then Receive is given each.
	ReceiveRun(c *Conn, r *Run) bool
}

// Cost returns what message i takes of the window of the end it came from.
func (r *Run) Cost(i int) int { return r.costs[i] }

// runs reports whether the message that payload begins with may be one of a run.
func runs(payload []byte) bool {
	return len(payload) >= wire.HeaderSize && wire.Kind(payload[0]) == wire.KindRequest &&
		wire.Flags(payload[1])&^wire.FlagArgs == wire.FlagOneWay && payload[18]|payload[19] == 0
}

// takeRun handles m, of which payload is the whole frame, with those like it that are buffered
// behind it. It returns how many messages that were; 0 if there is none behind it.
func (c *Conn) takeRun(h Handler, runner Runner, m *wire.Message, payload []byte) (n int, err error) {
	if !runs(payload) {
		return 0, nil
	}
	if next := c.in.frames.Peek(); next == nil || !runs(next) {
		return 0, nil
	}
	r := c.purse.pool.getRun()
	r.messages[0] = *m
	for n = 1; n < MaxRun; n++ {
		payload := c.in.frames.Peek()
		next := &r.messages[n]
		if payload == nil || !runs(payload) || next.Parse(payload) != nil || !bytes.Equal(next.Target, m.Target) {
			break
		}
		if _, _, err := c.in.frames.Next(); err != nil {
			break // it would be the same one
		}
	}
	read := n
	n, err = c.roomForRun(r, n)
	if n > 0 {
		r.Messages, r.from = r.messages[:n], c
		c.in.messages.Add(uint64(n))
		c.in.missing = 0
		if n == 1 || !runner.ReceiveRun(c, r) {
			for i := range r.Messages {
				h.Receive(c, &r.Messages[i])
			}
		}
	}
	c.purse.pool.putRun(r, read)
	return n, err
}

// roomForRun charges the first n messages of r to the window of the other end, or as many
// as that has room for, if it is less: then the error is that of the next one.
func (c *Conn) roomForRun(r *Run, n int) (int, error) {
	var err error
	used := c.room.received.load()
	for i := range n {
		c.other()
		cost := wire.Cost(r.messages[i].Size())
		if !c.room.has(used+r.sum, &c.room.seen, cost) {
			n, err = i, c.beyondWindow()
			break
		}
		r.costs[i] = cost
		r.sum += amountOf(1, uint64(cost))
	}
	c.room.received.add(r.sum)
	return n, err
}

// getRun returns an empty Run.
func (p *Pool) getRun() *Run {
	if r, ok := p.runs.Get().(*Run); ok {
		return r
	}
	return new(Run)
}

// putRun takes back a Run, of which n messages were used: it is to keep no buffer alive.
func (p *Pool) putRun(r *Run, n int) {
	clear(r.messages[:min(n+1, MaxRun)]) // the next one was perhaps looked at
	r.Messages, r.from, r.backlog, r.sum = nil, nil, nil, 0
	p.runs.Put(r)
}

// TakeRun is Take for all messages of r together. Where they are more than b may have, the
// sender is told to stop for all of them.
func (b *Backlog) TakeRun(r *Run) {
	if !r.from.xoff {
		return
	}
	w := r.from.room.window
	all, again := b.all.add(r.sum), b.again.load()
	r.backlog = b
	if most := b.most(all, again, r.sum); all.messages() > most.messages() || all.bytes() > most.bytes() {
		b.stop(all, most)
		if again.messages() < w.Messages && again.bytes() < w.Bytes {
			b.again.add(r.sum)
			r.from.credit(r.sum) // behind the xoff, so that this is read first
			r.from = nil
			return
		}
	}
	r.from.backlogged.add(r.sum)
}

// PostRun is Post, as data, for each message of r, with sender as who they are from. It calls
// refused with those that were not posted.
func (c *Conn) PostRun(r *Run, sender []byte, refused func(m *wire.Message, err error)) {
	total, fits := 0, true
	for i := range r.Messages {
		m := &r.Messages[i]
		m.Sender, m.ID, m.Millis = sender, 0, 0
		size, err := c.check(m)
		fits = fits && err == nil
		total += wire.Cost(size)
	}
	if fits && c.postRun(r, total) {
		return
	}
	for i := range r.Messages {
		m := &r.Messages[i]
		if err := c.Post(Data, m, r.charge(i)); err != nil {
			refused(m, err)
		}
	}
}

// postRun queues all of r, which costs total, if there is room for it.
func (c *Conn) postRun(r *Run, total int) bool {
	o := &c.out
	o.mu.Lock()
	if o.refusal() != nil || o.load[Data]+total > o.limits.DataHard || !c.purse.affords(Data, &r.Messages[0], total) {
		o.mu.Unlock()
		return false
	}
	owed := c.purgeLocked(16)
	for i := range r.Messages {
		m := &r.Messages[i]
		size := m.Size()
		o.place++
		o.appendData(m, size, wire.Cost(size), r.charge(i), 0)
	}
	o.mu.Unlock()
	owed.pay()
	return true
}

// charge returns what message i takes.
func (r *Run) charge(i int) Charge { return Charge{From: r.from, Cost: r.costs[i], backlog: r.backlog} }
