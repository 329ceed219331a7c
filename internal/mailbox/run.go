package mailbox

// MaxRun is how many messages a Run has at most.
const MaxRun = 64

// Run is messages that left a queue together. They stay in the memory they waited in:
// nothing is copied, so that whoever takes them, with the queue's lock, is soon done, and
// does not read there what another processor has just written. The zero value has none.
//
// A Run belongs to who took it, who gives its memory back with Queue.Free.
type Run[T any] struct {
	chunks [MaxRun/perChunk + 1]*chunk[T] // all full, but for the first's beginning and the last's end
	first  int                            // where the oldest message is in the first
	n      int
}

// Len returns how many messages r has.
func (r *Run[T]) Len() int { return r.n }

// At returns the message i, the oldest being 0.
func (r *Run[T]) At(i int) *T {
	i += r.first
	return &r.chunks[i/perChunk].items[i%perChunk]
}

// TakeRun moves the next messages into r, which has none: at least one if there are any, at
// most so many, which is at least one, and not more than MaxRun; perhaps fewer than there
// are. It is Pop for many.
func (q *Queue[T]) TakeRun(r *Run[T], most int) {
	most = min(most, MaxRun)
	if q.Fronts() > 0 || int(q.data.n) > most && int(perChunk-q.data.first) > most {
		// Of several lanes, or part of a chunk: they are moved.
		k := q.memory.get()
		if r.n = q.Take(k.items[:min(most, perChunk)]); r.n > 0 {
			r.chunks[0] = k
			return
		}
		q.memory.put(k)
		return
	}
	r.first = int(q.data.first)
	for i := 0; q.data.n > 0; i++ {
		n := min(perChunk-q.data.first, q.data.n)
		if r.n+int(n) > most {
			return
		}
		r.chunks[i] = q.data.behead(n)
		r.n += int(n)
	}
}

// Free gives the memory of r back, which has none then. Other than all other methods of a
// Queue it needs no lock.
func (q *Queue[T]) Free(r *Run[T]) {
	for i := 0; r.n > 0; i++ {
		k := r.chunks[i]
		n := min(perChunk-r.first, r.n)
		clear(k.items[r.first : r.first+n])
		q.memory.put(k)
		r.chunks[i], r.first = nil, 0
		r.n -= n
	}
}
