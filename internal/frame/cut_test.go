package frame

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// ration is memory of so many bytes.
type ration struct{ left, most, taken int }

func (r *ration) Take(n int) bool {
	if n > r.left {
		return false
	}
	r.left -= n
	r.taken += n
	r.most = max(r.most, r.taken)
	return true
}

func (r *ration) Short() bool { return r.left < 1<<20 }

func (r *ration) Give(n int) { r.left += n; r.taken -= n }

// TestCut: a message for which there is no memory is read to its end all the same, its
// beginning is told, and what comes after it is read as if nothing had been.
func TestCut(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	stream := AppendFrame(nil, Binary, []byte("before"))
	for _, size := range []int{len(long), 100 << 10, 5000} {
		stream = AppendFrame(stream, Binary, long[:size])
	}
	stream = AppendFrame(stream, Binary, []byte("after"))
	for _, left := range []int{0, 3000, 200 << 10, 8 << 20} {
		memory := &ration{left: left}
		r := NewReader(iotest.HalfReader(bytes.NewReader(stream)), Options{Cut: true})
		r.SetMemory(memory)
		for _, size := range []int{len("before"), len(long), 100 << 10, 5000, len("after")} {
			op, b, err := r.Next()
			if err != nil || op != Binary || len(b)+r.Missing() != size {
				t.Fatalf("with %d bytes: %v, %d bytes and %d missing, %v, want %d", left, op, len(b), r.Missing(), err, size)
			}
			if size >= 5000 && !bytes.Equal(b, long[:len(b)]) {
				t.Errorf("with %d bytes: of %d another beginning", left, size)
			}
			if size >= 5000 && len(b) < stub {
				t.Errorf("with %d bytes: of %d only %d are told", left, size, len(b))
			}
			if memory.taken > left {
				t.Errorf("with %d bytes it took %d", left, memory.taken)
			}
			if got := r.Missing() > 0; left >= 8<<20 && got {
				t.Errorf("with enough memory %d of %d bytes are missing", r.Missing(), size)
			}
		}
	}
	r := NewReader(bytes.NewReader(stream), Options{})
	r.SetMemory(&ration{})
	_, _, err := r.Next()
	if err == nil {
		_, _, err = r.Next()
	}
	if !errors.Is(err, errMemory) {
		t.Errorf("who does not take it without its end is told %v, want %v", err, errMemory)
	}
}

// TestPassLarge: a message over the limit is read past, both its ends are told, and what comes
// after it is read as if nothing had been.
func TestPassLarge(t *testing.T) {
	const limit, ends = 1000, 100
	long := make([]byte, 300<<10)
	for i := range long {
		long[i] = byte(i * i >> 3)
	}
	sizes := []int{5, limit, limit + 1, 5, len(long), 70 << 10, 0, 2000, 5}
	var stream []byte
	for _, size := range sizes {
		stream = AppendFrame(stream, Binary, long[:size])
	}
	for name, source := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "in halves": iotest.HalfReader, "by the byte": iotest.OneByteReader, "with its end": iotest.DataErrReader,
	} {
		memory := &ration{}
		r := NewReader(source(bytes.NewReader(stream)), Options{Limit: limit})
		r.PassLarge(ends)
		r.SetMemory(memory)
		for _, size := range sizes {
			op, b, err := r.Next()
			wantOp, want := Binary, long[:size]
			if size > limit {
				wantOp, want = Continuation, append(append([]byte{}, long[:ends]...), long[size-ends:size]...)
			}
			if err != nil || op != wantOp || !bytes.Equal(b, want) {
				t.Fatalf("%s: of %d bytes came %v, %d bytes, %v", name, size, op, len(b), err)
			}
		}
		if op, _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: after the last %v, %v", name, op, err)
		}
	}
	for name, c := range map[string]struct {
		frame []byte
		want  error
	}{
		"cut":         {AppendFrame(nil, Binary, long)[:200<<10], io.ErrUnexpectedEOF},
		"cut at once": {AppendFrame(nil, Binary, long)[:10], io.ErrUnexpectedEOF},
		"text":        {AppendFrame(nil, Text, long), errTooBig(uint64(len(long)), limit)},
		"a fragment":  {changed(AppendFrame(nil, Binary, long), 0, bitFin), errFragments},
		"masked":      {changed(AppendFrame(nil, Binary, long), 1, 0x80), errMasked},
	} {
		r := NewReader(bytes.NewReader(c.frame), Options{Limit: limit})
		r.PassLarge(ends)
		if op, _, err := r.Next(); err == nil || err.Error() != c.want.Error() {
			t.Errorf("%s: %v, %v, want %v", name, op, err, c.want)
		}
	}
}

// changed returns b with the bits of its byte at a place turned over.
func changed(b []byte, at int, bits byte) []byte {
	b[at] ^= bits
	return b
}
