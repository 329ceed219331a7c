//go:build unix

package cli

import (
	"os"
	"syscall"
)

// freeze stops a process where it is.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }
