package cli

import (
	"slices"
	"strings"
	"testing"
)

// A ledger is balanced only if every tile that is due came once.
func TestLedger(t *testing.T) {
	for _, test := range []struct {
		name string
		came []spot // of frames 0 and 1, of three tiles each
		want []string
	}{
		{"all", []spot{{0, 0}, {1, 2}, {0, 1}, {0, 2}, {1, 0}, {1, 1}}, nil},
		{"one is missing", []spot{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 2}}, []string{"of 6 tiles", "1 tile never came (frame 1: 1)"}},
		{"a frame is missing", []spot{{0, 0}, {0, 1}, {0, 2}}, []string{"3 tiles never came (frame 1: 0 1 2)"}},
		{"one came twice", []spot{{0, 0}, {0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}}, []string{"1 tile came more often than was due (frame 0: 0)"}},
		{"one came again when its frame was complete", []spot{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {0, 1}, {0, 1}}, []string{"1 tile came more often than was due (frame 0: 1)"}},
		{"one for another", []spot{{0, 0}, {0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 2}}, []string{"1 tile never came (frame 0: 2), and 1 tile came more often than was due (frame 0: 0)"}},
		{"what was not due", []spot{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {1, 2}, {1, 3}, {7, 0}}, []string{"2 tiles came more often than were due (frame 1: 3; frame 7: 0)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger()
			for n := range 2 {
				if err := l.begin(n, 3); err != nil {
					t.Fatal(err)
				}
			}
			for n, s := range test.came {
				before := slices.Contains(test.came[:n], s)
				due := s.Frame < 2 && s.Tile < 3
				if first, _ := l.came(s, "a"); first != (due && !before) {
					t.Errorf("came %v: first is %v", s, first)
				}
			}
			b := l.sum()
			if b.Workers["a"] != len(test.came) {
				t.Errorf("%v tiles came from a, want %d", b.Workers, len(test.came))
			}
			err := b.check()
			if (err == nil) != (test.want == nil) {
				t.Fatalf("%v", err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q: want %q", err, want)
				}
			}
		})
	}
}

// A ledger counts frames, tells when one is complete, and does not take a frame
// twice.
func TestLedgerFrames(t *testing.T) {
	l := newLedger()
	if err := l.begin(1, 2); err == nil {
		t.Error("frame 1 began before frame 0")
	}
	if err := l.begin(0, 2); err != nil {
		t.Fatal(err)
	}
	if err := l.begin(0, 2); err == nil {
		t.Error("frame 0 began twice")
	}
	if _, complete := l.came(spot{0, 1}, "a"); complete {
		t.Error("complete after one of two tiles")
	}
	if _, complete := l.came(spot{0, 1}, "a"); complete {
		t.Error("complete after one of two tiles, twice")
	}
	if _, complete := l.came(spot{0, 0}, "b"); !complete {
		t.Error("not complete after two of two tiles")
	}
	b := l.sum()
	if b.Frames != 1 || b.Complete != 1 || b.Tiles != 2 || b.Came != 2 || b.Workers["a"] != 2 || len(l.open) != 0 {
		t.Errorf("it comes to %+v, with %d frames open", b, len(l.open))
	}
}

// However often tiles come again, what is kept of it is bounded.
func TestLedgerIsBounded(t *testing.T) {
	l := newLedger()
	for n := range 3 * maxTwice {
		l.came(spot{n, 0}, "a")
	}
	if n := len(l.sum().Twice); n != maxTwice {
		t.Errorf("%d are kept, want %d", n, maxTwice)
	}
}
