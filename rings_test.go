package arbiter_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

var ringMiB = flag.Int("ring-mib", 24, "how many MiB go around a ring of TestRings, each way")

// TestRings: actors in a ring flood both their neighbours, with far more than all
// windows together hold, and nobody waits for ever: all of it arrives, in order, and the arbiter
// holds no more of it than the windows let through. A naive hub stands still with two.
//
// go test . -run TestRings -ring-mib 1024 -v
func TestRings(t *testing.T) {
	const size = 16 << 10
	for _, n := range []int{2, 3, 8, 64} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := newWorld(t)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			messages := max(10, *ringMiB<<20/size/n)
			members, refs := make([]*actor.Member, n), make([]actor.Ref, n)
			for i := range members {
				var err error
				members[i] = w.member(w.address("unix:"), Soaker, actor.JoinOptions{})
				if refs[i], err = members[i].Ref(ctx); err != nil {
					t.Fatal(err)
				}
			}
			w.spawn(Judge, actor.Name("judge"))

			before := heap()
			var most uint64
			done := make(chan struct{})
			var watch, floods sync.WaitGroup
			watch.Go(func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(20 * time.Millisecond):
						most = max(most, heap())
					}
				}
			})
			began := time.Now()
			for i, m := range members {
				for way, to := range []actor.Ref{refs[(i+1)%n], refs[(i+n-1)%n]} {
					floods.Go(func() {
						from, ctx := fmt.Sprint(i, " way ", way), m.Context(ctx)
						for k := range messages {
							if err := SoakTell.Send(ctx, to, parcel(from, uint64(k)+1, size)); err != nil {
								t.Errorf("%d of %d to the next in a ring of %d: %v", k, messages, n, err)
								return
							}
						}
						// Behind them all, and they are in order.
						if _, err := SoakEcho.Call(ctx, to, nil); err != nil {
							t.Error(err)
						}
					})
				}
			}
			floods.Wait()
			close(done)
			watch.Wait()
			took := time.Since(began)
			if a := accountOf(t, w.arb.Context(ctx), actor.Arbiter); !a.Balanced() || a.DeadLetters > 0 || a.Refused > 0 {
				t.Errorf("%v", a)
			}
			for i, r := range refs {
				if got := accountOf(t, w.arb.Context(ctx), r).Accepted; got != uint64(2*messages+2) {
					t.Errorf("%d of %d messages to %d arrived", got, 2*messages+2, i)
				}
			}
			heard, err := Complaint.Call(w.arb.Context(ctx), actor.To("judge"), actor.None{})
			if err != nil || len(heard) > 0 {
				t.Errorf("%d are wrong: %v, %v", len(heard), heard[:min(len(heard), 10)], err)
			}
			grown := int(max(most, before)-before) >> 20
			t.Logf("%d actors: %d messages in %v; the heap of all grew by %d MiB", n, 2*n*messages, took.Round(time.Millisecond), grown)
			// 1 MiB towards the arbiter, 1 MiB in the inbox, and buffers of both ends.
			if grown > 64+8*n {
				t.Errorf("the heap grew by %d MiB", grown)
			}
		})
	}
}

// heap is what is live in it, and what is not swept.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
