//go:build unix

package proc

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

func self() *Self {
	if runtime.GOOS == "linux" {
		// The very file that runs now, even if another has taken its name since:
		// the helper is never of another version.
		const exe = "/proc/self/exe"
		if _, err := os.Stat(exe); err == nil {
			return &Self{exe: exe}
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return nil
	}
	return &Self{exe: exe}
}

// help makes this process the helper name, which talks to its starter over the
// socket fd. It returns the exit code.
func help(name string, fd int) int {
	if err := checkInherited(fd); err != nil {
		fmt.Fprintf(os.Stderr, "arbiter: %s is set, but descriptor %d is not the connection to who set it: %v (unset it)\n", envHelper, fd, err)
		return exitNoHelper
	}
	unix.CloseOnExec(fd)
	switch name {
	case helperStarter:
		return runStarter(os.NewFile(uintptr(fd), "order"))
	case helperGuard:
		return runGuard(fd)
	}
	fmt.Fprintf(os.Stderr, "arbiter: %s names no helper: %q (unset it)\n", envHelper, name)
	return exitNoHelper
}
