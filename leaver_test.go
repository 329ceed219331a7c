package arbiter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/supervise"
)

// aidOf is the aid of who has the name.
func aidOf(t *testing.T, ctx context.Context, name string) string {
	t.Helper()
	in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(name))
	if err != nil {
		t.Fatal(err)
	}
	return in.Info.AID
}

// runsAnew checks that another one than before has the name, and answers.
func runsAnew(t *testing.T, ctx context.Context, name, before string) {
	t.Helper()
	if got, err := poolWho.Call(ctx, actor.To(name), actor.None{}); got != name || err != nil {
		t.Errorf("a call to %s: %q, %v", name, got, err)
	}
	if aidOf(t, ctx, name) == before {
		t.Errorf("%s is still %s", name, before)
	}
}

// TestKillOfWhoGivesWay: a kill by name is for what lives of it, and not for who waits until that
// has ended: how else would one that does not end be got rid of?
func TestKillOfWhoGivesWay(t *testing.T) {
	t.Run("replaced", func(t *testing.T) {
		arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
			ctx := arb.Context()
			old := arb.Spawn(poolKind, actor.Name("only"), actor.Restart(supervise.Policy{}))
			stuck := poolSlow.Start(ctx, actor.To("only"), 20*time.Second)
			time.Sleep(time.Second)
			restart := actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("only"))
			time.Sleep(time.Second)
			if d, err := arb.Kill(ctx, actor.To("only")); d.Cause != actor.CauseKilled || err != nil {
				t.Errorf("kill: %+v, %v", d, err)
			}
			var down *actor.DownError
			if _, err := stuck.Wait(); !errors.As(err, &down) || down.Cause != actor.CauseKilled {
				t.Errorf("the call it was stuck in: %v", err)
			}
			if _, err := restart.Wait(); err != nil {
				t.Errorf("the restart: %v", err)
			}
			runsAnew(t, ctx, "only", old.AID)
			time.Sleep(20 * time.Second) // a goroutine is not ended by its actor's end
		})
	})
	t.Run("fallen", func(t *testing.T) {
		arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
			ctx := arb.Context()
			args := actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{Restart: &supervise.Policy{Strategy: supervise.OneForAll}}}
			if _, err := arb.Pool(ctx, lingering, args); err != nil {
				t.Fatal(err)
			}
			old := aidOf(t, ctx, "web/2")
			if _, err := poolPanic.Call(ctx, actor.To("web/1"), actor.None{}); !errors.Is(err, actor.ErrDown) {
				t.Fatal(err)
			}
			next := aidOf(t, ctx, "web/2") // waits for the end of old
			time.Sleep(lingers / 3)
			if _, err := arb.Kill(ctx, actor.To("web/2")); err != nil {
				t.Error(err)
			}
			in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.Ref{AID: old})
			if err != nil || in.Death == nil || in.Death.Cause != actor.CauseKilled {
				t.Errorf("%s has ended with %+v, %v", old, in.Death, err)
			}
			runsAnew(t, ctx, "web/2", old)
			if now := aidOf(t, ctx, "web/2"); now != next {
				t.Errorf("%s has the name, want %s", now, next)
			}
			time.Sleep(lingers)
		})
	})
}

// TestStopOfWhoGivesWay: a stop by hand is within the grace of who stops, also of one that was
// replaced before, and would have had the time of its callers.
func TestStopOfWhoGivesWay(t *testing.T) {
	for _, name := range []string{"only", "web/1"} {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx, cancel := context.WithTimeout(arb.Context(), time.Hour)
				defer cancel()
				if name == "only" {
					arb.Spawn(poolKind, actor.Name(name), actor.Restart(supervise.Policy{}))
				} else if _, err := arb.Pool(ctx, poolKind, actor.PoolArgs{Name: "web", Workers: 2}); err != nil {
					t.Fatal(err)
				}
				busy := poolSlow.Start(ctx, actor.To(name), 10*time.Minute)
				time.Sleep(time.Second)
				restart := actor.RestartActor.Start(ctx, actor.Arbiter, actor.To(name))
				time.Sleep(time.Second)
				soon, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				if _, err := actor.StopActor.Call(soon, actor.Arbiter, actor.To(name)); err != nil {
					t.Errorf("the stop: %v", err)
				}
				var down *actor.DownError
				if _, err := busy.Wait(); !errors.As(err, &down) || down.Cause != actor.CauseHung {
					t.Errorf("the call it was at: %v", err)
				}
				_, _ = restart.Wait()
				for _, i := range ps(t, ctx) {
					if i.Name == name && i.State != "stopped" {
						t.Errorf("%s is %s", name, i.State)
					}
				}
				time.Sleep(10 * time.Minute) // a goroutine is not ended by its actor's end
			})
		})
	}
}
