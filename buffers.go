package arbiter

import "sync"

// buffers are byte slices to encode into, of one arbiter.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

// maxPooled is how large a buffer may have grown and still be kept.
const maxPooled = 64 << 10

// put takes back b, which grew from *buf.
func (p *buffers) put(buf *[]byte, b []byte) {
	if cap(b) <= maxPooled {
		*buf = b[:0]
		p.pool.Put(buf)
	}
}
