package proc

import (
	"net"
	"syscall"
)

// PeerCred returns the process and the user at the other end of c, as the system
// knows them: of a connection that was dialed, who dialed it or who listens; of
// one from Socketpair, who made the pair, so always this process. It reports false
// if c is not a unix socket or the system does not tell. The pid may be of a
// process that has ended, and is 0 for one of another pid namespace.
func PeerCred(c net.Conn) (pid, uid int, ok bool) {
	sys, isSocket := c.(syscall.Conn)
	if !isSocket || c.LocalAddr().Network() != "unix" {
		return 0, -1, false
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return 0, -1, false
	}
	credErr := raw.Control(func(fd uintptr) { pid, uid, err = peerCred(int(fd)) })
	if credErr != nil || err != nil {
		return 0, -1, false
	}
	return pid, uid, true
}
