package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
	"github.com/arbiter-go/arbiter/supervise"
)

// inspect returns what is known of target, or fails the test.
func (w *world) inspect(t *testing.T, target actor.Ref) actor.Inspection {
	t.Helper()
	in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, target)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// TestExecConnection: a program finds its connection by its descriptor; where that
// was closed on the way, by the address and a token, which is good once.
func TestExecConnection(t *testing.T) {
	t.Parallel()
	w := quietWorld(t, func(o *arbiter.Options) { o.Control = false })
	interpreter, worker := python(t), workerPath(t)
	direct, err := w.arb.SpawnProgram(w.ctx, interpreter, []string{worker})
	if err != nil {
		t.Fatal(err)
	}
	if in := w.inspect(t, direct); !strings.HasPrefix(in.Info.Peer, "socketpair") || in.Info.In != "exec" || in.Info.Language != "python" {
		t.Errorf("by its descriptor: %+v", in.Info)
	}
	script := fmt.Sprintf(`eval "exec $ARBITER_FD>&-"; echo "token $ARBITER_TOKEN"; exec %q %q`, interpreter, worker)
	roundabout, err := w.arb.SpawnProgram(w.ctx, "/bin/sh", []string{"-c", script}, actor.Name("roundabout"))
	if err != nil {
		t.Fatal(err)
	}
	in := w.inspect(t, roundabout)
	if !strings.HasPrefix(in.Info.Peer, "tcp") || in.Info.In != "exec" {
		t.Errorf("by its address: %+v", in.Info)
	}
	if n, err := Double.Call(w.ctx, roundabout, 4); n != 8 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	token := ""
	for _, l := range in.Lines {
		token += strings.TrimPrefix(l.Text, "token ")
	}
	if len(token) < 16 {
		t.Fatalf("the token is %q: %+v", token, in.Lines)
	}
	_, err = w.member(w.address("tcp:"), Caller, actor.JoinOptions{Token: token}).Ref(w.ctx)
	if !errors.Is(err, actor.ErrRefused) {
		t.Errorf("the token again: %v", err)
	}
	_, err = Die.Call(w.ctx, roundabout, "exit")
	var down *actor.DownError
	if !errors.As(err, &down) || down.Cause != actor.CauseExit || down.ExitCode != 3 || down.PID != in.Info.PID {
		t.Errorf("its end: %v", err)
	}
}

// TestSpawnByHand: whoever spawns by name and value, as people do, writes durations as text, is told what
// is wanting, and that a bare number is nanoseconds.
func TestSpawnByHand(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	sleeps := []any{"sleep", "100"}
	spawned, err := actor.Call[actor.Ref](w.ctx, actor.Arbiter, "spawn", actor.Kwargs{"run": sleeps, "silent": true, "name": "text", "grace": "1.5s", "restart": map[string]any{"minBackoff": "3s"}})
	if err != nil {
		t.Fatal(err)
	}
	if in := w.inspect(t, spawned); in.Spawn.Grace != 1500*time.Millisecond || in.Spawn.Restart.MinBackoff != 3*time.Second {
		t.Errorf("with text it has %+v", in.Spawn)
	}
	if _, err := actor.Call[actor.Ref](w.ctx, actor.Arbiter, "spawn", actor.Kwargs{"run": sleeps, "silent": true, "grace": 2_000_000_000}); err != nil {
		t.Errorf("with nanoseconds: %v", err)
	}
	for _, test := range []struct {
		command string
		args    actor.Kwargs
		want    string
	}{
		{"spawn", actor.Kwargs{}, `say kind=NAME or run=["PROGRAM"`},
		{"spawn", actor.Kwargs{"name": "x", "in": "process"}, "say kind=NAME"},
		{"spawn", actor.Kwargs{"run": sleeps, "silent": true, "grace": 5}, `grace is 5ns, less than 1ms: a number is nanoseconds; write a duration as text, such as "5s"`},
		{"spawn", actor.Kwargs{"run": sleeps, "silent": true, "grace": "-1s"}, "grace is -1s"},
		{"spawn", actor.Kwargs{"run": sleeps, "silent": true, "grace": "soon"}, `"soon"`},
		{"spawn", actor.Kwargs{"run": sleeps, "silent": true, "restart": map[string]any{"minBackoff": 200}}, "restart.minBackoff is 200ns"},
		{"pool", actor.Kwargs{"name": "p", "worker": map[string]any{"kind": "one"}, "max": 2, "queueAge": 1}, "queueAge is 1ns"},
		{"pool", actor.Kwargs{"name": "p", "worker": map[string]any{"kind": "one"}, "recycle": map[string]any{"age": 60}}, "recycle.age is 60ns"},
		{"pool", actor.Kwargs{"name": "p"}, "say kind=NAME"},
		// In words for whoever speaks JSON: no type of Go, and no package.
		{"spawn", actor.Kwargs{"run": sleeps, "silent": true, "restart": "always"}, `argument "restart": want a map such as {"restart": …, "strategy": …, "minBackoff": …, …}, got text "always"`},
		{"spawn", actor.Kwargs{"run": sleeps, "silent": true, "restart": map[string]any{"restart": "sometimes"}}, `field "restart": unknown restart "sometimes": want on-failure, always or never`},
		{"spawn", actor.Kwargs{"run": sleeps, "silent": true, "restart": map[string]any{"maxCrashes": 5000}}, "restart: MaxCrashes is 5000: want 1 to 1000"},
		{"pool", actor.Kwargs{"name": "p", "bind": "web"}, `argument "bind": want a list of string, got text "web"`},
	} {
		_, err := actor.Call[actor.Ref](w.ctx, actor.Arbiter, test.command, test.args)
		if !errors.Is(err, actor.ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %v: %v, want it to have %q", test.command, test.args, err, test.want)
		}
	}
}

// TestStartBudget: what is not ready in time is told so, and gone.
func TestStartBudget(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	limit := actor.StartTimeout(150 * time.Millisecond)
	longer := actor.StartTimeout(2 * time.Second) // in which a busy machine has started a shell
	never := actor.Extra(map[string]any{"start": "never"})
	for name, spawn := range map[string]func(mark string) (actor.Ref, error){
		"a constructor, in a goroutine": func(string) (actor.Ref, error) { return w.arb.Spawn(w.ctx, Victim, limit, never) },
		"a constructor, in a process": func(mark string) (actor.Ref, error) {
			return w.arb.Spawn(w.ctx, Victim, limit, never, actor.Process(), actor.Env("MARK="+mark))
		},
		"a program without a hello": func(mark string) (actor.Ref, error) {
			return w.arb.SpawnProgram(w.ctx, "/bin/sh", []string{"-c", "echo still looking for the disk >&2; sleep 300"}, longer, actor.Env("MARK="+mark))
		},
	} {
		t.Run(name, func(t *testing.T) {
			mark := filepath.Base(t.TempDir()) + strconv.Itoa(int(time.Now().UnixNano()))
			_, err := spawn(mark)
			var down *actor.DownError
			if !errors.As(err, &down) || down.Cause != actor.CauseStart || !strings.Contains(down.Reason, "not ready after ") {
				t.Errorf("spawn: %v", err)
			}
			if strings.Contains(name, "program") && !strings.Contains(err.Error(), "looking for the disk") {
				t.Errorf("the error has not what it said last: %v", err)
			}
			eventually(t, "it is gone", func() bool { return len(processesOf("MARK="+mark)) == 0 })
		})
	}
	for how, says := range map[string]string{"fail": "no disk", "panic": "panic: no disk at all"} {
		for _, place := range []actor.SpawnOption{actor.Goroutine(), actor.Process()} {
			_, err := w.arb.Spawn(w.ctx, Victim, place, actor.Extra(map[string]any{"start": how}))
			var down *actor.DownError
			if !errors.As(err, &down) || down.Cause != actor.CauseStart || !strings.Contains(down.Reason, says) {
				t.Errorf("%s: %v", how, err)
			}
		}
	}
}

// TestHooks: start, stop, the periodic task, info, and who changes or refuses what is
// to be spawned.
func TestHooks(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	w := quietWorld(t, func(o *arbiter.Options) {
		o.OnSpawn = func(by actor.Ref, args *actor.SpawnArgs) error {
			asked.Add(1)
			if args.Name == "forbidden" {
				return fmt.Errorf("nobody is called %s here, %v", args.Name, by.AID)
			}
			if args.Name == "changed" {
				args.Extra = map[string]any{"limit": 7}
			}
			return nil
		}
	})
	for _, place := range []actor.SpawnOption{actor.Goroutine(), actor.Process()} {
		book := w.spawn(Victim)
		v := w.spawn(Victim, place, actor.Extra(map[string]any{"tell": book.AID}))
		eventually(t, "the periodic task is seen in its info", func() bool {
			info, err := actor.GetInfo.Call(w.ctx, v, actor.None{})
			if err != nil {
				t.Fatal(err)
			}
			ticks, _ := strconv.Atoi(fmt.Sprint(info.Extra["ticks"]))
			return ticks > 1
		})
		if _, err := actor.StopActor.Call(w.ctx, actor.Arbiter, v); err != nil {
			t.Fatal(err)
		}
		if notes, err := Noted.Call(w.ctx, book, actor.None{}); !slices.Equal(notes, []string{"1", "7"}) || err != nil {
			t.Errorf("the hooks of start and stop have told %q, %v", notes, err)
		}
	}
	if v, err := Setting.Call(w.ctx, w.spawn(Victim, actor.Name("changed")), "limit"); fmt.Sprint(v) != "7" || err != nil {
		t.Errorf("what was changed is %v, %v", v, err)
	}
	_, err := w.arb.Spawn(w.ctx, Victim, actor.Name("forbidden"))
	if !errors.Is(err, actor.ErrRefused) || !strings.Contains(err.Error(), "nobody is called forbidden here, arbiter") {
		t.Errorf("what was refused: %v", err)
	}
	if n := asked.Load(); n != 6 {
		t.Errorf("it was asked %d times for 6 spawns", n)
	}
}

// TestSettings: an actor has its own from birth, in every place and language, and
// others may get and set them.
func TestSettings(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	extra := actor.Extra(map[string]any{"limit": 5, "where": "here"})
	all := map[string]actor.Ref{"goroutine": w.spawn(Victim, extra), "process": w.spawn(Victim, extra, actor.Process())}
	if hasPython() {
		program, err := w.arb.SpawnProgram(w.ctx, python(t), []string{workerPath(t)}, extra)
		if err != nil {
			t.Fatal(err)
		}
		all["exec"] = program
	}
	for place, v := range all {
		for name, want := range map[string]string{"limit": "5", "where": "here"} {
			if have, err := Setting.Call(w.ctx, v, name); fmt.Sprint(have) != want || err != nil {
				t.Errorf("%s: %s is %v, %v", place, name, have, err)
			}
		}
		if place == "exec" {
			continue
		}
		config := func(a actor.ConfigArgs) string {
			v, err := actor.Config.Call(w.ctx, v, a)
			if err != nil {
				t.Errorf("%s: config %+v: %v", place, a, err)
			}
			return fmt.Sprint(v)
		}
		if have := config(actor.ConfigArgs{Op: "get", Name: "limit"}); have != "5" {
			t.Errorf("%s: config get: %v", place, have)
		}
		config(actor.ConfigArgs{Op: "set", Name: "limit", Value: 6})
		if have, err := Setting.Call(w.ctx, v, "limit"); fmt.Sprint(have) != "6" || err != nil {
			t.Errorf("%s: after config set: %v, %v", place, have, err)
		}
	}
	// Nobody else's.
	if have, err := Setting.Call(w.ctx, w.spawn(Victim), "limit"); have != nil || err != nil {
		t.Errorf("another's: %v, %v", have, err)
	}
}

// TestGetOrCreate: of a hundred who want the actor of a name, one makes it.
func TestGetOrCreate(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for name, options := range map[string][]actor.SpawnOption{
		"goroutine":  nil,
		"process":    {actor.Process()},
		"supervised": {actor.Process(), actor.Restart(supervise.Policy{})},
	} {
		var all sync.WaitGroup
		refs := make(chan actor.Ref, 100)
		for range cap(refs) {
			all.Go(func() {
				ref, err := w.arb.Spawn(w.ctx, Victim, append([]actor.SpawnOption{actor.GetOrCreate(name)}, options...)...)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				refs <- ref
			})
		}
		all.Wait()
		first := <-refs
		for range cap(refs) - 1 {
			if ref := <-refs; ref != first {
				t.Fatalf("%s: %v, and %v", name, first, ref)
			}
		}
		if n, err := Double.Call(w.ctx, first, 4); n != 8 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if n := len(w.events(name, "spawned")); n != 1 {
			t.Errorf("%s: %d were spawned", name, n)
		}
	}
	if _, err := w.arb.Spawn(w.ctx, One, actor.GetOrCreate("goroutine")); !errors.Is(err, actor.ErrExists) {
		t.Errorf("of another kind: %v", err)
	}
}

// TestSilentProgram: a program that knows nothing of all this is started, watched,
// stopped as it likes to be, and what it prints is kept. Messages for it go nowhere.
func TestSilentProgram(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	// A signal that is not ignored by whoever is started in the background, as an interrupt is.
	script := `trap 'echo bye; exit 0' USR1; echo "fd ${ARBITER_FD-none}, I am $ARBITER_NAME"; while :; do sleep 0.02; done`
	v, err := w.arb.SpawnProgram(w.ctx, "/bin/sh", []string{"-c", script}, actor.Silent(), actor.Name("cat"), func(a *actor.SpawnArgs) { a.StopSignal = "USR1" })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has said something", func() bool { return len(w.inspect(t, v).Lines) > 0 })
	in := w.inspect(t, v)
	if in.Info.In != "exec" || in.Info.State != "running" || in.Info.PID == 0 || in.Lines[0].Text != "fd none, I am cat" {
		t.Errorf("%+v, %+v", in.Info, in.Lines)
	}
	if _, err := Double.Call(w.ctx, v, 1); !errors.Is(err, actor.ErrUnknownCommand) {
		t.Errorf("a call: %v", err)
	}
	if pong, err := actor.Ping.Call(w.ctx, v, actor.None{}); pong != "pong" || err != nil {
		t.Errorf("ping: %q, %v", pong, err)
	}
	d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, v)
	if err != nil || d.Cause != actor.CauseStopped {
		t.Errorf("stop: %+v, %v", d, err)
	}
	in = w.inspect(t, v)
	if n := len(in.Lines); n != 2 || in.Lines[1].Text != "bye" {
		t.Errorf("its lines: %+v", in.Lines)
	}
	// One that does not stop is killed when its grace is over.
	v, err = w.arb.SpawnProgram(w.ctx, "/bin/sh", []string{"-c", "trap '' TERM; echo deaf; while :; do sleep 0.02; done"}, actor.Silent(), actor.Grace(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is deaf", func() bool { return len(w.inspect(t, v).Lines) > 0 })
	pid := w.inspect(t, v).Info.PID
	if d, err = actor.StopActor.Call(w.ctx, actor.Arbiter, v); err != nil || d.Cause != actor.CauseHung || d.PID != pid {
		t.Errorf("stop of who does not: %+v, %v", d, err)
	}
	eventually(t, "it is gone", func() bool { return !alive(pid) })
	// And one killed by command says with what.
	v, err = w.arb.SpawnProgram(w.ctx, "sleep", []string{"300"}, actor.Silent())
	if err != nil {
		t.Fatal(err)
	}
	if d, err = actor.KillActor.Call(w.ctx, actor.Arbiter, v); err != nil || d.Cause != actor.CauseKilled || d.Signal != "killed" {
		t.Errorf("kill: %+v, %v", d, err)
	}
}

// TestKilledByCommand: who waits for it is told by whom it was asked for, and the
// signal.
func TestKilledByCommand(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for _, place := range []string{"goroutine", "process"} {
		o := actor.Goroutine()
		if place == "process" {
			o = actor.Process()
		}
		v := w.spawn(Victim, o)
		p := Block.Start(w.ctx, v, actor.None{})
		d, err := w.arb.Kill(w.ctx, v)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Wait()
		var down *actor.DownError
		if !errors.As(err, &down) {
			t.Fatal(err)
		}
		for who, d := range map[string]actor.Death{"who asked": d, "who waits": down.Death} {
			if d.Cause != actor.CauseKilled || !strings.Contains(d.Reason, "asked to by arbiter") || (place == "process") != (d.Signal == "killed") {
				t.Errorf("%s: %s is told %+v", place, who, d)
			}
		}
	}
}

// Who has ended is found by the name people know, the last of those that had it, and
// calls to its aid say who that was.
func TestInspectTheDead(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for life := range 2 {
		v := w.spawn(Victim, actor.Name("ada"))
		if i := w.inspect(t, actor.To("ada")); i.Death != nil || i.Info.AID != v.AID {
			t.Errorf("life %d: alive it is %+v", life, i.Info)
		}
		if _, err := w.arb.Kill(w.ctx, v); err != nil {
			t.Fatal(err)
		}
		for _, by := range []actor.Ref{actor.To("ada"), {AID: v.AID}} {
			i := w.inspect(t, by)
			if i.Info.AID != v.AID || i.Info.Name != "ada" || i.Info.State != "terminated" || i.Death == nil || i.Death.Cause != actor.CauseKilled || len(i.Events) == 0 {
				t.Errorf("life %d by %v: %+v, %+v", life, by, i.Info, i.Death)
			}
		}
	}
	if _, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To("eve")); !errors.Is(err, actor.ErrUnknownActor) {
		t.Errorf("who never was is %v", err)
	}
}

// Errors name who was called as people know them, also those the caller's end makes.
func TestErrorsNameTheTarget(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for _, place := range []actor.SpawnOption{actor.Goroutine(), actor.Process()} {
		v := w.spawn(Victim, place, actor.Name("ada"))
		ctx, cancel := context.WithTimeout(w.ctx, 50*time.Millisecond)
		_, err := Block.Call(ctx, v, actor.None{})
		cancel()
		var e *actor.Error
		if !errors.As(err, &e) || e.Code != actor.Deadline || e.Target != "ada" || !strings.HasPrefix(err.Error(), `call block on "ada": `) {
			t.Errorf("the deadline: %v", err)
		}
		ctx, cancel = context.WithCancel(w.ctx)
		p := Block.Start(ctx, v, actor.None{})
		cancel()
		if _, err := p.Wait(); !errors.As(err, &e) || e.Code != actor.Canceled || e.Target != "ada" {
			t.Errorf("canceled: %v", err)
		}
		if _, err := w.arb.Kill(w.ctx, v); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNotAgain: an actor that says so is not started again, whatever the policy, in
// every place and language.
func TestNotAgain(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	always := actor.Restart(supervise.Policy{Restart: supervise.Always, MinBackoff: time.Millisecond})
	for name, spawn := range map[string]func(t *testing.T, o ...actor.SpawnOption) (actor.Ref, error){
		"goroutine": func(_ *testing.T, o ...actor.SpawnOption) (actor.Ref, error) { return w.arb.Spawn(w.ctx, Victim, o...) },
		"process": func(_ *testing.T, o ...actor.SpawnOption) (actor.Ref, error) {
			return w.arb.Spawn(w.ctx, Victim, append(o, actor.Process())...)
		},
		"exec": func(t *testing.T, o ...actor.SpawnOption) (actor.Ref, error) {
			return w.arb.SpawnProgram(w.ctx, python(t), []string{workerPath(t)}, o...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := spawn(t, actor.Name(name), always)
			if err != nil {
				t.Fatal(err)
			}
			if err := Retire.Send(w.ctx, v, actor.None{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "its name is free", func() bool {
				_, err = Double.Call(w.ctx, actor.To(name), 1)
				return errors.Is(err, actor.ErrUnknownActor)
			})
			if !strings.Contains(err.Error(), "the last one of that name stopped: enough") {
				t.Errorf("a call: %v", err)
			}
			_, err = Double.Call(w.ctx, v, 1)
			var down *actor.DownError
			if !errors.As(err, &down) || down.Cause != actor.CauseStopped || down.Reason != "enough" || !down.Final {
				t.Errorf("a call to that life: %v (%+v)", err, down)
			}
			if n := len(w.events(name, "restarting")); n != 0 {
				t.Errorf("it was started again %d times", n)
			}
		})
	}
	// One that cannot start again, and says that it never will.
	for name, place := range map[string]actor.SpawnOption{"licensed": actor.Goroutine(), "licensed-process": actor.Process()} {
		file := filepath.Join(t.TempDir(), "revoked")
		w.spawn(Victim, place, actor.Name(name), always, actor.Extra(map[string]any{"start": file}))
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Die.Call(w.ctx, actor.To(name), "panic"); !errors.Is(err, actor.ErrDown) {
			t.Fatal(err)
		}
		var err error
		eventually(t, "its name is free", func() bool {
			_, err = Double.Call(w.ctx, actor.To(name), 1)
			return errors.Is(err, actor.ErrUnknownActor)
		})
		if !strings.Contains(err.Error(), "the last one of that name could not start: no license") {
			t.Errorf("a call to %s: %v", name, err)
		}
		eventually(t, "the event is there", func() bool { return len(w.events(name, "restarting")) > 0 }) // who waits is told first
		if n := len(w.events(name, "restarting")); n != 1 {
			t.Errorf("%s was started again %d times", name, n)
		}
	}
}

// TestFirstStartFails: a supervised actor that never was ready leaves nothing behind: its
// spawner was told, and may try again.
func TestFirstStartFails(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for _, place := range []actor.SpawnOption{actor.Goroutine(), actor.Process()} {
		_, err := w.arb.Spawn(w.ctx, Victim, place, actor.Name("v"), actor.Restart(supervise.Policy{MinBackoff: time.Millisecond}), actor.Extra(map[string]any{"start": "fail"}))
		if !errors.Is(err, actor.ErrDown) || !strings.Contains(err.Error(), "no disk") {
			t.Fatalf("spawn: %v", err)
		}
		if n := len(w.events("v", "restarting")); n != 0 {
			t.Errorf("it was started again %d times", n)
		}
		if _, err := w.arb.Spawn(w.ctx, Victim, place, actor.Name("v"), actor.Restart(supervise.Policy{})); err != nil {
			t.Errorf("the second try: %v", err)
		}
		if _, err := actor.StopActor.Call(w.ctx, actor.Arbiter, actor.To("v")); err != nil {
			t.Fatal(err)
		}
		w = quietWorld(t) // a slot that was stopped keeps its name
	}
}

// TestOneForAll: when one of a group dies, all are started again, together.
func TestOneForAll(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	policy := &supervise.Policy{Strategy: supervise.OneForAll, MinBackoff: 20 * time.Millisecond, Jitter: -1}
	if _, err := w.arb.Pool(w.ctx, Victim, actor.PoolArgs{Name: "trio", Workers: 3, Worker: actor.SpawnArgs{In: "process", Restart: policy}}); err != nil {
		t.Fatal(err)
	}
	lives := func() (list []string) {
		for n := range 3 {
			slot := w.inspect(t, actor.To(fmt.Sprintf("trio/%d", n+1))).Slots[0]
			if slot.State != "running" {
				return nil
			}
			list = append(list, slot.AID)
		}
		return list
	}
	before := lives()
	if _, err := Die.Call(w.ctx, actor.To("trio/2"), "exit"); !errors.Is(err, actor.ErrDown) {
		t.Fatal(err)
	}
	var after []string
	eventually(t, "all live again", func() bool {
		after = lives()
		return after != nil && !slices.ContainsFunc(after, func(aid string) bool { return slices.Contains(before, aid) })
	})
	causes := map[actor.Cause]int{}
	for n := range 3 {
		in := w.inspect(t, actor.To(fmt.Sprintf("trio/%d", n+1)))
		causes[in.Slots[0].Last.Cause]++
		if in.Info.Restarts != 1 {
			t.Errorf("trio/%d was started again %d times", n+1, in.Info.Restarts)
		}
	}
	if causes[actor.CauseExit] != 1 || causes[actor.CauseStopped] != 2 {
		t.Errorf("they had ended by %v", causes)
	}
	for range 6 {
		if n, err := Double.Call(w.ctx, actor.To("trio"), 4); n != 8 || err != nil {
			t.Errorf("a call: %d, %v", n, err)
		}
	}
}

// TestLettersOfTheDead: one-way messages that wait for an actor when it dies are dead
// letters, each once, and come back to who sent them.
func TestLettersOfTheDead(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	const letters = 50
	for _, test := range []struct {
		name  string
		place actor.SpawnOption
		kill  bool
		fewer int // those that were in the process, of which nobody knows any more
	}{
		{"goroutine, panic", actor.Goroutine(), false, 0},
		{"goroutine, killed", actor.Goroutine(), true, 0},
		{"process, panic", actor.Process(), false, 0},
		{"process, killed", actor.Process(), true, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			var back atomic.Int32
			// With room for a message more than there are, so that they all leave their sender.
			sender := &actor.Kind[actor.None]{Name: "sender", Undelivered: func(actor.None, context.Context, *actor.Error) { back.Add(1) }}
			m := w.member(w.address("unix:"), sender, actor.JoinOptions{})
			ctx := m.Context(w.ctx)
			v := w.spawn(One, test.place, actor.Heartbeat(30*time.Millisecond, 10*time.Second))
			before, err := actor.DeadLetters.Call(w.ctx, actor.Arbiter, actor.None{})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "now")
			busy := Die.Start(ctx, v, "panic once there is "+file)
			for n := range letters {
				if err := Record.Send(ctx, v, n); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := actor.Ping.Call(ctx, actor.Arbiter, actor.None{}); err != nil { // now the arbiter has them
				t.Fatal(err)
			}
			eventually(t, "it has taken what it has room for", func() bool {
				return w.inspect(t, v).Info.Inbox >= 4 // by its heartbeat: a question would wait behind the others
			})
			if test.kill {
				if _, err := w.arb.Kill(w.ctx, v); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := busy.Wait(); !errors.Is(err, actor.ErrDown) {
				t.Fatal(err)
			}
			if test.kill {
				_ = os.WriteFile(file, nil, 0o600) // lets the goroutine go, as long as the file is there
				defer eventually(t, "the handler has returned", func() bool {
					return w.inspect(t, actor.Arbiter).Info.Extra["leaked handlers"] == nil
				})
			}
			want := letters - test.fewer
			var dead []actor.DeadLetter
			defer func() { t.Logf("%d dead letters, %d came back", len(dead), back.Load()) }()
			eventually(t, fmt.Sprintf("there are %d dead letters", want), func() bool {
				all, err := actor.DeadLetters.Call(w.ctx, actor.Arbiter, actor.None{})
				if err != nil {
					t.Fatal(err)
				}
				dead = all[len(before):]
				return len(dead) >= want && int(back.Load()) >= want
			})
			if len(dead) != want || int(back.Load()) != want {
				t.Errorf("%d dead letters, %d came back, of %d", len(dead), back.Load(), want)
			}
			ref, err := m.Ref(w.ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range dead {
				if l.Sender != ref.AID || l.Target != v.AID || l.Command != "record" || l.Code != actor.Down {
					t.Errorf("a dead letter: %+v", l)
				}
			}
		})
	}
}

// TestBetweenLives: messages to a name wait while nobody has it, and are the first
// the next one gets, in order.
func TestBetweenLives(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	m := w.member(w.address("unix:"), Caller, actor.JoinOptions{})
	// As long as it is to take: the next one is started by command.
	restart := actor.Restart(supervise.Policy{MinBackoff: time.Hour, MaxBackoff: time.Hour, Jitter: -1})
	for _, place := range []struct {
		put  actor.SpawnOption
		room int // how many are sent before it is started; a process says what it has room for
	}{{actor.Goroutine(), 3}, {actor.Process(), 0}} {
		for who, ctx := range map[string]context.Context{"the arbiter": w.ctx, "a member": m.Context(w.ctx)} {
			w.arb.Logger().Info("next", "who", who)
			name := fmt.Sprintf("s%d", time.Now().UnixNano())
			first := w.spawn(Witness, place.put, actor.Name(name), restart) // which does one thing at a time
			to := actor.To(name)
			if _, err := Die.Call(ctx, to, "panic"); !errors.Is(err, actor.ErrDown) {
				t.Fatal(err)
			}
			if s := w.inspect(t, to).Slots[0]; s.State != "waiting" || s.Waits <= 0 {
				t.Errorf("its slot: %+v", s)
			}
			began := time.Now()
			started := make(chan error, 1)
			for n := range 5 {
				if n == place.room {
					go func() {
						_, err := actor.StartActor.Call(w.ctx, actor.Arbiter, to)
						started <- err
					}()
				}
				if err := Record.Send(ctx, to, n); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := Double.Call(ctx, to, 4); n != 8 || err != nil {
				t.Errorf("%s: a call behind those that waited: %d, %v", who, n, err)
			}
			if err := <-started; err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: answered after %v", who, time.Since(began))
			if notes, err := Noted.Call(ctx, to, actor.None{}); err != nil || !slices.Equal(notes, []string{"0", "1", "2", "3", "4"}) {
				t.Errorf("%s: what it was sent first came as %q, %v", who, notes, err)
			}
			// A call to the life that is over is told so, whoever has the name by now.
			var down *actor.DownError
			if n, err := Double.Call(ctx, actor.Ref{AID: first.AID}, 4); !errors.As(err, &down) || down.Cause != actor.CausePanic || down.Err.Started != actor.StartedNo {
				t.Errorf("%s: a call to a life that is over: %d, %v", who, n, err)
			}
			// And one to the name whose time is up while it waits is told that.
			if _, err := Die.Call(ctx, to, "panic"); !errors.Is(err, actor.ErrDown) {
				t.Error(err)
			}
			short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			if _, err := Double.Call(short, to, 4); !errors.Is(err, actor.ErrDeadline) {
				t.Errorf("a call whose time is up: %v", err)
			}
			cancel()
		}
	}
}

// TestDownComesLast: a watcher is told of an end after all that the dead one had sent
// it.
func TestDownComesLast(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	const n = 1000
	for _, way := range []string{"panic", "exit"} {
		for _, where := range []string{"goroutine", "process"} {
			if way == "exit" && where == "goroutine" {
				continue
			}
			for _, who := range []string{"goroutine", "member"} {
				t.Run(fmt.Sprintf("%s in a %s, told a %s", way, where, who), func(t *testing.T) {
					var witness actor.Ref
					if who == "member" {
						witness = w.join(w.address("unix:"), Witness, actor.JoinOptions{})
					} else {
						witness = w.spawn(Witness)
					}
					o := actor.Goroutine()
					if where == "process" {
						o = actor.Process()
					}
					teller := w.spawn(Victim, o)
					if _, err := WatchIt.Call(w.ctx, witness, teller); err != nil {
						t.Fatal(err)
					}
					if _, err := Tell.Call(w.ctx, teller, TellArgs{To: witness, N: n, Way: way}); !errors.Is(err, actor.ErrDown) {
						t.Fatal(err)
					}
					var notes []string
					eventually(t, "the end has come", func() bool {
						var err error
						notes, err = Noted.Call(w.ctx, witness, actor.None{})
						return err == nil && len(notes) > 0 && (notes[len(notes)-1] == way || slices.Contains(notes, way))
					})
					for i, note := range notes[:len(notes)-1] {
						if note != strconv.Itoa(i) {
							t.Fatalf("number %d is %q", i, note)
						}
					}
					if last := notes[len(notes)-1]; last != way {
						t.Errorf("after its end came %q", last)
					}
					// Who panics says goodbye; what was on its way goes before that.
					if way == "panic" && len(notes) != n+1 {
						t.Errorf("%d of %d messages have come", len(notes)-1, n)
					}
				})
			}
		}
	}
}

// TestPsOrder: the oldest comes first, however short a time lies between two.
func TestPsOrder(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	var want []string
	for range 100 {
		want = append(want, w.spawn(Victim).AID)
	}
	for range 20 {
		list, err := actor.Ps.Call(w.ctx, actor.Arbiter, actor.None{})
		if err != nil {
			t.Fatal(err)
		}
		for n, info := range list[1:] {
			if info.AID != want[n] {
				t.Fatalf("at place %d is %s, want %s", n, info.AID, want[n])
			}
		}
	}
}

// TestWatchesEndWithTheWatcher: a dead actor's wishes to be told are taken off.
func TestWatchesEndWithTheWatcher(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	v := w.spawn(Victim)
	watchers := map[string]actor.Ref{
		"goroutine": w.spawn(Witness),
		"member":    w.join(w.address("unix:"), Witness, actor.JoinOptions{}),
	}
	for _, witness := range watchers {
		if _, err := WatchIt.Call(w.ctx, witness, v); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.inspect(t, v).Watchers; n != 2 {
		t.Errorf("%d watchers", n)
	}
	for name, witness := range watchers {
		if _, err := w.arb.Kill(w.ctx, witness); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if n := w.inspect(t, v).Watchers; n != 0 {
		t.Errorf("%d of the dead still watch", n)
	}
}

// TestManyWatchesEndWithTheWatcher: so are very many of one actor, and not those of others.
func TestManyWatchesEndWithTheWatcher(t *testing.T) {
	t.Parallel()
	const many = 10_000
	w := quietWorld(t)
	v, other, witness := w.spawn(Victim), w.spawn(Victim), w.spawn(Witness)
	for _, to := range []actor.Ref{v, other} {
		if _, err := WatchIt.Call(w.ctx, witness, to); err != nil {
			t.Fatal(err)
		}
	}
	r := w.raw()
	r.join()
	targets := []string{v.AID, other.AID}
	go func() {
		for n := range many {
			m := wire.Message{Kind: wire.KindWatch, ID: uint64(n) + 1, Target: []byte(targets[min(n%100, 1)])}
			if _, err := r.c.Write(frame.AppendFrame(nil, frame.Binary, m.Append(nil))); err != nil {
				return // the reader says so
			}
		}
	}()
	for range many {
		if m, err := r.next(); err != nil || m.Kind != wire.KindReply {
			t.Fatalf("a watch is answered %v, %v", m.Kind, err)
		}
	}
	if a, b := w.inspect(t, v).Watchers, w.inspect(t, other).Watchers; a+b != many+2 {
		t.Errorf("%d and %d watchers, want %d in all", a, b, many+2)
	}
	began := time.Now()
	_ = r.c.Close()
	eventually(t, "the dead one's are taken off", func() bool {
		return w.inspect(t, v).Watchers == 1 && w.inspect(t, other).Watchers == 1
	})
	t.Logf("%d watches were taken off after %v", many, time.Since(began))
}

// TestInboxBytesWithin: messages between actors of one process count with their
// bytes.
func TestInboxBytesWithin(t *testing.T) {
	t.Parallel()
	narrow := &actor.Kind[*victim]{Name: "narrow", New: newVictim, Handlers: victimHandlers(), Inbox: actor.Limits{Bytes: 1 << 20}}
	w := quietWorld(t)
	v := w.spawn(narrow)
	busy := Block.Start(w.ctx, v, actor.None{})
	eventually(t, "it is at work", func() bool {
		info, err := actor.GetInfo.Call(w.ctx, v, actor.None{})
		return err == nil && info.Handling == "block"
	})
	echo := func(ctx context.Context, arg any) error {
		_, err := actor.Call[any](ctx, v, "echo", arg)
		return err
	}
	half := strings.Repeat("x", 600<<10)
	waiting := actor.Echo.Start(w.ctx, v, half)
	_ = waiting
	whole := actor.NewCommand[string, string]("echo").Start(w.ctx, v, half)
	if _, err := actor.NewCommand[[]byte, any]("echo").Call(w.ctx, v, []byte(half)); !errors.Is(err, actor.ErrOverloaded) {
		t.Errorf("a []byte too many: %v", err)
	}
	if err := echo(w.ctx, half); !errors.Is(err, actor.ErrOverloaded) {
		t.Errorf("an argument too many: %v", err)
	}
	short, cancel := context.WithTimeout(w.ctx, 50*time.Millisecond)
	defer cancel()
	if err := echo(short, "small"); !errors.Is(err, actor.ErrDeadline) {
		t.Errorf("a small one: %v", err)
	}
	busy.Cancel()
	if _, err := whole.Wait(); err != nil {
		t.Errorf("the one that had room: %v", err)
	}
}

// TestSpawnDuringStop: whatever is spawned, restarted or scaled while the arbiter stops
// is refused or ended, and nothing slips through.
func TestSpawnDuringStop(t *testing.T) {
	t.Parallel()
	for round := range 4 {
		w := quietWorld(t)
		mark := fmt.Sprintf("MARK=%d-%d-%d", os.Getpid(), time.Now().UnixNano(), round)
		args := actor.PoolArgs{Name: "p", Workers: 2, Worker: actor.SpawnArgs{Run: []string{"sleep", "300"}, Silent: true, Env: []string{mark}}}
		if _, err := w.arb.Pool(w.ctx, nil, args); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		begun := make(chan struct{})
		var once sync.Once
		for worker := range 6 {
			all.Go(func() {
				for n := 0; ; n++ {
					var err error
					switch worker % 3 {
					case 0:
						_, err = w.arb.SpawnProgram(w.ctx, "sleep", []string{"300"}, actor.Silent(), actor.Env(mark), actor.Name(fmt.Sprintf("s%d-%d", worker, n)), actor.Restart(supervise.Policy{}))
					case 1:
						_, err = actor.ScalePool.Call(w.ctx, actor.Arbiter, actor.ScaleArgs{Pool: "p", Workers: new(1 + n%3)})
					case 2:
						_, err = actor.RestartActor.Call(w.ctx, actor.Arbiter, actor.To("p/1"))
					}
					if n == 2 {
						once.Do(func() { close(begun) })
					}
					if err != nil && (errors.Is(err, actor.ErrClosed) || errors.Is(err, actor.ErrDown)) {
						return
					}
				}
			})
		}
		<-begun
		if err := w.arb.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
		if pids := processesOf(mark); len(pids) > 0 {
			t.Errorf("%v are left", pids)
			for _, pid := range pids {
				_ = signalTo(pid, syscall.SIGKILL)
			}
		}
		all.Wait()
	}
}
