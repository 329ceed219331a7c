package peer

import "github.com/arbiter-go/arbiter/internal/wire"

// Charge is the room that a message read from one connection takes in the window
// of who sent it, until it was written to another or dropped. The zero Charge is
// nobody's. Each one is to be given back once: by Post or Request, whose it is as
// soon as they are called, whatever they return, or by Return.
type Charge struct {
	From    *Conn
	Cost    int      // wire.Cost of the message as it came
	backlog *Backlog // it is charged to, too; nil: none
}

// Charge returns what m takes in the window of c's other end. It is to be asked
// for in Receive, before m is changed: what is given back must be what the sender
// was charged, and a forwarded message has another size. Only requests are
// charged; for another message the Charge is nobody's.
func (c *Conn) Charge(m *wire.Message) Charge {
	if m.Kind != wire.KindRequest {
		return Charge{}
	}
	return Charge{From: c, Cost: wire.Cost(m.Size() + c.in.missing)}
}

// Return gives the room back. It never waits.
func (ch Charge) Return() {
	if ch.From != nil {
		ch.From.credit(amountOf(1, uint64(ch.Cost)))
	}
	if ch.backlog != nil {
		ch.backlog.pass(amountOf(1, uint64(ch.Cost)), ch.From == nil)
	}
}

// debt is what a chunk owes to one sender: the charges of its messages, summed.
type debt struct {
	to      *Conn    // nil: it has its room again
	backlog *Backlog // nil: none
	sum     amount
}

// debts are those of one chunk.
type debts []debt

// add adds the charge ch. Few senders take turns in a chunk, so the last few
// entries are looked at, not all.
func (d debts) add(ch Charge) debts {
	if ch.From == nil && ch.backlog == nil {
		return d
	}
	for i := len(d) - 1; i >= max(0, len(d)-4); i-- {
		if d[i].to == ch.From && d[i].backlog == ch.backlog {
			d[i].sum += amountOf(1, uint64(ch.Cost))
			return d
		}
	}
	return append(d, debt{ch.From, ch.backlog, amountOf(1, uint64(ch.Cost))})
}

// pay gives everything back. No lock may be held.
func (d debts) pay() {
	for i := range d {
		if d[i].to != nil {
			d[i].to.credit(d[i].sum)
		}
		if d[i].backlog != nil {
			d[i].backlog.pass(d[i].sum, d[i].to == nil)
		}
	}
}
