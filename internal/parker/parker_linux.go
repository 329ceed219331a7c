package parker

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// place is a descriptor of eventfd(2), which Go's poller watches as it does sockets. It is never
// read: each write is an event of its own, since the poller asks for edges, and what they add up
// to would be too much in centuries.
type place struct {
	file *os.File
	raw  syscall.RawConn
	look func(fd uintptr) bool // bound once, as is ring
	ring func(fd uintptr)
}

// one is what is written.
var one uint64 = 1

func (p *Parker) open() bool {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return false
	}
	p.file = os.NewFile(uintptr(fd), "parker")
	if p.raw, err = p.file.SyscallConn(); err != nil || p.file.SetDeadline(time.Time{}) != nil { // where it cannot be waited for
		_ = p.file.Close()
		return false
	}
	p.look = func(uintptr) bool { return len(p.on) > 0 }
	p.ring = func(fd uintptr) {
		// It does not wait: the scheduler need not be told.
		_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one)), unsafe.Sizeof(one))
	}
	return true
}

func (p *Parker) close() bool { return p.file.Close() == nil }

// wait returns false if it was closed.
func (p *Parker) wait() bool { return p.raw.Read(p.look) == nil }

// wake does nothing to who was closed: the descriptor may be another's by now.
func (p *Parker) wake() { _ = p.raw.Control(p.ring) }
