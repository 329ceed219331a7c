package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// scene is what there is to see of a demonstration at one moment.
type scene struct {
	began   time.Time
	elapsed time.Duration
	long    time.Duration
	phase   string
	seed    uint64
	calm    bool
	frames  int
	tiles   int
	totals  totals
	workers []workerRow
	wounds  []wound
	picture picture
	hints   []string
}

// workerRow is what there is to see of one slot.
type workerRow struct {
	slot     string
	pid      int
	language string // that it runs in: "python"; "" if that is not known
	state    string
	restarts int
	tiles    int
	last     *actor.Death
}

// running is how many workers run, as far as anybody knows.
func (s *scene) running() (n int) {
	for _, w := range s.workers {
		if w.state == "running" {
			n++
		}
	}
	return n
}

// How often there is something new to see.
const (
	drawEvery = 125 * time.Millisecond
	lineEvery = time.Second
)

// show shows how the demonstration goes until ctx ends.
func (d *demo) show(ctx context.Context) {
	if d.drawn {
		d.showOnScreen(ctx, newScreen(os.Stdout))
		return
	}
	d.saySorry()
	fmt.Fprintf(d.app.err, "%s in processes of their own, %d in %v colour, seed %d; from another terminal:  %s\n",
		count(d.workers, "renderer"), coloursAt, &d.colour, d.seed, strings.Join(d.hints(), "  or  "))
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			sc := d.look(ctx)
			fmt.Fprintln(d.app.err, sc.line())
		case <-ctx.Done():
			return
		}
	}
}

// showOnScreen draws, and in the end once more: how it ended, or what an interrupt
// typed has spoilt.
func (d *demo) showOnScreen(ctx context.Context, s *screen) {
	hints := d.hints()
	draw := func(ctx context.Context) {
		sc := d.look(ctx)
		if sc.phase != phaseDone {
			sc.hints = hints
		}
		l := layOut(s, &sc)
		if l.columns > 0 && l.rows > 0 {
			if p, err := look.Call(ctx, d.canvas, lookArgs{l.columns, l.rows, s.colours}); err == nil {
				sc.picture = p
			}
		}
		if ctx.Err() == nil { // or it may be half a scene
			_ = s.draw(l.lines(&sc)) // there is nowhere else to complain
		}
	}
	tick := time.NewTicker(drawEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			draw(ctx)
		case <-ctx.Done():
		}
	}
	if interrupted(ctx) {
		_ = s.redraw()
		return
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	draw(last)
}

// hints are commands to type at another terminal.
func (d *demo) hints() []string {
	var address string
	if list, err := arbiter.Instances(); err != nil || len(list) != 1 || os.Getenv(actor.EnvAddr) != "" {
		if at := d.arb.Addresses(); len(at) > 0 {
			address = " --addr " + quote(at[0]) // or it would be another arbiter
		}
	}
	return []string{d.app.program + " ps" + address, d.app.program + fmt.Sprintf(" kill %s/%d", renderPool, min(2, d.workers)) + address}
}

// look looks around. What cannot be seen is left out.
func (d *demo) look(ctx context.Context) scene {
	s := scene{
		began: d.began, elapsed: time.Since(d.began), long: d.long, phase: *d.phase.Load(), seed: d.seed, calm: d.calm,
		frames: int(d.driver.frames.Load()), tiles: int(d.driver.tiles.Load()),
	}
	s.wounds, s.totals = d.story.told()
	living, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
	if err != nil {
		return s
	}
	for _, pool := range [...]string{colourPool, renderPool} { // the few first: if there is no room for all, of the many some are to be seen
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(pool))
		if err != nil {
			continue
		}
		for _, slot := range in.Slots {
			w := workerRow{slot: slot.Name, state: slot.State, restarts: slot.Restarts, tiles: d.driver.from(slot.Name), last: slot.Last}
			if n := slices.IndexFunc(living, func(i actor.Info) bool { return i.AID == slot.AID }); n >= 0 {
				w.pid = living[n].PID
				w.language, _, _ = strings.Cut(living[n].Language, " ")
			}
			s.workers = append(s.workers, w)
		}
	}
	return s
}

// line is a scene in one line.
func (s *scene) line() string {
	text := fmt.Sprintf("%3.0fs  %s: %s, %s; %d of %d workers run; %s, %d healed, %s again",
		s.elapsed.Seconds(), s.phase, count(s.frames, "frame"), count(s.tiles, "tile"), s.running(), len(s.workers),
		count(s.totals.Deaths, "death"), s.totals.Healed, count(s.totals.Again, "call"))
	if n := len(s.wounds); n > 0 {
		w := s.wounds[n-1]
		text += fmt.Sprintf("; last: %s, %s", w.cause(), w.course())
		if words := w.lastWords(); words != "" {
			text += fmt.Sprintf(" (%s)", words)
		}
	}
	return text
}

// layout is how a scene is laid out on a screen: two lines on top, the workers, the
// picture with what happened beside it, and the hints.
type layout struct {
	style
	width, height int
	table         int // rows of workers
	columns, rows int // of the picture, at most; 0: there is none
	story         int // columns of what happened, beside the picture
}

// The least that is worth the room.
const (
	leastWidth  = 40
	leastHeight = 10
	leastStory  = 40
	mostStory   = 52
	leastRows   = 4
	roomForLead = 20
	farewell    = 7 // rows for what is printed at the end

	roomForReason = 40
)

func layOut(s *screen, sc *scene) layout {
	columns, rows := s.size()
	if sc.phase == phaseDone && rows-farewell >= leastHeight {
		rows -= farewell
	}
	return arrange(columns, rows, sc, style{s.colours == "plain"})
}

// arrange lays a scene out on so many columns and rows, of which the last stays
// free.
func arrange(columns, rows int, sc *scene, st style) layout {
	l := layout{style: st, width: columns, height: rows - 1}
	if columns < leastWidth || rows < leastHeight {
		return l
	}
	l.table = min(max(len(sc.workers), 1), max(l.height*2/5, 2))
	body := l.height - 2 - 1 - l.table - len(l.hinted(sc))
	if body < leastRows {
		return l
	}
	l.rows, l.columns = body, columns
	if columns >= leastWidth+leastStory {
		l.story = min(max(columns/3, leastStory), mostStory)
		l.columns = columns - l.story - 2
	} else {
		l.rows = body - leastRows // and what happened below it
		if l.rows < leastRows {
			l.rows, l.columns = 0, 0
		}
	}
	return l
}

// hinted are the lines of the hints, of those that fit: a part of a command is none.
func (l *layout) hinted(sc *scene) (lines []string) {
	const lead = "from another terminal:"
	if len(sc.hints) == 0 {
		return nil
	}
	if one := lead + "  " + strings.Join(sc.hints, "   "); width(one) <= l.width {
		return []string{one}
	}
	for _, h := range sc.hints {
		if width(h) <= l.width {
			lines = append(lines, h)
		}
	}
	if len(lines) > 0 && l.height >= roomForLead {
		lines = append([]string{lead}, lines...)
	}
	return lines
}

// lines returns the lines of a scene.
func (l layout) lines(sc *scene) []string {
	if l.table == 0 {
		return []string{cut(sc.line(), l.width)}
	}
	lines := append(l.head(sc), l.workers(sc)...)
	body := l.height - len(lines) - len(l.hinted(sc))
	lines = append(lines, l.body(sc, max(body, 0))...)
	for _, h := range l.hinted(sc) {
		lines = append(lines, l.faint(h))
	}
	return lines
}

// head is the title and how far it is.
func (l *layout) head(sc *scene) []string {
	title, right := "arbiter demo: a render pool under attack", fmt.Sprintf("seed %d", sc.seed)
	if sc.calm {
		title, right = "arbiter demo: a render pool, left alone", ""
	}
	if width(title)+width(right) < l.width {
		title = pad(title, l.width-width(right)) + right
	}
	shown := min(sc.elapsed, sc.long)
	text := fmt.Sprintf(" %.0f of %.0f s, %s: %s, %s, %s again", shown.Seconds(), sc.long.Seconds(), sc.phase,
		count(sc.frames, "frame"), count(sc.tiles, "tile"), count(sc.totals.Again, "call"))
	bar := max(min(l.width-width(text)-2, 40), 0)
	if bar < 6 {
		return []string{l.bold(title), strings.TrimSpace(text)}
	}
	full := int(int64(bar) * int64(shown) / int64(max(sc.long, 1)))
	return []string{l.bold(title), "[" + strings.Repeat("#", full) + strings.Repeat("-", bar-full) + "]" + text}
}

// workers is the table of the slots.
func (l *layout) workers(sc *scene) []string {
	slot := len("SLOT")
	for _, w := range sc.workers {
		slot = max(slot, len(w.slot))
	}
	row := func(mark, name, language, pid, state, restarts, tiles, last string) string {
		return fmt.Sprintf("%s %-*s  %-6s  %7s  %-8s  %8s  %6s  %s", mark, slot, name, language, pid, state, restarts, tiles, last)
	}
	header := row(" ", "SLOT", "LANG", "PID", "STATE", "RESTARTS", "TILES", "LAST DEATH")
	lines := []string{l.faint(header)}
	left := l.width - width(header) + len("LAST DEATH")
	shown := sc.workers
	if len(shown) > l.table {
		shown = shown[:max(l.table-1, 0)]
	}
	for _, w := range shown {
		pid, last := "-", ""
		if w.pid > 0 {
			pid = fmt.Sprint(w.pid)
		}
		if w.last != nil {
			last = shorten(harmless(endOf(*w.last, left)), max(left, 0))
		}
		text := row("", w.slot, shorten(harmless(w.language), 6), pid, w.state, fmt.Sprint(w.restarts), fmt.Sprint(w.tiles), last)
		lines = append(lines, l.mark(w.state)+text)
	}
	if hidden := len(sc.workers) - len(shown); hidden > 0 {
		lines = append(lines, l.faint(fmt.Sprintf("  and %d more", hidden)))
	}
	return lines
}

// endOf says how a worker ended: in so many columns, if they are few, without what
// they have no room for.
func endOf(d actor.Death, columns int) string {
	if columns >= roomForReason {
		return inWords(d)
	}
	text := brief(d)
	if words := lastWords(d); words != "" {
		text += ": " + words
	}
	return text
}

// mark is a state as a shape and a colour.
func (l *layout) mark(state string) string {
	switch state {
	case "running":
		return l.green("+")
	case "failed", "stopped", "done":
		return l.red("x")
	}
	return l.yellow("~")
}

// body is the picture and what happened.
func (l *layout) body(sc *scene, rows int) []string {
	if l.story == 0 {
		lines := append([]string(nil), sc.picture.Lines...)
		return append(lines, l.told(sc, l.width, max(rows-len(lines), 0))...)
	}
	told := l.told(sc, l.width-sc.picture.Columns-2, rows)
	var lines []string
	for n := range max(len(told), len(sc.picture.Lines)) {
		line := strings.Repeat(" ", sc.picture.Columns)
		if n < len(sc.picture.Lines) {
			line = sc.picture.Lines[n]
		}
		if n < len(told) {
			line += "  " + told[n]
		}
		lines = append(lines, line)
	}
	return lines
}

// told is what happened, the latest last: two lines each, or one where there is
// room beside, and another for what a worker said last.
func (l *layout) told(sc *scene, columns, rows int) (lines []string) {
	for _, w := range slices.Backward(sc.wounds) {
		mark := l.green("+")
		if w.open() {
			mark = l.yellow("~")
		}
		head := fmt.Sprintf("%s %s", seconds(w.At.Sub(sc.began)), w.cause())
		rest := harmless(w.course())
		next := []string{mark + " " + l.bold(shorten(head, columns-2)), "  " + shorten(rest, columns-2)}
		if width(head)+width(rest)+4 <= columns {
			next = []string{mark + " " + l.bold(head) + ": " + rest}
		}
		if words := w.lastWords(); words != "" {
			next = append(next, "  "+l.faint(shorten("| "+harmless(words), columns-2)))
		}
		if len(next)+len(lines) > rows {
			break
		}
		lines = append(next, lines...)
	}
	return lines
}
