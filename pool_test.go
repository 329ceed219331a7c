package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
	"github.com/arbiter-go/arbiter/supervise"
)

var (
	poolWho   = actor.NewCommand[actor.None, string]("who")
	poolSlow  = actor.NewCommand[time.Duration, string]("slow")
	poolPanic = actor.NewCommand[actor.None, actor.None]("panic")
	poolNote  = actor.NewCommand[string, actor.None]("note", actor.NoAck())
	poolNotes = actor.NewCommand[actor.None, []string]("notes")
	poolQuit  = actor.NewCommand[actor.None, actor.None]("quit")
)

type poolWorker struct {
	name  string
	notes []string
}

var poolKind = &actor.Kind[*poolWorker]{
	Name: "pool-worker",
	New: func(ctx context.Context) (*poolWorker, error) {
		self, _ := actor.Current(ctx)
		return &poolWorker{name: self.Ref().Name}, nil
	},
	Handlers: []actor.Handler[*poolWorker]{
		actor.Handle(poolWho, func(w *poolWorker, _ context.Context, _ actor.None) (string, error) { return w.name, nil }),
		actor.Handle(poolSlow, func(w *poolWorker, _ context.Context, d time.Duration) (string, error) {
			time.Sleep(d)
			return w.name, nil
		}),
		actor.On(poolPanic, func(*poolWorker, context.Context, actor.None) error { panic("as asked") }),
		actor.On(poolNote, func(w *poolWorker, _ context.Context, s string) error { w.notes = append(w.notes, s); return nil }),
		actor.Handle(poolNotes, func(w *poolWorker, _ context.Context, _ actor.None) ([]string, error) { return w.notes, nil }),
		actor.On(poolQuit, func(_ *poolWorker, ctx context.Context, _ actor.None) error {
			self, _ := actor.Current(ctx)
			self.Retire("enough")
			return nil
		}),
	},
}

func newPool(t *testing.T, ctx context.Context, arb *arbiter.Arbiter, args actor.PoolArgs) actor.Ref {
	t.Helper()
	ref, err := arb.Pool(ctx, poolKind, args)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// TestPoolAddresses: the pool itself, a slot, a key, all.
func TestPoolAddresses(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		web := newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 3})
		seen := map[string]int{}
		for range 30 {
			name, err := poolWho.Call(ctx, web, actor.None{})
			if err != nil {
				t.Fatal(err)
			}
			seen[name]++
		}
		for _, name := range []string{"web/1", "web/2", "web/3"} {
			if seen[name] != 10 {
				t.Errorf("%s answered %d of 30 calls; idle workers take turns: %v", name, seen[name], seen)
			}
			if got, err := poolWho.Call(ctx, actor.To(name), actor.None{}); got != name || err != nil {
				t.Errorf("a call to %s was answered by %q, %v", name, got, err)
			}
		}
		first, err := poolWho.Call(ctx, actor.To("web#user-17"), actor.None{})
		if err != nil {
			t.Fatal(err)
		}
		keys := map[string]bool{}
		for n := range 64 {
			if got, err := poolWho.Call(ctx, actor.To("web#user-17"), actor.None{}); got != first || err != nil {
				t.Fatalf("the key went to %q, and then to %q, %v", first, got, err)
			}
			got, err := poolWho.Call(ctx, actor.To(fmt.Sprintf("web#%d", n)), actor.None{})
			if err != nil {
				t.Fatal(err)
			}
			keys[got] = true
		}
		if len(keys) != 3 {
			t.Errorf("64 keys went to %d of 3 workers", len(keys))
		}
		if err := poolNote.Send(ctx, actor.To("web/*"), "hello"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"web/1", "web/2", "web/3"} {
			if notes, err := poolNotes.Call(ctx, actor.To(name), actor.None{}); len(notes) != 1 || err != nil {
				t.Errorf("%s got %q, %v of one message to all", name, notes, err)
			}
		}
		if _, err := poolWho.Call(ctx, actor.To("web/*"), actor.None{}); !errors.Is(err, actor.ErrInvalid) {
			t.Errorf("a call to all: %v", err)
		}
		if info, err := actor.GetInfo.Call(ctx, web, actor.None{}); err != nil || info.Kind != "pool" {
			t.Errorf("the info of a pool is its own: %+v, %v", info, err)
		}
	})
}

// TestPoolLeastOutstanding: who is busy gets nothing while others are not.
func TestPoolLeastOutstanding(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		web := newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 2})
		busy := poolSlow.Start(ctx, actor.To("web/1"), time.Second)
		for range 20 {
			if name, err := poolWho.Call(ctx, web, actor.None{}); name != "web/2" || err != nil {
				t.Fatalf("a call went to %q, %v, which was at work", name, err)
			}
		}
		if _, err := busy.Wait(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestPoolRestarts: a worker that dies is replaced under its name, and calls to the
// name wait meanwhile.
func TestPoolRestarts(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{Restart: &supervise.Policy{Jitter: -1}}})
		_, err := poolPanic.Call(ctx, actor.To("web/1"), actor.None{})
		var down *actor.DownError
		if !errors.As(err, &down) || down.Cause != actor.CausePanic {
			t.Fatalf("the call that killed it: %v", err)
		}
		began := time.Now()
		if name, err := poolWho.Call(ctx, actor.To("web/1"), actor.None{}); name != "web/1" || err != nil {
			t.Fatalf("the slot answered %q, %v", name, err)
		}
		if waited := time.Since(began); waited != supervise.DefaultMinBackoff {
			t.Errorf("the call waited %v for the restart, which is due after %v", waited, supervise.DefaultMinBackoff)
		}
		if name, err := poolWho.Call(ctx, actor.To("web"), actor.None{}); err != nil {
			t.Errorf("%q, %v", name, err)
		}
	})
}

// TestPoolGivesUp: a pool that cannot live says so to its callers, and can be started
// again by hand.
func TestPoolGivesUp(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 1, Worker: actor.SpawnArgs{Restart: &supervise.Policy{MaxCrashes: 2, Jitter: -1}}})
		for range 2 {
			if _, err := poolPanic.Call(ctx, actor.To("web"), actor.None{}); !errors.Is(err, actor.ErrDown) {
				t.Fatal(err)
			}
		}
		for _, target := range []string{"web", "web/1", "web#k"} {
			_, err := poolWho.Call(ctx, actor.To(target), actor.None{})
			var down *actor.DownError
			if !errors.As(err, &down) || !strings.Contains(err.Error(), "given up: 2 crashes within 1m") || down.Err.Started != actor.StartedNo {
				t.Errorf("a call to %s: %v", target, err)
			}
		}
		list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
		if err != nil {
			t.Fatal(err)
		}
		states := map[string]string{}
		for _, i := range list {
			states[i.Name] = i.State
		}
		if states["web"] != "failed" || states["web/1"] != "failed" {
			t.Errorf("ps says %v", states)
		}
		if _, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("web")); err != nil {
			t.Fatal(err)
		}
		if name, err := poolWho.Call(ctx, actor.To("web"), actor.None{}); name != "web/1" || err != nil {
			t.Errorf("started again: %q, %v", name, err)
		}
	})
}

// TestPoolGivesUpAgain: of a pool that was given up, and of which a part was started by
// hand, that part is given up, too, when all of it fails: who was not started is no reason
// to go on.
func TestPoolGivesUpAgain(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 3, Worker: actor.SpawnArgs{Restart: &supervise.Policy{MaxCrashes: 2, Jitter: -1}}})
		crash := func(names ...string) {
			t.Helper()
			for range 2 {
				for _, name := range names {
					if _, err := poolPanic.Call(ctx, actor.To(name), actor.None{}); !errors.Is(err, actor.ErrDown) {
						t.Fatal(err)
					}
				}
			}
			synctest.Wait()
		}
		start := func(name string) {
			t.Helper()
			if _, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To(name)); err != nil {
				t.Fatal(err)
			}
		}
		states := func() string {
			var all []string
			for _, i := range ps(t, ctx) {
				if strings.HasPrefix(i.Name, "web/") {
					all = append(all, i.State)
				}
			}
			return strings.Join(all, " ")
		}
		crash("web/1", "web/2", "web/3")
		if got := states(); got != "failed failed failed" {
			t.Fatalf("they are %s", got)
		}
		start("web/2")
		crash("web/2")
		if got := states(); got != "failed failed failed" {
			t.Errorf("after web/2 alone was started, and failed again, they are %s", got)
		}
		start("web/1")
		start("web/3")
		crash("web/1")
		time.Sleep(time.Second)
		if got := states(); got != "running failed running" {
			t.Errorf("while web/3 is well they are %s", got)
		}
	})
}

// TestPoolGivesUpOnWaiting: who only waited to be started when the supervisor gave up
// has failed, too, and what is told of it is how it really ended.
func TestPoolGivesUpOnWaiting(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{Restart: &supervise.Policy{MaxCrashes: 1, Jitter: -1}}})
		for _, name := range []string{"web/1", "web/2"} {
			if _, err := poolPanic.Call(ctx, actor.To(name), actor.None{}); !errors.Is(err, actor.ErrDown) {
				t.Fatal(err)
			}
		}
		synctest.Wait() // callers are told first
		for _, i := range ps(t, ctx) {
			if strings.HasPrefix(i.Name, "web/") && (i.State != "failed" || i.Last == nil || i.Last.Cause != actor.CausePanic || !strings.HasPrefix(i.Reason, "1 crash within 1m")) {
				t.Errorf("ps says of %s: %+v, last: %v", i.Name, i, i.Last)
			}
		}
	})
}

// TestPoolAbandoned: whose spawner gives up while one of its workers still starts, as at a
// SIGTERM, or whose arbiter is stopped then, or one of whose workers cannot start: those that
// are ready are stopped, not killed, and its name is free after that.
func TestPoolAbandoned(t *testing.T) {
	for _, by := range []string{"its spawner", "the arbiter's stop", "a worker"} {
		t.Run(by, func(t *testing.T) { abandoned(t, by == "its spawner", by == "a worker") })
	}
}

func abandoned(t *testing.T, bySpawner, byWorker bool) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		stopped := make(chan string, 2)
		slow := &actor.Kind[string]{
			Name: "slow",
			New: func(ctx context.Context) (string, error) {
				self, _ := actor.Current(ctx)
				name := self.Ref().Name
				if name == "web/2" {
					time.Sleep(1500 * time.Millisecond)
					return name, errors.New("no disk")
				}
				return name, nil
			},
			Stopping: func(name string, ctx context.Context) {
				if time.Sleep(time.Second); ctx.Err() == nil { // or it was killed meanwhile
					stopped <- name
				}
			},
		}
		ctx, cancel := context.WithCancel(arb.Context())
		go func() {
			time.Sleep(time.Second)
			if bySpawner {
				cancel()
			} else if byWorker {
				return
			} else if err := arb.Stop(context.Background()); err != nil {
				t.Errorf("stop: %v", err)
			}
		}()
		defer cancel()
		if _, err := arb.Pool(ctx, slow, actor.PoolArgs{Name: "web", Workers: 2}); err == nil || bySpawner && !errors.Is(err, context.Canceled) || byWorker && !strings.Contains(err.Error(), "no disk") {
			t.Fatalf("pool: %v", err)
		}
		if !byWorker { // or it has waited for this itself
			time.Sleep(2 * time.Second)
		}
		select {
		case name := <-stopped:
			if name != "web/1" {
				t.Errorf("the stop hook of %s was run", name)
			}
		default:
			t.Error("who is ready was not let finish")
		}
		if !bySpawner && !byWorker {
			return
		}
		newPool(t, arb.Context(), arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 2})
	})
}

// TestPoolFailTells: why a pool could not start is told within its caller's time, though those of
// its workers that could have not stopped by then.
func TestPoolFailTells(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		half := &actor.Kind[actor.None]{
			Name: "half", Grace: time.Minute,
			New: func(ctx context.Context) (none actor.None, err error) {
				if self, _ := actor.Current(ctx); self.Ref().Name != "web/1" {
					time.Sleep(time.Second)
					err = errors.New("no disk")
				}
				return none, err
			},
			Stopping: func(actor.None, context.Context) { time.Sleep(40 * time.Second) },
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			if _, err := arb.Pool(ctx, half, actor.PoolArgs{Name: "web", Workers: 2}); err == nil || !strings.Contains(err.Error(), "no disk") {
				t.Error(err)
			}
			cancel()
			time.Sleep(time.Minute)
		}
	})
}

// TestMonitor: whom a worker calls its monitor is its pool, which answers what is not for its
// workers; for all others it is the arbiter.
func TestMonitor(t *testing.T) {
	monitor := actor.NewCommand[actor.None, string]("monitor")
	kind := &actor.Kind[actor.None]{Name: "managed", Handlers: []actor.Handler[actor.None]{
		actor.Handle(monitor, func(_ actor.None, ctx context.Context, _ actor.None) (string, error) {
			info, err := actor.GetInfo.Call(ctx, actor.To("monitor"), actor.None{})
			return info.Kind + " " + info.Name, err
		}),
	}}
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		if _, err := arb.Pool(ctx, kind, actor.PoolArgs{Name: "web"}); err != nil {
			t.Fatal(err)
		}
		if got, err := monitor.Call(ctx, actor.To("web"), actor.None{}); got != "pool web" || err != nil {
			t.Errorf("the monitor of a worker: %q, %v", got, err)
		}
		for who, to := range map[string]actor.Ref{"an actor by itself": arb.Spawn(kind), "one that joined": joinedAs(t, arb.Join(kind, actor.JoinOptions{}))} {
			if got, err := monitor.Call(ctx, to, actor.None{}); got != "arbiter " || err != nil {
				t.Errorf("the monitor of %s: %q, %v", who, got, err)
			}
		}
	})
	// One that is a process asks its pool to have another worker answer.
	w := newWorld(t)
	pool := poolOf(w, Subject, "process")
	if _, err := Relay.Call(w.ctx, pool, []actor.Ref{actor.To("monitor")}); err != nil {
		t.Errorf("to the monitor of a process: %v", err)
	}
}

// TestPoolStopped: a pool whose workers were stopped by hand stays, empty and visible,
// until it is started.
func TestPoolStopped(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{Restart: &supervise.Policy{Restart: supervise.Always}}})
		if d, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("web")); d.Cause != actor.CauseStopped || err != nil {
			t.Fatalf("stop: %v, %v", d, err)
		}
		time.Sleep(time.Minute)
		for _, i := range ps(t, ctx) {
			if i.Name != "" && i.State != "stopped" {
				t.Errorf("%s is %s", i.Name, i.State)
			}
		}
		if _, err := poolWho.Call(ctx, actor.To("web"), actor.None{}); !errors.Is(err, actor.ErrDown) || !strings.Contains(err.Error(), "stopped") {
			t.Errorf("a call to a stopped pool: %v", err)
		}
		if _, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To("web")); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"web/1", "web/2"} {
			if got, err := poolWho.Call(ctx, actor.To(name), actor.None{}); got != name || err != nil {
				t.Errorf("%s after the start: %q, %v", name, got, err)
			}
		}
	})
}

// TestPs: workers stand below their pool in the order of their slots, whoever is the
// oldest, and say how the one before them ended.
func TestPs(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 11})
		time.Sleep(time.Second)
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "a", Workers: 2})
		if _, err := poolPanic.Call(ctx, actor.To("web/2"), actor.None{}); err == nil {
			t.Fatal("a panic came to nothing")
		}
		var names []string
		for _, i := range ps(t, ctx) {
			if i.Name != "" {
				names = append(names, i.Name)
			}
			if i.Name == "web/2" && (i.State != "waiting" || i.Last == nil || i.Last.Cause != actor.CausePanic) {
				t.Errorf("ps says of web/2: %+v", i)
			}
		}
		want := "web web/1 web/2 web/3 web/4 web/5 web/6 web/7 web/8 web/9 web/10 web/11 a a/1 a/2"
		if got := strings.Join(names, " "); got != want {
			t.Errorf("ps lists\n%s, want\n%s", got, want)
		}
		if _, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("a/1")); err != nil {
			t.Fatal(err)
		}
		for _, i := range ps(t, ctx) {
			if i.Name == "a/1" && (i.State != "running" || i.Restarts != 1 || i.Last == nil || i.Last.Cause != actor.CauseStopped) {
				t.Errorf("ps says of a worker that was replaced: %+v", i)
			}
		}
		time.Sleep(time.Minute)
		for _, i := range ps(t, ctx) {
			if i.Name == "web/2" && (i.State != "running" || i.Restarts != 1 || i.Last == nil || i.Last.Cause != actor.CausePanic) {
				t.Errorf("ps says of web/2 when it runs again: %+v", i)
			}
		}
	})
}

func ps(t *testing.T, ctx context.Context) []actor.Info {
	t.Helper()
	list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestPoolDoNotRestart: who retires leaves its slot empty.
func TestPoolDoNotRestart(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 2, Worker: actor.SpawnArgs{Restart: &supervise.Policy{Restart: supervise.Always}}})
		if _, err := poolQuit.Call(ctx, actor.To("web/1"), actor.None{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := poolWho.Call(ctx, actor.To("web/1"), actor.None{}); !errors.Is(err, actor.ErrDown) {
			t.Errorf("a call to who retired: %v", err)
		}
		for range 4 {
			if name, err := poolWho.Call(ctx, actor.To("web"), actor.None{}); name != "web/2" || err != nil {
				t.Errorf("%q, %v", name, err)
			}
		}
	})
}

// TestPoolScales: while calls come, the pool grows and shrinks, the oldest first, and
// no call fails.
func TestPoolScales(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		web := newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 4})
		calls := loaded(ctx, 8, func(ctx context.Context) error {
			_, err := poolSlow.Call(ctx, web, 10*time.Millisecond)
			return err
		})
		for _, n := range []int{12, 2, 5} {
			time.Sleep(time.Second)
			if got, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "web", Workers: new(n)}); got != n || err != nil {
				t.Errorf("scale to %d: %d, %v", n, got, err)
			}
			if _, err := actor.RestartActor.Call(ctx, actor.Arbiter, web); err != nil {
				t.Error(err)
			}
		}
		for _, err := range calls.stop(t, time.Minute) {
			t.Errorf("a call failed: %v", err)
		}
	})
}

// TestPoolSizes: numbers of workers that do not go together are refused, with what does.
func TestPoolSizes(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		for want, args := range map[string]actor.PoolArgs{
			"min is 3, and there is no max: say up to how many workers there may be, or workers=3": {Min: 3},
			"there is no max":         {Min: 3, Workers: 4},
			"more than max":           {Min: 3, Max: 2},
			"from min to max, 1 to 2": {Workers: 9, Min: 1, Max: 2},
			"from min to max, 2 to 4": {Workers: 1, Min: 2, Max: 4},
			"must not be negative":    {Workers: -1},
		} {
			args.Name = "web"
			if _, err := arb.Pool(arb.Context(), poolKind, args); !errors.Is(err, actor.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: %v, want %q", args, err, want)
			}
		}
		for _, test := range []struct {
			args actor.PoolArgs
			want int
		}{
			{actor.PoolArgs{}, 1}, {actor.PoolArgs{Workers: 4}, 4}, {actor.PoolArgs{Max: 2}, 1}, {actor.PoolArgs{Min: 2, Max: 3}, 2},
			{actor.PoolArgs{Workers: 3, Min: 2, Max: 3}, 3}, {actor.PoolArgs{Workers: 1, Max: 2}, 1},
		} {
			test.args.Name = "web"
			web := newPool(t, arb.Context(), arb.Arbiter, test.args)
			i, err := actor.InspectActor.Call(arb.Context(), actor.Arbiter, web)
			if err != nil || i.Info.Workers != test.want {
				t.Errorf("%+v: %d workers, %v, want %d", test.args, i.Info.Workers, err, test.want)
			}
			if _, err := arb.Kill(arb.Context(), web); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestScaleToWhat: a pool is emptied by who says 0, and not by who says nothing, however that comes.
func TestScaleToWhat(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		newPool(t, arb.Context(), arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 3})
		m := arb.Join(Caller, actor.JoinOptions{})
		for from, ctx := range map[string]context.Context{"the arbiter": arb.Context(), "a member": m.Context(context.Background())} {
			typed := func(args actor.ScaleArgs) func() (int, error) {
				return func() (int, error) { return actor.ScalePool.Call(ctx, actor.Arbiter, args) }
			}
			byName := func(args ...any) func() (int, error) {
				return func() (int, error) { return actor.Call[int](ctx, actor.Arbiter, "scale", args...) }
			}
			whole := func(args map[string]any) func() (int, error) { // as a member of another version has it
				return func() (int, error) {
					return actor.NewCommand[map[string]any, int]("scale").Call(ctx, actor.Arbiter, args)
				}
			}
			for name, scale := range map[string]func() (int, error){
				"typed": typed(actor.ScaleArgs{Pool: "web"}), "in order": byName("web"), "by name": byName(actor.Kwargs{"pool": "web"}),
				"a change of 0": byName(actor.Kwargs{"pool": "web", "delta": 0}), "a map": whole(map[string]any{"pool": "web"}),
			} {
				if n, err := scale(); !errors.Is(err, actor.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "say workers=N") {
					t.Errorf("%s, from %s: %d, %v", name, from, n, err)
				}
			}
			for _, test := range []struct {
				scale func() (int, error)
				want  int
			}{
				{typed(actor.ScaleArgs{Pool: "web", Workers: new(0)}), 0}, {typed(actor.ScaleArgs{Pool: "web", Workers: new(2)}), 2},
				{typed(actor.ScaleArgs{Pool: "web", Delta: 1}), 3}, {byName(actor.Kwargs{"pool": "web", "workers": 0}), 0},
				{byName("web", 2), 2}, {byName("web", 0), 0}, {byName(actor.Kwargs{"pool": "web", "delta": 3}), 3},
				{whole(map[string]any{"pool": "web", "workers": 0}), 0}, {byName(actor.Kwargs{"pool": "web", "workers": 3}), 3},
			} {
				if n, err := test.scale(); n != test.want || err != nil {
					t.Errorf("from %s: %d, %v, want %d", from, n, err, test.want)
				}
			}
		}
	})
}

// TestPoolNamesTheWorker: who calls a pool, and is told of a worker's end, is told
// which one it was, wherever that lives and however far the message came.
func TestPoolNamesTheWorker(t *testing.T) {
	const budget = 500 * time.Millisecond // more than a busy machine takes to send four messages
	for _, in := range []string{"goroutine", "process"} {
		t.Run(in, func(t *testing.T) {
			w := newWorld(t)
			pool, err := w.arb.Pool(w.ctx, Subject, actor.PoolArgs{Name: "web", Worker: actor.SpawnArgs{In: in, Budget: budget}})
			if err != nil {
				t.Fatal(err)
			}
			at := Block.Start(w.ctx, pool, actor.None{})
			var behind []*actor.Pending[int]
			for n := range 3 {
				behind = append(behind, Double.Start(w.ctx, pool, n))
			}
			_, err = at.Wait()
			var down *actor.DownError
			if !errors.As(err, &down) || down.Err.Target != "web/1" || down.Cause != actor.CauseHung {
				t.Errorf("the call that hung: %v, of %+v", err, down)
			}
			for _, p := range behind {
				if _, err := p.Wait(); !errors.As(err, &down) || down.Err.Target != "web/1" || down.Err.Started != actor.StartedNo {
					t.Errorf("a call behind it: %v, of %+v", err, down)
				}
			}
		})
	}
}
