package actor_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

var (
	Note  = actor.NewCommand[string, none]("note", actor.NoAck())
	Block = actor.NewCommand[none, none]("block")
	Blow  = actor.NewCommand[string, none]("blow")
)

// block waits for the end of its context.
var block = actor.Handle(Block, func(_ none, ctx context.Context, _ none) (none, error) {
	<-ctx.Done()
	return none{}, ctx.Err()
})

// blow panics in the way it is told.
var blow = actor.Handle(Blow, func(_ none, _ context.Context, how string) (none, error) {
	blowUp(how)
	return none{}, nil
})

func blowUp(how string) {
	switch how {
	case "error":
		panic(errors.New("an error's text"))
	case "nil":
		panic(any(nil))
	case "goexit":
		runtime.Goexit()
	case "index":
		var s []int
		_ = s[len(how)]
	default:
		panic(how)
	}
}

// waysToBlow are the ways, and what is said of each.
var waysToBlow = map[string]string{
	"text": "text", "error": "an error's text", "nil": "nil", "goexit": "runtime.Goexit", "index": "index out of range",
}

// frail is an error that is not to be asked whether it is another.
type frail struct{ text string }

func (f *frail) Error() string { return f.text }
func (f *frail) As(any) bool   { panic("no target is as good") }

// An actor that starts is not stopped by a wish for the case that it could not.
func TestDoNotRestartNothing(t *testing.T) {
	if err := actor.DoNotRestart(nil); err != nil {
		t.Errorf("%T, want nil", err)
	}
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		kind := &actor.Kind[none]{Name: "sound", Started: func(none, context.Context) error { return actor.DoNotRestart(nil) }}
		if _, err := actor.Ping.Call(a.Context(), a.Spawn(kind), none{}); err != nil {
			t.Error(err)
		}
	})
}

// An actor that cannot start is told of to its spawner, leaves its name free, and
// its stop hook does not run: there is nothing to stop.
func TestStartFails(t *testing.T) {
	starts := map[string]struct {
		kind func(k *actor.Kind[none])
		text string
	}{
		"New errs": {func(k *actor.Kind[none]) {
			k.New = func(context.Context) (none, error) { return none{}, errors.New("no disk") }
		}, "no disk"},
		"Started errs": {func(k *actor.Kind[none]) {
			k.Started = func(none, context.Context) error { return errors.New("no network") }
		}, "no network"},
		"an error that is a nil pointer": {func(k *actor.Kind[none]) {
			k.New = func(context.Context) (none, error) { var lost *frail; return none{}, lost }
		}, "*actor_test.frail, cannot be asked: panic: runtime error: invalid memory address or nil pointer dereference; is it a nil pointer"},
		"an error whose As panics": {func(k *actor.Kind[none]) {
			k.Started = func(none, context.Context) error { return &frail{"all is lost"} }
		}, "*actor_test.frail, cannot be asked: panic: no target is as good"},
	}
	for how, text := range waysToBlow {
		starts["New blows "+how] = struct {
			kind func(k *actor.Kind[none])
			text string
		}{func(k *actor.Kind[none]) {
			k.New = func(context.Context) (none, error) { blowUp(how); return none{}, nil }
		}, text}
		starts["Started blows "+how] = struct {
			kind func(k *actor.Kind[none])
			text string
		}{func(k *actor.Kind[none]) { k.Started = func(none, context.Context) error { blowUp(how); return nil } }, text}
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
				stopped := &journal{}
				kind := &actor.Kind[none]{Name: "broken", Stopping: func(none, context.Context) { stopped.add("stopping") }}
				start.kind(kind)
				began := time.Now()
				_, err := a.Arbiter.Spawn(a.Context(), kind, actor.Name("it"))
				wantDown(t, "spawn", err, actor.CauseStart, "could not start", start.text)
				if took := time.Since(began); took != 0 {
					t.Errorf("it took %v to be told", took)
				}
				if _, err := actor.Call[string](a.Context(), "it", "ping"); !errors.Is(err, actor.ErrUnknownActor) {
					t.Errorf("its name: %v, want unknown", err)
				}

				m := a.Join(kind, actor.JoinOptions{})
				<-m.Done()
				wantDown(t, "joined", m.Err(), actor.CauseStart, start.text)
				if took := time.Since(began); took != 0 {
					t.Errorf("it took %v to be told, joined", took)
				}
				stopped.want(t, "the stop hooks of what never was")
			})
		})
	}
}

// What does not get ready is killed: when the start's time is up, or when the
// spawner gives up.
func TestStartHangs(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		ended := &journal{}
		kind := &actor.Kind[none]{
			Name: "slow", Started: func(_ none, ctx context.Context) error {
				<-ctx.Done()
				ended.add(ctx.Err().Error())
				return nil
			},
			Stopping: func(none, context.Context) { ended.add("stopping") },
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(a.Context(), time.Hour)
		defer cancel()
		_, err := a.Arbiter.Spawn(ctx, kind, actor.Name("it"))
		wantDown(t, "spawn", err, actor.CauseStart, "not ready after 30s")
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("it was told after %v", took)
		}
		began = time.Now()
		short, cancel := context.WithTimeout(a.Context(), time.Second)
		defer cancel()
		if _, err := a.Arbiter.Spawn(short, kind, actor.Name("it")); !errors.Is(err, actor.ErrDeadline) {
			t.Errorf("a spawner that gave up: %v", err)
		}
		if took := time.Since(began); took > time.Second+50*time.Millisecond {
			t.Errorf("it was told after %v", took)
		}
		synctest.Wait()
		ended.want(t, "the contexts of the start hooks", "context canceled", "context canceled")
		if _, err := actor.Call[string](a.Context(), "it", "ping"); !errors.Is(err, actor.ErrUnknownActor) {
			t.Errorf("its name: %v, want unknown", err)
		}
	})
}

// Messages wait while an actor starts, the start hook comes first, and ping is
// answered meanwhile.
func TestMessagesWaitForStart(t *testing.T) {
	everywhere(t, func(w *world) {
		happened := &journal{}
		kind := &actor.Kind[none]{
			Name: "slow",
			Started: func(none, context.Context) error {
				time.Sleep(time.Second)
				happened.add("started")
				return nil
			},
			Handlers: []actor.Handler[none]{
				actor.On(Note, func(_ none, _ context.Context, text string) error { happened.add(text); return nil }),
			},
		}
		spawned := make(chan struct{})
		go func() {
			defer close(spawned)
			if w.place == "goroutine" {
				if _, err := w.Arbiter.Arbiter.Spawn(w.Context(), kind, actor.Name("it")); err != nil {
					w.t.Error(err)
				}
				return
			}
			w.Join(kind, actor.JoinOptions{Name: "it"})
		}()
		synctest.Wait()
		if err := Note.Send(w.ctx, actor.To("it"), "first"); err != nil {
			w.t.Error(err)
		}
		if pong, err := actor.Ping.Call(w.within(time.Millisecond), actor.To("it"), none{}); pong != "pong" || err != nil {
			w.t.Errorf("ping: %q, %v", pong, err)
		}
		if info, err := actor.GetInfo.Call(w.ctx, actor.To("it"), none{}); info.State != "starting" || err != nil {
			w.t.Errorf("info: %q, %v", info.State, err)
		}
		if v, err := actor.Echo.Call(w.ctx, actor.To("it"), "hello"); v != "hello" || err != nil {
			w.t.Errorf("echo: %v, %v", v, err)
		}
		<-spawned
		happened.want(w.t, "it", "started", "first")
	})
}

// The stop hook runs once, after all that was accepted, when an actor is asked to
// stop; what comes later is told that it stopped.
func TestStopping(t *testing.T) {
	everywhere(t, func(w *world) {
		happened := &journal{}
		kind := &actor.Kind[none]{
			Name: "tidy",
			Handlers: []actor.Handler[none]{
				actor.On(Note, func(_ none, _ context.Context, text string) error {
					time.Sleep(time.Second)
					happened.add(text)
					return nil
				}),
			},
			Stopping: func(_ none, ctx context.Context) {
				self, _ := actor.Current(ctx)
				time.Sleep(time.Second)
				happened.add("stopping " + self.Kind())
			},
		}
		s := w.put(kind)
		for _, text := range []string{"a", "b"} {
			if err := Note.Send(w.ctx, s, text); err != nil {
				w.t.Fatal(err)
			}
		}
		synctest.Wait()
		ended := make(chan actor.Ended, 1)
		if _, err := actor.Watch(w.ctx, s, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
			w.t.Fatal(err)
		}
		for range 3 {
			if err := actor.Stop.Send(w.ctx, s, none{}); err != nil {
				w.t.Error(err)
			}
		}
		synctest.Wait()
		_, err := actor.Echo.Call(w.ctx, s, 1)
		wantDown(w.t, "a call to who is stopping", err, actor.CauseStopped)
		var e *actor.Error
		if errors.As(err, &e); e.Started != actor.StartedNo {
			w.t.Errorf("a call to who is stopping certainly did not start: %v", err)
		}
		if info, err := actor.GetInfo.Call(w.ctx, s, none{}); info.State != "stopping" || err != nil {
			w.t.Errorf("info: %q, %v", info.State, err)
		}
		if e := <-ended; e.Cause != actor.CauseStopped || !strings.Contains(e.Reason, "asked to") {
			w.t.Errorf("it ended: %+v", e)
		}
		happened.want(w.t, "it", "a", "b", "stopping tidy")
	})
}

// Nothing but a stop runs the stop hook.
func TestNoStopping(t *testing.T) {
	everywhere(t, func(w *world) {
		happened := &journal{}
		kind := &actor.Kind[none]{
			Name: "rough", Handlers: []actor.Handler[none]{block, blow},
			Stopping: func(none, context.Context) { happened.add("stopping") },
		}
		for how, text := range waysToBlow {
			_, err := Blow.Call(w.ctx, w.put(kind), how)
			wantDown(w.t, how, err, actor.CausePanic, text)
		}
		s := w.put(kind)
		p := Block.Start(w.ctx, s, none{})
		synctest.Wait()
		if d, err := actor.KillActor.Call(w.ctx, actor.Arbiter, s); d.Cause != actor.CauseKilled || err != nil {
			w.t.Errorf("kill: %+v, %v", d, err)
		}
		_, err := p.Wait()
		wantDown(w.t, "killed", err, actor.CauseKilled)
		synctest.Wait()
		if w.place == "goroutine" { // one that joined only learns that its connection is gone, and tidies up
			happened.want(w.t, "the stop hooks")
		}
	})
}

// A stop hook that panics, exits its goroutine or takes too long is still the end.
func TestStoppingFails(t *testing.T) {
	everywhere(t, func(w *world) {
		for how, text := range waysToBlow {
			calls := &journal{}
			m := &actor.Kind[none]{Name: "blows-" + how, Stopping: func(none, context.Context) { calls.add("stopping"); blowUp(how) }}
			s := w.put(m)
			ended := make(chan actor.Ended, 1)
			if _, err := actor.Watch(w.ctx, s, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
				w.t.Fatal(err)
			}
			began := time.Now()
			if err := actor.Stop.Send(w.ctx, s, none{}); err != nil {
				w.t.Fatal(err)
			}
			if e := <-ended; e.Cause != actor.CausePanic || !strings.Contains(e.Reason, text) {
				w.t.Errorf("%s: %+v", how, e)
			}
			if took := time.Since(began); took != 0 {
				w.t.Errorf("%s: told after %v", how, took)
			}
			calls.want(w.t, how, "stopping")
		}
		ended := make(chan actor.Ended, 1)
		over := make(chan error, 1)
		hangs := w.put(&actor.Kind[none]{Name: "hangs", Grace: 7 * time.Second, Stopping: func(_ none, ctx context.Context) { <-ctx.Done(); over <- ctx.Err() }})
		if _, err := actor.Watch(w.ctx, hangs, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
			w.t.Fatal(err)
		}
		began := time.Now()
		if err := actor.Stop.Send(w.ctx, hangs, none{}); err != nil {
			w.t.Fatal(err)
		}
		if e := <-ended; e.Cause != actor.CauseHung {
			w.t.Errorf("a hook that hangs: %+v", e)
		}
		if took := time.Since(began); took != 7*time.Second {
			w.t.Errorf("a grace of 7s was over after %v", took)
		}
		if err := <-over; !errors.Is(err, context.Canceled) {
			w.t.Errorf("the hook's context: %v", err)
		}
	})
}

// A stop hook may still send and call.
func TestStoppingSends(t *testing.T) {
	everywhere(t, func(w *world) {
		happened := &journal{}
		heir := w.put(&actor.Kind[none]{Name: "heir", Handlers: []actor.Handler[none]{
			actor.On(Note, func(_ none, _ context.Context, text string) error { happened.add(text); return nil }),
		}})
		s := w.put(&actor.Kind[none]{Name: "testator", Stopping: func(_ none, ctx context.Context) {
			if err := Note.Send(ctx, heir, "all I have"); err != nil {
				t.Error(err)
			}
			if v, err := actor.Echo.Call(ctx, heir, "thanks"); v != "thanks" || err != nil {
				t.Errorf("%v, %v", v, err)
			}
		}})
		if err := actor.Stop.Send(w.ctx, s, none{}); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		happened.want(w.t, "the heir", "all I have")
	})
}

// A stop while the start hook runs lets it finish within the grace: then the stop
// hook runs, and the spawner is told that the actor stopped.
func TestStopWhileStarting(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		happened := &journal{}
		kind := &actor.Kind[none]{
			Name: "slow", Grace: 20 * time.Second,
			Started:  func(none, context.Context) error { time.Sleep(10 * time.Second); happened.add("started"); return nil },
			Stopping: func(none, context.Context) { happened.add("stopping") },
		}
		go func() {
			time.Sleep(time.Second)
			if err := actor.Stop.Send(a.Context(), actor.To("it"), none{}); err != nil {
				t.Error(err)
			}
		}()
		_, err := a.Arbiter.Spawn(a.Context(), kind, actor.Name("it"))
		wantDown(t, "spawn", err, actor.CauseStopped)
		happened.want(t, "it", "started", "stopping")
	})
}

// An actor may stop itself; the handler it does it in is still answered.
func TestStopsItself(t *testing.T) {
	everywhere(t, func(w *world) {
		leave := actor.NewCommand[none, string]("leave")
		s := w.put(&actor.Kind[none]{Name: "leaver", Handlers: []actor.Handler[none]{
			actor.Handle(leave, func(_ none, ctx context.Context, _ none) (string, error) {
				self, ok := actor.Current(ctx)
				if !ok {
					return "", errors.New("nobody")
				}
				self.Stop("enough")
				return "bye", nil
			}),
		}})
		ended := make(chan actor.Ended, 1)
		if _, err := actor.Watch(w.ctx, s, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
			w.t.Fatal(err)
		}
		if bye, err := leave.Call(w.ctx, s, none{}); bye != "bye" || err != nil {
			w.t.Errorf("%q, %v", bye, err)
		}
		if e := <-ended; e.Cause != actor.CauseStopped || e.Reason != "enough" {
			w.t.Errorf("%+v", e)
		}
	})
}

// The contexts of an actor's own goroutines end with it.
func TestLifeEnds(t *testing.T) {
	everywhere(t, func(w *world) {
		over := make(chan error, 1)
		s := w.put(&actor.Kind[none]{Name: "busy", Started: func(_ none, ctx context.Context) error {
			self, _ := actor.Current(ctx)
			life := self.Context()
			go func() {
				if me, ok := actor.Current(life); !ok || me.Ref() != self.Ref() {
					t.Errorf("whose life is it: %v, %v", me, ok)
				}
				<-life.Done()
				over <- life.Err()
			}()
			return nil
		}})
		select {
		case err := <-over:
			w.t.Fatalf("it is over before its actor is: %v", err)
		default:
		}
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, s); err != nil {
			w.t.Fatal(err)
		}
		if err := <-over; !errors.Is(err, context.Canceled) {
			w.t.Errorf("%v", err)
		}
	})
}
