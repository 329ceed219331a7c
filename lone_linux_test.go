package arbiter_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// eventfds returns how many descriptors of eventfd(2) this process has. Go's scheduler has one.
func eventfds() (n int) {
	for _, path := range openFiles() {
		if strings.HasPrefix(path, "anon_inode:[eventfd]") {
			n++
		}
	}
	return n
}

// Calls that are made one behind the other over a socket wait where that is cheap, as does who is
// asked; their context ends them all the same, and the descriptors for it end with the members.
func TestLoneCalls(t *testing.T) {
	w := newWorld(t)
	for _, address := range w.arb.Addresses() {
		network, _, _ := strings.Cut(address, ":")
		t.Run(network, func(t *testing.T) {
			before := eventfds()
			begun := make(chan struct{}, 1)
			block := actor.NewCommand[actor.None, actor.None]("block")
			kind := &actor.Kind[actor.None]{Name: "mirror", Handlers: append([]actor.Handler[actor.None]{
				actor.Handle(block, func(_ actor.None, ctx context.Context, _ actor.None) (actor.None, error) {
					begun <- struct{}{}
					<-ctx.Done()
					return actor.None{}, ctx.Err()
				}),
			}, Mirror.Handlers...)}
			o := actor.JoinOptions{Token: "secret", Logger: quiet}
			m, c := actor.NewMember(address, kind, o), actor.NewMember(address, Caller, o)
			defer c.Close()
			defer m.Close()
			mirror, err := m.Ref(w.ctx)
			if err != nil {
				t.Fatal(err)
			}
			inner, cancel := context.WithCancel(w.ctx)
			defer cancel()
			ctx := c.Context(inner)
			ask := func(n int) {
				for i := range n {
					body := []byte{byte(i), byte(i >> 8)}
					if b, err := Bytes.Call(ctx, mirror, body); err != nil || string(b) != string(body) {
						t.Errorf("call %d: %v, %v", i, b, err)
						return
					}
				}
			}
			ask(500)
			if n := eventfds() - before; n != 2 {
				t.Errorf("there are %d descriptors to wait at, want that of the caller and that of who is asked", n)
			}
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() { ask(100) })
			}
			all.Wait()
			ask(500)
			failed := make(chan error, 1)
			go func() { _, err := block.Call(ctx, mirror, actor.None{}); failed <- err }()
			<-begun
			cancel()
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("a call whose context was canceled: %v", err)
			}
			c.Close()
			m.Close()
			if n := eventfds() - before; n != 0 {
				t.Errorf("%d descriptors are left", n)
			}
		})
	}
}
