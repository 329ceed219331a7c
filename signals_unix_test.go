//go:build unix

package arbiter_test

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The signals that stop a process for a while, and let it go on.
const (
	freeze = syscall.SIGSTOP
	thaw   = syscall.SIGCONT
)

// signalTo sends a process a signal; 0 asks whether there is one.
func signalTo(pid int, s syscall.Signal) error { return syscall.Kill(pid, s) }

// beNice lets others have the processor first.
func beNice() { _ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) }

// cutSockets ends the connections of this process as a broken road would.
func cutSockets() {
	for fd := 3; fd < 256; fd++ {
		if _, err := unix.Getpeername(fd); err == nil {
			_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		}
	}
}
