package frame

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// announce is a header of a frame of n bytes, and a few of them.
func announce(h Header, n uint64) []byte {
	h.Length = n
	return append(h.Append(nil), "0123456789"...)
}

func TestLimitBeforeAllocation(t *testing.T) {
	final := Header{Fin: true, Opcode: Binary}
	last := Header{Fin: true, Opcode: Continuation}
	for _, tt := range []struct {
		name   string
		limit  int
		stream []byte
		want   CloseCode // 0: taken, and then cut
	}{
		{"2^63", 1 << 20, announce(final, 1<<63), CloseProtocol},
		{"2^64-1", 1 << 20, announce(final, math.MaxUint64), CloseProtocol},
		{"2^63-1", 1 << 20, announce(final, math.MaxInt64), CloseTooBig},
		{"2^63-1 under the highest limit of 32 bits", math.MaxInt32, announce(final, math.MaxInt64), CloseTooBig},
		{"2^31 under the highest limit of 32 bits", math.MaxInt32, announce(final, 1<<31), CloseTooBig},
		{"2^32+10, which is 10 in 32 bits", 1 << 20, announce(final, 1<<32+10), CloseTooBig},
		{"limit+1", 1 << 20, announce(final, 1<<20+1), CloseTooBig},
		{"limit", 1 << 20, announce(final, 1<<20), 0},
		{"small limit+1", 100, announce(final, 101), CloseTooBig},
		{"small limit", 100, announce(final, 100), 0},
		{"default limit+1", 0, announce(final, DefaultLimit+1), CloseTooBig},
		{"default limit", 0, announce(final, DefaultLimit), 0},
		{"fragments, limit+1 in all", 100, append(frames("b+:"+big(60), "p:"+big(125), "c+:"+big(40)), announce(last, 1)...), CloseTooBig},
		{"fragments, limit in all", 100, append(frames("b+:"+big(60), "p:"+big(125)), announce(last, 40)...), 0},
		{"fragments, 2^63-1 more", math.MaxInt32, append(frames("b+:"+big(60)), announce(last, math.MaxInt64)...), CloseTooBig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := NewReader(bytes.NewReader(tt.stream), Options{Limit: tt.limit, Fragments: true})
			var err error
			allocated := allocatedBy(func() { _, err = all(r) })
			var e *Error
			if tt.want == 0 {
				if err != io.ErrUnexpectedEOF {
					t.Errorf("%v, want to read on", err)
				}
			} else if !errors.As(err, &e) || e.Close != tt.want {
				t.Errorf("%v, want an *Error with %d", err, tt.want)
			} else if allocated > 64<<10 {
				t.Errorf("refused with %q, but %d bytes were allocated first", e, allocated)
			}
		})
	}
}

// allocatedBy returns how many bytes were allocated while f ran.
func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestLimitChanges(t *testing.T) {
	var r *Reader
	src := bytes.NewReader(frames("b:"+big(10), "b:"+big(20), "b:"+big(11)))
	r = NewReader(src, Options{Limit: 10})
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	r.SetLimit(20) // the handshake is over
	if _, payload, err := r.Next(); len(payload) != 20 || err != nil {
		t.Fatalf("%q, %v", payload, err)
	}
	r.SetLimit(10)
	if _, _, err := r.Next(); err == nil {
		t.Error("11 bytes were taken over a limit of 10")
	}

	// A limit below what a message already has refuses its next byte.
	r = NewReader(bytes.NewReader(frames("b+:"+big(100), "p:", "c:a")), Options{Fragments: true})
	if op, _, err := r.Next(); op != Ping || err != nil {
		t.Fatal(op, err)
	}
	r.SetLimit(50)
	var e *Error
	if _, _, err := r.Next(); !errors.As(err, &e) || e.Close != CloseTooBig {
		t.Errorf("%v, want too big", err)
	}
}

// held returns how many bytes r holds.
func held(r *Reader) int { return cap(r.buf) + cap(r.body) + int(unsafe.Sizeof(*r)) }

// A gate gives what it is fed, and calls dry when that is used up.
type gate struct {
	bytes.Buffer
	dry func()
}

func (g *gate) Read(b []byte) (int, error) {
	if g.Len() == 0 {
		g.dry()
	}
	return g.Buffer.Read(b)
}

func TestLiarCostsLittle(t *testing.T) {
	for _, announced := range []uint64{faith + 1, 16 << 20, 1 << 30} {
		for _, h := range []Header{{Fin: true, Opcode: Binary}, {Opcode: Binary}} {
			src := &gate{}
			r := NewReader(src, Options{Limit: 1 << 30, Fragments: true})
			src.Write(announce(h, announced))
			most := 0
			src.dry = func() { most = held(r) }
			if _, _, err := r.Next(); err != io.ErrUnexpectedEOF {
				t.Errorf("%v", err)
			}
			if most == 0 || most > faith+maxBuffer+1024 {
				t.Errorf("who announces %d bytes and sends 10 makes the reader hold %d", announced, most)
			}
		}
	}
}

func TestBodyGrowsWithWhatArrives(t *testing.T) {
	const size = 10<<20 + 7
	src := &gate{}
	r := NewReader(src, Options{Limit: size})
	src.Write(Header{Fin: true, Opcode: Binary, Length: size}.Append(nil))
	sent, chunk := 0, strings.Repeat("x", 50000)
	src.dry = func() {
		if got, most := held(r), max(faith, 2*sent)+maxBuffer+1024; got > most {
			t.Errorf("holds %d bytes when %d have arrived", got, sent)
		}
		n := min(len(chunk), size-sent)
		src.WriteString(chunk[:n])
		sent += n
	}
	_, payload, err := r.Next()
	if err != nil || len(payload) != size || strings.Trim(string(payload), "x") != "" {
		t.Fatalf("%d bytes, %v", len(payload), err)
	}
	if cap(payload) != size {
		t.Errorf("a body of %d bytes was made for %d", cap(payload), size)
	}
}

func TestBufferFollowsTraffic(t *testing.T) {
	src := &gate{}
	r := NewReader(src, Options{})
	step := func(name string, n int, feed []byte, want int) {
		t.Helper()
		for range n {
			src.Write(feed)
			for src.Len() > 0 || r.Ready() {
				if _, _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
			}
		}
		// What it holds while it waits for the next byte is what counts.
		at := 0
		src.dry = func() { at = len(r.buf); src.Write(frames("b:a")) }
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if at != want {
			t.Errorf("%s: waits with a buffer of %d bytes, want %d", name, at, want)
		}
	}
	step("at first", 0, nil, minBuffer)
	step("small frames, one a read", 100, frames("b:"+big(60)), minBuffer)
	step("small frames, many a read", 10, bytes.Repeat(frames("b:"+big(60)), 3000), maxBuffer)
	step("soon after", manySmall/2, frames("b:"+big(60)), maxBuffer)
	step("later", manySmall, frames("b:"+big(60)), minBuffer)
	step("one frame larger than the buffer", 1, frames("b:"+big(5000)), 16<<10)
	step("later again", manySmall, frames("p:"), minBuffer)
	if n := held(r); n > 5<<10 {
		t.Errorf("a reader at rest holds %d bytes", n)
	}
}

func TestBodyIsReusedAndLetGo(t *testing.T) {
	large := 300 << 10
	var stream []byte
	for range 3 {
		stream = append(stream, frames("b:"+big(large), "b:a")...)
	}
	stream = append(stream, bytes.Repeat(frames("b:a"), manySmaller)...)
	r := NewReader(bytes.NewReader(stream), Options{})
	var first *byte
	for i := range 3 {
		_, payload, err := r.Next()
		if err != nil || len(payload) != large {
			t.Fatal(len(payload), err)
		}
		if i == 0 {
			first = &payload[0]
		} else if &payload[0] != first {
			t.Error("a large frame was not read into the body of the one before")
		}
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	for range manySmaller - 1 {
		if r.body == nil {
			t.Fatal("the body was let go early")
		}
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if r.body != nil {
		t.Errorf("after %d small messages a body of %d bytes is still held", manySmaller, cap(r.body))
	}
}

func TestBodyOfFragmentsIsLetGo(t *testing.T) {
	// Small messages in fragments need a body, but not that of a large one.
	stream := frames("b:" + big(300<<10))
	for range manySmaller {
		stream = append(stream, frames("b+:a", "p:", "c:b")...)
	}
	r := NewReader(bytes.NewReader(stream), Options{Fragments: true})
	for i := range 1 + 2*manySmaller {
		if i == 2*manySmaller && cap(r.body) < 300<<10 {
			t.Errorf("the large body was let go early")
		}
		op, payload, err := r.Next()
		if err != nil || i > 0 && op == Binary && string(payload) != "ab" {
			t.Fatalf("%d: %v %.20q, %v", i, op, payload, err)
		}
	}
	if r.body != nil {
		t.Errorf("still holds a body of %d bytes", cap(r.body))
	}
}

func TestManyFragmentsAreCopiedSeldom(t *testing.T) {
	const n, limit = 10_000, 700_000
	stream := append(bytes.Repeat(frames("c+:"+big(64)), n), frames("c:")...)
	stream[0] |= byte(Binary)
	r := NewReader(bytes.NewReader(stream), Options{Fragments: true, Limit: limit})
	var payload []byte
	var err error
	allocated := allocatedBy(func() { _, payload, err = r.Next() })
	if err != nil || string(payload) != strings.Repeat(big(64), n) {
		t.Fatal(len(payload), err)
	}
	if cap(payload) > limit {
		t.Errorf("a body of %d bytes was made under a limit of %d", cap(payload), limit)
	}
	if allocated > 4*limit {
		t.Errorf("%d bytes were allocated for a message of %d", allocated, len(payload))
	}
}

// An endless gives the same bytes again and again.
type endless struct {
	b   []byte
	pos int
}

func (e *endless) Read(b []byte) (n int, err error) {
	for n < len(b) {
		c := copy(b[n:], e.b[e.pos:])
		n += c
		e.pos = (e.pos + c) % len(e.b)
	}
	return n, nil
}

func TestNextAllocatesNothing(t *testing.T) {
	for _, tt := range []struct {
		name   string
		o      Options
		stream []byte
	}{
		{"small", Options{}, frames("b:" + big(64))},
		{"small, masked text", Options{Masking: MaskRequired, TextUTF8: true}, frames("tm:" + big(64))},
		{"16 KiB", Options{}, frames("b:" + big(16<<10))},
		{"100 KiB", Options{}, frames("b:" + big(100<<10))},
		{"1 MiB and small", Options{}, frames("b:"+big(1<<20), "b:a", "b:b")},
		{"fragments", Options{Fragments: true, TextUTF8: true}, frames("t+:"+big(64), "p:", "c+:"+big(64), "c:"+big(64))},
	} {
		r := NewReader(&endless{b: tt.stream}, tt.o)
		next := func() {
			if _, _, err := r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		for range 2000 { // the buffer and the body find their size
			next()
		}
		if n := testing.AllocsPerRun(1000, next); n != 0 {
			t.Errorf("%s: Next allocates %v times", tt.name, n)
		}
	}
}
