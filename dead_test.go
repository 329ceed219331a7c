package arbiter

import (
	"slices"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// TestEpitaph: of what somebody said last is remembered what there is room for, and that is
// the reason and the last lines.
func TestEpitaph(t *testing.T) {
	line := strings.Repeat("l", 1000)
	short := &wire.Death{Reason: "out of ink", Stderr: []string{line, "the last"}}
	if inShort(short) != short {
		t.Error("one that is short was made shorter")
	}
	for name, d := range map[string]*wire.Death{
		"many lines":                {Reason: "out of ink", Stderr: append(slices.Repeat([]string{line}, 50), "the last")},
		"a long reason":             {Reason: strings.Repeat("r", 2*maxEpitaph)},
		"a long reason, many lines": {Reason: strings.Repeat("r", 2*maxEpitaph), Stderr: slices.Repeat([]string{line}, 50)},
	} {
		got := inShort(d)
		n := len(got.Reason)
		for _, l := range got.Stderr {
			n += len(l)
		}
		if n > maxEpitaph+len("…") || got.Reason == "" {
			t.Errorf("%s: %d bytes are remembered, and a reason of %d", name, n, len(got.Reason))
		}
		if name == "many lines" && (got.Reason != d.Reason || got.Stderr[len(got.Stderr)-1] != "the last") {
			t.Errorf("%s: %.50q, %d lines", name, got.Reason, len(got.Stderr))
		}
	}
}
