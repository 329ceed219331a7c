//go:build linux

package arbiter_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// TestQuotas: who spawns without end is refused by its quota, by name, and so are
// its children's children.
func TestQuotas(t *testing.T) {
	t.Parallel()
	spawn := actor.NewCommand[int, []string]("spawn bombs")
	bomb := &actor.Kind[actor.None]{Name: "bomb", Handlers: []actor.Handler[actor.None]{
		actor.Handle(spawn, func(_ actor.None, ctx context.Context, n int) (refusals []string, err error) {
			for range n {
				next, err := actor.Spawn(ctx, "bomb")
				if err != nil {
					if !errors.Is(err, actor.ErrRefused) {
						return nil, err
					}
					refusals = append(refusals, err.Error())
					continue
				}
				if n > 1 {
					continue
				}
				more, err := spawn.Call(ctx, next, 1) // one below the other
				if err != nil {
					return nil, err
				}
				refusals = append(refusals, more...)
			}
			return refusals, nil
		}),
	}}
	w := quietWorld(t, func(o *arbiter.Options) {
		o.Kinds = append(o.Kinds, bomb)
		o.Quotas = arbiter.Quotas{Children: 5, Depth: 4, PerSecond: 1000}
	})
	refusals, err := spawn.Call(w.ctx, w.spawn(bomb), 20)
	if err != nil || len(refusals) != 15 || !strings.Contains(refusals[0], "Quotas.Children") {
		t.Errorf("wide: %d refusals, %v: %.1q", len(refusals), err, refusals)
	}
	refusals, err = spawn.Call(w.ctx, w.spawn(bomb), 1)
	if err != nil || len(refusals) != 1 || !strings.Contains(refusals[0], "Quotas.Depth") {
		t.Errorf("deep: %v, %q", err, refusals)
	}
	list, err := actor.Ps.Call(w.ctx, actor.Arbiter, actor.None{})
	if err != nil || len(list) != 1+1+5+4 {
		t.Errorf("%d actors, %v", len(list), err)
	}
}

// spawner is a kind that does as it is told in its own name.
type spawner struct{}

var (
	spawnOne  = actor.NewCommand[actor.SpawnArgs, actor.Ref]("spawn one")
	spawnPool = actor.NewCommand[actor.PoolArgs, actor.Ref]("spawn a pool")
	Spawner   = &actor.Kind[spawner]{Name: "spawner", Handlers: []actor.Handler[spawner]{
		actor.Handle(spawnOne, func(_ spawner, ctx context.Context, args actor.SpawnArgs) (actor.Ref, error) {
			return actor.SpawnActor.Call(ctx, actor.Arbiter, args)
		}),
		actor.Handle(spawnPool, func(_ spawner, ctx context.Context, args actor.PoolArgs) (actor.Ref, error) {
			return actor.Pool(ctx, args)
		}),
	}}
)

// refusedBy fails t unless err is the refusal of that quota.
func refusedBy(t *testing.T, what, quota string, err error) {
	t.Helper()
	var e *actor.Error // of its handler's call
	if !errors.As(err, &e) || !(e.Code == actor.Refused || e.App == string(actor.Refused)) || !strings.Contains(err.Error(), "Quotas."+quota) {
		t.Errorf("%s: %v, want it refused by %s", what, err, quota)
	}
}

// TestQuotasOfPools: the workers of a pool are its spawner's children, from the first
// on and when there are more of them later, and are no more when they have ended.
func TestQuotasOfPools(t *testing.T) {
	t.Parallel()
	w := quietWorld(t, func(o *arbiter.Options) {
		o.Kinds = append(o.Kinds, Spawner)
		o.Quotas = arbiter.Quotas{Children: 6, Processes: 2}
	})
	of := w.spawn(Spawner)
	pool := func(name string, workers int, worker actor.SpawnArgs) error {
		_, err := spawnPool.Call(w.ctx, of, actor.PoolArgs{Name: name, Workers: workers, Worker: worker})
		return err
	}
	victim := actor.SpawnArgs{Kind: "victim"}
	sleeper := actor.SpawnArgs{Run: []string{"sleep", "600"}, Silent: true}
	refusedBy(t, "a pool of 6, and what it is kept by", "Children", pool("a", 6, victim))
	if err := pool("a", 3, victim); err != nil {
		t.Fatal(err)
	}
	refusedBy(t, "a second pool", "Children", pool("b", 2, victim))
	scale := func(n int) error {
		_, err := actor.ScalePool.Call(w.ctx, actor.Arbiter, actor.ScaleArgs{Pool: "a", Workers: new(n)})
		return err
	}
	if err := scale(5); err != nil {
		t.Error(err)
	}
	refusedBy(t, "one worker more", "Children", scale(6))
	if _, err := spawnOne.Call(w.ctx, of, victim); err == nil {
		t.Error("an actor beside a pool that used up the quota was spawned")
	}
	if err := scale(1); err != nil {
		t.Error(err)
	}
	refusedBy(t, "3 processes", "Processes", pool("b", 3, sleeper))
	if err := pool("b", 2, sleeper); err != nil {
		t.Error(err)
	}
	_, err := spawnOne.Call(w.ctx, of, sleeper)
	refusedBy(t, "a process beside a pool of them", "Processes", err)
	if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, actor.To("b")); err != nil {
		t.Fatal(err)
	}
	for n := range 2 { // all that pool b has taken is to be had again
		if _, err := spawnOne.Call(w.ctx, of, sleeper); err != nil {
			t.Errorf("process %d after the pool's end: %v", n, err)
		}
	}
	_, err = spawnOne.Call(w.ctx, of, sleeper)
	refusedBy(t, "a third process", "Processes", err)
}

// TestQuotasOfTheDead: what an actor had asked for when it ended is not taken to be
// asked for by the program, for which no quota holds.
func TestQuotasOfTheDead(t *testing.T) {
	t.Parallel()
	var begun atomic.Int64
	bomb := &actor.Kind[actor.None]{Name: "bomb", New: func(ctx context.Context) (actor.None, error) {
		if begun.Add(1) < 200 { // or the test would not end
			for range 2 {
				_ = actor.SpawnActor.Send(ctx, actor.Arbiter, actor.SpawnArgs{Kind: "bomb"})
			}
		}
		return actor.None{}, errors.New("gone")
	}}
	w := quietWorld(t, func(o *arbiter.Options) {
		o.Kinds = append(o.Kinds, bomb)
		o.Quotas = arbiter.Quotas{Depth: 3, Children: 5}
	})
	_, err := w.arb.Spawn(w.ctx, bomb)
	var down *actor.DownError
	if !errors.As(err, &down) || down.Cause != actor.CauseStart {
		t.Errorf("the bomb: %v", err)
	}
	// A request that is behind them all says that they are over.
	for deadline := time.Now().Add(20 * time.Second); ; {
		i, err := actor.GetInfo.Call(w.ctx, actor.Arbiter, actor.None{})
		if err != nil {
			t.Fatal(err)
		}
		if i.InFlight == 0 && i.Inbox == 0 && i.Handling == "" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the arbiter still is at %q", i.Handling)
		}
		<-time.After(time.Millisecond)
	}
	if n := begun.Load(); n > 15 { // 1 + 2 + 4 + 8
		t.Errorf("with a depth of 3, and two each, %d were started", n)
	}
}
