package arbiter

import (
	"context"
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
