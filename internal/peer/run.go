package peer

import (
	"bytes"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Run is messages that came one right after the other, which costs less than each on its own:
// what they are for is looked up once, and what counts them and locks what they go to is asked
// once. They are all one-way requests to one target, or all calls of one that are made outside
// of handlers, or all replies. It is valid only during the call it is given to.
type Run struct {
	// Messages are they, in their order, without extensions. Their number is from 2 to MaxRun.
	Messages []wire.Message

	from    *Conn       // nil: it has its room again
	costs   [MaxRun]int // of from's window
	sum     amount      // of these
	backlog *Backlog    // that is charged with all of them; nil: none

	messages [MaxRun]wire.Message
	notes    [MaxRun]Note // of replies, those of what they answer
}

// MaxRun is how many messages there are in a Run at most.
const MaxRun = 64

// Runner is a Handler that takes many requests at once.
type Runner interface {
	// ReceiveRun takes all of r, or none and returns false: then Receive is given each.
	ReceiveRun(c *Conn, r *Run) bool
}

// RunForwarder is a Forwarder that takes many replies at once: to those of its calls that the
// notes were of.
type RunForwarder interface {
	Forwarder
	ForwardRun(notes []Note, replies []wire.Message)
}

// Calls reports whether somebody waits for the outcome of each.
func (r *Run) Calls() bool { return r.Messages[0].Flags&wire.FlagOneWay == 0 }

// Charge is Conn.Charge of message i.
func (r *Run) Charge(i int) Charge { return Charge{From: r.from, Cost: r.costs[i], backlog: r.backlog} }

// sort says which messages may be in one run.
type sort uint8

const (
	single sort = iota // none
	letters
	calls
	replies
)

// sortOf returns which runs the message that payload begins with may be in.
func sortOf(payload []byte) sort {
	if len(payload) < wire.HeaderSize || payload[18]|payload[19] != 0 {
		return single
	}
	switch wire.Kind(payload[0]) {
	case wire.KindRequest:
		switch wire.Flags(payload[1]) &^ wire.FlagArgs {
		case wire.FlagOneWay:
			return letters
		case 0:
			return calls
		}
	case wire.KindReply:
		return replies
	}
	return single
}

// takeRun handles m, of which payload is the whole frame, with those like it that are buffered
// behind it. It returns how many messages that were; 0 if there is none behind it.
func (c *Conn) takeRun(h Handler, runner Runner, m *wire.Message, payload []byte) (n int, err error) {
	sort := sortOf(payload)
	if sort == single || sort != replies && runner == nil {
		return 0, nil
	}
	if next := c.in.frames.Peek(); next == nil || sortOf(next) != sort {
		return 0, nil
	}
	r := c.purse.pool.getRun()
	r.messages[0] = *m
	for n = 1; n < MaxRun; n++ {
		payload := c.in.frames.Peek()
		next := &r.messages[n]
		if payload == nil || sortOf(payload) != sort || next.Parse(payload) != nil || sort != replies && !bytes.Equal(next.Target, m.Target) {
			break
		}
		if _, _, err := c.in.frames.Next(); err != nil {
			break // it would be the same one
		}
	}
	// Who is answered asks again, and who is asked answers, before the others are told. All that goes
	// along: to take a run waits for nothing.
	if !c.in.flushes.Load() {
		c.in.flushes.Store(true)
	}
	c.other(n)
	c.in.missing = 0
	if sort == replies {
		c.in.messages.Add(uint64(n))
		c.woken.takesReplies()
		err = c.answerRun(r, n)
		c.woken.tookReplies()
		c.purse.pool.putRun(r, n)
		return n, err
	}
	read := n
	n, err = c.roomForRun(r, n)
	if n > 0 {
		r.Messages, r.from = r.messages[:n], c
		c.in.messages.Add(uint64(n))
		if n == 1 || !runner.ReceiveRun(c, r) {
			c.giveWay()
			for i := range r.Messages {
				h.Receive(c, &r.Messages[i])
			}
		}
	}
	c.purse.pool.putRun(r, read)
	return n, err
}

// answerRun hands the first n messages of r, which are replies, to who waits for them.
func (c *Conn) answerRun(r *Run, n int) error {
	var status [MaxRun]Status
	c.calls.mu.Lock()
	for i := range n {
		r.notes[i], status[i] = c.calls.takeLocked(r.messages[i].ID)
	}
	c.calls.mu.Unlock()
	defer clear(r.notes[:n])
	for i := 0; i < n; {
		m, note := &r.messages[i], &r.notes[i]
		switch status[i] {
		case Late:
			c.in.late.Add(1)
			i++
			continue
		case Never:
			c.in.never.Add(1)
			// Who broke the protocol ends the connection, and with it the calls that wait for
			// it: those that were answered behind are over, and have to be told as well.
			for j := i + 1; j < n; j++ {
				if status[j] == Found {
					r.notes[j].Caller.Result(r.notes[j].ID, &r.messages[j])
				}
			}
			return wire.Errorf(wire.CodeProtocol, "a reply to %d, which was never asked", m.ID)
		}
		f, ok := note.Caller.(RunForwarder)
		if !ok {
			note.Caller.Result(note.ID, m)
			i++
			continue
		}
		j := i + 1
		for j < n && status[j] == Found && r.notes[j].Caller == note.Caller {
			j++
		}
		f.ForwardRun(r.notes[i:j], r.messages[i:j])
		i = j
	}
	return nil
}

// roomForRun charges the first n messages of r to the window of the other end, or as many
// as that has room for, if it is less: then the error is that of the next one.
func (c *Conn) roomForRun(r *Run, n int) (int, error) {
	var err error
	used := c.room.received.load()
	for i := range n {
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

// TakeRun is Take for all messages of r together: it is all of them that b may have, or not.
func (b *Backlog) TakeRun(r *Run) {
	if !r.from.xoff {
		return
	}
	w := r.from.room.window
	all, again := b.all.add(r.sum), b.again.load()
	r.backlog = b
	if most := b.most(all, again, r.sum); all.messages() > most.messages() || all.bytes() > most.bytes() {
		if !r.Calls() || again.messages() >= w.Messages/4 || again.bytes() >= w.Bytes/4 {
			b.stop(all, most)
		}
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
		if err := c.Post(Data, m, r.Charge(i)); err != nil {
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
		o.appendData(m, size, wire.Cost(size), r.Charge(i), 0)
	}
	o.mu.Unlock()
	owed.pay()
	return true
}

// RequestRun is Request for each of the calls r, with sender as who they are from. It reports
// false if there may be no room for them all: then it has done nothing.
func (c *Conn) RequestRun(r *Run, sender []byte, notes []Note) bool {
	total := 0
	for i := range r.Messages {
		m := &r.Messages[i]
		size := m.Size() - len(m.Sender) + len(sender)
		if size > c.limit || len(sender) > 255 {
			return false
		}
		total += wire.Cost(size)
	}
	o := &c.out
	o.mu.Lock()
	if o.refusal() != nil || o.load[Data]+total > o.limits.Data || !c.purse.affords(Data, &r.Messages[0], total) {
		o.mu.Unlock()
		return false
	}
	owed := c.purgeLocked(16)
	c.calls.mu.Lock()
	ok := c.calls.end == nil && c.calls.Len() <= maxSlots-len(notes)
	for i := range r.Messages {
		if !ok {
			break
		}
		m := &r.Messages[i]
		notes[i].Sent = o.place + 1
		m.Sender = sender
		m.ID, _ = c.calls.addLocked(&notes[i])
		size := m.Size()
		o.place++
		o.appendData(m, size, wire.Cost(size), r.Charge(i), m.ID)
	}
	c.calls.mu.Unlock()
	o.mu.Unlock()
	owed.pay()
	return ok
}

// PostReplies is Post, as replies, for one of replies after the other, until there may be no
// room for one. It returns how many were posted.
func (c *Conn) PostReplies(replies []wire.Message) (n int) {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range replies {
		m := &replies[i]
		size, failed := c.check(m)
		whole := frame.BinaryHeaderSize(size) + size
		if failed != nil || o.refusal() != nil || !o.bounded(Reply, whole, favoured(Reply, m, whole)) || !c.purse.affords(Reply, m, size) {
			return i
		}
		o.appendFrame(Reply, m, size, Charge{})
	}
	return len(replies)
}
