package arbiter_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/supervise"
)

// TestStartOfWhoStops: who is asked for while the one who has the name stops gets the
// next one, not that.
func TestStartOfWhoStops(t *testing.T) {
	for name, policy := range map[string]*supervise.Policy{
		"never":      {Restart: supervise.Never},
		"on failure": {},
		"always":     {Restart: supervise.Always},
	} {
		t.Run("start, "+name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				if _, err := arb.Pool(ctx, lingering, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{Restart: policy}}); err != nil {
					t.Fatal(err)
				}
				old, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
				if err != nil {
					t.Fatal(err)
				}
				stop := actor.StopActor.Start(ctx, actor.Arbiter, actor.To("web/1"))
				time.Sleep(lingers / 3)
				ref, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
				if err != nil || ref.AID == old.Info.AID {
					t.Errorf("start: %v, %v, and the one that stopped was %s", ref, err, old.Info.AID)
				}
				if d, err := stop.Wait(); err != nil || d.Cause != actor.CauseStopped {
					t.Errorf("stop: %v, %v", d, err)
				}
				if name, err := poolWho.Call(ctx, actor.To("web/1"), actor.None{}); name != "web/1" || err != nil {
					t.Errorf("a call: %q, %v", name, err)
				}
			})
		})
	}
	t.Run("get or create", func(t *testing.T) {
		arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
			ctx := arb.Context()
			old := arb.Spawn(lingering, actor.GetOrCreate("x"))
			stop := actor.StopActor.Start(ctx, actor.Arbiter, old)
			time.Sleep(lingers / 3)
			ref, err := arb.Arbiter.Spawn(ctx, lingering, actor.GetOrCreate("x"))
			if err != nil || ref.AID == old.AID {
				t.Errorf("%v, %v, and the one that stopped was %v", ref, err, old)
			}
			if name, err := poolWho.Call(ctx, ref, actor.None{}); name != "x" || err != nil {
				t.Errorf("a call: %q, %v", name, err)
			}
			if _, err := stop.Wait(); err != nil {
				t.Error(err)
			}
			// Who has not the time is told that.
			stop = actor.StopActor.Start(ctx, actor.Arbiter, actor.To("x"))
			time.Sleep(lingers / 3)
			short, cancel := context.WithTimeout(ctx, lingers/3)
			defer cancel()
			if ref, err := arb.Arbiter.Spawn(short, lingering, actor.GetOrCreate("x")); !errors.Is(err, actor.ErrDeadline) {
				t.Errorf("with a short time: %v, %v", ref, err)
			}
			if _, err := stop.Wait(); err != nil {
				t.Error(err)
			}
		})
	})
}

// TestAddressOfASlot: the name of a slot in which there is nobody is nobody's else,
// neither as a name nor as an aid.
func TestAddressOfASlot(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		arb.Spawn(poolKind, actor.Name("tally"), actor.Restart(supervise.Policy{}))
		if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("tally")); err != nil {
			t.Fatal(err)
		}
		for _, options := range [][]actor.SpawnOption{
			{actor.Name("tally")},
			{actor.AID("tally")},
			{actor.AID("tally"), actor.Name("stranger")},
			{actor.AID("tally"), actor.Name("stranger"), actor.Restart(supervise.Policy{})},
		} {
			if ref, err := arb.Arbiter.Spawn(ctx, poolKind, options...); !errors.Is(err, actor.ErrExists) {
				t.Errorf("a stranger: %v, %v", ref, err)
			}
		}
		if _, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("tally")); err != nil {
			t.Error(err)
		}
		if name, err := poolWho.Call(ctx, actor.To("tally"), actor.None{}); name != "tally" || err != nil {
			t.Errorf("a call: %q, %v", name, err)
		}
	})
}

// TestStartPool: the workers of a pool are started at the same time, and each one that
// can be is, whatever becomes of the others; who asked is told of all that cannot.
func TestStartPool(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		const slow = 5 * time.Second
		var bad atomic.Bool
		k := &actor.Kind[actor.None]{Name: "slow-born", New: func(ctx context.Context) (none actor.None, _ error) {
			self, _ := actor.Current(ctx)
			time.Sleep(slow)
			if name := self.Ref().Name; bad.Load() && name != "web/3" {
				return none, errors.New("no disk for " + name)
			}
			return none, nil
		}}
		policy := &supervise.Policy{Restart: supervise.Never}
		if _, err := arb.Pool(ctx, k, actor.PoolArgs{Name: "web", Workers: 3, Worker: actor.SpawnArgs{Restart: policy}}); err != nil {
			t.Fatal(err)
		}
		start := func() (time.Duration, error) {
			if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("web")); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("web"))
			return time.Since(began), err
		}
		if took, err := start(); took != slow || err != nil {
			t.Errorf("the start took %v, %v", took, err)
		}
		bad.Store(true)
		took, err := start()
		if took != slow || !errors.Is(err, actor.ErrDown) {
			t.Errorf("the start of which two failed took %v, %v", took, err)
		}
		for _, name := range []string{"web/1", "web/2"} {
			if err == nil || !strings.Contains(err.Error(), "no disk for "+name) {
				t.Errorf("who asked is not told of %s: %v", name, err)
			}
		}
		for _, i := range ps(t, ctx) {
			if want := map[string]string{"web/1": "done", "web/2": "done", "web/3": "running"}[i.Name]; want != "" && i.State != want {
				t.Errorf("%s is %s, want %s", i.Name, i.State, want)
			}
		}
	})
}

// TestRollOverChanges: a rolling restart leaves out what is not there any more when it
// comes to it, or was stopped by hand, and counts what is being replaced already.
func TestRollOverChanges(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		web, err := arb.Pool(ctx, lingering, actor.PoolArgs{Name: "web", Workers: 4})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("web/2")); err != nil {
			t.Fatal(err)
		}
		roll := actor.RestartActor.Start(ctx, actor.Arbiter, web)
		time.Sleep(lingers / 3) // it waits for the end of the first
		one := actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("web/3"))
		if n, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(2)}); n != 2 || err != nil {
			t.Fatalf("scale: %d, %v", n, err)
		}
		done, err := roll.Wait()
		if err != nil {
			t.Errorf("the rolling restart: %v", err)
		}
		if slices.Contains(done, "web/2") || slices.Contains(done, "web/4") && slices.Contains(done, "web/3") {
			t.Errorf("it says that it has restarted %v", done)
		}
		_, _ = one.Wait()
		list := ps(t, ctx)
		for _, i := range list {
			if i.Name == "web/2" {
				t.Errorf("a restart of the pool has started who was stopped by hand: %+v", i)
			}
		}
	})
}

// TestStopHolds: a stop by hand is not undone by a start or a restart that was waiting already, for the end
// of who had stopped by itself; a start that comes after it still is.
func TestStopHolds(t *testing.T) {
	for name, ask := range map[string]func(ctx context.Context) error{
		"start": func(ctx context.Context) error {
			_, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
			return err
		},
		"restart": func(ctx context.Context) error {
			_, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
			return err
		},
		"restart of all": func(ctx context.Context) error {
			_, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				if _, err := arb.Pool(ctx, lingering, actor.PoolArgs{Name: "web", Workers: 2}); err != nil {
					t.Fatal(err)
				}
				if _, err := poolLeave.Call(ctx, actor.To("web/1"), actor.None{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(lingers / 3)
				result := make(chan error, 1)
				go func() { result <- ask(ctx) }()
				time.Sleep(lingers / 3)
				if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("web/1")); err != nil {
					t.Errorf("stop: %v", err)
				}
				switch err := <-result; {
				case name == "restart of all" && err != nil:
					t.Errorf("a restart of all, one of which was stopped by hand: %v", err)
				case name != "restart of all" && !errors.Is(err, actor.ErrRefused):
					t.Errorf("a %s of who was stopped by hand after that: %v", name, err)
				}
				if s := states(t, ctx); s["web/1"] != "stopped" || s["web/2"] != "running" {
					t.Errorf("after the stop: %v", s)
				}
				if _, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("web/1")); err != nil {
					t.Errorf("a start after that: %v", err)
				}
				if s := states(t, ctx); s["web/1"] != "running" {
					t.Errorf("after the start: %v", s)
				}
			})
		})
	}
}

// A restart of a supervised actor that was stopped by hand starts it, as that of a slot of a
// pool does.
func TestRestartOfTheStopped(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		arb.Spawn(poolKind, actor.Name("only"), actor.Restart(supervise.Policy{}))
		for range 2 { // it runs, it is stopped
			done, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("only"))
			if err != nil || !slices.Equal(done, []string{"only"}) {
				t.Fatalf("restarted: %v, %v", done, err)
			}
			if _, err := poolWho.Call(ctx, actor.To("only"), actor.None{}); err != nil {
				t.Errorf("it does not run: %v", err)
			}
			if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("only")); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestRestartOfWhoIsReplaced: two who ask for the same restart get one, and both wait
// for it.
func TestRestartOfWhoIsReplaced(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		k := &actor.Kind[*poolWorker]{Name: "slow-born", Handlers: poolKind.Handlers, New: func(ctx context.Context) (*poolWorker, error) {
			time.Sleep(time.Second)
			return poolKind.New(ctx)
		}}
		if _, err := arb.Pool(ctx, k, actor.PoolArgs{Name: "web", Workers: 2}); err != nil {
			t.Fatal(err)
		}
		first := actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("web/1"))
		time.Sleep(time.Second / 2)
		if done, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web")); !slices.Equal(done, []string{"web/1", "web/2"}) || err != nil {
			t.Errorf("the second: %v, %v", done, err)
		}
		if done, err := first.Wait(); !slices.Equal(done, []string{"web/1"}) || err != nil {
			t.Errorf("the first: %v, %v", done, err)
		}
		for _, i := range ps(t, ctx) {
			if strings.HasPrefix(i.Name, "web/") && (i.Restarts != 1 || i.State != "running") {
				t.Errorf("%s was started again %d times, and is %s", i.Name, i.Restarts, i.State)
			}
		}
	})
}
