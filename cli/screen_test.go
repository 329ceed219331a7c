package cli

import (
	"os"
	"strings"
	"testing"
)

// What is cut and padded is measured in columns, and colours do not run on.
func TestCut(t *testing.T) {
	for _, test := range []struct {
		text    string
		columns int
		want    string
	}{
		{"plain", 9, "plain"},
		{"plain", 3, "pla"},
		{"plain", 0, ""},
		{"▀▀▀▀", 3, "▀▀▀"},
		{"▀▀▀", 3, "▀▀▀"},
		{"\x1b[1mbold\x1b[0m", 4, "\x1b[1mbold\x1b[0m"},
		{"\x1b[1mbold\x1b[0m", 2, "\x1b[1mbo\x1b[0m"},
		{"\x1b[38;2;1;2;3m▀▀▀\x1b[0m", 1, "\x1b[38;2;1;2;3m▀\x1b[0m"},
		{"\x1b[38;2", 4, "\x1b[38;2"}, // never ends
	} {
		if got := cut(test.text, test.columns); got != test.want {
			t.Errorf("%q cut to %d is %q, want %q", test.text, test.columns, got, test.want)
		}
		if got := width(cut(test.text, test.columns)); got > test.columns {
			t.Errorf("%q cut to %d takes %d", test.text, test.columns, got)
		}
	}
	if got := shorten("a long text", 6); got != "a lon…" {
		t.Errorf("shortened: %q", got)
	}
	if got := pad("\x1b[1mab\x1b[0m", 4); got != "\x1b[1mab\x1b[0m  " {
		t.Errorf("padded: %q", got)
	}
	if got := harmless("a\x1b[2Jb\n\u4e16 ü \u202e"); strings.ContainsAny(got, "\x1b\n\u4e16\u202e") || !strings.Contains(got, "ü") || width(got) != len([]rune(got)) {
		t.Errorf("made harmless: %q", got)
	}
}

func TestColoursOf(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "256"},
		{map[string]string{"COLORTERM": "truecolor"}, "full"},
		{map[string]string{"COLORTERM": "24bit"}, "full"},
		{map[string]string{"COLORTERM": "truecolor", "NO_COLOR": "1"}, "plain"},
	} {
		if got := coloursOf(func(name string) string { return test.env[name] }); got != test.want {
			t.Errorf("with %v: %q, want %q", test.env, got, test.want)
		}
	}
}

// Each drawing is one that leaves the cursor and the wrapping of lines as they were,
// below what was drawn, whenever the program ends.
func TestDraw(t *testing.T) {
	r, f, err := os.Pipe() // no terminal: it is taken for one of 80 × 24
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer f.Close()
	s := &screen{file: f, colours: "plain"}
	if err := s.redraw(); err != nil {
		t.Fatal(err)
	}
	long := make([]string, 30)
	for n := range long {
		long[n] = strings.Repeat("x", 70+n)
	}
	var drawings []string
	buf := make([]byte, 1<<16)
	for _, draw := range []func() error{func() error { return s.draw(long) }, func() error { return s.draw([]string{"short"}) }, s.redraw} {
		if err := draw(); err != nil {
			t.Fatal(err)
		}
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		drawings = append(drawings, string(buf[:n]))
	}
	for n, d := range drawings {
		if !strings.HasPrefix(d, "\x1b[?25l\x1b[?7l") || !strings.HasSuffix(d, "\r\n\x1b[J\x1b[?7h\x1b[?25h") {
			t.Errorf("drawing %d is %q", n, d)
		}
		_, shown, _ := strings.Cut(d, "\x1b[H")
		if rows := strings.Count(shown, "\r\n"); rows > usualRows-1 {
			t.Errorf("drawing %d has %d rows", n, rows)
		}
		for _, line := range strings.Split(shown, "\r\n") {
			if width(line) > usualColumns || width(line) == usualColumns && strings.Contains(line, "\x1b[K") {
				t.Errorf("drawing %d has the line %q", n, line)
			}
		}
	}
	if drawings[1] != drawings[2] {
		t.Errorf("drawn again it is %q, and was %q", drawings[2], drawings[1])
	}
}
