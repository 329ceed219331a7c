package peer

import "golang.org/x/sys/unix"

// credentials asks who connected a unix socket: unix(4), LOCAL_PEERCRED and
// LOCAL_PEERPID.
func credentials(fd int, info *Info) {
	if x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED); err == nil {
		info.UID = int(x.Uid)
	}
	if pid, err := unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID); err == nil {
		info.PID = pid
	}
}
