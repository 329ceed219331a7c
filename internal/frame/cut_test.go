package frame

import (
	"bytes"
	"errors"
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
