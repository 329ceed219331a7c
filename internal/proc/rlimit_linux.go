package proc

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

func moreResources() map[string]int {
	return map[string]int{"as": unix.RLIMIT_AS, "memlock": unix.RLIMIT_MEMLOCK, "nproc": unix.RLIMIT_NPROC}
}

func rlim(v uint64) uint64 { return v }

// addNice adds n to the niceness of this thread: here each has its own, and the one
// that calls exec keeps it.
func addNice(n int) error {
	now, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return err
	}
	// The system call returns 20 less the niceness: getpriority(2).
	return unix.Setpriority(unix.PRIO_PROCESS, 0, 20-now+n)
}

// closeOnExec makes every descriptor from first on end with exec.
func closeOnExec(first int) {
	if unix.CloseRange(uint(first), ^uint(0), unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	open, err := os.ReadDir("/proc/self/fd") // before Linux 5.11
	if err != nil {
		return
	}
	for _, e := range open {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= first {
			unix.CloseOnExec(fd)
		}
	}
}
