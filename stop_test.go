//go:build linux

package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// Farewell has a stop hook that takes a while, and leaves a file when it is over.
var Farewell = &actor.Kind[string]{
	Name: "farewell",
	New: func(ctx context.Context) (string, error) {
		self, _ := actor.Current(ctx)
		path, _ := self.Config("path")
		text, _ := path.(string)
		return text, nil
	},
	Stopping: func(path string, _ context.Context) {
		<-time.After(300 * time.Millisecond)
		_ = os.WriteFile(path, []byte("done"), 0o600)
	},
}

// Unborn is never ready: its constructor leaves a file when it has begun, and ignores that it is to stop.
var Unborn = &actor.Kind[actor.None]{Name: "slow", New: func(ctx context.Context) (none actor.None, err error) {
	self, _ := actor.Current(ctx)
	path, _ := self.Config("path")
	text, _ := path.(string)
	if err := os.WriteFile(text, []byte("begun"), 0o600); err != nil {
		return none, err
	}
	select {}
}}

// TestStopIsAList: the stop of an arbiter goes through its steps within its budget,
// whatever its actors are at, says so step by step, and names those it had to kill.
// Those that stop as they should have their time.
func TestStopIsAList(t *testing.T) {
	const budget = 2 * time.Second
	log := &lockedBuffer{}
	release := make(chan struct{})
	deaf := &actor.Kind[actor.None]{
		Name: "deaf", Grace: time.Hour,
		Handlers: []actor.Handler[actor.None]{actor.Handle(Block, func(actor.None, context.Context, actor.None) (actor.None, error) {
			<-release // not its ctx
			return actor.None{}, nil
		})},
	}
	unborn := &actor.Kind[actor.None]{Name: "unborn", Grace: time.Hour, New: func(context.Context) (actor.None, error) {
		<-release
		return actor.None{}, nil
	}}
	w := newWorld(t, func(o *arbiter.Options) {
		o.StopTimeout = budget
		o.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	dir := t.TempDir()
	farewell := func(name string) actor.SpawnOption {
		return actor.Extra(map[string]any{"path": dir + "/" + name})
	}
	// Those that will stop.
	w.spawn(Farewell, actor.Name("polite"), farewell("polite"))
	w.spawn(Farewell, actor.Name("polite-process"), farewell("polite-process"), actor.Process())
	w.spawn(Subject, actor.Name("idle"), actor.Process())
	// Mid-restart: it waits to be started again, for an hour.
	crashed := actor.Restart(supervise.Policy{MinBackoff: time.Hour, Jitter: -1})
	for _, o := range [][]actor.SpawnOption{{actor.Name("waiting")}, {actor.Name("waiting-process"), actor.Process()}} {
		s := w.spawn(Subject, append(o, crashed)...)
		if _, err := Panic.Call(w.ctx, s, "as asked"); !errors.Is(err, actor.ErrDown) {
			t.Fatalf("panic: %v", err)
		}
	}
	waiting := Double.Start(w.ctx, actor.To("waiting"), 1)
	// Those that ignore everything.
	stubborn := []string{"deaf", "deaf-process", "deaf-program", "unborn", "unborn-process"}
	s := w.spawn(deaf, actor.Name("deaf"))
	busy := Block.Start(w.ctx, s, actor.None{})
	s = w.spawn(Forker, actor.Name("deaf-process"), actor.Process(), actor.Grace(time.Hour))
	Block.Start(w.ctx, s, actor.None{})
	deafened := dir + "/deafened" // is there when the shell has come to ignore signals
	program := strings.Replace(stubbornProgram, "\n", "\n: > '"+deafened+"'\n", 1)
	if _, err := w.arb.SpawnProgram(w.ctx, "sh", []string{"-c", program}, actor.Silent(), actor.Name("deaf-program"), actor.Grace(time.Hour)); err != nil {
		t.Fatal(err)
	}
	spawned := make(chan error, 2)
	go func() {
		_, err := w.arb.Spawn(w.ctx, unborn, actor.Name("unborn"))
		spawned <- err
	}()
	go func() {
		_, err := w.arb.Spawn(w.ctx, Unborn, actor.Name("unborn-process"), actor.Process(), actor.Grace(time.Hour), farewell("unborn-process"))
		spawned <- err
	}()
	states := map[string]string{}
	within(t, 10*time.Second, "all at what they are to be at", func() bool {
		list, err := actor.Ps.Call(w.ctx, actor.Arbiter, actor.None{})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range list {
			states[i.Name] = i.State
			if i.Handling != "" {
				states[i.Name] = "busy"
			}
		}
		_, deafening := os.Stat(deafened)
		_, bearing := os.Stat(dir + "/unborn-process")
		return deafening == nil && bearing == nil && states["unborn"] == "starting" && states["unborn-process"] == "starting" && states["waiting"] == "waiting" &&
			states["waiting-process"] == "waiting" && states["deaf"] == "busy"
	})
	t.Log(states)

	began := time.Now()
	err := w.arb.Stop(context.Background())
	w.stopped = true
	took := time.Since(began)
	t.Logf("stopped after %v of %v: %v", took.Round(time.Millisecond), budget, err)
	close(release)
	if took > budget+10*time.Second { // 5 s are for handlers that never return
		t.Errorf("the stop took %v, and its budget is %v", took, budget)
	}
	if err == nil || !strings.Contains(err.Error(), "not all stopped in time; these were killed: ") {
		t.Errorf("the error is %v", err)
	}
	for _, what := range []string{"left behind: ", `"block" of "deaf"`} {
		if err != nil && !strings.Contains(err.Error(), what) {
			t.Errorf("the error does not say that a handler goes on: %v", err)
		}
	}
	for _, name := range stubborn {
		if err != nil && !slices.Contains(strings.Fields(strings.ReplaceAll(err.Error(), ",", "")), name) {
			t.Errorf("the error does not name %q", name)
		}
	}
	for _, name := range []string{"polite", "polite-process"} {
		if text, err := os.ReadFile(dir + "/" + name); string(text) != "done" {
			t.Errorf("the stop hook of %s was not let finish: %q, %v", name, text, err)
		}
	}
	for _, p := range []*actor.Pending[actor.None]{busy} {
		var down *actor.DownError
		if _, err := p.Wait(); !errors.As(err, &down) || down.Cause != actor.CauseKilled {
			t.Errorf("the call in flight: %v", err)
		}
	}
	if _, err := waiting.Wait(); !errors.Is(err, actor.ErrDown) {
		t.Errorf("the call that waited for a restart: %v", err)
	}
	for range 2 {
		if err := <-spawned; !errors.Is(err, actor.ErrDown) {
			t.Errorf("the spawn of who was not ready: %v", err)
		}
	}
	said, at := log.String(), 0
	for _, step := range []string{"nothing is taken any more", "actors were asked to stop", "processes were sent SIGTERM", "the rest was killed"} {
		n := strings.Index(said[at:], "stopping: "+step)
		if n < 0 {
			t.Fatalf("the log does not say %q after the steps before it:\n%s", step, said)
		}
		at += n
	}
}

// TestStopWhileRestarting: an arbiter is stopped while workers are killed, replaced,
// added and taken away. Nothing is left, and everybody who asked is answered.
func TestStopWhileRestarting(t *testing.T) {
	for round := range 6 {
		in := "goroutine"
		if round%2 == 1 {
			in = "process"
		}
		t.Run(fmt.Sprintf("%s %d", in, round/2), func(t *testing.T) {
			w := newWorld(t)
			w.ctx = w.arb.Context(t.Context())
			descriptors := fds()
			policy := supervise.Policy{MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond, MaxCrashes: -1}
			pool, err := w.arb.Pool(w.ctx, Subject, actor.PoolArgs{Name: "web", Workers: 3, Worker: actor.SpawnArgs{In: in, Restart: &policy}})
			if err != nil {
				t.Fatal(err)
			}
			over := func(err error) bool {
				return errors.Is(err, actor.ErrDown) || errors.Is(err, actor.ErrClosed) || errors.Is(err, actor.ErrUnknownActor)
			}
			jobs := []*load{
				loaded(w.ctx, 3, func(ctx context.Context) error {
					if _, err := Panic.Call(ctx, pool, "as asked"); !over(err) && !errors.Is(err, actor.ErrOverloaded) && !errors.Is(err, actor.ErrDeadline) {
						return err
					}
					return nil
				}),
				loaded(w.ctx, 2, func(ctx context.Context) error {
					_, _ = actor.RestartActor.Call(ctx, actor.Arbiter, pool) // whatever the answer
					return nil
				}),
				loaded(w.ctx, 2, func(ctx context.Context) error {
					for _, n := range []int{5, 1, 3} {
						_, _ = actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(n)})
					}
					return nil
				}),
			}
			within(t, time.Minute, "some restarts", func() bool { return strings.Count(w.log.String(), "panic") > 5 })
			if err := w.arb.Stop(context.Background()); err != nil {
				t.Errorf("stop: %v", err)
			}
			for n, j := range jobs {
				for _, err := range j.stop(t, 20*time.Second) {
					t.Errorf("job %d: %v", n, err)
				}
			}
			within(t, 5*time.Second, fmt.Sprintf("at most %d descriptors again", descriptors), func() bool { return fds() <= descriptors })
		})
	}
}

// TestStopIsAnswered: who calls the command stop, instead of sending it, has an answer before
// the end of the actor ends the call, however quick that is.
func TestStopIsAnswered(t *testing.T) {
	w := newWorld(t)
	for range 300 {
		s := w.spawn(Subject)
		if _, err := actor.Call[any](w.ctx, s, "stop"); err != nil {
			t.Fatal(err)
		}
	}
}
