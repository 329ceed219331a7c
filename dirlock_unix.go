//go:build unix

package arbiter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// dirWait is how long another arbiter may take to replace what a dead one left.
const dirWait = 2 * time.Second

// lockDir keeps other arbiters from replacing what a dead one has left in dir, until
// unlock: the second of two that have seen it dead would remove what the first has
// just put there. Where directories have no locks, or this one cannot be read, there is
// none.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(dirWait); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return func() { _ = f.Close() }, nil
		}
		if time.Now().After(deadline) {
			_ = f.Close()
			return nil, fmt.Errorf("another program holds the lock of %s", dir)
		}
	}
}
