package proc

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reapAfter is how long an orphan's remains must have been seen that nobody in this
// process waits for.
const reapAfter = 200 * time.Millisecond

// reaper takes away what is left of ended descendants whose parents have ended
// before them. Which of our children are such orphans the system does not say. But
// who starts a process in Go holds a pidfd of it until it was waited for: a child
// that no descriptor of ours refers to is nobody's. A nil reaper does nothing.
type reaper struct {
	known   func(pid int) bool // is it certainly waited for
	was     bool               // we were a subreaper before
	signals chan os.Signal
	stop    chan struct{} // closed by close
	done    chan struct{} // closed by run

	seen map[int]uint64 // owned by run: unclaimed when looked last, pid to start
}

func newReaper(known func(pid int) bool) (*reaper, error) {
	if !pidfdsWork() {
		return nil, errors.New("without pidfds (Linux 5.4) they cannot be told from children that somebody waits for")
	}
	if _, err := pidfds(); err != nil {
		return nil, fmt.Errorf("which there are is not shown: %w", err)
	}
	r := &reaper{known: known, signals: make(chan os.Signal, 1), stop: make(chan struct{}), done: make(chan struct{})}
	var was int32
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&was)), 0, 0, 0); err == nil {
		r.was = was != 0
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, os.NewSyscallError("prctl", err)
	}
	signal.Notify(r.signals, unix.SIGCHLD)
	go r.run()
	return r, nil
}

// run looks once after every signal, and again while there is something unclaimed.
func (r *reaper) run() {
	defer close(r.done)
	timer := time.NewTimer(reapAfter) // there may be remains already
	defer timer.Stop()
	armed := true
	for {
		select {
		case <-r.stop:
			return
		case <-r.signals:
			if !armed {
				armed = true
				timer.Reset(reapAfter)
			}
		case <-timer.C:
			began := time.Now()
			if armed = r.look(); armed {
				// A machine with very many processes is not kept busy by this.
				timer.Reset(max(reapAfter, 20*time.Since(began)))
			}
		}
	}
}

// look reaps what was unclaimed when it looked last, and reports whether there is
// more that may be an orphan.
func (r *reaper) look() bool {
	before := r.seen
	r.seen = make(map[int]uint64)
	// The usual case costs one system call.
	var info unix.Siginfo
	err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	if err != nil || info.Signo == 0 {
		return false
	}
	all, err := processes()
	if err != nil {
		return false
	}
	dead := all[:0]
	for _, e := range all {
		if e.zombie && e.parent == os.Getpid() && !r.known(e.pid) {
			dead = append(dead, e)
		}
	}
	if len(dead) == 0 {
		return false
	}
	claimed, err := pidfds()
	if err != nil {
		return false
	}
	for _, e := range dead {
		switch {
		case claimed[e.pid]:
		case before[e.pid] == e.start:
			// It is still there, so its pid is still its own.
			_, _ = unix.Wait4(e.pid, nil, unix.WNOHANG, nil)
		default:
			r.seen[e.pid] = e.start
		}
	}
	return len(r.seen) > 0
}

// close ends the reaping. Who loses its parent from now on is process 1's, but if we
// were a subreaper before.
func (r *reaper) close() {
	if r == nil {
		return
	}
	signal.Stop(r.signals)
	close(r.stop)
	<-r.done
	if !r.was {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
	}
}

// pidfds returns the processes that descriptors of ours refer to.
func pidfds() (map[int]bool, error) {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	pids := make(map[int]bool)
	for _, e := range open {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || !strings.Contains(to, "pidfd") {
			continue
		}
		info, err := readString("/proc/self/fdinfo/" + e.Name())
		if err != nil {
			continue
		}
		for line := range strings.Lines(info) {
			if value, ok := strings.CutPrefix(line, "Pid:"); ok {
				if pid, err := strconv.Atoi(strings.TrimSpace(value)); err == nil {
					pids[pid] = true
				}
			}
		}
	}
	return pids, nil
}
