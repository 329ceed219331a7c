package arbiter_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// lateKind is what takes so long to be ready.
func lateKind(after time.Duration) *actor.Kind[actor.None] {
	return &actor.Kind[actor.None]{Name: "late", Started: func(_ actor.None, ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(after):
			return nil
		}
	}}
}

// TestStartTimeoutHolds: whoever waits for a start is told why it has failed, or that it has not,
// however long it may take and by whatever way it was asked for. The deadline of ctx counts all the same.
func TestStartTimeoutHolds(t *testing.T) {
	const limit = 2 * time.Minute
	slow := actor.StartTimeout(limit)
	kind := func(a *actor.SpawnArgs) { a.In, a.Run, a.Kind = "", nil, "late" } // no program lives in virtual time
	ways := map[string]func(ctx context.Context, a *arbiter.Arbiter, late actor.Behaviour) error{
		"actor.Spawn": func(ctx context.Context, _ *arbiter.Arbiter, _ actor.Behaviour) error {
			_, err := actor.Spawn(ctx, "late", slow)
			return err
		},
		"actor.Pool": func(ctx context.Context, _ *arbiter.Arbiter, _ actor.Behaviour) error {
			_, err := actor.Pool(ctx, actor.PoolArgs{Name: "pool", Workers: 5, Worker: actor.SpawnArgs{Kind: "late", StartTimeout: limit}})
			return err
		},
		"Arbiter.Spawn": func(ctx context.Context, a *arbiter.Arbiter, late actor.Behaviour) error {
			_, err := a.Spawn(ctx, late, slow)
			return err
		},
		"Arbiter.Spawn, the arbiter's own timeout": func(ctx context.Context, a *arbiter.Arbiter, late actor.Behaviour) error {
			_, err := a.Spawn(ctx, late)
			return err
		},
		"Arbiter.SpawnProgram": func(ctx context.Context, a *arbiter.Arbiter, late actor.Behaviour) error {
			_, err := a.SpawnProgram(ctx, "late", nil, kind, slow)
			return err
		},
		"Arbiter.SpawnProgram, the arbiter's own timeout": func(ctx context.Context, a *arbiter.Arbiter, late actor.Behaviour) error {
			_, err := a.SpawnProgram(ctx, "late", nil, kind)
			return err
		},
		"Arbiter.Pool": func(ctx context.Context, a *arbiter.Arbiter, late actor.Behaviour) error {
			_, err := a.Pool(ctx, nil, actor.PoolArgs{Name: "pool", Worker: actor.SpawnArgs{Kind: "late", StartTimeout: limit}})
			return err
		},
		"Arbiter.Pool, the arbiter's own timeout": func(ctx context.Context, a *arbiter.Arbiter, late actor.Behaviour) error {
			_, err := a.Pool(ctx, nil, actor.PoolArgs{Name: "pool", Worker: actor.SpawnArgs{Kind: "late"}})
			return err
		},
		"Arbiter.Spawn in a timer": func(ctx context.Context, a *arbiter.Arbiter, late actor.Behaviour) error {
			failed := make(chan error, 1)
			_, err := a.Spawn(ctx, &actor.Kind[actor.None]{Name: "spawner", Started: func(_ actor.None, ctx context.Context) error {
				actor.After(ctx, time.Nanosecond, func(ctx context.Context) { _, err := a.Spawn(ctx, late); failed <- err })
				return nil
			}})
			return errors.Join(err, <-failed)
		},
	}
	for way, spawn := range ways {
		for _, takes := range []time.Duration{time.Hour, limit - time.Second} {
			t.Run(fmt.Sprint(way, ", ", takes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					late := lateKind(takes)
					o := arbiter.Options{Kinds: []actor.Behaviour{late}, Logger: quiet}
					if own := strings.HasSuffix(way, "own timeout") || strings.HasSuffix(way, "timer"); own {
						o.StartTimeout = limit
					}
					a, err := arbiter.Start(context.Background(), o)
					if err != nil {
						t.Fatal(err)
					}
					began := time.Now()
					err = spawn(a.Context(context.Background()), a, late)
					var down *actor.DownError
					switch passed := time.Since(began).Round(time.Second); {
					case takes < limit && (err != nil || passed != takes):
						t.Errorf("%v after %v", err, passed)
					case takes > limit && (!errors.As(err, &down) || down.Cause != actor.CauseStart || !strings.Contains(err.Error(), "not ready after 2m0s") || passed != limit):
						t.Errorf("%v after %v", err, passed)
					}
					if way != "Arbiter.Spawn in a timer" && takes > limit {
						ctx, cancel := context.WithTimeout(a.Context(context.Background()), 10*time.Second)
						defer cancel()
						began := time.Now()
						if err := spawn(ctx, a, late); !errors.Is(err, actor.ErrDeadline) || time.Since(began).Round(time.Second) != 10*time.Second {
							t.Errorf("with a deadline: %v after %v", err, time.Since(began))
						}
					}
					if err := a.Stop(context.Background()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestWaitForNothing: who asks for events, or lines, and waits for longer than a call may take is
// told in time that there are none.
func TestWaitForNothing(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		m := a.Join(&actor.Kind[actor.None]{Name: "reader"}, actor.JoinOptions{})
		synctest.Wait()
		list, err := actor.Events.Call(a.Context(), actor.Arbiter, actor.EventsArgs{})
		if err != nil || len(list) == 0 {
			t.Fatalf("%d events, %v", len(list), err)
		}
		since := list[len(list)-1].Seq
		for _, limit := range []time.Duration{0, 20 * time.Second, 3 * time.Minute} {
			for from, ctx := range map[string]context.Context{"arbiter": a.Context(), "member": m.Context(context.Background())} {
				cancel := func() {}
				if limit > 0 {
					ctx, cancel = context.WithTimeout(ctx, limit)
				}
				latest := min(cmp.Or(limit, 30*time.Second), time.Minute)
				began := time.Now()
				list, err := actor.Events.Call(ctx, actor.Arbiter, actor.EventsArgs{Since: since, Wait: time.Hour})
				if passed := time.Since(began); err != nil || len(list) != 0 || passed < latest-time.Second || passed > latest {
					t.Errorf("within %v, from %s: %v, %v after %v", limit, from, list, err, passed)
				}
				began = time.Now()
				lines, err := actor.Logs.Call(ctx, actor.Arbiter, actor.LogsArgs{Wait: time.Hour})
				if passed := time.Since(began); limit == 0 && (err != nil || len(lines.Lines) != 0 || passed < latest-time.Second || passed > latest) {
					t.Errorf("lines, from %s: %v, %v after %v", from, lines, err, passed)
				}
				cancel()
			}
		}
	})
}
