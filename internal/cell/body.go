package cell

import (
	"math/bits"
	"sync"
	"unsafe"
)

// bodies are the buffers of large bodies that nobody has kept, to be used again: as many of each
// size as were in use at a time, until the garbage collector takes them. A small body has a buffer that stays with its request.
type bodies [bodySizes]sync.Pool // of *byte, the first of a buffer

// A buffer is of a power of two and an eighth, so that what is of a power of two has its head, too.
const (
	leastBody = 8 << 10
	bodySizes = 12 // up to 18 MiB; what is larger is made anew
)

// bodySize returns which size n bytes need.
func bodySize(n int) int { return bits.Len(uint((n*8+8)/9-1) / leastBody) }

// bodyCap returns how many bytes a buffer of a size has.
func bodyCap(size int) int { return leastBody << size / 8 * 9 }

// get returns an empty buffer for n bytes.
func (b *bodies) get(n int) []byte {
	size := bodySize(n)
	if size >= bodySizes {
		return make([]byte, 0, n)
	}
	if first, ok := b[size].Get().(*byte); ok {
		return unsafe.Slice(first, bodyCap(size))[:0]
	}
	return make([]byte, 0, bodyCap(size))
}

// put takes back a buffer, if it is one that get has made.
func (b *bodies) put(data []byte) {
	if size := bodySize(cap(data)); size < bodySizes && cap(data) == bodyCap(size) {
		b[size].Put(unsafe.SliceData(data))
	}
}
