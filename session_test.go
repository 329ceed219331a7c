package arbiter

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// TestAnsweredInPlace: what an actor elsewhere has answered beside its inbox, and calls
// that were taken back before they began, do not look as if they waited: a pool would
// grow because of them.
func TestAnsweredInPlace(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ours, ended := accepted(arb, plain)
		m := actor.NewMember("", &actor.Kind[struct{}]{Name: "worker"}, actor.JoinOptions{Logger: quiet}.Over(ours))
		ref, err := m.Ref(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		ctx := arb.Context(context.Background())
		for range 3 {
			if _, err := actor.Ping.Call(ctx, ref, actor.None{}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second) // heartbeats
		if age := arb.registry.get(ref.AID).session.queueAge(); age != 0 {
			t.Errorf("something has waited for %v", age)
		}
		_ = m.Close()
		ended()
	})
}

// TestTallyIsSpread: what is sent to different actors is counted in different places, so that
// their senders do not wait for each other.
func TestTallyIsSpread(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		ctx := arb.Context(context.Background())
		worker := &actor.Kind[struct{}]{Name: "worker"}
		used := make(map[*atomic.Uint64]bool)
		for range arb.ledger.local.parts {
			ref, err := arb.Spawn(ctx, worker)
			if err != nil {
				t.Fatal(err)
			}
			used[arb.ledger.local.part(arb.registry.get(ref.AID))] = true
		}
		if n := len(arb.ledger.local.parts); len(used) != n {
			t.Errorf("%d actors are counted in %d of %d parts", n, len(used), n)
		}
	})
}
