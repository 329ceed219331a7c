//go:build unix

package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalSize asks a terminal how large it is.
func terminalSize(f *os.File) (columns, rows int, ok bool) {
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	return int(w.Col), int(w.Row), true
}
