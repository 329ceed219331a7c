package arbiter

import (
	"context"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// TestMainEndsWithItsArbiter: who asks the arbiter to stop ends the program that runs it,
// though its run waits for nothing but the end of ctx.
func TestMainEndsWithItsArbiter(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	code := runMain(func(ctx context.Context, arb *Arbiter) error {
		if err := actor.Stop.Send(ctx, actor.To("arbiter"), actor.None{}); err != nil {
			t.Errorf("stop: %v", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			t.Error("the arbiter has been asked to stop, and ctx goes on")
			return nil
		}
	}, nil, nil)
	if code != 0 {
		t.Errorf("it exits with %d", code)
	}
}
