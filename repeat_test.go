package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

var (
	// Look answers with the number of the attempt, after a while; Change does the same and may
	// not be asked twice. Fall kills the worker it is asked of: with its first attempt, or with
	// every one.
	Look   = actor.NewCommand[time.Duration, int]("look", actor.Idempotent())
	Change = actor.NewCommand[time.Duration, int]("change")
	Fall   = actor.NewCommand[bool, int]("fall", actor.Idempotent())
	Fell   = actor.NewCommand[bool, int]("fell")

	Reader = &actor.Kind[actor.None]{Name: "reader", Mode: actor.Concurrent(16), Handlers: []actor.Handler[actor.None]{
		actor.Handle(Look, lookFor), actor.Handle(Change, lookFor), actor.Handle(Fall, fall), actor.Handle(Fell, fall),
	}}
	// Clerk is a reader that takes one after the other.
	Clerk = &actor.Kind[actor.None]{Name: "clerk", Handlers: []actor.Handler[actor.None]{
		actor.Handle(Look, lookFor), actor.Handle(Fall, fall),
	}}
)

func lookFor(_ actor.None, ctx context.Context, d time.Duration) (int, error) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return actor.Attempt(ctx), ctx.Err()
}

func fall(_ actor.None, ctx context.Context, always bool) (int, error) {
	if n := actor.Attempt(ctx); n > 1 && !always {
		if d, ok := ctx.Deadline(); !ok || time.Until(d) > 3*time.Minute {
			return 0, fmt.Errorf("its second attempt has until %v, and not what time its caller has", d)
		}
		return n, nil
	}
	panic("as asked")
}

// callersOf are somebody in the arbiter's process and somebody elsewhere.
func callersOf(w *world) map[string]context.Context {
	return map[string]context.Context{
		"arbiter": w.ctx,
		"unix":    w.member(w.address("unix:"), Caller, actor.JoinOptions{}).Context(w.ctx),
	}
}

func readers(w *world, in string) actor.Ref { return poolOf(w, Reader, in) }

// poolOf starts three of a kind.
func poolOf(w *world, kind actor.Behaviour, in string) actor.Ref {
	policy := supervise.Policy{MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, MaxCrashes: -1}
	pool, err := w.arb.Pool(w.ctx, kind, actor.PoolArgs{Name: "readers", Workers: 3, Worker: actor.SpawnArgs{In: in, Restart: &policy}})
	if err != nil {
		w.t.Fatal(err)
	}
	return pool
}

// TestIdempotent: a call of an idempotent command whose worker dies is made once more, as the
// second attempt, and no more than once; of another command, of a worker and of a key
// it is not.
func TestIdempotent(t *testing.T) {
	for _, in := range []string{"goroutine", "process"} {
		w := newWorld(t, func(o *arbiter.Options) { o.Kinds = append(o.Kinds, Reader) })
		pool := readers(w, in)
		for from, ctx := range callersOf(w) {
			for _, test := range []struct {
				name   string
				do     func() (int, error)
				fails  bool
				reason string
			}{
				{"once", func() (int, error) { return Look.Call(ctx, pool, 0) }, false, "1"},
				{"again", func() (int, error) { return Fall.Call(ctx, pool, false) }, false, "2"},
				{"again, by name", func() (int, error) { return actor.Call[int](ctx, "readers", "fall", false) }, false, "2"},
				{"twice", func() (int, error) { return Fall.Call(ctx, pool, true) }, true, "the second died, too"},
				{"not idempotent", func() (int, error) { return Fell.Call(ctx, pool, false) }, true, "it may not be asked twice"},
				{"one worker", func() (int, error) { return Fall.Call(ctx, actor.To("readers/2"), false) }, true, "that one was meant"},
				{"a key", func() (int, error) { return Fall.Call(ctx, actor.To("readers#7"), false) }, true, "likewise"},
			} {
				// A worker that has just died is replaced before the next is to die.
				eventually(t, "three are there", func() bool {
					in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, pool)
					return err == nil && in.Info.Workers == 3
				})
				n, err := test.do()
				switch {
				case test.fails && !errors.Is(err, actor.ErrDown):
					t.Errorf("%s from %s, %s: %d, %v, want down: %s", in, from, test.name, n, err, test.reason)
				case !test.fails && (err != nil || test.reason != string(rune('0'+n))):
					t.Errorf("%s from %s, %s: %d, %v, want %s", in, from, test.name, n, err, test.reason)
				}
			}
		}
	}
}

// TestIdempotentCancel: who gives up takes the call back wherever it is, and its deadline is
// that of the first attempt.
func TestIdempotentCancel(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.Kinds = append(o.Kinds, Reader) })
	pool := readers(w, "goroutine")
	for from, ctx := range callersOf(w) {
		limited, cancel := context.WithTimeout(ctx, time.Second) // until then it is to be seen where the call is
		began := time.Now()
		p := Look.Start(limited, pool, time.Minute)
		busy := func() (n int, who string) {
			in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, pool)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range in.Slots {
				info, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To(s.Name))
				if err == nil && info.Info.InFlight > 0 {
					n, who = n+info.Info.InFlight, s.Name
				}
			}
			return n, who
		}
		var who string
		eventually(t, "one has the call", func() (ok bool) { _, who = busy(); return who != "" })
		if _, err := w.arb.Kill(w.ctx, actor.To(who)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(); !errors.Is(err, actor.ErrDeadline) {
			t.Errorf("from %s: %v after %v, want its deadline", from, err, time.Since(began))
		}
		cancel()
		eventually(t, "nobody has it any more", func() bool { n, _ := busy(); return n == 0 })
		p = Look.Start(ctx, pool, time.Minute)
		eventually(t, "one has the call", func() (ok bool) { _, who = busy(); return who != "" })
		if _, err := w.arb.Kill(w.ctx, actor.To(who)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another has the call", func() (ok bool) { _, who = busy(); return who != "" })
		p.Cancel()
		if _, err := p.Wait(); !errors.Is(err, actor.ErrCanceled) {
			t.Errorf("from %s: %v, want canceled", from, err)
		}
		eventually(t, "nobody has it any more", func() bool { n, _ := busy(); return n == 0 })
	}
	in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.Arbiter)
	if err != nil || in.Account == nil || !in.Account.Balanced() {
		t.Errorf("the account: %v, %v", in.Account, err)
	}
}

// TestIdempotentQueued: the calls that wait in a worker which panics are made again, too.
func TestIdempotentQueued(t *testing.T) {
	for _, in := range []string{"goroutine", "process"} {
		w := newWorld(t, func(o *arbiter.Options) { o.Kinds = append(o.Kinds, Clerk) })
		pool := poolOf(w, Clerk, in)
		for from, ctx := range callersOf(w) {
			working := func(want int) func() bool {
				return func() bool {
					for n := range 3 {
						one, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.To("readers/"+string(rune('1'+n))))
						if err != nil || one.Info.State != "running" || one.Info.InFlight != want {
							return false
						}
					}
					return true
				}
			}
			eventually(t, "all of them are idle", working(0))
			var busy, looks []*actor.Pending[int]
			for range 3 {
				busy = append(busy, Look.Start(ctx, pool, 500*time.Millisecond))
			}
			eventually(t, "all of them are busy", working(1))
			fallen := Fall.Start(ctx, pool, false)
			for range 30 {
				looks = append(looks, Look.Start(ctx, pool, 0))
			}
			for _, p := range busy {
				if _, err := p.Wait(); err != nil {
					t.Errorf("%s from %s: %v", in, from, err)
				}
			}
			if n, err := fallen.Wait(); n != 2 || err != nil {
				t.Errorf("%s from %s: it fell: %d, %v", in, from, n, err)
			}
			again := 0
			for _, p := range looks {
				n, err := p.Wait()
				if err != nil {
					t.Errorf("%s from %s: one that waited: %v", in, from, err)
				}
				if n == 2 {
					again++
				}
			}
			if t.Logf("%s from %s: %d of 30 were made again", in, from, again); again == 0 {
				t.Error("none waited in the one that fell: nothing was shown")
			}
		}
	}
}

// TestIdempotentKilled: while one worker of a pool after the other is killed under load,
// processes with -9, no call of an idempotent command fails; of the others some do, and are
// told why.
func TestIdempotentKilled(t *testing.T) {
	for _, in := range []string{"goroutine", "process"} {
		t.Run(in, func(t *testing.T) { testIdempotentKilled(t, in) })
	}
}

func testIdempotentKilled(t *testing.T, in string) {
	w := newWorld(t, func(o *arbiter.Options) { o.Kinds = append(o.Kinds, Reader) })
	pool := readers(w, in)
	var calls, again, down atomic.Int64
	var each [8]atomic.Int64 // calls of each caller
	over, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	next := 0
	for from, ctx := range callersOf(w) {
		for range 4 {
			mine := &each[next]
			next++
			all.Go(func() {
				for over.Err() == nil {
					n, err := Look.Call(ctx, pool, time.Millisecond)
					if err != nil {
						t.Errorf("from %s: %v", from, err)
						return
					}
					mine.Add(1)
					if calls.Add(1); n == 2 {
						again.Add(1)
					}
				}
			})
			all.Go(func() {
				for over.Err() == nil {
					if n, err := Change.Call(ctx, pool, time.Millisecond); errors.Is(err, actor.ErrDown) {
						down.Add(1)
					} else if err != nil || n != 1 {
						t.Errorf("of what may not be asked twice, from %s: %d, %v", from, n, err)
						return
					}
				}
			})
		}
	}
	for kills := range 12 {
		name := actor.To("readers/" + string(rune('1'+kills%3)))
		var pid int
		eventually(t, "all of them run", func() bool {
			in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, pool)
			if err != nil || in.Info.Workers != 3 {
				return false
			}
			one, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, name)
			pid = one.Info.PID
			return err == nil && one.Info.State == "running" && one.Info.InFlight > 0
		})
		var err error
		if in == "process" {
			err = signalTo(pid, syscall.SIGKILL)
		} else {
			_, err = w.arb.Kill(w.ctx, name)
		}
		if err != nil {
			t.Error(err)
		}
		// Until what it had is answered by another, which is not to die as well.
		for n := range each {
			before := each[n].Load()
			eventually(t, "calls go on", func() bool { return each[n].Load() > before+1 || t.Failed() })
		}
	}
	stop()
	all.Wait()
	t.Logf("%d calls, %d of them made again; of others %d were told that their worker had died", calls.Load(), again.Load(), down.Load())
	if again.Load() == 0 || down.Load() == 0 {
		t.Errorf("%d were made again, %d were told: nothing was shown", again.Load(), down.Load())
	}
}
