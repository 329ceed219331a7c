package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// hub is the program with the arbiter.
type hub struct {
	arb     *arbiter.Arbiter
	profile string
}

const token = "scale"

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// addresses are where the arbiter can be joined.
type addresses struct{ Unix, TCP string }

func newHub(p post, hook *arbiter.ChildHook) (map[string]op, func(), error) {
	if err := os.Setenv("XDG_RUNTIME_DIR", p.Dir); err != nil {
		return nil, nil, err
	}
	h := &hub{profile: p.Profile}
	var cpu *os.File
	if h.profile != "" {
		var err error
		if cpu, err = os.Create(h.profile + ".cpu.prof"); err == nil {
			err = pprof.StartCPUProfile(cpu)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	var err error
	h.arb, err = arbiter.Start(context.Background(), arbiter.Options{
		Name: "scale", Logger: quiet, Control: true, Listen: "127.0.0.1:0", Token: token,
		Kinds: []actor.Behaviour{workerKind}, Child: hook, StopTimeout: time.Second,
	})
	if err != nil {
		return nil, nil, err
	}
	end := func() {
		if cpu != nil { // first: a million actors take their time to stop
			pprof.StopCPUProfile()
			_ = cpu.Close()
		}
		_ = h.arb.Stop(context.Background())
	}
	return map[string]op{
		"addresses": does(h.addresses), "sample": does(h.sample), "actors": does(h.actors),
		"pool": does(h.pool), "broadcast": does(h.broadcast),
	}, end, nil
}

func (h *hub) addresses(context.Context, none) (addresses, error) {
	var at addresses
	for _, a := range h.arb.Addresses() {
		switch {
		case strings.HasPrefix(a, "unix:"):
			at.Unix = a
		case strings.HasPrefix(a, "tcp:"):
			at.TCP = a
		}
	}
	return at, nil
}

func (h *hub) sample(ctx context.Context, in sampleArgs) (sample, error) {
	s, err := takeSample(ctx, in)
	if err == nil && in.Collect && h.profile != "" {
		for _, what := range []string{"heap", "goroutine"} {
			var f *os.File
			if f, err = os.Create(h.profile + "." + what + ".prof"); err != nil {
				break
			}
			err = errors.Join(pprof.Lookup(what).WriteTo(f, 0), f.Close())
		}
	}
	return s, err
}

type actorsResult struct {
	Spawned, Sent     time.Duration
	SpawnedBy, SentBy time.Duration // of the processor
	Bytes             float64       // of memory, each
	Goroutines        int           // more than before
	Received          int64
}

var touch = actor.NewCommand[actor.None, actor.None]("touch", actor.NoAck())

// actors spawns n goroutine actors without a state of their own, and sends a message to
// each.
func (h *hub) actors(ctx context.Context, n int) (actorsResult, error) {
	var r actorsResult
	var received atomic.Int64
	kind := &actor.Kind[actor.None]{Name: "rest", Handlers: []actor.Handler[actor.None]{
		actor.On(touch, func(actor.None, context.Context, actor.None) error { received.Add(1); return nil }),
	}}
	refs := make([]actor.Ref, n)
	goroutines, before, used, began := runtime.NumGoroutine(), inUse(), processor(), time.Now()
	var err error
	for i := range refs {
		if refs[i], err = h.arb.Spawn(ctx, kind); err != nil {
			return r, fmt.Errorf("actor %d: %w", i, err)
		}
	}
	r.Spawned, r.SpawnedBy = time.Since(began), processor()-used
	r.Bytes = float64(inUse()-before) / float64(n)
	r.Goroutines = runtime.NumGoroutine() - goroutines
	used, began = processor(), time.Now()
	as := h.arb.Context(ctx)
	for i, ref := range refs {
		if err := touch.Send(as, ref, actor.None{}); err != nil {
			return r, fmt.Errorf("to actor %d: %w", i, err)
		}
	}
	// An actor handles its message on a goroutine that ends by itself: there is nothing
	// that tells of the last.
	for limit := time.Now().Add(10 * time.Second); received.Load() < int64(n) && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	r.Sent, r.SentBy, r.Received = time.Since(began), processor()-used, received.Load()
	return r, nil
}

// inUse returns the memory of the heap and of stacks, without garbage.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what finalizers held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// Commands of workers.
var (
	who     = actor.NewCommand[actor.None, string]("who")
	counted = actor.NewCommand[actor.None, int64]("counted")
)

// worker is the state of a pool's.
type worker struct{ touched int64 }

var workerKind = &actor.Kind[*worker]{
	Name: "worker",
	New:  func(context.Context) (*worker, error) { return &worker{}, nil },
	Handlers: []actor.Handler[*worker]{
		actor.Handle(who, func(_ *worker, ctx context.Context, _ actor.None) (string, error) {
			self, _ := actor.Current(ctx)
			return self.Ref().Name, nil
		}),
		actor.On(touch, func(w *worker, _ context.Context, _ actor.None) error { w.touched++; return nil }),
		actor.Handle(counted, func(w *worker, _ context.Context, _ actor.None) (int64, error) { return w.touched, nil }),
	},
}

type poolArgs struct {
	Workers int
	In      string
}

const poolName = "pool"

// pool starts one and returns how long that took until all workers ran.
func (h *hub) pool(ctx context.Context, in poolArgs) (time.Duration, error) {
	began := time.Now()
	as := h.arb.Context(ctx)
	if _, err := h.arb.Pool(ctx, workerKind, actor.PoolArgs{Name: poolName, Workers: in.Workers, Worker: actor.SpawnArgs{In: in.In}}); err != nil {
		return 0, err
	}
	for n := 1; n <= in.Workers; n++ {
		if _, err := who.Call(as, actor.To(fmt.Sprintf("%s/%d", poolName, n)), actor.None{}); err != nil {
			return 0, fmt.Errorf("worker %d: %w", n, err)
		}
	}
	return time.Since(began), nil
}

type broadcastArgs struct {
	Workers int
	For     time.Duration
}

type broadcastResult struct {
	Sent     int // messages to all of them
	Received int64
	Took     time.Duration // until all were received
}

// burst is how many messages are sent to all of a pool before they are asked how many they got:
// what is sent to all waits for nobody, and has to fit into their inboxes.
const burst = 2048

// broadcast sends to all workers again and again, and asks how many they got.
func (h *hub) broadcast(ctx context.Context, in broadcastArgs) (r broadcastResult, err error) {
	as := h.arb.Context(ctx)
	began := time.Now()
	for time.Since(began) < in.For {
		for range burst {
			if err := touch.Send(as, actor.To(poolName+"/*"), actor.None{}); err != nil {
				return r, err
			}
			r.Sent++
		}
		r.Received = 0
		for n := 1; n <= in.Workers; n++ {
			got, err := counted.Call(as, actor.To(fmt.Sprintf("%s/%d", poolName, n)), actor.None{})
			if err != nil {
				return r, err
			}
			r.Received += got
		}
	}
	r.Took = time.Since(began)
	return r, nil
}
