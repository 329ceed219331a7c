package proc

import "golang.org/x/sys/unix"

// processes lists all there are. Their sessions are not told, so they are not
// looked for.
func processes() ([]entry, error) {
	list, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, err
	}
	all := make([]entry, 0, len(list))
	for i := range list {
		all = append(all, entryOf(&list[i]))
	}
	return all, nil
}

func entryOf(k *unix.KinfoProc) entry {
	const zombie = 5 // SZOMB, sys/proc.h
	return entry{
		pid: int(k.Proc.P_pid), parent: int(k.Eproc.Ppid), group: int(k.Eproc.Pgid), zombie: k.Proc.P_stat == zombie,
		start: uint64(k.Proc.P_starttime.Sec)*1e6 + uint64(k.Proc.P_starttime.Usec),
	}
}

// startOf returns when pid was started, in microseconds.
func startOf(pid int) (uint64, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return 0, err
	}
	return entryOf(k).start, nil
}

func startNow() uint64 {
	var now unix.Timeval
	if err := unix.Gettimeofday(&now); err != nil {
		return 0
	}
	return uint64(now.Sec)*1e6 + uint64(now.Usec)
}

// hasInstance does not know: the environment of a process is not shown.
func hasInstance(entry, string) bool { return false }

// endProcess kills e. Between the look at its start and the signal another could
// get its pid.
func endProcess(e entry) {
	if start, err := startOf(e.pid); err == nil && start == e.start {
		_ = unix.Kill(e.pid, unix.SIGKILL)
	}
}
