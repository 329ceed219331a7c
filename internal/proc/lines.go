package proc

import (
	"bytes"
	"unicode/utf8"
)

const (
	// MaxLine is how many bytes of a line are handed over at once.
	MaxLine = 64 << 10

	// Continued is what the second and every further piece of a line begins with.
	Continued = "… "

	smallLine = 4 << 10 // the buffer's size until a line needs more
)

// lines cuts a stream of bytes into lines: fill what space returns, then add.
type lines struct {
	emit      func(line []byte, continued bool) // line is valid during the call
	buf       []byte                            // the unfinished line, if it is continued with its mark
	continued bool
}

// space returns where the next bytes of the stream go: at least one byte.
func (l *lines) space() []byte {
	if len(l.buf) == cap(l.buf) {
		grown := make([]byte, len(l.buf), min(MaxLine, max(smallLine, 2*cap(l.buf))))
		copy(grown, l.buf)
		l.buf = grown
	}
	return l.buf[len(l.buf):cap(l.buf)]
}

// add takes the first n bytes of the space: it emits the lines they end.
func (l *lines) add(n int) {
	searched := len(l.buf)
	rest := l.buf[:searched+n]
	longest := 0
	for {
		i := bytes.IndexByte(rest[searched:], '\n')
		if i < 0 {
			break
		}
		line := rest[:searched+i]
		rest = rest[searched+i+1:]
		longest = max(longest, len(line))
		searched = 0
		l.finish(line)
	}
	if len(rest) == MaxLine {
		l.cut(rest)
		return
	}
	// A buffer that grew for one long line is let go with the next short one, so
	// that a program whose lines are all long does not pay for it each time.
	if longest > 0 && longest < smallLine/2 && len(rest) < smallLine/2 && cap(l.buf) > smallLine {
		l.buf = make([]byte, 0, smallLine)
	}
	l.buf = append(l.buf[:0], rest...)
}

// end emits what the stream left unfinished.
func (l *lines) end() {
	if len(l.buf) > 0 {
		l.finish(l.buf)
	}
	l.buf = nil
}

func (l *lines) finish(line []byte) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	// Of a line that was cut exactly at its end there is nothing more to say.
	if !l.continued || len(line) > len(Continued) {
		l.emit(line, l.continued)
	}
	l.continued = false
}

// cut emits all of piece but what its end may only begin, a character or the end
// of the line, and goes on with the same line.
func (l *lines) cut(piece []byte) {
	end := len(piece)
	if piece[end-1] == '\r' {
		end--
	}
	for i := end - 1; end == len(piece) && i >= end-utf8.UTFMax; i-- {
		if utf8.RuneStart(piece[i]) {
			if !utf8.FullRune(piece[i:]) {
				end = i
			}
			break
		}
	}
	var left [utf8.UTFMax]byte
	n := copy(left[:], piece[end:])
	l.emit(piece[:end], l.continued)
	l.continued = true
	l.buf = append(append(l.buf[:0], Continued...), left[:n]...)
}
