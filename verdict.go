package arbiter

import (
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/wire"
	"github.com/arbiter-go/arbiter/supervise"
)

// verdict is what is to be done about the end of an incarnation, once those who
// wait for it were told.
type verdict struct {
	slot     *slot
	row      *row // some of it may have waited for this end; nil: nobody has
	decision supervise.Decision
	decided  bool
	others   []*incarnation // to be stopped, and started again, if anybody is
	unborn   *incarnation   // who was to follow, and does not, with what it has not begun with
	embryo   *embryo
}

// ended takes the end of i, which has been in s, and gives its name to who follows,
// if anybody does. What else is to be done comes after.
func (s *slot) ended(i *incarnation, d *wire.Death) (v verdict) {
	r := s.row
	r.mu.Lock()
	defer r.mu.Unlock()
	var next *incarnation
	how, left := r.leaving[i]
	if left {
		delete(r.leaving, i)
		v.row = r // some may have waited for this
	}
	defer func() { r.arb.registry.succeed(i, next) }() // first: who begins is to be found
	if s.successor == i {
		s.successor = nil // who waits for it sees that it has ended
		return v
	}
	if s.last == nil || !i.neverBegan() && !how.heir { // or the last to live in the slot is what matters
		s.last = d
	}
	if s.current != i { // it was replaced, and has finished what it had
		if how.first && d.Cause != wire.CauseStopped && !r.over && !s.removed && !s.held {
			s.failedToEnd(&v, i, d)
		} else if d.Final && !how.heir {
			s.retired(&v, i, d, how)
		}
		return v
	}
	s.current = nil
	v.slot = s
	switch {
	case r.over || s.removed || s.held || r.untried && !i.wasReady():
		s.rest("stopped", d.Reason)
	case s.successor != nil && !d.Final && !r.fallsWith(i, d):
		next = s.successor
		s.successor = nil
		s.current = next
		s.restarts++
	default:
		v.decision, v.decided = r.group.Ended(s.name, endOf(i, d)), true
		if s.successor != nil {
			v.others = append(v.others, s.dropSuccessor(v.decision.Action != supervise.Stay))
		}
		next = s.follow(&v)
	}
	r.changed()
	return v
}

// departs has another one follow i, which has said goodbye with bye, and whose process has
// still to end: if that is certain already, what is sent to its name waits for who follows,
// instead of being told of an end that has yet to come. The caller carries out the rest.
func (s *slot) departs(i *incarnation, bye *wire.Death) (v verdict) {
	r := s.row
	r.mu.Lock()
	defer r.mu.Unlock()
	settled := r.over || s.removed || s.held || s.current != i || s.successor != nil || !i.wasReady()
	if settled || i.asked.Load() || bye.Final || r.group.GaveUp() || r.group.Policy().Restart != supervise.Always {
		return v
	}
	v.slot = s
	v.decision, v.decided = r.group.Ended(s.name, endOf(i, bye)), true
	if v.decision.Action == supervise.StartAll {
		v.others = r.fellWith(s, v.decision.After)
	}
	fell := r.leaving[i].fell || v.decision.Action == supervise.StartAll // the others wait for its end, too
	s.giveWay(v.decision.After, leaver{first: true, fell: fell})
	return v
}

// failedToEnd decides anew about the end of i, which had said goodbye and was followed: it was none
// that is as it should be. row.mu is held.
func (s *slot) failedToEnd(v *verdict, i *incarnation, d *wire.Death) {
	r := s.row
	end := endOf(i, d)
	if !end.Failed || end.Asked || r.group.GaveUp() || s.current == nil || s.current.embryoless() {
		return
	}
	v.slot = s
	v.decision, v.decided = r.group.Ended(s.name, end), true
	switch v.decision.Action {
	case supervise.GiveUp:
		r.spent, s.due = v.decision.Reason, time.Time{} // carryOut buries who waits
	case supervise.StartAll:
		v.others = r.fellWith(s, v.decision.After)
		fallthrough
	default:
		s.due = time.Now().Add(v.decision.After)
	}
}

// retired has nobody follow i, which had given way, and says with d that it is not to be started again: if
// who was to has waited for that end. row.mu is held.
func (s *slot) retired(v *verdict, i *incarnation, d *wire.Death, how leaver) {
	r, next := s.row, s.current
	if r.over || s.removed || s.held || next == nil || !how.fell && !s.alone() {
		return
	}
	e := next.takeEmbryo()
	if e == nil {
		return
	}
	v.slot, v.unborn, v.embryo = s, next, e
	v.decision, v.decided = r.group.Ended(s.name, endOf(i, d)), true
	s.current = nil
	s.rest("done", v.decision.Reason)
	s.settle()
	r.changed()
}

// fallsWith reports whether all of r fall with i, which ended with d, whoever was to follow it. mu is held.
func (r *row) fallsWith(i *incarnation, d *wire.Death) bool {
	policy, end := r.group.Policy(), endOf(i, d)
	if policy.Strategy != supervise.OneForAll || end.Asked || end.Final || r.group.GaveUp() {
		return false
	}
	return policy.Restart == supervise.Always || end.Failed && policy.Restart != supervise.Never
}

// endOf describes an end to who decides.
func endOf(i *incarnation, d *wire.Death) supervise.End {
	e := supervise.End{At: time.Now(), Final: d.Final, Asked: i.asked.Load() || d.Cause == wire.CauseKilled}
	i.mu.Lock()
	if !i.since.IsZero() {
		e.Lived = max(e.At.Sub(i.since), 1)
	}
	i.mu.Unlock()
	clean := d.Cause == wire.CauseStopped || d.Cause == wire.CauseExit && d.ExitCode == 0
	e.Failed = !clean
	switch d.Cause {
	case wire.CauseHeartbeat, wire.CauseFrozen, wire.CauseSpinning:
		if i.session != nil {
			e.Silent = i.session.conn.Silence()
		}
	}
	return e
}

// follow does as v.decision says and returns who follows, if anybody does. row.mu is
// held.
func (s *slot) follow(v *verdict) *incarnation {
	switch v.decision.Action {
	case supervise.Stay:
		if s.row.group.GaveUp() {
			s.rest("failed", s.row.spent)
		} else {
			s.rest("done", v.decision.Reason)
			s.settle()
		}
		return nil
	case supervise.GiveUp:
		s.row.spent = v.decision.Reason
		s.rest("failed", s.row.spent)
		return nil
	case supervise.StartAll:
		v.others = append(v.others, s.row.fellWith(s, v.decision.After)...)
	}
	return s.next(v.decision.After)
}

// arm has who follows, or has waited for this end, begin when that is due.
func (v *verdict) arm() {
	switch r := v.row; {
	case r != nil:
		r.mu.Lock()
		defer r.mu.Unlock()
		r.armAll()
	case v.slot != nil:
		v.slot.row.mu.Lock()
		defer v.slot.row.mu.Unlock()
		v.slot.arm()
	}
}

// carryOut says what was decided about the end of i, and does the rest of it.
func (i *incarnation) carryOut(v verdict) {
	a, s := i.arb, v.slot
	if s == nil || !v.decided {
		return
	}
	ref := actor.Ref{Name: s.name}
	switch d := v.decision; d.Action {
	case supervise.Stay:
		a.log.Debug("a supervised actor is not started again", "actor", s.name, "reason", d.Reason)
		for _, other := range v.others {
			other.dismiss("nobody is to follow who had the name: " + d.Reason)
		}
		if v.unborn != nil {
			v.unborn.bury(v.embryo, &wire.Death{Cause: wire.CauseStopped, Reason: "who had the name before " + d.Reason})
		}
	case supervise.GiveUp:
		a.events.add(actor.Event{Type: "gave_up", Actor: ref, Kind: i.kind(), Text: d.Reason})
		attrs := []any{"actor", s.row.name, "reason", d.Reason, "last", i.death.String()}
		for _, line := range i.death.Stderr {
			attrs = append(attrs, "line", line)
		}
		a.log.Error("given up", attrs...)
		for _, other := range v.others {
			other.dismiss("all of " + s.row.name + " were given up")
		}
		s.row.failRest(i.death)
	default:
		a.events.add(actor.Event{Type: "restarting", Actor: ref, Kind: i.kind(), Text: fmt.Sprintf("in %v: %s", d.After.Round(time.Millisecond), d.Reason)})
		for _, other := range v.others {
			a.events.add(actor.Event{Type: "restarting", Actor: actor.Ref{Name: other.name}, Kind: other.kind(), Text: "it fell with " + s.name})
			other.dismiss("all of " + s.row.name + " are started again")
		}
	}
}
