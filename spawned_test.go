package arbiter_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
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

// TestRecycleThatWouldNot: bounds that nobody could reach, or keep to, are refused.
func TestRecycleThatWouldNot(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		for want, r := range map[string]actor.Recycle{
			"jitter is NaN":  {Messages: 100, Jitter: math.NaN()},
			"jitter is +Inf": {Messages: 100, Jitter: math.Inf(1)},
			"memory is -1":   {Memory: -1},
			"recycle.memory: goroutines have no memory of their own": {Memory: 1 << 30},
		} {
			if _, err := a.Pool(a.Context(), poolKind, actor.PoolArgs{Name: "pool", Recycle: r}); !errors.Is(err, actor.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want something with %q", r, err, want)
			}
		}
		if _, err := a.Pool(a.Context(), poolKind, actor.PoolArgs{Name: "pool", Recycle: actor.Recycle{Messages: 100, Jitter: math.Inf(-1)}}); err != nil {
			t.Errorf("without jitter: %v", err)
		}
	})
}

// TestExtraThatWouldBeLost: settings that an actor would not have are refused, with which and how
// many; a goroutine may have what never leaves the process.
func TestExtraThatWouldBeLost(t *testing.T) {
	many := make(map[string]any)
	for n := range 1025 {
		many[strings.Repeat("n", n)] = n
	}
	large := map[string]any{"x": strings.Repeat("x", 70000)}
	held := map[string]any{"fine": 1, "odd": func() {}}
	pair := map[string]any{"pair": map[[2]int]int{{1, 2}: 3}}
	spawns := map[string]func(ctx context.Context, a *arbiter.Arbiter, extra map[string]any) error{
		"process": func(ctx context.Context, a *arbiter.Arbiter, extra map[string]any) error {
			_, err := a.Spawn(ctx, poolKind, actor.Process(), actor.Extra(extra))
			return err
		},
		"program": func(ctx context.Context, a *arbiter.Arbiter, extra map[string]any) error {
			_, err := a.SpawnProgram(ctx, "true", nil, actor.Extra(extra))
			return err
		},
		"pool": func(ctx context.Context, a *arbiter.Arbiter, extra map[string]any) error {
			_, err := a.Pool(ctx, poolKind, actor.PoolArgs{Name: "pool", Worker: actor.SpawnArgs{In: "process", Extra: extra}})
			return err
		},
		"goroutine": func(ctx context.Context, a *arbiter.Arbiter, extra map[string]any) error {
			_, err := a.Spawn(ctx, poolKind, actor.Extra(extra))
			return err
		},
	}
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, err := arbiter.Start(context.Background(), arbiter.Options{Kinds: []actor.Behaviour{poolKind}, Logger: quiet, Strict: strict})
			if err != nil {
				t.Fatal(err)
			}
			ctx := a.Context(context.Background())
			for place, spawn := range spawns {
				for _, c := range []struct {
					extra map[string]any
					code  *actor.Error
					says  string
				}{
					{many, actor.ErrInvalid, "extra has 1025 settings, and an actor holds 1024"},
					{large, actor.ErrInvalid, "extra takes 70008 bytes, and may take 61440"},
					{held, actor.ErrNotEncodable, `["odd"]: func() has no image`},
					{pair, actor.ErrNotEncodable, "map"},
				} {
					err := spawn(ctx, a, c.extra)
					if place == "goroutine" && !strict && len(c.extra) < 1025 {
						if err != nil {
							t.Errorf("%s: %v", place, err)
						}
						continue
					}
					var e *actor.Error
					if !errors.Is(err, c.code) && !(strict && errors.Is(err, actor.ErrInvalid)) || !errors.As(err, &e) || e.Started != actor.StartedNo || !strings.Contains(err.Error(), c.says) {
						t.Errorf("%s, strict %v: %v, want something with %q", place, strict, err, c.says)
					}
				}
			}
			if err := a.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}
