//go:build unix

package cli

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// A question that was not answered, for whatever reason, is not the end of the
// arbiter: run asks again, and sees how the pool ends.
func TestWatchAsksAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	arb, err := arbiter.Start(ctx, arbiter.Options{Output: io.Discard, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer arb.Stop(context.Background())
	var said bytes.Buffer
	p := &program{app: &app{err: &said}, args: actor.PoolArgs{Name: "web"}}
	ended := make(chan error, 1)
	go func() { ended <- p.watch(ctx, arb, actor.To("web")) }()

	// Something has happened, and who is asked about is not there: an error as good as any.
	if _, err := arb.Spawn(ctx, staller); err != nil {
		t.Fatal(err)
	}
	for {
		i, err := actor.InspectActor.Call(arb.Context(ctx), actor.Arbiter, actor.Arbiter)
		if err != nil {
			t.Fatal(err)
		}
		if i.Info.Started >= 4 { // spawn is none; the first events, its inspect, and this one's
			break
		}
	}
	never := &supervise.Policy{Restart: supervise.Never}
	args := actor.PoolArgs{Name: "web", Workers: 1, Worker: actor.SpawnArgs{Run: []string{"true"}, Silent: true, Restart: never}}
	if _, err := arb.Pool(arb.Context(ctx), nil, args); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil || ctx.Err() != nil {
			t.Errorf("%v, %v; it said %q", err, ctx.Err(), &said)
		}
	case <-time.After(20 * time.Second):
		t.Error("its pool has ended, and it still waits")
	}
}
