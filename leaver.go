package arbiter

import "time"

// leaver is whose place another one has.
type leaver struct {
	from  *slot
	fell  bool // with the others: all of the row begin again when the last one has ended
	first bool // it ends before who follows it begins, though there could be two at a time
	heir  bool // it was to have the place, and never had it
}

// fellWith has all but one fall, and returns who is to be asked to stop for that. mu is held.
func (r *row) fellWith(one *slot, wait time.Duration) (fallen []*incarnation) {
	for _, other := range r.slots {
		if other != one {
			fallen = append(fallen, other.fall(wait)...)
		}
	}
	return fallen
}

// fall has another incarnation follow who is in the slot, since one of the row has
// crashed, and returns who is to be asked to stop for that. row.mu is held.
func (s *slot) fall(wait time.Duration) (fallen []*incarnation) {
	if s.successor != nil {
		fallen = append(fallen, s.dropSuccessor(true))
	}
	switch i := s.current; {
	case i == nil || !i.embryoless():
	case i.leaves(): // what follows is decided when it has ended
		s.row.leaving[i] = leaver{from: s, fell: true}
	default:
		s.giveWay(wait, leaver{fell: true})
		i.fell = true
		fallen = append(fallen, i)
	}
	return fallen
}

// dropSuccessor takes the place that it was to have from the successor, which there is, since all fell or
// nobody is to follow any more. It returns it, which is to be asked to stop. row.mu is held.
func (s *slot) dropSuccessor(fell bool) *incarnation {
	i := s.successor
	s.successor = nil // who waits for it sees that it has ended
	s.row.leaving[i] = leaver{from: s, fell: fell, heir: true}
	i.fell = fell
	return i
}

// inPlaceOf returns who has the slot now, of i, if that fell with the others; nil: nobody, or nobody
// that is waited for in its place.
func (s *slot) inPlaceOf(i *incarnation) *incarnation {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	if !i.fell || s.row.over || s.removed || s.held || s.current == i {
		return nil
	}
	return s.current
}

// giveWay gives name and place of who is in the slot, and has still to end, to a new one,
// which begins after that, and after the wait. So what is sent to the name meanwhile waits
// for it. row.mu is held.
func (s *slot) giveWay(wait time.Duration, how leaver) (next *incarnation) {
	r, old := s.row, s.current
	how.from = s
	r.leaving[old] = how
	next = s.next(wait)
	r.arb.registry.claim(next.aid, next)
	r.arb.registry.handOver(s.name, old, next)
	r.changed()
	old.gate.closed.Store(true) // last: whom it turns away finds the new one
	s.arm()
	return next
}

// waitsFor returns who has to end before another one begins in the slot: the one it
// follows, where there can be only one, or one that fell with it. row.mu is held.
func (s *slot) waitsFor() *incarnation {
	for i, l := range s.row.leaving {
		if l.fell || l.from.name == s.name && (l.first || s.alone()) { // also in a slot of that name that was removed
			return i
		}
	}
	return nil
}

// before returns who has to end before next begins, which has lost its place in the slot, and has something
// to answer; nil: nobody. Of two that have lost it and not begun neither waits for the other.
func (s *slot) before(next *incarnation) *incarnation {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	for i, l := range s.row.leaving {
		if i != next && i.embryoless() && (l.fell || l.from.name == s.name && (l.first || s.alone())) {
			return i
		}
	}
	return nil
}

// namesake returns who had the name of the slot, and has to end before who has it now begins; nil:
// nobody.
func (s *slot) namesake() *incarnation {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	for i, l := range s.row.leaving {
		if l.from.name == s.name && (l.first || l.fell || s.alone()) {
			return i
		}
	}
	return nil
}
