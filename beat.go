package arbiter

import (
	"bytes"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// ownBeat is how often the arbiter gives a sign of life by itself, where the actor gives
// one that often: a little less, so that it comes with the answer to the actor's.
func ownBeat(every, timeout time.Duration) time.Duration {
	if own := every + every/4; timeout <= 0 || 2*own <= timeout {
		return own
	}
	return every
}

// Beat sends the arbiter's own heartbeat, since the actor sent none to answer.
func (s *session) Beat(*peer.Conn) {
	s.post(peer.Control, &wire.Message{Kind: wire.KindNotify})
	s.conn.Flush()
}

// maxBeat is how many bytes a heartbeat may say: the last one of each actor is kept.
const maxBeat = 64 << 10

// said is what a heartbeat said of its actor's kind, still encoded: what it is decoded into
// may be many times as large.
type said struct {
	codec wire.Codec
	body  []byte
}

// extra decodes it.
func (s said) extra() map[string]any {
	if s.body == nil {
		return nil
	}
	var beat wire.Beat
	_ = wire.Decode(s.codec, s.body, &beat) // it was read before
	return beat.Extra
}

// notify takes a heartbeat. The first one says that the actor runs.
func (s *session) notify(m *wire.Message) {
	if s.conn.Answer() {
		s.post(peer.Control, &wire.Message{Kind: wire.KindNotify}) // the reader flushes it
	}
	var beat wire.Beat
	var extra said
	if len(m.Body) > maxBeat {
		s.arb.log.Debug("a heartbeat that is too long to be kept", "actor", s.inc.label(), "bytes", len(m.Body))
	} else if len(m.Body) > 0 {
		var err error
		if beat, err = wire.ParseBeat(m); err != nil {
			s.arb.log.Debug("a heartbeat that cannot be read", "actor", s.inc.label(), "error", err)
		} else if len(beat.Extra) > 0 {
			extra = said{m.Codec, bytes.Clone(m.Body)}
		}
		beat.Extra = nil // of what has no bound decoded nothing is kept
	}
	s.inc.markReady()
	if beat.State == cell.Stopping.String() {
		s.inc.state.CompareAndSwap(int32(cell.Running), int32(cell.Stopping))
	}
	now := time.Now()
	var used proc.Usage
	var wanted time.Duration
	known := false
	if p := s.inc.process.Load(); p != nil {
		if used, known = p.Usage(); known {
			wanted = p.Wanted()
		}
	}
	uncounted := beat.Accepted == 0 && beat.Started == 0
	if uncounted {
		beat.Accepted, beat.Started = s.counted()
	}
	s.mu.Lock()
	s.beat, s.extra, s.beatAt, s.uncounted = beat, extra, now, uncounted
	if known {
		s.used, s.wanted, s.usedAt = used, wanted, now
	}
	s.markLocked(now)
	s.mu.Unlock()
	s.checkBudget(&beat)
}

// marks are how many messages there were at some times: when as many are over the
// oldest of them waits no more. Nothing is noted with each message.
type marks []mark

type mark struct {
	at   time.Time
	upTo uint64
}

const maxMarks = 16

// note notes that there are upTo messages by now, of which over are over.
func (m *marks) note(now time.Time, upTo, over uint64) {
	for len(*m) > 0 && (*m)[0].upTo <= over {
		*m = (*m)[1:]
	}
	if upTo <= over {
		return
	}
	if len(*m) == maxMarks {
		*m = (*m)[:maxMarks-1]
	}
	*m = append(*m, mark{now, upTo})
}

// age is how long the oldest message has waited, roughly.
func (m marks) age() time.Duration {
	if len(m) == 0 {
		return 0
	}
	return time.Since(m[0].at)
}

// markLocked notes how far the actor has come with what it was sent: what has not left
// here yet, and what is in its inbox, by its heartbeat. Not all that is sent is ever
// counted as started: some is answered at once, and some is dropped since nobody waits
// any more. So both are forgotten when nothing waits, and what is compared with the
// count of those that were started begins anew with each heartbeat.
func (s *session) markLocked(now time.Time) {
	placed, written := s.conn.Progress()
	s.unsent.note(now, placed, written)
	switch {
	case s.beat.Inbox <= 0:
		s.unstarted = nil
	case s.beat.Started > 0: // else it does not count
		s.unstarted.note(now, s.beat.Started+uint64(s.beat.Inbox), s.beat.Started)
	}
}

// counted is how many messages the actor was sent, and how many of them it has begun, as
// its connection knows: for who does not count, as a small client need not, and may never
// say anything of itself.
func (s *session) counted() (accepted, started uint64) {
	a := s.conn.Account()
	return a.Taken, a.Started
}

// queueAge is how long the oldest message that was sent to the actor and not
// started has waited, as far as its heartbeats tell.
func (s *session) queueAge() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.beat.Oldest
	if age > 0 {
		age += time.Since(s.beatAt)
	}
	return max(age, s.unsent.age(), s.unstarted.age())
}

// checkBudget ends an actor that says itself that a handler has outlived its budget,
// and did nothing about it. Those of this language do.
func (s *session) checkBudget(beat *wire.Beat) {
	args := s.inc.args
	if args == nil || args.Budget <= 0 || beat.Handling == "" || beat.Since <= args.Budget {
		return
	}
	s.inc.kill(&wire.Death{Cause: wire.CauseHung, Reason: fmt.Sprintf("it was still inside %q after %v, and its budget is %v",
		beat.Handling, beat.Since.Round(time.Millisecond), args.Budget)})
}

// describe adds to info what is known of the other end.
func (s *session) describe(info *actor.Info) {
	s.mu.Lock()
	beat, extra, uncounted := s.beat, s.extra, s.uncounted
	s.mu.Unlock()
	if uncounted {
		beat.Accepted, beat.Started = s.counted() // by now
	}
	at := s.conn.Info()
	info.PID = at.PID
	if beat.PID != 0 {
		info.PID = beat.PID
	}
	if p := s.inc.process.Load(); p != nil {
		info.PID = p.PID()
	} else { // whose it is, is not known here, and what it uses is what it says
		info.RSS, info.CPU = max(0, beat.RSS), max(0, beat.CPU)
	}
	info.Peer, info.Profile = at.Network, string(at.Profile)
	if at.Remote != "" {
		info.Peer += ":" + at.Remote
	}
	info.Extra = extra.extra()
	info.Inbox, info.Started = beat.Inbox, beat.Started
	info.Accepted, info.Refused = beat.Accepted, beat.Refused+s.counts.refused.Load()+s.counts.letters.Load()+s.conn.Refused()
	if p := s.pulsar.Load(); p != nil {
		info.Accepted = s.conn.Account().Taken
		info.Started = info.Accepted // of an actor of pulsar it is taken that what is written is begun
		describePulsar(info, p)
	}
	s.inc.mu.Lock()
	defer s.inc.mu.Unlock()
	if s.hello != nil {
		info.Language = s.hello.Language
	}
}
