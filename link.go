package arbiter

import (
	"errors"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// link is the road from one connection to one actor: where the calls of the one
// that are in flight on the other find their way back. A session makes one for
// each target it uses, so that a message costs no more than finding it.
type link struct {
	from *session
	to   *incarnation
	name string // as what from's calls are noted in errors

	backlog peer.Backlog // of from's messages on their way to to

	// Whoever reads a connection flushes the others it wrote to when it has nothing
	// more to read. Each of these is owned by one reader.
	asked    bool // by from's reader: to has something to flush, or to start on
	answered bool // by to's reader: from's connection has
}

var _ peer.RunForwarder = (*link)(nil)

// Result passes the reply m on to the caller. It runs on the reader of to.
func (l *link) Result(id uint64, m *wire.Message) { l.Forward(id, m) }

// Forward passes a reply or an error on, its body untouched. It runs on the reader
// of to.
func (l *link) Forward(id uint64, m *wire.Message) {
	if !l.from.answered(id) {
		return
	}
	if m.Codec == wire.CodecPickle && !l.to.pulsar {
		l.from.fail(id, errNotPulsar().With(wire.StartedYes))
		return
	}
	m.ID = id
	m.Sender, m.Target, m.Ext = nil, nil, nil
	l.from.answer(m)
	if !l.answered {
		l.answered = true
		l.to.session.answeredBy = append(l.to.session.answeredBy, l)
	}
}

// answer queues m, a reply or an error. A result for which there is no room becomes an error, and
// an error a shorter one: who asked is told at once, instead of being cut off with all it has, or
// of somebody else's results being thrown away.
func (s *session) answer(m *wire.Message) {
	err := s.conn.Post(peer.Reply, m, peer.Charge{})
	if !peer.NoRoom(err) {
		s.unposted(err)
		return
	}
	e := unanswerable(err)
	if m.Kind == wire.KindError {
		e = wire.ParseError(m)
	}
	short := e.Brief().Frame(wire.KindError, m.ID)
	s.post(peer.Reply, &short)
}

// unanswerable is the error of a call whose result cannot be queued because of err.
func unanswerable(err error) *wire.Error {
	switch {
	case errors.Is(err, peer.ErrBudget):
		e := errMemory(wire.StartedYes)
		e.Message = "its result is not kept: " + e.Message
		return e
	case errors.Is(err, peer.ErrFull):
		return wire.Errorf(wire.CodeOverloaded, "its result is not kept: too much that was asked for earlier waits to be read; ask for less at once").With(wire.StartedYes)
	}
	return wire.AsError(err, wire.CodeOverloaded).With(wire.StartedYes)
}

// Failed tells the caller of an error that arose here. It runs wherever that was
// found.
func (l *link) Failed(id uint64, e *wire.Error) {
	if l.from.answered(id) {
		l.from.fail(id, e)
	}
}

// reply sends the answer of an actor of this process to its caller elsewhere.
func (l *link) reply(id uint64, r *cell.Request, v cell.Value, more bool) {
	s := l.from
	if !s.answered(id) {
		return
	}
	buf := s.arb.buffers.get()
	var m wire.Message
	b, failed := r.Reply(&m, v, (*buf)[:0])
	if failed == nil {
		m.ID = id
		if err := s.conn.Post(peer.Reply, &m, peer.Charge{}); err != nil {
			failed = unanswerable(err)
		}
	}
	s.arb.buffers.put(buf, b)
	if failed != nil {
		s.fail(id, failed)
		return
	}
	s.flush(more)
}
