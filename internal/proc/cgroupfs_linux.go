package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// hierarchy is one tree of cgroups, and our place in it. See cgroups(7).
type hierarchy struct {
	own         string // the directory of the cgroup we are in
	v2          bool
	controllers []string // of those we use; of version 2 those that are enabled
}

// hierarchies returns those that can be of use to us: version 2, and of version 1
// those of the controllers we use.
func hierarchies() ([]hierarchy, error) {
	mounts, err := readString("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	ours, err := readString("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(parseHierarchies(mounts, ours), func(h hierarchy) bool {
		// A container may be shown another's directory: it is ours if we are in it.
		members, err := readPIDs(filepath.Join(h.own, "cgroup.procs"))
		return err != nil || !slices.Contains(members, os.Getpid())
	}), nil
}

// parseHierarchies finds our cgroups from what proc(5) says of the mounts and of our
// place in each hierarchy.
//
//	31 23 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
//	4:memory:/user.slice
//	0::/user.slice/session.scope
func parseHierarchies(mountinfo, cgroup string) (found []hierarchy) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		mount, source := strings.Fields(before), strings.Fields(after)
		if !ok || len(mount) < 5 || len(source) < 3 {
			continue
		}
		root, point, options := unescape(mount[3]), unescape(mount[4]), strings.Split(source[2], ",")
		h := hierarchy{v2: source[0] == "cgroup2"}
		if !h.v2 {
			for _, name := range usedControllers {
				if source[0] == "cgroup" && slices.Contains(options, name) {
					h.controllers = append(h.controllers, name)
				}
			}
			if h.controllers == nil {
				continue
			}
		}
		path, ok := ownPath(cgroup, h)
		if !ok {
			continue
		}
		// What is mounted may be a part of the hierarchy only.
		rest, within := strings.CutPrefix(path+"/", strings.TrimSuffix(root, "/")+"/")
		if !within || strings.HasPrefix(path, "/..") {
			continue
		}
		h.own = filepath.Join(point, rest)
		if !slices.ContainsFunc(found, func(f hierarchy) bool { // mounted twice
			return f.v2 == h.v2 && slices.Equal(f.controllers, h.controllers)
		}) {
			found = append(found, h)
		}
	}
	return found
}

// ownPath returns our path in h, as /proc/self/cgroup has it.
func ownPath(cgroup string, h hierarchy) (string, bool) {
	for line := range strings.Lines(cgroup) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(f) != 3 {
			continue
		}
		if h.v2 && f[0] == "0" && f[1] == "" {
			return f[2], true
		}
		if !h.v2 && slices.Contains(strings.Split(f[1], ","), h.controllers[0]) {
			return f[2], true
		}
	}
	return "", false
}

// unescape undoes what mountinfo does to spaces: \040.
func unescape(path string) string {
	if !strings.Contains(path, `\`) {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// killCgroups ends every process in the cgroups dirs and below.
func killCgroups(dirs []string) error {
	// Version 2 does it at once, for forks under way, too. In a hybrid system what
	// is in a group of version 1 is in one of version 2 as well.
	var walk []string
	for _, dir := range dirs {
		if setFile(filepath.Join(dir, "cgroup.kill"), "1") == nil { // since Linux 5.14
			return nil
		}
		walk = append(walk, dir)
	}
	for _, dir := range walk {
		// Where it is counted nobody forks any more.
		eachCgroup(dir, func(dir string) { _ = setFile(filepath.Join(dir, "pids.max"), "0") })
	}
	var failed error
	for _, dir := range walk {
		eachCgroup(dir, func(dir string) { failed = errors.Join(failed, killMembers(dir)) })
	}
	return failed
}

// killMembers ends the processes of the cgroup dir, until there is none that was
// not sent its signal. It does not wait for their end.
func killMembers(dir string) error {
	const rounds = 100 // of somebody who forks quicker than we look
	sent := make(map[int]bool)
	for range rounds {
		pids, err := readPIDs(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
				return nil
			}
			return err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return sent[pid] || pid == os.Getpid() })
		if len(pids) == 0 {
			return nil
		}
		if err := killListed(dir, pids, sent); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: its processes fork quicker than they are ended", dir)
}

// killListed ends those of pids that are in the cgroup dir, and notes whom it has
// looked at.
func killListed(dir string, pids []int, sent map[int]bool) (failed error) {
	handles := make(map[int]int, len(pids))
	defer func() {
		for _, fd := range handles {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	}()
	for _, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
			break // the others in the next round
		}
		sent[pid] = true
		switch {
		case err == nil:
			handles[pid] = fd
		case !errors.Is(err, unix.ESRCH):
			handles[pid] = -1 // before Linux 5.3, or where a container forbids it
		}
	}
	// Of those still listed the handle is certainly theirs.
	still, _ := readPIDs(filepath.Join(dir, "cgroup.procs"))
	for pid, fd := range handles {
		if !slices.Contains(still, pid) {
			continue
		}
		err := error(unix.ENOSYS)
		if fd >= 0 {
			err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			err = unix.Kill(pid, unix.SIGKILL) // a moment ago it was there
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			failed = errors.Join(failed, fmt.Errorf("process %d in %s: %w", pid, dir, err))
		}
	}
	return failed
}

// eachCgroup calls do for dir and every cgroup below, those below first.
func eachCgroup(dir string, do func(dir string)) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			eachCgroup(filepath.Join(dir, e.Name()), do)
		}
	}
	do(dir)
}

// removeCgroup removes dir and what is below, and reports whether it is gone.
func removeCgroup(dir string) bool {
	if err := unix.Rmdir(dir); err == nil || errors.Is(err, unix.ENOENT) {
		return true
	}
	gone := true
	eachCgroup(dir, func(dir string) {
		err := unix.Rmdir(dir)
		gone = gone && (err == nil || errors.Is(err, unix.ENOENT))
	})
	return gone
}

// fromThreadIn calls do in a thread that has entered the cgroups of version 1 whose
// tasks files are given, and that ends afterwards: what it starts is born in them. In
// version 1 every thread may be in a cgroup of its own. For a thread that moves
// itself the system stops nobody else, so that this takes some 0.1 ms; to move a
// process takes several times that, comes after the program began, and may be late
// for what that has started.
//
// The memory of this process is counted where its first thread is, whatever the
// others do.
func fromThreadIn(tasks []string, do func()) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: with this goroutine the thread ends
		if unix.Gettid() == unix.Getpid() {
			// That of the first thread would not. While this one has it, another gets
			// another.
			done <- fromThreadIn(tasks, do)
			runtime.UnlockOSThread()
			return
		}
		for _, file := range tasks {
			if err := setFile(file, "0"); err != nil {
				done <- fmt.Errorf("enter its cgroup: %w", err)
				return
			}
		}
		do()
		done <- nil
	}()
	return <-done
}

// setFile writes to a file of the system's, and makes none.
func setFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

func readString(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

func readPIDs(path string) (pids []int, err error) {
	text, err := readString(path)
	if err != nil {
		return nil, err
	}
	for field := range strings.FieldsSeq(text) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
