package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unsafe"
)

// A got is one result of Next.
type got struct {
	op      Opcode
	payload string
}

// all reads r to its end. It copies every payload and then overwrites it, as a
// caller may.
func all(r *Reader) (list []got, err error) {
	for {
		op, payload, err := r.Next()
		if err != nil {
			return list, err
		}
		list = append(list, got{op, string(payload)})
		clear(payload)
	}
}

// frames writes frames in a few letters; see its cases.
func frames(parts ...string) []byte {
	var b []byte
	for _, p := range parts {
		kind, payload, _ := strings.Cut(p, ":")
		h := Header{Fin: true, Length: uint64(len(payload))}
		body := []byte(payload)
		for _, c := range kind {
			switch c {
			case 't':
				h.Opcode = Text
			case 'b':
				h.Opcode = Binary
			case 'c':
				h.Opcode = Continuation
			case 'x':
				h.Opcode = Close
			case 'p':
				h.Opcode = Ping
			case 'q':
				h.Opcode = Pong
			case '+': // more to come
				h.Fin = false
			case 'm':
				h.Masked, h.Mask = true, [4]byte{9, 0, 0xff, byte(len(payload))}
				Mask(h.Mask, 0, body)
			default:
				panic("no such letter: " + kind)
			}
		}
		b = append(h.Append(b), body...)
	}
	return b
}

func big(n int) string { return strings.Repeat("0123456789abcde\n", n/16+1)[:n] }

// streams are the ways in which the same bytes may come.
var streams = []struct {
	name string
	open func(b []byte) io.Reader
}{
	{"whole", func(b []byte) io.Reader { return bytes.NewReader(b) }},
	{"one byte at a time", func(b []byte) io.Reader { return iotest.OneByteReader(bytes.NewReader(b)) }},
	{"half of what is asked", func(b []byte) io.Reader { return iotest.HalfReader(bytes.NewReader(b)) }},
	{"end with the data", func(b []byte) io.Reader { return iotest.DataErrReader(bytes.NewReader(b)) }},
	{"empty reads between", func(b []byte) io.Reader { return &stutter{r: bytes.NewReader(b)} }},
}

// stutter returns 0, nil before every read.
type stutter struct {
	r     io.Reader
	empty bool
}

func (s *stutter) Read(b []byte) (int, error) {
	if s.empty = !s.empty; s.empty {
		return 0, nil
	}
	return s.r.Read(b[:min(len(b), 1000)])
}

func TestReaderRefuses(t *testing.T) {
	takes := Options{Fragments: true, TextUTF8: true, Limit: 1000}
	masked := takes
	masked.Masking = MaskRequired
	whole := takes
	whole.Fragments = false
	for _, tt := range []struct {
		name   string
		o      Options
		stream []byte
		before int // results before the error
		want   error
	}{
		{"masked", takes, frames("b:a", "bm:b"), 1, errMasked},
		{"masked ping", takes, frames("pm:b"), 0, errMasked},
		{"unmasked", masked, frames("bm:a", "b:b"), 1, errUnmasked},
		{"unmasked ping", masked, frames("p:"), 0, errUnmasked},
		{"reserved bit", takes, append(frames("b:a"), 0xc2), 1, errReserved},
		{"fragment not taken", whole, frames("b:a", "b+:b"), 1, errFragments},
		{"continuation not taken", whole, frames("c:b"), 0, errFragments},
		{"continuation of nothing", takes, frames("b:a", "c:b"), 1, errNoStart},
		{"continuation, more to come, of nothing", takes, frames("c+:b"), 0, errNoStart},
		{"continuation after the end", takes, frames("b+:a", "c:b", "c:c"), 1, errNoStart},
		{"binary inside a message", takes, frames("t+:a", "b:b"), 0, errInterleaved},
		{"text inside a message", takes, frames("t+:a", "p:", "t+:b"), 1, errInterleaved},
		{"binary inside a message, after a ping", takes, frames("t+:a", "p:", "b:b"), 1, errInterleaved},
		{"length not minimal", takes, append(frames("b:a"), "\x82\x7e\x00\x05hello"...), 1, errMinimal},
		{"text", takes, frames("t:a\xff"), 0, errUTF8},
		{"text, a character cut at its end", takes, frames("t:caf\xc3"), 0, errUTF8},
		{"text in fragments, a character cut at its end", takes, frames("t+:a", "c:\xe2\x82"), 0, errUTF8},
		{"text in fragments, cut, with an empty end", takes, frames("t+:a\xe2\x82", "c:"), 0, errUTF8},
		// Fail fast: the end of the message never comes.
		{"text in fragments, at the first", takes, frames("t+:a\xff"), 0, errUTF8},
		{"text in fragments, across a border", takes, frames("t+:\xe2", "c+:\x28"), 0, errUTF8},
		{"text in fragments, a surrogate", takes, frames("t+:\xed", "c+:\xa0"), 0, errUTF8},
		{"text in fragments, over U+10FFFF", takes, frames("t+:\xf4\x90"), 0, errUTF8},
	} {
		for _, s := range streams {
			t.Run(tt.name+"/"+s.name, func(t *testing.T) {
				r := NewReader(s.open(tt.stream), tt.o)
				list, err := all(r)
				if len(list) != tt.before || err != tt.want {
					t.Errorf("%s, %v; want %d results and %v", short(list), err, tt.before, tt.want)
				}
				if _, _, again := r.Next(); again != err {
					t.Errorf("then %v, want the same error", again)
				}
				if r.Ready() {
					t.Error("Ready after an error")
				}
			})
		}
	}
}

func TestReaderReads(t *testing.T) {
	takes := Options{Fragments: true, TextUTF8: true}
	masked := Options{Fragments: true, TextUTF8: true, Masking: MaskRequired}
	for _, tt := range []struct {
		name   string
		o      Options
		stream []byte
		want   []got
	}{
		{"nothing", takes, nil, nil},
		{"each kind", takes, frames("t:é", "b:\xff", "p:1", "q:", "x:\x03\xe8"),
			[]got{{Text, "é"}, {Binary, "\xff"}, {Ping, "1"}, {Pong, ""}, {Close, "\x03\xe8"}}},
		{"each kind, masked", masked, frames("tm:é", "bm:\xff", "pm:1", "qm:", "xm:\x03\xe8"),
			[]got{{Text, "é"}, {Binary, "\xff"}, {Ping, "1"}, {Pong, ""}, {Close, "\x03\xe8"}}},
		{"text unchecked", Options{}, frames("t:\xff"), []got{{Text, "\xff"}}},
		{"fragments unchecked", Options{Fragments: true}, frames("t+:\xff", "c:\xff"), []got{{Text, "\xff\xff"}}},
		{"empty fragments", takes, frames("b+:", "c+:", "c:", "t+:", "c:", "b:"), []got{{Binary, ""}, {Text, ""}, {Binary, ""}}},
		{"control between fragments", takes, frames("b+:a", "p:1", "c+:b", "q:2", "x:", "c:c", "b:d"),
			[]got{{Ping, "1"}, {Pong, "2"}, {Close, ""}, {Binary, "abc"}, {Binary, "d"}}},
		{"control between fragments, masked", masked, frames("bm+:abc", "pm:12345", "cm+:defgh", "cm:i"),
			[]got{{Ping, "12345"}, {Binary, "abcdefghi"}}},
		{"characters across borders", takes, frames("t+:\xf0", "c+:\x9f", "p:", "c+:\x98", "c+:", "c+:\x80\xe2", "c:\x82\xac"),
			[]got{{Ping, ""}, {Text, "😀€"}}},
		{"around the buffer's sizes", takes, frames("b:"+big(4092), "b:"+big(4093), "b:a", "b:"+big(65526), "b:"+big(65532), "b:"+big(65533), "b:"+big(65536), "b:"+big(65537), "b:z"),
			[]got{{Binary, big(4092)}, {Binary, big(4093)}, {Binary, "a"}, {Binary, big(65526)}, {Binary, big(65532)}, {Binary, big(65533)}, {Binary, big(65536)}, {Binary, big(65537)}, {Binary, "z"}}},
		{"large, masked", masked, frames("tm:"+big(200001), "pm:1", "bm+:"+big(99999), "pm:2", "cm:"+big(123457), "bm:z"),
			[]got{{Text, big(200001)}, {Ping, "1"}, {Ping, "2"}, {Binary, big(99999) + big(123457)}, {Binary, "z"}}},
		{"large text of long characters", takes, frames("t:"+strings.Repeat("😀", 50000), "t+:"+strings.Repeat("😀", 30000)+"\xf0", "c:\x9f\x98\x80"),
			[]got{{Text, strings.Repeat("😀", 50000)}, {Text, strings.Repeat("😀", 30001)}}},
		{"over what is taken on faith", takes, frames("b:"+big(3<<20), "b:a", "b+:"+big(2<<20), "c+:"+big(5), "c:"+big(1<<20)),
			[]got{{Binary, big(3 << 20)}, {Binary, "a"}, {Binary, big(2<<20) + big(5) + big(1<<20)}}},
	} {
		for _, s := range streams {
			if len(tt.stream) > 1<<20 && s.name == "one byte at a time" {
				continue
			}
			t.Run(tt.name+"/"+s.name, func(t *testing.T) {
				list, err := all(NewReader(s.open(tt.stream), tt.o))
				if err != io.EOF {
					t.Errorf("ended with %v, want io.EOF", err)
				}
				if !slices.Equal(list, tt.want) {
					t.Errorf("read %s, want %s", short(list), short(tt.want))
				}
			})
		}
	}
}

func short(list []got) string {
	var b strings.Builder
	for _, g := range list {
		fmt.Fprintf(&b, "%v %.20q (%d), ", g.op, g.payload, len(g.payload))
	}
	return b.String()
}

func TestReaderCut(t *testing.T) {
	// Every place where a stream can end, in one that has all there is.
	stream := frames("b:abc", "b+:de", "p:1", "c+:f", "c:g", "t:"+big(300), "b:"+big(5000))
	boundary := map[int]bool{0: true}
	for _, parts := range [][]string{
		{"b:abc"},
		{"b:abc", "b+:de", "p:1", "c+:f", "c:g"},
		{"b:abc", "b+:de", "p:1", "c+:f", "c:g", "t:" + big(300)},
		{"b:abc", "b+:de", "p:1", "c+:f", "c:g", "t:" + big(300), "b:" + big(5000)},
	} {
		boundary[len(frames(parts...))] = true
	}
	full, _ := all(NewReader(bytes.NewReader(stream), Options{Fragments: true}))
	for cut := range len(stream) + 1 {
		want := io.ErrUnexpectedEOF
		if boundary[cut] {
			want = io.EOF
		}
		list, err := all(NewReader(bytes.NewReader(stream[:cut]), Options{Fragments: true}))
		if err != want {
			t.Errorf("cut at %d of %d: %v, want %v", cut, len(stream), err, want)
		}
		if !slices.Equal(list, full[:len(list)]) {
			t.Errorf("cut at %d: read %s", cut, short(list))
		}
	}
	large := frames("b:" + big(100000))
	for _, cut := range []int{10, 11, 5000, 70000, len(large) - 1} {
		if _, err := all(NewReader(bytes.NewReader(large[:cut]), Options{})); err != io.ErrUnexpectedEOF {
			t.Errorf("cut inside a large frame at %d: %v", cut, err)
		}
	}
}

func TestReaderPassesErrorsOn(t *testing.T) {
	reset := errors.New("connection reset by peer")
	for _, inside := range []string{"", "\x82", "\x82\x05ab", "\x02\x01a", "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00abc"} {
		src := io.MultiReader(strings.NewReader(string(frames("b:a"))+inside), iotest.ErrReader(reset))
		list, err := all(NewReader(src, Options{Fragments: true}))
		if len(list) != 1 || err != reset {
			t.Errorf("after %x: %s, %v", inside, short(list), err)
		}
	}
	// A stream that brings nothing for ever is not waited for.
	nothing := readerFunc(func([]byte) (int, error) { return 0, nil })
	if _, _, err := NewReader(nothing, Options{}).Next(); err != io.ErrNoProgress {
		t.Errorf("a stream of empty reads: %v", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestReaderPayloadCannotGrowIntoTheNext(t *testing.T) {
	r := NewReader(bytes.NewReader(frames("b:0", "b:1", "p:2", "b:3", "b:4")), Options{})
	for _, want := range "01234" {
		_, payload, err := r.Next()
		if string(payload) != string(want) || err != nil {
			t.Errorf("%q, %v; want %q", payload, err, want)
		}
		_ = append(payload, "overwritten"...)
	}
}

// counted counts the reads and gives at most chunk bytes in each.
type counted struct {
	r     io.Reader
	chunk int
	reads int
}

func (c *counted) Read(b []byte) (int, error) {
	c.reads++
	return c.r.Read(b[:min(len(b), c.chunk)])
}

func TestReaderReady(t *testing.T) {
	first := frames("b:a", "b+:b", "p:1", "c:c", "b+:d", "c+:e")
	src := &counted{r: bytes.NewReader(append(first, frames("c:f", "b:g")...)), chunk: len(first) + 1}
	r := NewReader(src, Options{Fragments: true})
	if r.Ready() {
		t.Error("Ready before anything was read")
	}
	for i, want := range []struct {
		payload string
		reads   int
		ready   bool // after it
	}{
		{"a", 1, true},   // the ping
		{"1", 1, true},   // bc
		{"bc", 1, false}, // de and one byte of what follows
		{"def", 2, true}, // g
		{"g", 2, false},
	} {
		_, payload, err := r.Next()
		if string(payload) != want.payload || err != nil || src.reads != want.reads || r.Ready() != want.ready {
			t.Fatalf("%d: %q, %v, %d reads, ready %v; want %+v", i, payload, err, src.reads, r.Ready(), want)
		}
	}

	// A header that is refused is no reason to put off a flush.
	r = NewReader(bytes.NewReader(append(frames("b:a"), 0xff, 0xff)), Options{})
	if _, _, err := r.Next(); err != nil || r.Ready() {
		t.Errorf("%v, ready %v before a header that is refused", err, r.Ready())
	}
}

func TestReaderTakesAllThatAReadBrings(t *testing.T) {
	src := &counted{r: bytes.NewReader(bytes.Repeat(frames("b:"+big(62)), 64)), chunk: 1 << 20}
	r := NewReader(src, Options{})
	for range 64 { // 64 frames of 64 bytes fill the smallest buffer
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if src.reads != 1 {
		t.Errorf("64 small frames took %d reads", src.reads)
	}
}

func TestReaderTakesWhatFollowsALargeFrame(t *testing.T) {
	src := &counted{r: bytes.NewReader(frames("b:"+big(100<<10), "b:a", "b:b")), chunk: 90 << 10}
	r := NewReader(src, Options{})
	for i := range 3 {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		// The first fills the buffer, the second goes straight into the body and
		// brings all it can, the third brings the rest and the frames behind it.
		if src.reads != 3 {
			t.Errorf("after %d frames: %d reads, want 3", i+1, src.reads)
		}
	}
}

// What is read to where it was asked to go is what would have been read otherwise, from
// any stream, whatever room there is behind it and whatever follows.
func TestPlace(t *testing.T) {
	sizes := []int{placeFrom - 1, 70_000, 3, placeFrom, 0, 66_000, 200_000, 66_000, 126, 300_000, placeFrom, 5}
	var parts []string
	var want []got
	for i, n := range sizes {
		body := string(rune('A'+i)) + big(n)
		parts = append(parts, "b:"+body)
		want = append(want, got{Binary, body})
		if i%3 == 0 {
			parts = append(parts, "p:between")
			want = append(want, got{Ping, "between"})
		}
	}
	stream := frames(parts...)
	for _, s := range streams {
		for spare, drop := range map[int]int{0: PlaceHead, 1: 0, ahead - 1: 20, 1 << 20: 20} {
			placed := 0
			var head string
			r := NewReader(s.open(stream), Options{Place: func(b []byte, n int) ([]byte, error) {
				if len(b) != PlaceHead {
					t.Fatalf("it is asked with %d bytes", len(b))
				}
				if placed++; placed%4 == 0 {
					head = ""
					return nil, nil
				}
				head = string(b[:drop])
				return make([]byte, n-drop, n-drop+spare), nil
			}})
			var list []got
			for {
				head = ""
				op, payload, err := r.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, got{op, head + string(payload)})
			}
			if !slices.Equal(list, want) {
				t.Errorf("%s, %d spare, %d dropped: %d frames come, or not as they were", s.name, spare, drop, len(list))
			}
			if placed < 6 {
				t.Errorf("%s: it was asked %d times", s.name, placed)
			}
		}
	}
}

// The end of a stream inside what was placed is no end in order, and an error of Place is
// that of Next, for good.
func TestPlaceEnds(t *testing.T) {
	stream := frames("b:" + big(70_000))
	place := func(_ []byte, n int) ([]byte, error) { return make([]byte, n-20), nil }
	for _, cut := range []int{12, 60, 5000, 69_000, len(stream) - 1} {
		r := NewReader(bytes.NewReader(stream[:cut]), Options{Place: place})
		if _, _, err := r.Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("cut at %d: %v", cut, err)
		}
	}
	no := errors.New("no room")
	r := NewReader(bytes.NewReader(stream), Options{Place: func([]byte, int) ([]byte, error) { return nil, no }})
	for range 2 {
		if _, _, err := r.Next(); err != no {
			t.Errorf("Next: %v, want %v", err, no)
		}
	}
}

// between is a stream that has all there is, and counts what is read of it elsewhere than to where it
// was asked to go.
type between struct {
	rest  []byte
	place []byte
	moved int
}

func (s *between) Read(b []byte) (int, error) {
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	at, place := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(s.place)))
	if at < place || at >= place+uintptr(len(s.place)) {
		s.moved += n
	}
	return n, nil
}

// Of what is placed little is read to somewhere else first, however large the buffer has become.
func TestPlaceMovesLittle(t *testing.T) {
	const rows = 8
	parts := slices.Repeat([]string{"b:" + big(200)}, 4*maxBuffer/200)
	before := len(parts)
	parts = append(parts, slices.Repeat([]string{"b:" + big(maxBuffer)}, rows)...)
	s := &between{rest: []byte(frames(parts...))}
	r := NewReader(s, Options{Place: func(_ []byte, n int) ([]byte, error) {
		s.place = make([]byte, n)
		return s.place, nil
	}})
	for range before + 1 { // the first of the row was read with what is before it
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if s.moved < 4*maxBuffer {
		t.Fatalf("the buffer was not used: %d bytes", s.moved)
	}
	s.moved = 0
	for range rows - 1 {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if s.moved > rows*2*minBuffer {
		t.Errorf("%d of %d bytes were moved", s.moved, (rows-1)*maxBuffer)
	}
}
