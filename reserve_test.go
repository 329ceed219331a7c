package arbiter_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// TestSlowSpawns: who has the arbiter wait for more starts than it works on at a time
// shuts out nobody who wants to see what goes on, or to end it.
func TestSlowSpawns(t *testing.T) {
	release := make(chan struct{})
	slow := &actor.Kind[actor.None]{Name: "slowborn", New: func(ctx context.Context) (actor.None, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return actor.None{}, nil
	}}
	many := actor.NewCommand[int, actor.None]("many")
	storm := &actor.Kind[actor.None]{Name: "storm", Handlers: []actor.Handler[actor.None]{
		actor.On(many, func(_ actor.None, ctx context.Context, n int) error {
			self, _ := actor.Current(ctx)
			for range n {
				actor.SpawnActor.Start(self.Context(), actor.Arbiter, actor.SpawnArgs{Kind: "slowborn"})
			}
			return nil
		}),
	}}
	const spawns = 2000
	w := quietWorld(t, func(o *arbiter.Options) {
		o.Kinds = append(o.Kinds, slow, storm)
		o.Quotas.PerSecond = -1
		o.Logger = slog.New(slog.DiscardHandler) // thousands end
	})
	defer close(release)
	of := w.spawn(storm, actor.Name("storm"))
	idle := w.spawn(Subject, actor.Name("idle"))
	if _, err := w.arb.Pool(w.ctx, Victim, actor.PoolArgs{Name: "web", Workers: 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := many.Call(w.ctx, of, spawns); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	eventually(t, "more of them start than the arbiter has places", func() bool {
		list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
		starting := 0
		for _, i := range list {
			if i.Kind == "slowborn" {
				starting++
			}
		}
		return err != nil || starting >= 1000
	})
	ask := func(what string, f func() error) {
		began := time.Now()
		if err := f(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		t.Logf("%s took %v", what, time.Since(began).Round(time.Millisecond))
	}
	ask("ps", func() error {
		_, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
		return err
	})
	ask("inspect", func() error {
		_, err := actor.InspectActor.Call(ctx, actor.Arbiter, of)
		return err
	})
	ask("scale", func() error {
		_, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(2)})
		return err
	})
	ask("stop", func() error {
		_, err := actor.StopActor.Call(ctx, actor.Arbiter, idle)
		return err
	})
	ask("kill", func() error {
		_, err := actor.KillActor.Call(ctx, actor.Arbiter, of)
		return err
	})
}
