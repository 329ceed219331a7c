package peer

import (
	"unsafe"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// held is the data that the other end's window has no room for yet: frames in the
// order posted, and a record of each.
type held struct {
	frames lane
	off    int // bytes of the first chunk that were taken already

	records []record // records[first:] are held
	first   int
	counted int // how many of them there is room for in the purse
	calls   int // how many of them are requests that Calls knows
}

// record is one held frame.
type record struct {
	size   int    // of the frame, in bytes
	cost   int    // of the other end's window; 0: an Ordered one
	call   uint64 // its id in Calls; 0: it is not there
	place  uint64 // in the data stream
	charge Charge
}

// recordSize is what one record takes, in bytes, and manyRecords how many are counted at
// once.
const (
	recordSize  = int(unsafe.Sizeof(record{}))
	manyRecords = 64
)

func (h *held) len() int { return len(h.records) - h.first }

// head returns the record of the first frame. There must be one.
func (h *held) head() *record { return &h.records[h.first] }

// reserve returns the chunk to write the frame of r, which is for m, to, and keeps r.
func (h *held) reserve(r record, pool *purse, m *wire.Message) *chunk {
	if h.len() == h.counted {
		h.count(manyRecords, pool)
	}
	if h.first == len(h.records) {
		if h.records == nil {
			h.records = pool.pool.getRecords()
		}
		h.records, h.first = h.records[:0], 0
	} else if len(h.records) == cap(h.records) && h.first > len(h.records)/2 {
		n := copy(h.records, h.records[h.first:])
		clear(h.records[n:])
		h.records, h.first = h.records[:n], 0
	}
	h.records = append(h.records, r)
	if r.call != 0 {
		h.calls++
	}
	return h.frames.reserve(r.size, pool, m)
}

// count counts the memory of n records more, or fewer.
func (h *held) count(n int, pool *purse) {
	h.counted += n
	pool.count(n * recordSize)
}

// next takes the first frame out: its record, its bytes, and their chunk if the
// frame is the only one in it, which is then the caller's; otherwise the bytes
// are valid until done is called.
func (h *held) next(pool *purse) (r record, b []byte, own *chunk) {
	r = h.records[h.first]
	h.records[h.first] = record{} // keeps no Conn alive
	h.first++
	if h.counted-h.len() >= 2*manyRecords {
		h.count(-manyRecords, pool)
	}
	if r.call != 0 {
		h.calls--
	}
	c := h.frames.head
	if c.sole {
		return r, c.b[c.at:], h.frames.pop()
	}
	if h.off == 0 && len(c.b) == r.size && r.size > smallChunk {
		return r, c.b, h.frames.pop()
	}
	b = c.b[h.off : h.off+r.size]
	h.off += r.size
	return r, b, nil
}

// done frees what next has used up.
func (h *held) done(pool *purse) {
	if c := h.frames.head; c != nil && h.off == len(c.b) {
		pool.put(h.frames.pop())
		h.off = 0
	}
	if h.len() == 0 {
		h.count(-h.counted, pool)
	}
	if h.first == len(h.records) && cap(h.records) > 16 {
		pool.pool.putRecords(h.records) // nothing is held at rest
		h.records, h.first = nil, 0
	}
}
