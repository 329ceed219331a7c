package arbiter

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// journal keeps the last lines that processes have printed: of each actor by
// itself, so that one that prints much does not drive out what others said.
type journal struct {
	budget *peer.Budget // nil: nothing is counted

	mu   sync.Mutex              // guards what follows
	kept int                     // bytes of all pages
	of   map[string]*journalPage // by label
	seq  uint64
	gone uint64        // the number of the last line of a page that was given up
	news chan struct{} // closed by the next line; nil while nobody waits
}

// journalPage is the lines of one name, oldest first.
type journalPage struct {
	lines []actor.LogLine
	bytes int
	lost  uint64 // the number of the last line that is no longer kept
	at    uint64 // that of the last one
}

// What is kept: some 100 MiB at most, where there are very many who print much.
const (
	pageLines    = 1000
	pageBytes    = 128 << 10
	journalPages = 512
	journalLine  = 4 << 10
	lineCost     = 112 // bytes of a line beside its text
	journalShare = 8   // of the budget of memory an eighth is its part, at most
)

// add keeps a line, as it is: whether one that begins with proc.Continued is a piece of the
// line before, or was printed so, is not known here.
func (j *journal) add(label, stream string, text []byte) {
	line := actor.LogLine{Time: time.Now(), Actor: label, Stream: stream, Text: strings.ToValidUTF8(string(text[:min(len(text), journalLine)]), "�")}
	j.mu.Lock()
	defer j.mu.Unlock()
	before := j.kept
	j.seq++
	line.Seq = j.seq
	p := j.of[label]
	if p == nil {
		p = j.pageLocked(label)
	}
	p.lines = append(p.lines, line)
	p.bytes += len(line.Text)
	p.at = line.Seq
	drop := 0
	j.kept += len(line.Text) + lineCost
	for len(p.lines)-drop > pageLines || p.bytes > pageBytes && len(p.lines)-drop > 1 {
		p.bytes -= len(p.lines[drop].Text)
		j.kept -= len(p.lines[drop].Text) + lineCost
		p.lost = p.lines[drop].Seq
		drop++
	}
	if drop > 0 {
		clear(p.lines[:drop])
		p.lines = p.lines[drop:]
	}
	for limit := j.budget.Limit() / journalShare; limit > 0 && int64(j.kept) > limit && len(j.of) > 1; {
		j.forgetLocked()
	}
	j.budget.Keep(j.kept - before)
	if j.news != nil {
		close(j.news)
		j.news = nil
	}
}

// forgetLocked gives up the page that was silent longest.
func (j *journal) forgetLocked() {
	oldest := ""
	for name, p := range j.of {
		if oldest == "" || p.at < j.of[oldest].at {
			oldest = name
		}
	}
	p := j.of[oldest]
	j.gone = max(j.gone, p.at)
	j.kept -= p.bytes + len(p.lines)*lineCost
	delete(j.of, oldest)
}

// pageLocked makes a page, at the cost of the one that was silent longest.
func (j *journal) pageLocked(label string) *journalPage {
	if j.of == nil {
		j.of = make(map[string]*journalPage)
	}
	if len(j.of) >= journalPages {
		j.forgetLocked()
	}
	p := &journalPage{}
	j.of[label] = p
	return p
}

// maxLogLines is how many lines come at a time.
const maxLogLines = 1000

// since returns lines as args ask for, and what is closed by the next line if there
// are none.
func (j *journal) since(args actor.LogsArgs) (out actor.LogLines, news <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out.Lines, out.Next, out.End = []actor.LogLine{}, args.Since, j.seq
	for label, p := range j.of {
		if args.Target != "" && label != args.Target && !strings.HasPrefix(label, args.Target+"/") {
			continue
		}
		if p.at <= args.Since {
			continue // nothing new
		}
		if p.lost > args.Since && args.Since > 0 {
			out.Lost++
		}
		at, _ := slices.BinarySearchFunc(p.lines, args.Since+1, func(l actor.LogLine, seq uint64) int {
			return int(int64(l.Seq) - int64(seq))
		})
		if args.Within > 0 {
			oldest := time.Now().Add(-args.Within)
			for at < len(p.lines) && p.lines[at].Time.Before(oldest) {
				at++
			}
		}
		out.Lines = append(out.Lines, p.lines[at:]...)
	}
	if j.gone > args.Since && args.Since > 0 && args.Target == "" {
		out.Lost++ // of those who were forgotten it is not known how many
	}
	slices.SortFunc(out.Lines, func(a, b actor.LogLine) int { return int(int64(a.Seq) - int64(b.Seq)) })
	if args.Since == 0 && args.Last > 0 && len(out.Lines) > args.Last {
		out.Lines = out.Lines[len(out.Lines)-args.Last:]
	}
	if len(out.Lines) > maxLogLines {
		out.Lines, out.More = out.Lines[:maxLogLines], true
	}
	if n := len(out.Lines); n > 0 {
		out.Next = out.Lines[n-1].Seq
		return out, nil
	}
	if j.news == nil {
		j.news = make(chan struct{})
	}
	return out, j.news
}

// wait answers the command logs.
func (j *journal) wait(ctx context.Context, args actor.LogsArgs) (actor.LogLines, error) {
	out, news := j.since(args)
	if len(out.Lines) > 0 || args.Wait <= 0 {
		return out, nil
	}
	timer := time.NewTimer(eventWait(ctx, args.Wait))
	defer timer.Stop()
	for {
		select {
		case <-news:
			if out, news = j.since(args); len(out.Lines) > 0 {
				return out, nil
			}
		case <-timer.C:
			return out, nil
		case <-ctx.Done():
			return out, nil
		}
	}
}

// last returns the last n lines of a label.
func (j *journal) last(label string, n int) []actor.LogLine {
	out, _ := j.since(actor.LogsArgs{Target: label, Last: n})
	return out.Lines
}
