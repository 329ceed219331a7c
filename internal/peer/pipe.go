package peer

import (
	"io"
	"net"
	"sync"
	"syscall"

	"github.com/arbiter-go/arbiter/internal/frame"
)

// DefaultPipe is how many bytes a Pipe holds in each direction.
const DefaultPipe = 256 << 10

// Pipe returns the two ends of a connection in memory, which holds DefaultPipe
// bytes in each direction.
func Pipe() (a, b *PipeEnd) { return PipeSize(DefaultPipe) }

// PipeSize is Pipe with room for n bytes, at least one, in each direction.
func PipeSize(n int) (a, b *PipeEnd) {
	ab, ba := newHalf(max(n, 1)), newHalf(max(n, 1))
	return &PipeEnd{in: ba, out: ab}, &PipeEnd{in: ab, out: ba}
}

// PipeEnd is one end of a connection in memory. It waits on nothing but condition
// variables, so that it works inside a testing/synctest bubble. All methods may be
// called at any time from any goroutine.
//
// As with a socket, what was written before Close is still read at the other end,
// then it reads io.EOF; a write to an end that is closed fails with EPIPE.
type PipeEnd struct{ in, out *half }

// Read reads what the other end has written.
func (p *PipeEnd) Read(b []byte) (int, error) { return p.in.read(b, nil) }

// ReadLoan is Read.
func (p *PipeEnd) ReadLoan(l frame.Loan) (int, error) { return p.in.read(nil, &l) }

// Write writes all of b, and waits for room.
func (p *PipeEnd) Write(b []byte) (int, error) { return p.out.write(b, len(b)) }

// WriteSome waits until there is room, and writes what that takes.
func (p *PipeEnd) WriteSome(b []byte) (int, error) { return p.out.write(b, 1) }

// TryWrite writes what there is room for.
func (p *PipeEnd) TryWrite(b []byte) (int, error) { return p.out.write(b, 0) }

// Close closes this end. It never fails.
func (p *PipeEnd) Close() error {
	p.out.end(nil)
	p.in.abandon()
	return nil
}

// CloseWrite ends what this end sends; it may go on reading.
func (p *PipeEnd) CloseWrite() error { p.out.end(nil); return nil }

// Info names the network "pipe".
func (p *PipeEnd) Info() Info { return Info{Network: "pipe"} }

// Stall makes this end take no more writes (on), or take them again, as if the
// other end's host did not answer. What was taken before is still read.
func (p *PipeEnd) Stall(on bool) { p.out.set(func(h *half) { h.stalled = on }) }

// Slice makes every write and every read of what this end sends move at most n
// bytes at a time. 0: no limit.
func (p *PipeEnd) Slice(n int) { p.out.set(func(h *half) { h.slice = n }) }

// Cut breaks the connection: what is under way in either direction is lost, and
// both ends get ECONNRESET.
func (p *PipeEnd) Cut() {
	for _, h := range [...]*half{p.in, p.out} {
		h.end(syscall.ECONNRESET)
	}
}

// half is one direction.
type half struct {
	mu       sync.Mutex
	cond     sync.Cond // of mu: any change
	buf      []byte    // buf[off:] is written and not yet read
	off      int
	limit    int
	slice    int
	stalled  bool
	ended    bool  // nothing more will be written
	broken   error // with ended: what both ends get
	unwanted bool  // nobody will read
}

func newHalf(limit int) *half {
	h := &half{limit: limit}
	h.cond.L = &h.mu
	return h
}

func (h *half) set(f func(*half)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
	h.cond.Broadcast()
}

// end ends the direction once: later calls do not change how.
func (h *half) end(broken error) {
	h.set(func(h *half) {
		if h.ended && broken == nil {
			return
		}
		h.ended = true
		if h.broken == nil && broken != nil {
			h.broken = broken
			h.buf, h.off = nil, 0
		}
	})
}

func (h *half) abandon() {
	h.set(func(h *half) { h.unwanted, h.buf, h.off = true, nil, 0 })
}

// read reads into b, or into l if that is not nil.
func (h *half) read(b []byte, l *frame.Loan) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.unwanted:
			return 0, net.ErrClosed
		case h.broken != nil:
			return 0, h.broken
		case l == nil && len(b) == 0:
			return 0, nil
		case h.off < len(h.buf):
			if l != nil {
				b = l.Take()
			}
			n := copy(b, h.buf[h.off:h.off+h.move(len(h.buf)-h.off)])
			if h.off += n; h.off == len(h.buf) {
				h.off, h.buf = 0, h.buf[:0]
				if cap(h.buf) > 16<<10 {
					h.buf = nil // a pipe at rest holds little
				}
			}
			h.cond.Broadcast()
			return n, nil
		case h.ended:
			return 0, io.EOF
		}
		if l != nil {
			l.Return()
		}
		h.cond.Wait()
	}
}

// write writes what there is room for, and waits until that was at least so many bytes.
func (h *half) write(b []byte, least int) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n < len(b) {
		switch {
		case h.broken != nil:
			return n, h.broken
		case h.ended:
			return n, net.ErrClosed
		case h.unwanted:
			return n, syscall.EPIPE
		}
		room := h.limit - (len(h.buf) - h.off)
		if h.stalled {
			room = 0
		}
		if room > 0 {
			k := h.move(min(room, len(b)-n))
			h.add(b[n : n+k])
			n += k
			h.cond.Broadcast()
		} else if n < least {
			h.cond.Wait()
			continue
		}
		if n >= least {
			return n, nil
		}
	}
	return n, nil
}

func (h *half) move(n int) int {
	if h.slice > 0 {
		return min(n, h.slice)
	}
	return n
}

func (h *half) add(b []byte) {
	if h.off > 0 && len(h.buf)+len(b) > cap(h.buf) {
		h.buf, h.off = h.buf[:copy(h.buf, h.buf[h.off:])], 0
	}
	h.buf = append(h.buf, b...)
}
