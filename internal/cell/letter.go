package cell

import (
	"math"
	"unsafe"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Letter is a message as it is in an inbox. It is copied in and out, and so needs no
// memory of its own: an inbox may be deep, and what is taken from it is then no longer
// in the processor's cache. What a message of this process needs is in the letter, and what one
// needs that came with others over a connection, but for what is in their parcel; any other has a
// Request.
type Letter struct {
	Value Value
	ID    uint64 // among the calls in flight on the target; 0: one-way

	aid     *byte // with length, the aid of who sent it: see From
	due     due
	cmd     *Command
	request *Request // that of a message from elsewhere, of its parcel, or of a turn the actor owes itself; nil: none
	weight  uint32   // see size; 0: that of request

	Chained bool  // see Request
	Attempt uint8 // see Request
	Waits   bool  // where there is no room its sender waits for some: that is no refusal
	length  uint8 // of aid
}

// From makes l one of the actor with the aid sender, of 255 bytes at most; "": of nobody. What is
// kept is the text alone: to point to where its sender has it would keep that, with its state,
// as long as the letter waits.
func (l *Letter) From(sender string) { l.aid, l.length = textOf(sender) }

// textOf returns where the text of aid is, and its length: the first 255 bytes, if it is longer.
func textOf(aid string) (text *byte, length uint8) {
	if aid == "" {
		return nil, 0
	}
	return unsafe.StringData(aid), uint8(min(len(aid), math.MaxUint8))
}

// letter returns r as it is in an inbox.
func (r *Request) letter() Letter {
	return Letter{ID: r.ID, due: r.due, Chained: r.Chained, cmd: r.cmd, request: r}
}

// Letter returns c as a message of sender's.
func (c *Call) Letter(sender string) Letter {
	l := Letter{Value: c.Argument, due: dueAt(c.Deadline)}
	l.From(sender)
	return l
}

// open returns the request that l is: its own, or blank with what is in l. Of another letter that
// blank was before nothing else is left.
func (l *Letter) open(blank *Request) *Request {
	of := l.request
	if of != nil && of.parcel == nil {
		return of
	}
	blank.Command, blank.Value, blank.Sender, blank.ID, blank.due = l.cmd.Name, l.Value, l.sender(), l.ID, l.due
	blank.Chained, blank.Attempt, blank.Size, blank.cmd = l.Chained, l.Attempt, int(l.weight), l.cmd
	switch {
	case of != nil:
		blank.Source, blank.Cost, blank.paid, blank.Codec = of.Source, l.cost(), false, wire.CodecNone
		if e, ok := l.Value.(*Encoded); ok {
			blank.Codec = e.Codec
		}
	case blank.Source != nil:
		blank.Source, blank.Cost, blank.paid, blank.Codec = nil, 0, false, wire.CodecNone
	}
	return blank
}

// sender returns the aid of who sent l; "" if that is no actor.
func (l *Letter) sender() string { return unsafe.String(l.aid, l.length) }

// size returns what l is charged to the inbox.
func (l *Letter) size() int {
	if l.weight == 0 {
		return l.request.Size
	}
	return int(l.weight)
}

// cost returns what the sender of l, which is of a parcel, gets back.
func (l *Letter) cost() int { return wire.Cost(int(l.weight)) }

// late reports whether l's time is up.
func (l *Letter) late() bool { return l.due.passed() }

// is reports whether l is the call id of source.
func (l *Letter) is(source Source, id uint64) bool {
	if l.ID != id || l.own() {
		return false
	}
	if l.request == nil {
		return source == nil
	}
	return l.request.Source == source
}

// own reports whether l is a turn the actor owes itself.
func (l *Letter) own() bool { return l.request != nil && l.request.do != nil }

// unpaid gives the sender its room back: l does not start.
func (l *Letter) unpaid() {
	switch r := l.request; {
	case r == nil:
	case r.parcel != nil:
		r.Source.Credit(l.cost())
	default:
		r.pay(false)
	}
}

// weigh is what a message that came by no connection is charged: as one that did, as
// far as its value tells.
func weigh(command, sender string, v Value) int {
	n := wire.HeaderSize + len(command) + len(sender)
	switch v := v.(type) {
	case *Encoded:
		n += len(v.Data)
	case Sized:
		n += v.Size()
	}
	return n
}
