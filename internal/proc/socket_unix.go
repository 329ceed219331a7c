//go:build unix

package proc

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// Socketpair returns two connected stream sockets: ours to use here, theirs to be
// given to a process as Spec.Socket. Both are closed on exec, so that no other
// process inherits them: when one end is closed, or its process ends, the other
// reads the end of file.
func Socketpair() (ours net.Conn, theirs *os.File, err error) {
	fds, err := socketpair()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "socketpair")
	file := os.NewFile(uintptr(fds[0]), "socketpair")
	defer file.Close() // FileConn has its own descriptor
	ours, err = net.FileConn(file)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// Inherited returns the socket this process was given as descriptor fd, which is
// taken over: it is closed, and the connection has another that our own children
// do not inherit. Anything but a connected stream socket is refused and left alone.
func Inherited(fd int) (net.Conn, error) {
	if err := checkInherited(fd); err != nil {
		return nil, fmt.Errorf("descriptor %d is not the connection to the arbiter: %w", fd, err)
	}
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "inherited socket")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d, the connection to the arbiter, cannot be used: %w", fd, err)
	}
	return conn, nil
}

func checkInherited(fd int) error {
	const again = "was it taken over before, or closed by a program in between?"
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case errors.Is(err, unix.EBADF):
		return fmt.Errorf("it is not open (%s)", again)
	case errors.Is(err, unix.ENOTSOCK):
		return fmt.Errorf("it is not a socket (%s)", again)
	case err != nil:
		return os.NewSyscallError("getsockopt", err)
	case typ != unix.SOCK_STREAM:
		return errors.New("it is not a stream socket")
	}
	if _, err := unix.Getpeername(fd); errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.EINVAL) {
		return errors.New("it is not connected (for one that listens, give its address instead)")
	}
	return nil
}
