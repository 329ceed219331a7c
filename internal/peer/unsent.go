//go:build linux || darwin

package peer

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// limitUnsent has the kernel take no more than unsent bytes of a TCP connection that it
// cannot send yet: what it has taken, control cannot pass. tcp(7) of macOS and
// Documentation/networking/ip-sysctl.rst of Linux, TCP_NOTSENT_LOWAT. Where it fails,
// control only comes later.
func limitUnsent(raw syscall.RawConn) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
	})
}
