package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// processes lists all that we are shown.
func processes() ([]entry, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	all := make([]entry, 0, len(names))
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if e, err := readEntry(pid); err == nil { // it may have ended in between
			all = append(all, e)
		}
	}
	return all, nil
}

func readEntry(pid int) (entry, error) {
	stat, err := readStat(pid)
	if err != nil {
		return entry{}, err
	}
	return parseEntry(pid, stat)
}

func parseEntry(pid int, stat string) (e entry, err error) {
	f, ok := splitStat(stat)
	if !ok {
		return e, fmt.Errorf("process %d: its stat is %q", pid, stat)
	}
	e.pid = pid
	if f[statState] == "Z" || f[statState] == "X" {
		// So looks one, too, of which only the first thread has ended (pthread_exit in
		// main), and the others go on.
		e.headless = f[statThreads] != "0" && f[statThreads] != "1"
		e.zombie = !e.headless
	}
	for i, to := range []*int{&e.parent, &e.group, &e.session} { // one after the other
		if *to, err = strconv.Atoi(f[statParent+i]); err != nil {
			return e, err
		}
	}
	e.start, err = strconv.ParseUint(f[statStart], 10, 64)
	return e, err
}

// startOf returns when pid was started.
func startOf(pid int) (uint64, error) {
	e, err := readEntry(pid)
	return e.start, err
}

// startNow is the start of a process that begins now: in ticks since the machine
// started.
func startNow() uint64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return 0
	}
	return uint64(now.Nano()) / uint64(tick)
}

// hasInstance reports whether the environment that e was started with names
// instance. Another user's is shown to root only.
func hasInstance(e entry, instance string) bool {
	dir := "/proc/" + strconv.Itoa(e.pid)
	if !e.headless {
		return namesInstance(dir+"/environ", instance)
	}
	// It is shown by the threads that live.
	tasks, _ := os.ReadDir(dir + "/task")
	return slices.ContainsFunc(tasks, func(t os.DirEntry) bool { return namesInstance(dir+"/task/"+t.Name()+"/environ", instance) })
}

// namesInstance reports whether the environment in that file names instance.
func namesInstance(file, instance string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	const most = 4 << 20 // a program may be given 6 MiB, arguments included
	env, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil || !bytes.Contains(env, []byte(instance)) {
		return false
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(EnvInstance+"=")); ok {
			for id := range bytes.SplitSeq(value, []byte{':'}) {
				if string(id) == instance {
					return true
				}
			}
		}
	}
	return false
}

// endProcess kills e, and nobody who got its pid since.
func endProcess(e entry) {
	fd, err := unix.PidfdOpen(e.pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err == nil {
		defer unix.Close(fd)
	}
	if start, again := startOf(e.pid); again != nil || start != e.start {
		return
	}
	if err != nil || unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil {
		_ = unix.Kill(e.pid, unix.SIGKILL) // before Linux 5.3, or where a container forbids those
	}
}
