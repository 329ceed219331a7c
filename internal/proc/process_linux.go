package proc

import (
	"errors"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// start starts l and sets p.os. The file it returns is the process's pidfd, or nil
// where there is none.
func (p *Process) start(l *launch) (*os.File, error) {
	// Everything Go opens is closed on exec, but not what we were started with
	// ourselves, nor what C code opens. This changes our own descriptors, not just
	// what the child sees: they would not survive an exec of ours.
	closeOnExec(SocketFD)

	pidfd := -1
	// Not Pdeathsig: it fires when the thread that started the process ends.
	sys := &syscall.SysProcAttr{Setpgid: !l.session, Setsid: l.session}
	if pidfdsWork() {
		sys.PidFD = &pidfd
	}
	if l.cgroup != nil {
		sys.UseCgroupFD, sys.CgroupFD = true, int(l.cgroup.Fd())
	}
	var err error
	begin := func() {
		p.os, err = os.StartProcess(l.path, l.argv, &os.ProcAttr{Dir: l.dir, Env: l.env, Files: l.files, Sys: sys})
	}
	if len(l.tasks) == 0 {
		begin()
	} else if e := fromThreadIn(l.tasks, begin); e != nil {
		return nil, e
	}
	if err != nil || pidfd < 0 {
		return nil, err
	}
	// In non-blocking mode the runtime's poller takes it, so that a thousand
	// processes do not take a thousand threads to be waited for.
	_ = unix.SetNonblock(pidfd, true)
	return os.NewFile(uintptr(pidfd), "pidfd"), nil
}

// pidfdsWork reports whether all of it does that we use. Linux 5.2 and 5.3 give a pidfd that
// nobody can wait for, QEMU before 8.0 starts nothing that is to have one, a container may
// forbid some of the calls. Package os has tried them all.
var pidfdsWork = sync.OnceValue(func() bool {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return false
	}
	defer self.Release()
	return self.WithHandle(func(uintptr) {}) == nil
})

// reap waits for the end of the process, ends what is left of its group and of its
// cgroup, and reaps it. In this order: until it is reaped, its pid names nobody
// else.
func (p *Process) reap(pidfd *os.File) (Exit, error) {
	var end siginfo
	err := errors.ErrUnsupported
	if pidfd != nil {
		defer pidfd.Close()
		end, err = awaitPolled(pidfd)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		end, err = await(unix.P_PID, p.os.Pid, 0)
	}
	if pidfd != nil {
		// os.Process has a duplicate, which shares the mode, and waits on it.
		_ = unix.SetNonblock(int(pidfd.Fd()), false)
	}
	if err == nil {
		p.awaitGroup()
	}
	p.mu.Lock()
	if err == nil {
		_ = killGroup(p.os.Pid)
		p.member.ends()
	}
	p.reaped = true // from here on Kill leaves the group alone
	p.mu.Unlock()
	if err != nil {
		return p.await()
	}
	return p.bury(end)
}

// reapTime is how long the reaping of what has ended is waited for. It takes some
// microseconds, unless a process of low priority that reads /proc keeps the kernel from it.
const reapTime = 50 * time.Millisecond

// bury reaps the process, whose end is known. Where that takes its time it goes on by
// itself.
func (p *Process) bury(end siginfo) (Exit, error) {
	type outcome struct {
		how Exit
		err error
	}
	reaped := make(chan outcome, 1)
	go func() {
		how, err := p.await()
		reaped <- outcome{how, err}
	}()
	late := time.NewTimer(reapTime)
	defer late.Stop()
	select {
	case o := <-reaped:
		return o.how, o.err
	case <-late.C:
		return end.exit(), nil
	}
}

// siginfo is what the kernel says of an end: of the siginfo_t of waitid(2).
type siginfo struct{ code, status int32 }

// The codes of an end, of <bits/siginfo-consts.h>.
const (
	exitedByItself = 1 + iota // CLD_EXITED: the status is its exit code
	killedBy                  // CLD_KILLED: it is a signal …
	dumpedBy                  // … CLD_DUMPED: and it has left a core
)

func (s siginfo) exit() Exit {
	if s.code == exitedByItself {
		return Exit{Code: int(s.status)}
	}
	return Exit{Code: -1, Signal: syscall.Signal(s.status).String(), CoreDumped: s.code == dumpedBy}
}

// maxGroupPause is between two looks at what is left of a group, at most.
const maxGroupPause = 100 * time.Millisecond

// awaitGroup passes what the process was asked by Stop, if it was, on to those of its
// group that it has left, and waits until they have ended, or Kill was called.
func (p *Process) awaitGroup() {
	passed := false
	for pause := huntPause; ; pause = min(2*pause, maxGroupPause) {
		p.mu.Lock()
		asked, killed := p.asked, p.killed
		p.mu.Unlock()
		if asked == nil || killed || !p.leftGroup() {
			return
		}
		if s, ok := asked.(syscall.Signal); ok && !passed {
			_ = unix.Kill(-p.os.Pid, s) // nobody else's: it has not been reaped
			passed = true
		}
		time.Sleep(pause)
	}
}

// leftGroup reports whether somebody of the group lives. Where processes are not shown it
// is false.
func (p *Process) leftGroup() bool {
	of := func(e entry) bool { return e.group == p.os.Pid && !e.zombie }
	if pids, ok := p.member.pids(); ok { // whoever is in its group is in its cgroup, too
		return slices.ContainsFunc(pids, func(pid int) bool {
			e, err := readEntry(pid)
			return err == nil && of(e)
		})
	}
	if p.member != nil {
		return slices.ContainsFunc(p.member.family.shown.since(time.Now()), of)
	}
	all, _ := processes()
	return slices.ContainsFunc(all, of)
}

// awaitPolled returns when the process has ended, and leaves it to be reaped. It
// holds no thread.
func awaitPolled(pidfd *os.File) (end siginfo, err error) {
	raw, err := pidfd.SyscallConn()
	if err != nil {
		return end, errors.ErrUnsupported
	}
	var waitErr error
	if err := raw.Read(func(fd uintptr) bool {
		end, waitErr = await(unix.P_PIDFD, int(fd), unix.WNOHANG)
		return !errors.Is(waitErr, unix.EAGAIN)
	}); err != nil {
		return end, errors.ErrUnsupported // the poller does not take it
	}
	return end, waitErr
}

// await waits for the end of a process, which it leaves to be reaped. With WNOHANG
// it does not wait but returns EAGAIN.
func await(idType, id, options int) (end siginfo, err error) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(idType, id, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err == nil && info.Signo == 0:
			return end, unix.EAGAIN
		default:
			// What follows three numbers is aligned as a pointer: pid, uid, status.
			const at = (12+unsafe.Sizeof(uintptr(0))-1)&^(unsafe.Sizeof(uintptr(0))-1) + 8
			return siginfo{info.Code, *(*int32)(unsafe.Add(unsafe.Pointer(&info), at))}, err
		}
	}
}
