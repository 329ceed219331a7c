package load

import (
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// WriteTable writes cells and their lines for people: a block a figure, a row a
// peer. The same text is a table in Markdown.
func WriteTable(w io.Writer, cells []Cell, lines []Line) error {
	var b strings.Builder
	for i, c := range cells {
		if i == 0 || cells[i-1].Figure.Name != c.Figure.Name {
			block(&b, c.Figure, cells, lines)
		}
	}
	goals(&b, lines)
	_, err := io.WriteString(w, b.String())
	return err
}

func block(b *strings.Builder, f Figure, cells []Cell, lines []Line) {
	fmt.Fprintf(b, "\n**%s** %s", f.Name, f.About)
	b.WriteString("\n\n")
	head := []string{"peer", f.Unit(), "× ideal", "× nats", "spread"}
	suffixes := []string{}
	switch {
	case f.Shape == Spawn:
		suffixes = []string{"/bytes"}
	case f.Shape.Local():
		suffixes = []string{"/cpu"}
	default:
		if f.InFlight == 1 {
			suffixes = []string{"/p50", "/p99"}
		}
		suffixes = append(suffixes, "/cpu", "/cpu-hub", "/cpu-echo", "/cpu-caller")
	}
	if f.Shape.Local() {
		head[2], head[3] = "× channel", ""
	}
	for _, s := range suffixes {
		head = append(head, headings[s])
	}
	rows := [][]string{head}
	notes := []string{}
	for _, c := range cells {
		if c.Figure.Name != f.Name {
			continue
		}
		row := make([]string, len(head))
		row[0] = c.Info.Name
		if c.Info.Hops == 1 {
			row[0] += " (direct, one hop)"
		}
		switch {
		case c.Info.Missing != "":
			row[1] = "—"
			notes = append(notes, c.Info.Name+": "+c.Info.Missing)
		case c.NoTell:
			row[1] = "—"
			notes = append(notes, c.Info.Name+": "+ErrNoTell.Error())
		case c.Err != nil:
			row[1] = "failed"
			notes = append(notes, c.Info.Name+" failed: "+c.Err.Error())
		}
		if l, ok := lookup(lines, c, ""); ok {
			row[1] = number(l.Value)
			row[2] = fraction(l.Ratio)
			if !f.Shape.Local() {
				row[3] = fraction(l.NATS)
			}
			row[4] = fmt.Sprintf("%s … %s", number(l.Min), number(l.Max))
		}
		for i, s := range suffixes {
			if l, ok := lookup(lines, c, s); ok {
				row[5+i] = number(l.Value)
				if s == "/p50" && l.Ratio != 0 {
					row[5+i] += fmt.Sprintf(" (× %s)", fraction(l.Ratio))
				}
			}
		}
		rows = append(rows, row)
	}
	grid(b, rows)
	for _, n := range notes {
		fmt.Fprintf(b, "\n%s\n", n)
	}
}

// goals writes every goal beside what was measured.
func goals(b *strings.Builder, lines []Line) {
	rows := [][]string{{"goal of", "figure", "measured", "beside", "its", "ratio", "goal", ""}}
	met := 0
	for _, l := range lines {
		for _, j := range l.Goals {
			result := "missed"
			if j.Met {
				result = "met"
				met++
			}
			value := number(l.Value)
			if l.Unit != "msg/s" {
				value += " " + l.Unit
			}
			its := ""
			if j.Peer != "" {
				its = number(j.Value)
			}
			rows = append(rows, []string{l.Peer, l.Figure, value, j.Peer, its, fraction(j.Ratio), j.Goal, result})
		}
	}
	if len(rows) == 1 {
		return
	}
	rows[0][7] = fmt.Sprintf("%d of %d met", met, len(rows)-1)
	b.WriteString("\n**goals**\n\n")
	grid(b, rows)
	b.WriteString("\nMeasured or asserted elsewhere:\n\n")
	for _, e := range Elsewhere {
		fmt.Fprintf(b, "- %s — `%s`\n", e[0], e[1])
	}
}

// headings of the columns beside the figure itself; CPU is in microseconds a
// message.
var headings = map[string]string{
	"/p50": "p50 µs", "/p99": "p99 µs", "/bytes": "bytes each",
	"/cpu": "CPU µs", "/cpu-hub": "hub", "/cpu-echo": "echo", "/cpu-caller": "caller",
}

func lookup(lines []Line, c Cell, suffix string) (Line, bool) {
	for _, l := range lines {
		if l.Peer == c.Info.Name && l.Figure == c.Figure.Name+suffix {
			return l, true
		}
	}
	return Line{}, false
}

// grid writes rows as a table, the first of them its head. A column whose head is
// empty is left out.
func grid(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			if rows[0][i] == "" {
				continue
			}
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(b, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(b, "| %s%s ", pad, cell)
			}
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			switch {
			case row[i] == "":
			case i == 0:
				b.WriteString("|" + strings.Repeat("-", width+2))
			default:
				b.WriteString("|" + strings.Repeat("-", width+1) + ":")
			}
		}
		b.WriteString("|\n")
	}
}

// number writes v with three significant digits or all before the point.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v == 0 || math.IsNaN(v):
		return "—"
	}
	return fmt.Sprintf("%.2f", v)
}

func fraction(v float64) string {
	if v == 0 {
		return "—"
	}
	return fmt.Sprintf("%.2f", v)
}
