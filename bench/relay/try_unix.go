//go:build unix

package relay

import "syscall"

// canTry says that a write can be asked not to wait.
const canTry = true

// attempt is one write that does not wait. Its closure is made once, since one
// made for every write would be an allocation for every write.
type attempt struct {
	buf  []byte
	n    int
	err  error
	call func(fd uintptr) bool
}

func (a *attempt) bind() {
	a.call = func(fd uintptr) bool {
		for len(a.buf) > 0 {
			n, err := syscall.Write(int(fd), a.buf)
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
				return true
			case err != nil:
				a.err = err
				return true
			}
			a.n += n
			a.buf = a.buf[n:]
		}
		return true
	}
}

// write writes what the kernel takes at once of b; n < len(b) without an error
// means that it would take no more.
func (a *attempt) write(raw syscall.RawConn, b []byte) (n int, err error) {
	a.buf, a.n, a.err = b, 0, nil
	if err := raw.Write(a.call); err != nil {
		return a.n, err
	}
	return a.n, a.err
}
