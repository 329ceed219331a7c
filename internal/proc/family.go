package proc

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// EnvInstance is set in the environment of every process of a family: the ids of
// the families it belongs to, the innermost last, with colons between. By it the
// guard finds descendants that have left their group and their session.
const EnvInstance = "ARBITER_INSTANCE"

// FamilyOptions are what NewFamily can be told. The zero value is usable.
type FamilyOptions struct {
	Logger *slog.Logger // where what is wanting is logged, once each; default: nowhere

	// Reap makes this process the parent of every descendant whose own parent has
	// ended (Linux: PR_SET_CHILD_SUBREAPER), and reaps those, from the first Start
	// on. As process 1 of a container it is their parent anyway, and without Reap
	// their remains stay. The children of os/exec and os.StartProcess are left to who
	// started them; those of syscall.ForkExec and of C code have 200 ms to be waited
	// for.
	Reap bool

	NoCgroups bool // make none
	NoGuard   bool // start none
}

// Family starts processes and answers for them: none of them, and of their
// descendants, is left once it is closed, or once this process has ended, however
// that came.
//
// What it can do depends on the system, the privileges and the container; Weak says
// what is wanting. On Linux:
//
//   - Each process has a cgroup where one can be made: of version 2, of version 1, or
//     of both in a hybrid system. Whatever is in it ends with the process.
//   - A guard, a process of its own, ends everything if this process is killed: by
//     cgroup, by process group, by descent, and by EnvInstance. Only who is in no
//     cgroup of the family and has left its group and its session and has lost its
//     parent and hides its environment escapes.
//   - Both are made with the first process: a family without one costs nothing.
//
// Elsewhere there are no cgroups. On macOS the guard finds by group and descent
// only, on other unix systems by group only, and on Windows there is no guard.
//
// If this process becomes another program (syscall.Exec) the guard acts, too.
//
// All methods may be called concurrently.
type Family struct {
	self    *Self
	options FamilyOptions
	id      string
	marker  string // the value of EnvInstance

	oomEvery time.Duration // see the constant

	opening sync.Once
	cgroups *cgroups // since opening; nil: there are none
	guard   *guard   // likewise
	reaper  *reaper  // likewise

	shown  listing        // for those that have left somebody behind
	starts sync.WaitGroup // those under way
	mu     sync.Mutex     // guards what follows
	closed bool
	next   int
	living map[*Process]struct{}
	weak   []string
}

// NewFamily returns a family without processes. self is what Hook returned; without
// one there is no guard, and nothing that takes a helper: see Spec.
func NewFamily(self *Self, o FamilyOptions) *Family {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	f := &Family{self: self, options: o, id: hex.EncodeToString(id[:]), oomEvery: oomEvery, living: make(map[*Process]struct{})}
	f.marker = f.id
	if outer := os.Getenv(EnvInstance); outer != "" {
		f.marker = outer + ":" + f.id
	}
	return f
}

// Instance is the family's random id.
func (f *Family) Instance() string { return f.id }

// errFamilyClosed is what Start returns once the family is closed.
var errFamilyClosed = errors.New("nothing is started any more: the family is closed")

// Start is as the function Start, for a process of the family. The first takes some
// milliseconds more: it begins what they have in common.
func (f *Family) Start(s Spec) (*Process, error) {
	if s.Socket != nil {
		defer s.Socket.Close()
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil, fmt.Errorf("cannot start %q: %w", s.Path, errFamilyClosed)
	}
	f.starts.Add(1)
	f.next++
	name := strconv.Itoa(f.next)
	f.mu.Unlock()
	defer f.starts.Done()

	f.opening.Do(f.open)
	if s.Env == nil {
		s.Env = os.Environ()
	}
	s.Env = setEnv(s.Env, EnvInstance, f.marker)
	m := &member{family: f}
	var wanting []string
	m.group, wanting = f.cgroups.newGroup(name, &s)
	f.lack(wanting...)
	p, err := startAs(&s, m)
	if err != nil {
		m.group.remove()
		return nil, err
	}
	return p, nil
}

// open makes what the processes of the family have in common.
func (f *Family) open() {
	if !f.options.NoCgroups {
		var wanting []string
		f.cgroups, wanting = openCgroups(f.id)
		f.lack(wanting...)
	}
	if f.options.Reap {
		var err error
		if f.reaper, err = newReaper(f.owns); err != nil {
			f.lack("orphans are not reaped: " + err.Error())
		}
	}
	if f.options.NoGuard {
		return
	}
	if f.self == nil {
		f.lack("no guard: descendants may survive if this process is killed (proc.Hook is not called at the top of main, or this is Windows)")
		return
	}
	f.guard = newGuard(f)
}

// lack takes note of what is wanting.
func (f *Family) lack(texts ...string) {
	const most = 64
	for _, text := range texts {
		f.mu.Lock()
		known := slices.Contains(f.weak, text) || len(f.weak) == most
		if !known {
			f.weak = append(f.weak, text)
		}
		f.mu.Unlock()
		if !known {
			f.options.Logger.Info("processes are kept less well here", "why", text)
		}
	}
}

// Weak says what of a Family's promises does not hold here, and why, for people. It
// is complete once a process was started.
func (f *Family) Weak() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.weak)
}

// What MemoryUnbounded knows texts of Weak by.
const (
	noMemoryBounds = "no bounds of memory"
	noBound        = "a process without its bound of "
	noCgroup       = "a process without a cgroup"
)

// MemoryUnbounded returns which of the texts of Weak says that a Spec's Memory is not in
// force, or "".
func MemoryUnbounded(weak []string) string {
	for _, text := range weak {
		if strings.Contains(text, noMemoryBounds) || strings.HasPrefix(text, noBound+"memory") || strings.HasPrefix(text, noCgroup) {
			return text
		}
	}
	return ""
}

// owns reports whether pid is a child of ours that is waited for.
func (f *Family) owns(pid int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.living {
		if p.PID() == pid {
			return true
		}
	}
	return false
}

// closeTime bounds Close.
const closeTime = 5 * time.Second

// Close ends every process of the family and all their descendants at once, waits
// until they have ended, for some 5 s at most, and lets the guard go. It returns an
// error that names what is left: processes the system does not end, because they
// wait for a device. From now on Start fails.
func (f *Family) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	f.mu.Unlock()
	f.starts.Wait()

	opened := true
	f.opening.Do(func() { opened = false })
	if !opened {
		return nil // nothing was ever started
	}
	deadline := time.Now().Add(closeTime)
	failed := f.killAll()
	hunt := f.hunt()
	hunt.deadline = deadline
	if left := hunt.run(quietClose); len(left) > 0 {
		failed = errors.Join(failed, fmt.Errorf("descendants that have not ended: %s", strings.Join(left, ", ")))
	}
	for _, dir := range f.cgroups.close() {
		failed = errors.Join(failed, fmt.Errorf("the cgroup %s cannot be removed", dir))
	}
	f.reaper.close()
	f.guard.close()
	return failed
}

// killAll ends the processes of the family itself and waits for that.
func (f *Family) killAll() (failed error) {
	f.mu.Lock()
	var living []*Process
	for p := range f.living {
		living = append(living, p)
	}
	f.mu.Unlock()
	for _, p := range living {
		failed = errors.Join(failed, p.Kill())
	}
	timer := time.NewTimer(closeTime)
	defer timer.Stop()
	for _, p := range living {
		select {
		case <-p.Exited():
		case <-timer.C:
			timer.Reset(0) // for the others
			failed = errors.Join(failed, fmt.Errorf("process %d, sent SIGKILL, has not ended", p.PID()))
		}
	}
	return failed
}

// hunt is for everything of the family but its guard.
func (f *Family) hunt() *hunt {
	h := &hunt{instance: f.id, dirs: f.cgroups.dirs(), spare: []int{os.Getpid()}}
	if f.guard != nil {
		h.spare = append(h.spare, f.guard.pid())
	}
	return h
}
