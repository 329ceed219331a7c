//go:build unix

package arbiter

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// processLives reports whether there is a process pid, and not only what is left of one
// that nobody has waited for.
func processLives(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	// On Linux that finds the remains, too, and threads, whose numbers are of the same kind.
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err != nil || !deadOrThread(pid, string(status))
}

// deadOrThread reports whether status, as proc_pid_status(5) has it, is of no process that
// lives. Of one that does at least one thread lives, though perhaps not the first.
func deadOrThread(pid int, status string) bool {
	said := make(map[string]string)
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		said[name] = strings.TrimSpace(value)
	}
	if of := said["Tgid"]; of != "" && of != strconv.Itoa(pid) {
		return true
	}
	state, threads := said["State"], said["Threads"]
	return (strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")) && (threads == "0" || threads == "1")
}
