package cli

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// screen is a terminal that shows something that changes. It scrolls what was there
// out of sight, and so keeps it. The cursor is hidden only while it draws: whatever
// ends the program, the terminal stays usable.
type screen struct {
	file    *os.File
	colours string // "plain", "256" or "full"
	columns int    // when it drew last
	rows    int
	drawn   []string // then
}

// newScreen returns the screen of a terminal.
func newScreen(f *os.File) *screen { return &screen{file: f, colours: coloursOf(os.Getenv)} }

// coloursOf says which colours the terminal shows that an environment describes.
func coloursOf(env func(string) string) string {
	switch {
	case env("NO_COLOR") != "":
		return "plain"
	case env("COLORTERM") == "truecolor" || env("COLORTERM") == "24bit":
		return "full"
	}
	return "256"
}

// What a terminal is taken to be that does not say.
const (
	usualColumns = 80
	usualRows    = 24
)

// size returns how large the terminal is now.
func (s *screen) size() (columns, rows int) {
	columns, rows, ok := terminalSize(s.file)
	if !ok || columns < 1 || rows < 1 {
		return usualColumns, usualRows
	}
	return columns, rows
}

// draw shows lines in the place of those before, in one write. The last row stays
// free, for the cursor and for what is printed next.
func (s *screen) draw(lines []string) error {
	columns, rows := s.size()
	var b bytes.Buffer
	b.WriteString("\x1b[?25l\x1b[?7l") // no cursor, no wrapping
	switch {
	case s.rows == 0:
		b.WriteString(strings.Repeat("\r\n", rows))
	case s.columns != columns || s.rows != rows:
		b.WriteString("\x1b[2J") // the terminal has moved things about
	}
	s.columns, s.rows, s.drawn = columns, rows, lines
	b.WriteString("\x1b[H")
	for _, line := range lines[:min(len(lines), max(rows-1, 1))] {
		line = cut(line, columns)
		b.WriteString(line)
		if width(line) < columns { // or it would take the last column with it
			b.WriteString("\x1b[K")
		}
		b.WriteString("\r\n")
	}
	b.WriteString("\x1b[J\x1b[?7h\x1b[?25h")
	_, err := io.Copy(s.file, &b)
	return err
}

// redraw draws once more what was drawn last: something else was written over it.
func (s *screen) redraw() error {
	if s.drawn == nil {
		return nil
	}
	return s.draw(s.drawn)
}

// style writes text with more than its words, where the terminal does.
type style struct{ plain bool }

func (s style) sgr(code int, text string) string {
	if s.plain || text == "" {
		return text
	}
	return "\x1b[" + strconv.Itoa(code) + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string   { return s.sgr(1, text) }
func (s style) faint(text string) string  { return s.sgr(2, text) }
func (s style) red(text string) string    { return s.sgr(31, text) }
func (s style) green(text string) string  { return s.sgr(32, text) }
func (s style) yellow(text string) string { return s.sgr(33, text) }

// cut returns what of line fits into so many columns. Escape sequences take none.
func cut(line string, columns int) string {
	if len(line) <= columns {
		return line
	}
	at, escaped := 0, false
	for n := 0; at < len(line); {
		if line[at] == '\x1b' {
			at += escape(line[at:])
			escaped = true
			continue
		}
		if n == columns {
			break
		}
		_, size := utf8.DecodeRuneInString(line[at:])
		at += size
		n++
	}
	if at < len(line) && escaped {
		return line[:at] + "\x1b[0m"
	}
	return line[:at]
}

// escape returns how many bytes the escape sequence has that text begins with.
func escape(text string) int {
	if len(text) > 1 && text[1] == '[' {
		for n := 2; n < len(text); n++ {
			if text[n] >= 0x40 && text[n] <= 0x7e {
				return n + 1
			}
		}
	}
	return len(text)
}

// width is how many columns text takes.
func width(text string) (n int) {
	for at := 0; at < len(text); {
		if text[at] == '\x1b' {
			at += escape(text[at:])
			continue
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		at += size
		n++
	}
	return n
}

// pad fills text with spaces up to so many columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(columns-width(text), 0))
}

// shorten cuts text to so many columns, and says so by its end.
func shorten(text string, columns int) string {
	if width(text) <= columns {
		return text
	}
	return cut(text, max(columns-1, 0)) + cut("…", columns)
}

// harmless returns text without what a terminal would take for more than text.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x2e7f || r >= 0x80 && r < 0xa0 || r >= 0x300 && r < 0x370 || r >= 0x200b && r <= 0x202e {
			return '?' // controls, and what does not take one column
		}
		return r
	}, text)
}
