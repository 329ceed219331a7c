package relay

import "sync"

// chunkSize is what small frames are gathered in, and about what one write takes.
const chunkSize = 64 << 10

// depot keeps buffers between uses, so that nothing is allocated in steady state.
// It keeps at most depotKeeps of each size and lets the rest go.
type depot struct {
	mu    sync.Mutex
	small [][]byte // of chunkSize
	large [][]byte // of various sizes above it
}

const depotKeeps = 64

// get returns an empty buffer with room for n bytes.
func (d *depot) get(n int) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n <= chunkSize {
		if last := len(d.small) - 1; last >= 0 {
			b := d.small[last]
			d.small = d.small[:last]
			return b
		}
		return make([]byte, 0, chunkSize)
	}
	for i := len(d.large) - 1; i >= 0; i-- {
		if b := d.large[i]; cap(b) >= n {
			last := len(d.large) - 1
			d.large[i] = d.large[last]
			d.large = d.large[:last]
			return b
		}
	}
	return make([]byte, 0, n)
}

// put takes a buffer back; its user must not touch it again.
func (d *depot) put(b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case cap(b) == chunkSize && len(d.small) < depotKeeps:
		d.small = append(d.small, b[:0])
	case cap(b) > chunkSize && len(d.large) < depotKeeps:
		d.large = append(d.large, b[:0])
	}
}
