package peer

import "github.com/arbiter-go/arbiter/internal/frame"

// jsonSource is what the frames are read from: what was read before, then the
// socket. Bytes that are no whole message yet are a sign of life, too.
type jsonSource struct {
	j    *jsonTransport
	read []byte
}

func (s *jsonSource) Read(b []byte) (int, error) {
	if len(s.read) > 0 {
		n := copy(b, s.read)
		if s.read = s.read[n:]; len(s.read) == 0 {
			s.read = nil
		}
		return n, nil
	}
	n, err := s.j.socket.Read(b)
	s.count(n)
	return n, err
}

func (s *jsonSource) count(n int) {
	if n > 0 {
		s.j.conn.in.reads.Add(1)
	}
}

// patientJSON is that of a socket that can wait without a buffer.
type patientJSON struct {
	*jsonSource
	socket frame.Patient
}

func (s *patientJSON) ReadLoan(l frame.Loan) (int, error) {
	if len(s.read) > 0 {
		return s.Read(l.Take())
	}
	n, err := s.socket.ReadLoan(l)
	s.count(n)
	return n, err
}
