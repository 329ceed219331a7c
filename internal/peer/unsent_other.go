//go:build unix && !linux && !darwin

package peer

import "syscall"

// limitUnsent does nothing: this system has no word for it.
func limitUnsent(syscall.RawConn) {}
