package pickle

import "unsafe"

// store is what the values of one message are allocated from, many at a time: an
// allocation by itself costs more than most values, and the garbage collector looks
// at each.
type store struct {
	lists   slab[List]
	tuples  slab[Tuple]
	dicts   slab[Dict]
	objects slab[Object]
	globals slab[Global]
	dates   slab[Date]
	values  []Value // not used yet
	texts   []byte  // used up to its length
	slots   int     // how many the last values had
	scratch []byte  // of an int, as long as Limits allow one
}

// slab is values of one type: 1, then twice as many each time, so that never more
// than half of them are for nothing.
type slab[T any] struct {
	free []T
	size int
}

const (
	maxSlab   = 64       // values of a slab
	fewItems  = 8        // items of what shares an allocation with others
	textChunk = 64 << 10 // bytes of text that share one
)

// take returns a T that is zero. It was paid for.
func take[T any](s *slab[T]) *T {
	if len(s.free) == 0 {
		s.size = min(max(1, 2*s.size), maxSlab)
		s.free = make([]T, s.size)
	}
	t := &s.free[0]
	s.free = s.free[1:]
	return t
}

// few returns room for n items, which were paid for.
func (s *store) few(n int) []Value {
	if n > fewItems {
		return make([]Value, 0, n)
	}
	if n > len(s.values) {
		s.slots = min(max(n, 2*s.slots), 2*maxSlab)
		s.values = make([]Value, s.slots)
	}
	items := s.values[:0:n]
	s.values = s.values[n:]
	return items
}

// copyText returns a copy of b, which stands before the position of d. Texts are not
// paid for: they have as many bytes as the message at most, and what is left of a chunk
// is little.
func (d *decoder) copyText(b []byte) string {
	n := len(b)
	if n > textChunk/8 { // what is left of the chunk is for others
		return string(b)
	}
	t := &d.store.texts
	if n > cap(*t)-len(*t) {
		*t = make([]byte, 0, min(textChunk, n+len(d.data)-d.pos))
	}
	at := len(*t)
	*t = append(*t, b...)
	return unsafe.String(unsafe.SliceData((*t)[at:]), n) // nobody changes it any more
}
