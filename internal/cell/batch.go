package cell

import (
	"sync/atomic"
	"time"
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
	requests [maxBatch]*Request // written by the worker, under Cell.mu
	n        int                // likewise
}

// maxBatch is how many messages are taken at once, at most, and batchPart which part of
// what the inbox holds: who waits for room in it is told when they are over.
const (
	maxBatch  = 64
	batchPart = 8
)

// Where a request of a batch is.
const (
	waits   uint32 = iota // to begin
	taken                 // out of the batch: nobody begins it
	begun                 // its handler is at work …
	over                  // … has returned …
	lapsed                // … or was not begun, since its time was up
	settled               // it is counted, and its room given back
)

// batchLocked returns how many messages may be taken at once, and of how many bytes,
// those before the last. What interleaves or is concurrent looks at its inbox anew for
// each, and a budget is kept by the clock.
func (c *Cell) batchLocked() (n, bytes int) {
	if c.spec.Mode != Serial || c.budget > 0 {
		return 0, 0
	}
	n, bytes = c.spec.Inbox.Bounds()
	return min(c.inbox.Len(), maxBatch, n/batchPart), bytes / batchPart
}

// runBatchLocked takes a batch and handles it. It returns false if a handler took the
// actor with it.
func (c *Cell) runBatchLocked(n, bytes int) (alive bool) {
	if c.batch == nil {
		c.batch = new(batch)
	}
	b := c.batch
	for b.n < n && bytes > 0 {
		r, ok := c.nextLocked(false)
		if !ok {
			break
		}
		bytes -= r.Size
		b.requests[b.n] = r
		b.n++
	}
	more := c.inbox.Len() > 0
	c.mu.Unlock()
	// One piece of memory for all: it is little, also where a handler has kept its turn,
	// and with it all others.
	turns := make([]Turn, b.n)
	alive = true
	for i, r := range b.requests[:b.n] {
		turns[i].of(c, r)
		if !atomic.CompareAndSwapUint32(&r.stage, waits, begun) {
			continue
		}
		late := r.late()
		if alive = c.handle(r, late, more || i+1 < b.n); !alive {
			break
		}
		if late {
			atomic.StoreUint32(&r.stage, lapsed)
		} else {
			atomic.StoreUint32(&r.stage, over)
		}
	}
	c.mu.Lock()
	c.settleLocked()
	c.freeRoomLocked()
	done := b.requests[:b.n]
	b.n = 0 // from here on nobody else sees them
	blanks, room := int32(0), maxBlank-c.blanks // there is no less when they are clear
	c.mu.Unlock()
	var blank, last *Request
	for i, r := range done {
		done[i] = nil
		switch {
		case atomic.LoadUint32(&r.stage) != settled:
		case r.Source != nil || !r.pooled || blanks >= room:
			c.spec.recycle(r)
		default:
			r.clear()
			r.next = blank
			blank = r
			if last == nil {
				last = r
			}
			blanks++
		}
	}
	c.mu.Lock()
	if blank != nil {
		last.next = c.blank
		c.blank, c.blanks = blank, c.blanks+blanks
	}
	return alive
}

// late reports whether r's time is up.
func (r *Request) late() bool { return !r.Deadline.IsZero() && time.Until(r.Deadline) <= 0 }

// inBatchLocked are the requests of the batch.
func (c *Cell) inBatchLocked() []*Request {
	if c.batch == nil {
		return nil
	}
	return c.batch.requests[:c.batch.n]
}

// settleLocked counts what of the batch is over, and gives its room back.
func (c *Cell) settleLocked() {
	for _, r := range c.inBatchLocked() {
		switch atomic.LoadUint32(&r.stage) {
		case over:
			if r.do == nil {
				c.counts.Started++
			}
		case lapsed:
			c.counts.Dropped++
		default:
			continue
		}
		atomic.StoreUint32(&r.stage, settled)
		c.inbox.Release(r.Size)
	}
}

// takeLocked takes what of the batch still waits, and matches, out of it. It stays
// charged to the inbox.
func (c *Cell) takeLocked(match func(r *Request) bool) (out []*Request) {
	for _, r := range c.inBatchLocked() {
		if atomic.LoadUint32(&r.stage) == waits && match(r) && atomic.CompareAndSwapUint32(&r.stage, waits, taken) {
			out = append(out, r)
		}
	}
	return out
}

// lenLocked returns how many messages wait.
func (c *Cell) lenLocked() int {
	n := c.inbox.Len()
	for _, r := range c.inBatchLocked() {
		if atomic.LoadUint32(&r.stage) == waits {
			n++
		}
	}
	return n
}

// countsLocked are the counts with what is at work in a batch.
func (c *Cell) countsLocked() Counts {
	c.settleLocked()
	n := c.counts
	for _, r := range c.inBatchLocked() {
		if atomic.LoadUint32(&r.stage) == begun && r.do == nil {
			n.Started++
		}
	}
	return n
}

// eachWorkingLocked yields the requests whose turns are not over.
func (c *Cell) eachWorkingLocked(yield func(r *Request) bool) {
	for r := c.working; r != nil; r = r.next {
		if !yield(r) {
			return
		}
	}
	for _, r := range c.inBatchLocked() {
		if atomic.LoadUint32(&r.stage) == begun && !yield(r) {
			return
		}
	}
}
