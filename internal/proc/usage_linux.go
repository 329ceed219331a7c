package proc

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// statSize is more than proc_pid_stat(5) ever has: 52 numbers of at most 20 digits
// and a name of at most 64 bytes.
const statSize = 2 << 10

// readStat reads what the system says of pid. By hand, because this is asked of
// every process of the machine, and of ours all the time.
func readStat(pid int) (string, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var buf [statSize]byte
	for {
		n, err := unix.Read(fd, buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return "", err // ESRCH: it has ended in between
		default:
			return string(buf[:n]), nil
		}
	}
}

// The fields of proc_pid_stat(5) that we read, counted from the one after the name,
// which the page calls the third.
const (
	statState   = 0
	statParent  = 4 - 3 // its group and session come next
	statFlags   = 9 - 3
	statUser    = 14 - 3 // in ticks
	statSystem  = 15 - 3
	statThreads = 20 - 3
	statStart   = 22 - 3
	statRSS     = 24 - 3 // in pages
	statFields  = statRSS + 1
)

// tick is the unit of times in /proc: 100 a second on every architecture that Go
// has.
const tick = time.Second / 100

// splitStat returns the fields after the name, which may be of any bytes:
//
//	123 (its name) S ppid pgrp session ...
func splitStat(stat string) (f [statFields]string, ok bool) {
	end := strings.LastIndexByte(stat, ')')
	if end < 0 {
		return f, false
	}
	n := 0
	for field := range strings.FieldsSeq(stat[end+1:]) {
		f[n] = field
		if n++; n == len(f) {
			return f, true
		}
	}
	return f, false
}

func usageOf(pid int) (Usage, bool) {
	stat, err := readStat(pid)
	if err != nil {
		return Usage{}, false
	}
	return parseUsage(stat)
}

func parseUsage(stat string) (u Usage, ok bool) {
	f, ok := splitStat(stat)
	if !ok || len(f[statState]) != 1 {
		return Usage{}, false
	}
	var numbers [4]int64
	for i, field := range [...]int{statUser, statSystem, statThreads, statRSS} {
		n, err := strconv.ParseInt(f[field], 10, 64)
		if err != nil || n < 0 {
			return Usage{}, false
		}
		numbers[i] = n
	}
	return Usage{
		CPU:     time.Duration(numbers[0]+numbers[1]) * tick,
		Threads: int(numbers[2]),
		RSS:     numbers[3] * int64(os.Getpagesize()),
		State:   f[statState][0],
	}, true
}

// exiting reports whether pid has begun to exit: of the flags that proc_pid_stat(5)
// shows, PF_EXITING of the kernel's sched.h.
func exiting(pid int) bool {
	const pfExiting = 0x4
	stat, err := readStat(pid)
	if err != nil {
		return false
	}
	f, ok := splitStat(stat)
	if !ok {
		return false
	}
	flags, err := strconv.ParseUint(f[statFlags], 10, 64)
	return err == nil && flags&pfExiting != 0 || f[statState] == "Z" || f[statState] == "X"
}

// wantedBy adds up what sched-stats.rst of the kernel calls time on the cpu and time
// spent waiting on a runqueue, of each thread.
func wantedBy(pid int) (sum time.Duration) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	tasks, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, task := range tasks {
		text, err := readString(dir + "/" + task.Name() + "/schedstat")
		if err != nil {
			continue // it has ended, or the kernel does not count
		}
		ran, rest, _ := strings.Cut(text, " ")
		waited, _, _ := strings.Cut(rest, " ")
		for _, field := range [...]string{ran, waited} {
			if n, err := strconv.ParseInt(field, 10, 64); err == nil {
				sum += time.Duration(n)
			}
		}
	}
	return sum
}
