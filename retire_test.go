package arbiter_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/supervise"
)

// states are those of the workers of the pool web, by their names.
func states(t *testing.T, ctx context.Context) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, i := range ps(t, ctx) {
		if strings.HasPrefix(i.Name, "web/") {
			all[i.Name] = i.State
		}
	}
	return all
}

// TestRetireWhileReplaced: who retires while its successor starts is followed by nobody; a restart of the
// pool goes on with the others.
func TestRetireWhileReplaced(t *testing.T) {
	slow := slowKind(func(string) bool { return true })
	for name, restart := range map[string]func(ctx context.Context, result chan error){
		"restart": func(ctx context.Context, result chan error) {
			_, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
			if err == nil || !strings.Contains(err.Error(), "asked not to be started again") {
				err = errors.Join(errors.New("a restart of who has retired"), err)
			} else {
				err = nil
			}
			result <- err
		},
		"restart of all": func(ctx context.Context, result chan error) {
			done, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web"))
			if !slices.Equal(done, []string{"web/2"}) {
				err = errors.Join(errors.New("restarted were "+strings.Join(done, ", ")), err)
			}
			result <- err
		},
		"recycled": nil,
	} {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				args := actor.PoolArgs{Name: "web", Workers: 2}
				if restart == nil {
					args.Recycle = actor.Recycle{Age: 10 * time.Second, Jitter: -1}
				}
				if _, err := arb.Pool(ctx, slow, args); err != nil {
					t.Fatal(err)
				}
				result := make(chan error, 1)
				if restart == nil {
					time.Sleep(10*time.Second - slowBirth/2)
					result <- nil
				} else {
					go restart(ctx, result)
					time.Sleep(slowBirth / 2)
				}
				if _, err := poolQuit.Call(ctx, actor.To("web/1"), actor.None{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(3 * slowBirth)
				if s := states(t, ctx); s["web/1"] != "done" || s["web/2"] != "running" {
					t.Errorf("after it has retired: %v", s)
				}
				if err := <-result; err != nil {
					t.Error(err)
				}
				in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
				if err != nil || in.Info.Last == nil || in.Info.Last.Reason != "enough" {
					t.Errorf("web/1 ended with %+v, %v", in.Info.Last, err)
				}
				events, _ := actor.Events.Call(ctx, actor.Arbiter, actor.EventsArgs{})
				for _, e := range events {
					if e.Type == "recycle_failed" {
						t.Errorf("who retired was not recycled: %s", e.Text)
					}
				}
			})
		})
	}
}

// TestRetireAfterGivingWay: nor by one that was to begin after the end of who then says so, in an answer
// that it still had to give.
func TestRetireAfterGivingWay(t *testing.T) {
	last := actor.NewCommand[time.Duration, actor.None]("last")
	kind := &actor.Kind[*poolWorker]{
		Name: "one-shot", New: poolKind.New, Handlers: append(slices.Clone(poolKind.Handlers), actor.Handle(last, func(_ *poolWorker, ctx context.Context, d time.Duration) (none actor.None, _ error) {
			self, _ := actor.Current(ctx)
			time.Sleep(d)
			self.Retire("enough")
			return none, nil
		})),
	}
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		arb.Spawn(kind, actor.Name("only"), actor.Restart(supervise.Policy{}))
		answer := last.Start(ctx, actor.To("only"), 2*time.Second)
		time.Sleep(time.Second)
		restart := actor.RestartActor.Start(ctx, actor.Arbiter, actor.To("only"))
		time.Sleep(time.Second / 2)
		waits := poolWho.Start(ctx, actor.To("only"), actor.None{})
		if _, err := answer.Wait(); err != nil {
			t.Errorf("the answer: %v", err)
		}
		if _, err := restart.Wait(); err == nil || !strings.Contains(err.Error(), "asked not to be started again") {
			t.Errorf("a restart of who has retired: %v", err)
		}
		if name, err := waits.Wait(); !errors.Is(err, actor.ErrDown) {
			t.Errorf("what was sent to who was to follow: %q, %v", name, err)
		}
		if name, err := poolWho.Call(ctx, actor.To("only"), actor.None{}); err == nil {
			t.Errorf("a call to who has retired was answered by %q", name)
		}
	})
}

// TestNameOfTheEnded: the name of a supervised actor that has ended for good is free, whatever it ended of,
// and nothing of it is left.
func TestNameOfTheEnded(t *testing.T) {
	for how, test := range map[string]struct {
		policy supervise.Policy
		end    actor.Command[actor.None, actor.None]
	}{
		"it retires":                       {supervise.Policy{Restart: supervise.Always}, poolQuit},
		"it stops, and has not failed":     {supervise.Policy{}, poolLeave},
		"it crashes, and restart is never": {supervise.Policy{Restart: supervise.Never}, poolPanic},
	} {
		t.Run(how, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				spawn := func(o ...actor.SpawnOption) actor.Ref {
					return arb.Spawn(lingering, append(o, actor.Restart(test.policy))...)
				}
				end := func(of actor.Ref) {
					_, _ = test.end.Call(ctx, of, actor.None{})
				}
				first := spawn(actor.Name("only"))
				end(first)
				second := spawn(actor.GetOrCreate("only")) // which waits for its end
				if second.AID == first.AID {
					t.Error("who had ended was got")
				}
				if name, err := poolWho.Call(ctx, actor.To("only"), actor.None{}); name != "only" || err != nil {
					t.Errorf("a call: %q, %v", name, err)
				}
				end(second)
				time.Sleep(2 * lingers)
				if name, err := poolWho.Call(ctx, actor.To("only"), actor.None{}); err == nil {
					t.Errorf("a call to who has ended: %q", name)
				}
				for _, i := range ps(t, ctx) {
					if i.Name == "only" {
						t.Errorf("it has ended for good, and is listed as %s", i.State)
					}
				}
				in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To("only"))
				if err != nil || in.Death == nil {
					t.Errorf("how it ended: %+v, %v", in.Death, err)
				}
				spawn(actor.Name("only"))
			})
		})
	}
}

// TestNameOfTheStopped: who was stopped by hand, or given up, keeps its name, to be started; whoever wants
// that name is told so, and a kill frees it.
func TestNameOfTheStopped(t *testing.T) {
	for how, end := range map[string]func(ctx context.Context) error{
		"was stopped": func(ctx context.Context) error {
			_, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("only"))
			return err
		},
		"was given up": func(ctx context.Context) error {
			if _, err := poolPanic.Call(ctx, actor.To("only"), actor.None{}); !errors.Is(err, actor.ErrDown) {
				return err
			}
			return nil
		},
	} {
		t.Run(how, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				arb.Spawn(poolKind, actor.Name("only"), actor.Restart(supervise.Policy{MaxCrashes: 1}))
				for range 2 {
					if err := end(ctx); err != nil {
						t.Fatal(err)
					}
					for _, option := range []actor.SpawnOption{actor.Name("only"), actor.GetOrCreate("only"), actor.AID("only")} {
						_, err := arb.Arbiter.Spawn(ctx, poolKind, option)
						if !errors.Is(err, actor.ErrExists) || !strings.Contains(err.Error(), how+": start it again, or kill it") {
							t.Errorf("another of its name: %v", err)
						}
					}
					if _, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("only")); err != nil {
						t.Errorf("its start: %v", err)
					}
				}
				if err := end(ctx); err != nil {
					t.Fatal(err)
				}
				if _, err := arb.Kill(ctx, actor.To("only")); err != nil {
					t.Errorf("a kill of who is not there: %v", err)
				}
				arb.Spawn(poolKind, actor.Name("only"))
			})
		})
	}
}

// TestStartOfTheEnding: a start that waits for the end of who stops by itself keeps its name for who follows;
// one that gives up leaves it free.
func TestStartOfTheEnding(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		old := arb.Spawn(lingering, actor.Name("only"), actor.Restart(supervise.Policy{}))
		leave := func() {
			if _, err := poolLeave.Call(ctx, actor.To("only"), actor.None{}); err != nil {
				t.Fatal(err)
			}
		}
		leave()
		ref, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("only"))
		if err != nil {
			t.Errorf("start: %v, %v", ref, err)
		}
		runsAnew(t, ctx, "only", old.AID)
		leave()
		soon, cancel := context.WithTimeout(ctx, lingers/3)
		defer cancel()
		if _, err := actor.StartActor.Call(soon, actor.Arbiter, actor.To("only")); !errors.Is(err, actor.ErrDeadline) {
			t.Errorf("a start that gives up: %v", err)
		}
		time.Sleep(lingers)
		arb.Spawn(poolKind, actor.Name("only"))
	})
}

// TestRetireOfWhoStops: who says that it is not to be started again is not, also where it has been asked
// to stop before.
func TestRetireOfWhoStops(t *testing.T) {
	work := actor.NewCommand[actor.None, actor.None]("work")
	retire := func(_ actor.None, ctx context.Context) {
		self, _ := actor.Current(ctx)
		self.Retire("all is done")
	}
	kind := func(stopping func(actor.None, context.Context), then func(actor.None, context.Context)) *actor.Kind[actor.None] {
		return &actor.Kind[actor.None]{Name: "worker", Stopping: stopping, Handlers: []actor.Handler[actor.None]{
			actor.On(work, func(s actor.None, ctx context.Context, _ actor.None) error {
				self, _ := actor.Current(ctx)
				self.Stop("that was it")
				if then != nil {
					then(s, ctx)
				}
				return nil
			}),
		}}
	}
	for name, kind := range map[string]*actor.Kind[actor.None]{
		"in the handler": kind(nil, retire), "in the hook": kind(retire, nil), "never": kind(nil, nil),
	} {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				policy := supervise.Policy{Restart: supervise.Always}
				first := arb.Spawn(kind, actor.Name("alone"), actor.Restart(policy))
				if _, err := arb.Pool(ctx, kind, actor.PoolArgs{Name: "web", Workers: 1, Worker: actor.SpawnArgs{Restart: &policy}}); err != nil {
					t.Fatal(err)
				}
				for _, who := range []string{"alone", "web/1"} {
					if _, err := work.Call(ctx, actor.To(who), actor.None{}); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Minute)
					if _, err := actor.Ping.Call(ctx, actor.To(who), actor.None{}); (err == nil) != (name == "never") {
						t.Errorf("%s, a minute later: %v", who, err)
					}
				}
				if _, err := actor.Ping.Call(ctx, first, actor.None{}); err == nil {
					t.Error("its first life goes on")
				}
			})
		})
	}
}
