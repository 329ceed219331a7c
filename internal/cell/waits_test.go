package cell

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// call makes a call in ctx and waits for it.
func callIn(ctx context.Context) (Value, *wire.Error) {
	c := &Call{Target: "other"}
	c.Command = "x"
	c.Begin(ctx)
	return c.Wait(ctx)
}

// atRest fails t if a handler of c has the turn, or wants it back.
func atRest(t *testing.T, c *Cell) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active != 0 || len(c.waitingLocked()) != 0 {
		t.Errorf("active %d, waiting %d", c.active, len(c.waitingLocked()))
	}
}

// Stop while the start hook of an interleaved actor waits.
func TestStopDuringWaitingStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		close(g.open["a"])
		var out *Call
		g.start = func(_ Scope, c *Call) { out = c }
		c := newCell(g, func(s *Spec) {
			s.Mode = Interleaved
			s.Started = func(ctx context.Context, _ any) error {
				callIn(ctx)
				g.add("started")
				return nil
			}
		})
		c.Start()
		synctest.Wait()
		if e := c.Put(request(nil, 1, "work", "a")); e != nil {
			t.Fatal(e)
		}
		c.Stop("enough", time.Minute)
		c.Wake(false)
		synctest.Wait()
		out.Value(nil)
		synctest.Wait()
		g.want(t, "order", "started", "work a", "reply 1 a", "ended stopped")
	})
}

// late is a turn's ctx whose first look-up of the turn waits: it stands for a
// goroutine that the scheduler put aside there.
type late struct {
	*Turn
	once *sync.Once
	wait func()
}

func (l late) Value(key any) any {
	if _, ok := key.(turnKey); ok {
		l.once.Do(l.wait)
	}
	return l.Turn.Value(key)
}

// A goroutine a handler left behind waits when the handler has returned.
func TestWaitAfterTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		close(g.open["a"])
		back, asleep := make(chan struct{}), make(chan struct{})
		c := newCell(g, func(s *Spec) {
			s.Mode = Interleaved
			s.Commands["leave"] = &Command{CommandInfo: wire.CommandInfo{Name: "leave"}, Run: func(ctx context.Context, _ any, r *Request) (Value, error) {
				l := late{ctx.(*Turn), new(sync.Once), func() { close(asleep); <-back }}
				go func() {
					callIn(l)
					g.add("goroutine over")
				}()
				<-asleep
				return word("left"), nil
			}}
		})
		c.Start()
		synctest.Wait()
		c.Deliver(request(nil, 1, "leave", "a"))
		synctest.Wait()
		close(back)
		synctest.Wait()
		c.Deliver(request(nil, 2, "work", "a"))
		synctest.Wait()
		g.want(t, "order", "ready <nil>", "reply 1 left", "goroutine over", "work a", "reply 2 a")
		atRest(t, c)
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
	})
}

// What waited because it was crowded starts when a handler returns whose turn a goroutine
// of its own had given up: nobody else would look.
func TestCrowdedByTheLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		close(g.open["a"])
		finish := make(chan struct{})
		c := newCell(g, func(s *Spec) {
			s.Mode, s.Inbox.Messages = Interleaved, 1
			s.Commands["leave"] = &Command{CommandInfo: wire.CommandInfo{Name: "leave"}, Run: func(ctx context.Context, _ any, r *Request) (Value, error) {
				go callIn(ctx)
				<-finish
				return word("left"), nil
			}}
		})
		c.Start()
		synctest.Wait()
		c.Deliver(request(nil, 1, "leave", "a"))
		synctest.Wait()
		granted := request(nil, 2, "work", "a")
		granted.Granted = true
		if e := c.Deliver(granted); e != nil {
			t.Fatal(e)
		}
		synctest.Wait()
		g.want(t, "while it is crowded", "ready <nil>")
		close(finish)
		synctest.Wait()
		g.want(t, "then", "ready <nil>", "reply 1 left", "work a", "reply 2 a")
		c.mu.Lock()
		if c.active != 0 {
			t.Errorf("active %d", c.active)
		}
		c.mu.Unlock()
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
	})
}

// The handler waits inside a call to itself while a goroutine of it waits too.
func TestNestedAndGoroutineWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a", "b")
		var mu sync.Mutex
		var out []*Call
		var c *Cell
		g.start = func(s Scope, call *Call) {
			if call.Target == "self" {
				c.Nested(s.Turn, call)
				return
			}
			mu.Lock()
			out = append(out, call)
			mu.Unlock()
		}
		c = newCell(g, func(s *Spec) {
			s.Mode = Interleaved
			s.Commands["inner"] = &Command{CommandInfo: wire.CommandInfo{Name: "inner"}, Run: func(ctx context.Context, _ any, r *Request) (Value, error) {
				callIn(ctx)
				return nil, nil
			}}
			s.Commands["outer"] = &Command{CommandInfo: wire.CommandInfo{Name: "outer"}, Run: func(ctx context.Context, _ any, r *Request) (Value, error) {
				var all sync.WaitGroup
				all.Go(func() { callIn(ctx) })
				time.Sleep(time.Nanosecond)
				n := &Call{Target: "self"}
				n.Command = "inner"
				n.Begin(ctx)
				all.Wait()
				return word("done"), nil
			}}
		})
		c.Start()
		synctest.Wait()
		c.Deliver(request(nil, 1, "outer", "a"))
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		for _, o := range out {
			o.Value(nil)
		}
		synctest.Wait()
		g.want(t, "order", "ready <nil>", "misuse", "reply 1 done")
		atRest(t, c)
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
	})
}

// The connection ends in the middle of a batch that holds a request and a stop.
func TestAbandonAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		c := newCell(g, func(s *Spec) { s.Stopping = func(context.Context, any) { g.add("stopping") } })
		c.Start()
		synctest.Wait()
		src := new(source)
		c.Put(request(src, 1, "work", "a"))
		c.Stop("asked to", 0)
		// no Dry: the reader has ended
		c.Abandon("the connection is gone", 500*time.Millisecond)
		synctest.Wait()
		time.Sleep(time.Second)
		g.want(t, "order", "ready <nil>", "fail 1 closed started=1", "stopping", "ended stopped")
	})
}

// The stop hook of an interleaved actor that waits, and a second close.
func TestStopHookOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		var out []*Call
		g.start = func(_ Scope, c *Call) { out = append(out, c) }
		c := newCell(g, func(s *Spec) {
			s.Mode = Interleaved
			s.Stopping = func(ctx context.Context, _ any) { g.add("stopping"); callIn(ctx) }
		})
		c.Start()
		synctest.Wait()
		c.Stop("enough", 0)
		synctest.Wait()
		c.close() // as the goroutine of a Stop that was overtaken by the end of a posted turn
		synctest.Wait()
		for _, o := range out {
			o.Value(nil)
		}
		synctest.Wait()
		g.want(t, "order", "ready <nil>", "stopping", "ended stopped")
	})
}

// A posted turn comes between the decision to close and closing, and waits.
func TestStopHookBesideWaitingTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		var out []*Call
		g.start = func(_ Scope, c *Call) { out = append(out, c) }
		c := newCell(g, func(s *Spec) {
			s.Mode = Interleaved
			s.Stopping = func(ctx context.Context, _ any) { g.add("stopping") }
		})
		c.Start()
		synctest.Wait()
		c.mu.Lock() // Stop, as far as it goes before its goroutine begins
		c.state = Stopping
		c.extraLocked().death = &wire.Death{Cause: wire.CauseStopped}
		c.mu.Unlock()
		c.Post(func(ctx context.Context, _ any) { g.add("posted"); callIn(ctx); g.add("posted over") })
		synctest.Wait()
		c.close()
		synctest.Wait()
		for _, o := range out {
			o.Value(nil)
		}
		synctest.Wait()
		g.want(t, "order", "ready <nil>", "posted", "posted over", "stopping", "ended stopped")
	})
}

// How many handlers of an interleaved actor are at work when all messages were
// granted.
func TestInterleavedGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		var n int
		var out []*Call
		g.start = func(_ Scope, c *Call) { n++; out = append(out, c) }
		c := newCell(g, func(s *Spec) {
			s.Mode = Interleaved
			s.Inbox.Messages = 10
			s.Commands["ask"] = &Command{CommandInfo: wire.CommandInfo{Name: "ask"}, Run: func(ctx context.Context, _ any, r *Request) (Value, error) {
				callIn(ctx)
				return nil, nil
			}}
		})
		c.Start()
		synctest.Wait()
		src := new(source)
		for range 1000 { // a sender with a window of ten
			for range 10 {
				r := request(src, 0, "ask", "")
				r.Granted = true
				if e := c.Put(r); e != nil {
					t.Fatal(e)
				}
			}
			c.Wake(false)
			synctest.Wait()
			src.mu.Lock()
			back := src.credits
			src.mu.Unlock()
			if back == 0 {
				break
			}
		}
		if n > 20 {
			t.Errorf("%d handlers at work, where the inbox has 10", n)
		}
		for _, o := range out {
			o.Value(nil)
		}
		synctest.Wait()
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
	})
}
