package arbiter_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"bufio"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

var quickExits = flag.Int("quick-exits", 60, "processes of TestQuickExits; 1000 is the whole of it")

// counting counts what is written to it.
type counting struct {
	mu sync.Mutex
	n  map[byte]int
}

func (c *counting) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[byte]int)
	}
	c.n['x'] += bytes.Count(b, []byte{'x'})
	return len(b), nil
}

func (c *counting) of(b byte) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[b]
}

// TestLongLineOfAnActor: a line of 10 MB, without an end, blocks neither who prints
// it nor anybody else, comes through whole, and is not kept whole.
func TestLongLineOfAnActor(t *testing.T) {
	t.Parallel()
	const size = 10 << 20
	var out counting
	w := quietWorld(t, func(o *arbiter.Options) { o.Output = &out })
	v := w.spawn(Victim, actor.Process(), actor.Name("bore"))
	other := w.spawn(Victim, actor.Process())
	long := Do.Start(w.ctx, v, fmt.Sprint("line ", size))
	if n, err := Double.Call(w.ctx, other, 4); n != 8 || err != nil {
		t.Errorf("another actor meanwhile: %d, %v", n, err)
	}
	if _, err := long.Wait(); err != nil {
		t.Fatal(err)
	}
	if n, err := Double.Call(w.ctx, v, 4); n != 8 || err != nil {
		t.Errorf("afterwards: %d, %v", n, err)
	}
	eventually(t, "all of it has come", func() bool { return out.of('x') >= size-64<<10 }) // the last piece has no end yet
	lines, err := actor.Logs.Call(w.ctx, actor.Arbiter, actor.LogsArgs{Target: "bore"})
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, l := range lines.Lines {
		kept += len(l.Text)
	}
	if kept == 0 || kept > 512<<10 {
		t.Errorf("%d bytes of it are kept", kept)
	}
}

// TestClosedOutput: an actor that closes its standard output works on, and what it
// dies of is told.
func TestClosedOutput(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	v := w.spawn(Victim, actor.Process())
	if _, err := Do.Call(w.ctx, v, "mute"); err != nil {
		t.Fatal(err)
	}
	if n, err := Double.Call(w.ctx, v, 4); n != 8 || err != nil {
		t.Fatalf("it does not work on: %d, %v", n, err)
	}
	_, err := Die.Call(w.ctx, v, "exit")
	var down *actor.DownError
	if !errors.As(err, &down) || down.Cause != actor.CauseExit || down.ExitCode != 3 || len(down.Stderr) != 0 {
		t.Errorf("its end: %v (%+v)", err, down)
	}
}

// TestPipeHeldByGrandchild: who holds the output of an actor that has ended does not
// hold up those who wait for it.
func TestPipeHeldByGrandchild(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for _, how := range []string{"exec sleep 300", "exec setsid sleep 300"} {
		v := w.spawn(Victim, actor.Process())
		pid, err := Do.Call(w.ctx, v, "hold "+how)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err = Die.Call(w.ctx, v, "exit")
		took := time.Since(began)
		var down *actor.DownError
		if !errors.As(err, &down) || down.Cause != actor.CauseExit || down.ExitCode != 3 || down.Stderr[len(down.Stderr)-1] != "no such table: orders" {
			t.Errorf("%s: %v", how, err)
		}
		t.Logf("%s: told after %v", how, took)
		if took > slack {
			t.Errorf("%s: told after %v", how, took)
		}
		if n, _ := strconv.Atoi(pid); strings.Contains(how, "setsid") && w.weak("no cgroups") {
			t.Log("without cgroups it is found when the arbiter stops")
		} else {
			eventually(t, "the grandchild is gone", func() bool { return !alive(n) })
		}
	}
}

// TestDoubleFork: nothing of what an actor leaves behind, in a session of its own and
// without a parent, outlives the actor, or the arbiter where there are no cgroups.
func TestDoubleFork(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"stop", "kill", "exit", "arbiter"} {
		w := quietWorld(t)
		v := w.spawn(Victim, actor.Process())
		mark := fmt.Sprintf("300.0%d%d", os.Getpid(), time.Now().UnixNano())
		// The shell in the middle ends at once; who sleeps is nobody's child then.
		if out, err := Do.Call(w.ctx, v, "setsid sh -c 'sleep "+mark+" >/dev/null 2>&1 &' >/dev/null 2>&1"); err != nil {
			t.Fatal(out, err)
		}
		eventually(t, "it has forked twice", func() bool { return len(processesOf(mark)) > 0 })
		switch end {
		case "stop":
			if d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, v); err != nil || d.Cause != actor.CauseStopped {
				t.Errorf("stop: %+v, %v", d, err)
			}
		case "kill":
			if d, err := actor.KillActor.Call(w.ctx, actor.Arbiter, v); err != nil || d.Cause != actor.CauseKilled || d.Signal != "killed" {
				t.Errorf("kill: %+v, %v", d, err)
			}
		case "exit":
			if _, err := Die.Call(w.ctx, v, "exit"); !errors.Is(err, actor.ErrDown) {
				t.Errorf("exit: %v", err)
			}
		}
		if end == "arbiter" || w.weak("no cgroups") {
			if err := w.arb.Stop(context.Background()); err != nil {
				t.Errorf("stop: %v", err)
			}
			if pids := processesOf(mark); len(pids) > 0 {
				t.Errorf("%s: %v are left when the arbiter has stopped", end, pids)
			}
			continue
		}
		eventually(t, end+": nothing is left", func() bool { return len(processesOf(mark)) == 0 })
	}
}

// TestQuickExits: of many programs that end at once each is told how, none is lost.
// -quick-exits 1000 is the whole of it.
func TestQuickExits(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	ends := []struct {
		script string
		want   actor.Death
	}{
		{"exit 0", actor.Death{Cause: actor.CauseExit}},
		{"echo no such table >&2; exit 3", actor.Death{Cause: actor.CauseExit, ExitCode: 3}},
		{"ulimit -c 0; kill -SEGV $$", actor.Death{Cause: actor.CauseSignal, Signal: "segmentation fault"}},
		{"ulimit -v 1000000; a=xxxxxxxx; while :; do a=$a$a; done", actor.Death{Cause: actor.CauseMemory, Signal: "killed"}},
	}
	first, err := w.arb.SpawnProgram(w.ctx, "/bin/sh", []string{"-c", "exit 0"}, actor.Silent()) // now it is known what is weak
	if err != nil && !errors.Is(err, actor.ErrDown) {
		t.Fatal(first, err)
	}
	if w.weak("of memory") {
		t.Log("no memory cgroup: out of memory is left out here")
		ends = ends[:3]
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	deaths := make(chan actor.Death, *quickExits)
	for n := range *quickExits {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			e := ends[n%len(ends)]
			options := []actor.SpawnOption{actor.Silent(), actor.AID("quick-" + strconv.Itoa(n))}
			if e.want.Cause == actor.CauseMemory {
				options = append(options, actor.Bound(actor.Bounds{Memory: 8 << 20}))
			}
			ended := make(chan actor.Death, 1)
			ref, err := w.arb.SpawnProgram(w.ctx, "/bin/sh", []string{"-c", e.script}, options...)
			if err != nil && e.want.Cause != actor.CauseMemory { // so little may not do to begin
				t.Errorf("%d: it has run, and is said not to have started: %v", n, err)
			}
			if err == nil {
				_, err = actor.Watch(w.ctx, ref, func(_ context.Context, e actor.Ended) { ended <- e.Death })
			}
			var d actor.Death
			var down *actor.DownError
			switch {
			case errors.As(err, &down):
				d = down.Death
			case err != nil:
				t.Errorf("%d: %v", n, err)
				return
			default:
				d = <-ended
			}
			deaths <- d
			if d.Cause != e.want.Cause || d.ExitCode != e.want.ExitCode || d.Signal != e.want.Signal || d.PID == 0 {
				t.Errorf("%d: %q ended as %+v", n, e.script, d)
			}
			if d.ExitCode == 3 && (len(d.Stderr) != 1 || d.Stderr[0] != "no such table") {
				t.Errorf("%d: last lines %q", n, d.Stderr)
			}
		})
	}
	all.Wait()
	if len(deaths) != *quickExits {
		t.Errorf("%d of %d ends were told", len(deaths), *quickExits)
	}
}

// events returns what happened to name after since, of a type.
func (w *world) events(name, kind string) (list []actor.Event) {
	all, err := actor.Events.Call(w.ctx, actor.Arbiter, actor.EventsArgs{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range all {
		if e.Type == kind && e.Actor.Name == name {
			list = append(list, e)
		}
	}
	return list
}

// TestGivesUp: an actor that cannot live takes nobody with it: an event says that it
// was given up, callers who wait are told with its last words, and it can be started
// by hand.
func TestGivesUp(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	other := w.spawn(Victim, actor.Process())
	policy := supervise.Policy{MinBackoff: 5 * time.Millisecond, MaxBackoff: 5 * time.Millisecond, MaxCrashes: 3}
	w.spawn(Victim, actor.Process(), actor.Name("frail"), actor.Restart(policy))
	for n := range 3 {
		_, err := Die.Call(w.ctx, actor.To("frail"), "exit") // waits for who follows
		var down *actor.DownError
		if !errors.As(err, &down) || down.Cause != actor.CauseExit {
			t.Fatalf("life %d: %v", n, err)
		}
	}
	_, err := Double.Call(w.ctx, actor.To("frail"), 1)
	var down *actor.DownError
	if !errors.As(err, &down) || down.Err.Started != actor.StartedNo {
		t.Fatalf("a call to who was given up: %v", err)
	}
	for _, text := range []string{"given up", "3 crashes", "no such table: orders"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error does not say %q: %v", text, err)
		}
	}
	eventually(t, "the events are there", func() bool { // callers are told first
		return len(w.events("frail", "gave_up")) > 0 && len(w.events("frail", "restarting")) > 1
	})
	if list := w.events("frail", "gave_up"); len(list) != 1 || !strings.Contains(list[0].Text, "3 crashes") {
		t.Errorf("events: %+v", list)
	}
	if list := w.events("frail", "restarting"); len(list) != 2 {
		t.Errorf("%d restarts: %+v", len(list), list)
	}
	if n, err := Double.Call(w.ctx, other, 4); n != 8 || err != nil {
		t.Errorf("another actor: %d, %v", n, err)
	}
	if _, err := actor.StartActor.Call(w.ctx, actor.Arbiter, actor.To("frail")); err != nil {
		t.Fatal(err)
	}
	if n, err := Double.Call(w.ctx, actor.To("frail"), 4); n != 8 || err != nil {
		t.Errorf("started by hand: %d, %v", n, err)
	}
}

// TestGivesUpOnSilence: one that falls silent whenever it is started is given up, however long
// it takes to notice: in this time it did not live.
func TestGivesUpOnSilence(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	policy := supervise.Policy{MinBackoff: 5 * time.Millisecond, MaxBackoff: 5 * time.Millisecond, MaxCrashes: 3, Within: 500 * time.Millisecond}
	w.spawn(Victim, actor.Process(), actor.Name("mute"), actor.Restart(policy), actor.Heartbeat(100*time.Millisecond, 400*time.Millisecond))
	last := 0
	eventually(t, "its supervisor gives up", func() bool {
		in := w.inspect(t, actor.To("mute"))
		if in.Info.State == "running" && in.Info.PID != last && signalTo(in.Info.PID, freeze) == nil {
			last = in.Info.PID
		}
		return in.Info.State == "failed"
	})
	if list := w.events("mute", "gave_up"); len(list) != 1 || !strings.Contains(list[0].Text, "3 crashes within 500ms, its silence not counted") {
		t.Errorf("events: %+v", list)
	}
	if list := w.events("mute", "restarting"); len(list) != 2 {
		t.Errorf("%d restarts: %+v", len(list), list)
	}
}

// TestStopDuringRestart: while the next one waits, and while it starts, a stop of the
// slot, of the pool and of the arbiter ends it, and nobody follows.
func TestStopDuringRestart(t *testing.T) {
	t.Parallel()
	waits := supervise.Policy{MinBackoff: time.Hour}
	starts := supervise.Policy{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond, MaxCrashes: -1}
	for _, phase := range []string{"waiting", "starting"} {
		for _, what := range []string{"slot", "pool", "arbiter"} {
			t.Run(phase+"/"+what, func(t *testing.T) {
				w := quietWorld(t)
				policy, hold := waits, ""
				if phase == "starting" {
					policy, hold = starts, t.TempDir()+"/hold"
				}
				// The first one starts, those after it wait for what never comes.
				script := fmt.Sprintf(`if [ -e %q ]; then exec sleep 300; fi; exec %q %q`, hold, python(t), workerPath(t))
				worker := actor.SpawnArgs{Run: []string{"/bin/sh", "-c", script}, Name: "s", Restart: &policy, Grace: 300 * time.Millisecond, Env: []string{"MARK=" + w.dir}}
				name := "s"
				var err error
				if what == "pool" {
					name = "p/1"
					worker.Name = ""
					_, err = w.arb.Pool(w.ctx, nil, actor.PoolArgs{Name: "p", Worker: worker})
				} else {
					_, err = actor.SpawnActor.Call(w.ctx, actor.Arbiter, worker)
				}
				if err != nil {
					t.Fatal(err)
				}
				if hold != "" {
					if err := os.WriteFile(hold, nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To(name))
				if err != nil {
					t.Fatal(err)
				}
				if err := signalTo(in.Info.PID, syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
				before := in.Info.AID
				eventually(t, "who follows is "+phase, func() bool {
					in, err = actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To(name))
					return err == nil && in.Info.AID != before && in.Info.State == phase && (phase == "waiting" || in.Info.PID != 0)
				})
				waiting := Double.Start(w.ctx, actor.To(name), 1)
				switch what {
				case "slot":
					if _, err := actor.StopActor.Call(w.ctx, actor.Arbiter, actor.To(name)); err != nil {
						t.Errorf("stop: %v", err)
					}
					in, err = actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To(name))
					if err != nil || in.Slots[0].State != "stopped" || in.Slots[0].AID != "" {
						t.Errorf("inspect: %+v, %v", in.Slots, err)
					}
				case "pool":
					if d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, actor.To("p")); err != nil || d.Cause != actor.CauseStopped {
						t.Errorf("stop: %+v, %v", d, err)
					}
				case "arbiter":
					if err := w.arb.Stop(context.Background()); err != nil {
						t.Errorf("stop: %v", err)
					}
				}
				if _, err := waiting.Wait(); !errors.Is(err, actor.ErrDown) {
					t.Errorf("a call that waited for who follows: %v", err)
				}
				eventually(t, "nothing is left", func() bool { return len(processesOf("MARK="+w.dir)) == 0 })
			})
		}
	}
}

// TestStopFullMailbox: a stop reaches an actor whose mailbox is full at once: it handles
// what it has, takes no more, and whoever waits for room is told.
func TestStopFullMailbox(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	put := map[string]func(t *testing.T) actor.Ref{
		"goroutine": func(*testing.T) actor.Ref { return w.spawn(One) },
		"process":   func(*testing.T) actor.Ref { return w.spawn(One, actor.Process()) },
		"exec": func(t *testing.T) actor.Ref {
			ref, err := w.arb.SpawnProgram(w.ctx, python(t), []string{workerPath(t)}, actor.Env("WORKER_INBOX=4"))
			if err != nil {
				t.Fatal(err)
			}
			return ref
		},
	}
	for name, put := range put {
		t.Run(name, func(t *testing.T) {
			v := put(t)
			const each = 50 * time.Millisecond
			var calls []*actor.Pending[bool]
			for range 40 {
				calls = append(calls, Slow.Start(w.ctx, v, each))
			}
			began := time.Now()
			d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, v)
			if err != nil || d.Cause != actor.CauseStopped {
				t.Errorf("stop: %+v, %v", d, err)
			}
			t.Logf("it had stopped after %v", time.Since(began))
			done, refused := 0, 0
			for _, c := range calls {
				switch _, err := c.Wait(); {
				case err == nil:
					done++
				case errors.Is(err, actor.ErrOverloaded), errors.Is(err, actor.ErrDown):
					refused++
				default:
					t.Errorf("a call: %v", err)
				}
			}
			// A window lets some more pass than the inbox holds, never all.
			if done == 0 || done > 20 || done+refused != 40 {
				t.Errorf("of 40 calls %d were handled, %d refused", done, refused)
			}
		})
	}
}

// TestStopOfFrozen: who does not hear that it is to stop is ended when its grace is
// over, or by the arbiter's stop.
func TestStopOfFrozen(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	for _, how := range []string{"SIGSTOP", "deaf"} {
		t.Run(how, func(t *testing.T) {
			var v actor.Ref
			var err error
			if how == "SIGSTOP" {
				v = w.spawn(Victim, actor.Process(), actor.Grace(200*time.Millisecond))
				in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, v)
				if err != nil {
					t.Fatal(err)
				}
				if err := signalTo(in.Info.PID, freeze); err != nil {
					t.Fatal(err)
				}
				eventually(t, "it is stopped", func() bool {
					stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", in.Info.PID))
					return bytes.Contains(stat, []byte(") T "))
				})
			} else {
				v, err = w.arb.SpawnProgram(w.ctx, python(t), []string{workerPath(t)}, actor.Grace(200*time.Millisecond))
				if err != nil {
					t.Fatal(err)
				}
				Die.Start(w.ctx, v, "hang") // it comes to the stop when that is over: never
			}
			began := time.Now()
			d, err := actor.StopActor.Call(w.ctx, actor.Arbiter, v)
			t.Logf("ended after %v: %v", time.Since(began), d)
			if err != nil || d.Cause != actor.CauseHung || !strings.Contains(d.Reason, "asked to stop") || d.Signal != "killed" {
				t.Errorf("stop: %+v, %v", d, err)
			}
		})
	}
}

// A host that is stopped for longer than every heartbeat.
func init() {
	acts["paused"] = func(string) {
		ctx := context.Background()
		arb, err := arbiter.Start(ctx, arbiter.Options{
			Child: child, Control: true, Heartbeat: 100 * time.Millisecond, HeartbeatTimeout: 1500 * time.Millisecond,
		})
		if err != nil {
			panic(err)
		}
		ctx = arb.Context(ctx)
		say := func() {
			list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
			if err != nil {
				panic(err)
			}
			for _, i := range list {
				if i.Kind != "arbiter" {
					fmt.Print(i.AID, " ", i.PID, " ", i.State, " ")
				}
			}
			fmt.Println()
		}
		var all []actor.Ref
		put := func(ref actor.Ref, err error) {
			if err != nil {
				panic(err)
			}
			all = append(all, ref)
		}
		put(arb.Spawn(ctx, Victim, actor.Budget(800*time.Millisecond)))
		put(arb.Spawn(ctx, Victim, actor.Process(), actor.Budget(800*time.Millisecond)))
		if path := os.Getenv("TEST_PYTHON"); path != "" {
			put(arb.SpawnProgram(ctx, path, []string{"testdata/worker.py"}))
			put(arb.SpawnProgram(ctx, path, []string{"-c", `
import sys
sys.path.insert(0, "sdk/python")
import arbiter
me = arbiter.Actor("python")
@me.command
async def double(n: int) -> int:
    return 2 * n
me.run()`}))
		}
		if path := os.Getenv("TEST_NODE"); path != "" {
			put(arb.SpawnProgram(ctx, path, []string{"--input-type=module", "-e", `
import { Actor } from './sdk/node/arbiter.mjs'
new Actor('node').command('double', { n: 'int' }, ({ n }) => 2 * n).run()`}))
		}
		fmt.Println(arb.Addresses()[0])
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() { // for each line, who is there
			for _, ref := range all {
				if _, err := Double.Call(ctx, ref, 1); err != nil {
					fmt.Println(err)
				}
			}
			say()
		}
		if err := arb.Stop(ctx); err != nil {
			panic(err)
		}
	}
}

// elsewhere is this program, started again to act as something else. It says what it
// does line by line, and ends when its standard input does.
type elsewhere struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	line func() string // the next one it says
}

// actElsewhere starts one, whose end is waited for when the test is over.
func actElsewhere(t *testing.T, as string, env ...string) *elsewhere {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return actFrom(t, exe, as, env...)
}

// actFrom is actElsewhere with exe, a copy of this program.
func actFrom(t *testing.T, exe, as string, env ...string) *elsewhere {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(append(os.Environ(), envActs+"="+as, "XDG_RUNTIME_DIR="+t.TempDir()), env...)
	cmd.Stderr = &lockedBuffer{}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer cancel()
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the arbiter: %v\n%s", err, cmd.Stderr)
		}
	})
	lines := bufio.NewScanner(out)
	return &elsewhere{cmd, in, func() string {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("it has ended: %v\n%s", lines.Err(), cmd.Stderr)
		}
		return lines.Text()
	}}
}

// TestPausedArbiter: an arbiter that was stopped for longer than every heartbeat, and
// goes on, has lost nobody, and nobody has left it.
func TestPausedArbiter(t *testing.T) {
	t.Parallel()
	var env []string
	if path, err := exec.LookPath("python3"); err == nil {
		env = append(env, "TEST_PYTHON="+path)
	}
	if path, err := exec.LookPath("node"); err == nil {
		env = append(env, "TEST_NODE="+path)
	}
	other := actElsewhere(t, "paused", env...)
	cmd, in, line := other.cmd, other.in, other.line
	address := line()
	// And one that joined, as far as it goes: what is on the same machine need not
	// wonder whether the other end is there.
	m := actor.NewMember(address, Victim, actor.JoinOptions{})
	defer m.Close()
	if _, err := m.Ref(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask := func() string {
		if _, err := in.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
		return line()
	}
	var before string // once everybody runs, whoever joined, too
	eventually(t, "all run", func() bool {
		before = ask()
		return strings.Count(before, " running ") >= 3 && !strings.Contains(before, " starting ")
	})
	if err := cmd.Process.Signal(freeze); err != nil {
		t.Fatal(err)
	}
	<-time.After(4 * time.Second) // more than twice what a silence may last, five times a budget
	if err := cmd.Process.Signal(thaw); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if after := ask(); after != before {
			t.Fatalf("before: %q\nafter:  %q\n%s", before, after, cmd.Stderr)
		}
		<-time.After(700 * time.Millisecond) // whoever was to be given up would be by now
	}
	if _, err := actor.Ping.Call(m.Context(t.Context()), actor.Arbiter, actor.None{}); err != nil {
		t.Errorf("who joined: %v", err)
	}
}

// TestVersionSkew: a program of another version is refused with a text that names
// both, to it and to who spawned it.
func TestVersionSkew(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	_, err := w.arb.SpawnProgram(w.ctx, python(t), []string{workerPath(t)}, actor.Env("WORKER_VERSION=99"))
	var down *actor.DownError
	if !errors.As(err, &down) || down.Cause != actor.CauseStart {
		t.Fatalf("spawn: %v", err)
	}
	for _, text := range []string{"version 99", "this end version 1"} {
		if !strings.Contains(down.Reason, text) {
			t.Errorf("the spawner is not told %q: %v", text, err)
		}
		if !strings.Contains(strings.Join(down.Stderr, "\n"), text) {
			t.Errorf("the program was not told %q: %q", text, down.Stderr)
		}
	}
	t.Log(err)
}

// A host that is stopped while its actors stop: for each line it asks one of them to,
// says so, and when it has ended how.
func init() {
	acts["paused stop"] = func(string) {
		ctx := context.Background()
		arb, err := arbiter.Start(ctx, arbiter.Options{Child: child})
		if err != nil {
			panic(err)
		}
		ctx = arb.Context(ctx)
		slow := &actor.Kind[actor.None]{Name: "slow", Stopping: func(actor.None, context.Context) { <-time.After(500 * time.Millisecond) }}
		const script = `trap "sleep 0.5; exit" TERM; echo ready; while :; do sleep 0.05; done`
		grace := actor.Grace(time.Second)
		for _, spawn := range []func() (actor.Ref, error){
			func() (actor.Ref, error) { return arb.Spawn(ctx, slow, grace) },
			func() (actor.Ref, error) {
				ref, err := arb.SpawnProgram(ctx, "sh", []string{"-c", script}, actor.Silent(), grace)
				if err == nil {
					_, err = actor.Logs.Call(ctx, actor.Arbiter, actor.LogsArgs{Target: ref.AID, Wait: 10 * time.Second})
				}
				return ref, err
			},
		} {
			ref, err := spawn()
			if err != nil {
				panic(err)
			}
			stopped := actor.StopActor.Start(ctx, actor.Arbiter, ref)
			for { // until it has been asked
				if i, err := actor.InspectActor.Call(ctx, actor.Arbiter, ref); err != nil || i.Info.State == "stopping" {
					break
				}
			}
			fmt.Println("stopping")
			d, err := stopped.Wait()
			fmt.Println(d.Cause, d, err)
		}
		if err := arb.Stop(ctx); err != nil {
			panic(err)
		}
	}
}

// TestPausedStop: whoever stops in its time has not hung because the arbiter was
// stopped meanwhile, for longer than the grace.
func TestPausedStop(t *testing.T) {
	t.Parallel()
	other := actElsewhere(t, "paused stop")
	cmd, line := other.cmd, other.line
	for _, who := range []string{"a goroutine", "a silent program"} {
		line()
		if err := cmd.Process.Signal(freeze); err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second) // twice its grace
		if err := cmd.Process.Signal(thaw); err != nil {
			t.Fatal(err)
		}
		how := line()
		t.Logf("%s: %s", who, how)
		if !strings.HasPrefix(how, "stopped ") {
			t.Errorf("%s: %s", who, how)
		}
	}
}
