//go:build linux

package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// Near is what the benchmarks within one process need, and no more.
var (
	Same = actor.NewCommand[int64, int64]("same")
	Push = actor.NewCommand[int64, actor.None]("push", actor.NoAck())

	Near = &actor.Kind[actor.None]{Name: "near", Handlers: []actor.Handler[actor.None]{
		actor.Handle(Same, func(_ actor.None, _ context.Context, n int64) (int64, error) { return n, nil }),
		actor.On(Push, func(actor.None, context.Context, int64) error { return nil }),
	}}
)

// near returns a goroutine actor and a context to send to it from.
func near(b *testing.B) (context.Context, actor.Ref) {
	arb, err := arbiter.Start(b.Context(), arbiter.Options{Name: "bench", Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = arb.Stop(context.Background()) })
	ctx := arb.Context(context.Background())
	ref, err := arb.Spawn(ctx, Near)
	if err != nil {
		b.Fatal(err)
	}
	return ctx, ref
}

// measured reports allocations and, since the machine may be shared, processor time.
func measured(b *testing.B, f func()) {
	b.ReportAllocs()
	b.ResetTimer()
	used, _ := processorTime()
	f()
	b.StopTimer()
	after, _ := processorTime()
	b.ReportMetric(float64(after-used)/float64(b.N), "cpu-ns/op")
}

// BenchmarkLocalAsk asks a goroutine actor of the same process, and for comparison a
// goroutine that reads a channel.
func BenchmarkLocalAsk(b *testing.B) {
	for _, n := range []int{1, 64} {
		share := func(b *testing.B, i int) int { return (b.N + n - 1 - i) / n }
		b.Run(fmt.Sprintf("channel/%d in flight", n), func(b *testing.B) {
			type message struct {
				n     int64
				reply chan int64
			}
			in := make(chan message, 1024)
			var ended sync.WaitGroup
			ended.Go(func() {
				for m := range in {
					m.reply <- m.n
				}
			})
			measured(b, func() {
				var each sync.WaitGroup
				for i := range n {
					each.Go(func() {
						reply := make(chan int64, 1)
						for range share(b, i) {
							in <- message{1, reply}
							<-reply
						}
					})
				}
				each.Wait()
			})
			close(in)
			ended.Wait()
		})
		b.Run(fmt.Sprintf("actor/%d in flight", n), func(b *testing.B) {
			ctx, ref := near(b)
			measured(b, func() {
				var each sync.WaitGroup
				for i := range n {
					each.Go(func() {
						for range share(b, i) {
							if _, err := Same.Call(ctx, ref, 1); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				each.Wait()
			})
		})
	}
}

// BenchmarkLocalTell sends a goroutine actor of the same process one-way messages.
func BenchmarkLocalTell(b *testing.B) {
	ctx, ref := near(b)
	measured(b, func() {
		for n := range b.N {
			if err := Push.Send(ctx, ref, int64(n)); err != nil {
				b.Fatal(err)
			}
		}
		for {
			_, err := Same.Call(ctx, ref, 1)
			if err == nil {
				break
			}
			if !errors.Is(err, actor.ErrOverloaded) {
				b.Fatal(err)
			}
			runtime.Gosched() // a call does not wait for room, and the inbox may be full
		}
	})
}
