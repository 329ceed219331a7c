package arbiter

import (
	"errors"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// TestReplaceOfTheStopped: who is found to be recycled, or to be restarted with its pool, and is stopped by
// hand before that begins, stays stopped.
func TestReplaceOfTheStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kind := &actor.Kind[struct{}]{Name: "worker"}
		arb := knowing(t, kind)
		ctx := arb.Context(t.Context())
		if _, err := arb.Pool(ctx, kind, actor.PoolArgs{Name: "pool", Workers: 1}); err != nil {
			t.Fatal(err)
		}
		s := arb.slotNamed("pool/1")
		if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("pool/1")); err != nil {
			t.Fatal(err)
		}
		var refused *wire.Error
		if err := s.replace(ctx, "recycled", false); !errors.As(err, &refused) || refused.Code != wire.CodeRefused {
			t.Errorf("it was recycled: %v", err)
		}
		if state := s.info().State; state != "stopped" {
			t.Errorf("it is %s", state)
		}
		if err := s.replace(ctx, "a restart was asked for", true); err != nil {
			t.Errorf("a restart of it by its name: %v", err)
		}
	})
}
