//go:build linux

package arbiter_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// envMark is what all descendants of a scene have in their environment, by which
// they are found without asking anything that the arbiter does.
const envMark = "ARBITER_TEST_MARK"

// marked are the processes that live and have the mark.
func marked(mark string) (found []int) {
	want := []byte(envMark + "=" + mark)
	for _, pid := range pids() {
		env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err != nil || !bytes.Contains(env, want) {
			continue
		}
		if state, _ := procStat(pid); state != "Z" && state != "X" && state != "" {
			found = append(found, pid)
		}
	}
	return found
}

// commandLine says what a process is, for people.
func commandLine(pid int) string {
	line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	return fmt.Sprintf("%d: %s", pid, bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte{' '}))
}

// stubbornProgram forks, leaves its session twice over, and has what it
// leaves ignore every signal that can be ignored.
const stubbornProgram = `trap "" TERM INT HUP QUIT
(setsid sh -c 'trap "" TERM INT HUP QUIT; (setsid sh -c "trap \"\" TERM INT HUP QUIT; sleep 600; :" &) ; sleep 600; :' &)
(sleep 600; :) &
while :; do sleep 600; done`

// Forker has such a family, and a handler that never returns.
var Forker = &actor.Kind[actor.None]{
	Name: "forker",
	New: func(context.Context) (actor.None, error) {
		cmd := exec.Command("sh", "-c", stubbornProgram)
		err := cmd.Start()
		go cmd.Wait() // nobody is left to tell
		return actor.None{}, err
	},
	Handlers: []actor.Handler[actor.None]{actor.Handle(Block, func(actor.None, context.Context, actor.None) (actor.None, error) { select {} })},
}

// The scenes in which an arbiter is killed. Each prints a line once it has begun and
// is at it until it is killed.
func killable(do func(ctx context.Context, arb *arbiter.Arbiter) error) func() {
	return func() {
		arbiter.Main(func(ctx context.Context, arb *arbiter.Arbiter) error {
			fmt.Println("begun")
			if err := do(ctx, arb); err != nil {
				return err
			}
			select {}
		}, Forker, Subject)
	}
}

// spawnOn spawns, forever, and keeps a dozen.
func spawnOn(ctx context.Context, arb *arbiter.Arbiter) error {
	for n := 0; ; n++ {
		name := "f" + strconv.Itoa(n%12)
		if n >= 12 {
			_, _ = arb.Kill(ctx, actor.To(name))
		}
		var err error
		if n%2 == 0 {
			_, err = arb.Spawn(ctx, Forker, actor.Process(), actor.Name(name))
		} else {
			_, err = arb.SpawnProgram(ctx, "sh", []string{"-c", stubbornProgram}, actor.Silent(), actor.Name(name))
		}
		if err != nil {
			return err
		}
	}
}

func forkers(ctx context.Context, arb *arbiter.Arbiter) error {
	policy := supervise.Policy{MinBackoff: 5 * time.Millisecond, MaxBackoff: 20 * time.Millisecond, MaxCrashes: -1}
	_, err := arb.Pool(ctx, Forker, actor.PoolArgs{Name: "web", Workers: 3, Worker: actor.SpawnArgs{In: "process", Restart: &policy, Grace: 50 * time.Millisecond}})
	if err == nil {
		_, err = arb.Pool(ctx, nil, actor.PoolArgs{Name: "old", Workers: 2, Worker: actor.SpawnArgs{Run: []string{"sh", "-c", stubbornProgram}, Silent: true, Restart: &policy, Grace: 50 * time.Millisecond}})
	}
	return err
}

// restartOn has two pools, and restarts and kills their workers forever.
func restartOn(ctx context.Context, arb *arbiter.Arbiter) error {
	if err := forkers(ctx, arb); err != nil {
		return err
	}
	for n := 0; ; n++ {
		_, _ = actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web"))
		_, _ = actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("old"))
		_, _ = arb.Kill(ctx, actor.To("web/"+strconv.Itoa(1+n%3)))
	}
}

// stopOn has two pools, of busy workers, and is stopping.
func stopOn(ctx context.Context, arb *arbiter.Arbiter) error {
	if err := forkers(ctx, arb); err != nil {
		return err
	}
	for n := range 3 {
		Block.Start(ctx, actor.To("web/"+strconv.Itoa(n+1)), actor.None{})
	}
	_ = arb.Stop(ctx)
	return nil
}

func scenes() map[string]func() {
	return map[string]func(){
		"spawn": killable(spawnOn), "restart": killable(restartOn), "stop": killable(stopOn),
		"container": container, "signals": signals, "thrifty": thrifty, "nothing": func() {},
	}
}

// scene starts this program as one of the scenes. Its output is out; what it writes
// to standard error is the test's, if it fails.
func scene(t *testing.T, name, mark string, env ...string) (cmd *exec.Cmd, out io.ReadCloser) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(exe)
	dir, err := os.MkdirTemp("", "arb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	cmd.Env = append(os.Environ(), envScene+"="+name, envMark+"="+mark, "XDG_RUNTIME_DIR="+dir)
	cmd.Env = append(cmd.Env, env...)
	said := &lockedBuffer{}
	cmd.Stderr = said
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said:\n%s", name, said)
		}
	})
	if out, err = cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	return cmd, out
}

// newMark is a mark nobody else has.
func newMark() string { return fmt.Sprintf("%d-%x", os.Getpid(), rand.Uint64()) }

// gone waits until nobody has the mark any more, and returns how long that took, and
// how long it took until there was only the guard, which looks twice.
func gone(t *testing.T, mark string, since time.Time, limit time.Duration) (all, others time.Duration) {
	t.Helper()
	for {
		left := marked(mark)
		took := time.Since(since)
		if len(left) == 0 {
			return took, others
		}
		if len(left) > 1 || !strings.Contains(commandLine(left[0]), "arbiter-guard") {
			others = took
		}
		if took > limit {
			for _, pid := range left {
				t.Errorf("left after %v: %s", took.Round(time.Millisecond), commandLine(pid))
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			return took, took
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestArbiterKilledAnywhere: arbiters are killed with -9 at random moments of
// spawning, restarting and stopping. Two seconds later nothing is left of what they
// started, whatever that has forked, which session it is in, and whatever it ignores.
func TestArbiterKilledAnywhere(t *testing.T) {
	names := []string{"spawn", "restart", "stop"}
	var took, but spread // all of them; all but the guard
	most, sum := 0, 0
	for n := range *arbiters {
		name, mark := names[n%len(names)], newMark()
		cmd, out := scene(t, name, mark)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 64)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		wait := time.Duration(rand.Int64N(int64(400 * time.Millisecond)))
		<-time.After(wait)
		there := len(marked(mark))
		most, sum = max(most, there), sum+there
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		_ = cmd.Wait()
		all, others := gone(t, mark, killed, 2*time.Second)
		took, but = append(took, all), append(but, others)
		if t.Failed() {
			t.Fatalf("arbiter %d, %s, killed %v after it began, with %d processes", n, name, wait, there)
		}
	}
	t.Logf("%d arbiters killed, with %d processes on average and %d at most: all but the guard gone after %s; all after %s",
		*arbiters, sum/max(*arbiters, 1), most, but, took)
}

// container is an arbiter that is process 1: it starts programs whose children lose
// their parents, and says how many zombies there are, each second line it is asked.
func container() {
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		fmt.Println("no proc:", err)
		os.Exit(0)
	}
	arbiter.Main(func(ctx context.Context, arb *arbiter.Arbiter) error {
		for range 5 {
			// Its children's children are orphans at once, and end later, when all have been started.
			if _, err := arb.SpawnProgram(ctx, "sh", []string{"-c", `for i in 1 2 3 4; do (sleep 1.1 & setsid sleep 1.2 &) ; done; sleep 600`}, actor.Silent()); err != nil {
				return err
			}
		}
		if _, err := arb.Spawn(ctx, Subject, actor.Process(), actor.Name("subject")); err != nil {
			return err
		}
		orphans, after := 0, time.Now()
		for time.Since(after) < 30*time.Second { // they are there for a second, and then gone
			here := 0
			for _, pid := range pids() {
				state, parent := procStat(pid)
				if line, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); parent == 1 && state != "Z" && bytes.HasPrefix(line, []byte("sleep\x001")) {
					here++
				}
			}
			orphans = max(orphans, here)
			left := 0
			for _, pid := range pids() {
				if state, _ := procStat(pid); state == "Z" {
					left++
				}
			}
			if orphans > 0 && here == 0 && left == 0 {
				fmt.Printf("pid %d orphans %d reaped after %v\n", os.Getpid(), orphans, time.Since(after).Round(time.Millisecond))
				<-ctx.Done()
				return ctx.Err()
			}
			<-time.After(2 * time.Millisecond)
		}
		return fmt.Errorf("zombies are left")
	}, Subject)
}

// TestContainer: as process 1 an arbiter waits for orphans, and the signals that end
// others end it, though process 1 ignores what it does not handle.
func TestContainer(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			mark := newMark()
			cmd, out := scene(t, "container", mark)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
			if err := cmd.Start(); err != nil {
				t.Skipf("no namespace of processes can be made here: %v", err)
			}
			line := make([]byte, 256)
			n, err := out.Read(line)
			said := string(line[:n])
			if strings.HasPrefix(said, "no proc:") {
				_ = cmd.Wait()
				t.Skipf("no /proc can be mounted in a namespace here: %s", said)
			}
			if err != nil || !strings.HasPrefix(said, "pid 1 ") {
				t.Errorf("it said %q, %v", said, err)
			}
			t.Log(strings.TrimSpace(said))
			sent := time.Now()
			if err := cmd.Process.Signal(sig); err != nil {
				t.Error(err)
			}
			ended := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
			err = cmd.Wait()
			ended.Stop()
			if err != nil {
				t.Errorf("it ended with %v", err)
			}
			t.Logf("ended %v after the signal", time.Since(sent).Round(time.Millisecond))
			gone(t, mark, time.Now(), 2*time.Second)
		})
	}
}

// signals is an arbiter with an actor that stops at once, and, if the environment
// asks for it, one that does not, with a run that fails, or with a pid file.
func signals() {
	opts := os.Getenv("ARBITER_TEST_OPTIONS")
	arbiter.Main(func(ctx context.Context, arb *arbiter.Arbiter) error {
		if _, err := arb.Spawn(ctx, Subject, actor.Process()); err != nil {
			return err
		}
		if strings.Contains(opts, "stuck") {
			s, err := arb.Spawn(ctx, Forker, actor.Process(), actor.Grace(time.Minute))
			if err != nil {
				return err
			}
			Block.Start(context.WithoutCancel(ctx), s, actor.None{})
			if _, err := actor.GetInfo.Call(ctx, s, actor.None{}); err != nil {
				return err
			}
		}
		fmt.Println("begun")
		<-ctx.Done()
		if strings.Contains(opts, "stuck") {
			fmt.Println("stopping")
		}
		if strings.Contains(opts, "fails") {
			return fmt.Errorf("the ledger does not add up")
		}
		return ctx.Err()
	}, Forker, Subject)
}

// TestSignals: each of the four signals stops an arbiter as it should, with the exit
// code of what it ran; a second interrupt ends it at once. Nothing is left in either
// case.
func TestSignals(t *testing.T) {
	tests := []struct {
		name    string
		send    []syscall.Signal // the second and later ones once it says that it is stopping
		options string
		code    int
	}{
		{"INT", []syscall.Signal{syscall.SIGINT}, "", 0},
		{"TERM", []syscall.Signal{syscall.SIGTERM}, "", 0},
		{"QUIT", []syscall.Signal{syscall.SIGQUIT}, "", 0},
		{"ABRT", []syscall.Signal{syscall.SIGABRT}, "", 0},
		{"TERM, and what it ran fails", []syscall.Signal{syscall.SIGTERM}, "fails", 1},
		{"INT twice", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, "stuck", 130},
		{"TERM, then INT", []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}, "stuck", 130},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mark := newMark()
			cmd, out := scene(t, "signals", mark, "ARBITER_TEST_OPTIONS="+test.options)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			sent := time.Now()
			for _, sig := range test.send {
				if n, err := out.Read(make([]byte, 64)); n == 0 {
					t.Fatalf("it says nothing: %v", err)
				}
				sent = time.Now()
				if err := cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
			}
			ended := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
			_ = cmd.Wait()
			ended.Stop()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("it exited with %v, want %d", cmd.ProcessState, test.code)
			}
			took := time.Since(sent)
			left, _ := gone(t, mark, time.Now(), 2*time.Second)
			t.Logf("exit code %d after %v, and nothing left after another %v", cmd.ProcessState.ExitCode(), took.Round(time.Millisecond), left.Round(time.Millisecond))
		})
	}
}
