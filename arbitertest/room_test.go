package arbitertest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

var (
	flood = actor.NewCommand[actor.Ref, int]("flood")
	drop  = actor.NewCommand[int, actor.None]("drop", actor.NoAck())
)

// Two serial actors that fill each other's inbox wait for room that never comes:
// both are told so.
func TestSendsThatWaitForEachOther(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		var both sync.WaitGroup // at work: or the first may be through before the second has begun
		both.Add(2)
		kind := &actor.Kind[actor.None]{Name: "flooder", Inbox: actor.Limits{Messages: 4}, Handlers: []actor.Handler[actor.None]{
			actor.Handle(flood, func(_ actor.None, ctx context.Context, to actor.Ref) (int, error) {
				both.Done()
				both.Wait()
				ctx = context.WithoutCancel(ctx) // without its deadline
				for n := range 100 {
					if err := drop.Send(ctx, to, n); err != nil {
						return n, err
					}
				}
				return 100, nil
			}),
			actor.On(drop, func(actor.None, context.Context, int) error { return nil }),
		}}
		x, y := a.Spawn(kind), a.Spawn(kind)
		ctx, cancel := context.WithTimeout(a.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		p, q := flood.Start(ctx, x, y), flood.Start(ctx, y, x)
		_, errX := p.Wait()
		_, errY := q.Wait()
		if errX == nil && errY == nil {
			t.Error("neither was told that there is no room")
		}
		for _, err := range []error{errX, errY} {
			if err != nil && !errors.Is(err, actor.ErrApp) {
				t.Errorf("%v, want the handler's own error", err)
			}
		}
		if d := time.Since(began); d > time.Minute {
			t.Errorf("they waited for %v", d)
		}
	})
}
