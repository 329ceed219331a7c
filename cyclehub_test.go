package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/supervise"
)

// A parent does, in its handler, what it is told; what it starts calls it back, before it is ready.
var (
	Undertake = actor.NewCommand[string, actor.None]("undertake")

	Parent      = &actor.Kind[actor.None]{Name: "parent", Handlers: []actor.Handler[actor.None]{actor.Handle(Undertake, undertake)}}
	LooseParent = &actor.Kind[actor.None]{Name: "loose", Mode: actor.Interleaved, Handlers: []actor.Handler[actor.None]{actor.Handle(Undertake, undertake)}}

	Clinger = &actor.Kind[actor.None]{Name: "clinger", Started: func(_ actor.None, ctx context.Context) error {
		self, _ := actor.Current(ctx)
		of, _ := self.Config("of")
		_, err := Undertake.Call(ctx, actor.To(of.(string)), "nothing")
		return err
	}}
)

func undertake(_ actor.None, ctx context.Context, what string) (_ actor.None, err error) {
	self, _ := actor.Current(ctx)
	clinger := actor.SpawnArgs{Kind: "clinger", Extra: map[string]any{"of": self.Ref().AID}}
	if what, to, names := strings.Cut(what, " "); names {
		switch what {
		case "call":
			_, err = Undertake.Call(ctx, actor.To(to), "nothing")
			return actor.None{}, err
		case "ping":
			_, err = actor.Ping.Call(ctx, actor.To(to), actor.None{})
			return actor.None{}, err
		case "end":
			_, err = actor.StopActor.Call(ctx, actor.Arbiter, actor.To(to))
			return actor.None{}, err
		}
	}
	switch what {
	case "spawn":
		_, err = actor.SpawnActor.Call(ctx, actor.Arbiter, clinger)
	case "spawn a process":
		clinger.In = "process"
		_, err = actor.SpawnActor.Call(ctx, actor.Arbiter, clinger)
	case "pool":
		clinger.Restart = &supervise.Policy{Restart: supervise.Never}
		_, err = actor.SpawnPool.Call(ctx, actor.Arbiter, actor.PoolArgs{Name: "clingers-" + self.Ref().AID, Workers: 2, Worker: clinger})
	case "stop":
		_, err = actor.StopActor.Call(ctx, actor.Arbiter, self.Ref())
	case "restart":
		_, err = actor.RestartActor.Call(ctx, actor.Arbiter, self.Ref())
	case "stop in a timer":
		actor.After(ctx, time.Millisecond, func(ctx context.Context) {
			_, err := actor.StopActor.Call(ctx, actor.Arbiter, self.Ref())
			_, _ = actor.Config.Call(ctx, self.Ref(), actor.ConfigArgs{Op: "set", Name: "timer", Value: fmt.Sprint(err)})
		})
	case "stop the pool":
		_, err = actor.StopActor.Call(ctx, actor.Arbiter, actor.To(strings.Split(self.Ref().Name, "/")[0]))
	case "wait while another spawns":
		// It waits for the arbiter, and not for the one that a goroutine of its own starts.
		go func() {
			_, err := actor.SpawnActor.Call(self.Context(), actor.Arbiter, clinger)
			ended <- err
		}()
		_, err = actor.Events.Call(ctx, actor.Arbiter, actor.EventsArgs{Since: 1 << 40, Wait: 100 * time.Millisecond})
	}
	return actor.None{}, err
}

// modes are all there are, by their names.
var modes = map[string]actor.Mode{"serial": actor.Serial, "interleaved": actor.Interleaved, "concurrent": actor.Concurrent(4)}

// TestHooksKeepTheTurn: while a hook of an actor waits nothing of it starts, whatever its mode is. What it
// calls, and calls back, is a wait that could never end.
func TestHooksKeepTheTurn(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.Kinds = []actor.Behaviour{Parent} })
	back := w.spawn(Parent)
	hook := func(_ actor.None, ctx context.Context) error {
		self, _ := actor.Current(ctx)
		_, err := Undertake.Call(ctx, back, "call "+self.Ref().AID)
		return err
	}
	for name, mode := range modes {
		kind := &actor.Kind[actor.None]{Name: name, Mode: mode, Started: hook, Handlers: []actor.Handler[actor.None]{actor.Handle(Undertake, undertake)}}
		if _, err := w.arb.Spawn(w.ctx, kind); !circular(err) {
			t.Errorf("a %s actor that is called back while it starts: %v, want a cycle", name, err)
		}
		told := make(chan error, 1)
		kind = &actor.Kind[actor.None]{Name: "ending-" + name, Mode: mode, Handlers: []actor.Handler[actor.None]{actor.Handle(Undertake, undertake)},
			Stopping: func(s actor.None, ctx context.Context) { told <- hook(s, ctx) }}
		ending := w.spawn(kind)
		if _, err := Undertake.Call(w.ctx, ending, "nothing"); err != nil {
			t.Fatal(err)
		}
		if _, err := actor.StopActor.Call(w.ctx, actor.Arbiter, ending); err != nil {
			t.Error(err)
		}
		if err := <-told; !circular(err) && !strings.Contains(fmt.Sprint(err), "takes no more messages") {
			t.Errorf("a %s actor that is called back while it stops: %v", name, err)
		}
	}
	if _, err := Undertake.Call(w.ctx, back, "nothing"); err != nil {
		t.Error(err)
	}
}

// TestInPlaceIsNoCycle: what is answered beside the turn can be asked of who keeps it, also by those who it
// waits for.
func TestInPlaceIsNoCycle(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.Kinds = []actor.Behaviour{Parent} })
	back := w.spawn(Parent)
	register := func(_ actor.None, ctx context.Context) error {
		self, _ := actor.Current(ctx)
		_, err := Undertake.Call(ctx, back, "ping "+self.Ref().AID)
		return err
	}
	handle := func(s actor.None, ctx context.Context, _ string) (actor.None, error) { return s, register(s, ctx) }
	for name, mode := range modes {
		starts := &actor.Kind[actor.None]{Name: name, Mode: mode, Started: register, Handlers: []actor.Handler[actor.None]{actor.Handle(Undertake, handle)}}
		r, err := w.arb.Spawn(w.ctx, starts)
		if err != nil {
			t.Errorf("a %s actor that is asked for a ping while it starts: %v", name, err)
			continue
		}
		if _, err := Undertake.Call(w.ctx, r, ""); err != nil {
			t.Errorf("a %s actor that is asked for a ping by whom its handler waits for: %v", name, err)
		}
	}
}

// TestGivenUpIsNoWait: who has asked for a restart, and given it up, does not wait for it any more, though
// that goes on.
func TestGivenUpIsNoWait(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx, told, lives := arb.Context(), make(chan error, 1), 0
				worker := &actor.Kind[actor.None]{Name: "worker", Started: func(_ actor.None, ctx context.Context) error {
					if lives++; lives == 1 {
						return nil
					}
					time.Sleep(5 * time.Second)
					_, err := Undertake.Call(ctx, actor.To("boss"), "nothing")
					told <- err
					return err
				}}
				if _, err := arb.Pool(ctx, worker, actor.PoolArgs{Name: "web", Workers: 1}); err != nil {
					t.Fatal(err)
				}
				gaveUp := errors.New("it has not begun")
				arb.Spawn(&actor.Kind[actor.None]{
					Name: "boss", Mode: mode, Handlers: []actor.Handler[actor.None]{actor.Handle(Undertake, undertake)},
					Started: func(_ actor.None, ctx context.Context) error {
						ctx, cancel := context.WithTimeout(ctx, time.Second)
						defer cancel()
						_, gaveUp = actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web/1"))
						return nil
					},
				}, actor.Name("boss"))
				if err := <-told; err != nil || !errors.Is(gaveUp, actor.ErrDeadline) {
					t.Errorf("a worker that asks who has given it up: %v; and that was told %v", err, gaveUp)
				}
			})
		})
	}
}

// TestStopOfWhoAsksBack: who waits for the end of others waits for their hooks Stopping, too, be they
// supervised or not.
func TestStopOfWhoAsksBack(t *testing.T) {
	for _, name := range []string{"plain", "supervised", "web/1", "web"} {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx, told := arb.Context(), make(chan error, 2)
				boss := arb.Spawn(Parent)
				child := &actor.Kind[actor.None]{Name: "child", Stopping: func(_ actor.None, ctx context.Context) {
					_, err := Undertake.Call(ctx, boss, "nothing")
					told <- err
				}}
				ends := 1
				switch name {
				case "plain":
					arb.Spawn(child, actor.Name(name))
				case "supervised":
					arb.Spawn(child, actor.Name(name), actor.Restart(supervise.Policy{}))
				default:
					if _, err := arb.Pool(ctx, child, actor.PoolArgs{Name: "web", Workers: 2}); err != nil {
						t.Fatal(err)
					}
					if name == "web" {
						ends = 2
					}
				}
				began := time.Now()
				if _, err := Undertake.Call(ctx, boss, "end "+name); err != nil {
					t.Error(err)
				}
				took(t, "it", began, 0)
				for range ends {
					if err := <-told; !circular(err) {
						t.Errorf("one that asks who waits for its end was told %v, want a cycle", err)
					}
				}
			})
		})
	}
}

// ended has what became of the goroutine's spawn.
var ended = make(chan error, 1)

// TestCyclesByTheArbiter: a handler that waits for a command of the arbiter's waits for what that
// waits for. What can never end is refused at once, and nothing else is.
func TestCyclesByTheArbiter(t *testing.T) {
	for _, place := range places {
		if strings.HasPrefix(place.name, "json") {
			continue // what serves there is not of these kinds
		}
		t.Run(place.name, func(t *testing.T) {
			w := newWorld(t, func(o *arbiter.Options) { o.Kinds = []actor.Behaviour{Parent, LooseParent, Clinger} })
			ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
			defer cancel()
			for _, what := range []string{"spawn", "spawn a process", "pool"} {
				parent := place.put(w, Parent)
				_, err := Undertake.Call(ctx, parent, what)
				if back := fmt.Sprintf("waits for %s waits for ", parent); err == nil || !strings.Contains(err.Error(), "the wait could never end: ") || !strings.Contains(err.Error(), back) {
					t.Errorf("%s: %v, want a cycle by way of %q", what, err, back)
				}
				if _, err := Undertake.Call(ctx, parent, "nothing"); err != nil {
					t.Errorf("%s: and then: %v", what, err)
				}
				if _, err := Undertake.Call(ctx, place.put(w, LooseParent), what); err != nil {
					t.Errorf("%s, by an interleaved actor: %v", what, err)
				}
			}
			for _, kind := range []actor.Behaviour{Parent, LooseParent} {
				itself := place.put(w, kind)
				if _, err := Undertake.Call(ctx, itself, "stop"); err == nil || !strings.Contains(err.Error(), "the wait could never end: ") {
					t.Errorf("stop of a %s by itself: %v, want a cycle", kind.KindName(), err)
				}
				if _, err := Undertake.Call(ctx, itself, "nothing"); err != nil {
					t.Errorf("stop of a %s by itself, and then: %v", kind.KindName(), err)
				}
				if _, err := Undertake.Call(ctx, itself, "stop in a timer"); err != nil {
					t.Fatal(err)
				}
				var told any
				eventually(t, "the timer was told", func() bool {
					var err error
					told, err = actor.Config.Call(ctx, itself, actor.ConfigArgs{Op: "get", Name: "timer"})
					return err == nil || !strings.Contains(err.Error(), "no setting")
				})
				if !strings.Contains(fmt.Sprint(told), "the wait could never end: ") {
					t.Errorf("stop of a %s by a timer of its own: %v, want a cycle", kind.KindName(), told)
				}
			}
		})
	}
}

// A supervised actor, and a worker, that stop or restart themselves or their pool, wait for nothing
// either, and go on.
func TestOwnEnds(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
	defer cancel()
	one := w.spawn(Parent, actor.Name("one"), actor.Restart(supervise.Policy{}))
	if _, err := w.arb.Pool(ctx, Parent, actor.PoolArgs{Name: "pool", Workers: 2}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of   actor.Ref
		what string
	}{
		{one, "stop"}, {one, "restart"}, {actor.To("pool/1"), "stop"}, {actor.To("pool/2"), "restart"}, {actor.To("pool/1"), "stop the pool"},
	} {
		if _, err := Undertake.Call(ctx, c.of, c.what); err == nil || !strings.Contains(err.Error(), "the wait could never end: ") {
			t.Errorf("%s of itself by %s: %v, want a cycle", c.what, c.of, err)
		}
		if _, err := Undertake.Call(ctx, c.of, "nothing"); err != nil {
			t.Errorf("%s by %s, and then: %v", c.what, c.of, err)
		}
	}
}

// What a goroutine of the actor starts while its handler waits for something else is no cycle: the
// handler returns.
func TestNoCycleByTheArbiter(t *testing.T) {
	for _, place := range places[:3] {
		w := newWorld(t, func(o *arbiter.Options) { o.Kinds = []actor.Behaviour{Clinger} })
		if place.name == "process" {
			continue // what became of it stays there
		}
		if _, err := Undertake.Call(w.ctx, place.put(w, Parent), "wait while another spawns"); err != nil {
			t.Fatalf("%s: %v", place.name, err)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", place.name, err)
		}
	}
}
