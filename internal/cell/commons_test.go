package cell

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Workers rest when there is nothing to do, a few of them, are woken again, and end with
// what they belong to; what is still to be done then is done.
func TestWorkersRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		g.commons = new(Commons)
		var all []*Cell
		for range 2 * maxIdle {
			c := newCell(g, nil)
			c.Start()
			if e := c.Deliver(request(nil, 1, "work", "a")); e != nil {
				t.Fatal(e)
			}
			all = append(all, c)
		}
		synctest.Wait()
		if n := workers(); n != 2*maxIdle {
			t.Errorf("%d work for %d actors", n, 2*maxIdle)
		}
		close(g.open["a"])
		synctest.Wait()
		if n := workers(); len(g.commons.idle) != maxIdle || n != maxIdle {
			t.Errorf("%d workers rest, and %d of %d are there", len(g.commons.idle), n, 2*maxIdle)
		}
		who := g.commons.idle[maxIdle-1]
		if e := all[0].Deliver(request(nil, 2, "work", "a")); e != nil {
			t.Fatal(e)
		}
		synctest.Wait()
		if n := len(g.commons.idle); n != maxIdle || g.commons.idle[n-1] != who {
			t.Error("it was not who worked last that was woken, and rests again")
		}
		g.commons.Close()
		synctest.Wait() // the last word of each was heard: it returns
		if n := workers(); n != 0 {
			t.Errorf("%d workers are still there", n)
		}
		if e := all[0].Deliver(request(nil, 3, "fail", "")); e != nil {
			t.Fatal(e)
		}
		synctest.Wait()
		if n := all[0].Counts().Started; n != 3 {
			t.Errorf("%d have started, of 3", n)
		}
		if n := workers(); n != 0 {
			t.Error("a worker rests where nobody would end it")
		}
	})
}

// What is soon done is done by few workers, one after another's, however many actors
// have something to do. One more comes whenever the system takes the processor away from one
// that is at work: on a machine that others use that may be often, but not always.
func TestFewWorkersForMuch(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // more processors have more of them
	few := false
	for try := 0; try < 20 && !few; try++ {
		synctest.Test(t, func(t *testing.T) {
			g := newGates()
			g.share(t)
			const n = 5000
			var done atomic.Int32
			for range n {
				c := newCell(g, nil)
				c.Start()
				c.Post(func(context.Context, any) { done.Add(1) })
			}
			synctest.Wait()
			if did := done.Load(); did != n {
				t.Errorf("%d of %d have done what they had to", did, n)
			}
			rest := len(g.commons.idle)
			few = 0 < rest && rest < maxIdle
		})
	}
	if !few {
		t.Errorf("each time as many workers rest as may, %d", maxIdle)
	}
}

// A worker does so many jobs and no more before it leaves the rest to the next; whoever
// blocks, at any place, keeps nobody, also where it is closed.
func TestShift(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		s := new(Commons)
		var last *desk
		row, longest := 0, 0
		for range 20 * shift {
			s.work(nil, func(_ *Cell, d *desk) {
				if d != last {
					last, row = d, 0
				}
				row++
				longest = max(longest, row)
			}, false)
		}
		synctest.Wait()
		if longest != shift {
			t.Errorf("one has done %d jobs in a row, want %d", longest, shift)
		}
		if s.busy() {
			t.Error("it is busy with nothing")
		}
		s.Close()
	})
	for _, closed := range []bool{false, true} {
		for at := range shift + 2 {
			synctest.Test(t, func(t *testing.T) {
				s := new(Commons)
				if closed {
					s.Close()
				}
				var done atomic.Int64
				gate := make(chan struct{})
				for i := range 2 * shift {
					s.work(nil, func(*Cell, *desk) {
						if i == at {
							<-gate
						}
						done.Add(1)
					}, false)
				}
				synctest.Wait()
				if n := done.Load(); n != 2*shift-1 {
					t.Errorf("at %d, closed %v: %d are done", at, closed, n)
				}
				close(gate)
				synctest.Wait()
				s.Close()
			})
		}
	}
}

// An actor that has answered is still at work when whoever was answered runs, unless
// others have something to do.
func TestLingersWhereNobodyWaits(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		g.share(t)
		c := newCell(g, nil)
		c.Start()
		synctest.Wait()
		found := 0
		g.told = func(*Request) {
			go func() {
				c.mu.Lock()
				found += int(c.active)
				c.mu.Unlock()
			}()
		}
		const n = 50
		for id := range uint64(n) {
			_ = c.Deliver(request(nil, id+1, "fail", ""))
			synctest.Wait()
		}
		// The race detector has them run in any order.
		if found == 0 {
			t.Errorf("it was at work for none of %d that were answered", n)
		}
	})
}

// A worker that rests keeps nothing of who it has worked for, however that ended.
func TestWorkersKeepNobody(t *testing.T) {
	for name, commands := range map[string][]string{"one message": {"panic"}, "a batch": {"fail", "fail", "panic", "fail"}} {
		t.Run(name, func(t *testing.T) {
			g := newGates()
			g.share(t)
			kept := func() weak.Pointer[Cell] {
				c := newCell(g, nil)
				for n, command := range commands {
					l := Letter{Value: word("x"), ID: uint64(n) + 1}
					_ = c.Take(command, &l, nil)
				}
				c.Start()
				for !c.Ended() || g.resting() == 0 {
					runtime.Gosched()
				}
				return weak.Make(c)
			}()
			for range 5 {
				runtime.GC()
			}
			if kept.Value() != nil {
				t.Error("an actor that has ended is kept by a worker that rests")
			}
		})
	}
}

func (g *gates) resting() int {
	g.commons.mu.Lock()
	defer g.commons.mu.Unlock()
	return len(g.commons.idle)
}

// workers returns how many there are. They are counted in a trace, because
// runtime.NumGoroutine counts one that has ended for a moment longer, and what else ends
// meanwhile in the process.
func workers() int {
	trace := make([]byte, 1<<20)
	return strings.Count(string(trace[:runtime.Stack(trace, true)]), "(*Commons).worker(")
}

// A handler that ends its goroutine takes no worker from others.
func TestGoexitEndsAWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		g.share(t)
		c := newCell(g, nil)
		c.Start()
		synctest.Wait()
		c.Post(func(context.Context, any) { runtime.Goexit() })
		synctest.Wait()
		if !c.Ended() || len(g.commons.idle) != 0 {
			t.Errorf("ended: %v, %d workers rest", c.Ended(), len(g.commons.idle))
		}
	})
}

// A call is used again only when nobody else can know of it any more.
func TestCallsAreUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{commons: new(Commons)}
		var seen *Call
		ask := func(ctx context.Context, f func(c *Call)) {
			h.start = func(_ Scope, c *Call) { seen = c; f(c) }
			_ = Ask(WithScope(ctx, Scope{Host: h}), "it", "work", nil, false, false, func(Value) {})
		}
		blank := func(c *Call) bool {
			return c.bell != nil && c.Target == "" && c.state.Load() == pending && c.turn == nil
		}
		for name, f := range map[string]func(c *Call){
			"a value":        func(c *Call) { go c.Value(word("it")) },
			"an encoded one": func(c *Call) { go c.Result(0, &wire.Message{}) },
		} {
			ask(t.Context(), f)
			if !blank(seen) {
				t.Errorf("one that was answered with %s is not blank again", name)
			}
		}
		for name, f := range map[string]func(c *Call){
			"failed": func(c *Call) { c.Failed(0, wire.Errorf(wire.CodeDown, "it")) },
			"encoded, and late": func(c *Call) {
				c.Placed(h, 1)
				go func() {
					time.Sleep(time.Minute)
					c.Result(0, &wire.Message{})
				}()
			},
			"late": func(c *Call) {
				c.Placed(h, 1)
				go func() {
					time.Sleep(time.Minute)
					c.Value(word("too late"))
				}()
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			ask(ctx, f)
			cancel()
			if blank(seen) {
				t.Errorf("%s: it is used again", name)
			}
		}
		time.Sleep(time.Hour) // what comes late disturbs nobody
		ask(t.Context(), func(c *Call) { c.Value(word("it")) })
		turn := turnOf(time.Time{})
		turn.cell.host = h
		h.start = func(_ Scope, c *Call) { seen = c; go c.Value(word("it")) }
		var v Value
		if e := Ask(turn, "it", "work", nil, false, false, func(answer Value) { v = answer }); e != nil || v != word("it") {
			t.Errorf("%v, %v", v, e)
		}
		if blank(seen) {
			t.Error("one that a turn may end is used again")
		}
	})
}
