package peer

import (
	"sync"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Toll counts what the one-way messages take that one sender has on their way to one
// target, so that a target which is stuck has no more than a part of the sender's window, and
// the sender goes on with others.
//
// All tolls of a sender may take three eighths of its window: each half of what the others
// leave of these. Beyond that the sender is told to send no more (xoff), and what it sends
// until it has read that takes no room of its window, up to one window in all. When half of
// the part is left it may go on (xon). A sender that goes on all the same uses up its own
// window, as if there were no toll.
//
// Three eighths, because with the eighth that is left to the half of the window, and is
// told of in time (room.due), large messages pass whatever is stuck.
//
// The methods may be called from any goroutine, but Take: that is for the sender's reader.
type Toll struct {
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

// Take charges a one-way message, of which ch is what it takes of the sender's window, to
// t. It returns the Charge to go on with.
func (t *Toll) Take(ch Charge) Charge {
	if ch.From == nil || !ch.From.stops {
		return ch
	}
	w, cost := ch.From.room.window, int64(ch.Cost)
	messages, bytes := t.all.add(1, cost)
	ch.toll = t
	part := func(window uint64, tolled, own int64) int64 { return max(0, int64(window)*3/8-(tolled-own)) / 2 }
	mostMessages := part(w.Messages, ch.From.tolled.messages.Load(), messages-1-t.again.messages.Load())
	mostBytes := part(w.Bytes, ch.From.tolled.bytes.Load(), bytes-cost-t.again.bytes.Load())
	if messages <= max(1, mostMessages) && bytes <= mostBytes {
		ch.From.tolled.add(1, cost)
		return ch
	}
	t.stop(messages, bytes, mostMessages, mostBytes)
	if t.again.messages.Load() >= int64(w.Messages) || t.again.bytes.Load() >= int64(w.Bytes) {
		ch.From.tolled.add(1, cost)
		return ch
	}
	t.again.add(1, cost)
	ch.From.credit(1, uint64(cost)) // behind the xoff, so that this is read first
	return Charge{Cost: ch.Cost, toll: t}
}

// stop tells the sender to stop, and tells it again if it seems to have missed that: a
// link to who had the name before may have told it to go on.
func (t *Toll) stop(messages, bytes, mostMessages, mostBytes int64) {
	w := t.From.room.window
	t.mu.Lock()
	if !t.off.Load() || bytes-t.toldBytes > int64(w.Bytes/4) || messages-t.toldMessages > int64(w.Messages/4) {
		t.lowest.messages.Store(max(0, mostMessages/2))
		t.lowest.bytes.Store(max(0, mostBytes/2))
		t.off.Store(true)
		t.toldMessages, t.toldBytes = messages, bytes
		t.say(wire.KindXoff)
	}
	t.mu.Unlock()
	if t.low() {
		t.resume() // whoever made it so may not have seen that it was told
	}
}

// pass takes off what messages took that have been written, begun or dropped; again says
// that the sender had their room again before. No lock may be held.
func (t *Toll) pass(messages, bytes uint64, again bool) {
	of := &t.From.tolled
	if again {
		of = &t.again
	}
	of.add(-int64(messages), -int64(bytes))
	t.all.add(-int64(messages), -int64(bytes))
	if t.off.Load() && t.low() {
		t.resume()
	}
}

// low reports whether so little is left that the sender may go on.
func (t *Toll) low() bool {
	return t.all.messages.Load() <= t.lowest.messages.Load() && t.all.bytes.Load() <= t.lowest.bytes.Load()
}

func (t *Toll) resume() {
	t.mu.Lock()
	on := t.off.Load() && t.low()
	if on {
		t.off.Store(false)
		t.say(wire.KindXon)
	}
	t.mu.Unlock()
	if on {
		t.From.FlushSoon()
	}
}

// say tells the sender. One that leaves so much of what it is told unread that there is no
// room for more is cut off: it would wait for ever.
func (t *Toll) say(kind wire.Kind) {
	err := t.From.Post(Control, &wire.Message{Kind: kind, Target: []byte(t.Target)}, Charge{})
	if err == ErrFull || err == ErrBudget {
		t.From.Close(err)
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
	case ch.toll == nil && ch.From == nil:
		return nil
	case ch.toll == nil:
		return ch.From
	case ch.From == nil:
		return (*early)(ch.toll)
	}
	return (*tolled)(ch.toll)
}

// tolled is the Source of a message that is charged to its sender's window and to a Toll.
type tolled Toll

func (t *tolled) Started() { t.From.Started() }

func (t *tolled) Credit(cost int) {
	t.From.Credit(cost)
	(*Toll)(t).pass(1, uint64(cost), false)
}

// early is that of one that is charged to a Toll alone: the sender has its room again.
type early Toll

func (t *early) Started() { t.From.Started() }

func (t *early) Credit(cost int) {
	t.From.Dismiss(cost)
	(*Toll)(t).pass(1, uint64(cost), true)
}
