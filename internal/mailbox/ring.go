package mailbox

import "unsafe"

const (
	minRing = 4    // entries of a ring's first buffer
	keep    = 2048 // bytes of buffer an empty ring may hold on to
)

// ring is a first-in first-out buffer that doubles when it is full and gives
// memory back as it empties. The zero ring is ready and holds nothing.
type ring[T any] struct {
	buf  []T    // its length is 0 or a power of two
	head uint32 // where the oldest entry is
	n    uint32 // how many entries there are
}

func (r *ring[T]) push(item T) {
	if int(r.n) == len(r.buf) {
		r.grow()
	}
	r.buf[int(r.head+r.n)&(len(r.buf)-1)] = item
	r.n++
}

// pop returns the oldest entry. The caller knows that there is one.
func (r *ring[T]) pop() T {
	var none T
	slot := &r.buf[int(r.head)&(len(r.buf)-1)]
	item := *slot
	*slot = none // what left the queue is not kept alive by it
	r.head++
	r.n--
	if int(r.n) <= len(r.buf)>>3 {
		r.shrink()
	}
	return item
}

func (r *ring[T]) grow() { r.resize(max(minRing, 2*len(r.buf))) }

// shrink gives memory back after a burst: to a quarter, which is at most half
// full, so that it pays for itself over the pops and pushes in between, and
// wholly when nothing is left. A small buffer stays, so that a queue which is
// filled and emptied all day allocates nothing.
func (r *ring[T]) shrink() {
	var none T
	switch {
	case len(r.buf)*int(unsafe.Sizeof(none)) <= keep || len(r.buf) <= minRing:
	case r.n == 0:
		r.buf, r.head = nil, 0
	default:
		r.resize(max(minRing, len(r.buf)/4))
	}
}

func (r *ring[T]) resize(size int) {
	buf := make([]T, size)
	for i := range int(r.n) {
		buf[i] = *r.at(i)
	}
	r.buf, r.head = buf, 0
}

// at returns the i-th entry, counted from the oldest.
func (r *ring[T]) at(i int) *T {
	return &r.buf[(int(r.head)+i)&(len(r.buf)-1)]
}

// remove takes the first entry that match chooses.
func (r *ring[T]) remove(match func(T) bool) (item T, ok bool) {
	for i := range int(r.n) {
		if !match(*r.at(i)) {
			continue
		}
		// Whatever is older moves back by one: what is canceled is most often
		// near the head.
		item = *r.at(i)
		for ; i > 0; i-- {
			*r.at(i) = *r.at(i - 1)
		}
		r.pop()
		return item, true
	}
	return item, false
}
