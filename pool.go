package arbiter

import (
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
	"github.com/arbiter-go/arbiter/supervise"
)

// pool is what a monitor, the actor a pool is, keeps: a row of workers.
type pool struct {
	// fixed
	row     row
	args    actor.PoolArgs
	spec    *cell.Spec // of a worker; nil: a program
	monitor *incarnation
	files   []*os.File // sockets each worker inherits
	seed    maphash.Seed

	members atomic.Pointer[[]*incarnation] // who gets messages, in the order of their slots
	turn    atomic.Uint32                  // who is looked at first
	rolling atomic.Bool                    // a worker is being recycled

	mu     sync.Mutex // guards what follows; one change of size at a time
	wanted int
	idle   time.Time // since when there has been nothing to do
	grown  time.Time // when it chose to grow last
}

// maxWorkers is how many workers a pool may have.
const maxWorkers = 4096

// spawnPool answers the command pool.
func (a *Arbiter) spawnPool(ctx context.Context, args actor.PoolArgs) (actor.Ref, error) {
	parent, failed := a.spawner(ctx)
	if failed != nil {
		return actor.Ref{}, failed
	}
	if failed := a.onSpawn(parent, &args.Worker); failed != nil {
		return actor.Ref{}, failed
	}
	spec, failed := a.checkPool(&args)
	if failed != nil {
		return actor.Ref{}, failed
	}
	settle, failed := parent.maySpawn(&args.Worker, args.Workers, 1)
	if failed != nil {
		return actor.Ref{}, failed
	}
	defer settle()
	p := &pool{args: args, spec: spec, seed: maphash.MakeSeed(), wanted: args.Workers}
	p.members.Store(new([]*incarnation))
	group, err := supervise.NewGroup(*args.Worker.Restart, nil)
	if err != nil {
		return actor.Ref{}, invalid("restart: %v", err)
	}
	p.row.arb, p.row.name, p.row.pool, p.row.group, p.row.leaving = a, args.Name, p, group, make(map[*incarnation]leaver)
	if err := p.bind(ctx); err != nil {
		return actor.Ref{}, err
	}
	monitorArgs := &actor.SpawnArgs{Kind: "pool", Name: args.Name}
	monitorSpec, err := p.kind().Spec()
	if err != nil {
		return actor.Ref{}, err
	}
	p.monitor = a.incarnate(monitorSpec, monitorArgs, parent, args.Name)
	p.monitor.pool = p
	for n := range args.Workers {
		p.row.add(n+1, p.slotName(n+1), spec, &args.Worker, p.monitor)
	}
	p.row.mu.Lock()
	p.regroup()
	p.row.mu.Unlock()
	if failed := a.enlistRow(&p.row); failed != nil {
		p.closeFiles()
		return actor.Ref{}, a.takenBy(failed, args.Name)
	}
	// After its row: who can stop it finds all its workers.
	if failed := a.enlist(p.monitor); failed != nil {
		p.ended()
		return actor.Ref{}, failed
	}
	settle()
	p.monitor.begin()
	all := p.row.living()
	over, _ := a.waitFor(ctx, all...) // they wait for nobody before they begin
	defer over()
	for _, i := range all {
		a.background(i.begin)
	}
	for _, i := range all {
		if i, err := a.awaitIn(ctx, i); err != nil {
			switch {
			case ctx.Err() != nil:
				p.abandon("its spawner gave up before its workers were ready")
			case i.asked.Load():
				p.abandon("it was stopped before its workers were ready")
			default:
				p.fail(ctx, &wire.Death{Cause: wire.CauseStart, Reason: "a worker could not start"})
			}
			return actor.Ref{}, err
		}
	}
	return p.monitor.ref(), nil
}

func (p *pool) slotName(index int) string { return fmt.Sprintf("%s/%d", p.args.Name, index) }

// checkPool refuses what cannot be a pool, and completes args.
func (a *Arbiter) checkPool(args *actor.PoolArgs) (*cell.Spec, *wire.Error) {
	if args.Name == "" {
		return nil, invalid("a pool needs a name")
	}
	if failed := checkNames(args.Name); failed != nil {
		return nil, failed
	}
	if failed := a.checkOwn(args.Name, ""); failed != nil {
		return nil, failed
	}
	if len(args.Name) > 56 {
		return nil, invalid("the name %q is too long for a pool: its workers' names are longer", args.Name)
	}
	w := &args.Worker
	w.Name, w.AID, w.GetOrCreate = "", "", false
	if w.Restart == nil {
		w.Restart = &supervise.Policy{}
	}
	if args.Max < 0 || args.Min < 0 || args.Workers < 0 {
		return nil, invalid("workers, min and max must not be negative")
	}
	if failed := cmp.Or(checkDuration("queueAge", args.QueueAge), checkDuration("recycle.age", args.Recycle.Age)); failed != nil {
		return nil, failed
	}
	if args.Min > 0 && args.Max == 0 {
		return nil, invalid("min is %d, and there is no max: say up to how many workers there may be, or workers=%d", args.Min, args.Min)
	}
	if args.Max > 0 {
		args.Min = max(args.Min, 1)
		if args.Min > args.Max {
			return nil, invalid("min is %d, and more than max, %d", args.Min, args.Max)
		}
		if args.Workers > args.Max || args.Workers > 0 && args.Workers < args.Min {
			return nil, invalid("workers is %d, and not from min to max, %d to %d", args.Workers, args.Min, args.Max)
		}
		args.Workers = cmp.Or(args.Workers, args.Min)
		args.QueueAge = cmp.Or(args.QueueAge, time.Second)
	}
	args.Workers = max(args.Workers, 1)
	if max(args.Workers, args.Max) > maxWorkers {
		return nil, invalid("a pool has at most %d workers", maxWorkers)
	}
	if r := args.Recycle; r.Memory < 0 || r.Jitter > 1 || math.IsNaN(r.Jitter) {
		return nil, invalid("recycle: memory is %d, and must not be negative; jitter is %v, and a number up to 1", r.Memory, r.Jitter)
	}
	if watched := args.Max > 0 || args.Recycle != (actor.Recycle{}); watched && w.Heartbeat == 0 {
		// No more seldom than without, or a silence would be found later.
		if every, _ := a.heartbeat(w); every >= leastBeat {
			w.Heartbeat = min(watchEvery(args), every)
		}
	}
	spec, failed := a.checkSpawn(w)
	if failed == nil && w.In == "goroutine" && len(args.Bind)+len(args.WorkerEnv) > 0 {
		failed = invalid("goroutines inherit no sockets and have no environment of their own: put the workers in processes")
	}
	if failed == nil && w.In == "goroutine" && args.Recycle.Memory > 0 {
		failed = invalid("recycle.memory: goroutines have no memory of their own that could be measured: put the workers in processes")
	}
	return spec, failed
}

// watchEvery is how often a pool looks whether it has the right size, and whether a
// worker has done enough, and how often workers elsewhere say what they are at: how
// long a message has waited is known from when it was looked at before.
func watchEvery(args *actor.PoolArgs) time.Duration {
	const least, most = 50 * time.Millisecond, time.Second
	if args.Max == 0 {
		return most
	}
	return min(max(args.QueueAge/2, least), most)
}

// kind is the behaviour of the monitor.
func (p *pool) kind() *actor.Kind[*pool] {
	k := &actor.Kind[*pool]{
		Name:  "pool",
		Doc:   "a pool of " + p.args.Worker.Kind,
		Mode:  actor.Concurrent(64),
		Grace: p.grace(),
		New:   func(context.Context) (*pool, error) { return p, nil },
		Stopping: func(p *pool, ctx context.Context) {
			p.shutDown(ctx)
		},
	}
	if p.args.Max > 0 || p.args.Recycle != (actor.Recycle{}) {
		k.Periodic = []actor.Task[*pool]{{Every: watchEvery(&p.args), Do: (*pool).watch}}
	}
	return k
}

// grace is how long all workers may take to stop.
func (p *pool) grace() time.Duration {
	grace := p.args.Worker.Grace
	if grace == 0 && p.spec != nil {
		grace = p.spec.Grace
	}
	return min(cmp.Or(grace, cell.DefaultGrace), longest) + time.Second
}

// shutDown ends the workers, each by its own grace.
func (p *pool) shutDown(ctx context.Context) {
	p.row.close()
	all := p.row.living()
	for _, i := range all {
		i.stop("its pool is stopping")
	}
	for _, i := range all {
		select {
		case <-i.ended.until():
		case <-ctx.Done():
			return // the monitor's end kills them
		}
	}
}

// abandon stops the pool before it is whole, and for no fault of its workers. Who is ready
// has its grace.
func (p *pool) abandon(reason string) {
	p.dropUnready(reason)
	p.monitor.stop(reason)
}

// fail ends the pool before it is whole, with d, since a worker could not start. Who is
// ready has its grace, which is waited for until ctx ends: then the name is free.
func (p *pool) fail(ctx context.Context, d *wire.Death) {
	p.dropUnready(d.Reason)
	began := p.row.arb.background(func() {
		limit, cancel := context.WithTimeout(context.Background(), p.grace())
		defer cancel()
		p.shutDown(limit)
		p.monitor.kill(d)
	})
	if !began {
		p.monitor.kill(d)
	}
	if until, ok := ctx.Deadline(); ok { // why it failed is told within the caller's time
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, until.Add(-failMargin))
		defer cancel()
	}
	select {
	case <-p.monitor.ended.until():
	case <-ctx.Done():
	}
}

// failMargin is how long before its caller's deadline a pool that has failed says why, though
// those of its workers that were ready have not ended yet.
const failMargin = 100 * time.Millisecond

// dropUnready ends who is not ready yet: it has nothing to finish, and may never be.
func (p *pool) dropUnready(reason string) {
	p.row.close()
	for _, i := range p.row.living() {
		if !i.wasReady() {
			i.kill(&wire.Death{Cause: wire.CauseStart, Reason: reason})
		}
	}
}

// ended is called when the monitor has ended, however that came: no worker is left.
func (p *pool) ended() {
	p.row.close()
	all := p.row.living()
	for _, i := range all {
		i.kill(&wire.Death{Cause: wire.CauseKilled, Reason: "its pool has ended"})
	}
	if !p.row.arb.isStopping() { // which waits for all at the same time
		awaitGone(all)
	}
	p.row.arb.forgetRow(&p.row)
	p.closeFiles()
}

// awaitGone waits for the ends of all, who were killed, and of their processes: until then their names,
// and the sockets they have inherited, are taken. What the system does not end keeps nobody for long.
func awaitGone(all []*incarnation) {
	soon, cancel := context.WithTimeout(context.Background(), exitingWait+burialWait)
	defer cancel()
	_ = awaitAll(soon, all)
	for _, i := range all {
		if p := i.process.Load(); p != nil {
			select {
			case <-p.Exited():
			case <-soon.Done():
			}
		}
	}
}

// regroup notes who gets messages now. row.mu is held.
func (p *pool) regroup() {
	list := make([]*incarnation, 0, len(p.row.slots))
	for _, s := range p.row.slots {
		if s.current != nil && !s.held && !s.current.gate.closed.Load() {
			list = append(list, s.current)
		}
	}
	p.members.Store(&list)
}

// scale answers the command scale.
func (a *Arbiter) scale(ctx context.Context, args actor.ScaleArgs) (int, error) {
	i := a.resolve([]byte(args.Pool))
	if i == nil {
		return 0, a.unknownActor(args.Pool)
	}
	if i.pool == nil {
		return 0, wire.Errorf(wire.CodeRefused, "%q is not a pool, so it has no number of workers", args.Pool).NotStarted()
	}
	return i.pool.scale(ctx, args, "asked to")
}

// scale gives the pool as many workers as args say: new ones in the lowest free slots,
// or the oldest fewer. It returns when they are ready, or have ended.
func (p *pool) scale(ctx context.Context, args actor.ScaleArgs, why string) (int, error) {
	if args.Workers == nil && args.Delta == 0 {
		return 0, invalid("scale %s to what? say workers=N, how many there are to be, or delta=N, how many more or fewer", p.args.Name)
	}
	p.mu.Lock()
	before := p.wanted
	n := before + args.Delta
	if args.Delta == 0 {
		n = *args.Workers
	}
	if n < 0 || n > maxWorkers {
		p.mu.Unlock()
		return 0, invalid("a pool has 0 to %d workers, not %d", maxWorkers, n)
	}
	p.wanted = n
	var fresh, leaving []*incarnation
	var failed *wire.Error
	if n > before {
		var settle func()
		if settle, failed = p.monitor.parent.maySpawn(&p.args.Worker, n-before, 0); failed == nil {
			fresh, failed = p.grow()
			settle()
		}
		if failed != nil {
			p.wanted = before
		}
	} else {
		leaving = p.shrink()
	}
	p.mu.Unlock()
	if failed != nil {
		return 0, failed
	}
	if n != before {
		p.row.arb.events.add(actor.Event{Type: "scaled", Actor: p.monitor.ref(), Kind: p.args.Worker.Kind, Text: fmt.Sprintf("from %d to %d workers: %s", before, n, why)})
	}
	over, failed := p.row.arb.waitFor(ctx, slices.Concat(fresh, leaving)...)
	if failed != nil {
		return 0, failed.With(wire.StartedYes)
	}
	defer over()
	for _, i := range fresh {
		if _, err := p.row.arb.awaitIn(ctx, i); err != nil {
			return 0, err
		}
	}
	for _, i := range leaving {
		select {
		case <-i.ended.until():
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return n, nil
}

// grow adds slots until there are as many as wanted. mu is held.
func (p *pool) grow() (fresh []*incarnation, failed *wire.Error) {
	for {
		p.row.mu.Lock()
		over, have := p.row.over, len(p.row.slots)
		free := 1
		for _, s := range p.row.slots {
			if s.index == free {
				free++
			}
		}
		if over {
			failed := p.row.overError()
			p.row.mu.Unlock()
			return fresh, failed
		}
		if have >= p.wanted {
			p.row.mu.Unlock()
			return fresh, nil
		}
		s := p.row.addLocked(free, p.slotName(free), p.spec, &p.args.Worker, p.monitor)
		i := s.current
		failed := p.row.arb.admit(i)
		waits := failed == nil && s.waitsFor() != nil // for who had the name, and was to leave
		switch {
		case failed != nil:
			p.row.removeLocked(s)
		case waits:
			s.due = time.Now() // armed by that end
		}
		p.regroup()
		p.row.mu.Unlock()
		if failed != nil {
			i.stillbornUnseen(failed)
			return fresh, failed
		}
		if !waits {
			p.row.arb.background(i.begin)
		}
		fresh = append(fresh, i)
	}
}

// shrink removes slots until there are as many as wanted: empty ones first, then
// those that wait, then the oldest. It returns who leaves. mu is held.
func (p *pool) shrink() (leaving []*incarnation) {
	r := &p.row
	r.mu.Lock()
	excess := len(r.slots) - p.wanted
	order := slices.Clone(r.slots)
	slices.SortStableFunc(order, func(a, b *slot) int { return a.rank().Compare(b.rank()) })
	var gone []*slot
	if excess > 0 {
		gone = order[:excess]
	}
	var before []*incarnation // had given way already: they are asked to stop, and end in their time
	for _, s := range gone {
		r.removeLocked(s)
		for i, l := range r.leaving {
			if l.from == s {
				before = append(before, i)
			}
		}
		for _, i := range [...]*incarnation{s.current, s.successor} {
			if i != nil {
				how := r.leaving[i] // or the others would wait no longer for one that fell with them
				how.from = s
				r.leaving[i] = how
				leaving = append(leaving, i)
			}
		}
	}
	p.regroup()
	r.mu.Unlock()
	for _, i := range leaving {
		r.arb.registry.handOver(i.name, i, nil)
		i.retire("its pool has shrunk")
	}
	return append(leaving, before...)
}

// rank orders slots by how well they can be done without. row.mu is held.
func (s *slot) rank() time.Time {
	if s.current == nil || !s.current.embryoless() {
		return time.Time{}
	}
	return s.current.born()
}
