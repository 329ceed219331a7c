package arbiter

import (
	"fmt"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// TestJournalForgets: who reads on is told that something is missing, of a page that
// was cut and of one that was given up.
func TestJournalForgets(t *testing.T) {
	var j journal
	j.add("quiet", "stdout", []byte("hello"))
	for n := range pageLines + 10 {
		j.add("loud", "stdout", fmt.Append(nil, n))
	}
	if out, _ := j.since(actor.LogsArgs{Since: 1}); out.Lost != 1 {
		t.Errorf("of %d actors lines are missing, want 1", out.Lost)
	}
	if out, _ := j.since(actor.LogsArgs{Since: 1, Target: "quiet"}); out.Lost != 0 || len(out.Lines) != 0 {
		t.Errorf("of who said nothing more: %+v", out)
	}
	for n := range journalPages {
		j.add(fmt.Sprint("a", n), "stdout", []byte("x"))
	}
	if len(j.of) != journalPages {
		t.Errorf("%d pages, want %d", len(j.of), journalPages)
	}
	if out, _ := j.since(actor.LogsArgs{Since: 1}); out.Lost == 0 || out.Lines[0].Actor == "loud" {
		t.Errorf("the loud one was forgotten: of %d actors lines are missing, the first that is there is of %q", out.Lost, out.Lines[0].Actor)
	}
}
