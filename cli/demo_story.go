package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// story is what happened to the workers: what was done to them, how they died of
// it, and when others had taken their places. It is told by several goroutines.
type story struct {
	mu     sync.Mutex
	wounds []*wound // the oldest first: those that are open, and the latest of the others
	totals totals
}

// totals are the sums of a story.
type totals struct {
	Deeds   [deeds]int    // what chaos did, by deed
	Deaths  int           // of workers, whoever caused them
	Healed  int           // of these, those after which the slot was filled again
	Again   int           // calls that ended with a death and were made again
	Slowest time.Duration // the longest time from a deed, or else a death, to the next worker
}

// wound is the end of a worker, from what caused it to who followed.
type wound struct {
	victim
	Deed  deed // deeds: not by chaos
	At    time.Time
	Death *actor.Death // nil: it is not known to be dead yet
	Back  time.Time    // when its slot was filled again
	Again int          // calls that were made again because of it
}

func (w *wound) open() bool { return w.Back.IsZero() }

// maxWounds is how many closed wounds are kept to be shown.
const maxWounds = 64

// of returns the wound of a worker, whose pid is 0 if it is not told. It is a new
// one if there is none yet: who was struck, who is dead, and which calls that ended,
// is told in any order. mu is held.
func (s *story) of(slot string, pid int, at time.Time) *wound {
	for n := len(s.wounds) - 1; n >= 0; n-- {
		w := s.wounds[n]
		if w.Slot == slot && (w.PID == pid || (w.PID == 0 || pid == 0) && w.open()) {
			w.PID = max(w.PID, pid)
			return w
		}
	}
	if len(s.wounds) > maxWounds {
		for n, w := range s.wounds {
			if !w.open() {
				s.wounds = append(s.wounds[:n], s.wounds[n+1:]...)
				break
			}
		}
	}
	w := &wound{victim: victim{Slot: slot, PID: pid}, Deed: deeds, At: at}
	s.wounds = append(s.wounds, w)
	return w
}

// struck tells what chaos did to whom.
func (s *story) struck(v victim, d deed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.of(v.Slot, v.PID, time.Now())
	w.AID, w.Deed = v.AID, d
	s.totals.Deeds[d]++
}

// again tells that a call is made again, because the worker it was with has ended.
func (s *story) again(slot string, d actor.Death) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals.Again++
	if d.Cause != actor.CauseStopped {
		s.of(slot, d.PID, time.Now()).Again++
	}
}

// happened tells what the arbiter says of a slot.
func (s *story) happened(ev actor.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case ev.Type == "ended" && ev.Death != nil && ev.Death.Cause != actor.CauseStopped:
		w := s.of(ev.Actor.Name, ev.Death.PID, ev.Time)
		w.AID, w.Death = ev.Actor.AID, ev.Death
		s.totals.Deaths++
	case ev.Type == "ready":
		for _, w := range s.wounds {
			if w.Slot == ev.Actor.Name && w.Death != nil && w.open() {
				w.Back = ev.Time
				s.totals.Healed++
				s.totals.Slowest = max(s.totals.Slowest, w.Back.Sub(w.At))
			}
		}
	}
}

// survived tells that a worker was struck and lives all the same.
func (s *story) survived(v victim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.wounds {
		if w.victim == v && w.Death == nil {
			w.Back = time.Now()
		}
	}
}

// told returns the wounds that are kept, the oldest first, and the totals.
func (s *story) told() ([]wound, totals) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]wound, 0, len(s.wounds))
	for _, w := range s.wounds {
		list = append(list, *w)
	}
	return list, s.totals
}

// cause says what was done, and to whom: "freeze render/2".
func (w *wound) cause() string {
	if w.Deed == deeds {
		return "not by chaos: " + w.Slot
	}
	return w.Deed.String() + " " + w.Slot
}

// course says what came of it, as far as it is known: "frozen, back in 1.9s, 2 calls
// again".
func (w *wound) course() string {
	var parts []string
	if w.Death != nil {
		parts = append(parts, brief(*w.Death))
	}
	switch {
	case !w.open() && w.Death == nil:
		parts = append(parts, "lives all the same")
	case !w.open():
		parts = append(parts, "back in "+seconds(w.Back.Sub(w.At)))
	case w.Death == nil:
		parts = append(parts, "not noticed yet")
	default:
		parts = append(parts, "starts again")
	}
	if w.Again > 0 {
		parts = append(parts, count(w.Again, "call")+" again")
	}
	return strings.Join(parts, ", ")
}

// lastWords is what the worker wrote last, if it is known to have exited.
func (w *wound) lastWords() string {
	if w.Death == nil {
		return ""
	}
	return lastWords(*w.Death)
}

// lastWords is the last line a worker wrote to its standard error before it exited:
// in Python, what was raised. Others have said it in the reason.
func lastWords(d actor.Death) string {
	if d.Cause != actor.CauseExit {
		return ""
	}
	return lastLine(strings.Join(d.Stderr, "\n"))
}

// brief says how an actor ended, in the fewest words.
func brief(d actor.Death) string {
	switch {
	case d.Cause == actor.CauseSignal && d.Signal == "killed":
		return "SIGKILL"
	case d.Cause == actor.CauseExit:
		return fmt.Sprintf("exit %d", d.ExitCode)
	case d.Cause == actor.CauseSignal:
		return "signal " + d.Signal
	}
	text := actor.Death{Cause: d.Cause}.String()
	return strings.TrimPrefix(text, "was ")
}

// inWords says how an actor ended, and why.
func inWords(d actor.Death) string {
	if d.Cause != actor.CauseExit {
		d.Stderr = nil
	}
	return d.String()
}

func seconds(d time.Duration) string {
	if d < 100*time.Millisecond {
		return d.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}
