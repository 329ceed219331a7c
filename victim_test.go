package arbiter_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// The victim: an actor that dies in whatever way it is told, in whatever place. In
// Python it is testdata/worker.py.
var (
	Die     = actor.NewCommand[string, actor.None]("die")
	Slow    = actor.NewCommand[time.Duration, bool]("slow")
	Setting = actor.NewCommand[string, any]("setting")
	Retire  = actor.NewCommand[actor.None, actor.None]("retire")
	Do      = actor.NewCommand[string, string]("do")
	Tell    = actor.NewCommand[TellArgs, actor.None]("tell")
	Noted   = actor.NewCommand[actor.None, []string]("noted")

	Victim = &actor.Kind[*victim]{
		Name: "victim", Mode: actor.Concurrent(8),
		New:      newVictim,
		Started:  (*victim).begin,
		Stopping: (*victim).end,
		Info:     func(v *victim) map[string]any { return map[string]any{"ticks": v.ticks.Load()} },
		Periodic: []actor.Task[*victim]{{Every: 20 * time.Millisecond, Do: func(v *victim, _ context.Context) { v.ticks.Add(1) }}},
		Handlers: victimHandlers(),
	}
	// Hasty is a victim whose handlers have a budget: what joins brings its own.
	Hasty = &actor.Kind[*victim]{Name: "hasty", New: newVictim, Handlers: victimHandlers(), Mode: actor.Concurrent(8), Budget: hangBudget}
	// Witness notes what others tell it, and their ends.
	Witness = &actor.Kind[*victim]{Name: "witness", New: newVictim, Handlers: append(victimHandlers(), actor.On(WatchIt, (*victim).WatchIt))}
	WatchIt = actor.NewCommand[actor.Ref, actor.None]("watch it")
	// One is a victim that does one thing at a time, with room for four messages.
	One = &actor.Kind[*victim]{Name: "one", New: newVictim, Handlers: victimHandlers(), Inbox: actor.Limits{Messages: 4}}
)

// TellArgs have a victim send somebody numbers from 0 on, and then die.
type TellArgs struct {
	To  actor.Ref `cbor:"to"`
	N   int       `cbor:"n"`
	Way string    `cbor:"way"`
}

type victim struct {
	ticks atomic.Int64
	mu    sync.Mutex
	noted []string
}

func victimHandlers() []actor.Handler[*victim] {
	return []actor.Handler[*victim]{
		actor.On(Die, (*victim).Die), actor.On(Block, (*victim).Block), actor.Handle(Double, (*victim).Double),
		actor.Handle(Slow, (*victim).Slow), actor.Handle(Setting, (*victim).Setting), actor.Handle(Do, (*victim).Do),
		actor.On(Tell, (*victim).Tell), actor.On(Record, (*victim).Record), actor.Handle(Noted, (*victim).Noted),
		actor.On(Retire, func(_ *victim, ctx context.Context, _ actor.None) error {
			self, _ := actor.Current(ctx)
			self.Retire("enough")
			return nil
		}),
	}
}

// newVictim fails, or never returns, if its settings say so.
func newVictim(ctx context.Context) (*victim, error) {
	self, _ := actor.Current(ctx)
	how, _ := self.Config("start")
	if file, ok := how.(string); ok && filepath.IsAbs(file) {
		if _, err := os.Stat(file); err == nil {
			return nil, actor.DoNotRestart(fmt.Errorf("no license"))
		}
	}
	switch how {
	case "never":
		<-ctx.Done()
		return nil, ctx.Err()
	case "fail":
		return nil, fmt.Errorf("no disk")
	case "panic":
		panic("no disk at all")
	}
	return &victim{}, nil
}

// begin and end tell who its settings name that they ran.
func (v *victim) begin(ctx context.Context) error {
	self, _ := actor.Current(ctx)
	if to, ok := self.Config("tell"); ok {
		return Record.Send(ctx, actor.To(to.(string)), 1)
	}
	return nil
}

func (v *victim) end(ctx context.Context) {
	self, _ := actor.Current(ctx)
	if to, ok := self.Config("tell"); ok {
		_ = Record.Send(ctx, actor.To(to.(string)), 7)
	}
}

func (v *victim) Double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func (v *victim) Block(ctx context.Context, _ actor.None) error {
	<-ctx.Done()
	return ctx.Err()
}

func (v *victim) Slow(ctx context.Context, d time.Duration) (bool, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (v *victim) Setting(ctx context.Context, name string) (any, error) {
	self, _ := actor.Current(ctx)
	value, _ := self.Config(name)
	return value, nil
}

func (v *victim) Record(_ context.Context, n int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.noted = append(v.noted, strconv.Itoa(n))
	return nil
}

func (v *victim) Noted(context.Context, actor.None) ([]string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.noted), nil
}

func (v *victim) Tell(ctx context.Context, a TellArgs) error {
	for n := range a.N {
		if err := Record.Send(ctx, a.To, n); err != nil {
			return err
		}
	}
	return v.Die(ctx, a.Way)
}

func (v *victim) WatchIt(ctx context.Context, who actor.Ref) error {
	_, err := actor.Watch(ctx, who, func(_ context.Context, e actor.Ended) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.noted = append(v.noted, string(e.Cause))
	})
	return err
}

// hanging is what the handlers that hang in this process wait for.
var hanging atomic.Pointer[chan struct{}]

func init() { hanging.Store(new(make(chan struct{}))) }

func released() <-chan struct{} { return *hanging.Load() }

// release lets go the handlers that hang or spin in this process.
func release() {
	close(*hanging.Swap(new(make(chan struct{}))))
	spinning.Store(false)
}

var spinning atomic.Bool

func (v *victim) Die(_ context.Context, way string) error {
	fmt.Fprintln(os.Stderr, "about to", way)
	if file, ok := strings.CutPrefix(way, "panic once there is "); ok {
		for {
			if _, err := os.Stat(file); err == nil {
				panic("boom 17")
			}
			select {
			case <-time.After(2 * time.Millisecond):
			case <-released():
				return nil
			}
		}
	}
	switch way {
	case "error":
		return fmt.Errorf("select orders: %w", errNoRows)
	case "panic":
		panic("boom 17")
	case "exit":
		fmt.Fprintln(os.Stderr, "no such table: orders")
		os.Exit(3)
	case "leave":
		os.Exit(0)
	case "memory":
		eat(64, true)
	case "address space":
		eat(256, false)
	case "hang":
		<-released()
	case "spin":
		if strings.Contains(os.Getenv("GODEBUG"), "asyncpreemptoff") {
			//lint:ignore SA5002 to spin is what it was asked for
			for { // no call in here, and no signals: nothing takes the processor from it
			}
		}
		spinning.Store(true)
		for spinning.Load() {
		}
	case "cut":
		cutSockets()
		<-released()
	}
	return nil
}

var eaten [][]byte

// eat takes memory until there is no more, or so many pieces of 16 MiB: a bound that does
// not hold must not be the machine's trouble. What is not used is only addresses.
func eat(pieces int, use bool) {
	const piece = 16 << 20
	for range pieces {
		b := make([]byte, piece)
		for i := 0; use && i < len(b); i += 4096 {
			b[i] = 1
		}
		eaten = append(eaten, b)
	}
}

// Do runs a shell command beside the actor, or does something to its process.
func (v *victim) Do(_ context.Context, what string) (string, error) {
	switch {
	case what == "mute":
		_ = os.Stdout.Close()
		return "", os.Stderr.Close()
	case strings.HasPrefix(what, "line "):
		n, err := strconv.Atoi(what[len("line "):])
		if err != nil {
			return "", err
		}
		_, err = os.Stdout.Write(bytes.Repeat([]byte{'x'}, n))
		return "", err
	case strings.HasPrefix(what, "hold "): // a grandchild that has our standard error
		cmd := exec.Command("/bin/sh", "-c", what[len("hold "):])
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return "", err
		}
		return strconv.Itoa(cmd.Process.Pid), nil
	}
	out, err := exec.Command("/bin/sh", "-c", what).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// What a child of the tests is, beside an actor.
const (
	envJoin  = "ARBITER_TEST_JOIN" // a program that joins: address, name, kind
	envEarly = "TEST_EARLY"        // one that ends before its hello, once the file is there
	envRun   = "ARBITER_TEST_OF"   // the test process it belongs to, for who looks for what is left
	envExtra = "ARBITER_TEST_ARGS" // what the program of envActs is told
	envActs  = "ARBITER_TEST_ACT_AS"
)

// acts are programs the test binary can be: by envActs.
var acts = map[string]func(args string){}

// endEarly ends this process before it can say hello, if it is to.
func endEarly() {
	path := os.Getenv(envEarly)
	if path == "" {
		return
	}
	for {
		if _, err := os.Stat(path); err == nil {
			fmt.Fprintln(os.Stderr, "no module named orders")
			os.Exit(7)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// actAs makes this process what its environment says, if that is something else than
// the tests or an actor.
func actAs() {
	if name := os.Getenv(envActs); name != "" {
		acts[name](os.Getenv(envExtra))
		os.Exit(0)
	}
	if where := os.Getenv(envJoin); where != "" {
		f := strings.Fields(where) // address, name, kind
		kind := map[string]actor.Behaviour{"victim": Victim, "hasty": Hasty}[f[2]]
		if err := actor.Serve(context.Background(), f[0], kind, actor.JoinOptions{Name: f[1], Token: "secret"}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// quietWorld is an arbiter for tests that run beside others: what it leaves behind is
// looked for when all have ended, see TestMain.
func quietWorld(t *testing.T, change ...func(*arbiter.Options)) *world {
	t.Helper()
	w := &world{t: t, log: &lockedBuffer{}, dir: t.TempDir()}
	o := arbiter.Options{
		Name: "test", Child: child, Kinds: []actor.Behaviour{Victim, One, Ordered}, Control: true, Listen: "127.0.0.1:0", Token: "secret",
		Output: io.Discard, StopTimeout: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	arb, err := arbiter.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	w.arb = arb
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	w.ctx = arb.Context(ctx)
	t.Cleanup(func() {
		cancel()
		if err := arb.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", w.log)
		}
	})
	return w
}

// python is the interpreter for testdata/worker.py, or the test is skipped.
func python(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3: the worker in Python is left out")
	}
	return path
}

func hasPython() bool {
	_, err := exec.LookPath("python3")
	return err == nil
}

func workerPath(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("testdata/worker.py")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// eventually polls what no channel tells.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not after 20s: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// weak reports whether the arbiter says that it lacks something.
func (w *world) weak(what string) bool {
	in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.Arbiter)
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.ContainsFunc(in.Weak, func(s string) bool { return strings.Contains(s, what) })
}

// processesOf are the living processes that have v in their environment or among
// their arguments, this one excepted.
func processesOf(v string) (pids []int) {
	if runtime.GOOS != "linux" {
		return nil
	}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		for _, file := range []string{"environ", "cmdline"} {
			if b, err := os.ReadFile(filepath.Join(dir, file)); err == nil && bytes.Contains(b, []byte(v)) && pid != os.Getpid() && alive(pid) {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// left looks for what the tests have left behind: goroutines of this module, and
// processes.
func left() string {
	release()
	deadline := time.Now().Add(5 * time.Second)
	for {
		text := ""
		buf := make([]byte, 4<<20)
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "github.com/arbiter-go/arbiter") && !strings.Contains(g, "arbiter_test.left") {
				text += g + "\n\n"
			}
		}
		if pids := processesOf(envRun + "=" + strconv.Itoa(os.Getpid())); len(pids) > 0 {
			text += fmt.Sprintf("processes %v", pids)
		}
		if text == "" || time.Now().After(deadline) {
			return text
		}
		time.Sleep(10 * time.Millisecond)
	}
}
