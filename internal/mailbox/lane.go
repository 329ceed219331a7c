package mailbox

import "sync"

// perChunk is how many entries a chunk has: so few that an inbox in which one message
// waits is small, and so many that a deep one seldom needs another.
const perChunk = 16

// chunk is a piece of a lane.
type chunk[T any] struct {
	items [perChunk]T
	next  *chunk[T]
}

// Chunks are the memory of all queues of one owner that is not in use. So a queue may
// grow deep and empty itself all day, and nothing is allocated or copied for that, nor
// kept by one that rests. The zero value is ready. It may be used concurrently.
type Chunks[T any] struct{ pool sync.Pool }

func (c *Chunks[T]) get() *chunk[T] {
	if c != nil {
		if have, ok := c.pool.Get().(*chunk[T]); ok {
			return have
		}
	}
	return new(chunk[T])
}

// put takes back a chunk whose entries were all taken.
func (c *Chunks[T]) put(k *chunk[T]) {
	if c != nil {
		k.next = nil
		c.pool.Put(k)
	}
}

// lane is a first-in first-out buffer: a list of chunks. The zero lane is ready and
// holds nothing; one that is empty holds one chunk, until trim.
type lane[T any] struct {
	head, tail *chunk[T] // nil: it was never used, or was trimmed
	first      uint32    // where the oldest entry is in head
	n          uint32    // how many entries there are
}

func (r *lane[T]) push(item *T, memory *Chunks[T]) {
	end := (r.first + r.n) % perChunk
	switch {
	case r.head == nil:
		r.head = memory.get()
		r.tail = r.head
	case end == 0 && r.first+r.n > 0:
		r.tail.next = memory.get()
		r.tail = r.tail.next
	}
	r.tail.items[end] = *item
	r.n++
}

// pop moves the oldest entries into dst, as many as it takes, and returns how many
// those are.
func (r *lane[T]) pop(dst []T, memory *Chunks[T]) (n int) {
	for n < len(dst) && r.n > 0 {
		these := r.head.items[r.first:min(perChunk, r.first+r.n)]
		moved := copy(dst[n:], these)
		clear(these[:moved]) // what left the queue is not kept alive by it
		n += moved
		r.first += uint32(moved)
		r.n -= uint32(moved)
		switch {
		case r.n == 0:
			r.first = 0
		case r.first == perChunk:
			emptied := r.head
			r.head, r.first = emptied.next, 0
			memory.put(emptied)
		}
	}
	return n
}

// behead takes out the oldest chunk, which holds the oldest n entries and none beside them.
func (r *lane[T]) behead(n uint32) *chunk[T] {
	k := r.head
	if r.n -= n; r.n == 0 {
		*r = lane[T]{}
		return k
	}
	r.head, r.first = k.next, 0
	k.next = nil
	return k
}

// trim gives back what an empty lane holds.
func (r *lane[T]) trim(memory *Chunks[T]) {
	if r.n == 0 && r.head != nil {
		memory.put(r.head)
		*r = lane[T]{}
	}
}

// each yields the entries, the oldest first.
func (r *lane[T]) each(yield func(item *T) bool) {
	k, i := r.head, r.first
	for range r.n {
		if i == perChunk {
			k, i = k.next, 0
		}
		if !yield(&k.items[i]) {
			return
		}
		i++
	}
}

// remove takes the first entry that match chooses.
func (r *lane[T]) remove(match func(T) bool, memory *Chunks[T]) (item T, ok bool) {
	at := 0
	for entry := range r.each {
		if ok = match(*entry); ok {
			break
		}
		at++
	}
	if !ok {
		return item, false
	}
	// Whatever is older moves back by one: what is canceled is most often near the
	// head.
	for entry := range r.each {
		item, *entry = *entry, item
		if at--; at < 0 {
			break
		}
	}
	var gap [1]T // is the oldest now
	r.pop(gap[:], memory)
	return item, true
}
