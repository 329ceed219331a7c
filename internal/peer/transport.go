package peer

import (
	"io"
	"net"
)

// Transport is one stream socket. One goroutine may read while another writes;
// Write and TryWrite are not called at the same time. Close may be called at any
// time and ends a Read and a Write that wait.
type Transport interface {
	io.Reader
	io.Writer
	// TryWrite writes what can be written now and never waits: n may be less than
	// len(b), and 0 with a nil error means that nothing more is taken at present.
	TryWrite(b []byte) (n int, err error)
	Close() error
	Info() Info
}

// Info says what a Transport is, and who is at its other end as far as the system
// knows.
type Info struct {
	Network string  // "pipe", "unix", "socketpair" or "tcp"; of another, what it calls itself
	Remote  string  // the other end's address; empty if it has none
	PID     int     // of the process that connected; 0: not known
	Profile Profile // what is spoken over it; "": not known yet
}

// A someWriter waits only until something can be written, and writes that: n may be less than
// len(b), and is not 0 without an error. So it is seen how it gets on, however slowly the other
// end reads.
type someWriter interface {
	WriteSome(b []byte) (n int, err error)
}

// WriteSome writes some of b to t, and waits until it can: as little as it takes if t is a
// someWriter.
func WriteSome(t Transport, b []byte) (n int, err error) {
	if s, ok := t.(someWriter); ok {
		return s.WriteSome(b)
	}
	return t.Write(b[:min(writeSize, len(b))])
}

// A writeCloser can end its sending direction and go on reading.
type writeCloser interface{ CloseWrite() error }

// NewTransport returns c as a Transport. On unix systems TryWrite writes to the
// socket itself; where that is not possible (another system, TLS) it takes
// nothing, so that the flusher's goroutine writes everything.
func NewTransport(c net.Conn) Transport { return newSocket(c) }

// stream is a net.Conn without a TryWrite of its own.
type stream struct {
	net.Conn
	info Info
}

func (s *stream) Info() Info                   { return s.info }
func (s *stream) TryWrite([]byte) (int, error) { return 0, nil }
func (s *stream) CloseWrite() error            { return closeWrite(s.Conn) }

func closeWrite(c net.Conn) error {
	if w, ok := c.(writeCloser); ok {
		return w.CloseWrite()
	}
	return nil
}

// InfoOf returns what the addresses of c say.
func InfoOf(c net.Conn) Info {
	var info Info
	if a := c.LocalAddr(); a != nil {
		info.Network = a.Network()
	}
	if a := c.RemoteAddr(); a != nil {
		info.Remote = a.String()
	}
	if info.Network == "unix" && named(c.LocalAddr()) == "" && named(c.RemoteAddr()) == "" {
		info.Network = "socketpair" // of a connected socket one end has a name
	}
	return info
}

// named returns the name of a unix address; the address of a socket without a
// name prints as "@" or as nothing.
func named(a net.Addr) string {
	u, ok := a.(*net.UnixAddr)
	if !ok || u == nil || u.Name == "@" {
		return ""
	}
	return u.Name
}
