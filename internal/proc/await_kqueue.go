//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package proc

import (
	"errors"

	"golang.org/x/sys/unix"
)

// awaitEnd waits for the end of a child, which it leaves to be reaped: kqueue(2), EVFILT_PROC.
func awaitEnd(pid int) error {
	kq, err := unix.Kqueue()
	if err != nil {
		return err
	}
	defer unix.Close(kq)
	unix.CloseOnExec(kq)
	var changes, events [1]unix.Kevent_t
	unix.SetKevent(&changes[0], pid, unix.EVFILT_PROC, unix.EV_ADD|unix.EV_ONESHOT)
	changes[0].Fflags = unix.NOTE_EXIT
	for {
		n, err := unix.Kevent(kq, changes[:], events[:], nil)
		if n > 0 && events[0].Flags&unix.EV_ERROR != 0 { // where there is room for it, what is wrong is an event
			err = unix.Errno(events[0].Data)
		}
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ESRCH): // it has ended already
			return nil
		default:
			return err
		}
	}
}
