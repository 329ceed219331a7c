package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// cgroups is where the cgroups of a family are made: under our own, one directory
// in each hierarchy that is of use, and in it one for each process.
//
//	/sys/fs/cgroup/system.slice/our.service/      our own
//	  arbiter-5f2c.../                            the family's
//	    1/  2/  3/                                one for each process
//	  arbiter-5f2c...-self/                       where we move to, version 2 only
//
// In a hybrid system the processes of a family are in both versions: version 2
// ends them, version 1 bounds their memory.
type cgroups struct {
	places  []*place
	noClone atomic.Bool // clone3 does not put processes into cgroups here
}

// place is the family's directory in one hierarchy.
type place struct {
	hierarchy
	dir     string
	self    string   // where we moved ourselves to, or ""
	enabled []string // the controllers we enabled for the children of our own cgroup
}

// usedControllers are those we bound processes with.
var usedControllers = []string{"memory", "pids"}

// openCgroups makes the directories of the family id. It returns nil if there are
// none, and in any case what is wanting, and why.
func openCgroups(id string) (*cgroups, []string) {
	found, err := hierarchies()
	if err != nil {
		return nil, []string{"no cgroups: " + err.Error()}
	}
	c := &cgroups{}
	var wanting []string
	for _, h := range found {
		p, err := openPlace(h, id)
		if err != nil {
			wanting = append(wanting, fmt.Sprintf("no cgroups in %s: %v%s", h.own, err, cgroupAdvice(err)))
			continue
		}
		c.places = append(c.places, p)
	}
	if len(c.places) == 0 {
		if len(wanting) == 0 {
			wanting = append(wanting, "no cgroups: this system has none mounted that are of use (version 2, or memory and pids of version 1)")
		}
		wanting = append(wanting, noMemoryBounds+" or of the number of processes, and nobody tells what ended for want of memory: there are no cgroups")
		return nil, wanting
	}
	if c.of("memory") == nil {
		wanting = append(wanting, noMemoryBounds+", and nobody tells what ended for want of it: "+c.missing("memory"))
	}
	if c.of("pids") == nil {
		wanting = append(wanting, "no bounds of the number of processes: "+c.missing("pids"))
	}
	return c, wanting
}

func (c *cgroups) missing(controller string) string {
	for _, p := range c.places {
		if p.v2 && slices.Contains(p.available(), controller) {
			return fmt.Sprintf("the controller %q cannot be enabled in %s, which holds other processes than this one", controller, p.own)
		}
	}
	return fmt.Sprintf("the controller %q is not given to our cgroup", controller)
}

func cgroupAdvice(err error) string {
	switch {
	case errors.Is(err, unix.EROFS):
		return " (a container has to be given its cgroup: --cgroupns=private with a writable /sys/fs/cgroup)"
	case errors.Is(err, fs.ErrPermission):
		return " (a service of systemd is given one with Delegate=yes; by hand: systemd-run --user --scope -p Delegate=yes)"
	}
	return ""
}

func openPlace(h hierarchy, id string) (*place, error) {
	p := &place{hierarchy: h, dir: filepath.Join(h.own, "arbiter-"+id)}
	if err := os.Mkdir(p.dir, 0o755); err != nil {
		return nil, pathCause(err)
	}
	if !h.v2 {
		// One in which processors are counted, too, may have none.
		if err := fromThreadIn([]string{filepath.Join(p.dir, "tasks")}, func() {}); err != nil {
			p.close()
			return nil, pathCause(err)
		}
	}
	if h.v2 {
		p.controllers = nil
		p.enable(id)
		// Is it one that processes can be put into? Not under one that is threaded.
		if kind, err := readString(filepath.Join(p.dir, "cgroup.type")); err == nil && kind != "domain" {
			p.close()
			return nil, fmt.Errorf("it would be of the type %q", kind)
		}
	}
	return p, nil
}

// available returns which of the controllers we use are given to our own cgroup.
func (p *place) available() (names []string) {
	text, _ := readString(filepath.Join(p.own, "cgroup.controllers"))
	for name := range strings.FieldsSeq(text) {
		if slices.Contains(usedControllers, name) {
			names = append(names, name)
		}
	}
	return names
}

// enable makes the controllers of version 2 work in the cgroups of the processes.
// For that no process may be in our own cgroup (cgroups(7), no internal processes):
// if we are alone in it, we step aside.
func (p *place) enable(id string) {
	own := filepath.Join(p.own, "cgroup.subtree_control")
	on, _ := readString(own)
	for _, name := range p.available() {
		if !slices.Contains(strings.Fields(on), name) {
			err := setFile(own, "+"+name)
			if errors.Is(err, unix.EBUSY) && p.self == "" && p.stepAside(id) {
				err = setFile(own, "+"+name)
			}
			if err != nil {
				continue
			}
			p.enabled = append(p.enabled, name)
		}
		if setFile(filepath.Join(p.dir, "cgroup.subtree_control"), "+"+name) == nil {
			p.controllers = append(p.controllers, name)
		}
	}
	if len(p.enabled) == 0 {
		p.stepBack()
	}
}

// stepAside moves this process to a cgroup beside those of its processes, if
// nobody else is where it is.
func (p *place) stepAside(id string) bool {
	members, err := readPIDs(filepath.Join(p.own, "cgroup.procs"))
	if err != nil || !slices.Equal(members, []int{os.Getpid()}) {
		return false
	}
	self := filepath.Join(p.own, "arbiter-"+id+"-self")
	if os.Mkdir(self, 0o755) != nil {
		return false
	}
	if setFile(filepath.Join(self, "cgroup.procs"), "0") != nil {
		_ = os.Remove(self)
		return false
	}
	p.self = self
	return true
}

// stepBack undoes stepAside and what it was for.
func (p *place) stepBack() {
	for _, name := range p.enabled {
		_ = setFile(filepath.Join(p.own, "cgroup.subtree_control"), "-"+name)
	}
	p.enabled = nil
	if p.self == "" {
		return
	}
	members, _ := readPIDs(filepath.Join(p.self, "cgroup.procs"))
	for _, pid := range members {
		_ = setFile(filepath.Join(p.own, "cgroup.procs"), fmt.Sprint(pid))
	}
	if os.Remove(p.self) == nil {
		p.self = ""
	}
}

// close removes the directory, with all that is empty below, and reports whether
// that was possible.
func (p *place) close() bool {
	if !removeCgroup(p.dir) {
		return false
	}
	p.stepBack()
	return true
}

// close removes the family's directories, in which everything must be ending. It
// returns those that are left.
func (c *cgroups) close() (left []string) {
	if c == nil {
		return nil
	}
	for _, p := range c.places {
		const last = 256 * time.Millisecond // what was just killed takes a moment to leave
		wait := time.Millisecond
		for !p.close() && wait <= last {
			time.Sleep(wait)
			wait *= 2
		}
		if wait > last {
			left = append(left, p.dir)
		}
	}
	return left
}

// of returns the place that has controller, or nil.
func (c *cgroups) of(controller string) *place {
	for _, p := range c.places {
		if slices.Contains(p.controllers, controller) {
			return p
		}
	}
	return nil
}

// dirs returns the family's directories, for who ends what is in them.
func (c *cgroups) dirs() (dirs []string) {
	if c == nil {
		return nil
	}
	for _, p := range c.places {
		dirs = append(dirs, p.dir)
	}
	return dirs
}

// pathCause returns the system's word for what happened to a path, without the path.
func pathCause(err error) error {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
