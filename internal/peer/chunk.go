package peer

import (
	"math/bits"
	"sync"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

const (
	smallChunk = 4 << 10   // bytes of the chunk of a lane that was empty
	largeChunk = 128 << 10 // of one in a busy lane
	// A frame that does not fit into a large chunk has one of its own, pooled up to
	// maxPooled, in sizes that are those of what large messages are read into.
	maxPooled = 9 << 19

	sizes = 7 // classes of chunks: small, large, 288 KiB ... 4.5 MiB
)

// Pool keeps the buffers of outboxes and readers that are not in use. An arbiter gives one to
// all its connections (Options.Pool); any number may use it at once. The zero
// value is ready.
type Pool struct {
	classes [sizes]sync.Pool // of *chunk
	records sync.Pool        // of *[]record, empty
	runs    sync.Pool        // of *Run, likewise
	frames  frame.Buffers
}

// maxRecords is how many records a list may have room for and still be kept.
const maxRecords = 16 << 10

func (p *Pool) getRecords() []record {
	if r, ok := p.records.Get().(*[]record); ok {
		return *r
	}
	return nil
}

// putRecords takes back a list whose records were all cleared.
func (p *Pool) putRecords(r []record) {
	if cap(r) <= maxRecords {
		r = r[:0]
		p.records.Put(&r)
	}
}

// class returns the class of chunks that hold n bytes, and their size; -1 for a
// size that is not pooled.
func class(n int) (int, int) {
	switch {
	case n <= smallChunk:
		return 0, smallChunk
	case n <= largeChunk:
		return 1, largeChunk
	case n > maxPooled:
		return -1, n
	}
	size := wire.BufferSize(max(n, 2*largeChunk))
	return bits.Len(uint(size)) - 17, size
}

// get returns an empty chunk with room for n bytes.
func (p *Pool) get(n int) *chunk {
	k, size := class(n)
	if k >= 0 {
		if c, ok := p.classes[k].Get().(*chunk); ok {
			return c
		}
	}
	return &chunk{b: make([]byte, 0, size), class: int8(k)}
}

// put takes back a chunk that nobody refers to.
func (p *Pool) put(c *chunk) {
	if c.class < 0 {
		return
	}
	clear(c.debts)
	*c = chunk{b: c.b[:0], class: c.class, debts: c.debts[:0]}
	p.classes[c.class].Put(c)
}

// chunk is some whole frames in one buffer. It belongs to a lane, or to the
// flusher that took it from there.
type chunk struct {
	b     []byte
	class int8
	next  *chunk

	load  [classes]int // what its messages count for in the outbox's bounds
	debts debts        // to be paid when it is written or dropped

	// Of the messages of the data lane, which follow those of other lanes:
	dataAt   int    // where in b they begin
	data     int    // how many there are
	requests int    // how many of these are requests
	last     uint64 // the place of the last one in the data stream; 0: there is none

	frames   int  // for the counters
	farewell bool // it is the last one of the connection
	sole     bool // it is one large frame, which begins at …
	at       int  // … this
	body     int  // where its body is already; 0: nowhere

	// Owned by the flusher:
	off  int // b[:off] is written, or not to be
	end  int // as far as it is to be written before the outbox is asked what is next
	from int // where off was when the flusher took it
	lane Class
}

func (c *chunk) room() int { return cap(c.b) - len(c.b) }

// join adds the frames of d, of a lower lane, behind those of c and returns the
// chunk that has both; the other one is emptied, for the pool. It returns nil if
// neither has the room.
func join(c, d *chunk) (both, rest *chunk) {
	n, k := len(c.b), len(d.b)
	switch {
	case k <= c.room():
		c.b = append(c.b, d.b...)
		both, rest = c, d
	case n <= d.room():
		d.b = d.b[:n+k]
		copy(d.b[n:], d.b[:k])
		copy(d.b, c.b)
		both, rest = d, c
	default:
		return nil, nil
	}
	// Of the two, only d may have data.
	dataAt, data, last := n+d.dataAt, d.data, d.last
	for i := range both.load {
		both.load[i] += rest.load[i]
	}
	both.debts = append(both.debts, rest.debts...)
	both.frames += rest.frames
	both.dataAt, both.data, both.last, both.requests = dataAt, data, last, c.requests+d.requests
	return both, rest
}

// lane is a queue of chunks.
type lane struct {
	head, tail *chunk
	busy       bool // the last chunk taken was full enough that a large one pays
}

// reserve returns the chunk to write a frame of n bytes to. It may be what m lies in, which the
// frame is for, if that is known.
func (l *lane) reserve(n int, pool *purse, m *wire.Message) *chunk {
	t := l.tail
	if t != nil && !t.sole && n <= t.room() {
		return t
	}
	switch {
	case n <= smallChunk && (t == nil && !l.busy || pool.tight()):
		return l.push(pool.get(n))
	case n <= largeChunk && pool.tight():
		return l.push(pool.exact(n)) // what may be of use later costs too much now
	case t != nil && t.class == 0 && len(t.b)+n <= largeChunk:
		// The small chunk grows: one write instead of two. It changes its buffer with
		// that of a large one, so that it keeps its place.
		g := pool.get(largeChunk)
		g.b = append(g.b, t.b...)
		t.b, g.b = g.b, t.b
		t.class, g.class = g.class, t.class
		pool.put(g)
		return t
	case n <= largeChunk:
		return l.push(pool.get(largeChunk))
	}
	c := pool.adopt(n, m)
	if c == nil {
		c = pool.get(soleAt + n)
		c.at = soleAt
	}
	c.sole = true
	c.b, c.off = c.b[:c.at], c.at
	return l.push(c)
}

// write appends m, of size bytes, as a frame. The chunk was reserved for it.
func (c *chunk) write(m *wire.Message, size int) {
	if c.body == 0 {
		c.b = m.Append(frame.AppendBinary(c.b, size))
		return
	}
	var room [maxHead]byte // what m's names are in is written over
	head := *m
	head.Body = nil
	c.b = append(c.b, head.Append(frame.AppendBinary(room[:0], size))...)
	c.b = c.b[:c.body+len(m.Body)]
}

func (l *lane) push(c *chunk) *chunk {
	if l.tail == nil {
		l.head = c
	} else {
		l.tail.next = c
	}
	l.tail = c
	return c
}

// unpop puts a chunk back that was taken.
func (l *lane) unpop(c *chunk) {
	if c.next = l.head; l.head == nil {
		l.tail = c
	}
	l.head = c
}

// pop takes the first chunk.
func (l *lane) pop() *chunk {
	c := l.head
	if c == nil {
		return nil
	}
	if l.head = c.next; l.head == nil {
		l.tail = nil
	}
	c.next = nil
	l.busy = len(c.b) > smallChunk/2
	return c
}
