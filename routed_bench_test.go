package arbiter_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

var (
	Bytes   = actor.NewCommand[[]byte, []byte]("bytes")
	Swallow = actor.NewCommand[[]byte, actor.None]("swallow", actor.NoAck())
	Mirror  = &actor.Kind[actor.None]{Name: "mirror", Handlers: []actor.Handler[actor.None]{
		actor.Handle(Bytes, func(_ actor.None, _ context.Context, b []byte) ([]byte, error) { return b, nil }),
		actor.On(Swallow, func(actor.None, context.Context, []byte) error { return nil }),
	}}
)

// routed returns a caller and a mirror that joined one arbiter over unix sockets,
// all in this process.
func routed(b *testing.B) (ctx context.Context, mirror actor.Ref) {
	dir, err := os.MkdirTemp("", "arb")
	if err != nil {
		b.Fatal(err)
	}
	b.Setenv("XDG_RUNTIME_DIR", dir)
	arb, err := arbiter.Start(b.Context(), arbiter.Options{Name: "bench", Control: true, Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	m := actor.NewMember(arb.Addresses()[0], Mirror, actor.JoinOptions{Logger: quiet})
	c := actor.NewMember(arb.Addresses()[0], Caller, actor.JoinOptions{Logger: quiet})
	b.Cleanup(func() {
		c.Close()
		m.Close()
		_ = arb.Stop(context.Background())
		_ = os.RemoveAll(dir)
	})
	mirror, err = m.Ref(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	ctx = c.Context(context.Background())
	if _, err := Bytes.Call(ctx, mirror, nil); err != nil {
		b.Fatal(err)
	}
	return ctx, mirror
}

func BenchmarkRoutedAsk(b *testing.B) {
	for _, size := range []int{64, 16 << 10} {
		for _, n := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("%d bytes/%d in flight", size, n), func(b *testing.B) {
				ctx, mirror := routed(b)
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for i := range n {
					wg.Add(1)
					go func() {
						defer wg.Done()
						body := make([]byte, size)
						for range (b.N + n - 1 - i) / n {
							if _, err := Bytes.Call(ctx, mirror, body); err != nil {
								b.Error(err)
								return
							}
						}
					}()
				}
				wg.Wait()
			})
		}
	}
}

func BenchmarkRoutedSend(b *testing.B) {
	for _, size := range []int{64, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%d bytes", size), func(b *testing.B) {
			ctx, mirror := routed(b)
			body := make([]byte, size)
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				if err := Swallow.Send(ctx, mirror, body); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := Bytes.Call(ctx, mirror, nil); err != nil {
				b.Fatal(err)
			}
		})
	}
}
