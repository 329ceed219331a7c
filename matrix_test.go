package arbiter_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

var updateDocs = flag.Bool("update-docs", false, "write the table of the matrix into docs/processes.md")

// want is what a death has to look like from outside.
type want struct {
	cause  actor.Cause
	code   int    // with CauseExit
	signal string // of the process, whatever the cause
	says   string // in its reason or its last lines
	no     string // why there is no such death in this place
}

func (w want) String() string {
	switch {
	case w.no != "":
		return "–"
	case w.cause == "":
		return "none: `app`"
	case w.cause == actor.CauseExit:
		return fmt.Sprintf("`exit` %d", w.code)
	case w.cause == actor.CauseSignal:
		return fmt.Sprintf("`signal` %s", w.signal)
	}
	return "`" + string(w.cause) + "`"
}

// way is a way to die.
type way struct {
	name   string
	die    string                             // what the victim is told
	signal syscall.Signal                     // or sent
	take   func(t *testing.T, o *observation) // or done to it
	both   bool                               // both callers tell it, and wait for just that
	limits []actor.SpawnOption
	space  [4]uint64     // RLIMIT_AS, for each place; 0: none
	needs  string        // what the arbiter must not be weak in
	within time.Duration // when it can be known, at the earliest
	slow   bool
	in     [4]want // goroutine, process, exec, remote
}

const (
	hangBudget = 400 * time.Millisecond
	beatEvery  = 150 * time.Millisecond
	beatLimit  = 900 * time.Millisecond
)

const (
	wholeProgram = "it would end the arbiter's whole program"
	noSocket     = "it has no connection"
	noProcess    = "it has no process of its own"
	nobodyYet    = "nobody has joined: there is no actor, only a line in the log"
	thisProgram  = "it is the arbiter's own program, which runs"
	notStarted   = "the arbiter does not start it"
)

var victimPlaces = [4]string{"goroutine", "process", "exec", "remote"}

// ways is the matrix.
var ways = []way{
	{name: "a handler returns an error", die: "error", both: true, in: [4]want{{says: "no such rows"}, {says: "no such rows"}, {says: "no such rows"}, {says: "no such rows"}}},
	{name: "panic, or an uncaught exception", die: "panic", in: [4]want{
		{cause: actor.CausePanic, says: "boom 17"}, {cause: actor.CausePanic, says: "boom 17"},
		{cause: actor.CauseExit, code: 1, says: "ValueError: boom 17"}, {cause: actor.CausePanic, says: "boom 17"}}},
	{name: "exit with code 0", die: "leave", in: [4]want{
		{no: wholeProgram}, {cause: actor.CauseExit}, {cause: actor.CauseExit}, {cause: actor.CauseConnection}}},
	{name: "exit with code 3", die: "exit", in: [4]want{
		{no: wholeProgram}, {cause: actor.CauseExit, code: 3, says: "no such table: orders"},
		{cause: actor.CauseExit, code: 3, says: "no such table: orders"}, {cause: actor.CauseConnection}}},
	{name: "SIGKILL", signal: syscall.SIGKILL, in: [4]want{
		{no: noProcess}, {cause: actor.CauseSignal, signal: "killed"}, {cause: actor.CauseSignal, signal: "killed"}, {cause: actor.CauseConnection}}},
	{name: "SIGSEGV", signal: syscall.SIGSEGV, in: [4]want{
		// Go's runtime takes it, says where it was, and exits.
		{no: noProcess}, {cause: actor.CauseExit, code: 2, says: "SIGSEGV: segmentation violation"},
		{cause: actor.CauseSignal, signal: "segmentation fault"}, {cause: actor.CauseConnection}}},
	{name: "out of memory, by its cgroup", die: "memory", needs: "of memory", limits: []actor.SpawnOption{actor.Bound(actor.Bounds{Memory: 160 << 20})}, in: [4]want{
		{no: wholeProgram}, {cause: actor.CauseMemory, signal: "killed"}, {cause: actor.CauseMemory, signal: "killed"}, {no: notStarted}}},
	{name: "out of memory, by RLIMIT_AS", die: "address space", space: [4]uint64{1: 2 << 30, 2: 400 << 20}, in: [4]want{
		{no: wholeProgram}, {cause: actor.CauseMemory, says: "fatal error: "}, {cause: actor.CauseMemory, says: "MemoryError"}, {no: notStarted}}},
	{name: "the socket is cut", die: "cut", in: [4]want{
		{no: noSocket}, {cause: actor.CauseConnection}, {cause: actor.CauseConnection}, {cause: actor.CauseConnection}}},
	{name: "ends before its hello", take: earlyEnd, in: [4]want{
		{no: "it says none"}, {cause: actor.CauseStart, says: "no module named orders"}, {cause: actor.CauseStart, says: "no module named orders"}, {no: nobodyYet}}},
	{name: "its program is missing", take: missing, in: [4]want{
		{no: noProcess}, {no: thisProgram}, {cause: actor.CauseStart, says: "there is no file"}, {no: notStarted}}},

	{name: "hangs past its budget", die: "hang", both: true, slow: true, within: hangBudget, limits: []actor.SpawnOption{actor.Budget(hangBudget)}, in: [4]want{
		{cause: actor.CauseHung, says: "its budget"}, {cause: actor.CauseHung, says: "its budget"},
		{cause: actor.CauseHung, says: "its budget is", signal: "killed"}, {cause: actor.CauseHung, says: "its budget"}}},
	{name: "SIGSTOP", signal: freeze, slow: true, within: beatLimit, in: [4]want{
		{no: noProcess}, {cause: actor.CauseFrozen, says: "SIGSTOP"}, {cause: actor.CauseFrozen, says: "SIGSTOP"}, {cause: actor.CauseHeartbeat}}},
	{name: "spins, and says nothing more", die: "spin", slow: true, within: beatLimit, in: [4]want{
		{cause: actor.CauseHung, says: "its budget"}, {cause: actor.CauseSpinning, says: "of the processor"},
		{cause: actor.CauseSpinning, says: "of the processor"}, {cause: actor.CauseHeartbeat}}},
}

// matrix is the world of all cells of one kind: who dies in it must not trouble who
// comes next.
type matrix struct {
	*world
	caller context.Context // of another member
	served int
}

// observation is one victim, and what is seen of its end.
type observation struct {
	m       *matrix
	way     *way
	place   int
	want    want
	name    string
	ref     actor.Ref
	program *exec.Cmd // of who joins
	pid     int
	since   uint64 // of events

	began time.Time
	calls []chan told
	downs chan actor.Ended
	count [2]atomic.Int32
}

// TestMatrix: every way to die, in every place: calls in flight are told the cause at
// once, watchers exactly once, and the arbiter's lists show it. The figures it prints are from
// the deed to the caller's error. docs/processes.md has its table: -update-docs
// writes it.
func TestMatrix(t *testing.T) {
	quick := newMatrix(t)
	for n := range ways {
		if !ways[n].slow {
			for place := range victimPlaces {
				quick.cell(t, &ways[n], place)
			}
		}
	}
	// What is known by its silence only: several at a time, but of those that spin.
	slow := newMatrix(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = beatEvery, beatLimit })
	var dying []*observation
	for n := range ways {
		w := &ways[n]
		if !w.slow {
			continue
		}
		for place := range victimPlaces {
			if w.die == "spin" {
				slow.cell(t, w, place)
			} else if place == 2 && !hasPython() {
				t.Log("no python3: the worker in Python is left out")
			} else if o := slow.observe(t, w, place); o != nil {
				o.kill(t)
				dying = append(dying, o)
			}
		}
	}
	for _, o := range dying {
		t.Run(o.String(), o.look)
	}
}

func newMatrix(t *testing.T, change ...func(*arbiter.Options)) *matrix {
	w := quietWorld(t, change...)
	t.Cleanup(release) // a stop would wait for them, and name them
	caller := w.member(w.address("unix:"), Caller, actor.JoinOptions{})
	return &matrix{world: w, caller: caller.Context(w.ctx)}
}

func (m *matrix) cell(t *testing.T, w *way, place int) {
	t.Run(w.name+"/"+victimPlaces[place], func(t *testing.T) {
		if o := m.observe(t, w, place); o != nil {
			o.kill(t)
			o.look(t)
		} else {
			t.Skip(w.in[place].no)
		}
	})
}

func (o *observation) String() string { return o.way.name + "/" + victimPlaces[o.place] }

// observe makes a victim, and two that call it and watch it. It returns nil for a
// cell that is none.
func (m *matrix) observe(t *testing.T, w *way, place int) *observation {
	t.Helper()
	if w.in[place].no != "" {
		return nil
	}
	if w.needs != "" && m.weak(w.needs) {
		t.Skip("no memory cgroup can be made here; RLIMIT_AS bounds it in the next row")
	}
	if raceEnabled && w.space[place] != 0 && place == 1 {
		t.Skip("the race detector takes more address space than a bound allows")
	}
	m.served++
	o := &observation{m: m, way: w, place: place, want: w.in[place], name: fmt.Sprintf("v%d-%s", m.served, victimPlaces[place]), downs: make(chan actor.Ended, 8)}
	events, err := actor.Events.Call(m.ctx, actor.Arbiter, actor.EventsArgs{})
	if err != nil {
		t.Fatal(err)
	}
	if len(events) > 0 {
		o.since = events[len(events)-1].Seq
	}
	if w.take == nil {
		o.put(t, actor.Name(o.name))
		o.watch(t)
		for n, ctx := range []context.Context{m.ctx, m.caller} {
			if w.both {
				continue
			}
			o.call(Block.Start(ctx, o.ref, actor.None{}), [...]string{"the arbiter", "a member"}[n])
		}
		o.inFlight(t)
	}
	return o
}

// told is how a call ended, and when.
type told struct {
	who string
	err error
	at  time.Time
}

func (o *observation) call(c *actor.Pending[actor.None], who string) {
	ended := make(chan told, 1)
	o.calls = append(o.calls, ended)
	go func() {
		_, err := c.Wait()
		ended <- told{who, err, time.Now()}
	}()
}

// inFlight waits until the arbiter has all calls noted.
func (o *observation) inFlight(t *testing.T) {
	t.Helper()
	eventually(t, "the calls are in flight", func() bool {
		list, err := actor.Ps.Call(o.m.ctx, actor.Arbiter, actor.None{})
		if err != nil {
			t.Fatal(err)
		}
		n := slices.IndexFunc(list, func(i actor.Info) bool { return i.AID == o.ref.AID })
		return n >= 0 && list[n].InFlight >= len(o.calls)
	})
}

// put puts the victim where it is to be.
func (o *observation) put(t *testing.T, options ...actor.SpawnOption) {
	t.Helper()
	m := o.m
	options = append(options, o.way.limits...)
	if space := o.way.space[o.place]; space != 0 {
		options = append(options, actor.Bound(actor.Bounds{Rlimits: map[string]uint64{"as": space}}))
	}
	if o.place == 0 && o.way.die == "spin" {
		options = append(options, actor.Budget(hangBudget)) // it has no heartbeat that could stop
	}
	if o.place == 1 && o.way.die == "spin" {
		options = append(options, actor.Env("GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1")) // or its heartbeat would go on
	}
	var err error
	switch o.place {
	case 0:
		o.ref, err = m.arb.Spawn(m.ctx, Victim, options...)
	case 1:
		o.ref, err = m.arb.Spawn(m.ctx, Victim, append(options, actor.Process())...)
	case 2:
		o.ref, err = m.arb.SpawnProgram(m.ctx, python(t), []string{workerPath(t)}, options...)
	case 3:
		o.joins(t)
		return
	}
	if err != nil {
		t.Fatalf("spawn: %v", err)
	}
	o.findPID(t)
}

func (o *observation) findPID(t *testing.T) {
	in, err := actor.InspectActor.Call(o.m.ctx, actor.Arbiter, o.ref)
	if err != nil {
		t.Fatal(err)
	}
	o.pid = in.Info.PID
}

// joins starts a program of its own, that joins.
func (o *observation) joins(t *testing.T) {
	t.Helper()
	kind := "victim"
	if o.way.die == "hang" {
		kind = "hasty"
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Of a test that is ended itself, at its timeout, nobody is left to kill it.
	o.program = exec.Command("/bin/sh", "-c", `ulimit -t 60; exec "$0"`, exe)
	o.program.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", envJoin, o.m.address("unix:"), o.name, kind))
	if o.way.die == "spin" {
		o.program.Env = append(o.program.Env, "GODEBUG=asyncpreemptoff=1", "GOMAXPROCS=1")
	}
	if err := o.program.Start(); err != nil {
		t.Fatal(err)
	}
	o.pid = o.program.Process.Pid
	o.m.t.Cleanup(func() {
		_ = o.program.Process.Kill()
		_ = o.program.Wait()
	})
	eventually(t, "it has joined", func() bool {
		in, err := actor.InspectActor.Call(o.m.ctx, actor.Arbiter, actor.To(o.name))
		o.ref = actor.Ref{AID: in.Info.AID, Name: o.name}
		return err == nil && in.Info.State == "running"
	})
}

// watch has both callers told of the end.
func (o *observation) watch(t *testing.T) {
	t.Helper()
	for n, ctx := range []context.Context{o.m.ctx, o.m.caller} {
		_, err := actor.Watch(ctx, o.ref, func(_ context.Context, e actor.Ended) {
			o.count[n].Add(1)
			o.downs <- e
		})
		if err != nil {
			t.Fatalf("watch: %v", err)
		}
	}
}

// kill does what the way says.
func (o *observation) kill(t *testing.T) {
	t.Helper()
	o.began = time.Now()
	switch w := o.way; {
	case w.take != nil:
		w.take(t, o)
	case w.signal != 0:
		if err := signalTo(o.pid, w.signal); err != nil {
			t.Fatal(err)
		}
	default:
		o.call(Die.Start(o.m.ctx, o.ref, w.die), "who asked for it")
		if w.both {
			o.call(Die.Start(o.m.caller, o.ref, w.die), "a member")
		}
	}
}

// slack is what a busy machine may take for what takes a quiet one 100 ms at most.
const slack = 5 * time.Second

// look looks at what there is to be seen of the end.
func (o *observation) look(t *testing.T) {
	for _, ended := range o.calls {
		c := <-ended
		took := c.at.Sub(o.began)
		t.Logf("%s: told after %v: %v", c.who, took.Round(100*time.Microsecond), c.err)
		if took > o.way.within+slack {
			t.Errorf("%s: told after %v", c.who, took)
		}
		if o.want.cause == "" {
			if !errors.Is(c.err, actor.ErrApp) || !errors.Is(c.err, errNoRows) || !strings.Contains(c.err.Error(), o.want.says) {
				t.Errorf("%s: %v, want the handler's error", c.who, c.err)
			}
			continue
		}
		var down *actor.DownError
		if !errors.As(c.err, &down) {
			t.Errorf("%s: %v, want a DownError", c.who, c.err)
			continue
		}
		o.check(t, c.who, down.Death)
		if o.place == 2 && o.way.die == "panic" && !slices.Contains(down.Stderr, "Traceback (most recent call last):") {
			t.Errorf("%s: its last lines have no traceback: %q", c.who, down.Stderr)
		}
		if !strings.Contains(c.err.Error(), o.want.says) {
			t.Errorf("%s: the text %q does not say %q", c.who, c.err, o.want.says)
		}
	}
	if o.want.cause == "" {
		if n, err := Double.Call(o.m.ctx, o.ref, 4); n != 8 || err != nil {
			t.Errorf("it does not live on: %d, %v", n, err)
		}
		if o.count[0].Load()+o.count[1].Load() != 0 {
			t.Error("a watcher was told of an end")
		}
		return
	}
	for range 2 {
		select {
		case e := <-o.downs:
			if e.Ref.AID != o.ref.AID || e.Ref.Name != o.name {
				t.Errorf("a watcher was told of the end of %v, not %v", e.Ref, o.ref)
			}
			o.check(t, "a watcher", e.Death)
		case <-o.m.ctx.Done():
			t.Fatal("a watcher was told nothing")
		}
	}
	o.check(t, "the event", o.event(t))
	in, err := actor.InspectActor.Call(o.m.ctx, actor.Arbiter, actor.Ref{AID: o.ref.AID})
	if err != nil || in.Death == nil {
		t.Errorf("inspect: %+v, %v", in, err)
	} else {
		o.check(t, "inspect", *in.Death)
	}
	list, err := actor.Ps.Call(o.m.ctx, actor.Arbiter, actor.None{})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(list, func(i actor.Info) bool { return i.AID == o.ref.AID }) {
		t.Error("ps lists it still")
	}
	_, err = Double.Call(o.m.caller, actor.Ref{AID: o.ref.AID}, 1)
	var down *actor.DownError
	if !errors.As(err, &down) || down.Cause != o.want.cause || down.Err.Started != actor.StartedNo {
		t.Errorf("a call afterwards: %v", err)
	}
	if a, b := o.count[0].Load(), o.count[1].Load(); a != 1 || b != 1 {
		t.Errorf("the watchers were told %d and %d times", a, b)
	}
	if o.pid != 0 && o.place != 0 && o.place != 3 {
		eventually(t, "its process is gone", func() bool { return !alive(o.pid) })
	}
}

// event returns what the event of the end says.
func (o *observation) event(t *testing.T) actor.Death {
	t.Helper()
	for since := o.since; ; {
		list, err := actor.Events.Call(o.m.ctx, actor.Arbiter, actor.EventsArgs{Since: since, Wait: 10 * time.Second})
		if err != nil || len(list) == 0 {
			t.Fatalf("no event of the end, %v", err)
		}
		for _, e := range list {
			if since = e.Seq; e.Type == "ended" && e.Actor.AID == o.ref.AID {
				return *e.Death
			}
		}
	}
}

// check compares a death with what is wanted.
func (o *observation) check(t *testing.T, who string, d actor.Death) {
	t.Helper()
	said := d.Reason + "\n" + strings.Join(d.Stderr, "\n")
	if o.place == 1 && d.Cause == actor.CauseHung && d.Signal == "killed" {
		d.Signal = "" // it ends by itself, unless a heartbeat tells the arbiter first
	}
	if d.Cause != o.want.cause || d.Cause == actor.CauseExit && d.ExitCode != o.want.code || !strings.Contains(said, o.want.says) || d.Signal != o.want.signal {
		t.Errorf("%s is told %+v\nwant %+v", who, d, o.want)
	}
	if (o.place == 1 || o.place == 2) && o.way.take == nil && d.PID != o.pid {
		t.Errorf("%s is told of pid %d, not %d", who, d.PID, o.pid)
	}
}

// earlyEnd starts a program that ends before it says hello, once two wait for it.
func earlyEnd(t *testing.T, o *observation) {
	file := filepath.Join(t.TempDir(), "now")
	spawned := make(chan error, 1)
	options := []actor.SpawnOption{actor.Name(o.name), actor.Env(envEarly + "=" + file)}
	run := func() (actor.Ref, error) { return o.m.arb.Spawn(o.m.ctx, Victim, append(options, actor.Process())...) }
	if o.place == 2 {
		program, path := python(t), workerPath(t)
		run = func() (actor.Ref, error) { return o.m.arb.SpawnProgram(o.m.ctx, program, []string{path}, options...) }
	}
	go func() {
		_, err := run()
		spawned <- err
	}()
	o.waitsFor(t, func(in actor.Inspection) bool { return in.Info.State == "starting" && in.Info.PID != 0 })
	o.began = time.Now()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := <-spawned
	var down *actor.DownError
	if !errors.As(err, &down) {
		t.Errorf("spawn: %v", err)
		return
	}
	t.Logf("the spawner was told: %v", err)
	o.check(t, "the spawner", down.Death)
}

// missing has a program disappear, and then be started again.
func missing(t *testing.T, o *observation) {
	const backoff = 3 * time.Second // while it lasts two find who waits, and call and watch him
	script := filepath.Join(t.TempDir(), "worker")
	text := fmt.Sprintf("#!/bin/sh\nexec %q %q\n", python(t), workerPath(t))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := o.m.arb.SpawnProgram(o.m.ctx, script, nil, actor.Name(o.name), actor.Restart(supervise.Policy{MinBackoff: backoff, Jitter: -1, MaxCrashes: 2}))
	if err != nil {
		t.Fatal(err)
	}
	o.ref = first
	o.findPID(t)
	if err := os.Remove(script); err != nil {
		t.Fatal(err)
	}
	if err := signalTo(o.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	o.waitsFor(t, func(in actor.Inspection) bool { return in.Info.AID != first.AID && in.Info.State == "waiting" })
	o.began = time.Now().Add(backoff)
	o.pid = 0
}

// waitsFor waits until the name is somebody's, and has two call and watch him.
func (o *observation) waitsFor(t *testing.T, ok func(actor.Inspection) bool) {
	eventually(t, "somebody has the name", func() bool {
		in, err := actor.InspectActor.Call(o.m.ctx, actor.Arbiter, actor.To(o.name))
		o.ref, o.pid = actor.Ref{AID: in.Info.AID, Name: o.name}, in.Info.PID
		return err == nil && ok(in)
	})
	o.watch(t)
	o.call(Block.Start(o.m.ctx, actor.To(o.name), actor.None{}), "the arbiter")
	o.call(Block.Start(o.m.caller, actor.To(o.name), actor.None{}), "a member")
	o.inFlight(t)
}

// TestMatrixPage: docs/processes.md shows the table that TestMatrix proves.
func TestMatrixPage(t *testing.T) {
	const page, from, to = "docs/processes.md", "<!-- matrix: go test -run TestMatrixPage -update-docs -->\n", "<!-- end of matrix -->\n"
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), from)
	have, after, ok2 := strings.Cut(rest, to)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table: %s … %s", page, from, to)
	}
	var table strings.Builder
	table.WriteString("| | goroutine | process | exec (Python) | remote |\n|---|---|---|---|---|\n")
	for _, w := range ways {
		fmt.Fprintf(&table, "| %s | %v | %v | %v | %v |\n", w.name, w.in[0], w.in[1], w.in[2], w.in[3])
	}
	if have == table.String() {
		return
	}
	if !*updateDocs {
		t.Fatalf("%s is out of date: go test -run TestMatrixPage -update-docs\n%s", page, table.String())
	}
	if err := os.WriteFile(page, []byte(before+from+table.String()+to+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
