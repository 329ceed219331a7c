package cli

import (
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
