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

// slowBirth is how long those of a slowKind take to be ready, where they are slow.
const slowBirth = time.Second

// slowKind is a pool-worker that takes a while to be ready, for those names for which slow says so.
func slowKind(slow func(name string) bool) *actor.Kind[*poolWorker] {
	return &actor.Kind[*poolWorker]{Name: "slow-kind", Handlers: poolKind.Handlers, New: func(ctx context.Context) (*poolWorker, error) {
		if self, _ := actor.Current(ctx); slow(self.Ref().Name) {
			time.Sleep(slowBirth)
		}
		return poolKind.New(ctx)
	}}
}

// together is a pool whose workers are started again together.
func together(workers int) actor.PoolArgs {
	policy := &supervise.Policy{Strategy: supervise.OneForAll, Jitter: -1}
	return actor.PoolArgs{Name: "web", Workers: workers, Worker: actor.SpawnArgs{Restart: policy}}
}

// crash has the worker of that name crash.
func crash(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	if _, err := poolPanic.Call(ctx, actor.To(name), actor.None{}); !errors.Is(err, actor.ErrDown) {
		t.Fatalf("the crash of %s: %v", name, err)
	}
}

// restarts are how often each of the pool web was started again, all of which run.
func restarts(t *testing.T, ctx context.Context) (list []int) {
	t.Helper()
	for _, i := range ps(t, ctx) {
		if strings.HasPrefix(i.Name, "web/") {
			if i.State != "running" {
				t.Errorf("%s is %s", i.Name, i.State)
			}
			list = append(list, i.Restarts)
		}
	}
	return list
}

// TestOthersFallWhileStarting: who starts, and falls with the others, has not failed: whoever waits
// for it waits for who follows it, and nothing that works is ended for that.
func TestOthersFallWhileStarting(t *testing.T) {
	const soon = slowBirth / 2
	for what, do := range map[string]func(ctx context.Context) error{
		"scale": func(ctx context.Context) error {
			n, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(3)})
			if n != 3 && err == nil {
				err = errors.New("there are not three")
			}
			return err
		},
		"restart": func(ctx context.Context) error {
			done, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web/2"))
			if !slices.Equal(done, []string{"web/2"}) && err == nil {
				err = errors.New("it was not restarted")
			}
			return err
		},
		"start": func(ctx context.Context) error {
			if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("web/2")); err != nil {
				return err
			}
			_, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("web/2"))
			return err
		},
		"start of all": func(ctx context.Context) error {
			if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("web/2")); err != nil {
				return err
			}
			_, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("web"))
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				var slow atomic.Bool
				kind := slowKind(func(string) bool { return slow.Load() })
				if _, err := arb.Pool(ctx, kind, together(2)); err != nil {
					t.Fatal(err)
				}
				slow.Store(true)
				result := make(chan error, 1)
				go func() { result <- do(ctx) }()
				time.Sleep(soon)
				crash(t, ctx, "web/1")
				if err := <-result; err != nil {
					t.Errorf("%s, while one crashes: %v", what, err)
				}
				time.Sleep(10 * time.Second)
				for n, restarts := range restarts(t, ctx) {
					if restarts == 0 {
						t.Errorf("web/%d was not started again with the others", n+1)
					}
				}
			})
		})
	}
	t.Run("the pool", func(t *testing.T) {
		arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
			ctx := arb.Context()
			time.AfterFunc(soon, func() { _ = poolPanic.Send(ctx, actor.To("web/1"), actor.None{}) })
			if _, err := arb.Pool(ctx, slowKind(func(name string) bool { return name == "web/2" }), together(2)); err != nil {
				t.Errorf("a pool of which one crashes while another starts: %v", err)
			}
			if n := restarts(t, ctx); !slices.Equal(n, []int{1, 1}) {
				t.Errorf("they were started again %v times", n)
			}
		})
	})
}

// TestFallsWhileReplaced: who crashes while its successor starts falls with all the others, the
// successor among them, and it counts.
func TestFallsWhileReplaced(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		var slow atomic.Bool
		args := together(3)
		args.Worker.Restart.MaxCrashes = 2
		if _, err := arb.Pool(ctx, slowKind(func(string) bool { return slow.Load() }), args); err != nil {
			t.Fatal(err)
		}
		slow.Store(true)
		restart := actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("web/1"))
		time.Sleep(slowBirth / 2)
		crash(t, ctx, "web/1")
		if _, err := restart.Wait(); err != nil {
			t.Errorf("the restart: %v", err)
		}
		time.Sleep(slowBirth) // the others are ready at the same time
		if n := restarts(t, ctx); !slices.Equal(n, []int{1, 1, 1}) {
			t.Errorf("they were started again %v times", n)
		}
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
		if err != nil || in.Info.Last == nil || in.Info.Last.Cause != actor.CausePanic {
			t.Errorf("web/1 ended before with %+v, %v", in.Info.Last, err)
		}
		// The second one that counts is one too many, and who was to follow is not started for that.
		restart = actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("web/1"))
		time.Sleep(slowBirth / 2)
		crash(t, ctx, "web/1")
		if _, err := restart.Wait(); err == nil {
			t.Error("who was given up was restarted")
		}
		for _, i := range ps(t, ctx) {
			if i.Name == "web/1" && i.State != "failed" {
				t.Errorf("%s is %s", i.Name, i.State)
			}
		}
	})
}

// TestFallenShrink: nor does who has to begin, to answer what it was sent, though there is no place for it
// any more, before the last of the lives before has ended; and who has a place waits for those, too, whose
// places are gone.
func TestFallenShrink(t *testing.T) {
	for _, left := range []int{1, 0} {
		arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) { fallenShrink(t, arb, left) })
	}
}

// fallenShrink has a pool fall, and shrink to so many workers meanwhile.
func fallenShrink(t *testing.T, arb *arbitertest.Arbiter, left int) {
	ctx := arb.Context()
	var living atomic.Int32 // of the first lives
	var fallen atomic.Bool
	kind := &actor.Kind[*poolWorker]{Name: "trio", Handlers: lingering.Handlers, New: func(ctx context.Context) (*poolWorker, error) {
		w, err := poolKind.New(ctx)
		if !fallen.Load() {
			living.Add(1)
			w.notes = []string{"first"}
		} else if n := living.Load(); n > 0 {
			t.Errorf("%s begins while %d of the lives before go on", w.name, n)
		}
		return w, err
	}, Stopping: func(w *poolWorker, _ context.Context) {
		if len(w.notes) > 0 {
			if time.Sleep(lingers); w.name == "web/4" {
				time.Sleep(lingers / 3) // it is the last
			}
			living.Add(-1)
		}
	}}
	if _, err := arb.Pool(ctx, kind, together(4)); err != nil {
		t.Fatal(err)
	}
	fallen.Store(true)
	if _, err := poolLeave.Call(ctx, actor.To("web/4"), actor.None{}); err != nil { // it leaves by itself, and falls all the same
		t.Fatal(err)
	}
	time.Sleep(lingers / 6)
	crash(t, ctx, "web/1")
	living.Add(-1) // who panics runs no hook
	time.Sleep(lingers / 3)
	var calls []*actor.Pending[string]
	for _, name := range []string{"web/1", "web/2", "web/3"} {
		calls = append(calls, poolWho.Start(ctx, actor.To(name), actor.None{}))
	}
	time.Sleep(lingers / 6)
	if _, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(left)}); err != nil {
		t.Errorf("scale: %v", err)
	}
	for _, call := range calls {
		if _, err := call.Wait(); err != nil {
			t.Errorf("a call that was there before: %v", err)
		}
	}
	time.Sleep(10 * time.Second)
	if n := len(restarts(t, ctx)); n != left {
		t.Errorf("%d workers, want %d", n, left)
	}
}
