package actor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// clock writes down when things happen, in time since it was made.
type clock struct {
	journal
	began time.Time
}

func newClock() *clock { return &clock{began: time.Now()} }

func (c *clock) tick(what string) {
	c.add(fmt.Sprintf("%s at %v", what, time.Since(c.began)))
}

var (
	Do   = actor.NewCommand[int, none]("do")
	Busy = actor.NewCommand[time.Duration, none]("busy")
)

// doer answers Do with do, and Busy by keeping its turn.
func doer(name string, do func(ctx context.Context, n int) error) *actor.Kind[none] {
	return &actor.Kind[none]{Name: name, Handlers: []actor.Handler[none]{
		actor.On(Do, func(_ none, ctx context.Context, n int) error { return do(ctx, n) }),
		actor.On(Busy, func(_ none, _ context.Context, d time.Duration) error { time.Sleep(d); return nil }),
	}}
}

// A timer's turn is one of the actor's own: it knows whose it is, nobody called,
// it has no deadline, and its context ends with it.
func TestAfter(t *testing.T) {
	everywhere(t, func(w *world) {
		c := newClock()
		var kept context.Context
		s := w.put(doer("timer", func(ctx context.Context, _ int) error {
			actor.After(ctx, 10*time.Minute, func(ctx context.Context) {
				c.tick("fired")
				kept = ctx
				if _, ok := actor.Current(ctx); !ok {
					t.Error("a timer without its actor")
				}
				if from, ok := actor.Caller(ctx); ok {
					t.Errorf("a timer was called by %v", from)
				}
				if d, ok := ctx.Deadline(); ok {
					t.Errorf("a timer has the deadline %v", d)
				}
				if err := ctx.Err(); err != nil {
					t.Errorf("a timer's context: %v", err)
				}
			})
			return nil
		}))
		if _, err := Do.Call(w.ctx, s, 0); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		c.want(w.t, "the timer", "fired at 10m0s")
		if kept == nil || !errors.Is(kept.Err(), context.Canceled) {
			w.t.Error("the context of a timer's turn goes on after it")
		}
	})
}

// A timer that was stopped never fires: neither before it is due nor when it is
// due and waits for the turn of the handler that stops it.
func TestTimerStop(t *testing.T) {
	everywhere(t, func(w *world) {
		c := newClock()
		var once, again actor.Timer
		s := w.put(doer("timer", func(ctx context.Context, n int) error {
			switch n {
			case 0:
				once = actor.After(ctx, time.Minute, func(context.Context) { c.tick("once") })
				again = actor.Every(ctx, time.Minute, func(context.Context) { c.tick("again") })
			case 1:
				once.Stop()
				again.Stop()
			case 2: // both come due while this handler has the turn
				time.Sleep(90 * time.Second)
				once.Stop()
				again.Stop()
				again.Stop()
			}
			return nil
		}))
		for _, n := range []int{0, 1, 0, 2} {
			if _, err := Do.Call(w.within(time.Hour), s, n); err != nil {
				w.t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		c.want(w.t, "timers that were stopped")
		actor.Timer{}.Stop() // the zero Timer has nothing to stop
	})
}

// A timer ends with its actor, however that ends, and one that is made afterwards
// never fires.
func TestTimerOfTheDead(t *testing.T) {
	for _, end := range []string{"stop", "kill", "panic"} {
		t.Run(end, func(t *testing.T) {
			everywhere(t, func(w *world) {
				c := newClock()
				var life context.Context
				s := w.put(doer("timer", func(ctx context.Context, n int) error {
					if n == 1 {
						panic("at once")
					}
					self, _ := actor.Current(ctx)
					life = self.Context()
					actor.After(ctx, time.Minute, func(context.Context) { c.tick("once") })
					actor.Every(ctx, time.Minute, func(context.Context) { c.tick("again") })
					return nil
				}))
				if _, err := Do.Call(w.ctx, s, 0); err != nil {
					w.t.Fatal(err)
				}
				switch end {
				case "stop":
					if err := actor.Stop.Send(w.ctx, s, none{}); err != nil {
						w.t.Error(err)
					}
				case "kill":
					if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, s); err != nil {
						w.t.Error(err)
					}
				case "panic":
					_, err := Do.Call(w.ctx, s, 1)
					wantDown(w.t, "panic", err, actor.CausePanic)
				}
				synctest.Wait()
				late := actor.After(life, time.Second, func(context.Context) { c.tick("late") })
				time.Sleep(5 * time.Minute)
				late.Stop()
				c.want(w.t, "the dead")
			})
		})
	}
}

// panicOf returns the text of f's panic, "" if there is none.
func panicOf(f func()) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprint(p)
		}
	}()
	f()
	return ""
}

// What cannot be meant panics where it is said, with what it is.
func TestNotMeant(t *testing.T) {
	ctx, nothing := t.Context(), func(context.Context) {}
	for want, f := range map[string]func(){
		"actor: a timer belongs to an actor":                           func() { actor.After(ctx, time.Second, nothing) },
		"actor: After has nothing to do: its function is nil":          func() { actor.After(ctx, time.Second, nil) },
		"actor: Every has nothing to do: its function is nil":          func() { actor.Every(ctx, time.Second, nil) },
		"actor: the interval of Every is 0s, and must be more than 0":  func() { actor.Every(ctx, 0, nothing) },
		"actor: the interval of Every is -1s, and must be more than 0": func() { actor.Every(ctx, -time.Second, nothing) },
		"actor: Watch has nobody to tell: its function is nil":         func() { _, _ = actor.Watch(ctx, actor.Arbiter, nil) },
	} {
		if got := panicOf(f); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	self, ok := actor.Current(ctx)
	if ok || fmt.Sprint(self) != "nobody" {
		t.Errorf("outside of actors there is %v", self)
	}
	for name, f := range map[string]func(){
		"Ref": func() { self.Ref() }, "Kind": func() { _ = self.Kind() }, "Stop": func() { self.Stop("") }, "Retire": func() { self.Retire("") },
		"Context": func() { self.Context() }, "Config": func() { self.Config("a") }, "SetConfig": func() { self.SetConfig("a", 1) },
	} {
		if got := panicOf(f); !strings.HasPrefix(got, "actor: this Self is nobody: Current has returned false") {
			t.Errorf("%s of nobody: %q", name, got)
		}
	}
	new(actor.Pending[int]).Cancel() // there is nothing to cancel
	everywhere(t, func(w *world) {   // it is the end of whose handler says it, and of nobody else
		s := w.put(doer("hasty", func(ctx context.Context, _ int) error {
			actor.Every(ctx, 0, func(context.Context) {})
			return nil
		}))
		_, err := Do.Call(w.ctx, s, 0)
		wantDown(w.t, "Every 0", err, actor.CausePanic, "the interval of Every is 0s")
	})
}

// A panic in a timer is the actor's death.
func TestTimerPanics(t *testing.T) {
	everywhere(t, func(w *world) {
		s := w.put(doer("timer", func(ctx context.Context, _ int) error {
			actor.After(ctx, time.Second, func(context.Context) { panic("tick tock") })
			return nil
		}))
		ended := make(chan actor.Ended, 1)
		if _, err := actor.Watch(w.ctx, s, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
			w.t.Fatal(err)
		}
		if _, err := Do.Call(w.ctx, s, 0); err != nil {
			w.t.Fatal(err)
		}
		if e := <-ended; e.Cause != actor.CausePanic || e.Reason != "tick tock" {
			w.t.Errorf("%+v", e)
		}
	})
}

// A periodic task keeps its interval. One that is slower than that does not pile
// up: a turn that comes due while one waits is left out. It takes turns with
// messages, and ends with the actor.
func TestPeriodic(t *testing.T) {
	everywhere(t, func(w *world) {
		c := newClock()
		kind := doer("periodic", func(context.Context, int) error { c.tick("message"); return nil })
		kind.Periodic = []actor.Task[none]{{Every: time.Minute, Do: func(none, context.Context) { c.tick("task") }}}
		s := w.put(kind)
		time.Sleep(2*time.Minute + time.Second)
		synctest.Wait()
		c.want(w.t, "two minutes", "task at 1m0s", "task at 2m0s")

		// The turn is kept until 6m30s: of those due at 3, 4, 5 and 6 one is done.
		if _, err := Busy.Call(w.within(time.Hour), s, 4*time.Minute+29*time.Second); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := c.all()[2:]; !slices.Equal(got, []string{"task at 6m30s", "task at 7m0s"}) {
			w.t.Errorf("after it was busy: %q", got)
		}
		if err := actor.Stop.Send(w.ctx, s, none{}); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := c.all(); len(got) != 4 {
			w.t.Errorf("after it was stopped: %q", got[4:])
		}
	})
}

// A task that is itself slower than its interval runs again and again, one at a
// time, and never has more than one waiting.
func TestSlowPeriodic(t *testing.T) {
	everywhere(t, func(w *world) {
		c := newClock()
		running := 0
		s := w.put(&actor.Kind[none]{Name: "slow", Periodic: []actor.Task[none]{{Every: time.Minute, Do: func(none, context.Context) {
			running++
			if running != 1 {
				t.Errorf("%d of a task at a time", running)
			}
			c.tick("task")
			time.Sleep(150 * time.Second)
			running--
		}}}})
		time.Sleep(9*time.Minute + time.Second)
		synctest.Wait()
		info, err := actor.GetInfo.Call(w.ctx, s, none{})
		if err != nil || info.Inbox > 1 {
			w.t.Errorf("%d turns wait, %v", info.Inbox, err)
		}
		c.want(w.t, "the task", "task at 1m0s", "task at 3m30s", "task at 6m0s", "task at 8m30s")
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, s); err != nil {
			w.t.Error(err)
		}
		time.Sleep(5 * time.Minute)
	})
}

// The periodic tasks begin when the start hook is done.
func TestPeriodicAfterStart(t *testing.T) {
	everywhere(t, func(w *world) {
		c := newClock()
		w.put(&actor.Kind[none]{
			Name:     "late",
			Started:  func(none, context.Context) error { time.Sleep(10 * time.Second); return nil },
			Periodic: []actor.Task[none]{{Every: 4 * time.Second, Do: func(none, context.Context) { c.tick("task") }}},
		})
		time.Sleep(time.Until(c.began.Add(15 * time.Second)))
		synctest.Wait()
		c.want(w.t, "the task", "task at 14s")
	})
}
