package peer

import (
	"syscall"
	"unsafe"
)

// directSize is up to how many bytes are read and written without telling Go's scheduler.
// For a descriptor that does not block that is a copy, and shorter than what telling costs:
// after each pause the first system call wakes the runtime's monitor, which then looks
// around every 20 µs for a while. A longer copy would hold up the others on this thread.
const directSize = 64 << 10

// readDirect and writeDirect are for descriptors that do not block.
func readDirect(fd int, b []byte) (int, error) { return direct(syscall.SYS_READ, fd, b) }

func writeDirect(fd int, b []byte) (int, error) {
	if len(b) > directSize {
		return syscall.Write(fd, b)
	}
	return direct(syscall.SYS_WRITE, fd, b)
}

func direct(call uintptr, fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
