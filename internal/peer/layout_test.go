package peer

import (
	"testing"
	"unsafe"
)

// What is read to find a call in flight and whom to tell of it is on one cache line.
func TestSlotIsOnOneLine(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the sizes are those of 64 bits")
	}
	const line = 64
	var s slot
	if end := unsafe.Offsetof(s.note) + unsafe.Offsetof(s.note.ID) + unsafe.Sizeof(s.note.ID); end > line {
		t.Errorf("it ends at %d", end)
	}
	if n := unsafe.Sizeof(s); n%line != 0 {
		t.Errorf("a slot has %d bytes: the next one does not begin with a line", n)
	}
}
