// Package mailbox is an actor's inbox: a bounded queue.
//
// It is bounded in messages and in bytes, and what counts is not what waits but
// what is charged: a message is charged from the moment it is pushed until its
// handler has ended and Release gives its room back. Leaving the queue, by Pop,
// Remove or Drain, gives nothing back. So a slow handler fills its own inbox, and
// the memory behind its messages is bounded as well.
//
// A full queue refuses the newest message and never drops one it has admitted.
package mailbox

import "cmp"

// The bounds of a queue whose Limits say nothing.
const (
	DefaultMessages = 8192    // charged
	DefaultBytes    = 8 << 20 // charged
)

// Limits bound a queue. They belong to Push, not to the queue, so
// that a million queues of one kind share them.
type Limits struct {
	Messages int // how many may be charged; 0: DefaultMessages
	Bytes    int // how many bytes may be charged; 0: DefaultBytes
}

// Bounds returns the bounds with the defaults where l says nothing.
func (l Limits) Bounds() (messages, bytes int) {
	return cmp.Or(l.Messages, DefaultMessages), cmp.Or(l.Bytes, DefaultBytes)
}

// Queue is a bounded queue of T. The zero Queue is ready and holds nothing but its
// own 64 bytes until the first push. Once it is empty again it keeps up to 16 entries for
// each lane it used, which Trim lets go too.
//
// A Queue is not safe for concurrent use: its owner holds a lock.
type Queue[T any] struct {
	data     lane[T]
	front    *lane[T]   // what overtakes; few queues ever need one: nil until then
	memory   *Chunks[T] // see Share
	messages int        // charged
	bytes    int        // charged
}

// Share has the queue take its memory from what others have given back. It is to be
// called before the first push.
func (q *Queue[T]) Share(memory *Chunks[T]) { q.memory = memory }

// Push adds item at the end and reports whether there was room. It
// is charged with one message and size bytes (not negative) until Release. With
// force there is always room: for what is bounded elsewhere, as chained calls,
// downs and timers are. It is charged all the same, and so takes room from others.
//
// A message larger than l.Bytes as a whole has room when nothing waits and no
// more than l.Bytes is charged: it can be delivered, and what is charged without
// force stays below l.Bytes and one message.
func (q *Queue[T]) Push(item *T, size int, l Limits, force bool) bool {
	if !force && !q.room(size, l) {
		return false
	}
	q.messages++
	q.bytes += size
	q.data.push(item, q.memory)
	return true
}

// PushPast is Push, without force, as if n of the messages that are charged,
// with so many bytes in all, had been released: those that their owner is done with.
// Until they are, what is charged may exceed l by as much.
func (q *Queue[T]) PushPast(n, bytes int, item *T, size int, l Limits) bool {
	q.messages -= n
	q.bytes -= bytes
	ok := q.Push(item, size, l, false)
	q.messages += n
	q.bytes += bytes
	return ok
}

func (q *Queue[T]) room(size int, l Limits) bool {
	l.Messages, l.Bytes = l.Bounds()
	if q.messages >= l.Messages {
		return false
	}
	if size > l.Bytes {
		return q.Len() == 0 && q.bytes <= l.Bytes
	}
	return size <= l.Bytes-q.bytes
}

// PushFront adds item before all that came by Push and behind what
// came by PushFront, so that those who overtake keep their order. It is admitted
// above the bound and charged as by Push. It is for a call whose chain already
// waits inside this very actor: behind the others it might wait for itself.
func (q *Queue[T]) PushFront(item *T, size int) {
	q.messages++
	q.bytes += size
	if q.front == nil {
		q.front = new(lane[T])
	}
	q.front.push(item, q.memory)
}

// Pop takes the next message: what overtakes first, then the others in
// order. It stays charged until Release.
func (q *Queue[T]) Pop() (item T, ok bool) {
	var one [1]T
	ok = q.Take(one[:]) > 0
	return one[0], ok
}

// Take is Pop for many: it moves the next messages into dst, as many as there are and
// it has room for, and returns how many. Large messages are moved once, where each Pop
// would copy its one on the way.
func (q *Queue[T]) Take(dst []T) (n int) {
	if q.front != nil {
		n = q.front.pop(dst, q.memory)
	}
	return n + q.data.pop(dst[n:], q.memory)
}

// PopFront takes the next message that came by PushFront, for an owner that starts
// no others just now. It stays charged until Release.
func (q *Queue[T]) PopFront() (item T, ok bool) {
	if q.front == nil {
		return item, false
	}
	var one [1]T
	n := q.front.pop(one[:], q.memory)
	return one[0], n > 0
}

// Fronts returns how many messages that came by PushFront wait.
func (q *Queue[T]) Fronts() int {
	if q.front == nil {
		return 0
	}
	return int(q.front.n)
}

// Release gives back the room of n messages that have left the queue, with
// the sizes they were pushed with, in all: when their handlers have ended, or when they will never
// have one. It panics if that was not charged, since from then on the bounds
// would be wrong.
func (q *Queue[T]) Release(n, bytes int) {
	if q.messages < n || q.bytes < bytes {
		panic("mailbox: release of more than was charged: each message is released once")
	}
	q.messages -= n
	q.bytes -= bytes
}

// Remove takes the first message that match chooses, in the order of Pop,
// wherever it waits: for a call its caller gave up. It stays charged until
// Release. match must not use the queue. The time it takes grows with what waits.
func (q *Queue[T]) Remove(match func(T) bool) (item T, ok bool) {
	if q.front != nil {
		if item, ok = q.front.remove(match, q.memory); ok {
			return item, true
		}
	}
	return q.data.remove(match, q.memory)
}

// Len returns how many messages wait.
func (q *Queue[T]) Len() int { return q.Fronts() + int(q.data.n) }

// Charged returns the messages, and their bytes, that were pushed and not
// yet released.
func (q *Queue[T]) Charged() (messages, bytes int) { return q.messages, q.bytes }

// Drain takes every message, in the order of Pop, calls f for each and lets all
// memory go. They stay charged until Release, which f may call; f must not push.
func (q *Queue[T]) Drain(f func(T)) {
	for {
		item, ok := q.Pop()
		if !ok {
			break
		}
		f(item)
	}
	q.Trim()
}

// Trim lets go the buffers of empty lanes, for an actor that comes to rest.
func (q *Queue[T]) Trim() {
	q.data.trim(q.memory)
	if q.front != nil && q.front.n == 0 {
		q.front.trim(q.memory)
		q.front = nil
	}
}
