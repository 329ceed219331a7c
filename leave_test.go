//go:build linux

package arbiter_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// Leave has an actor end by itself.
var Leave = actor.NewCommand[actor.None, actor.None]("leave", actor.NoAck())

// A program that has things to do when it has said goodbye, in a folder that its lives
// have in common: "hooks" takes a while, "waits" goes on until there is a file, and
// "hangs" never ends.
func init() {
	acts["leaver"] = func(args string) {
		how, dir, _ := strings.Cut(args, " ")
		note := func(name string) { _ = os.WriteFile(dir+"/"+name, nil, 0o600) }
		if os.Mkdir(dir+"/alive", 0o700) != nil {
			note("two at once")
		}
		p, frames := inherited("leaver", "block", map[string]any{"name": "leave", "ack": false})
		for {
			m, err := p.read(frames)
			if err != nil {
				panic(err)
			}
			if command := m["command"]; command == "stop" || command == "leave" {
				break
			}
		}
		p.goodbye(map[string]any{"cause": "stopped", "reason": "it leaves"})
		switch how {
		case "hooks":
			<-time.After(300 * time.Millisecond)
		case "waits":
			for !exists(dir + "/go") {
				<-time.After(2 * time.Millisecond)
			}
		case "hangs":
			<-time.After(time.Minute)
		}
		note("done")
		_ = os.Remove(dir + "/alive")
	}
}

// leaver starts such a program.
func leaver(t *testing.T, ctx context.Context, how string, o ...actor.SpawnOption) (ref actor.Ref, dir string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	o = append(o, actor.Exec(exe), actor.Env(envActs+"=leaver", envExtra+"="+how+" "+dir))
	if ref, err = actor.Spawn(ctx, "", o...); err != nil {
		t.Fatal(err)
	}
	return ref, dir
}

// again is for who is started again whatever happens.
var again = supervise.Policy{Restart: supervise.Always, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}

// leaves is such a program as one that is supervised.
func leaves(t *testing.T, how, dir string, policy supervise.Policy) actor.SpawnArgs {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return actor.SpawnArgs{In: "exec", Run: []string{exe}, Env: []string{envActs + "=leaver", envExtra + "=" + how + " " + dir}, Grace: time.Minute, Restart: &policy}
}

// departs has who has the name say goodbye, and waits until another one has it.
func departs(t *testing.T, w *world, name string) (before actor.Info) {
	t.Helper()
	before = w.inspect(t, actor.To(name)).Info
	if err := Leave.Send(w.ctx, actor.To(name), actor.None{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it gives way", func() bool { return w.inspect(t, actor.To(name)).Info.PID != before.PID })
	return before
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestLeaves: what a process does after its goodbye is within its grace. Neither its stop
// nor that of its arbiter is over before that, and no other life begins.
func TestLeaves(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	ref, dir := leaver(t, w.ctx, "hooks", actor.Grace(time.Minute))
	if d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, ref); err != nil || d.Cause != actor.CauseStopped || d.PID == 0 {
		t.Errorf("stop: %+v, %v", d, err)
	}
	if !exists(dir + "/done") {
		t.Error("its stop is over, and it is not")
	}

	arb, err := arbiter.Start(t.Context(), arbiter.Options{Name: "test", Output: io.Discard, Logger: quiet, StopTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	_, dir = leaver(t, arb.Context(t.Context()), "hooks", actor.Grace(time.Minute))
	if err := arb.Stop(context.Background()); err != nil {
		t.Errorf("stop of the arbiter: %v", err)
	}
	if !exists(dir + "/done") {
		t.Error("it was not let finish when its arbiter stopped")
	}

	_, dir = leaver(t, w.ctx, "hooks", actor.Name("web"), actor.Restart(again))
	for n := range 3 {
		if err := Leave.Send(w.ctx, actor.To("web"), actor.None{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it lives again", func() bool {
			info := w.inspect(t, actor.To("web")).Info
			return info.Restarts == n+1 && info.State == "running"
		})
	}
	if exists(dir + "/two at once") {
		t.Error("two of its lives were side by side")
	}
}

// TestLeavesItsCallers: who waits for an answer of an actor that has said goodbye is told
// at once, though its process, and its name, are still there.
func TestLeavesItsCallers(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	ref, dir := leaver(t, w.ctx, "waits", actor.Name("web"), actor.Grace(time.Minute))
	pid := w.inspect(t, ref).Info.PID
	call := Block.Start(w.ctx, ref, actor.None{})
	eventually(t, "the call is in flight", func() bool { return w.inspect(t, ref).Info.InFlight > 0 })
	stop := actor.StopActor.Start(w.ctx, actor.Arbiter, ref)
	var down *actor.DownError
	if _, err := call.Wait(); !errors.As(err, &down) || down.Cause != actor.CauseStopped || down.PID != pid {
		t.Errorf("the call in flight: %v", err)
	}
	if _, err := Block.Call(w.ctx, ref, actor.None{}); !errors.As(err, &down) || down.Err.Started != actor.StartedNo {
		t.Errorf("a call that comes later: %v", err)
	}
	if state := w.inspect(t, ref).Info.State; !alive(pid) || state != "stopping" {
		t.Errorf("its process lives: %v, and its state is %q", alive(pid), state)
	}
	if _, err := w.arb.Spawn(w.ctx, Victim, actor.Name("web")); !errors.Is(err, actor.ErrExists) {
		t.Errorf("another of its name: %v", err)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := stop.Wait(); err != nil || d.Cause != actor.CauseStopped {
		t.Errorf("stop: %+v, %v", d, err)
	}
}

// TestLeavesItsName: what is sent to the name of who has said goodbye, and is followed by another,
// waits for that one, though the process of the first is still there; so it does in a pool.
func TestLeavesItsName(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for name, start := range map[string]func(args actor.SpawnArgs) (first string, err error){
		"web": func(args actor.SpawnArgs) (string, error) {
			args.Name = "web"
			_, err := actor.SpawnActor.Call(w.ctx, actor.Arbiter, args)
			return "web", err
		},
		"pool": func(args actor.SpawnArgs) (string, error) {
			_, err := actor.Pool(w.ctx, actor.PoolArgs{Name: "pool", Workers: 1, Worker: args})
			return "pool/1", err
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			first, err := start(leaves(t, "waits", dir, again))
			if err != nil {
				t.Fatal(err)
			}
			pid := w.inspect(t, actor.To(first)).Info.PID
			if err := Leave.Send(w.ctx, actor.To(name), actor.None{}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it gives way", func() bool { return w.inspect(t, actor.To(first)).Info.PID != pid })
			call := Block.Start(w.ctx, actor.To(name), actor.None{})
			eventually(t, "the call waits", func() bool { return w.inspect(t, actor.To(first)).Info.InFlight > 0 })
			if !alive(pid) {
				t.Fatal("its process does not wait for its file")
			}
			if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "it lives again", func() bool { return w.inspect(t, actor.To(first)).Info.State == "running" })
			second := w.inspect(t, actor.To(first)).Info
			if second.InFlight != 1 || second.Restarts != 1 {
				t.Errorf("in flight on its second life, of %d before: %d", second.Restarts, second.InFlight)
			}
			if err := Leave.Send(w.ctx, actor.To(name), actor.None{}); err != nil {
				t.Fatal(err)
			}
			var down *actor.DownError
			if _, err := call.Wait(); !errors.As(err, &down) || down.PID != second.PID {
				t.Errorf("the call: %v", err)
			}
			if exists(dir + "/two at once") {
				t.Error("two of its lives were side by side")
			}
		})
	}
}

// TestLeavesAndHangs: who has said goodbye, and does not end, is killed when its grace is
// over, and has hung, whether it was asked to leave or not.
func TestLeavesAndHangs(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for says, end := range map[string]func(ref actor.Ref) error{
		"it was asked to stop": func(ref actor.Ref) error {
			_, err := actor.StopActor.Call(w.ctx, actor.Arbiter, ref)
			return err
		},
		"it said goodbye": func(ref actor.Ref) error { return Leave.Send(w.ctx, ref, actor.None{}) },
	} {
		ref, _ := leaver(t, w.ctx, "hangs", actor.Grace(200*time.Millisecond))
		pid := w.inspect(t, ref).Info.PID
		if err := end(ref); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it has ended", func() bool { return w.inspect(t, ref).Death != nil })
		if d := w.inspect(t, ref).Death; d.Cause != actor.CauseHung || d.Signal != "killed" || !strings.Contains(d.Reason, says) {
			t.Errorf("%s: it ended with %+v", says, d)
		}
		eventually(t, "its process is gone", func() bool { return !alive(pid) })
	}
}

// TestLeavesAndIsKilled: a kill by name is for what lives of it, which is the process that has
// said goodbye.
func TestLeavesAndIsKilled(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	args := leaves(t, "hangs", t.TempDir(), again)
	args.Name = "web"
	if _, err := actor.SpawnActor.Call(w.ctx, actor.Arbiter, args); err != nil {
		t.Fatal(err)
	}
	before := departs(t, w, "web")
	if d, err := w.arb.Kill(w.ctx, actor.To("web")); err != nil || d.PID != before.PID {
		t.Errorf("%+v, %v, and its process is %d", d, err, before.PID)
	}
	eventually(t, "its process has ended", func() bool { return !alive(before.PID) })
}

// TestLeavesAndShrinks: who was to follow, and is no longer wanted, does not begin beside the one
// before to handle what it was sent.
func TestLeavesAndShrinks(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	dir := t.TempDir()
	if _, err := actor.Pool(w.ctx, actor.PoolArgs{Name: "pool", Workers: 1, Worker: leaves(t, "waits", dir, again)}); err != nil {
		t.Fatal(err)
	}
	before := departs(t, w, "pool/1")
	call := Block.Start(w.ctx, actor.To("pool"), actor.None{})
	eventually(t, "the call waits", func() bool { return w.inspect(t, actor.To("pool/1")).Info.InFlight > 0 })
	none := 0
	scale := actor.ScalePool.Start(w.ctx, actor.Arbiter, actor.ScaleArgs{Pool: "pool", Workers: &none})
	eventually(t, "the pool has no place for it", func() bool { return len(w.inspect(t, actor.To("pool")).Slots) == 0 })
	w.spawn(Victim, actor.Process()) // who would have begun by then has
	if !alive(before.PID) || exists(dir+"/two at once") {
		t.Error("two of its lives are side by side, or the first was ended")
	}
	if err := os.WriteFile(dir+"/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the call is at the second", func() bool {
		for _, i := range ps(t, w.ctx) {
			if i.Name == "pool/1" && i.PID != 0 && i.PID != before.PID && i.State == "running" {
				_ = Leave.Send(w.ctx, actor.Ref{AID: i.AID}, actor.None{})
				return true
			}
		}
		return false
	})
	if _, err := call.Wait(); !errors.Is(err, actor.ErrDown) {
		t.Errorf("the call: %v", err)
	}
	if _, err := scale.Wait(); err != nil {
		t.Errorf("scale: %v", err)
	}
}

// TestLeavesWithTheOthers: where all are started again, nobody is before the last of those before
// has ended.
func TestLeavesWithTheOthers(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	dir := t.TempDir()
	policy := again
	policy.Strategy = supervise.OneForAll
	args := leaves(t, "", "", policy)
	args.Run = []string{"/bin/sh", "-c", `mkdir -p "$0/$ARBITER_NAME"; ` + envExtra + `="waits $0/$ARBITER_NAME" exec "$1"`, dir, args.Run[0]}
	args.Env = args.Env[:1]
	if _, err := actor.Pool(w.ctx, actor.PoolArgs{Name: "pool", Workers: 2, Worker: args}); err != nil {
		t.Fatal(err)
	}
	second := w.inspect(t, actor.To("pool/2")).Info
	if err := os.WriteFile(dir+"/pool/2/go", nil, 0o600); err != nil { // it ends when it is asked to
		t.Fatal(err)
	}
	first := departs(t, w, "pool/1")
	eventually(t, "the second has fallen", func() bool { return w.inspect(t, actor.Ref{AID: second.AID}).Death != nil })
	w.spawn(Victim, actor.Process()) // who would have begun by then has
	if now := w.inspect(t, actor.To("pool/2")).Info; !alive(first.PID) || now.State != "waiting" {
		t.Errorf("the second is %s, and the process of the first lives: %v", now.State, alive(first.PID))
	}
	if err := os.WriteFile(dir+"/pool/1/go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both live again", func() bool {
		return w.inspect(t, actor.To("pool/1")).Info.State == "running" && w.inspect(t, actor.To("pool/2")).Info.State == "running"
	})
}

// TestLeavesAndHangsAgain: who hangs after each goodbye is given up at last.
func TestLeavesAndHangsAgain(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	policy := again
	policy.MaxCrashes, policy.Within = 3, time.Minute
	dir := t.TempDir()
	args := leaves(t, "hangs", dir, policy)
	args.Name, args.Grace = "web", 100*time.Millisecond
	if _, err := actor.SpawnActor.Call(w.ctx, actor.Arbiter, args); err != nil {
		t.Fatal(err)
	}
	for n := range policy.MaxCrashes {
		eventually(t, "it runs", func() bool { return w.inspect(t, actor.To("web")).Info.State == "running" })
		before := departs(t, w, "web")
		eventually(t, "it is killed", func() bool { return !alive(before.PID) })
		if n == 0 && w.inspect(t, actor.To("web")).Info.State == "failed" {
			t.Fatal("it was given up at once")
		}
	}
	eventually(t, "it is given up", func() bool { return w.inspect(t, actor.To("web")).Info.State == "failed" })
}
