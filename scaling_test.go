package arbiter_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/supervise"
)

// workersOf returns how many workers pool has.
func (w *world) workersOf(t *testing.T, pool string) int {
	t.Helper()
	return w.inspect(t, actor.To(pool)).Info.Workers
}

// TestNothingWaits: what a worker of its own process has answered at once, or dropped
// because nobody waited any more, is not taken for something that still waits: the pool
// stays as small as it is.
func TestNothingWaits(t *testing.T) {
	t.Parallel()
	interpreter := ""
	if hasPython() {
		interpreter = python(t)
	}
	const age = time.Second // more than an answer takes on a busy machine
	for name, in := range map[string]actor.SpawnArgs{
		"process": {Kind: "one", In: "process"},
		"exec":    {Kind: "python", Run: []string{interpreter, workerPath(t)}},
	} {
		t.Run(name, func(t *testing.T) {
			if in.Run != nil && interpreter == "" {
				t.Skip("no python3: the worker in Python was left out")
			}
			w := quietWorld(t)
			if _, err := w.arb.Pool(w.ctx, One, actor.PoolArgs{Name: "web", Min: 1, Max: 3, QueueAge: age, Worker: in}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := actor.Ping.Call(w.ctx, actor.To("web/1"), actor.None{}); err != nil {
					t.Fatal(err)
				}
			}
			// One that is given up while it waits behind another one, which is over long before
			// the age that matters.
			busy := Slow.Start(w.ctx, actor.To("web/1"), age/4)
			behind := Double.Start(w.ctx, actor.To("web/1"), 1)
			behind.Cancel()
			if _, err := behind.Wait(); !errors.Is(err, actor.ErrCanceled) {
				t.Errorf("the one behind: %v", err)
			}
			if _, err := busy.Wait(); err != nil {
				t.Fatal(err)
			}
			// Long enough for a worker more; a heartbeat that is late changes nothing.
			over := time.After(2*time.Second + 2*age)
			for {
				if n := w.workersOf(t, "web"); n != 1 {
					t.Fatalf("nothing waits, and it has %d workers: %v", n, w.events("web", "scaled"))
				}
				select {
				case <-over:
					return
				case <-time.After(age / 2):
				}
			}
		})
	}
}

// TestMuchWaits: messages that wait for a worker of its own process count, those in its
// inbox and those on the way to it, also if it has answered others at once.
func TestMuchWaits(t *testing.T) {
	t.Parallel()
	const age = 200 * time.Millisecond
	w := quietWorld(t)
	if _, err := w.arb.Pool(w.ctx, One, actor.PoolArgs{Name: "web", Min: 1, Max: 2, QueueAge: age, Worker: actor.SpawnArgs{In: "process"}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := actor.Ping.Call(w.ctx, actor.To("web/1"), actor.None{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	for range 3 {
		Slow.Start(ctx, actor.To("web/1"), time.Minute)
	}
	eventually(t, "the pool has grown", func() bool { return w.workersOf(t, "web") == 2 })
}

// TestRecycleThatFails: a worker that has done enough, and whose successor cannot start,
// goes on; another successor is tried less and less often, and it is said once.
func TestRecycleThatFails(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		var fail atomic.Bool
		var starts atomic.Int32
		k := &actor.Kind[*poolWorker]{Name: "recycled", Handlers: poolKind.Handlers, New: func(ctx context.Context) (*poolWorker, error) {
			starts.Add(1)
			if fail.Load() {
				return nil, errors.New("no config")
			}
			return poolKind.New(ctx)
		}}
		const age = 10 * time.Second
		if _, err := arb.Pool(ctx, k, actor.PoolArgs{Name: "web", Workers: 1, Recycle: actor.Recycle{Age: age, Jitter: -1}}); err != nil {
			t.Fatal(err)
		}
		said := func() (failed int) {
			events, err := actor.Events.Call(ctx, actor.Arbiter, actor.EventsArgs{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if e.Type == "recycle_failed" && e.Actor.Name == "web/1" && strings.Contains(e.Text, "no config") {
					failed++
				}
			}
			return failed
		}
		for round := 1; round <= 2; round++ {
			fail.Store(true)
			starts.Store(0)
			time.Sleep(2*time.Minute + age)
			// After 0.2 s, 0.4 s and so on, and then every 30 s, each rounded up to a second.
			if n := starts.Load(); n < 5 || n > 15 {
				t.Errorf("in 2 minutes %d successors were tried", n)
			}
			if n := said(); n != round {
				t.Errorf("it is said %d times, want %d", n, round)
			}
			if name, err := poolWho.Call(ctx, actor.To("web"), actor.None{}); name != "web/1" || err != nil {
				t.Errorf("the old one: %q, %v", name, err)
			}
			fail.Store(false)
			time.Sleep(35 * time.Second)
			in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
			if err != nil || in.Info.Restarts == 0 || in.Info.Uptime > 2*age {
				t.Errorf("once it can start: %+v, %v", in.Info, err)
			}
		}
	})
}

// TestTwoWhoScale: of a pool that is made larger and smaller by steps at the same time
// each step counts.
func TestTwoWhoScale(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 20})
		for range 30 {
			var all sync.WaitGroup
			for n := range 40 {
				all.Go(func() {
					if _, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Delta: 1 - 2*(n%2)}); err != nil && !errors.Is(err, actor.ErrDown) { // which was shrunk away at once
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web"))
		if err != nil || in.Info.Wanted != 20 || len(in.Slots) != 20 {
			t.Errorf("it has %d slots, and wants %d: %v", len(in.Slots), in.Info.Wanted, err)
		}
	})
}

// TestScaledIsKnown: a worker that keeps crashing does not end a pool of which another is well,
// also if that one has come to the place of one that still ended.
func TestScaledIsKnown(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		policy := supervise.Policy{MaxCrashes: 2, Within: time.Minute, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}
		if _, err := arb.Pool(ctx, lingering, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{Restart: &policy}}); err != nil {
			t.Fatal(err)
		}
		one, two := 1, 2
		actor.ScalePool.Start(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: &one})
		time.Sleep(lingers / 3)
		if _, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: &two}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * lingers) // the one before has ended
		for range 2 {
			_ = poolPanic.Send(ctx, actor.To("web/2"), actor.None{})
			time.Sleep(time.Second)
		}
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web"))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range in.Slots {
			if s.State != "running" {
				t.Errorf("%s is %s: %s", s.Name, s.State, s.Reason)
			}
		}
		_ = arb.DeadLetters()
	})
}
