//go:build unix

package proc

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// guardTime is how long a guard tries to end what its parent has left.
const guardTime = 10 * time.Second

// runGuard is the guard, which talks to its parent over the socket fd.
func runGuard(fd int) int {
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGALRM)
	_ = os.Chdir("/") // so that no file system is kept
	parent := os.Getppid()
	// So that the end of the parent can end the wait for what it says.
	_ = unix.SetNonblock(fd, true)
	conn := os.NewFile(uintptr(fd), "parent")
	in := bufio.NewReaderSize(conn, 1<<10)
	line, err := in.ReadBytes('\n')
	var c charge
	if err != nil || json.Unmarshal(line, &c) != nil {
		return exitNoHelper // it had no time to start anything
	}
	h := &hunt{instance: c.Instance, dirs: c.Dirs, roots: make(map[int]uint64), spare: []int{os.Getpid()}}
	if parent == c.Parent {
		watchParent(parent, conn)
		if _, err := conn.Write([]byte{'r'}); err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, os.ErrDeadlineExceeded) {
			return exitNoHelper
		}
		debug.FreeOSMemory()
		if h.listen(in) {
			return 0
		}
	}
	h.until, h.deadline = startNow()+1, time.Now().Add(guardTime)
	h.endGroups()
	h.run(quietGuard)
	for _, dir := range h.dirs {
		for wait := time.Millisecond; !removeCgroup(dir) && wait < 200*time.Millisecond; wait *= 2 {
			time.Sleep(wait)
		}
	}
	return 0
}

// listen takes in what the parent says, until it says goodbye, or has ended.
func (h *hunt) listen(in *bufio.Reader) (bye bool) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		var pid int
		var start uint64
		switch what, rest, _ := strings.Cut(strings.TrimSpace(line), " "); what {
		case "+":
			if _, err := fmt.Sscan(rest, &pid, &start); err == nil {
				h.roots[pid] = start
			}
		case "-":
			if _, err := fmt.Sscan(rest, &pid); err == nil {
				delete(h.roots, pid)
			}
		case "bye":
			return true
		}
	}
}
