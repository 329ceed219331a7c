//go:build unix

package arbiter

import (
	"errors"
	"syscall"
)

// processLives reports whether there is a process pid.
func processLives(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
