package arbiter

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Quotas bound what actors may spawn. They do not hold for the program the arbiter
// is in, but for Total. Of each, 0 is the default, and a negative number no bound.
type Quotas struct {
	Children  int // living actors spawned by one actor, with the workers of its pools; default 10,000
	Processes int // of these, in processes of their own; default 256
	Depth     int // how many spawners there are, one above the other; default 16
	PerSecond int // spawns by one actor in a second; default 1,000
	Total     int // living actors there are; default 2,000,000
}

func (q Quotas) withDefaults() Quotas {
	for _, f := range [...]struct {
		is      *int
		without int
	}{{&q.Children, 10_000}, {&q.Processes, 256}, {&q.Depth, 16}, {&q.PerSecond, 1000}, {&q.Total, 2_000_000}} {
		if *f.is == 0 {
			*f.is = f.without
		}
	}
	return q
}

// spawns is what one actor has spawned.
type spawns struct {
	children  atomic.Int64
	processes atomic.Int64

	mu    sync.Mutex // guards what follows
	left  float64    // of this second's
	since time.Time
	// allowed, and not among the above yet
	comingChildren, comingProcesses int
}

// spawns returns what i has spawned.
func (i *incarnation) spawns() *spawns {
	if s := i.spawned.Load(); s != nil {
		return s
	}
	i.spawned.CompareAndSwap(nil, new(spawns))
	return i.spawned.Load()
}

// takeLocked reports whether n more spawns are within perSecond.
func (s *spawns) takeLocked(n, perSecond int) bool {
	now := time.Now()
	if s.since.IsZero() {
		s.left = float64(perSecond)
	} else {
		s.left = min(s.left+now.Sub(s.since).Seconds()*float64(perSecond), float64(perSecond))
	}
	s.since = now
	if s.left < float64(n) {
		return false
	}
	s.left -= float64(n)
	return true
}

// census counts the living.
type census struct{ total atomic.Int64 }

// began counts i in.
func (c *census) began(i *incarnation) { c.count(i, 1) }

// ended counts i out.
func (c *census) ended(i *incarnation) { c.count(i, -1) }

func (c *census) count(i *incarnation, n int64) {
	c.total.Add(n)
	if by := i.spawner(); by != nil {
		by.spawns().children.Add(n)
		if i.inOwnProcess() {
			by.spawns().processes.Add(n)
		}
	}
}

// spawner is in whose quotas i counts: a pool's workers are its spawner's. It is nil
// for who joined.
func (i *incarnation) spawner() *incarnation {
	if i.parent != nil && i.parent.pool != nil {
		return i.parent.parent
	}
	return i.parent
}

func (i *incarnation) inOwnProcess() bool { return i.place == inProcess || i.place == inProgram }

// maySpawn refuses what is beyond the quotas: n actors as args describe, and more that
// are goroutines, by i. What is allowed is set aside until settle is called: when they are
// counted, or will not be. It may be called more than once.
func (i *incarnation) maySpawn(args *actor.SpawnArgs, n, more int) (settle func(), failed *wire.Error) {
	all := n + more
	q := i.arb.options.Quotas
	beyond := func(have, n, limit int) bool { return limit >= 0 && have+n > limit }
	refuse := func(format string, a ...any) (func(), *wire.Error) {
		return nil, wire.Errorf(wire.CodeRefused, format, a...).NotStarted()
	}
	if beyond(int(i.arb.counts.total.Load()), all, q.Total) {
		return refuse("the quota is used up: %d actors live, of %d (Quotas.Total)", i.arb.counts.total.Load(), q.Total)
	}
	if i.trusted() {
		return func() {}, nil
	}
	if q.Depth >= 0 && int(i.depth)+1 > q.Depth {
		return refuse("the quota is used up: %q was spawned by an actor that was spawned by an actor, and so on, %d deep (Quotas.Depth)", i.label(), q.Depth)
	}
	s := i.spawns()
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := int(s.children.Load()) + s.comingChildren; beyond(have, all, q.Children) {
		return refuse("the quota is used up: %q has %d children, of %d, and asks for %d more (Quotas.Children)", i.label(), have, q.Children, all)
	}
	process := args.In != "goroutine"
	if have := int(s.processes.Load()) + s.comingProcesses; process && beyond(have, n, q.Processes) {
		return refuse("the quota is used up: %q has %d children that are processes, of %d, and asks for %d more (Quotas.Processes)", i.label(), have, q.Processes, n)
	}
	if q.PerSecond >= 0 && !s.takeLocked(all, q.PerSecond) {
		return refuse("the quota is used up: %q spawns more than %d actors a second (Quotas.PerSecond)", i.label(), q.PerSecond)
	}
	processes := 0
	if process {
		processes = n
	}
	s.comingChildren, s.comingProcesses = s.comingChildren+all, s.comingProcesses+processes
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.comingChildren, s.comingProcesses = s.comingChildren-all, s.comingProcesses-processes
	}), nil
}

// trusted reports whether no quota holds for i: the arbiter itself, and what acts
// for it.
func (i *incarnation) trusted() bool { return i == i.arb.self }
