package arbiter

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// TestAnsweredInPlace: what an actor elsewhere has answered beside its inbox, and calls
// that were taken back before they began, do not look as if they waited: a pool would
// grow because of them.
func TestAnsweredInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		arb, err := Start(context.Background(), Options{Name: "test", Output: io.Discard, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := peer.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			arb.ServeConn(theirs)
		}()
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
		<-served
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}
