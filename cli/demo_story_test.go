package cli

import (
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// at is a moment of a story.
func at(seconds float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

func endedEvent(slot string, pid int, cause actor.Cause, when float64) actor.Event {
	return actor.Event{Type: "ended", Time: at(when), Actor: actor.Ref{Name: slot, AID: "a"}, Death: &actor.Death{Cause: cause, PID: pid}}
}

func readyEvent(slot string, when float64) actor.Event {
	return actor.Event{Type: "ready", Time: at(when), Actor: actor.Ref{Name: slot, AID: "b"}}
}

// What is told in whatever order makes one wound, and is closed by who follows.
func TestStory(t *testing.T) {
	struck := func(s *story) { s.struck(victim{"render/1", "a", 7}, freezes) }
	died := func(s *story) { s.happened(endedEvent("render/1", 7, actor.CauseFrozen, 1)) }
	again := func(s *story) { s.again("render/1", actor.Death{Cause: actor.CauseFrozen, PID: 7}) }
	vague := func(s *story) { s.again("render/1", actor.Death{Cause: actor.CauseFrozen}) } // as the worker itself tells it
	for name, order := range map[string][]func(*story){
		"as it happens":       {struck, died, again, vague},
		"the deed comes last": {again, vague, died, struck},
		"calls come first":    {vague, again, struck, died},
		"in between":          {died, vague, struck, again},
	} {
		t.Run(name, func(t *testing.T) {
			var s story
			s.happened(readyEvent("render/1", 0)) // its first
			for _, tell := range order {
				tell(&s)
			}
			list, _ := s.told()
			if len(list) != 1 || !list[0].open() || list[0].Deed != freezes || list[0].PID != 7 || list[0].Again != 2 {
				t.Fatalf("it is told as %+v", list)
			}
			s.happened(readyEvent("render/2", 2))
			if list, _ := s.told(); !list[0].open() {
				t.Error("another slot's worker has closed it")
			}
			s.happened(readyEvent("render/1", 3))
			list, sums := s.told()
			if w := list[0]; w.open() || !w.Back.Equal(at(3)) {
				t.Errorf("it is %+v", w)
			}
			if sums.Deaths != 1 || sums.Healed != 1 || sums.Again != 2 || sums.Deeds[freezes] != 1 {
				t.Errorf("the sums are %+v", sums)
			}
		})
	}
}

// Deaths of those who were to follow belong to the same slot; the next worker
// closes all.
func TestStoryOfBadStarts(t *testing.T) {
	var s story
	s.happened(endedEvent("render/1", 7, actor.CauseSignal, 0))
	s.happened(endedEvent("render/1", 8, actor.CauseStart, 1))
	if list, _ := s.told(); len(list) != 2 {
		t.Fatalf("%d wounds, want 2", len(list))
	}
	s.happened(readyEvent("render/1", 2))
	if _, sums := s.told(); sums.Deaths != 2 || sums.Healed != 2 || sums.Slowest != 2*time.Second {
		t.Errorf("the sums are %+v", sums)
	}
}

// Who is asked to stop has no wound, who was struck and lives does not keep it, and
// what is kept is bounded.
func TestStoryForgets(t *testing.T) {
	var s story
	s.happened(endedEvent("render/1", 7, actor.CauseStopped, 0))
	s.again("render/1", actor.Death{Cause: actor.CauseStopped, PID: 7})
	if list, _ := s.told(); len(list) != 0 {
		t.Errorf("who was stopped is told as %+v", list)
	}
	thawed := victim{"render/2", "x", 9}
	s.struck(thawed, freezes)
	s.survived(thawed)
	if list, _ := s.told(); list[0].open() || list[0].course() != "lives all the same" {
		t.Errorf("who lives is told as %q", list[0].course())
	}
	for pid := range 10 * maxWounds {
		s.happened(endedEvent("render/1", 100+pid, actor.CauseSignal, float64(pid)))
		s.happened(readyEvent("render/1", float64(pid)+0.5))
	}
	list, sums := s.told()
	if len(list) > maxWounds+1 || sums.Healed != 10*maxWounds {
		t.Errorf("%d wounds are kept, want %d at most; %d are counted", len(list), maxWounds+1, sums.Healed)
	}
}

// raised is how a worker in Python ends that raised what nobody handled.
func raised() *actor.Death {
	return &actor.Death{Cause: actor.CauseExit, ExitCode: 1, Stderr: []string{"Traceback (most recent call last):", "RuntimeError: told to", ""}}
}

func TestLastWords(t *testing.T) {
	for _, test := range []struct {
		death *actor.Death
		want  string
	}{
		{nil, ""},
		{raised(), "RuntimeError: told to"},
		{&actor.Death{Cause: actor.CauseExit}, ""},
		{&actor.Death{Cause: actor.CausePanic, Reason: "told to", Stderr: []string{"goroutine 1:", "main.go:3"}}, ""},
	} {
		if got := (&wound{Death: test.death}).lastWords(); got != test.want {
			t.Errorf("the last words of %+v are %q, want %q", test.death, got, test.want)
		}
	}
}

func TestWoundInWords(t *testing.T) {
	killed := &actor.Death{Cause: actor.CauseSignal, Signal: "killed"}
	for _, test := range []struct {
		wound         wound
		cause, course string
	}{
		{wound{victim: victim{Slot: "render/1"}, Deed: hangs}, "hang render/1", "not noticed yet"},
		{wound{victim: victim{Slot: "render/1"}, Deed: kills, Death: killed}, "kill -9 render/1", "SIGKILL, starts again"},
		{wound{victim: victim{Slot: "render/1"}, Deed: deeds, At: at(1), Death: killed, Back: at(1.24), Again: 1}, "not by chaos: render/1", "SIGKILL, back in 0.2s, 1 call again"},
		{wound{victim: victim{Slot: "colour/1"}, Deed: raises, At: at(1), Death: raised(), Back: at(1.5)}, "raise colour/1", "exit 1, back in 0.5s"},
		{wound{victim: victim{Slot: "render/1"}, Deed: deeds, At: at(1), Death: &actor.Death{Cause: actor.CauseFrozen, Reason: "long"}, Back: at(3), Again: 2}, "not by chaos: render/1", "frozen, back in 2.0s, 2 calls again"},
	} {
		if cause, course := test.wound.cause(), test.wound.course(); cause != test.cause || course != test.course {
			t.Errorf("%q, %q; want %q, %q", cause, course, test.cause, test.course)
		}
	}
}
