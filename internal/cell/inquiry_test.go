package cell

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// asked is an actor that runs, whose info hook waits for each of the returned channel's values.
func asked(g *gates, change func(s *Spec)) (c *Cell, release chan struct{}, began *atomic.Int32) {
	release, began = make(chan struct{}), new(atomic.Int32)
	c = hooked(g, func(s *Spec) {
		s.Info = func(state any) map[string]any {
			n := began.Add(1)
			<-release
			return map[string]any{"state": state, "n": n}
		}
		if change != nil {
			change(s)
		}
	})
	c.Start()
	synctest.Wait()
	return c, release, began
}

// An info hook that does not return keeps nobody for long, and one run is for all who ask.
func TestStuckInfoHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, release, runs := asked(newGates(), nil)
		defer c.Kill(&wire.Death{Cause: wire.CauseKilled})
		var all sync.WaitGroup
		began := time.Now()
		for range 1000 {
			q := c.Inquire()
			all.Go(func() {
				want := "the info hook has not returned after 250ms: does it wait for a lock that a handler has?"
				if got := q.Answer(InfoPatience)["error"]; got != want {
					t.Errorf("%v, want %q", got, want)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != InfoPatience {
			t.Errorf("a thousand waited %v", took)
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("the hook runs %d times", n)
		}
		time.Sleep(time.Minute)
		began = time.Now()
		if got := c.Inquire().Answer(InfoPatience)["error"]; !strings.Contains(fmt.Sprint(got), "after 1m0.25s") || time.Since(began) != 0 {
			t.Errorf("who asks later is told %v after %v", got, time.Since(began))
		}
		first, second := c.Inquire(), c.Inquire()
		close(release)
		synctest.Wait()
		a, b := first.Answer(InfoPatience), second.Answer(InfoPatience)
		a["state"] = "changed"
		if b["state"] != "state" || b["n"] != int32(1) {
			t.Errorf("two are told %v and %v", a, b)
		}
		if got := c.Inquire().Answer(InfoPatience); got["n"] != int32(2) {
			t.Errorf("then: %v", got)
		}
	})
}

// A hook that panics, or ends its goroutine, is told, and is the end of nothing.
func TestBrokenInfoHook(t *testing.T) {
	for want, hook := range map[string]func(any) map[string]any{
		"panic: boom":                         func(any) map[string]any { panic("boom") },
		"the info hook called runtime.Goexit": func(any) map[string]any { runtime.Goexit(); return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, release, _ := asked(newGates(), func(s *Spec) { s.Info = hook })
			close(release)
			for range 2 {
				if got := c.Inquire().Answer(InfoPatience)["error"]; got != want {
					t.Errorf("%v, want %q", got, want)
				}
			}
			c.Kill(&wire.Death{Cause: wire.CauseKilled})
			if q := c.Inquire(); q != nil {
				t.Error("it is asked after its end")
			}
		})
	}
}

// A stop waits for the info hook within its grace; and a hook that outlives its actor is
// counted, for as long as it does.
func TestStopWaitsForInfoHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c, release, _ := asked(g, nil)
		q := c.Inquire()
		c.Stop("enough", 0)
		time.Sleep(DefaultGrace / 2)
		if s := c.State(); s != Stopping {
			t.Errorf("while the hook runs it is %v", s)
		}
		close(release)
		synctest.Wait()
		if q.Answer(0)["state"] != "state" || c.State() != Closed {
			t.Errorf("then it is %v", c.State())
		}
		g.want(t, "it", "new", "started state", "ready <nil>", "stopping state", "ended stopped")
	})
	synctest.Test(t, func(t *testing.T) {
		c, release, _ := asked(newGates(), nil)
		q := c.Inquire()
		c.Stop("enough", 0)
		time.Sleep(DefaultGrace)
		synctest.Wait()
		c.mu.Lock()
		d := c.deathLocked()
		c.mu.Unlock()
		if d.Cause != wire.CauseHung || !strings.HasSuffix(d.Reason, "its info hook has not returned") {
			t.Errorf("it %v", d)
		}
		for what := range c.GoesOn {
			if what != "the info hook" {
				t.Errorf("%s goes on", what)
			}
		}
		if n := c.Leaked(); n != 1 {
			t.Errorf("%d go on", n)
		}
		close(release)
		synctest.Wait()
		if q.Answer(InfoPatience)["state"] != "state" || c.Leaked() != 0 {
			t.Errorf("%d go on", c.Leaked())
		}
	})
}
