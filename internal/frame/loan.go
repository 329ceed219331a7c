package frame

import (
	"math/bits"
	"sync"
)

// Buffers are what Readers read into, for all that share them: one that waits, and has
// nothing in its buffer, has none (Options.Buffers). The zero value is ready, and any number
// may use it at once.
type Buffers struct {
	classes [4]sync.Pool // of *buffer: 4, 16, 64 and 256 KiB
}

type buffer struct{ b []byte }

// sizeClass returns which of the classes has buffers of size bytes: those that a Reader grows to.
func sizeClass(size int) int { return bits.TrailingZeros(uint(size/minBuffer)) / 2 }

func (p *Buffers) get(size int) *buffer {
	if b, ok := p.classes[sizeClass(size)].Get().(*buffer); ok {
		return b
	}
	return &buffer{make([]byte, size)}
}

func (p *Buffers) put(b *buffer) { p.classes[sizeClass(len(b.b))].Put(b) }

// Patient is a stream that is told where to read to when there is something to be read, and
// not before.
type Patient interface {
	// ReadLoan is Read into what l.Take returns. Before it waits it calls l.Return, also
	// after a Take.
	ReadLoan(l Loan) (n int, err error)
}

// Loan is the buffer of a Reader, for one read.
type Loan struct{ of *Reader }

// Take returns where to read to.
func (l Loan) Take() []byte {
	r := l.of
	if r.buf == nil && !r.affords(r.size, cap(r.body)) {
		r.size, r.small = minBuffer, 0
	}
	r.hold()
	return r.buf
}

// Return says that there is nothing to be read for now. What Take returned is somebody else's.
func (l Loan) Return() {
	l.of.release()
	l.of.accountFor(minBuffer)
}

// hold has the reader have a buffer of the size that it shall have, with what is not used of
// the one before at its beginning.
func (r *Reader) hold() {
	kept := r.buf[r.start:r.end]
	if len(r.buf) != r.size {
		before := r.lent
		if r.buffers == nil {
			r.buf = make([]byte, r.size)
		} else {
			r.lent = r.buffers.get(r.size)
			r.buf = r.lent.b
		}
		r.start, r.end = 0, copy(r.buf, kept)
		if before != nil {
			r.buffers.put(before)
		}
		return
	}
	r.start, r.end = 0, copy(r.buf, kept)
}

// release gives the buffer back, with nothing in it that is of use.
func (r *Reader) release() {
	r.buf, r.start, r.end = nil, 0, 0
	if r.lent != nil {
		r.buffers.put(r.lent)
		r.lent = nil
	}
}
