package cell

import (
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/parker"
)

// A reader that has handed on the one message there was goes to sleep again: who it was for is
// woken by it, and by nobody else, and it is for that a Parker is made. Where messages come one
// behind the other, who is woken runs beside the reader, and is woken as ever.

// often is how often in a row there was one message alone before it is taken for the rule.
const often = 64

// workersPlace is where one worker rests. Guarded by Commons.mu.
type workersPlace struct {
	lone   int            // so often in a row was one woken by who was about to sleep, up to often
	made   bool           // at is all there will be
	at     *parker.Parker // nil: there is none, yet or at all
	parked chan bool      // of the worker that rests there; nil: none does
}

// callersPlace is where one caller waits.
type callersPlace struct {
	lone atomic.Uint32 // so many calls in a row were alone in flight; from often on they are not counted
	made atomic.Bool   // likewise
	at   atomic.Pointer[parker.Parker]
}

// Parks says that readers of sockets wake who waits here. It is called before anybody else uses s.
func (s *Commons) Parks() { s.parks = true }

// park has the worker with that wake rest at the place of its own, if there is one and it is free.
// It is called with s.mu held.
func (s *Commons) park(wake chan bool) bool {
	w := &s.place
	if w.parked != nil || !w.made && w.lone < often {
		return false
	}
	if !w.made {
		w.made = true
		w.at = parker.New()
	}
	if w.at == nil {
		return false
	}
	w.parked = wake
	return true
}

// wakeParked wakes the worker that rests there, if it is for that. It is called with s.mu held,
// which it gives up if it returns true. See work for last.
func (s *Commons) wakeParked(last bool) bool {
	w := &s.place
	switch {
	case !last || !s.parks:
		w.lone = 0
	case w.lone < often:
		w.lone++
	case w.parked != nil && w.at.Fit():
		wake := w.parked
		w.parked = nil
		s.mu.Unlock()
		wake <- true // there is room: it rests
		w.at.Unpark()
		return true
	}
	return false
}

// Sends is called by a host that is about to send c. alone says that nothing else is in flight over
// the same connection: who reads the outcome sleeps behind that.
func (s *Commons) Sends(c *Call, alone bool) {
	if s == nil || !s.parks {
		return
	}
	w := &s.callers
	n := w.lone.Load()
	switch {
	case !alone:
		if n != 0 {
			w.lone.Store(0)
		}
	case n < often:
		w.lone.Add(1)
	case !c.rung:
	default:
		if w.made.CompareAndSwap(false, true) {
			s.mu.Lock()
			if !s.closed {
				w.at.Store(parker.New())
			}
			s.mu.Unlock()
		}
		if at := w.at.Load(); at.Take() {
			c.bell.at.Store(at)
		}
	}
}

// closePlaces wakes who rests or waits there: it is in another way from now on.
func (s *Commons) closePlaces() {
	if s.place.at != nil { // which nobody changes any more
		s.place.at.Close()
	}
	if at := s.callers.at.Load(); at != nil {
		at.Close()
	}
}
