package frame

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
)

var poison = bytes.Repeat([]byte{0xee}, minBuffer)

// hesitant is a stream that has to wait each time, while somebody else has the buffer.
type hesitant struct {
	*pieces
	buffers *Buffers
}

func (h *hesitant) ReadLoan(l Loan) (int, error) {
	b := l.Take()
	l.Return()
	copy(b, poison)
	b = nil // who has returned it may not look at it
	l.Return()
	return h.Read(l.Take())
}

// A reader that waits has no buffer, unless there is something in it, and reads the same.
func TestReaderLends(t *testing.T) {
	for _, sizes := range [][]byte{{1}, {3, 1}, {200}, nil} {
		parts := []string{"b:" + big(100), "p:1", "b:" + big(9000), "b:" + big(70_000), "b:x", "b:" + big(300_000), "b:y"}
		stream := bytes.Repeat(frames(parts...), 3)
		want, err := all(NewReader(bytes.NewReader(stream), Options{}))
		if err != io.EOF {
			t.Fatal(err)
		}
		var buffers Buffers
		r := NewReader(&hesitant{&pieces{b: stream, sizes: sizes}, &buffers}, Options{Buffers: &buffers})
		list, err := all(r)
		if err != io.EOF || !slices.Equal(list, want) {
			t.Errorf("in pieces of %v: %s, %v", sizes, short(list), err)
		}
		if r.buf != nil || r.lent != nil {
			t.Errorf("in pieces of %v: it has a buffer of %d bytes at the end", sizes, len(r.buf))
		}
	}
}

// waiting is a stream that tells its test how it waits.
type waiting struct {
	*Reader
	next  [][]byte
	waits func()
}

func (w *waiting) Read([]byte) (int, error) { return 0, errors.New("it has patience") }

func (w *waiting) ReadLoan(l Loan) (int, error) {
	l.Take()
	l.Return()
	w.waits()
	if len(w.next) == 0 {
		return 0, io.EOF
	}
	n := copy(l.Take(), w.next[0])
	w.next = w.next[1:]
	return n, nil
}

func TestReaderAtRestHasNoBuffer(t *testing.T) {
	w := &waiting{next: [][]byte{frames("b:abc", "b:def"), frames("b:ghi")[:3], frames("b:ghi")[3:]}}
	w.Reader = NewReader(w, Options{Buffers: new(Buffers)})
	waited := 0
	w.waits = func() {
		waited++
		if w.buf != nil || w.lent != nil {
			t.Errorf("it waits with %d bytes", len(w.buf))
		}
	}
	var text string
	for range 2 {
		_, payload, err := w.Next()
		if err != nil {
			t.Fatal(err)
		}
		text += string(payload)
	}
	if text != "abcdef" || waited != 1 {
		t.Errorf("%q after it waited %d times", text, waited)
	}
	// With a part of a frame in it, it is read into, and kept.
	if _, _, err := w.Next(); err == nil || waited != 2 {
		t.Errorf("%v after it waited %d times", err, waited)
	}
}

// Many that wait, and read one after the other, have one buffer. (The race detector has a
// sync.Pool forget a part of what it is given.)
func TestReadersShareBuffers(t *testing.T) {
	const many = 200
	var buffers Buffers
	readers := make([]*Reader, many)
	for i := range readers {
		readers[i] = NewReader(&hesitant{&pieces{b: frames("b:a", "b:b"), sizes: []byte{3}}, &buffers}, Options{Buffers: &buffers})
	}
	defer runtime.GC()
	took := allocatedBy(func() {
		for range 2 {
			for _, r := range readers {
				if _, _, err := r.Next(); err != nil {
					t.Fatal(err)
				}
				r.release() // as when it waits
			}
		}
	})
	if took > 2*many*minBuffer { // each on its own: four times that
		t.Errorf("%d readers took %d bytes, one after the other", many, took)
	}
}

func TestSizeClasses(t *testing.T) {
	for class, size := range []int{4 << 10, 16 << 10, 64 << 10, maxBuffer} {
		if got := sizeClass(size); got != class {
			t.Errorf("%d bytes are of class %d, want %d", size, got, class)
		}
	}
}

// lending is a stream that reads in its own way into what it is lent.
type lending struct{ io.Reader }

func (l lending) ReadLoan(loan Loan) (int, error) {
	loan.Return()
	return l.Read(loan.Take())
}

// Who lends its buffer hears of the end of the stream as who has one does, in whatever way it
// comes, also between the fragments of a message.
func TestReaderLendsToTheEnd(t *testing.T) {
	whole := frames("b+:"+big(100), "p:1", "c:x", "b:"+big(9000), "b:y")
	for _, s := range streams {
		for _, n := range []int{0, 1, 103, 104, 107, 110, 111, len(whole) - 2, len(whole) - 1, len(whole)} {
			want, wantErr := all(NewReader(s.open(whole[:n]), Options{Fragments: true}))
			list, err := all(NewReader(lending{s.open(whole[:n])}, Options{Fragments: true, Buffers: new(Buffers)}))
			if err != wantErr || !slices.Equal(list, want) {
				t.Errorf("%s, %d bytes: %s, %v; want %s, %v", s.name, n, short(list), err, short(want), wantErr)
			}
		}
	}
	// What comes with the end of a stream that could be read again is the last of it.
	again := &onceMore{first: frames("b:a"), then: frames("b:b")}
	list, err := all(NewReader(lending{again}, Options{Buffers: new(Buffers)}))
	if err != io.EOF || len(list) != 1 {
		t.Errorf("%s, %v", short(list), err)
	}
}

// onceMore is a stream that ends with its first bytes, and has others behind that.
type onceMore struct{ first, then []byte }

func (o *onceMore) Read(b []byte) (int, error) {
	n := copy(b, o.first)
	o.first, o.then = o.then, nil
	return n, io.EOF
}

// A reader that lends takes larger buffers while reads fill them, and gives the smaller ones
// to others.
func TestLentBufferFollowsTraffic(t *testing.T) {
	stream := bytes.Repeat(frames("b:"+big(1020)), 2000) // four fill the smallest buffer
	var buffers Buffers
	r := NewReader(lending{bytes.NewReader(stream)}, Options{Buffers: &buffers})
	most := 0
	for range 1000 {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		most = max(most, len(r.buf))
	}
	if most != maxBuffer {
		t.Errorf("%d bytes at most", most)
	}
	// With a part of a message in it, it is not returned before, but exchanged. A sync.Pool may
	// forget what it is given.
	given := 0
	for range 20 {
		var buffers Buffers
		r := NewReader(bytes.NewReader(frames("b:"+big(9000))), Options{Buffers: &buffers})
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		if buffers.classes[0].Get() != nil {
			given++
		}
	}
	if given == 0 {
		t.Error("nobody has got the buffer that was too small")
	}
}

// What a reader has lent is not counted as its own; and it does with a small buffer where
// there is no memory for the one it had.
func TestLentIsNotCounted(t *testing.T) {
	for _, tight := range []bool{false, true} {
		m := &ration{left: 1 << 20}
		w := &waiting{next: [][]byte{frames("b:" + big(3000)), frames("b:" + big(3000)), bytes.Repeat(frames("b:"+big(3000)), 5)}}
		w.Reader = NewReader(w, Options{Buffers: new(Buffers)})
		w.SetMemory(m)
		w.size = 16 << 10 // as a burst has left it
		w.waits = func() {
			if m.taken != 0 {
				t.Errorf("it waits, and %d bytes are counted", m.taken)
			}
			if tight {
				m.left = 0
			}
		}
		for n := range 3 {
			if _, payload, err := w.Next(); err != nil || len(payload) != 3000 {
				t.Fatalf("message %d: %d bytes, %v", n, len(payload), err)
			}
			if want := map[bool]int{false: 12 << 10, true: 0}[tight]; m.taken != want || len(w.buf) != minBuffer+want {
				t.Errorf("message %d: %d bytes are counted for a buffer of %d", n, m.taken, len(w.buf))
			}
		}
	}
}
