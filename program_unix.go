//go:build unix

package arbiter

import (
	"os"
	"syscall"
)

var otherSignals = map[string]os.Signal{"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}
