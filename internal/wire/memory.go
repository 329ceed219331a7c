package wire

import "math/bits"

// Memory is what a message lies in that was put together for it alone. Who takes the message on
// may take that as well, instead of a copy of the body.
type Memory struct{ b []byte }

// NewMemory returns b, which ends with a message.
func NewMemory(b []byte) *Memory { return &Memory{b} }

// Swap returns the memory, which is the caller's from now on, and what lies there stays valid;
// other takes its place, for the next message. It is as large, or nil.
func (o *Memory) Swap(other []byte) []byte {
	b := o.b
	o.b = other
	return b
}

// Lies returns the memory that m lies in, and where in it the body begins, if whoever takes m on
// may have it: it is less than twice as large as what is in it, or what is kept of small messages
// would be as much as of the largest before them.
func (m *Message) Lies() (b []byte, body int, ok bool) {
	if m.Own == nil || len(m.Body) == 0 || len(m.Tail) > 0 {
		return nil, 0, false
	}
	b = m.Own.b
	body = len(b) - len(m.Body)
	return b, body, body >= 0 && cap(b) < 2*len(b) && &b[body] == &m.Body[0]
}

// BufferSize is how large a buffer for n bytes is made that will be used again, for other messages
// and by others: a power of two and an eighth, so that what is of a power of two has its header,
// too. It is 9 at least.
func BufferSize(n int) int { return 9 << (max(3, bits.Len(uint(n-n/9-1))) - 3) }
