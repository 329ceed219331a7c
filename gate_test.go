package arbiter

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// knowing begins an arbiter that knows kind, for t.
func knowing(t *testing.T, kind actor.Behaviour) *Arbiter {
	arb, err := Start(context.Background(), Options{Name: "test", Kinds: []actor.Behaviour{kind}, Output: io.Discard, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return arb
}

// TestGate: who has chosen a worker may hand it a message, also where it is taken out
// at that moment; and who comes later, with a list that is out of date, may not.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kind := &actor.Kind[struct{}]{Name: "worker"}
		arb := knowing(t, kind)
		ctx := arb.Context(context.Background())
		if _, err := arb.Pool(ctx, kind, actor.PoolArgs{Name: "pool", Workers: 1}); err != nil {
			t.Fatal(err)
		}
		p := arb.registry.get("pool").pool
		before := *p.members.Load()
		chosen := p.pick("", nil)
		if chosen == nil {
			t.Fatal("nobody is chosen")
		}
		scaled := make(chan error, 1)
		go func() {
			_, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "pool", Workers: new(0)})
			scaled <- err
		}()
		time.Sleep(time.Second)
		if !chosen.runs() {
			t.Error("a worker was stopped while a message was on its way to it")
		}
		p.members.Store(&before)
		if w := p.pick("", nil); w != nil {
			t.Error("a worker that leaves was chosen")
		}
		chosen.gate.leave()
		if err := <-scaled; err != nil {
			t.Error(err)
		}
		if !chosen.ended.passed() {
			t.Error("the worker did not leave")
		}
	})
}
