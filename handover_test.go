package arbiter_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/supervise"
)

// lingers is how long a worker of lingering takes to stop.
const lingers = 3 * time.Second

// lingering is a pool-worker that takes time to stop.
var lingering = &actor.Kind[*poolWorker]{
	Name: "lingering", New: poolKind.New, Handlers: append(poolKind.Handlers, actor.On(poolLeave, func(_ *poolWorker, ctx context.Context, _ actor.None) error {
		self, _ := actor.Current(ctx)
		self.Stop("it wants to")
		return nil
	})),
	Stopping: func(*poolWorker, context.Context) { time.Sleep(lingers) },
}

var poolLeave = actor.NewCommand[actor.None, actor.None]("leave")

// TestStoppingGetsNothing: a pool's messages go to who stays, while one of it stops,
// whoever wished for that. Who stops has no calls unanswered, and would look best.
func TestStoppingGetsNothing(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, ctx context.Context){
		"by hand": func(t *testing.T, ctx context.Context) {
			stop := actor.StopActor.Start(ctx, actor.Arbiter, actor.To("web/1"))
			t.Cleanup(func() {
				if _, err := stop.Wait(); err != nil {
					t.Errorf("stop: %v", err)
				}
			})
		},
		"by itself": func(t *testing.T, ctx context.Context) {
			if _, err := poolLeave.Call(ctx, actor.To("web/1"), actor.None{}); err != nil {
				t.Fatal(err)
			}
		},
		"by the message stop": func(t *testing.T, ctx context.Context) {
			if _, err := actor.Stop.Call(ctx, actor.To("web/1"), actor.None{}); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				web, err := arb.Pool(ctx, lingering, actor.PoolArgs{Name: "web", Workers: 2})
				if err != nil {
					t.Fatal(err)
				}
				leave(t, ctx)
				time.Sleep(lingers / 3)
				if _, err := poolWho.Call(ctx, actor.To("web/1"), actor.None{}); !errors.Is(err, actor.ErrDown) {
					t.Fatalf("web/1 does not stop: %v", err)
				}
				for range 20 {
					if name, err := poolWho.Call(ctx, web, actor.None{}); name != "web/2" || err != nil {
						t.Fatalf("a call to the pool, of which one stops: %q, %v", name, err)
					}
				}
			})
		})
	}
}

// TestOthersFall: while all of a pool are stopped because one crashed, and until they
// are started again, calls to the pool and to its slots wait; none is handed to who
// stops.
func TestOthersFall(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		policy := &supervise.Policy{Strategy: supervise.OneForAll, Jitter: -1}
		web, err := arb.Pool(ctx, lingering, actor.PoolArgs{Name: "web", Workers: 3, Worker: actor.SpawnArgs{Restart: policy}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := poolPanic.Call(ctx, actor.To("web/2"), actor.None{}); !errors.Is(err, actor.ErrDown) {
			t.Fatal(err)
		}
		for _, to := range []actor.Ref{web, actor.To("web/1"), actor.To("web#key"), actor.To("web/3")} {
			if _, err := poolWho.Call(ctx, to, actor.None{}); err != nil {
				t.Errorf("a call to %s: %v", to, err)
			}
		}
	})
}

// TestNameOverRestart: who calls a slot by its name, again and again, does not notice
// that it is restarted, wherever the caller lives: a road that was found once leads to
// who has the name now.
func TestNameOverRestart(t *testing.T) {
	for _, where := range []string{"the arbiter", "a member"} {
		for _, of := range []string{"a pool", "a supervised actor"} {
			t.Run(where+" calls "+of, func(t *testing.T) {
				arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
					ctx := arb.Context()
					name := "web/1"
					if of == "a pool" {
						if _, err := arb.Pool(ctx, lingering, actor.PoolArgs{Name: "web", Workers: 2}); err != nil {
							t.Fatal(err)
						}
					} else {
						name = "tally"
						arb.Spawn(lingering, actor.Name(name), actor.Restart(supervise.Policy{}))
					}
					callers := ctx
					if where == "a member" {
						callers = arb.Join(poolKind, actor.JoinOptions{}).Context(ctx)
					}
					quit, result := make(chan struct{}), make(chan error, 2)
					for range cap(result) {
						go func() {
							for {
								select {
								case <-quit:
									result <- nil
									return
								default:
								}
								if got, err := poolSlow.Call(callers, actor.To(name), 10*time.Millisecond); got != name || err != nil {
									result <- err
									return
								}
							}
						}()
					}
					time.Sleep(time.Second)
					began := time.Now()
					if _, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To(name)); err != nil {
						t.Error(err)
					}
					if took := time.Since(began); took > lingers+time.Second {
						t.Errorf("the restart of an actor in use took %v", took)
					}
					time.Sleep(time.Second)
					close(quit)
					for range cap(result) {
						if err := <-result; err != nil {
							t.Errorf("a call failed: %v", err)
						}
					}
					in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(name))
					if err != nil || in.Info.Restarts != 1 || in.Info.State != "running" {
						t.Errorf("after it: %+v, %v", in.Info, err)
					}
				})
			})
		}
	}
}

// TestStartWaitsForTheOld: of an actor of which there can be one at a time the next
// does not begin before the one it replaces has ended, also if somebody says start.
func TestStartWaitsForTheOld(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		living := make(chan struct{}, 1)
		only := &actor.Kind[*poolWorker]{Name: "only", New: func(ctx context.Context) (*poolWorker, error) {
			select {
			case living <- struct{}{}:
			default:
				t.Error("there are two at a time")
			}
			return poolKind.New(ctx)
		}, Handlers: poolKind.Handlers, Stopping: func(*poolWorker, context.Context) {
			time.Sleep(lingers)
			<-living
		}}
		arb.Spawn(only, actor.Name("only"), actor.Restart(supervise.Policy{}))
		restart := actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("only"))
		time.Sleep(lingers / 3)
		began := time.Now()
		if _, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("only")); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took < lingers/2 {
			t.Errorf("start returned after %v", took)
		}
		if _, err := restart.Wait(); err != nil {
			t.Error(err)
		}
		// Nor does one that follows who was waiting.
		restart = actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("only"))
		time.Sleep(lingers / 3)
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("only"))
		if err != nil || in.Info.State != "waiting" {
			t.Fatalf("%+v, %v", in.Info, err)
		}
		if _, err := arb.Kill(ctx, actor.Ref{AID: in.Info.AID}); err != nil {
			t.Error(err)
		}
		if name, err := poolWho.Call(ctx, actor.To("only"), actor.None{}); name != "only" || err != nil {
			t.Errorf("%q, %v", name, err)
		}
		_, _ = restart.Wait() // the one it had made was killed
	})
}

// TestLeavingEndsWithThePool: a worker that was replaced, or for which there is no room
// any more, and that still has something to do, is one of its pool's until it has
// ended.
func TestLeavingEndsWithThePool(t *testing.T) {
	leave := map[string]func(ctx context.Context){
		"replaced": func(ctx context.Context) {
			actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("web"))
		},
		"shrunk": func(ctx context.Context) {
			actor.ScalePool.Start(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(0)})
		},
	}
	end := map[string]func(ctx context.Context) error{
		"kill": func(ctx context.Context) error {
			_, err := actor.KillActor.Call(ctx, actor.Arbiter, actor.To("web"))
			return err
		},
		"message stop": func(ctx context.Context) error {
			_, err := actor.Stop.Call(ctx, actor.To("web"), actor.None{})
			time.Sleep(10 * time.Second) // more than the grace
			return err
		},
	}
	for how, leave := range leave {
		for name, end := range end {
			t.Run(how+", "+name, func(t *testing.T) {
				arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
					ctx := arb.Context()
					newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 1})
					busy := poolSlow.Start(ctx, actor.To("web"), 20*time.Second)
					time.Sleep(time.Second)
					leave(ctx)
					time.Sleep(time.Second)
					if err := end(ctx); err != nil {
						t.Error(err)
					}
					for _, i := range ps(t, ctx) {
						if i.Kind == "pool-worker" {
							t.Errorf("its pool has ended, and %s (%s) has not", i.AID, i.State)
						}
					}
					if _, err := busy.Wait(); !errors.Is(err, actor.ErrDown) {
						t.Errorf("what it had to do: %v", err)
					}
					time.Sleep(20 * time.Second) // a goroutine is not ended by its actor's end
				})
			})
		}
	}
}

// TestFallenBeginTogether: of a group that falls together none begins again before the
// last of the lives before has ended, nor before the backoff is over; then all do.
func TestFallenBeginTogether(t *testing.T) {
	for name, test := range map[string]struct{ stop, backoff, want time.Duration }{
		"slow to stop": {3 * time.Second, 200 * time.Millisecond, 3 * time.Second},
		"slow backoff": {time.Second, 4 * time.Second, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				var mu sync.Mutex
				living, began := 0, []time.Time{}
				k := &actor.Kind[*poolWorker]{Name: "trio", Handlers: poolKind.Handlers, New: func(ctx context.Context) (*poolWorker, error) {
					mu.Lock()
					defer mu.Unlock()
					began = append(began, time.Now())
					if len(began) <= 3 {
						living++
					} else if living > 0 {
						t.Errorf("one begins while %d of the lives before go on", living)
					}
					return poolKind.New(ctx)
				}, Stopping: func(w *poolWorker, _ context.Context) {
					if w.name == "web/3" {
						time.Sleep(test.stop)
					}
					mu.Lock()
					defer mu.Unlock()
					living--
				}}
				policy := &supervise.Policy{Strategy: supervise.OneForAll, MinBackoff: test.backoff, Jitter: -1}
				if _, err := arb.Pool(ctx, k, actor.PoolArgs{Name: "web", Workers: 3, Worker: actor.SpawnArgs{Restart: policy}}); err != nil {
					t.Fatal(err)
				}
				crashed := time.Now()
				if _, err := poolPanic.Call(ctx, actor.To("web/1"), actor.None{}); !errors.Is(err, actor.ErrDown) {
					t.Fatal(err)
				}
				mu.Lock()
				living-- // who panics runs no hook
				mu.Unlock()
				time.Sleep(time.Minute)
				mu.Lock()
				again := slices.Clone(began[min(3, len(began)):])
				mu.Unlock()
				if len(again) != 3 {
					t.Fatalf("%d lives began again", len(again))
				}
				for _, at := range again {
					if at.Sub(crashed) != test.want {
						t.Errorf("one began %v after the crash, want %v", at.Sub(crashed), test.want)
					}
				}
				for _, i := range ps(t, ctx) {
					if strings.HasPrefix(i.Name, "web/") && (i.State != "running" || i.Restarts != 1) {
						t.Errorf("%s is %s, and was started again %d times", i.Name, i.State, i.Restarts)
					}
				}
			})
		})
	}
}

// TestFallenAndGone: who retires while the group falls is not started again, and the
// others do not wait for ever for who was stopped by hand.
func TestFallenAndGone(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		policy := &supervise.Policy{Strategy: supervise.OneForAll, Jitter: -1}
		if _, err := arb.Pool(ctx, lingering, actor.PoolArgs{Name: "web", Workers: 4, Worker: actor.SpawnArgs{Restart: policy}}); err != nil {
			t.Fatal(err)
		}
		if _, err := poolQuit.Call(ctx, actor.To("web/1"), actor.None{}); err != nil {
			t.Fatal(err)
		}
		stop := actor.StopActor.Start(ctx, actor.Arbiter, actor.To("web/4"))
		time.Sleep(lingers / 3)
		if _, err := poolPanic.Call(ctx, actor.To("web/2"), actor.None{}); !errors.Is(err, actor.ErrDown) {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := stop.Wait(); err != nil {
			t.Error(err)
		}
		want := map[string]string{"web/1": "done", "web/2": "running", "web/3": "running", "web/4": "stopped"}
		for _, i := range ps(t, ctx) {
			if w := want[i.Name]; w != "" && i.State != w {
				t.Errorf("%s is %s, want %s", i.Name, i.State, w)
			}
		}
	})
}

// TestProcessesGiveWay: what holds of goroutines holds of processes, which messages are
// on their way to: while one stops its pool's messages go to the other, and who calls a
// slot by its name does not notice that it is restarted.
func TestProcessesGiveWay(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	web, err := w.arb.Pool(w.ctx, Victim, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{In: "process"}})
	if err != nil {
		t.Fatal(err)
	}
	w.spawn(Victim, actor.Process(), actor.Name("tally"), actor.Restart(supervise.Policy{}))
	m := w.member(w.address("unix:"), Caller, actor.JoinOptions{})
	for who, ctx := range map[string]context.Context{"the arbiter": w.ctx, "a member": m.Context(w.ctx)} {
		for _, name := range []string{"web/1", "tally"} {
			quit := make(chan struct{})
			var calling sync.WaitGroup
			calls := 0
			calling.Go(func() {
				for {
					select {
					case <-quit:
						return
					default:
					}
					if n, err := Double.Call(ctx, actor.To(name), 4); n != 8 || err != nil {
						t.Errorf("%s calls %s: %d, %v", who, name, n, err)
						return
					}
					calls++
				}
			})
			for range 3 {
				if _, err := actor.RestartActor.Call(w.ctx, actor.Arbiter, actor.To(name)); err != nil {
					t.Error(err)
				}
			}
			close(quit)
			calling.Wait()
			t.Logf("%s has called %s %d times", who, name, calls)
		}
	}
	// One way, so that no call is unanswered; who stops finishes what it has.
	if err := Slow.Send(w.ctx, actor.To("web/1"), time.Second); err != nil {
		t.Fatal(err)
	}
	stop := actor.StopActor.Start(w.ctx, actor.Arbiter, actor.To("web/1"))
	eventually(t, "web/1 stops", func() bool { return w.inspect(t, actor.To("web/1")).Info.State == "stopping" })
	for range 20 {
		if n, err := Double.Call(w.ctx, web, 4); n != 8 || err != nil {
			t.Fatalf("a call to the pool, of which one stops: %d, %v", n, err)
		}
	}
	if _, err := stop.Wait(); err != nil {
		t.Error(err)
	}
}
