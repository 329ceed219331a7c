package arbiter_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// TestSpawnAtOnce: many may start actors of one kind at the same time.
func TestSpawnAtOnce(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		var all sync.WaitGroup
		refs := make(chan actor.Ref, 80)
		for range 8 {
			all.Go(func() {
				for range 10 {
					refs <- arb.Spawn(poolKind)
				}
			})
		}
		all.Wait()
		close(refs)
		seen := make(map[actor.Ref]bool)
		for ref := range refs {
			seen[ref] = true
		}
		if len(seen) != 80 {
			t.Errorf("%d of 80 actors", len(seen))
		}
	})
}

// TestOnSpawnPanics: the hook's panic refuses what was to be spawned, whoever asks, is logged with
// where it came from, and is the end of nobody.
func TestOnSpawnPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		arb, err := arbiter.Start(context.Background(), arbiter.Options{
			Kinds: []actor.Behaviour{poolKind}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			OnSpawn: func(_ actor.Ref, args *actor.SpawnArgs) error {
				if args.Name != "welcome" {
					panic("it knows " + args.Kind)
				}
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx := arb.Context(context.Background())
		_, direct := arb.Spawn(ctx, poolKind)
		_, asked := actor.Spawn(ctx, poolKind.Name)
		_, pool := arb.Pool(ctx, poolKind, actor.PoolArgs{Name: "pool"})
		for what, err := range map[string]error{"Arbiter.Spawn": direct, "the command spawn": asked, "a pool": pool} {
			var e *actor.Error
			if !errors.As(err, &e) || e.Code != actor.Refused || e.Started != actor.StartedNo || !strings.Contains(e.Message, "OnSpawn of the arbiter has panicked: it knows "+poolKind.Name) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if _, err := arb.Spawn(ctx, poolKind, actor.Name("welcome")); err != nil {
			t.Errorf("another: %v", err)
		}
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), `msg="panic in Options.OnSpawn"`); n != 3 || !strings.Contains(log.String(), `stack="github.com/arbiter-go/arbiter_test.TestOnSpawnPanics`) {
			t.Errorf("%d panics are logged:\n%s", n, log.String())
		}
	})
}
