package arbiter

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// work takes as long as it is told, or as its context lasts.
var work = actor.NewCommand[time.Duration, string]("work")

func workFor(_ actor.None, ctx context.Context, d time.Duration) (string, error) {
	select {
	case <-time.After(d):
		return "done", nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

var worker = &actor.Kind[actor.None]{Name: "worker", Handlers: []actor.Handler[actor.None]{actor.Handle(work, workFor)}}

// TestHeartbeatOptions: of heartbeat and timeout one may be given alone; both together are
// refused where every actor would be taken for dead.
func TestHeartbeatOptions(t *testing.T) {
	for _, test := range []struct{ every, timeout time.Duration }{
		{0, 0}, {15 * time.Second, 0}, {0, 2 * time.Second}, {time.Second, 2 * time.Second}, {math.MaxInt64, 0}, {0, math.MaxInt64}, {math.MaxInt64, math.MaxInt64},
	} {
		inside(t, func(t *testing.T, arb *Arbiter) {
			far, near := peer.Pipe()
			go arb.ServeConn(near)
			m := actor.NewMember("", worker, actor.JoinOptions{Logger: quiet}.Over(far))
			if _, err := m.Ref(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			select {
			case <-m.Lost():
				t.Errorf("every %v, or silent for %v: an actor that is well was taken for dead", test.every, test.timeout)
			default:
			}
			_ = m.Close()
		}, func(o *Options) { o.Heartbeat, o.HeartbeatTimeout = test.every, test.timeout })
	}
	for _, test := range []struct {
		every, timeout time.Duration
		want           string
	}{
		{time.Second, time.Second, "longer timeout"},
		{10 * time.Second, time.Second, "longer timeout"},
		{time.Millisecond, time.Second, "flood"},
		{0, 1, "a heartbeat timeout of 1ns is too short"},
		{0, 29 * time.Millisecond, "give 30ms at least"},
		{time.Millisecond, 0, "a heartbeat every 1ms is a flood"},
	} {
		arb, err := Start(context.Background(), Options{Name: "test", Logger: quiet, Heartbeat: test.every, HeartbeatTimeout: test.timeout})
		if err == nil {
			_ = arb.Stop(context.Background())
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("every %v, silent for %v: %v", test.every, test.timeout, err)
		}
		inside(t, func(t *testing.T, arb *Arbiter) {
			if test.timeout == 1 {
				return // of an actor, that is refused as what was meant as text
			}
			_, err := arb.Spawn(arb.Context(t.Context()), worker, actor.Heartbeat(test.every, test.timeout))
			if !errors.Is(err, actor.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("an actor with %v and %v: %v", test.every, test.timeout, err)
			}
		})
	}
}

// TestGetOrCreateGivesUp: who waits for an actor that somebody else starts may give up, and
// the other has it all the same.
func TestGetOrCreateGivesUp(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ctx := arb.Context(context.Background())
		slow := &actor.Kind[actor.None]{Name: "slow", New: func(ctx context.Context) (actor.None, error) {
			_, err := workFor(actor.None{}, ctx, 5*time.Second)
			return actor.None{}, err
		}}
		spawned := make(chan error, 1)
		go func() {
			_, err := arb.Spawn(ctx, slow, actor.Name("x"))
			spawned <- err
		}()
		time.Sleep(time.Second)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := arb.Spawn(short, slow, actor.GetOrCreate("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who gives up: %v", err)
		}
		if err := <-spawned; err != nil {
			t.Errorf("who has spawned it: %v", err)
		}
	})
}

// TestLongCallsAreNotCutOff: a call that takes longer than most is answered by a worker that is
// replaced or no longer needed, within its deadline.
func TestLongCallsAreNotCutOff(t *testing.T) {
	for name, change := range map[string]func(ctx context.Context) error{
		"rolling restart": func(ctx context.Context) error {
			_, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web"))
			return err
		},
		"scaled down": func(ctx context.Context) error {
			_, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(1)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				ctx, cancel := context.WithTimeout(arb.Context(context.Background()), 10*time.Minute)
				defer cancel()
				if _, err := arb.Pool(ctx, worker, actor.PoolArgs{Name: "web", Workers: 2}); err != nil {
					t.Fatal(err)
				}
				long := []*actor.Pending[string]{work.Start(ctx, actor.To("web"), 3*time.Minute), work.Start(ctx, actor.To("web"), 3*time.Minute)}
				time.Sleep(time.Second)
				if err := change(ctx); err != nil {
					t.Error(err)
				}
				for _, p := range long {
					if _, err := p.Wait(); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Minute)
				r := &arb.registry.get("web").pool.row
				r.mu.Lock()
				n := len(r.leaving)
				r.mu.Unlock()
				if n > 0 {
					t.Errorf("%d workers that have nothing to do have not left", n)
				}
			})
		})
	}
}

// TestAutoscaleBesideABrokenSlot: a worker that cannot start keeps the pool from having more of
// the others no longer than it takes to see that.
func TestAutoscaleBesideABrokenSlot(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ctx := arb.Context(context.Background())
		fall := actor.NewCommand[actor.None, actor.None]("fall")
		var broken atomic.Bool
		kind := &actor.Kind[actor.None]{
			Name: "w",
			New: func(ctx context.Context) (s actor.None, err error) {
				if self, _ := actor.Current(ctx); broken.Load() && self.Ref().Name == "web/2" {
					err = errors.New("the port is in use")
				}
				return s, err
			},
			Handlers: []actor.Handler[actor.None]{
				actor.Handle(work, workFor),
				actor.On(fall, func(actor.None, context.Context, actor.None) error { panic("it falls") }),
			},
		}
		if _, err := arb.Pool(ctx, kind, actor.PoolArgs{Name: "web", Workers: 2, Min: 2, Max: 6, QueueAge: 500 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		broken.Store(true)
		_, _ = fall.Call(ctx, actor.To("web/2"), actor.None{})
		time.Sleep(40 * time.Second)
		long, cancel := context.WithTimeout(ctx, 10*time.Minute)
		defer cancel()
		var calls sync.WaitGroup
		for range 20 {
			calls.Go(func() {
				for range 60 {
					_, _ = work.Call(long, actor.To("web"), time.Second)
				}
			})
		}
		time.Sleep(50 * time.Second)
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web"))
		if err != nil || in.Info.Wanted != 6 || in.Info.Workers != 5 {
			t.Errorf("20 callers wait: %d workers, %d wanted, want 5 and 6 (%v)", in.Info.Workers, in.Info.Wanted, err)
		}
		calls.Wait()
	})
}

// TestRecycleWaitsForItsStart: a worker whose successor may take long to start is replaced when
// that has.
func TestRecycleWaitsForItsStart(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ctx, cancel := context.WithTimeout(arb.Context(context.Background()), time.Hour)
		defer cancel()
		slow := &actor.Kind[actor.None]{Name: "slow", New: func(ctx context.Context) (actor.None, error) {
			_, err := workFor(actor.None{}, ctx, 90*time.Second)
			return actor.None{}, err
		}}
		_, err := arb.Pool(ctx, slow, actor.PoolArgs{
			Name: "web", Recycle: actor.Recycle{Age: 5 * time.Minute, Jitter: -1}, Worker: actor.SpawnArgs{StartTimeout: 5 * time.Minute},
		})
		if err != nil {
			t.Fatal(err)
		}
		first := arb.registry.get("web/1").aid
		time.Sleep(8 * time.Minute)
		if in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web/1")); err != nil || in.Info.AID == first {
			t.Errorf("8 minutes after a worker of 5 was ready it is there (%v)", err)
		}
		for _, e := range arb.events.about("", "web/1", 100) {
			if e.Type == "recycle_failed" {
				t.Errorf("%s: %s", e.Type, e.Text)
			}
		}
	})
}

// TestNoLimitIsALongTime: whoever gives the longest duration there is, for no limit, has a long
// one, and none that is over before it began.
func TestNoLimitIsALongTime(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ctx := arb.Context(context.Background())
		kind := &actor.Kind[actor.None]{Name: "slowstop", Grace: math.MaxInt64, Stopping: func(_ actor.None, ctx context.Context) {
			_, _ = workFor(actor.None{}, ctx, time.Minute)
		}}
		far, near := peer.Pipe()
		go arb.ServeConn(near)
		m := actor.NewMember("", kind, actor.JoinOptions{Logger: quiet}.Over(far))
		defer m.Close()
		joined, err := m.Ref(ctx)
		if err != nil {
			t.Fatal(err)
		}
		spawned, err := arb.Spawn(ctx, kind, actor.Grace(math.MaxInt64), actor.Budget(math.MaxInt64))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := arb.Pool(ctx, kind, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{StartTimeout: math.MaxInt64}}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{spawned.AID, "web/1", "web"} { // time is added to it
			if i := arb.registry.get(name); i.grace() < time.Hour || i.grace() > longest+time.Second {
				t.Errorf("%s has %v to stop", name, i.grace())
			}
		}
		if args := (&actor.SpawnArgs{StartTimeout: math.MaxInt64, Budget: math.MaxInt64}); checkDurations(args) != nil || args.StartTimeout != longest || args.Budget != longest {
			t.Errorf("%+v", args)
		}
		long, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		if done, err := actor.RestartActor.Call(long, actor.Arbiter, actor.To("web")); err != nil || len(done) != 2 {
			t.Errorf("restart: %v, %v", done, err)
		}
		for _, ref := range []actor.Ref{joined, spawned, actor.To("web")} {
			if d, err := actor.StopActor.Call(long, actor.Arbiter, ref); err != nil || d.Cause != actor.CauseStopped {
				t.Errorf("%v: %v, %v", ref, d, err)
			}
		}
	}, func(o *Options) { o.StartTimeout, o.StopTimeout = math.MaxInt64, math.MaxInt64 })
}

// TestInspectionIsACopy: what an inspection says may be changed, and used to make another.
func TestInspectionIsACopy(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ctx := arb.Context(context.Background())
		if _, err := arb.Pool(ctx, worker, actor.PoolArgs{Name: "web", Worker: actor.SpawnArgs{Extra: map[string]any{"a": 1}}}); err != nil {
			t.Fatal(err)
		}
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web"))
		if err != nil {
			t.Fatal(err)
		}
		in.Pool.Name, in.Pool.Worker.Kind, in.Pool.Worker.Extra["a"], in.Pool.Worker.Restart.MaxCrashes = "other", "other", 2, 77
		if _, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(2)}); err != nil {
			t.Fatal(err)
		}
		if arb.registry.get("web/2") == nil {
			t.Error("there is no web/2")
		}
		in, err = actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web"))
		if err != nil {
			t.Fatal(err)
		}
		if w := in.Pool.Worker; in.Pool.Name != "web" || w.Kind != "worker" || w.Extra["a"] != 1 || w.Restart.MaxCrashes == 77 {
			t.Errorf("%+v", in.Pool)
		}
	})
}

// TestCancelsOfTheUnborn: calls whose time is up before their target has begun leave nothing for
// it: it would have to read that first, or, if it is much, could not begin.
func TestCancelsOfTheUnborn(t *testing.T) {
	arb, err := Start(context.Background(), Options{Name: "test", Logger: quiet, StopTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = arb.Stop(context.Background()) }() // it has to be killed
	ctx := arb.Context(context.Background())
	spawned := make(chan error, 1)
	go func() {
		_, err := arb.SpawnProgram(ctx, "sleep", []string{"600"}, actor.Name("late"), actor.StartTimeout(time.Minute))
		spawned <- err
	}()
	var late *incarnation
	for late == nil {
		select {
		case err := <-spawned:
			t.Fatalf("it was not to begin, and has ended: %v", err)
		case <-time.After(time.Millisecond):
			late = arb.registry.get("late")
		}
	}
	var calls sync.WaitGroup
	for n := range 200 {
		calls.Go(func() {
			short, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
			defer cancel()
			if n%2 == 0 {
				cancel()
			}
			_, _ = work.Call(short, actor.To("late"), 0)
		})
	}
	calls.Wait()
	for deadline := time.Now().Add(10 * time.Second); late.calls().Len() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls are still in flight", late.calls().Len())
		}
	}
	if n := late.session.conn.Stats().Queued[peer.Control]; n != 0 {
		t.Errorf("%d bytes of cancels wait for it", n)
	}
}

// TestQuotasAtOnce: what is allowed counts from then on, not only when it is there, whatever kind
// of process it is; what comes to nothing does not.
func TestQuotasAtOnce(t *testing.T) {
	for in, quota := range map[string]string{"goroutine": "Quotas.Children", "process": "Quotas.Processes", "exec": "Quotas.Processes", "pulsar": "Quotas.Processes"} {
		inside(t, func(t *testing.T, arb *Arbiter) {
			ref, err := arb.Spawn(arb.Context(context.Background()), worker)
			if err != nil {
				t.Fatal(err)
			}
			by := arb.registry.get(ref.AID)
			args := &actor.SpawnArgs{In: in}
			settle, failed := by.maySpawn(args, 3, 0)
			if failed != nil {
				t.Fatal(failed)
			}
			if _, failed := by.maySpawn(args, 1, 0); failed == nil || !strings.Contains(failed.Message, quota) || !strings.Contains(failed.Message, "has 3 children") {
				t.Errorf("%s: a fourth: %v", in, failed)
			}
			settle()
			settle()
			again, failed := by.maySpawn(args, 3, 0)
			if failed != nil {
				t.Fatalf("%s: of three nothing came, and then: %v", in, failed)
			}
			again()
		}, func(o *Options) {
			if o.Quotas = (Quotas{Children: 3}); in != "goroutine" {
				o.Quotas = Quotas{Processes: 3}
			}
		})
	}
}

// TestWorkerAsksItsPool: what a worker sends its own pool goes to another, if there is one: it
// is at work, though perhaps nobody waits for that.
func TestWorkerAsksItsPool(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ctx := arb.Context(context.Background())
		if _, err := arb.Pool(ctx, worker, actor.PoolArgs{Name: "web", Workers: 3}); err != nil {
			t.Fatal(err)
		}
		p := arb.registry.get("web").pool
		own := arb.registry.get("web/1")
		for range 9 {
			w := p.pick("", own)
			if w == own {
				t.Error("it has its own message")
			}
			w.gate.leave()
		}
		if _, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(1)}); err != nil {
			t.Fatal(err)
		}
		own = (*p.members.Load())[0]
		if w := p.pick("", own); w != own {
			t.Error("the only one has not its own message")
		} else {
			w.gate.leave()
		}
	})
}
