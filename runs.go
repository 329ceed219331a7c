package arbiter

import (
	"bytes"
	"time"
	"unicode/utf8"

	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Of what comes together much is the same for all: see docs/design/0010-runs.md.

// ReceiveRun is Receive for a run of requests. It reports false if it has done nothing: what has
// no road, or one of its own, is told so one by one.
func (s *session) ReceiveRun(_ *peer.Conn, run *peer.Run) bool {
	address := run.Messages[0].Target
	l := s.link(address)
	if l == nil || l.to.pool != nil {
		return false
	}
	if l.to.seat == nil {
		return s.routeRun(l, run)
	}
	to, entered := s.arb.enter(l.to, address)
	if to != l.to {
		l = s.linkAs(to, string(address))
	}
	done := s.routeRun(l, run)
	if entered {
		to.gate.leave()
	}
	return done
}

// routeRun is route for a run.
func (s *session) routeRun(l *link, run *peer.Run) bool {
	to := l.to.session
	if to == nil || l.name != string(run.Messages[0].Target) {
		return false
	}
	for i := range run.Messages {
		if m := &run.Messages[i]; m.Codec == wire.CodecPickle || !utf8.Valid(m.Command) {
			return false
		}
	}
	if run.Calls() {
		return s.asks(l, run)
	}
	s.counts.read.Add(uint64(len(run.Messages)))
	l.backlog.TakeRun(run)
	to.conn.PostRun(run, s.sender, func(m *wire.Message, err error) {
		s.refuse(m, peer.Charge{}, at(l.to.postError(err), l.to))
	})
	s.use(l)
	return true
}

// asks is ask for a run, of calls that nobody's turn waits for. It reports false if it has done
// nothing.
func (s *session) asks(l *link, run *peer.Run) bool {
	calls := run.Messages
	if l.to.pooledAs(calls[0].Target) != nil || !s.noteAll(l, calls) {
		return false
	}
	var notes [peer.MaxRun]peer.Note
	now := time.Now()
	for i := range calls {
		m, note := &calls[i], &notes[i]
		*note = peer.Note{Caller: l, ID: m.ID, Deadline: now.Add(timeLeft(m.Millis))}
		if i > 0 && bytes.Equal(m.Command, calls[i-1].Command) {
			note.Command = notes[i-1].Command
		} else {
			note.Command = s.arb.names.of(m.Command)
		}
	}
	s.counts.read.Add(uint64(len(calls)))
	l.backlog.TakeRun(run)
	if !l.to.session.conn.RequestRun(run, s.sender, notes[:len(calls)]) {
		for i := range calls {
			calls[i].Sender = s.sender
			s.hand(l, &calls[i], notes[i], run.Charge(i))
		}
		return true
	}
	s.use(l)
	s.mu.Lock()
	for i := range calls {
		s.placedLocked(notes[i].ID, calls[i].ID)
	}
	s.mu.Unlock()
	return true
}

// noteAll adds calls to asked. If there is something wrong with one of them, or no memory for
// them all, it adds none and reports false.
func (s *session) noteAll(l *link, calls []wire.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return false
	}
	for i := range calls {
		if s.asked.add(calls[i].ID, asked{link: l}) {
			if s.affordCallLocked() {
				continue
			}
			s.asked.take(calls[i].ID)
		}
		for _, m := range calls[:i] {
			s.asked.take(m.ID)
		}
		s.refundLocked()
		return false
	}
	return true
}

// ForwardRun is Forward for many replies.
func (l *link) ForwardRun(notes []peer.Note, replies []wire.Message) {
	s := l.from
	if len(notes) == 1 || l.to.pulsar {
		for i := range notes {
			l.Forward(notes[i].ID, &replies[i])
		}
		return
	}
	n := s.answeredAll(notes, replies)
	replies = replies[:n]
	for i := range replies {
		m := &replies[i]
		m.Sender, m.Target, m.Ext = nil, nil, nil
	}
	for len(replies) > 0 {
		if replies = replies[s.conn.PostReplies(replies):]; len(replies) > 0 {
			s.answer(&replies[0])
			replies = replies[1:]
		}
	}
	if !l.answered {
		l.answered = true
		l.to.session.answeredBy = append(l.to.session.answeredBy, l)
	}
}

// answeredAll takes the calls that notes are of off the list. The replies to those that had
// not ended before come first then, with the ids of their callers; it returns how many those
// are. What there is of them in pickle is refused.
func (s *session) answeredAll(notes []peer.Note, replies []wire.Message) (n int) {
	var room [peer.MaxRun]uint64 // so that none is allocated
	turns, pickled := room[:0], []uint64(nil)
	s.mu.Lock()
	for i := range notes {
		own, m := notes[i].ID, &replies[i]
		a, ok := s.asked.take(own)
		if !ok {
			continue
		}
		if a.turn {
			turns = append(turns, own)
		}
		if m.Codec == wire.CodecPickle {
			pickled = append(pickled, own)
			continue
		}
		m.ID = own
		replies[n] = *m
		n++
	}
	s.refundLocked()
	s.mu.Unlock()
	for _, own := range turns {
		s.arb.waits.remove(s.inc, own)
	}
	for _, own := range pickled {
		s.fail(own, errNotPulsar().With(wire.StartedYes))
	}
	return n
}
