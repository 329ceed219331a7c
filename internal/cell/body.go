package cell

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// bodies are the buffers of large bodies that nobody has kept, to be used again: as many of each
// size as were in use at a time, until the garbage collector takes them. A small body has a buffer that stays with its request.
type bodies [bodySizes]sync.Pool // of *byte, the first of a buffer

const (
	leastBody = 9 << 10
	bodySizes = 12 // up to 18 MiB; what is larger is made anew
)

// bodySize returns which size n bytes need, and how many bytes a buffer of that has.
func bodySize(n int) (size, bytes int) {
	bytes = wire.BufferSize(max(n, leastBody))
	return bits.Len(uint(bytes)) - bits.Len(leastBody), bytes
}

// get returns an empty buffer for n bytes.
func (b *bodies) get(n int) []byte {
	size, bytes := bodySize(n)
	if size >= bodySizes {
		return make([]byte, 0, n)
	}
	if first, ok := b[size].Get().(*byte); ok {
		return unsafe.Slice(first, bytes)[:0]
	}
	return make([]byte, 0, bytes)
}

// take returns the body of m as it stays, and the buffer that it is in: what m lies in, if that may
// be had for another buffer, else one that it is copied into.
func (b *bodies) take(m *wire.Message) (data, buffer []byte) {
	if lies, _, ok := m.Lies(); ok && b.has(cap(lies)) {
		m.Own.Swap(b.get(cap(lies)))
		m.Own = nil
		return m.Body[:len(m.Body):len(m.Body)], lies[:0]
	}
	data = append(b.get(len(m.Body)), m.Body...)
	return data, data[:0]
}

// has reports whether there are buffers of so many bytes.
func (b *bodies) has(n int) bool {
	size, bytes := bodySize(n)
	return size < bodySizes && bytes == n
}

// put takes back a buffer, if it is one that get has made.
func (b *bodies) put(data []byte) {
	if b.has(cap(data)) {
		size, _ := bodySize(cap(data))
		b[size].Put(unsafe.SliceData(data))
	}
}
