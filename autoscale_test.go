package arbiter_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// TestAutoscale: a pool has more workers, one at a time and up to its most, while
// messages wait for longer than they should, and fewer, down to its least, when there
// has been nothing to do. No call fails meanwhile.
func TestAutoscale(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		web := newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Min: 2, Max: 5, QueueAge: 300 * time.Millisecond})
		size := func() int {
			t.Helper()
			of, err := actor.InspectActor.Call(ctx, actor.Arbiter, web)
			if err != nil {
				t.Fatal(err)
			}
			return of.Info.Workers
		}
		// work has so many callers ask for 100 ms of work, for a while.
		work := func(callers int, long time.Duration) (sizes []int) {
			t.Helper()
			calls := loaded(ctx, callers, func(ctx context.Context) error {
				_, err := poolSlow.Call(ctx, web, 100*time.Millisecond)
				return err
			})
			for range int(long / time.Second) {
				time.Sleep(time.Second)
				sizes = append(sizes, size())
			}
			for _, err := range calls.stop(t, time.Minute) {
				t.Errorf("a call failed: %v", err)
			}
			return sizes
		}
		if n := size(); n != 2 {
			t.Fatalf("it begins with %d workers, want its least, 2", n)
		}
		// Two for two: nothing waits.
		if sizes := work(2, 40*time.Second); slices.Max(sizes) != 2 || slices.Min(sizes) != 2 {
			t.Errorf("with work for two it had %v workers", sizes)
		}
		// Twenty for two: the last of ten waits for 0.9 s. With four it is 0.4 s, with five
		// 0.3 s.
		sizes := work(20, 15*time.Second)
		if slices.Max(sizes) != 5 || !slices.IsSorted(sizes) {
			t.Errorf("with work for twenty it had %v workers", sizes)
		}
		began := time.Now()
		steps := map[int]time.Duration{}
		for n := size(); n > 2 && time.Since(began) < 5*time.Minute; n = size() {
			steps[n] = time.Since(began).Round(time.Second)
			time.Sleep(time.Second)
		}
		if n := size(); n != 2 {
			t.Errorf("with nothing to do it still has %d workers after %v", n, time.Since(began))
		}
		t.Logf("grown: %v; last seen with so many workers, since there was nothing to do: %v", sizes, steps)
		time.Sleep(5 * time.Minute)
		if n := size(); n != 2 {
			t.Errorf("it has %d workers, and its least is 2", n)
		}
		if _, err := poolWho.Call(ctx, web, actor.None{}); err != nil {
			t.Error(err)
		}
	})
}
