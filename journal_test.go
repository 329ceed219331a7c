package arbiter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/proc"
)

// TestJournalKeepsLinesAsTheyAre: also what begins as the pieces of a long line do, which are
// marked so.
func TestJournalKeepsLinesAsTheyAre(t *testing.T) {
	var j journal
	for _, text := range []string{"… and then", proc.Continued, strings.Repeat("x", proc.MaxLine), proc.Continued + "xxx"} {
		j.add("a", "stdout", []byte(text))
	}
	out, _ := j.since(actor.LogsArgs{})
	var got []string
	for _, l := range out.Lines {
		got = append(got, l.Text)
	}
	want := []string{"… and then", proc.Continued, strings.Repeat("x", journalLine), proc.Continued + "xxx"}
	if !slices.Equal(got, want) {
		t.Errorf("it keeps %.40q, want %.40q", got, want)
	}
}

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
