// Package mailbox is an actor's inbox: a bounded queue with two classes, of which
// control is always taken first.
//
// Data is bounded in messages and in bytes, and what counts is not what waits but
// what is charged: a message is charged from the moment it is pushed until its
// handler has ended and Release gives its room back. Leaving the queue, by Pop,
// Remove or Drain, gives nothing back. So a slow handler fills its own inbox, and
// the memory behind its messages is bounded as well.
//
// Control is bounded in messages that wait, apart from data, and is not charged:
// a full inbox still takes a stop, and a flood of pings takes no room from data.
//
// A full queue refuses the newest message and never drops one it has admitted.
package mailbox

import "cmp"

// Class says which bound a message comes under and when its turn is.
type Class uint8

// The classes, in the order in which they are taken.
const (
	Control Class = iota // ping, info, stop: taken before any data, never charged
	Data                 // everything else, charged until Release
)

// The bounds of a queue whose Limits say nothing, and of its control.
const (
	DefaultMessages = 8192    // data messages charged
	DefaultBytes    = 8 << 20 // bytes of data charged
	ControlMessages = 1024    // control messages waiting, whatever the Limits
)

// Limits bounds the data of a queue. They belong to Push, not to the queue, so
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
	rare     *rare[T]   // few queues ever need one: nil until then
	memory   *Chunks[T] // see Share
	messages int        // charged
	bytes    int        // charged
}

// rare are the lanes that few queues have something in.
type rare[T any] struct {
	control lane[T]
	front   lane[T] // data that overtakes
}

// has reports whether any of the lanes has something.
func (r *rare[T]) has() bool { return r != nil && r.control.n+r.front.n > 0 }

// Share has the queue take its memory from what others have given back. It is to be
// called before the first push.
func (q *Queue[T]) Share(memory *Chunks[T]) { q.memory = memory }

func (q *Queue[T]) rarely() *rare[T] {
	if q.rare == nil {
		q.rare = new(rare[T])
	}
	return q.rare
}

// Push adds item at the end of its class and reports whether there was room. Data
// is charged with one message and size bytes (not negative) until Release. With
// force there is always room: for what is bounded elsewhere, as chained calls,
// downs and timers are. It is charged all the same, and so takes room from others.
//
// A message larger than l.Bytes as a whole has room when no data waits and no
// more than l.Bytes is charged: it can be delivered, and what is charged without
// force stays below l.Bytes and one message.
func (q *Queue[T]) Push(c Class, item *T, size int, l Limits, force bool) bool {
	if c == Control {
		return q.pushControl(item, force)
	}
	if !force && !q.room(size, l) {
		return false
	}
	q.messages++
	q.bytes += size
	q.data.push(item, q.memory)
	return true
}

// PushPast is Push, of data and without force, as if n of the messages that are charged,
// with so many bytes in all, had been released: those that their owner is done with.
// Until they are, what is charged may exceed l by as much.
func (q *Queue[T]) PushPast(n, bytes int, item *T, size int, l Limits) bool {
	q.messages -= n
	q.bytes -= bytes
	ok := q.Push(Data, item, size, l, false)
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
		return q.Waiting(Data) == 0 && q.bytes <= l.Bytes
	}
	return size <= l.Bytes-q.bytes
}

func (q *Queue[T]) pushControl(item *T, force bool) bool {
	control := &q.rarely().control
	if !force && control.n >= ControlMessages {
		return false
	}
	control.push(item, q.memory)
	return true
}

// PushFront adds item, as data, before all data that came by Push and behind what
// came by PushFront, so that those who overtake keep their order. It is admitted
// above the bound and charged as by Push. It is for a call whose chain already
// waits inside this very actor: behind the others it might wait for itself.
func (q *Queue[T]) PushFront(item *T, size int) {
	q.messages++
	q.bytes += size
	q.rarely().front.push(item, q.memory)
}

// Pop takes the next message: control first, then what overtakes, then data in
// order. What it takes of data stays charged until Release; control is not
// charged and not to be released.
func (q *Queue[T]) Pop() (item T, ok bool) {
	var one [1]T
	ok = q.Take(one[:]) > 0
	return one[0], ok
}

// Take is Pop for many: it moves the next messages into dst, as many as there are and
// it has room for, and returns how many. Large messages are moved once, where each Pop
// would copy its one on the way.
func (q *Queue[T]) Take(dst []T) (n int) {
	if q.rare != nil {
		n = q.rare.control.pop(dst, q.memory)
		n += q.rare.front.pop(dst[n:], q.memory)
	}
	return n + q.data.pop(dst[n:], q.memory)
}

// PopControl takes the next control message, for an owner whose handler's turn
// is taken: control is answered meanwhile.
func (q *Queue[T]) PopControl() (item T, ok bool) {
	if q.rare == nil {
		return item, false
	}
	return q.one(&q.rare.control)
}

// PopData takes the next data message, which stays charged until Release.
func (q *Queue[T]) PopData() (item T, ok bool) {
	if item, ok = q.PopFront(); ok {
		return item, true
	}
	return q.one(&q.data)
}

// PopFront takes the next message that came by PushFront, for an owner that starts
// no others just now. It stays charged until Release.
func (q *Queue[T]) PopFront() (item T, ok bool) {
	if q.rare == nil {
		return item, false
	}
	return q.one(&q.rare.front)
}

func (q *Queue[T]) one(from *lane[T]) (T, bool) {
	var one [1]T
	n := from.pop(one[:], q.memory)
	return one[0], n > 0
}

// Fronts returns how many messages that came by PushFront wait.
func (q *Queue[T]) Fronts() int {
	if q.rare == nil {
		return 0
	}
	return int(q.rare.front.n)
}

// Release gives back the room of n data messages that have left the queue, with
// the sizes they were pushed with, in all: when their handlers have ended, or when they will never
// have one. It panics if that was not charged, since from then on the bounds
// would be wrong.
func (q *Queue[T]) Release(n, bytes int) {
	if q.messages < n || q.bytes < bytes {
		panic("mailbox: release of more than was charged: each data message is released once, control never")
	}
	q.messages -= n
	q.bytes -= bytes
}

// Remove takes the first data message that match chooses, in the order of Pop,
// wherever it waits: for a call its caller gave up. It stays charged until
// Release. Control is not searched; it is answered at once anyway. match must not
// use the queue. The time it takes grows with what waits.
func (q *Queue[T]) Remove(match func(T) bool) (item T, ok bool) {
	if q.rare != nil {
		if item, ok = q.rare.front.remove(match, q.memory); ok {
			return item, true
		}
	}
	return q.data.remove(match, q.memory)
}

// Len returns how many messages wait, of both classes.
func (q *Queue[T]) Len() int { return q.Waiting(Control) + q.Waiting(Data) }

// Waiting returns how many messages of class c wait.
func (q *Queue[T]) Waiting(c Class) int {
	if c == Control {
		if q.rare == nil {
			return 0
		}
		return int(q.rare.control.n)
	}
	return q.Fronts() + int(q.data.n)
}

// Charged returns the data messages, and their bytes, that were pushed and not
// yet released.
func (q *Queue[T]) Charged() (messages, bytes int) { return q.messages, q.bytes }

// Drain takes every message, in the order of Pop, calls f for each and lets all
// memory go. Data stays charged until Release, which f may call; f must not push.
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
	if q.rare != nil && q.rare.control.n == 0 && q.rare.front.n == 0 {
		q.rare.control.trim(q.memory)
		q.rare.front.trim(q.memory)
		q.rare = nil
	}
}
