package peer

import (
	"errors"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/frame"
)

// ErrHTTP is what the first Read of a Chooser returns if the other end speaks HTTP.
var ErrHTTP = errors.New("the other end speaks HTTP")

// Chooser is the Transport of whoever connects: the first byte that comes tells
// which profile is spoken. A text frame is json; "G", with which an HTTP request
// begins, is ErrHTTP where that is taken; everything else is native, or is refused as
// such.
type Chooser struct {
	socket Transport
	http   bool
	conn   *Conn

	to   atomic.Pointer[chosen] // nil: nothing was read yet
	read []byte                 // what was, of HTTP
}

type chosen struct {
	Transport
	profile Profile
}

// Choose returns t as a Chooser. http says whether HTTP is taken.
func Choose(t Transport, http bool) *Chooser { return &Chooser{socket: t, http: http} }

// Bind makes c the Conn that is spoken to.
func (s *Chooser) Bind(c *Conn) {
	s.conn = c
	if to := s.to.Load(); to != nil {
		if b, ok := to.Transport.(Binder); ok {
			b.Bind(c)
		}
	}
}

func (s *Chooser) meter(m frame.Memory) {
	if t, ok := s.chosen().(metered); ok {
		t.meter(m)
	}
}

// Read reads native frames, whatever the other end sends.
func (s *Chooser) Read(b []byte) (int, error) {
	if to := s.to.Load(); to != nil {
		return to.Read(b)
	}
	n, err := s.socket.Read(b)
	if n == 0 {
		return n, err
	}
	switch {
	case b[0]&^0x80 == byte(frame.Text): // the first fragment of a message, too
		j := NewJSON(s.socket, append([]byte{}, b[:n]...), frame.Unmasked)
		if binder, ok := j.(Binder); ok {
			binder.Bind(s.conn)
		}
		s.to.Store(&chosen{j, JSON})
		return j.Read(b)
	case b[0] == 'G' && s.http:
		s.read = append([]byte{}, b[:n]...)
		return 0, ErrHTTP
	}
	s.to.Store(&chosen{s.socket, Native})
	return n, err
}

// ReadAlready returns what was read of an HTTP request.
func (s *Chooser) ReadAlready() []byte { return s.read }

// chosen returns where to write: before anything was read, what is written is a
// native refusal.
func (s *Chooser) chosen() Transport {
	if to := s.to.Load(); to != nil {
		return to.Transport
	}
	return s.socket
}

func (s *Chooser) Write(b []byte) (int, error)    { return s.chosen().Write(b) }
func (s *Chooser) TryWrite(b []byte) (int, error) { return s.chosen().TryWrite(b) }
func (s *Chooser) Close() error                   { return s.socket.Close() }

// CloseWrite ends the sending direction, where there are two.
func (s *Chooser) CloseWrite() error {
	if w, ok := s.socket.(writeCloser); ok {
		return w.CloseWrite()
	}
	return nil
}

// Info says what the socket is, and which profile was chosen.
func (s *Chooser) Info() Info {
	info := s.socket.Info()
	if to := s.to.Load(); to != nil {
		info.Profile = to.profile
	}
	return info
}
