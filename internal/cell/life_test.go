package cell

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// hooked is a cell whose hooks write down that they ran, with what state.
func hooked(g *gates, change func(s *Spec)) *Cell {
	return newCell(g, func(s *Spec) {
		s.New = func(context.Context) (any, error) { g.add("new"); return "state", nil }
		s.Started = func(_ context.Context, state any) error { g.add("started %v", state); return nil }
		s.Stopping = func(_ context.Context, state any) { g.add("stopping %v", state) }
		if change != nil {
			change(s)
		}
	})
}

// The hooks run once, in order, whatever is asked how often, and the first end
// counts.
func TestLife(t *testing.T) {
	for name, test := range map[string]struct {
		do    func(c *Cell)
		state State
		heard []string
	}{
		"stopped": {func(c *Cell) { c.Start(); c.Start(); synctest.Wait(); c.Stop("a", 0); c.Stop("b", 0) }, Closed,
			[]string{"new", "started state", "ready <nil>", "stopping state", "ended stopped"}},
		"killed": {func(c *Cell) {
			c.Start()
			synctest.Wait()
			c.Kill(&wire.Death{Cause: wire.CauseKilled})
			c.Kill(&wire.Death{Cause: wire.CauseHung})
			c.Stop("too late", 0)
			c.Abandon("too late", 0)
		}, Terminated, []string{"new", "started state", "ready <nil>", "ended killed"}},
		"stopped before its start": {func(c *Cell) { c.Stop("early", 0); synctest.Wait(); c.Start() }, Closed, []string{"ended stopped"}},
		"started while it is":      {func(c *Cell) { c.Stop("early", 0); c.Start() }, Closed, []string{"ended stopped"}},
		"killed before its start":  {func(c *Cell) { c.Kill(&wire.Death{Cause: wire.CauseKilled}); c.Start() }, Terminated, []string{"ended killed"}},
		"abandoned":                {func(c *Cell) { c.Start(); synctest.Wait(); c.Abandon("alone", time.Second) }, Closed, []string{"new", "started state", "ready <nil>", "stopping state", "ended stopped"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGates()
				c := hooked(g, nil)
				if c.State() != Initial {
					t.Errorf("it is born %v", c.State())
				}
				test.do(c)
				time.Sleep(time.Minute)
				synctest.Wait()
				g.want(t, name, test.heard...)
				if c.State() != test.state {
					t.Errorf("in the end it is %v, want %v", c.State(), test.state)
				}
			})
		})
	}
}

// A hook that fails in whatever way is the end, told with the reason.
func TestHooksFail(t *testing.T) {
	for name, test := range map[string]struct {
		change func(s *Spec)
		cause  wire.Cause
	}{
		"New errs":        {func(s *Spec) { s.New = func(context.Context) (any, error) { return nil, errors.New("the reason") } }, wire.CauseStart},
		"New panics":      {func(s *Spec) { s.New = func(context.Context) (any, error) { panic("the reason") } }, wire.CauseStart},
		"New exits":       {func(s *Spec) { s.New = func(context.Context) (any, error) { runtime.Goexit(); return nil, nil } }, wire.CauseStart},
		"Started errs":    {func(s *Spec) { s.Started = func(context.Context, any) error { return errors.New("the reason") } }, wire.CauseStart},
		"Started panics":  {func(s *Spec) { s.Started = func(context.Context, any) error { panic(errors.New("the reason")) } }, wire.CauseStart},
		"Started exits":   {func(s *Spec) { s.Started = func(context.Context, any) error { runtime.Goexit(); return nil } }, wire.CauseStart},
		"Stopping panics": {func(s *Spec) { s.Stopping = func(context.Context, any) { panic("the reason") } }, wire.CausePanic},
		"Stopping exits":  {func(s *Spec) { s.Stopping = func(context.Context, any) { runtime.Goexit() } }, wire.CausePanic},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGates()
				c := newCell(g, test.change)
				if e := c.Deliver(request(nil, 1, "wait", "waits")); e != nil {
					t.Fatal(e)
				}
				c.Start()
				synctest.Wait()
				if test.cause == wire.CausePanic {
					c.Cancel(nil, 1)
					c.Stop("", time.Hour)
				}
				synctest.Wait()
				all := g.all()
				if last := all[len(all)-1]; last != "ended "+string(test.cause) {
					t.Fatalf("%q", all)
				}
				if test.cause == wire.CauseStart {
					if len(all) != 3 || !strings.HasPrefix(all[0], "ready ") || all[0] == "ready <nil>" || all[1] != "fail 1 down started=1" {
						t.Errorf("%q", all)
					}
				}
				if d := c.deathLocked(); !strings.Contains(d.Reason, "the reason") && !strings.Contains(d.Reason, "Goexit") {
					t.Errorf("%+v", d)
				}
				counted(t, c)
			})
		})
	}
}

// What does not stop in time is killed when the grace is over: the one of the stop,
// of the kind, or the default.
func TestGrace(t *testing.T) {
	for name, test := range map[string]struct {
		of, kinds, want time.Duration
	}{"its own": {time.Second, time.Minute, time.Second}, "the kind's": {0, time.Minute, time.Minute}, "the default": {0, 0, DefaultGrace}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGates()
				c := hooked(g, func(s *Spec) { s.Grace = test.kinds })
				c.Start()
				if e := c.Deliver(request(nil, 1, "wait", "a")); e != nil {
					t.Fatal(e)
				}
				synctest.Wait()
				c.Stop("", test.of)
				time.Sleep(test.want - time.Nanosecond)
				synctest.Wait()
				if c.State() != Stopping {
					t.Errorf("before its grace is over it is %v", c.State())
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if c.State() != Terminated || c.deathLocked().Cause != wire.CauseHung {
					t.Errorf("%v, %+v", c.State(), c.deathLocked())
				}
			})
		})
	}
}

// A handler that returns because its actor was killed is not heard: its caller is
// told of the end.
func TestTheDeadAreNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a", "b")
		c := newCell(g, func(s *Spec) { s.Mode, s.Limit = Concurrent, 4 })
		c.Start()
		for n, r := range []*Request{request(nil, 1, "work", "a"), request(nil, 2, "work", "b"), request(nil, 3, "wait", "c")} {
			if e := c.Deliver(r); e != nil {
				t.Fatal(n, e)
			}
		}
		synctest.Wait()
		close(g.open["a"])
		synctest.Wait()
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		close(g.open["b"])
		synctest.Wait()
		var replies []string
		for _, line := range g.all() {
			if strings.HasPrefix(line, "reply") || strings.HasPrefix(line, "fail") {
				replies = append(replies, line)
			}
		}
		if len(replies) != 1 || replies[0] != "reply 1 a" {
			t.Errorf("%q", replies)
		}
	})
}

// A grace that is over much too late, because this process did not run, is had once
// more, and not twice.
func TestGraceOfThePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c := hooked(g, nil)
		c.Start()
		if e := c.Deliver(request(nil, 1, "wait", "a")); e != nil {
			t.Fatal(e)
		}
		synctest.Wait()
		c.Stop("", time.Second)
		for n, want := range []State{Stopping, Terminated} {
			c.mu.Lock()
			c.extra.grace.due = c.extra.grace.due.Add(-time.Second) // as if it had been for as long
			c.mu.Unlock()
			time.Sleep(time.Second)
			synctest.Wait()
			if c.State() != want {
				t.Errorf("after %d graces it is %v, want %v", n+1, c.State(), want)
			}
		}
	})
}

// A turn of the actor's own is taken until the end, and not after it.
func TestPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		c := hooked(g, func(s *Spec) { s.Inbox.Messages = 1 })
		post := func(what string) {
			c.Post(func(ctx context.Context, state any) {
				s, _ := ScopeOf(ctx)
				g.add("%s %v %v", what, state, s.Cell == c && ctx.Err() == nil)
			})
		}
		post("early")
		c.Start()
		synctest.Wait()
		if e := c.Deliver(request(nil, 0, "work", "a")); e != nil {
			t.Fatal(e)
		}
		for n := range 3 { // above the bound
			post(fmt.Sprint("post ", n))
		}
		c.Stop("", time.Hour)
		post("while it stops")
		close(g.open["a"])
		synctest.Wait()
		post("late")
		synctest.Wait()
		g.want(t, "it", "new", "started state", "ready <nil>", "early state true", "work a",
			"post 0 state true", "post 1 state true", "post 2 state true", "while it stops state true", "stopping state", "ended stopped")
		counted(t, c)
	})
}

// A timer that is stopped, or whose actor is not there any more, is never heard of.
func TestTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		c := newCell(g, nil)
		tick := func(what string) func(context.Context, any) {
			return func(context.Context, any) { g.add("%s", what) }
		}
		c.AddTimer(time.Second, 0, tick("before its start"))
		time.Sleep(2 * time.Second)
		c.Start()
		synctest.Wait()
		once, again := c.AddTimer(time.Second, 0, tick("once")), c.AddTimer(2*time.Second, 2*time.Second, tick("again"))
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n := len(c.extra.timers); n != 1 {
			t.Errorf("%d timers are kept", n)
		}
		// One that is due and waits is left out when it is stopped.
		if e := c.Deliver(request(nil, 0, "work", "a")); e != nil {
			t.Fatal(e)
		}
		waits := c.AddTimer(time.Second, 0, tick("waits"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		for _, timer := range []*Timer{waits, again, once, once} {
			timer.Stop()
		}
		close(g.open["a"])
		time.Sleep(time.Minute)
		synctest.Wait()
		c.AddTimer(time.Second, time.Second, tick("stopping"))
		c.Stop("", 0)
		time.Sleep(time.Minute)
		if late := c.AddTimer(0, 0, tick("late")); late != nil {
			t.Error("a timer of the dead")
		}
		once.Stop()
		g.want(t, "it", "ready <nil>", "before its start", "once", "again", "again", "work a", "ended stopped")
	})
}

// Settings are kept, so many of them, and not by the dead.
func TestSettings(t *testing.T) {
	c := newCell(newGates(), nil)
	if v, ok := c.Config("a"); ok {
		t.Errorf("%v", v)
	}
	for n := range MaxConfig {
		if !c.SetConfig(fmt.Sprint(n), n) {
			t.Fatalf("the setting %d was not kept", n)
		}
	}
	if c.SetConfig("one more", 1) {
		t.Error("it keeps one more than it may")
	}
	if !c.SetConfig("7", "seven") {
		t.Error("one that is there cannot be changed")
	}
	if v, ok := c.Config("7"); v != "seven" || !ok {
		t.Errorf("%v, %v", v, ok)
	}
}

// Its life ends with it, and that of the dead is over.
func TestLifeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(newGates(), nil)
		life := c.Life()
		if c.Life() != life || life.Err() != nil {
			t.Error("it has one life, and that goes on")
		}
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		<-life.Done()
		<-c.Life().Done()
		if s, ok := ScopeOf(c.Life()); !ok || s.Cell != c {
			t.Errorf("%+v", s)
		}
	})
}

// Names are for people.
func TestStrings(t *testing.T) {
	c := newCell(newGates(), nil)
	if c.String() != "test.aid" {
		t.Error(c.String())
	}
	c.aid = "test-1-ab"
	if c.String() != "test-1-ab" {
		t.Error(c.String())
	}
	c.aid, c.name = "aid", "tally"
	if c.String() != "tally.aid" || c.AID() != "aid" || c.Name() != "tally" || c.Spec().Kind != "test" {
		t.Error(c.String())
	}
	for s := Initial; s <= Terminated; s++ {
		if s.String() == "" {
			t.Errorf("state %d has no name", s)
		}
	}
	if n := len(c.Spec().CommandInfos()); n != len(c.Spec().Commands) {
		t.Errorf("%d commands are told", n)
	}
}

// Who is abandoned while it stops has no longer than that.
func TestAbandonedWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("hook")
		c := newCell(g, func(s *Spec) { s.Stopping = func(context.Context, any) { <-g.open["hook"] } })
		c.Start()
		synctest.Wait()
		c.Stop("", time.Minute)
		synctest.Wait()
		c.Abandon("alone", time.Second)
		time.Sleep(time.Second)
		synctest.Wait()
		g.want(t, "it", "ready <nil>", "ended hung")
		c.Abandon("alone", time.Second)
		close(g.open["hook"])
	})
}

// What came back waits for the hook, so much of it and no more.
func TestUndeliveredIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, told := newGates("a"), 0
		c := newCell(g, func(s *Spec) {
			s.Undelivered = func(context.Context, any, *wire.Error) { told++ }
		})
		c.Start()
		if e := c.Deliver(request(nil, 0, "work", "a")); e != nil {
			t.Fatal(e)
		}
		synctest.Wait()
		for range maxBack + 100 {
			c.PostUndelivered(wire.Errorf(wire.CodeInvalid, "no"))
		}
		if waiting, _, _ := c.Inbox(); waiting != maxBack {
			t.Errorf("%d wait, want %d", waiting, maxBack)
		}
		close(g.open["a"])
		synctest.Wait()
		c.PostUndelivered(wire.Errorf(wire.CodeInvalid, "no"))
		synctest.Wait()
		if told != maxBack+1 {
			t.Errorf("it was told of %d, want %d", told, maxBack+1)
		}
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		c.PostUndelivered(wire.Errorf(wire.CodeInvalid, "no"))
		synctest.Wait()
	})
}

// TestStopInPlaceBeforeTheStart: an actor that is told to stop by a command answered in
// place, before it has begun, has no stop hook run: there is no state for it.
func TestStopInPlaceBeforeTheStart(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			g := newGates()
			var c *Cell
			c = newCell(g, func(s *Spec) {
				s.Stopping = func(_ context.Context, state any) { t.Errorf("the stop hook was run with the state %v", state) }
				s.Commands["halt"] = &Command{CommandInfo: wire.CommandInfo{Name: "halt"}, InPlace: true, Run: func(context.Context, any, *Request) (Value, error) {
					c.Stop("asked", 0)
					return nil, nil
				}}
			})
			if e := c.Deliver(&Request{Command: "halt", ID: 1}); e != nil {
				t.Fatal(e)
			}
			synctest.Wait()
			if !c.Ended() {
				t.Error("it has not ended")
			}
		})
	}
}
