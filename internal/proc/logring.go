package proc

import "time"

// Line is one line of a Log, as it is kept in memory.
type Line struct {
	Time   time.Time // when it was read here
	Stream Stream
	Text   string // valid UTF-8; what is longer than 4 KiB ends with "…"
}

// maxRingLine is how many bytes of a line are kept.
const maxRingLine = 4 << 10

// ring holds the last lines it was given, each of which has a number. The zero value
// but for its bounds is empty.
type ring struct {
	maxLines, maxBytes int

	kept  []Line // those before head are gone
	head  int
	bytes int
	first uint64 // the number of kept[head]
}

func (r *ring) len() int { return len(r.kept) - r.head }

// end is the number of the line to come.
func (r *ring) end() uint64 { return r.first + uint64(r.len()) }

// add keeps line and lets the oldest go, but never line itself.
func (r *ring) add(line Line) {
	if r.head > len(r.kept)/2 { // so that it does not grow for ever
		n := copy(r.kept, r.kept[r.head:])
		clear(r.kept[n:])
		r.kept, r.head = r.kept[:n], 0
	}
	r.kept = append(r.kept, line)
	r.bytes += len(line.Text)
	for r.len() > 1 && (r.len() > r.maxLines || r.bytes > r.maxBytes) {
		r.bytes -= len(r.kept[r.head].Text)
		r.kept[r.head] = Line{}
		r.head++
		r.first++
	}
}

// from returns at most n lines from number on, which is not before the first.
func (r *ring) from(number uint64, n int) []Line {
	lines := r.kept[r.head+int(number-r.first):]
	if n = min(n, len(lines)); n <= 0 {
		return nil
	}
	return append([]Line(nil), lines[:n]...)
}
