//go:build linux

package arbiter_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

var actors = flag.Int("actors", 10_000, "how many actors TestManyActors has at rest")

// began is when this process came to its own code.
var began = time.Now()

// Newborn says when it came to main, and when to its constructor.
var (
	Milestones = actor.NewCommand[actor.None, [2]time.Time]("milestones")

	Newborn = &actor.Kind[time.Time]{
		Name: "newborn",
		New:  func(context.Context) (time.Time, error) { return time.Now(), nil },
		Handlers: []actor.Handler[time.Time]{actor.Handle(Milestones, func(made time.Time, _ context.Context, _ actor.None) ([2]time.Time, error) {
			return [2]time.Time{began, made}, nil
		})},
	}
)

// emptyProgram builds func main() {} and returns where it is.
func emptyProgram(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	program := filepath.Join(dir, "empty")
	if out, err := exec.Command("go", "build", "-o", program, filepath.Join(dir, "main.go")).CombinedOutput(); err != nil {
		b.Skipf("an empty program cannot be built here: %v: %s", err, out)
	}
	return program
}

// BenchmarkSpawnProcess is how long it takes from Spawn until a process actor is
// ready, beside what is the least: an empty Go program, from its start to its exit,
// by os/exec, in turn with it. Medians, in ms:
//
//	empty      the empty program
//	self       this program, which has more to initialize, made to exit first thing in main
//	main       from Spawn to the child's first own code
//	new        from there to the constructor: joining, hello and welcome
//	ready      from there until Spawn returns
//	spawn      all three
//	above      what spawn takes more than empty
//
//	go test -run - -bench SpawnProcess -benchtime 200x .
func BenchmarkSpawnProcess(b *testing.B) {
	empty := emptyProgram(b)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	arb, err := arbiter.Start(b.Context(), arbiter.Options{Name: "bench", Child: child, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = arb.Stop(context.Background()) }()
	ctx := arb.Context(b.Context())
	spawn := func() actor.Ref {
		ref, err := arb.Spawn(ctx, Newborn, actor.Process())
		if err != nil {
			b.Fatal(err)
		}
		return ref
	}
	_, _ = arb.Kill(ctx, spawn()) // the first one starts the guard, too
	run := func(program, scene string) time.Duration {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), envScene+"="+scene)
		start := time.Now()
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	took := make(map[string]spread)
	add := func(what string, d time.Duration) { took[what] = append(took[what], d) }
	for b.Loop() {
		least := run(empty, "")
		add("empty", least)
		add("self", run(self, "nothing"))
		start := time.Now()
		ref := spawn()
		ready := time.Now()
		at, err := Milestones.Call(ctx, ref, actor.None{})
		if err != nil {
			b.Fatal(err)
		}
		add("main", at[0].Sub(start))
		add("new", at[1].Sub(at[0]))
		add("ready", ready.Sub(at[1]))
		add("spawn", ready.Sub(start))
		add("above", ready.Sub(start)-least)
		if _, err := arb.Kill(ctx, ref); err != nil {
			b.Fatal(err)
		}
	}
	for what, s := range took {
		b.ReportMetric(float64(s.at(0.5).Microseconds())/1000, "ms/"+what)
	}
}

// Resting has no state of its own.
var Resting = &actor.Kind[actor.None]{Name: "resting", Handlers: []actor.Handler[actor.None]{
	actor.Handle(Double, func(_ actor.None, _ context.Context, n int) (int, error) { return 2 * n, nil }),
}}

// inUse is the memory of the heap and of stacks, without garbage.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkSpawnGoroutine is what a goroutine actor costs from Spawn until it is
// ready, and what it holds at rest (B/actor). On a machine that others use, the
// processor time (cpu-ns/op, of both cores, garbage collection included) says more.
//
//	go test -run - -bench SpawnGoroutine -benchtime 200000x .
func BenchmarkSpawnGoroutine(b *testing.B) {
	arb, err := arbiter.Start(b.Context(), arbiter.Options{Name: "bench", Logger: quiet, Quotas: arbiter.Quotas{Total: -1}})
	if err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	if _, err := arb.Spawn(ctx, Resting); err != nil {
		b.Fatal(err)
	}
	before := inUse()
	b.ReportAllocs()
	b.ResetTimer()
	used, _ := processorTime()
	for range b.N {
		if _, err := arb.Spawn(ctx, Resting); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	after, _ := processorTime()
	b.ReportMetric(float64(after-used)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(inUse()-before)/float64(b.N), "B/actor")
	_ = arb.Stop(context.Background())
}

// TestManyActors: actors at rest hold no goroutine and little memory, each is found
// and answers, and all are stopped. A million of them:
//
//	go test -run TestManyActors -actors 1000000 -timeout 10m -v .
func TestManyActors(t *testing.T) {
	n := *actors
	goroutines := runtime.NumGoroutine()
	arb, err := arbiter.Start(t.Context(), arbiter.Options{Name: "test", Logger: quiet, StopTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ctx := arb.Context(t.Context())
	refs := make([]actor.Ref, n)
	before, start := inUse(), time.Now()
	for i := range refs {
		if refs[i], err = arb.Spawn(ctx, Resting); err != nil {
			t.Fatalf("actor %d: %v", i, err)
		}
	}
	spawned := time.Since(start)
	bytes := (inUse() - before) / int64(n)
	// What starts and supervises them, but nothing for each.
	if more := runtime.NumGoroutine() - goroutines; more > 20 {
		t.Errorf("%d actors at rest hold %d goroutines", n, more)
	}
	start = time.Now()
	for i, ref := range refs {
		if got, err := Double.Call(ctx, ref, i); got != 2*i || err != nil {
			t.Fatalf("actor %d: %d, %v", i, got, err)
		}
	}
	asked := time.Since(start)
	start = time.Now()
	if err := arb.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
	t.Logf("%d actors: %d bytes each; spawned in %v (%v each), each asked in %v, stopped in %v", n, bytes,
		spawned.Round(time.Millisecond), spawned/time.Duration(n), asked.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	settled(t, goroutines)
}
