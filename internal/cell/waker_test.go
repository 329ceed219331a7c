package cell

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// waker is a Waker that keeps count.
type waker struct {
	refuses bool
	awake   atomic.Int32
	then    func() // called by the first Awake
}

func (w *waker) Wakes() bool { return !w.refuses }

func (w *waker) Awake() {
	if w.awake.Add(1) == 1 && w.then != nil {
		w.then()
	}
}

// Who was woken as one of many says so, once, however it has waited; nobody else does.
func TestWokenSaySo(t *testing.T) {
	answered := &wire.Message{Kind: wire.KindReply}
	for name, test := range map[string]struct {
		prepare func(t *testing.T, ctx context.Context, h *host) context.Context
		end     func(c *Call)
		refuses bool
		want    int32
	}{
		"who waits": {want: 1},
		"who waits in a context that ends": {want: 1, prepare: func(t *testing.T, ctx context.Context, h *host) context.Context {
			return WithScope(ctx, Scope{Host: h})
		}},
		"who a vigil watches for": {want: 1, prepare: func(t *testing.T, ctx context.Context, h *host) context.Context {
			ctx, _ = heated(t, ctx, h)
			return ctx
		}},
		"one alone":        {refuses: true},
		"one that failed":  {end: func(c *Call) { c.Failed(0, wire.Errorf(wire.CodeApp, "no")) }},
		"one with a value": {end: func(c *Call) { c.Value(nil) }},
	} {
		for when, at := range map[string]bool{"asleep": false, "not yet": true} {
			t.Run(name+", "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := &host{commons: new(Commons)}
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					if test.prepare != nil {
						ctx = test.prepare(t, ctx, h)
					} else {
						ctx = WithScope(context.Background(), Scope{Host: h})
					}
					w := &waker{refuses: test.refuses}
					end := test.end
					if end == nil {
						end = func(c *Call) { c.Result(0, answered) }
					}
					h.start = func(_ Scope, c *Call) {
						c.WokenBy(w)
						if at {
							end(c)
						} else {
							go func() { synctest.Wait(); end(c) }()
						}
					}
					for n := range int32(3) { // what is used again is not taken for one of them
						_ = Ask(ctx, "it", "work", nil, false, false, func(Value) {})
						if got := w.awake.Load(); got != (n+1)*test.want {
							t.Errorf("after %d calls it was said %d times, want %d", n+1, got, (n+1)*test.want)
						}
					}
				})
			})
		}
	}
}

// Who has to wait for its turn behind that says so before.
func TestWokenSaySoBeforeTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("other")
		w := &waker{then: func() { close(g.open["other"]) }}
		var asked *Call
		g.start = func(_ Scope, c *Call) {
			c.WokenBy(w)
			asked = c
		}
		c := newCell(g, func(s *Spec) {
			s.Mode = Interleaved
			s.Commands["ask"] = &Command{CommandInfo: wire.CommandInfo{Name: "ask", Ack: true}, Run: func(ctx context.Context, _ any, _ *Request) (Value, error) {
				return nil, unlessNil(Ask(ctx, "it", "work", nil, false, false, func(Value) {}))
			}}
		})
		c.Start()
		for id, command := range []string{"ask", "work"} {
			if e := c.Deliver(request(nil, uint64(id)+1, command, "other")); e != nil {
				t.Fatal(e)
			}
			synctest.Wait()
		}
		asked.Result(0, &wire.Message{Kind: wire.KindReply}) // the other has the turn, until that is said
		synctest.Wait()
		if n := c.Counts().Started; n != 2 || w.awake.Load() != 1 {
			t.Errorf("%d started, it was said %d times", n, w.awake.Load())
		}
		g.want(t, "both", "ready <nil>", "work other", "reply 2 other", "reply 1 <nil>")
	})
}

func unlessNil(e *wire.Error) error {
	if e != nil {
		return e
	}
	return nil
}
