//go:build linux && (amd64 || arm64 || riscv64 || loong64)

package peer

import (
	"syscall"
	"unsafe"
)

// directSize is up to how many bytes are read and written without telling Go's scheduler.
// What does not wait is a copy, and shorter than what telling costs: after each pause the
// first system call wakes the runtime's monitor, which then looks around every 20 µs for
// a while. A longer copy would hold up others.
const directSize = 64 << 10

// readDirect and writeDirect are for sockets, and never wait: the flag says so, since
// whoever shares a socket could take O_NONBLOCK from it.
func readDirect(fd int, b []byte) (int, error) {
	if len(b) > directSize {
		n, _, errno := syscall.Syscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), syscall.MSG_DONTWAIT, 0, 0)
		return result(n, errno)
	}
	return direct(syscall.SYS_RECVFROM, fd, b, syscall.MSG_DONTWAIT)
}

func writeDirect(fd int, b []byte) (int, error) {
	if len(b) > directSize {
		return syscall.Write(fd, b)
	}
	return direct(syscall.SYS_SENDTO, fd, b, syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
}

func direct(call uintptr, fd int, b []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), flags, 0, 0)
	return result(n, errno)
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
