package cell

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

type baseKey struct{}

// turnOf returns the turn of a request with that deadline, as handlers get it.
func turnOf(deadline time.Time) *Turn {
	c := newCell(newGates(), nil)
	c.base = context.WithValue(context.Background(), baseKey{}, "of the owner")
	return new(Turn).of(c, &Request{ID: 7, Sender: "caller", due: dueAt(deadline)})
}

// A turn is a context: over at its deadline whether or not anybody waits for it,
// with the first reason, once.
func TestTurnIsAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, wait := range map[string]bool{"waited for": true, "only asked": false} {
			turn := turnOf(time.Now().Add(time.Second))
			if d, ok := turn.Deadline(); !ok || time.Until(d) != time.Second {
				t.Errorf("%s: deadline %v, %v", name, d, ok)
			}
			if err := turn.Err(); err != nil {
				t.Errorf("%s: %v before the deadline", name, err)
			}
			if wait {
				<-turn.Done()
			} else {
				time.Sleep(time.Second)
				_ = turn.Err()
			}
			turn.cancel(canceled)
			if err := turn.Err(); err != context.DeadlineExceeded {
				t.Errorf("%s: %v", name, err)
			}
			<-turn.Done()
			if first, second := turn.Done(), turn.Done(); first != second {
				t.Errorf("%s: two channels", name)
			}
		}
		turn := turnOf(time.Time{})
		if d, ok := turn.Deadline(); ok {
			t.Errorf("it has the deadline %v", d)
		}
		done := turn.Done()
		turn.cancel(canceled)
		turn.cancel(expired)
		<-done
		if err := turn.Err(); err != context.Canceled {
			t.Errorf("%v", err)
		}
		if turn.Value(baseKey{}) != "of the owner" || turn.Value("other") != nil || turn.Sender() != "caller" || turn.Parent() != 7 {
			t.Errorf("%v, %v, %q, %d", turn.Value(baseKey{}), turn.Value("other"), turn.Sender(), turn.Parent())
		}
	})
}

// Contexts derived from a turn end with it, and need no goroutine to know.
func TestDerivedContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := turnOf(time.Now().Add(time.Minute))
		derived, cancel := context.WithCancel(turn)
		defer cancel()
		shorter, cancel := context.WithTimeout(turn, time.Second)
		defer cancel()
		dropped, cancel := context.WithCancel(turn)
		cancel()
		m := turn.rest.Load()
		m.mu.Lock()
		n := len(m.after)
		m.mu.Unlock()
		if n != 2 {
			t.Errorf("%d derived contexts wait for the turn, want 2", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if shorter.Err() != context.DeadlineExceeded || derived.Err() != nil || dropped.Err() != context.Canceled {
			t.Errorf("%v, %v, %v", shorter.Err(), derived.Err(), dropped.Err())
		}
		<-derived.Done()
		if derived.Err() != context.DeadlineExceeded {
			t.Errorf("%v", derived.Err())
		}
		late, cancel := context.WithCancel(turn)
		defer cancel()
		<-late.Done()

		ran := make(chan struct{})
		if stop := turn.AfterFunc(func() { close(ran) }); stop() {
			t.Error("what runs already was stopped")
		}
		<-ran
		other := turnOf(time.Time{})
		stop := other.AfterFunc(func() { t.Error("it was stopped, and ran") })
		if !stop() || stop() {
			t.Error("stopping twice is stopping once")
		}
		other.cancel(canceled)
		synctest.Wait()
	})
}

// Whoever waits while the turn ends is told, whichever comes first.
func TestTurnEndsWhileItIsAsked(t *testing.T) {
	for range 2000 {
		turn := turnOf(time.Time{})
		var all sync.WaitGroup
		all.Go(func() { turn.cancel(canceled) })
		all.Go(func() { <-turn.Done() })
		ran := make(chan struct{})
		all.Go(func() { turn.AfterFunc(func() { close(ran) }); <-ran })
		c := &Call{done: make(chan struct{}), host: &host{}}
		all.Go(func() {
			if turn.adopt(c) {
				<-c.Done()
			}
		})
		all.Wait()
	}
}

// Who acts in a context is whoever was set last.
func TestScope(t *testing.T) {
	turn := turnOf(time.Time{})
	other := &host{}
	if _, ok := ScopeOf(context.Background()); ok {
		t.Error("somebody acts in no context of anybody's")
	}
	for name, test := range map[string]struct {
		ctx  context.Context
		want Scope
	}{
		"the turn":     {turn, Scope{turn.cell.host, turn.cell, turn}},
		"derived":      {context.WithValue(turn, baseKey{}, 1), Scope{turn.cell.host, turn.cell, turn}},
		"set":          {WithScope(context.Background(), Scope{Host: other}), Scope{Host: other}},
		"set on top":   {WithScope(turn, Scope{Host: other}), Scope{Host: other}},
		"set on that":  {WithScope(WithScope(turn, Scope{Host: other}), Scope{Cell: turn.cell}), Scope{Cell: turn.cell}},
		"without":      {context.WithoutCancel(turn), Scope{turn.cell.host, turn.cell, turn}},
		"in its life":  {turn.cell.Life(), Scope{turn.cell.host, turn.cell, nil}},
		"after it set": {context.WithValue(WithScope(turn, Scope{Host: other}), baseKey{}, 1), Scope{Host: other}},
	} {
		if got, ok := ScopeOf(test.ctx); !ok || got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
	// A cell made in the turn of another actor has its values, but not its turn.
	inner := newCell(newGates(), nil)
	inner.base = context.WithoutCancel(turn)
	if got, _ := ScopeOf(inner.Life()); got.Cell != inner || got.Turn != nil {
		t.Errorf("%+v", got)
	}
	if at, _ := inner.Life().Value(turnKey{}).(*Turn); at != nil {
		t.Error("its goroutines would give up the turn of somebody else")
	}
}

// Who keeps the turn while it waits is a serial actor's handler, and nobody else.
func TestHolds(t *testing.T) {
	for _, mode := range []Mode{Serial, Interleaved, Concurrent} {
		c := newCell(newGates(), func(s *Spec) { s.Mode = mode })
		if got := (&Turn{cell: c}).Holds(); got != (mode == Serial) {
			t.Errorf("%v: %v", mode, got)
		}
		if (&Turn{cell: c, is: beside}).Holds() {
			t.Errorf("%v: what is answered in place", mode)
		}
		if ParseMode(mode.String()) != mode {
			t.Errorf("%v becomes %v", mode, ParseMode(mode.String()))
		}
	}
	if ParseMode("something newer") != Serial {
		t.Error("an unknown mode is not serial")
	}
}

// Two goroutines of one interleaved handler that wait at once are told of: the
// second keeps the turn.
func TestMisuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c := newCell(g, func(s *Spec) { s.Mode = Interleaved })
		turn := c.begin().turn
		c.active++
		if !turn.yield() || turn.yield() {
			t.Error("the turn was given up twice, or not at all")
		}
		g.want(t, "it", "misuse")
		turn.retake()
		if c.active != 1 {
			t.Errorf("%d have the turn", c.active)
		}
	})
}

// A handler that waits for its turn while the actor is killed gets it at once.
func TestRetakeOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c := newCell(g, func(s *Spec) { s.Mode = Interleaved })
		first, second := c.begin().turn, c.begin().turn
		c.active++
		first.yield()
		c.active++ // the second has it now
		back := make(chan struct{})
		go func() { first.retake(); close(back) }()
		synctest.Wait()
		select {
		case <-back:
			t.Fatal("two have the turn")
		default:
		}
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		<-back
		if first.Err() != context.Canceled || second.Err() != context.Canceled {
			t.Errorf("%v, %v", first.Err(), second.Err())
		}
		first.yield()
		first.retake() // the dead take no turns from anybody
	})
}

// The parent of a call is the one being handled, seen through calls to oneself.
func TestParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c := newCell(g, nil)
		var parents []uint64
		var senders []string
		deep := func(ctx context.Context, _ any, r *Request) (Value, error) {
			turn := ctx.(*Turn)
			parents, senders = append(parents, turn.Parent()), append(senders, turn.Sender())
			if len(parents) < 3 {
				call := &Call{Target: "aid"}
				call.Command = "deep"
				call.Begin(ctx)
				if _, err := call.Wait(ctx); err != nil {
					return nil, err
				}
			}
			return word("done"), nil
		}
		c.spec.Commands["deep"] = &Command{CommandInfo: wire.CommandInfo{Name: "deep"}, Run: deep}
		g.start = func(s Scope, call *Call) { c.Nested(s.Turn, call) }
		c.Start()
		if e := c.Deliver(&Request{ID: 42, Command: "deep", Sender: "who"}); e != nil {
			t.Fatal(e)
		}
		synctest.Wait()
		g.want(t, "it", "ready <nil>", "reply 42 done")
		if len(parents) != 3 || parents[0] != 42 || parents[1] != 42 || parents[2] != 42 {
			t.Errorf("the parents are %d", parents)
		}
		if len(senders) != 3 || senders[0] != "who" || senders[1] != "aid" || senders[2] != "aid" {
			t.Errorf("the senders are %q", senders)
		}
	})
}

// A call to oneself ends with the context of the one around it, for its reason.
func TestNestedEnds(t *testing.T) {
	for _, deadline := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			g := newGates()
			c := newCell(g, nil)
			var inner error
			c.spec.Commands["outer"] = &Command{CommandInfo: wire.CommandInfo{Name: "outer"}, Run: func(ctx context.Context, _ any, _ *Request) (Value, error) {
				call := &Call{Target: "aid"}
				call.Command = "inner"
				call.Begin(ctx)
				_, err := call.Wait(ctx)
				if err != nil {
					return nil, err
				}
				return nil, nil
			}}
			c.spec.Commands["inner"] = &Command{CommandInfo: wire.CommandInfo{Name: "inner"}, Run: func(ctx context.Context, _ any, _ *Request) (Value, error) {
				<-ctx.Done()
				inner = ctx.Err()
				return nil, nil
			}}
			g.start = func(s Scope, call *Call) { c.Nested(s.Turn, call) }
			c.Start()
			r := &Request{ID: 1, Command: "outer"}
			want := context.Canceled
			if deadline {
				r.due = dueAt(time.Now().Add(time.Second))
				want = context.DeadlineExceeded
			}
			if e := c.Deliver(r); e != nil {
				t.Fatal(e)
			}
			synctest.Wait()
			if !deadline {
				c.Cancel(nil, 1)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if !errors.Is(inner, want) {
				t.Errorf("%v, want %v", inner, want)
			}
		})
	}
}

// A call to oneself has the deadline it was made with, also where that around it has none.
func TestNestedIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		var inner error
		c := newCell(g, func(s *Spec) {
			s.Commands["outer"] = &Command{CommandInfo: wire.CommandInfo{Name: "outer"}, Run: func(ctx context.Context, _ any, _ *Request) (Value, error) {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				call := &Call{Target: "aid", Command: "inner"}
				call.Begin(ctx)
				_, _ = call.Wait(ctx)
				return nil, nil
			}}
			s.Commands["inner"] = &Command{CommandInfo: wire.CommandInfo{Name: "inner"}, Run: func(ctx context.Context, _ any, _ *Request) (Value, error) {
				select {
				case <-ctx.Done():
				case <-time.After(time.Minute):
				}
				inner = ctx.Err()
				return nil, nil
			}}
		})
		g.start = func(s Scope, call *Call) { c.Nested(s.Turn, call) }
		c.Start()
		began := time.Now()
		if e := c.Deliver(&Request{ID: 1, Command: "outer"}); e != nil {
			t.Fatal(e)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !errors.Is(inner, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", time.Since(began), inner)
		}
	})
}
