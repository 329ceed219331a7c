package proc

import (
	"slices"
	"strconv"
	"sync"
	"time"
)

// entry is one process, as the system lists them.
type entry struct {
	pid, parent, group, session int
	start                       uint64 // when it was started, in the system's own unit: with pid it names a process for ever
	zombie                      bool
	headless                    bool // it lives, but not its first thread
}

// hunt ends everything of a family.
type hunt struct {
	instance string         // see EnvInstance
	dirs     []string       // of its cgroups
	roots    map[int]uint64 // its processes: pid to start; each leads its group
	spare    []int          // who is to be left alone
	until    uint64         // members of the groups of roots that have ended began no later
	deadline time.Time      // when to give up
}

const (
	// quietGuard is how long nothing must have been found after the death of the
	// arbiter: a process that it was just starting may not have its mark yet.
	quietGuard = 300 * time.Millisecond
	// quietClose is the same for a family that is closed in good order.
	quietClose = 0

	huntPause = 10 * time.Millisecond
)

// run ends all it finds, again and again, until it has found nothing for as long as
// quiet, or until the deadline. It returns what is left.
func (h *hunt) run(quiet time.Duration) (left []string) {
	quietSince := time.Now()
	for {
		_ = killCgroups(h.dirs)
		all, err := processes()
		if err != nil {
			return nil // nobody lists processes here: groups are all there is
		}
		found := doomed(all, h)
		for _, e := range found {
			endProcess(e)
		}
		now := time.Now()
		switch {
		case len(found) > 0:
			quietSince = now
		case now.Sub(quietSince) >= quiet:
			return nil
		}
		if now.After(h.deadline) {
			for _, e := range found {
				left = append(left, strconv.Itoa(e.pid))
			}
			return left
		}
		time.Sleep(huntPause)
	}
}

// doomed returns those of all that h is for and that are not dead already.
func doomed(all []entry, h *hunt) (found []entry) {
	there := make(map[int]bool, len(all))
	for _, e := range all {
		there[e.pid] = true
	}
	ours := make(map[int]bool)
	for _, e := range all {
		if !slices.Contains(h.spare, e.pid) {
			ours[e.pid] = h.knows(e, there) || !e.zombie && h.instance != "" && hasInstance(e, h.instance)
		}
	}
	// Whose parent is ours is ours, and so is who is in a group or session that one
	// of ours leads: nobody else gets there.
	for changed := true; changed; {
		changed = false
		for _, e := range all {
			if !ours[e.pid] && (ours[e.parent] || ours[e.group] || ours[e.session]) && !slices.Contains(h.spare, e.pid) {
				ours[e.pid], changed = true, true
			}
		}
	}
	for _, e := range all {
		if ours[e.pid] && !e.zombie && e.pid > 1 {
			found = append(found, e)
		}
	}
	return found
}

// knows reports whether e is a root, or in the group or session of one that has
// ended. The number of a group is not given to another as long as somebody is in
// it, but may be as soon as nobody is: who was started later than the hunt began is
// no sure member.
func (h *hunt) knows(e entry, there map[int]bool) bool {
	if start, ok := h.roots[e.pid]; ok && start == e.start {
		return true
	}
	for _, leader := range []int{e.group, e.session} {
		start, ok := h.roots[leader]
		if ok && !there[leader] && e.start >= start && e.start <= h.until {
			return true
		}
	}
	return false
}

// listing is the processes there were when they were looked at last. When many end at once
// they look at them together: there may be thousands to be read of.
type listing struct {
	mu    sync.Mutex // guards what follows; held by who looks
	began time.Time
	all   []entry
}

// since returns what was begun to be looked at no earlier than t, which is now at the
// latest.
func (l *listing) since(t time.Time) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began.Before(t) {
		l.began = time.Now()
		l.all, _ = processes()
	}
	return l.all
}
