package proc

import "golang.org/x/sys/unix"

// TellsPeers says whether the system tells who is at the other end of a unix socket.
const TellsPeers = true

func peerCred(fd int) (pid, uid int, err error) {
	cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED) // unix(4)
	if err != nil {
		return 0, -1, err
	}
	pid, err = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID)
	return pid, int(cred.Uid), err
}
