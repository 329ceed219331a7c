package cell

import (
	"testing"
	"unsafe"
)

// A buffer has room for what it was asked for, and little more; it comes again for what it fits.
func TestBodies(t *testing.T) {
	var b bodies
	for n := maxKept + 1; n < 20<<20; n += n/7 + 1 {
		data := b.get(n)
		if len(data) != 0 || cap(data) < n {
			t.Fatalf("%d bytes have a buffer with %d, of %d", n, len(data), cap(data))
		}
		if n > leastBody && cap(data) >= 9*n/4 {
			t.Errorf("%d bytes have a buffer of %d", n, cap(data))
		}
	}
	for size := range bodySizes {
		c := leastBody << size
		same, bytes := bodySize(c)
		next, _ := bodySize(c + 1)
		if same != size || next != size+1 || bytes != c {
			t.Errorf("a buffer of %d bytes is of size %d and has %d, one byte more of %d, want %d", c, same, bytes, next, size)
		}
	}
	again := 0
	for range 100 { // under the race detector a pool forgets some
		data := append(b.get(16<<10), 1, 2, 3)
		b.put(data)
		next := b.get(16 << 10)
		if len(next) != 0 || cap(next) != cap(data) {
			t.Fatalf("it comes again with %d bytes, of %d", len(next), cap(next))
		}
		if unsafe.SliceData(next) == unsafe.SliceData(data) {
			again++
		}
	}
	if again < 10 {
		t.Errorf("a buffer came again %d times of 100", again)
	}
	b.put(make([]byte, 0, 16<<10)) // not one of get's: left to the garbage collector
	if data := b.get(16 << 10); cap(data) != 18<<10 {
		t.Errorf("a buffer of %d bytes", cap(data))
	}
}
