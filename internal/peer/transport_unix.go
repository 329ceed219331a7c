//go:build unix

package peer

import (
	"net"
	"syscall"
)

// socket is a net.Conn whose descriptor is written to without waiting.
type socket struct {
	stream
	raw syscall.RawConn

	// Owned by whoever writes: the argument and the result of try, which is made
	// once, because a closure made for each call would be allocated.
	b   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

func newSocket(c net.Conn) Transport {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return &stream{c, netInfo(c)}
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return &stream{c, netInfo(c)}
	}
	s := &socket{stream: stream{c, netInfo(c)}, raw: raw}
	s.try = func(fd uintptr) bool {
		s.n, s.err = tryWrite(int(fd), s.b)
		return true
	}
	if s.info.Network == "tcp" {
		limitUnsent(raw)
	}
	if s.info.Network == "unix" || s.info.Network == "socketpair" {
		raw.Control(func(fd uintptr) { credentials(int(fd), &s.info) })
	}
	return s
}

func (s *socket) TryWrite(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	s.b = b
	err := s.raw.Write(s.try)
	s.b = nil
	if err != nil {
		return 0, err
	}
	return s.n, s.err
}

// tryWrite writes to a descriptor that does not block, as all of Go's sockets.
func tryWrite(fd int, b []byte) (int, error) {
	for {
		n, err := syscall.Write(fd, b)
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
