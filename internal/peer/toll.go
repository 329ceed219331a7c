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
// Up to a quarter of the window nothing is done. Then the sender is told to send no more
// (xoff), and what it sends until it has read that takes no room of its window: at most
// what its window lets it. When half of the quarter is left it may go on (xon).
//
// The methods may be called from any goroutine.
type Toll struct {
	From   *Conn  // the sender's
	Target string // as the sender calls it

	messages, bytes atomic.Int64
	off             atomic.Bool // the sender was told to stop; written under mu

	mu   sync.Mutex // xoff and xon are posted in the order in which that was found to be
	told int64      // bytes when the last xoff was posted
}

// Take charges a one-way message, of which ch is what it takes of the sender's window, to t.
// It returns the Charge to go on with. It reports false if the sender goes on and on
// although it was told; then ch is as it was.
func (t *Toll) Take(ch Charge) (Charge, bool) {
	if ch.From == nil || !ch.From.stops {
		return ch, true
	}
	w, cost := ch.From.room.window, int64(ch.Cost)
	messages, bytes := t.messages.Add(1), t.bytes.Add(cost)
	if uint64(messages) <= w.Messages/4 && uint64(bytes) <= w.Bytes/4 {
		ch.toll = t
		return ch, true
	}
	if uint64(messages) > 2*w.Messages || uint64(bytes) > 2*(w.Bytes+uint64(ch.From.options.MaxMessage)) {
		t.pass(1, uint64(cost))
		return ch, false
	}
	t.stop(bytes)
	ch.Return() // behind the xoff, so that this is read first
	return Charge{Cost: ch.Cost, toll: t}, true
}

// stop tells the sender to stop, and tells it again if it seems to have missed that: a
// link to who had the name before may have told it to go on.
func (t *Toll) stop(bytes int64) {
	t.mu.Lock()
	if !t.off.Load() || uint64(bytes-t.told) > t.From.room.window.Bytes/4 {
		t.off.Store(true)
		t.told = bytes
		t.say(wire.KindXoff)
	}
	t.mu.Unlock()
	if t.low() {
		t.resume() // whoever made it so may not have seen that it was told
	}
}

// pass takes off what messages took that have been written, begun or dropped. No lock may
// be held.
func (t *Toll) pass(messages, bytes uint64) {
	t.messages.Add(-int64(messages))
	t.bytes.Add(-int64(bytes))
	if t.off.Load() && t.low() {
		t.resume()
	}
}

// low reports whether so little is left that the sender may go on.
func (t *Toll) low() bool {
	w := t.From.room.window
	return uint64(t.messages.Load()) <= w.Messages/8 && uint64(t.bytes.Load()) <= w.Bytes/8
}

func (t *Toll) resume() {
	t.mu.Lock()
	on := t.off.Load() && t.low() && t.say(wire.KindXon)
	if on {
		t.off.Store(false)
	}
	t.mu.Unlock()
	if on {
		t.From.FlushSoon()
	}
}

// say reports whether it has told the sender, or nobody is there to be told.
func (t *Toll) say(kind wire.Kind) bool {
	err := t.From.Post(Control, &wire.Message{Kind: kind, Target: []byte(t.Target)}, Charge{})
	return err == nil || err == ErrClosed
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
	(*Toll)(t).pass(1, uint64(cost))
}

// early is that of one that is charged to a Toll alone: the sender has its room again.
type early Toll

func (t *early) Started() { t.From.Started() }

func (t *early) Credit(cost int) {
	t.From.Dismiss(cost)
	(*Toll)(t).pass(1, uint64(cost))
}
