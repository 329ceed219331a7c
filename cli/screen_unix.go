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

// unread reports whether f is a pipe, socket or terminal whose other end is closed.
func unread(f *os.File) bool {
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}
