package arbiter_test

import (
	"sync"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// TestSpawnAtOnce: many may start actors of one kind at the same time.
func TestSpawnAtOnce(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		var all sync.WaitGroup
		refs := make(chan actor.Ref, 80)
		for range 8 {
			all.Go(func() {
				for range 10 {
					refs <- arb.Spawn(poolKind)
				}
			})
		}
		all.Wait()
		close(refs)
		seen := make(map[actor.Ref]bool)
		for ref := range refs {
			seen[ref] = true
		}
		if len(seen) != 80 {
			t.Errorf("%d of 80 actors", len(seen))
		}
	})
}
