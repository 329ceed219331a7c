//go:build unix

package peer

import (
	"io"
	"net"
	"syscall"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/proc"
)

// socket is a net.Conn whose descriptor is written to without waiting.
type socket struct {
	stream
	raw syscall.RawConn

	// Owned by whoever reads, likewise; nil where c reads in a way of its own.
	into []byte     // nil: into loan
	loan frame.Loan // what is read into when there is something
	got  int
	fail error
	read func(fd uintptr) bool

	// Owned by whoever writes: the argument and the result of try and some, which are made
	// once, because a closure made for each call would be allocated.
	b    []byte
	n    int
	err  error
	try  func(fd uintptr) bool
	some func(fd uintptr) bool
}

func newSocket(c net.Conn) Transport {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return &stream{c, InfoOf(c)}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return &stream{c, InfoOf(c)}
	}
	s := &socket{stream: stream{c, InfoOf(c)}, raw: raw}
	write := syscall.Write
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn: // a socket it is, and nothing else
		write = writeDirect
		s.read = func(fd uintptr) bool {
			b := s.into
			if b == nil {
				b = s.loan.Take()
			}
			s.got, s.fail = tryRead(int(fd), b)
			if s.fail != syscall.EAGAIN {
				return true
			}
			if s.into == nil {
				s.loan.Return()
			}
			return false
		}
	}
	s.try = func(fd uintptr) bool {
		s.n, s.err = tryWrite(write, int(fd), s.b)
		return true
	}
	s.some = func(fd uintptr) bool {
		s.n, s.err = tryWrite(write, int(fd), s.b)
		return s.n > 0 || s.err != nil
	}
	switch s.info.Network {
	case "tcp":
		limitUnsent(raw)
	case "unix", "socketpair":
		deepen(raw)
		s.info.PID, _, _ = proc.PeerCred(c)
	}
	return s
}

// deep is how many bytes the kernel is asked to take of a connection within this machine before
// a writer waits. Who waits is woken when there is room, and each of these turns costs more
// than what it lets through if that is little. The other end reads whatever its actor is at, so control that
// is behind these bytes is behind a fraction of a millisecond.
const deep = 1 << 20

// deepen has the kernel take deep bytes. Linux grants at most net.core.wmem_max, which is 208 KiB
// where nobody has changed it, and doubles that for what it needs beside the bytes (socket(7)): twice what
// a socket has by itself. Elsewhere it is what was asked for, of which macOS has 8 KiB by itself.
// Where it fails, large messages only cost more.
func deepen(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		if have, err := syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF); err == nil && have < deep {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, deep)
		}
	})
}

// Read waits for bytes, as long as it takes.
func (s *socket) Read(b []byte) (int, error) {
	if s.read == nil || len(b) == 0 || len(b) > directSize {
		return s.stream.Read(b)
	}
	s.into = b
	n, err := s.readRaw()
	s.into = nil
	return n, err
}

// ReadLoan is Read.
func (s *socket) ReadLoan(l frame.Loan) (int, error) {
	if s.read == nil {
		return s.stream.Read(l.Take())
	}
	s.loan = l
	return s.readRaw()
}

func (s *socket) readRaw() (int, error) {
	err := s.raw.Read(s.read)
	switch {
	case err != nil:
		return 0, err
	case s.fail != nil:
		return 0, s.fail
	case s.got == 0:
		return 0, io.EOF
	}
	return s.got, nil
}

// tryRead reads from a descriptor that does not block.
func tryRead(fd int, b []byte) (int, error) {
	for {
		n, err := readDirect(fd, b)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

func (s *socket) TryWrite(b []byte) (int, error) { return s.writeRaw(b, s.try) }

// WriteSome waits until something can be written.
func (s *socket) WriteSome(b []byte) (int, error) { return s.writeRaw(b, s.some) }

func (s *socket) writeRaw(b []byte, write func(fd uintptr) bool) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.b = b
	err := s.raw.Write(write)
	s.b = nil
	if err != nil {
		return 0, err
	}
	return s.n, s.err
}

// tryWrite writes to a descriptor that does not block, as all of Go's sockets.
func tryWrite(write func(int, []byte) (int, error), fd int, b []byte) (int, error) {
	for {
		n, err := write(fd, b)
		switch err {
		case nil:
			return n, nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, nil
		default:
			return 0, err
		}
	}
}
