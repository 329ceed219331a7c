package arbiter

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Spawn starts an actor of kind and returns when it is ready, or why it is not.
// The default place is a goroutine of this process; actor.Process gives it a
// process of its own. The actor's life is its own, not that of ctx, which only
// bounds the start. For a program, see SpawnProgram.
func (a *Arbiter) Spawn(ctx context.Context, kind actor.Behaviour, options ...actor.SpawnOption) (actor.Ref, error) {
	known, err := a.learn(kind)
	if err != nil {
		return actor.Ref{}, err
	}
	args, plain := known.plain, len(options) == 0 && a.options.OnSpawn == nil
	if !plain {
		args = &actor.SpawnArgs{Kind: args.Kind}
	}
	for _, o := range options {
		o(args)
	}
	if s, ok := cell.ScopeOf(ctx); ok && s.Turn != nil {
		ctx, cancel := a.toStart(ctx, args)
		defer cancel()
		return actor.SpawnActor.Call(a.Context(ctx), actor.Arbiter, *args) // a handler gives up its turn while it waits, where it can
	}
	if err := ctx.Err(); err != nil {
		return actor.Ref{}, actor.Told(cell.ContextError(err, a.self.aid, "spawn").NotStarted(), a.self.aid, "spawn")
	}
	var ref actor.Ref
	if plain { // nothing in it is to be checked, or written to: others have it as well
		ref, err = a.spawnAs(ctx, a.self, known.spec, args)
	} else {
		ref, err = a.spawn(ctx, a.self, args)
	}
	if err != nil {
		failed := wire.AsError(err, wire.CodeApp)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			failed = cell.ContextError(err, a.self.aid, "spawn")
		}
		return actor.Ref{}, actor.Told(failed, a.self.aid, "spawn")
	}
	return ref, nil
}

// SpawnProgram starts a program of any kind and language as an actor: see
// actor.Exec, and actor.Silent for one that does not know of it.
func (a *Arbiter) SpawnProgram(ctx context.Context, program string, args []string, options ...actor.SpawnOption) (actor.Ref, error) {
	var spawn actor.SpawnArgs
	actor.Exec(program, args...)(&spawn)
	for _, o := range options {
		o(&spawn)
	}
	ctx, cancel := a.toStart(ctx, &spawn)
	defer cancel()
	return actor.SpawnActor.Call(a.Context(ctx), actor.Arbiter, spawn)
}

// toStart returns ctx for a call that waits for the start of what args say.
func (a *Arbiter) toStart(ctx context.Context, args *actor.SpawnArgs) (context.Context, context.CancelFunc) {
	return cell.ToStart(ctx, cmp.Or(args.StartTimeout, a.options.StartTimeout))
}

// Pool starts a pool of actors of kind: see actor.PoolArgs, of which Worker.Kind is
// set here. For a pool of programs kind is nil.
func (a *Arbiter) Pool(ctx context.Context, kind actor.Behaviour, args actor.PoolArgs) (actor.Ref, error) {
	if kind != nil {
		if _, err := a.learn(kind); err != nil {
			return actor.Ref{}, err
		}
		args.Worker.Kind = kind.KindName()
	}
	ctx, cancel := a.toStart(ctx, &args.Worker)
	defer cancel()
	return actor.SpawnPool.Call(a.Context(ctx), actor.Arbiter, args)
}

// spawn answers the command spawn, of parent's.
func (a *Arbiter) spawn(ctx context.Context, parent *incarnation, args *actor.SpawnArgs) (actor.Ref, error) {
	if failed := a.onSpawn(parent, args); failed != nil {
		return actor.Ref{}, failed
	}
	spec, failed := a.checkSpawn(args)
	if failed != nil {
		return actor.Ref{}, failed
	}
	a.dropLabel(parent, args)
	if failed := checkNames(args.Name, args.AID); failed != nil {
		return actor.Ref{}, failed
	}
	if failed := a.checkOwn(args.Name, args.AID); failed != nil {
		return actor.Ref{}, failed
	}
	return a.spawnAs(ctx, parent, spec, args)
}

// spawnAs spawns what was checked.
func (a *Arbiter) spawnAs(ctx context.Context, parent *incarnation, spec *cell.Spec, args *actor.SpawnArgs) (actor.Ref, error) {
	if args.GetOrCreate {
		if ref, err, found := a.existing(ctx, args); found {
			return ref, err
		}
	}
	settle, failed := parent.maySpawn(args, 1, 0)
	if failed != nil {
		return actor.Ref{}, failed
	}
	var i *incarnation
	if args.Restart != nil {
		i, failed = a.supervised(spec, args, parent)
	} else {
		i = a.incarnate(spec, args, parent, args.Name)
		failed = a.enlist(i)
	}
	settle()
	if failed != nil {
		if failed.Code == wire.CodeExists && args.GetOrCreate {
			if ref, err, found := a.existing(ctx, args); found {
				return ref, err
			}
		}
		return actor.Ref{}, a.takenBy(failed, args.Name, args.AID)
	}
	over := func() {}
	if parent != a.self {
		over, _ = a.waitFor(ctx, i) // it waits for nobody before it begins
	}
	i.begin()
	err := a.awaitReady(ctx, i)
	over()
	if i.slot != nil {
		i.slot.row.tried(i)
	}
	return i.ref(), err
}

// existing returns the actor that is to be had instead of a new one.
func (a *Arbiter) existing(ctx context.Context, args *actor.SpawnArgs) (ref actor.Ref, err error, found bool) {
	if args.Name == "" {
		return ref, invalid("get-or-create goes by the name: give one"), true
	}
	for {
		i := a.registry.get(args.Name)
		if i == nil {
			return ref, nil, false
		}
		if i.kind() != args.Kind {
			e := wire.Errorf(wire.CodeExists, "%q is a living actor of the kind %q, not %q", args.Name, i.kind(), args.Kind).NotStarted()
			return ref, e, true
		}
		ending := i.isEnding()
		if !ending && i.readyNow() {
			return i.ref(), i.startError(), true
		}
		var over func()
		var failed *wire.Error
		done := i.ready.until()
		if ending { // who follows it, if anybody does, is who was asked for
			done = i.ended.until()
			over, failed = a.waitForEnd(ctx, i)
		} else {
			over, failed = a.waitFor(ctx, i)
		}
		if failed != nil {
			return ref, failed, true
		}
		select {
		case <-done:
			over()
		case <-ctx.Done(): // it is somebody else's: who gives up here leaves it alone
			over()
			return ref, ctx.Err(), true
		}
		if !ending {
			return i.ref(), i.startError(), true
		}
	}
}

// spawner returns who asked for a spawn: the arbiter itself, where that is no actor.
// One that has ended meanwhile spawns nothing: no quota would hold for it.
func (a *Arbiter) spawner(ctx context.Context) (*incarnation, *wire.Error) {
	from, ok := actor.Caller(ctx)
	if !ok {
		return a.self, nil
	}
	if i := a.registry.get(from.AID); i != nil {
		return i, nil
	}
	return nil, wire.Errorf(wire.CodeClosed, "its spawner %q has ended", from.AID).NotStarted()
}

// awaitReady waits until i runs. What is not ready in time is killed.
func (a *Arbiter) awaitReady(ctx context.Context, i *incarnation) error {
	if i.readyNow() {
		return i.startError()
	}
	select {
	case <-i.ready.until():
	case <-ctx.Done():
		// Somebody else may wait for an actor that is there by name.
		if i.slot == nil && (i.args == nil || !i.args.GetOrCreate) {
			i.kill(&wire.Death{Cause: wire.CauseStart, Reason: "its spawner gave up before it was ready"})
		}
		return ctx.Err()
	}
	return i.startError()
}

// startError is why i, which was ready or has ended, never was ready. An end that
// came after it was ready is no failed start, however soon it came.
func (i *incarnation) startError() error {
	i.mu.Lock()
	d, ready := i.death, i.lived
	i.mu.Unlock()
	if d == nil || ready {
		return nil
	}
	c := *d
	return &wire.Error{Code: wire.CodeDown, Started: wire.StartedYes, Target: i.label(), Command: "spawn", Message: "it " + c.String(), Death: &c}
}

// incarnate makes the life of a new actor, which nobody finds yet and which has not
// begun. Messages to it wait from now on.
func (a *Arbiter) incarnate(spec *cell.Spec, args *actor.SpawnArgs, parent *incarnation, name string) *incarnation {
	aid := args.AID
	if aid == "" {
		aid = a.newAID(args.Kind)
	}
	i := &incarnation{
		arb: a, aid: aid, name: name, spec: spec, args: args,
		parent: parent, depth: parent.depth + 1, part: a.ledger.local.choose(),
		embryo: &embryo{},
	}
	switch {
	case args.In == "process":
		i.place = inProcess
	case args.In == "exec":
		i.place = inProgram
	case args.In == inPulsar:
		i.place, i.pulsar = inProgram, true
	}
	i.state.Store(int32(cell.Initial))
	if i.place == inProgram && args.Silent {
		i.spec = silentProgram(i)
	}
	if i.place == inGoroutine || args.Silent {
		i.cell = cell.New(i.spec, i, a.self.cell.Base(), i.aid, i.name, a.log)
		i.cell.Prepare(cell.Birth{Budget: args.Budget, Grace: args.Grace, Config: maps.Clone(args.Extra)})
		i.local.Owner = i
	} else {
		i.embryo.connect(i)
	}
	if i.spec != nil {
		i.mode.Store(uint32(i.spec.Mode))
	}
	if i.place == inGoroutine && args.StartTimeout == 0 && !args.GetOrCreate {
		i.args = nil // there is nothing in it that will be needed, and there may be a million
	}
	return i
}

// startTimeout is how long i may take to be ready.
func (i *incarnation) startTimeout() time.Duration {
	if i.args != nil && i.args.StartTimeout > 0 {
		return i.args.StartTimeout
	}
	return i.arb.options.StartTimeout
}

// Expired tells a cell that nobody waits for a request any longer: its time is up.
func (i *incarnation) Expired(id uint64, n peer.Note) {
	if l, ok := n.Caller.(*link); ok {
		i.cell.Cancel(l.from.conn, id)
		return
	}
	i.cell.Cancel(nil, id)
}
