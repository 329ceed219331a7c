package cell

import (
	"testing"
	"unsafe"
)

// What a worker reads for each message and what its senders change with each are never on one
// cache line, and a letter is on one. So is what the end of a call reads and writes, of which
// its caller changes the rest. A turn is no larger than it has to be.
func TestCacheLines(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the sizes are those of 64 bits")
	}
	const line = 64
	var c Cell
	for name, end := range map[string]uintptr{
		"spec":  unsafe.Offsetof(c.spec) + unsafe.Sizeof(c.spec),
		"host":  unsafe.Offsetof(c.host) + unsafe.Sizeof(c.host),
		"user":  unsafe.Offsetof(c.user) + unsafe.Sizeof(c.user),
		"ended": unsafe.Offsetof(c.ended) + unsafe.Sizeof(c.ended),
	} {
		if mu := unsafe.Offsetof(c.mu); end+line > mu+1 {
			t.Errorf("%s ends at %d, and the lock is at %d: they may share a line", name, end, mu)
		}
	}
	if n := unsafe.Sizeof(Letter{}); n != line {
		t.Errorf("a letter has %d bytes, want %d", n, line)
	}
	if n := unsafe.Sizeof(Turn{}); n != 48 { // one is allocated for each message
		t.Errorf("a turn has %d bytes, want 48", n)
	}
	var call Call
	if n := unsafe.Offsetof(call.Target); n != line {
		t.Errorf("what is not about the end of a call begins at %d, want %d", n, line)
	}
	if n := unsafe.Sizeof(call); n&(n-1) != 0 {
		t.Errorf("a call has %d bytes, and may begin in the middle of a line", n)
	}
}
