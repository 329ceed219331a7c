package arbiter_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// workersOf returns how many workers pool has.
func (w *world) workersOf(t *testing.T, pool string) int {
	t.Helper()
	return w.inspect(t, actor.To(pool)).Info.Workers
}

// TestNothingWaits: what a worker of its own process has answered at once, or dropped
// because nobody waited any more, is not taken for something that still waits: the pool
// stays as small as it is.
func TestNothingWaits(t *testing.T) {
	t.Parallel()
	interpreter := ""
	if hasPython() {
		interpreter = python(t)
	}
	const age = 200 * time.Millisecond
	for name, in := range map[string]actor.SpawnArgs{
		"process": {Kind: "one", In: "process"},
		"exec":    {Kind: "python", Run: []string{interpreter, workerPath(t)}},
	} {
		t.Run(name, func(t *testing.T) {
			if in.Run != nil && interpreter == "" {
				t.Skip("no python")
			}
			w := quietWorld(t)
			if _, err := w.arb.Pool(w.ctx, One, actor.PoolArgs{Name: "web", Min: 1, Max: 3, QueueAge: age, Worker: in}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if _, err := actor.Ping.Call(w.ctx, actor.To("web/1"), actor.None{}); err != nil {
					t.Fatal(err)
				}
			}
			// One that is given up while it waits behind another one, which is over long before
			// the age that matters.
			busy := Slow.Start(w.ctx, actor.To("web/1"), age/4)
			behind := Double.Start(w.ctx, actor.To("web/1"), 1)
			behind.Cancel()
			if _, err := behind.Wait(); !errors.Is(err, actor.ErrCanceled) {
				t.Errorf("the one behind: %v", err)
			}
			if _, err := busy.Wait(); err != nil {
				t.Fatal(err)
			}
			// Long enough for a worker more; a heartbeat that is late changes nothing.
			over := time.After(2*time.Second + 4*age)
			for {
				if n := w.workersOf(t, "web"); n != 1 {
					t.Fatalf("nothing waits, and it has %d workers: %v", n, w.events("web", "scaled"))
				}
				select {
				case <-over:
					return
				case <-time.After(age / 2):
				}
			}
		})
	}
}

// TestMuchWaits: messages that wait for a worker of its own process count, those in its
// inbox and those on the way to it, also if it has answered others at once.
func TestMuchWaits(t *testing.T) {
	t.Parallel()
	const age = 200 * time.Millisecond
	w := quietWorld(t)
	if _, err := w.arb.Pool(w.ctx, One, actor.PoolArgs{Name: "web", Min: 1, Max: 2, QueueAge: age, Worker: actor.SpawnArgs{In: "process"}}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := actor.Ping.Call(w.ctx, actor.To("web/1"), actor.None{}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	for range 3 {
		Slow.Start(ctx, actor.To("web/1"), time.Minute)
	}
	eventually(t, "the pool has grown", func() bool { return w.workersOf(t, "web") == 2 })
}
