//go:build linux

package arbiter_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// A whole program that cannot end as it should.
func init() {
	acts["stubborn main"] = func(grace string) {
		limit, err := time.ParseDuration(grace)
		if err != nil {
			panic(err)
		}
		never := &actor.Kind[actor.None]{Name: "never", Grace: limit, Stopping: func(actor.None, context.Context) { select {} }}
		arbiter.Main(func(ctx context.Context, arb *arbiter.Arbiter) error {
			_, err := arb.Spawn(ctx, never, actor.Name("stubborn"))
			return err
		})
	}
}

// A whole program that prints to nobody.
func init() {
	acts["unread main"] = func(stopped string) {
		tidy := &actor.Kind[actor.None]{Name: "tidy", Stopping: func(actor.None, context.Context) { _ = os.WriteFile(stopped, nil, 0o600) }}
		arbiter.Main(func(ctx context.Context, arb *arbiter.Arbiter) error {
			if _, err := arb.Spawn(ctx, tidy); err != nil {
				return err
			}
			_, err := fmt.Println("here I am")
			return err
		})
	}
}

// TestMainUnread: a program whose standard output nobody reads any more learns of it by
// the error, and its actors are stopped in order.
func TestMainUnread(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	_ = read.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var errs strings.Builder
	stopped := t.TempDir() + "/stopped"
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), envActs+"=unread main", envExtra+"="+stopped, "XDG_RUNTIME_DIR="+t.TempDir())
	cmd.Stdout, cmd.Stderr = write, &errs
	_ = cmd.Run() // its state says it
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(errs.String(), syscall.EPIPE.Error()) {
		t.Errorf("it ended with %v, and said %q", cmd.ProcessState, errs.String())
	}
	if _, err := os.Stat(stopped); err != nil {
		t.Errorf("its actor was not stopped: %v", err)
	}
}

// TestMainSaysWhoWasKilled: a program some of whose actors had to be killed has not
// ended as it should, and its exit code says so: also where it was their own grace that was over.
func TestMainSaysWhoWasKilled(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, grace := range []string{"1h", "100ms"} {
		t.Run(grace, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, exe)
			cmd.Env = append(os.Environ(), envActs+"=stubborn main", envExtra+"="+grace, "XDG_RUNTIME_DIR="+t.TempDir())
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), "were killed: stubborn") {
				t.Errorf("exit code %d\n%s", code, out)
			}
		})
	}
}

// TestSignalContextEnds: also after a signal its end is the end of it.
func TestSignalContextEnds(t *testing.T) {
	_, first := arbiter.SignalContext(t.Context()) // the runtime keeps a goroutine from the first on
	first()
	before := runtime.NumGoroutine()
	ctx, stop := arbiter.SignalContext(context.Background())
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	stop()
	stop()
	settled(t, before)
}

// TestKilledInAHandler: a handler that goes on after its actor was killed is counted,
// for as long as it does.
func TestKilledInAHandler(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	stuck := &actor.Kind[actor.None]{Name: "stuck", Handlers: []actor.Handler[actor.None]{
		actor.Handle(Block, func(actor.None, context.Context, actor.None) (actor.None, error) {
			close(began)
			<-release
			return actor.None{}, nil
		}),
	}}
	w := quietWorld(t)
	v := w.spawn(stuck)
	p := Block.Start(w.ctx, v, actor.None{})
	<-began
	if _, err := w.arb.Kill(w.ctx, v); err != nil {
		t.Fatal(err)
	}
	_, _ = p.Wait()
	leaked := func() any { return w.inspect(t, actor.Arbiter).Info.Extra["leaked handlers"] }
	if n := leaked(); fmt.Sprint(n) != "1" { // of whatever type it came through
		t.Errorf("%v leaked handlers, want 1", n)
	}
	close(release)
	eventually(t, "it has returned", func() bool { return leaked() == nil })
}

// TestLastLineOfAStop: what a program prints right before its end is there when its
// stop was answered.
func TestLastLineOfAStop(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	const script = `trap "echo bye; exit" TERM; echo ready; while :; do sleep 0.01; done`
	for range 20 {
		ref, err := w.arb.SpawnProgram(w.ctx, "sh", []string{"-c", script}, actor.Silent())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := actor.Logs.Call(w.ctx, actor.Arbiter, actor.LogsArgs{Target: ref.AID, Wait: 10 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if _, err := actor.StopActor.Call(w.ctx, actor.Arbiter, ref); err != nil {
			t.Fatal(err)
		}
		lines := w.inspect(t, ref).Lines
		if !slices.ContainsFunc(lines, func(l actor.LogLine) bool { return l.Text == "bye" }) {
			t.Errorf("its lines are %+v", lines)
		}
	}
}

// TestInterrupt: an interrupt of the terminal's does not end an actor in a process of its
// own, and does end what that has started.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	v := w.spawn(Victim, actor.Process())
	if err := syscall.Kill(w.inspect(t, v).Info.PID, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code, err := Do.Call(w.ctx, v, "sh -c 'kill -INT $$; exit 7'; echo $?"); code != "130" || err != nil {
		t.Errorf("a program it has started, and interrupted, ended with %q, %v; want 130", code, err)
	}
}

// A program that hears signals, but no words; it leaves a file in its own time.
func init() {
	acts["wordless"] = func(file string) {
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		inherited("wordless")
		<-terminated
		<-time.After(200 * time.Millisecond)
		_ = os.WriteFile(file, nil, 0o600)
	}
}

// TestTerminatedBehindAWrapper: the SIGTERM of a stop that takes long comes through a shell
// to the program it has started.
func TestTerminatedBehindAWrapper(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	arb, err := arbiter.Start(t.Context(), arbiter.Options{Name: "test", Output: io.Discard, Logger: quiet, StopTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/terminated"
	if _, err := arb.SpawnProgram(t.Context(), "sh", []string{"-c", `"$0"; exit 3`, exe}, actor.Env(envActs+"=wordless", envExtra+"="+file), actor.Grace(time.Hour)); err != nil {
		t.Error(err)
	}
	if err := arb.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the program was not let finish: %v", err)
	}
}

// TestStopOfAWrapper: the program that a shell was started to start, and does not pass its
// signals on to, has its grace, too. What outlives that is killed, and that is told.
func TestStopOfAWrapper(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	start := func(script string, o ...actor.SpawnOption) actor.Ref {
		t.Helper()
		ref, err := w.arb.SpawnProgram(w.ctx, "sh", []string{"-c", `sh -c "$0"; exit 3`, script}, append(o, actor.Silent())...)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is ready", func() bool { return len(w.inspect(t, ref).Lines) > 0 })
		return ref
	}
	ref := start(`trap 'sleep 0.2; echo bye; exit' TERM; echo ready; while :; do sleep 0.01; done`)
	if d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, ref); err != nil || d.Cause != actor.CauseStopped {
		t.Errorf("stop: %+v, %v", d, err)
	}
	if lines := w.inspect(t, ref).Lines; lines[len(lines)-1].Text != "bye" {
		t.Errorf("the program was not let finish: %+v", lines)
	}
	ref = start(`trap '' TERM; echo $$; while :; do sleep 0.01; done`, actor.Grace(200*time.Millisecond))
	pid, err := strconv.Atoi(w.inspect(t, ref).Lines[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, ref); err != nil || d.Cause != actor.CauseHung {
		t.Errorf("stop of who does not: %+v, %v", d, err)
	}
	eventually(t, "it is gone", func() bool { return !alive(pid) })
}
