//go:build unix

package arbiter

import (
	"os"
	"syscall"
)

// block puts a socket into the mode in which programs expect to inherit it. It is that
// of whoever shares the socket, so nobody of this process may go on using it.
func block(f *os.File) error { return syscall.SetNonblock(int(f.Fd()), false) }

var otherSignals = map[string]os.Signal{"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}
