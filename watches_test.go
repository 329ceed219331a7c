package arbiter

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// TestWatchesHaveABudget: however often somebody watches, and whatever is told of an end, no more memory is held
// than there is for all. Who has room for the cause alone is told that.
func TestWatchesHaveABudget(t *testing.T) {
	const budget, watches = 16 << 20, 1000
	for name, others := range map[string]int64{"room for some": 0, "no room": budget} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				target, watcher := elsewhere(t, arb), elsewhere(t, arb)
				for id := range uint64(watches) {
					watcher.watch(id, target.aid)
				}
				synctest.Wait()
				watcher.near.Stall(true) // it does not read
				arb.budget.Keep(int(others))
				defer arb.budget.Keep(-int(others))
				d := longDeath()
				d.Reason, d.Stderr = strings.Repeat("r", 16_000), slices.Repeat(d.Stderr[:1], 64)
				go target.Goodbye(t.Context(), d)
				synctest.Wait()
				if held := arb.budget.Held() - others; held > budget-others/2 {
					t.Errorf("%d MiB are held, of %d", held>>20, budget>>20)
				}
				watcher.near.Stall(false)
				if others > 0 {
					if watcher.lives() {
						t.Error("there was no room, and it may wait for ever to be told")
					}
					return
				}
				whole, downs := 0, watcher.of(wire.KindDown)
				for _, m := range downs {
					switch d := wire.ParseDeath(&m); {
					case d.Cause != wire.CausePanic || !strings.HasPrefix(d.Reason, "rrr"):
						t.Fatalf("told %+v", d)
					case len(d.Stderr) == 64:
						whole++
					}
				}
				if len(downs) != watches || whole == 0 || !watcher.lives() {
					t.Errorf("of %d watches %d were told of, and %d with all it has said", watches, len(downs), whole)
				}
			}, func(o *Options) { o.MemoryBudget = budget })
		})
	}
}
