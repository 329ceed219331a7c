package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// aScene is one with everything in it.
func aScene(workers, wounds int) *scene {
	s := &scene{
		began: at(0), elapsed: 7 * time.Second, long: 20 * time.Second, phase: phaseRendering, seed: 42, frames: 100, tiles: 7000,
		hints: []string{"arbiter ps", "arbiter kill render/2"},
	}
	for n := range workers {
		s.workers = append(s.workers, workerRow{
			slot: fmt.Sprintf("render/%d", n+1), pid: 1000 + n, state: "running", tiles: 10,
			last: &actor.Death{Cause: actor.CausePanic, Reason: strings.Repeat("a long reason\x1b[2J ", 20)},
		})
	}
	for n := range wounds {
		s.wounds = append(s.wounds, wound{victim: victim{Slot: "render/1", PID: n}, Deed: deed(n % int(deeds)), At: at(float64(n)), Death: &actor.Death{Cause: actor.CauseHung}, Back: at(float64(n) + 1)})
	}
	return s
}

// On a screen of any size nothing is wider or higher than it is, and what matters
// is there.
func TestViewFits(t *testing.T) {
	for _, of := range [][2]int{{80, 24}, {120, 40}, {200, 60}, {60, 20}, {40, 10}, {81, 12}, {20, 5}, {1, 1}, {300, 8}, {30, 100}, {40, 200}} {
		for _, workers := range []int{0, 1, 4, 64} {
			for _, plain := range []bool{true, false} {
				columns, rows := of[0], of[1]
				sc := aScene(workers, 30)
				l := arrange(columns, rows, sc, style{plain})
				if l.columns > 0 && l.rows > 0 {
					c := filled(t, size{64, 40}, palette(900))
					p, err := c.look(t.Context(), lookArgs{l.columns, l.rows, map[bool]string{true: "plain", false: "full"}[plain]})
					if err != nil {
						t.Fatal(err)
					}
					sc.picture = p
				}
				lines := l.lines(sc)
				what := fmt.Sprintf("%d workers on %dx%d, plain %v", workers, columns, rows, plain)
				if len(lines) > max(rows-1, 1) {
					t.Errorf("%s: %d lines", what, len(lines))
				}
				for _, line := range lines {
					if width(cut(line, columns)) > columns {
						t.Errorf("%s: %q", what, line)
					}
					if plain && strings.Contains(line, "\x1b") || strings.Contains(line, "\x1b[2J") {
						t.Errorf("%s: an escape in %q", what, line)
					}
				}
				text := strings.Join(lines, "\n")
				for _, want := range []string{"rendering", "100 frames"} {
					if columns >= 40 && !strings.Contains(text, want) {
						t.Errorf("%s: no %q in\n%s", what, want, text)
					}
				}
				if columns >= 80 && rows >= 24 {
					for _, want := range []string{"seed 42", "arbiter kill render/2", "29.0s", "hung, back in 1.0s"} {
						if !strings.Contains(text, want) {
							t.Errorf("%s: no %q in\n%s", what, want, text)
						}
					}
				}
				if t.Failed() {
					return
				}
			}
		}
	}
}

// Who is in Python is told from the others, and what it raised is told where there is
// room, short or long.
func TestViewTellsWhatWasRaised(t *testing.T) {
	sc := aScene(2, 0)
	sc.workers[0].slot, sc.workers[0].language, sc.workers[0].last = "colour/1", "python", raised()
	sc.workers[1].language, sc.workers[1].last = "go", &actor.Death{Cause: actor.CauseHung, Reason: "it was still inside"}
	sc.wounds = []wound{{victim: victim{Slot: "colour/1"}, Deed: raises, At: at(1), Death: raised(), Back: at(2)}}
	for columns, want := range map[int][]string{
		80:  {"colour/1  python", "render/2  go ", "exit 1: RuntimeError: ", "hung\n", "1.0s raise colour/1: exit 1, back in 1.0s\n", "| RuntimeError: told to"},
		120: {"exited with code 1; ", "hung: it was still inside", "raise colour/1: exit 1, back in 1.0s", "| RuntimeError: told to"},
	} {
		text := strings.Join(arrange(columns, 40, sc, style{true}).lines(sc), "\n")
		for _, want := range want {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in %d columns of\n%s", want, columns, text)
			}
		}
	}
	if want := "raise colour/1, exit 1, back in 1.0s (RuntimeError: told to)"; !strings.Contains(sc.line(), want) {
		t.Errorf("no %q in %q", want, sc.line())
	}
}

// A command that does not fit is left out: a part of one is none.
func TestHintsAreWhole(t *testing.T) {
	sc := aScene(4, 0)
	sc.hints = []string{"arbiter ps", "arbiter kill render/2 --addr unix:" + strings.Repeat("/long", 30)}
	l := arrange(80, 24, sc, style{true})
	text := strings.Join(l.lines(sc), "\n")
	if !strings.Contains(text, "arbiter ps") || strings.Contains(text, "--addr") {
		t.Errorf("the hints are\n%s", text)
	}
}

func TestStatusLine(t *testing.T) {
	sc := aScene(3, 1)
	sc.workers[1].state = "waiting"
	sc.totals = totals{Deaths: 2, Healed: 1, Again: 3}
	line := sc.line()
	for _, want := range []string{"7s", "100 frames", "7000 tiles", "2 of 3 workers run", "2 deaths", "1 healed", "3 calls again", "kill -9 render/1, hung"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q has no %q", line, want)
		}
	}
}
