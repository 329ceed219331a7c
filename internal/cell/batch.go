package cell

import (
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/mailbox"
)

// batch is what a serial actor's worker has taken from the inbox at once, to handle one
// after the other: so it meets its senders at the lock once for many messages, and not
// twice for each.
//
// What is in a batch has not begun. Until the worker begins it, it still waits: it is
// counted so, and can be canceled, or dropped with the actor. Which of the two comes
// first is decided by its stage. Where there is no batch, all this is decided under the
// lock.
type batch struct {
	letters mailbox.Run[Letter] // as is what is in it, written by the worker under Cell.mu
	stages  [maxBatch]atomic.Uint32
	turns   []Turn      // of each; valid where the stage is begun
	awaited atomic.Bool // is Cell.awaited, for the worker, to which that is far away; written under Cell.mu

	// Guarded by Cell.mu.
	partly bool      // some were settled before the others
	seen   int       // which of them Status saw at work …
	seenAt time.Time // … and since when
}

// maxBatch is how many messages are taken at once, at most, and batchPart which part of
// what the inbox holds: who waits for room in it is told when they are over.
const (
	maxBatch  = mailbox.MaxRun
	batchPart = 8
)

// Where a message of a batch is.
const (
	waits   uint32 = iota // to begin
	taken                 // out of the batch: nobody begins it
	begun                 // its handler is at work …
	over                  // … has returned …
	lapsed                // … or it is not begun, since its time is up
	settled               // it is counted, and its room given back
)

// batchLocked returns how many of the messages that wait may be taken at once: as many
// as are, on the average, within that part of the inbox's bounds. What interleaves or is
// concurrent looks at its inbox anew for each, and a budget is kept by the clock.
func (c *Cell) batchLocked() int {
	n := c.inbox.Len()
	if n <= 1 || c.spec.Mode != Serial || c.budget() > 0 {
		return 1
	}
	messages, bytes := c.spec.Inbox.Bounds()
	n = min(n, maxBatch, messages/batchPart)
	if charged, size := c.inbox.Charged(); size > 0 {
		n = min(n, bytes/batchPart*charged/size)
	}
	return n
}

// runBatchLocked takes a batch and handles it. It returns false if a handler took the
// actor with it.
func (c *Cell) runBatchLocked(d *desk, n int) (alive bool) {
	if d.batch == nil {
		d.batch = new(batch)
	}
	b := d.batch
	c.inbox.TakeRun(&b.letters, n)
	n = b.letters.Len()
	for i := 0; i < n && c.urgent > 0; i++ {
		c.tookLocked(b.letters.At(i))
	}
	b.seenAt, b.partly = time.Time{}, false
	b.awaited.Store(c.awaited)
	c.batch = b
	more := c.inbox.Len() > 0
	c.mu.Unlock()
	// One piece of memory for all: it is little, also where a handler has kept its turn,
	// and with it those of the others.
	b.turns = make([]Turn, n)
	alive = true
	for i := 0; alive && i < n; i++ {
		l := b.letters.At(i)
		r := l.open(&d.request)
		b.turns[i].of(c, r)
		late, next := l.late(), begun
		if late {
			next = lapsed
		}
		if !b.stages[i].CompareAndSwap(waits, next) {
			continue
		}
		alive = c.handle(r, late, more || i+1 < n, &b.stages[i])
		if b.stages[i].Load() == begun { // it is no message, or its handler took the actor with it
			b.stages[i].CompareAndSwap(begun, over)
		}
		if b.awaited.Load() { // who waits for room is not to wait for all of the batch
			c.mu.Lock()
			c.settleLocked()
			c.mu.Unlock()
		}
	}
	sum := b.bill(false) // here, since senders wait for the lock
	c.mu.Lock()
	if b.partly {
		c.settleLocked()
	} else {
		c.chargeLocked(sum)
	}
	c.batch = nil // from here on nobody else looks at it
	c.mu.Unlock()
	c.spec.recycleAll(&b.letters, func(i int) bool { return b.stages[i].Load() >= over })
	c.inbox.Free(&b.letters)
	clear(b.stages[:n])
	b.turns = nil
	d.request = Request{}
	c.mu.Lock()
	return alive
}

// bill is what is to be settled, and what is not yet.
type bill struct {
	messages, bytes  int    // whose room is to be given back
	started, dropped uint64 // of these
	begun            uint64 // at work
	waiting          int
}

// bill adds up what of b is over, and not settled yet; with settle it is then. It looks at each
// once: what moves on meanwhile is in one of the sums.
func (b *batch) bill(settle bool) (sum bill) {
	for i := range b.letters.Len() {
		l := b.letters.At(i)
		switch b.stages[i].Load() {
		case over:
			if !l.own() {
				sum.started++
			}
		case lapsed:
			sum.dropped++
		case begun:
			if !l.own() {
				sum.begun++
			}
			continue
		case waits:
			sum.waiting++
			continue
		default:
			continue
		}
		if settle {
			b.stages[i].Store(settled)
		}
		sum.messages++
		sum.bytes += l.size()
	}
	return sum
}

// settleLocked counts what of the batch is over, and gives its room back.
func (c *Cell) settleLocked() (sum bill) {
	if b := c.batch; b != nil {
		b.partly = true
		sum = b.bill(true)
		c.chargeLocked(sum)
	}
	return sum
}

// chargeLocked settles what sum says.
func (c *Cell) chargeLocked(sum bill) {
	c.counts.started += sum.started
	c.counts.dropped += sum.dropped
	if sum.messages > 0 {
		c.inbox.Release(sum.messages, sum.bytes)
		c.freeRoomLocked()
	}
}

// takeLocked takes what of the batch still waits, and matches, out of it. It stays
// charged to the inbox.
func (c *Cell) takeLocked(match func(l Letter) bool) (out []Letter) {
	b := c.batch
	if b == nil {
		return nil
	}
	for i := range b.letters.Len() {
		if b.stages[i].Load() == waits && match(*b.letters.At(i)) && b.stages[i].CompareAndSwap(waits, taken) {
			out = append(out, *b.letters.At(i))
		}
	}
	return out
}

// countsLocked are the counts with what is at work in a batch, and how many messages wait.
func (c *Cell) countsLocked() (n Counts, waiting int) {
	sum := c.settleLocked()
	k := &c.counts
	n = Counts{Accepted: k.accepted, Started: k.started + sum.begun, Refused: k.refused, Dropped: k.dropped, InPlace: k.inPlace}
	if x := c.extra; x != nil {
		n.Left, n.Letters = x.left, x.letters
	}
	return n, c.inbox.Len() + sum.waiting
}

// leaveBatchLocked ends the part that the message with the turn t has in a batch.
func (c *Cell) leaveBatchLocked(t *Turn) {
	for i := range c.beganLocked {
		if &c.batch.turns[i] == t {
			c.batch.stages[i].Store(over)
			return
		}
	}
}

// beganLocked yields which messages of the batch are at work: one at most.
func (c *Cell) beganLocked(yield func(i int) bool) {
	b := c.batch
	if b == nil {
		return
	}
	for i := range b.letters.Len() {
		if b.stages[i].Load() == begun && !yield(i) {
			return
		}
	}
}

// atWork is a message whose turn is not over.
type atWork struct {
	Letter
	turn  *Turn
	began *time.Time // since when it is known to be at work; zero: not noted
}

// atWorkLocked yields all of those.
func (c *Cell) atWorkLocked(yield func(w atWork) bool) {
	for r := c.working; r != nil; r = r.next {
		if !yield(atWork{r.letter(), r.turn, &r.began}) {
			return
		}
	}
	for i := range c.beganLocked {
		b := c.batch
		if b.seen != i {
			b.seen, b.seenAt = i, time.Time{}
		}
		if !yield(atWork{*b.letters.At(i), &b.turns[i], &b.seenAt}) {
			return
		}
	}
}
