package actor_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// goroutines waits, in real time, for there to be at most limit goroutines, and
// returns how many there are.
func goroutines(limit int) int {
	for range 2000 {
		if n := runtime.NumGoroutine(); n <= limit {
			return n
		}
		<-time.After(time.Millisecond)
	}
	return runtime.NumGoroutine()
}

// An actor at rest is no goroutine: neither one that has answered nor one that has
// timers, watches or has been called by another.
func TestIdleActors(t *testing.T) {
	const many = 1000
	a := arbitertest.New(t)
	kind := doer("idle", func(ctx context.Context, n int) error {
		switch n {
		case 1:
			actor.After(ctx, time.Hour, func(context.Context) {})
		case 2:
			if _, err := actor.Watch(ctx, actor.To("first"), func(context.Context, actor.Ended) {}); err != nil {
				return err
			}
		case 3:
			self, _ := actor.Current(ctx)
			_ = self.Context()
		case 4:
			_, err := actor.Echo.Call(ctx, actor.To("first"), n)
			return err
		}
		return nil
	})
	a.Spawn(kind, actor.Name("first"))
	const ready = 16 // what the arbiter holds for all of them together: see cell.Commons
	before := runtime.NumGoroutine() + ready
	var all []actor.Ref
	for n := range many {
		s := a.Spawn(kind)
		all = append(all, s)
		if _, err := Do.Call(a.Context(), s, n%5); err != nil {
			t.Fatal(err)
		}
	}
	if n := goroutines(before); n > before {
		t.Errorf("%d goroutines with %d idle actors, and %d before", n, many, before)
	}
	for _, s := range all[:many/2] {
		if err := actor.Stop.Send(a.Context(), s, none{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range all[many/2:] {
		if _, err := a.Kill(context.Background(), s); err != nil {
			t.Fatal(err)
		}
	}
	if n := goroutines(before); n > before {
		t.Errorf("%d goroutines when %d actors have ended, and %d before", n, many, before)
	}
	for ends := time.Now().Add(5 * time.Second); ; {
		list, err := actor.Ps.Call(a.Context(), actor.Arbiter, none{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 2 { // the arbiter and the first
			break
		}
		if time.Now().After(ends) {
			t.Fatal(fmt.Sprint(len(list), " actors are left"))
		}
		<-time.After(time.Millisecond)
	}
}
