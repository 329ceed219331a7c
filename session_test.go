package arbiter

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/wire"
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

// TestManyCancels: the end of an actor takes back its calls, and does not end who had them, however many they are.
func TestManyCancels(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		target, caller := elsewhere(t, arb), elsewhere(t, arb)
		const calls = 50_000
		for id := range uint64(calls) {
			caller.call(id, target.aid)
		}
		synctest.Wait()
		target.near.Stall(true) // it is at something else for a moment
		caller.Close(nil)
		synctest.Wait()
		target.near.Stall(false)
		if !target.lives() {
			t.Fatalf("the target has ended, too: %v", target.err)
		}
		if n := len(target.of(wire.KindCancel)); n != calls {
			t.Errorf("of %d calls %d are taken back", calls, n)
		}
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
