package peer

import (
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/frame"
)

// Chooser is the Transport of whoever connects: the first byte that comes tells
// which profile is spoken. A text frame is json; everything else is native, or is
// refused as such.
type Chooser struct {
	socket Transport
	conn   *Conn

	to   atomic.Pointer[chosen] // nil: nothing was read yet
	read []byte                 // was read of the socket, and not yet of this
}

type chosen struct {
	Transport
	profile Profile
	patient frame.Patient // nil: it is none
}

func (s *Chooser) choose(t Transport, p Profile) {
	to := &chosen{Transport: t, profile: p}
	to.patient, _ = t.(frame.Patient)
	s.to.Store(to)
}

// Choose returns t, of which read was read already, as a Chooser.
func Choose(t Transport, read []byte) *Chooser { return &Chooser{socket: t, read: read} }

// Bind makes c the Conn that is spoken to.
func (s *Chooser) Bind(c *Conn) {
	s.conn = c
	if to := s.to.Load(); to != nil {
		if b, ok := to.Transport.(Binder); ok {
			b.Bind(c)
		}
	}
}

// Meter has what is read counted.
func (s *Chooser) Meter(m frame.Memory) {
	if t, ok := s.chosen().(Metered); ok {
		t.Meter(m)
	}
}

// Read reads native frames, whatever the other end sends.
func (s *Chooser) Read(b []byte) (int, error) {
	if to := s.to.Load(); to != nil && len(s.read) == 0 {
		return to.Read(b)
	}
	n, err := s.readSocket(b)
	if n == 0 || s.to.Load() != nil {
		return n, err
	}
	if b[0]&^0x80 == byte(frame.Text) { // the first fragment of a message, too
		j := NewJSON(s.socket, append(append([]byte{}, b[:n]...), s.read...), frame.Unmasked)
		s.read = nil
		if binder, ok := j.(Binder); ok {
			binder.Bind(s.conn)
		}
		s.choose(j, JSON)
		return j.Read(b)
	}
	s.choose(s.socket, Native)
	return n, err
}

// ReadLoan is Read. A profile that translates has a buffer of its own beside that.
func (s *Chooser) ReadLoan(l frame.Loan) (int, error) {
	if to := s.to.Load(); to != nil && to.patient != nil && len(s.read) == 0 {
		return to.patient.ReadLoan(l)
	}
	return s.Read(l.Take())
}

// readSocket reads what was read already, or else the socket.
func (s *Chooser) readSocket(b []byte) (int, error) {
	if len(s.read) == 0 {
		return s.socket.Read(b)
	}
	n := copy(b, s.read)
	if s.read = s.read[n:]; len(s.read) == 0 {
		s.read = nil
	}
	return n, nil
}

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

// WriteSome waits until what is written to takes something.
func (s *Chooser) WriteSome(b []byte) (int, error) { return WriteSome(s.chosen(), b) }

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
