package proc

import (
	"strings"
	"testing"
	"time"
)

// TestHuntOfHeadless: a process whose first thread has ended lives, is found, as a root and
// by its environment, and is ended.
func TestHuntOfHeadless(t *testing.T) {
	for _, by := range []string{"root", "environment"} {
		t.Run(by, func(t *testing.T) {
			const instance = "0123456789abcdef"
			s := program("headless")
			s.Env = setEnv(s.Env, EnvInstance, "outer:"+instance)
			p := start(t, s)
			var e entry
			eventually(t, "its first thread has ended", func() bool {
				stat, err := readStat(p.PID())
				if err != nil {
					t.Fatal(err)
				}
				if e, err = parseEntry(p.PID(), stat); err != nil {
					t.Fatal(err)
				}
				return strings.Contains(stat, ") Z ")
			})
			h := &hunt{instance: instance, deadline: time.Now().Add(patience)}
			if by == "root" {
				h.instance, h.roots = "", map[int]uint64{e.pid: e.start}
			}
			if left := h.run(quietClose); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			receive(t, p.Exited(), "its end")
			if exit := p.Exit(); exit.Signal != "killed" {
				t.Errorf("exit %+v", exit)
			}
		})
	}
}

// TestParseEntryOfTheDead: dead is who has no threads but the one that has ended.
func TestParseEntryOfTheDead(t *testing.T) {
	for stat, want := range map[string]entry{
		"7 (a) Z 2 3 4 0 -1 0 1 2 3 4 5 6 0 0 20 0 1 0 999 0 0 0": {pid: 7, parent: 2, group: 3, session: 4, start: 999, zombie: true},
		"7 (a) X 2 3 4 0 -1 0 1 2 3 4 5 6 0 0 20 0 0 0 999 0 0 0": {pid: 7, parent: 2, group: 3, session: 4, start: 999, zombie: true},
		"7 (a) Z 2 3 4 0 -1 0 1 2 3 4 5 6 0 0 20 0 2 0 999 0 0 0": {pid: 7, parent: 2, group: 3, session: 4, start: 999, headless: true},
		"7 (a) S 2 3 4 0 -1 0 1 2 3 4 5 6 0 0 20 0 2 0 999 0 0 0": {pid: 7, parent: 2, group: 3, session: 4, start: 999},
	} {
		if got, err := parseEntry(7, stat); got != want || err != nil {
			t.Errorf("%s\n is %+v, %v, want %+v", stat, got, err, want)
		}
	}
}
