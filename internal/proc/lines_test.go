package proc

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// cutLines feeds text to lines, chunk bytes at a time, and returns what came out.
func cutLines(text []byte, chunk int) (out []string, continued []bool) {
	l := lines{emit: func(line []byte, c bool) {
		out, continued = append(out, string(line)), append(continued, c)
	}}
	for len(text) > 0 {
		space := l.space()
		n := copy(space[:min(chunk, len(space))], text)
		text = text[n:]
		l.add(n)
	}
	l.end()
	return out, continued
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"one", "a\n", []string{"a"}},
		{"unfinished", "a\nb", []string{"a", "b"}},
		{"blank", "\n\na\n\n", []string{"", "", "a", ""}},
		{"from windows", "a\r\nb\r\n", []string{"a", "b"}},
		{"binary", "\x00\xff\n\xfe", []string{"\x00\xff", "\xfe"}},
		{"just not too long", long[1:] + "\nb\n", []string{long[1:], "b"}},
		{"as long as can be", long + "\nb\n", []string{long, "b"}},
		{"as long as can be, unfinished", long, []string{long}},
		{"one byte too long", long + "y\nb\n", []string{long, Continued + "y", "b"}},
		{"three pieces", long + long + "\nb\n", []string{
			long, Continued + long[len(Continued):], Continued + long[:len(Continued)], "b"}},
		{"no character is cut", long[1:] + "é!\nb\n", []string{long[1:], Continued + "é!", "b"}},
		{"what only looks like a character", long[1:] + "\xc3\n", []string{long[1:], Continued + "\xc3"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, chunk := range []int{1, 7, 4096, MaxLine, 1 << 20} {
				if chunk == 1 && len(test.text) > MaxLine/2 {
					chunk = 61 // a byte at a time says no more, and takes seconds
				}
				if got, _ := cutLines([]byte(test.text), chunk); !slices.Equal(got, test.want) {
					t.Errorf("%d bytes at a time: %d lines %.60q, want %d %.60q", chunk, len(got), got, len(test.want), test.want)
				}
			}
		})
	}
}

func TestLongLineIsLetGo(t *testing.T) {
	l := lines{emit: func([]byte, bool) {}}
	feed := func(text string) {
		for len(text) > 0 {
			n := copy(l.space(), text)
			text = text[n:]
			l.add(n)
		}
	}
	feed(strings.Repeat("x", MaxLine/2) + "\n")
	if cap(l.buf) < MaxLine/2 {
		t.Fatalf("the buffer has %d bytes: this proves nothing", cap(l.buf))
	}
	feed("short\n")
	if cap(l.buf) > smallLine {
		t.Errorf("the buffer still has %d bytes after a short line", cap(l.buf))
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\n"), uint16(1), uint16(0))
	f.Add([]byte("é\xff\n"), uint16(3), uint16(MaxLine-2))
	f.Add([]byte("\n\x00"), uint16(9000), uint16(MaxLine-1))
	f.Add([]byte("\r"), uint16(9069), uint16(MaxLine-1))
	f.Add([]byte("\r\nx"), uint16(3), uint16(MaxLine-1))
	f.Fuzz(func(t *testing.T, text []byte, chunk, before uint16) {
		text = append(bytes.Repeat([]byte{'x'}, int(before)), text...)
		got, continued := cutLines(text, int(chunk)+1)
		// Put together again it is what went in, but for "\r\n".
		var all []string
		for i, line := range got {
			if len(line) > MaxLine {
				t.Fatalf("piece %d has %d bytes", i, len(line))
			}
			if continued[i] {
				rest, marked := strings.CutPrefix(line, Continued)
				if !marked || i == 0 {
					t.Fatalf("piece %d, %.20q, continues a line without the mark", i, line)
				}
				all[len(all)-1] += rest
			} else {
				all = append(all, line)
			}
		}
		want := strings.Split(string(text), "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		for i := range want {
			want[i] = strings.TrimSuffix(want[i], "\r")
		}
		if !slices.Equal(all, want) {
			t.Fatalf("got %.100q, want %.100q", all, want)
		}
	})
}

func TestTail(t *testing.T) {
	for _, test := range []struct {
		name string
		keep int
		add  []string
		want []string
	}{
		{"nothing", 3, nil, nil},
		{"fewer", 3, []string{"a", "b"}, []string{"a", "b"}},
		{"more", 3, []string{"a", "b", "c", "d", "e"}, []string{"c", "d", "e"}},
		{"twice round", 2, []string{"a", "b", "c", "d", "e", "f"}, []string{"e", "f"}},
		{"blank lines do not count", 2, []string{"a", "", "b", " \t"}, []string{"a", "b"}},
		{"none", -1, []string{"a"}, nil},
		{"binary noise becomes text", 1, []string{"a\xff\xfeb"}, []string{"a\uFFFDb"}},
		{"1 KiB is whole", 1, []string{strings.Repeat("x", 1024)}, []string{strings.Repeat("x", 1024)}},
		{"more is cut", 1, []string{strings.Repeat("x", 1025)}, []string{strings.Repeat("x", 1021) + "…"}},
		{"between characters", 1, []string{strings.Repeat("é", 600)}, []string{strings.Repeat("é", 510) + "…"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tail := newTail(test.keep)
			for _, line := range test.add {
				tail.add([]byte(line))
			}
			if got := tail.lines(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestTailDefault(t *testing.T) {
	tail := newTail(0)
	for range 100 {
		tail.add([]byte("line"))
	}
	if n := len(tail.lines()); n != 20 {
		t.Errorf("%d lines kept by default, want 20", n)
	}
}

func FuzzTailLine(f *testing.F) {
	f.Add([]byte("a\xff\xfeb"), uint16(0))
	f.Add([]byte("é\xffa\xff"), uint16(1022))
	f.Fuzz(func(t *testing.T, line []byte, before uint16) {
		line = append(bytes.Repeat([]byte{'x', 0xff}, int(before%1024)), line...)
		if got := keepLine(line, maxTailLine); len(got) > maxTailLine || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid %v: %.60q", len(got), utf8.ValidString(got), got)
		}
	})
}
