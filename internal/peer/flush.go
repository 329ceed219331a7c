package peer

import (
	"runtime"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

const (
	// inlineWrite bounds what a goroutine that flushes writes, mostly for others,
	// before it hands over to a goroutine of the connection's own.
	inlineWrite = 256 << 10
	// writeSize is how much that goroutine writes at once to what is no someWriter, so that
	// it can be seen to make progress.
	writeSize = 32 << 10
	// maxGather is how often one that flushes lets others run first, and gathered how many bytes
	// are enough: the next process may as well begin.
	maxGather = 4
	gathered  = 12 << 10
	// lingerTime is how long an end that leaves waits for the other to have read
	// why. If a socket is closed while unread bytes are in it, what was written last
	// may be lost (TCP answers with a reset).
	lingerTime = time.Second
	// reproachTime is how long one that has broken the protocol may take to read so:
	// those who wait for it are told only then.
	reproachTime = 100 * time.Millisecond
	// cutTime is how long who writes at the moment of a Cut may take to tell the other end.
	cutTime = 100 * time.Millisecond
)

// Flush writes what is queued, as far as it is taken without waiting. There is at
// most one flusher at a time; if there is one it takes what was queued. When more
// is left than can be taken, or more than is fair to write for others, a goroutine
// goes on and ends when nothing is left.
func (c *Conn) Flush() {
	c.out.mu.Lock()
	if !c.idleLocked() {
		c.out.mu.Unlock()
		return
	}
	c.beginLocked()
}

// idleLocked reports whether there is something to write and nobody who does.
func (c *Conn) idleLocked() bool { return !c.out.flushing && c.pendingLocked() }

// beginLocked makes the caller the flusher. It gives up the lock.
func (c *Conn) beginLocked() {
	o := &c.out
	o.flushing = true
	o.stats.flushes++
	var k *chunk
	if c.calls.Len() > 1 {
		c.gatherLocked()
		o.mu.Unlock()
		k = c.nextChunk(nil)
	} else {
		k = c.takeLocked()
		o.mu.Unlock()
	}
	left := inlineWrite
	for k != nil {
		n, err := c.t.TryWrite(k.b[k.off:k.end])
		k.off += n
		left -= n
		if err != nil {
			c.failWrite(k, err)
			return
		}
		if k.off < k.end || left <= 0 {
			c.handOver(k)
			return
		}
		k = c.nextChunk(k)
	}
}

// gatherLocked lets others run, who are about to post, as long as they do and it is not
// enough: what they add goes along. It gives up the lock meanwhile.
func (c *Conn) gatherLocked() {
	o := &c.out
	for range maxGather {
		before := o.load
		o.mu.Unlock()
		runtime.Gosched()
		o.mu.Lock()
		if o.load == before || o.enough() {
			return
		}
	}
}

// enough reports whether there is no need to wait for more before it is written.
func (o *outbox) enough() bool {
	return o.load[Control]+o.load[Reply]+o.load[Data] >= gathered
}

// holds reports whether messages to m's target are Held. It is asked with the outbox's lock,
// which whoever takes a credit needs as well: so nothing of the room that came behind the word
// to send no more goes to that target, however long ago its sender began to post it.
func (c *Conn) holds(m *wire.Message) bool { return c.Held != nil && c.Held(m.Target) }

// Sift looks again at who waits for room: of what they want to post some may be Held now.
func (c *Conn) Sift() {
	c.out.mu.Lock()
	owed := c.releaseLocked()
	c.out.mu.Unlock()
	owed.pay()
}

// FlushSoon makes sure that what is queued will be written, by a goroutine of the
// connection's own: what is posted until that runs goes along. While c's own reader is about
// to flush, that does it.
func (c *Conn) FlushSoon() {
	if c.in.flushes.Load() {
		return
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.idleLocked() {
		c.soonLocked()
	}
}

func (c *Conn) soonLocked() {
	c.out.flushing = true
	c.out.stats.flushes++
	c.wg.Add(1)
	go c.flushLoop()
}

// handOver lets a goroutine go on with k, part of which is written.
func (c *Conn) handOver(k *chunk) {
	c.handed = k
	c.out.mu.Lock()
	c.wg.Add(1)
	c.out.mu.Unlock()
	go c.flushLoop()
}

// flushRun is the flusher's goroutine: it writes and waits until nothing is left.
// The Conn's wg counts it.
func (c *Conn) flushRun() {
	defer c.wg.Done()
	k := c.handed
	c.handed = nil
	if k == nil {
		if c.calls.Len() > 1 {
			c.out.mu.Lock()
			c.gatherLocked()
			c.out.mu.Unlock()
		}
		k = c.nextChunk(nil)
	}
	for k != nil {
		for k.off < k.end {
			// Most of it is taken at once, and what waits tells Go's scheduler, which costs.
			n, err := c.t.TryWrite(k.b[k.off:k.end])
			if n == 0 && err == nil {
				c.blocked.Store(time.Now().UnixNano())
				n, err = WriteSome(c.t, k.b[k.off:k.end])
				c.blocked.Store(0)
			}
			k.off += n
			c.moved.Add(1)
			if err != nil {
				c.failWrite(k, err)
				return
			}
		}
		k = c.nextChunk(k)
	}
}

// nextChunk counts k as written, if there is one, and takes the next chunk, which may
// be k again if pieces of it are left. If there is none the caller is no longer the
// flusher.
func (c *Conn) nextChunk(k *chunk) *chunk {
	o := &c.out
	var owed debts
	o.mu.Lock()
	if k != nil && k.unfinished() && !o.shut {
		o.pauseLocked(k)
		k = nil
	}
	if k != nil {
		o.finishLocked(k)
		if !o.waiters.empty() {
			owed = c.releaseLocked() // they may wait for room here, not at the other end
		}
	}
	next := c.takeLocked()
	if next == nil {
		c.restLocked()
	}
	cut := k != nil && k.off < len(k.b) // the outbox was shut between two of its pieces
	if cut {
		o.clearing++
	}
	o.mu.Unlock()
	owed.pay()
	if k != nil {
		c.written(k)
	}
	if cut {
		c.cleared()
	}
	return next
}

// restLocked ends a flusher.
func (c *Conn) restLocked() {
	o := &c.out
	o.flushing = false
	if o.shut {
		o.idle.Broadcast()
	}
}

// written pays for a chunk that was written or dropped, and frees it.
func (c *Conn) written(k *chunk) {
	if c.options.Lost != nil && k.off < len(k.b) {
		k.lost(c.options.Lost)
	}
	k.debts.pay()
	if k.farewell {
		close(c.said)
		if c.out.hurried { // which has not changed since k was made
			_ = c.t.Close()
		}
	}
	c.out.pool.put(k)
}

// failWrite ends the outbox because k could not be written whole. The reader goes
// on, because why the other end left may still be there to be read, but not for
// long.
func (c *Conn) failWrite(k *chunk, err error) {
	o := &c.out
	o.mu.Lock()
	o.finishLocked(k)
	left := o.shutLocked()
	c.restLocked()
	o.mu.Unlock()
	c.written(k)
	left.clear(c)
	c.endSoon(err)
}
