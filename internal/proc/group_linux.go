package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// group is the cgroup of one process: a directory in each hierarchy. A nil group is
// that of a process that has none.
type group struct {
	cgroups *cgroups
	name    string
	v2      *os.File // its directory in version 2, or nil
}

// minMemory is what a bound of memory is at least. What the system needs to start a
// process counts, too.
const minMemory = 1 << 20

// newGroup makes a cgroup with the bounds of s. It returns what is wanting, too.
func (c *cgroups) newGroup(name string, s *Spec) (*group, []string) {
	if c == nil {
		return nil, nil
	}
	g := &group{cgroups: c, name: name}
	for _, p := range c.places {
		dir := filepath.Join(p.dir, name)
		err := os.Mkdir(dir, 0o755)
		if err == nil && p.v2 {
			g.v2, err = os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
		}
		if err != nil {
			g.remove()
			return nil, []string{fmt.Sprintf("%s: %v", noCgroup, err)}
		}
	}
	var wanting []string
	bound := func(controller string, value int64, v2, v1 string) {
		p := c.of(controller)
		if value <= 0 || p == nil {
			return // that it cannot be bounded was said when the family began
		}
		file := v1
		if p.v2 {
			file = v2
		}
		if err := setFile(filepath.Join(p.dir, name, file), fmt.Sprint(value)); err != nil {
			wanting = append(wanting, fmt.Sprintf(noBound+"%s: %v", controller, pathCause(err)))
		}
	}
	memory := s.Memory
	if memory > 0 {
		memory = max(memory, minMemory)
	}
	bound("memory", memory, "memory.max", "memory.limit_in_bytes")
	bound("pids", int64(s.Processes), "pids.max", "pids.max")
	if p := c.of("memory"); p != nil && memory > 0 {
		g.withSwap(p, memory)
	}
	return g, wanting
}

// withSwap makes the bound one of memory and swap together, where swap is counted,
// and one that ends the process together with its descendants. Neither is
// everywhere, and the bound holds without.
func (g *group) withSwap(p *place, memory int64) {
	dir := filepath.Join(p.dir, g.name)
	if p.v2 {
		_ = setFile(filepath.Join(dir, "memory.swap.max"), "0")
		_ = setFile(filepath.Join(dir, "memory.oom.group"), "1")
		return
	}
	_ = setFile(filepath.Join(dir, "memory.memsw.limit_in_bytes"), fmt.Sprint(memory))
}

// entrance returns the directory of version 2 that a process can be born in, and
// the files of version 1 by which the thread that starts it enters the others.
func (g *group) entrance() (born *os.File, tasks []string) {
	if g == nil {
		return nil, nil
	}
	for _, p := range g.cgroups.places {
		switch {
		case !p.v2:
			tasks = append(tasks, filepath.Join(p.dir, g.name, "tasks"))
		case !g.cgroups.noClone.Load():
			born = g.v2
		}
	}
	return born, tasks
}

// moved returns the files that a process writes itself into if it is not born in
// the group; nil if it never is.
func (g *group) moved() (join []string) {
	if g == nil || g.v2 == nil {
		return nil
	}
	for _, p := range g.cgroups.places {
		if p.v2 {
			join = append(join, filepath.Join(p.dir, g.name, "cgroup.procs"))
		}
	}
	return join
}

// pids returns its processes.
func (g *group) pids() (pids []int, ok bool) {
	if g == nil {
		return nil, false
	}
	pids, err := readPIDs(filepath.Join(g.cgroups.places[0].dir, g.name, "cgroup.procs"))
	return pids, err == nil
}

// kill ends every process of the group.
func (g *group) kill() error {
	if g == nil {
		return nil
	}
	var dirs []string
	for _, p := range g.cgroups.places {
		dirs = append(dirs, filepath.Join(p.dir, g.name))
	}
	return killCgroups(dirs)
}

// counts reports whether it has a cgroup of controller.
func (g *group) counts(controller string) bool { return g != nil && g.cgroups.of(controller) != nil }

// oomKills is how many of its processes the system has ended for want of memory.
func (g *group) oomKills() int {
	text, ok := g.read("memory", "memory.events", "memory.oom_control") // since Linux 4.13
	if !ok {
		return 0
	}
	var n int
	for line := range strings.Lines(text) {
		if count, ok := strings.CutPrefix(line, "oom_kill "); ok {
			_, _ = fmt.Sscan(count, &n)
		}
	}
	return n
}

// memory returns the bytes its processes use, with the cache of the files they
// have written and read.
func (g *group) memory() (bytes int64, ok bool) {
	text, ok := g.read("memory", "memory.current", "memory.usage_in_bytes")
	if !ok {
		return 0, false
	}
	_, err := fmt.Sscan(text, &bytes)
	return bytes, err == nil
}

// read reads a file of controller, which has a name in each version.
func (g *group) read(controller, v2, v1 string) (string, bool) {
	if g == nil {
		return "", false
	}
	p := g.cgroups.of(controller)
	if p == nil {
		return "", false
	}
	file := v1
	if p.v2 {
		file = v2
	}
	text, err := readString(filepath.Join(p.dir, g.name, file))
	return text, err == nil
}

// remove removes the group, in which everything must be ending. What is not gone in
// some 60 ms is left for the family's end.
func (g *group) remove() {
	if g == nil {
		return
	}
	if g.v2 != nil {
		g.v2.Close()
	}
	for _, p := range g.cgroups.places {
		dir := filepath.Join(p.dir, g.name)
		for wait := time.Millisecond; !removeCgroup(dir) && wait <= 32*time.Millisecond; wait *= 2 {
			time.Sleep(wait)
		}
	}
}
