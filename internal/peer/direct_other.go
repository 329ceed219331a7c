//go:build unix && !(linux && (amd64 || arm64 || riscv64 || loong64))

package peer

import "syscall"

// Elsewhere system calls go through a library, which wants the runtime told, or are others.
const directSize = 0

func readDirect(fd int, b []byte) (int, error)  { return syscall.Read(fd, b) }
func writeDirect(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
