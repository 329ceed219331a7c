package cell

import (
	"strings"
	"testing"
)

// Of a panic of what runs handlers all is told: it is nobody's fault but its own.
func TestStackOfOwnPanic(t *testing.T) {
	var stack string
	func() {
		defer func() {
			_ = recover()
			stack = StackOfPanic()
		}()
		panics()
	}()
	calls := strings.Split(stack, " < ")
	if len(calls) < 3 || !strings.Contains(calls[0], "cell.panics ") || !strings.Contains(stack, "testing.tRunner") {
		t.Errorf("%q", calls)
	}
}

//go:noinline
func panics() {
	panic("own")
}
