package peer

import "golang.org/x/sys/unix"

// credentials asks who connected a unix socket: unix(7), SO_PEERCRED. Of a
// socketpair that is who made it.
func credentials(fd int, info *Info) {
	if u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
		info.PID, info.UID = int(u.Pid), int(u.Uid)
	}
}
