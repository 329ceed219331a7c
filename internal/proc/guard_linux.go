package proc

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watchParent ends the reading from conn when pid has ended, even if somebody else
// still holds the other end: a child of it between fork and exec, for one.
func watchParent(pid int, conn *os.File) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil || os.Getppid() != pid {
		if os.Getppid() != pid { // it has ended before
			_ = conn.SetReadDeadline(time.Now())
		}
		return // before Linux 5.3: the end of file has to do
	}
	_ = unix.SetNonblock(fd, true)
	handle := os.NewFile(uintptr(fd), "pidfd")
	raw, err := handle.SyscallConn()
	if err != nil {
		return
	}
	go func() { // until the end of this process
		err := raw.Read(func(fd uintptr) bool {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return n > 0 && err == nil
		})
		if err == nil {
			// What it has still said is in the socket: to read that takes no time.
			_ = conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		}
	}()
}

// endGroups does nothing: the hunt finds groups, and makes sure of their members.
func (h *hunt) endGroups() {}
