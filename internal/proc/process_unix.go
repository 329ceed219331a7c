//go:build unix

package proc

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readBuffered reads what is in the pipe at this moment, without waiting: at most
// what a pipe can hold, or a writer that is quick enough would keep us for ever.
func (p *pump) readBuffered() {
	const most = 1 << 20 // Linux, pipe(7): /proc/sys/fs/pipe-max-size by default
	p.r.SetReadDeadline(time.Time{})
	raw, err := p.r.SyscallConn()
	if err != nil {
		return
	}
	raw.Read(func(fd uintptr) bool {
		for total := 0; total < most; {
			n, err := unix.Read(int(fd), p.lines.space())
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n <= 0 {
				break
			}
			p.lines.add(n)
			total += n
		}
		return true // do not wait for more
	})
}

// killGroup sends SIGKILL to every process of the group that pid leads. There is
// such a group as long as pid has not been reaped. A group that is empty, or has
// only dead members, is no error.
func killGroup(pid int) error {
	err := unix.Kill(-pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EPERM) {
		// EPERM is what Darwin says of a group of zombies. If it is meant, the
		// signal to the process itself will say so, too.
		return nil
	}
	return os.NewSyscallError("kill", err)
}

func exitOf(state *os.ProcessState) Exit {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return Exit{Code: state.ExitCode()}
	}
	return Exit{Code: -1, Signal: status.Signal().String(), CoreDumped: status.CoreDump()}
}
