package cell

import (
	"fmt"
	"runtime"
	"strings"
)

const (
	module    = "github.com/arbiter-go/arbiter/"
	maxFrames = 48 // of a panic, with those of who panics and of what runs handlers
)

// StackOfPanic returns where the panic, or the runtime.Goexit, came from that a deferred
// function has just noticed, which calls it: the user's functions, innermost first, on one line,
// since it goes into a log. What runs handlers is left out, unless it is from there.
func StackOfPanic() string {
	const skipped = 3 // runtime.Callers, this one, and the deferred function
	var callers [maxFrames]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(skipped, callers[:])])
	var lines []string
	users := -1 // how many of these are before what runs handlers; negative: all
	for more := true; more && users < 0; {
		var f runtime.Frame
		f, more = frames.Next()
		switch {
		case len(lines) == 0 && (strings.HasPrefix(f.Function, "runtime.") || strings.HasPrefix(f.Function, "internal/runtime/")):
			continue // it panics, or exits, for others
		case len(lines) > 0 && own(f.Function) && !own(lines[0]):
			users = len(lines)
		default:
			lines = append(lines, fmt.Sprintf("%s %s:%d", f.Function, f.File, f.Line))
		}
	}
	for users > 1 && strings.HasPrefix(lines[users-1], module+"actor.") {
		users-- // it calls what the user gave
	}
	if users > 0 {
		lines = lines[:users]
	}
	return strings.Join(lines, " < ")
}

// own reports whether function is of what runs handlers.
func own(function string) bool { return strings.HasPrefix(function, module+"internal/cell.") }
