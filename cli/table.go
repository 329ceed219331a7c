package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// cell is a text in a table, or elsewhere, that may have a colour.
type cell struct {
	text   string
	colour colour
	right  bool // of numbers: they end below each other
}

// colour is a SGR parameter of a terminal; 0: none.
type colour int

const (
	bold   colour = 1
	dim    colour = 2
	red    colour = 31
	green  colour = 32
	yellow colour = 33
)

// coloured reports whether what goes to w may have colours: they are for somebody
// who looks at them, and has not said that they are unwelcome.
func coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && isTerminal(f)
}

// paint returns text in c, if w shows it.
func paint(w io.Writer, c colour, text string) string {
	if c == 0 || !coloured(w) {
		return text
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", c, text)
}

// plainCells returns cells without a colour.
func plainCells(texts ...string) (row []cell) {
	for _, text := range texts {
		row = append(row, cell{text: text})
	}
	return row
}

// gap is what is between two columns.
const gap = "   "

// table writes rows in columns. A colour does not count as width.
func table(w io.Writer, header []string, rows [][]cell) error {
	head := plainCells(header...)
	for i := range head {
		head[i].right = len(rows) > 0 && i < len(rows[0]) && rows[0][i].right
	}
	all := append([][]cell{head}, rows...)
	var widths []int
	for _, row := range all {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	show := coloured(w)
	b := bufio.NewWriter(w)
	for _, row := range all {
		for len(row) > 0 && row[len(row)-1].text == "" {
			row = row[:len(row)-1] // no spaces at the end of a line
		}
		for i, c := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			text := c.text
			if show && c.colour != 0 {
				text = fmt.Sprintf("\x1b[%dm%s\x1b[0m", c.colour, text)
			}
			switch {
			case c.right:
				text = space + text
			case i < len(row)-1:
				text += space
			}
			if i > 0 {
				text = gap + text
			}
			b.WriteString(text)
		}
		b.WriteByte('\n')
	}
	return b.Flush() // it keeps the first error
}

// stateCell shows a state as a shape, a word and a colour.
func stateCell(state string) cell {
	switch state {
	case "running":
		return cell{text: "● " + state, colour: green}
	case "initial", "starting":
		return cell{text: "◌ " + state, colour: yellow}
	case "waiting":
		return cell{text: "◔ " + state, colour: yellow}
	case "stopping":
		return cell{text: "◍ " + state, colour: yellow}
	case "failed", "terminated":
		return cell{text: "✖ " + state, colour: red}
	}
	return cell{text: "○ " + state, colour: dim} // stopped, done, closed
}

// oneLine returns text in at most n characters, none of which means something to a
// terminal.
func oneLine(text string, n int) string {
	text = strings.NewReplacer("\n", " ", "\t", " ").Replace(inert(text))
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// inert returns text, of which only ends of lines and tabs mean something to a terminal: it
// may be of anybody who has joined.
func inert(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (r < ' ' || 0x7f <= r && r < 0xa0) {
			return ' '
		}
		return r
	}, text)
}
