package peer

import (
	"sync"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Backlog counts what the messages take that one sender has on their way to one target, so
// that a target which is stuck has no more than a part of the sender's window, and the sender
// goes on with others.
//
// All backlogs of a sender may take three eighths of its window: each half of what the others
// leave of these. Beyond that the sender is told to send no more (xoff), and what it sends
// until it has read that takes no room of its window, up to one window in all. When half of
// the part is left it may go on (xon). A sender that goes on all the same uses up its own
// window, as if there were no backlog.
//
// For a call the sender is not told before there is a quarter of a window more than the part:
// where the target's inbox is the narrower, that refuses it at once. A call that an
// actor makes in a handler is sent all the same: it may be what the target waits for.
//
// Three eighths, because with the eighth that is left to the half of the window, and is
// told of in time (room.due), large messages pass whatever is stuck.
//
// The methods may be called from any goroutine, but Take: that is for the sender's reader.
type Backlog struct {
	From   *Conn  // the sender's
	Target string // as the sender calls it

	all    tally       // what waits
	again  tally       // of that, what the sender has its room again for already
	lowest tally       // when it may go on; written under mu
	off    atomic.Bool // the sender was told to stop; likewise

	mu                      sync.Mutex // xoff and xon are posted in the order in which that was found to be
	toldMessages, toldBytes int64      // all, when the last xoff was posted
}

// tally is so many messages, and so many bytes.
type tally struct{ messages, bytes atomic.Int64 }

func (t *tally) add(messages, bytes int64) (int64, int64) {
	return t.messages.Add(messages), t.bytes.Add(bytes)
}

// Take charges a message, of which ch is what it takes of the sender's window, to b; call
// says that somebody waits for the outcome. It returns the Charge to go on with.
func (b *Backlog) Take(ch Charge, call bool) Charge {
	if ch.From == nil || !ch.From.xoff {
		return ch
	}
	w, cost := ch.From.room.window, int64(ch.Cost)
	messages, bytes := b.all.add(1, cost)
	ch.backlog = b
	part := func(window uint64, backlogged, own int64) int64 {
		return max(0, int64(window)*3/8-(backlogged-own)) / 2
	}
	mostMessages := part(w.Messages, ch.From.backlogged.messages.Load(), messages-1-b.again.messages.Load())
	mostBytes := part(w.Bytes, ch.From.backlogged.bytes.Load(), bytes-cost-b.again.bytes.Load())
	if messages <= max(1, mostMessages) && bytes <= mostBytes {
		ch.From.backlogged.add(1, cost)
		return ch
	}
	again := wire.Window{Messages: uint64(b.again.messages.Load()), Bytes: uint64(b.again.bytes.Load())}
	if !call || again.Messages >= w.Messages/4 || again.Bytes >= w.Bytes/4 {
		b.stop(messages, bytes, mostMessages, mostBytes)
	}
	if again.Messages >= w.Messages || again.Bytes >= w.Bytes {
		ch.From.backlogged.add(1, cost)
		return ch
	}
	b.again.add(1, cost)
	ch.From.credit(1, uint64(cost)) // behind the xoff, so that this is read first
	return Charge{Cost: ch.Cost, backlog: b}
}

// stop tells the sender to stop, and tells it again if it seems to have missed that: a
// link to who had the name before may have told it to go on.
func (b *Backlog) stop(messages, bytes, mostMessages, mostBytes int64) {
	w := b.From.room.window
	var cut error
	b.mu.Lock()
	if !b.off.Load() || bytes-b.toldBytes > int64(w.Bytes/4) || messages-b.toldMessages > int64(w.Messages/4) {
		b.lowest.messages.Store(max(0, mostMessages/2))
		b.lowest.bytes.Store(max(0, mostBytes/2))
		b.off.Store(true)
		b.toldMessages, b.toldBytes = messages, bytes
		cut = b.say(wire.KindXoff)
	}
	b.mu.Unlock()
	b.cutOff(cut)
	if b.low() {
		b.resume() // whoever made it so may not have seen that it was told
	}
}

// pass takes off what messages took that have been written, begun or dropped; again says
// that the sender had their room again before. No lock may be held.
func (b *Backlog) pass(messages, bytes uint64, again bool) {
	of := &b.From.backlogged
	if again {
		of = &b.again
	}
	of.add(-int64(messages), -int64(bytes))
	b.all.add(-int64(messages), -int64(bytes))
	if b.off.Load() && b.low() {
		b.resume()
	}
}

// low reports whether so little is left that the sender may go on.
func (b *Backlog) low() bool {
	return b.all.messages.Load() <= b.lowest.messages.Load() && b.all.bytes.Load() <= b.lowest.bytes.Load()
}

func (b *Backlog) resume() {
	b.mu.Lock()
	on := b.off.Load() && b.low()
	var cut error
	if on {
		b.off.Store(false)
		cut = b.say(wire.KindXon)
	}
	b.mu.Unlock()
	b.cutOff(cut)
	if on {
		b.From.FlushSoon()
	}
}

// say tells the sender. It returns for what that is to be cut off: see cutOff.
func (b *Backlog) say(kind wire.Kind) error {
	err := b.From.Post(Control, &wire.Message{Kind: kind, Target: []byte(b.Target)}, Charge{})
	if err == ErrFull || err == ErrBudget {
		return err
	}
	return nil
}

// cutOff ends the connection of a sender that leaves so much of what it is told unread that
// there is no room for more: it would wait for ever. No lock may be held, since what waited
// to be written to it is given back, to backlogs as well: to this one, if it has sent to itself.
func (b *Backlog) cutOff(err error) {
	if err != nil {
		b.From.Close(err)
	}
}

// Source returns what a message that goes into an inbox of this process with ch is told to
// when it begins or is dropped, which gives ch back: a cell.Source. It is nil if ch is
// nobody's.
func (ch Charge) Source() interface {
	Credit(cost int)
	Started()
} {
	switch {
	case ch.backlog == nil && ch.From == nil:
		return nil
	case ch.backlog == nil:
		return ch.From
	case ch.From == nil:
		return (*early)(ch.backlog)
	}
	return (*backlogged)(ch.backlog)
}

// backlogged is the Source of a message that is charged to its sender's window and to a Backlog.
type backlogged Backlog

func (b *backlogged) Started() { b.From.Started() }

func (b *backlogged) Credit(cost int) {
	b.From.Credit(cost)
	(*Backlog)(b).pass(1, uint64(cost), false)
}

// early is that of one that is charged to a Backlog alone: the sender has its room again.
type early Backlog

func (b *early) Started() { b.From.Started() }

func (b *early) Credit(cost int) {
	b.From.Dismiss(cost)
	(*Backlog)(b).pass(1, uint64(cost), true)
}
