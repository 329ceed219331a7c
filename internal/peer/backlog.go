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

	all    total       // what waits
	again  total       // of that, what the sender has its room again for already
	lowest total       // when it may go on; written under mu
	off    atomic.Bool // the sender was told to stop; likewise

	mu   sync.Mutex // xoff and xon are posted in the order in which that was found to be
	told amount     // all, when the last xoff was posted
}

// Take charges a message, of which ch is what it takes of the sender's window, to b; call
// says that somebody waits for the outcome. It returns the Charge to go on with.
func (b *Backlog) Take(ch Charge, call bool) Charge {
	if ch.From == nil || !ch.From.xoff {
		return ch
	}
	w, one := ch.From.room.window, amountOf(1, uint64(ch.Cost))
	all, again := b.all.add(one), b.again.load()
	ch.backlog = b
	most := b.most(all, again, one)
	if all.messages() <= max(1, most.messages()) && all.bytes() <= most.bytes() {
		ch.From.backlogged.add(one)
		return ch
	}
	if !call || again.messages() >= w.Messages/4 || again.bytes() >= w.Bytes/4 {
		b.stop(all, most)
	}
	if again.messages() >= w.Messages || again.bytes() >= w.Bytes {
		ch.From.backlogged.add(one)
		return ch
	}
	b.again.add(one)
	ch.From.credit(one) // behind the xoff, so that this is read first
	return Charge{Cost: ch.Cost, backlog: b}
}

// most returns how much of the sender's window b may have: half of what the others leave.
// Of all, what waits, again is charged to b alone, and more to nothing else yet.
func (b *Backlog) most(all, again, more amount) amount {
	w, backlogged := b.From.room.window, b.From.backlogged.load()
	part := func(window, backlogged, own uint64) uint64 {
		window = window * 3 / 8
		return (window - min(window, backlogged-min(backlogged, own))) / 2
	}
	own := all - more - again
	return amountOf(
		part(w.Messages, backlogged.messages(), own.messages()),
		part(w.Bytes, backlogged.bytes(), own.bytes()))
}

// stop tells the sender to stop, and tells it again if it seems to have missed that: a
// link to who had the name before may have told it to go on.
func (b *Backlog) stop(all, most amount) {
	w := b.From.room.window
	var cut error
	b.mu.Lock()
	if !b.off.Load() || all.bytes() > b.told.bytes()+w.Bytes/4 || all.messages() > b.told.messages()+w.Messages/4 {
		b.lowest.store(amountOf(most.messages()/2, most.bytes()/2))
		b.off.Store(true)
		b.told = all
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
func (b *Backlog) pass(a amount, again bool) {
	of := &b.From.backlogged
	if again {
		of = &b.again
	}
	of.sub(a)
	b.all.sub(a)
	if b.off.Load() && b.low() {
		b.resume()
	}
}

// low reports whether so little is left that the sender may go on.
func (b *Backlog) low() bool {
	all, lowest := b.all.load(), b.lowest.load()
	return all.messages() <= lowest.messages() && all.bytes() <= lowest.bytes()
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
	(*Backlog)(b).pass(amountOf(1, uint64(cost)), false)
}

// early is that of one that is charged to a Backlog alone: the sender has its room again.
type early Backlog

func (b *early) Started() { b.From.Started() }

func (b *early) Credit(cost int) {
	b.From.Dismiss(cost)
	(*Backlog)(b).pass(amountOf(1, uint64(cost)), true)
}
