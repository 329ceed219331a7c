package cell

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/wire"
)

func request(s Source, id uint64, command, w string) *Request {
	return &Request{ID: id, Command: command, Value: word(w), Source: s, Cost: 10, Size: 1}
}

// Every message that came over a connection gives its room back exactly once,
// whatever becomes of it, and only those that started count as started.
func TestRoomIsGivenBackOnce(t *testing.T) {
	for name, test := range map[string]struct {
		do               func(g *gates, c *Cell, s *source)
		credits, started int
		heard            []string
	}{
		"answered": {func(g *gates, c *Cell, s *source) {
			close(g.open["a"])
			c.Deliver(request(s, 1, "work", "a"))
		}, 1, 1, []string{"work a", "reply 1 a"}},
		"failed": {func(g *gates, c *Cell, s *source) { c.Deliver(request(s, 1, "fail", "a")) }, 1, 1, []string{"fail 1 app started=2"}},
		"one way": {func(g *gates, c *Cell, s *source) {
			close(g.open["a"])
			c.Deliver(request(s, 0, "work", "a"))
		}, 1, 1, []string{"work a"}},
		"in place":         {func(g *gates, c *Cell, s *source) { c.Deliver(request(s, 1, "now", "a")) }, 1, 1, []string{"reply 1 a"}},
		"a panic in place": {func(g *gates, c *Cell, s *source) { c.Deliver(request(s, 1, "oops", "a")) }, 1, 1, []string{"fail 1 app started=2"}},
		"a panic":          {func(g *gates, c *Cell, s *source) { c.Deliver(request(s, 1, "panic", "a")) }, 1, 1, []string{"ended panic"}},
		"unknown":          {func(g *gates, c *Cell, s *source) { c.Deliver(request(s, 1, "wrok", "a")) }, 0, 0, nil}, // who delivers has its error
		"canceled at work": {func(g *gates, c *Cell, s *source) {
			c.Deliver(request(s, 1, "wait", "a"))
			synctest.Wait()
			c.Cancel(s, 1)
		}, 1, 1, []string{"over a: context canceled", "fail 1 app started=2"}},
		"canceled too soon": {func(g *gates, c *Cell, s *source) { c.Cancel(s, 1); c.Deliver(request(s, 1, "wait", "a")) }, 1, 0, nil},
		"canceled behind another": {func(g *gates, c *Cell, s *source) {
			c.Deliver(request(s, 1, "work", "a"))
			c.Deliver(request(s, 2, "work", "b"))
			synctest.Wait()
			c.Cancel(s, 2)
			close(g.open["a"])
		}, 2, 1, []string{"work a", "reply 1 a"}},
		"expired behind another": {func(g *gates, c *Cell, s *source) {
			c.Deliver(request(s, 1, "work", "a"))
			r := request(s, 2, "work", "b")
			r.due = dueAt(time.Now().Add(time.Second))
			c.Deliver(r)
			time.Sleep(2 * time.Second)
			close(g.open["a"])
		}, 2, 1, []string{"work a", "reply 1 a", "fail 2 deadline started=1"}},
		"killed": {func(g *gates, c *Cell, s *source) {
			c.Deliver(request(s, 1, "wait", "a"))
			c.Deliver(request(s, 2, "work", "b"))
			c.Deliver(request(s, 0, "work", "b"))
			synctest.Wait()
			c.Kill(&wire.Death{Cause: wire.CauseKilled})
			c.Kill(&wire.Death{Cause: wire.CauseHung})
		}, 3, 1, []string{"ended killed", "fail 0 down started=1", "fail 2 down started=1", "over a: context canceled"}},
		"abandoned": {func(g *gates, c *Cell, s *source) {
			c.Deliver(request(s, 1, "wait", "a"))
			c.Deliver(request(s, 2, "work", "b"))
			synctest.Wait()
			c.Abandon("nobody is left", time.Second)
		}, 2, 1, []string{"ended stopped", "fail 1 app started=2", "fail 2 closed started=1", "over a: context canceled"}},
		"stopped": {func(g *gates, c *Cell, s *source) {
			c.Deliver(request(s, 1, "work", "a"))
			c.Deliver(request(s, 2, "work", "b"))
			c.Stop("enough", 0)
			close(g.open["a"])
			close(g.open["b"])
		}, 2, 2, []string{"ended stopped", "reply 1 a", "reply 2 b", "work a", "work b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, s := newGates("a", "b"), &source{}
				c := newCell(g, nil)
				c.Start()
				synctest.Wait()
				test.do(g, c, s)
				synctest.Wait()
				s.want(t, name, test.credits, test.started)
				heard := g.all()[1:] // the first is ready
				if len(test.heard) > 3 || name == "killed" {
					slices.Sort(heard)
				}
				if !slices.Equal(heard, test.heard) {
					t.Errorf("%q, want %q", heard, test.heard)
				}
				counted(t, c)
				c.Kill(&wire.Death{Cause: wire.CauseKilled})
				for _, open := range g.open {
					if !closed(open) {
						close(open)
					}
				}
			})
		})
	}
}

// What is not taken says why, and certainly did not start.
func TestDeliverRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		c := newCell(g, func(s *Spec) { s.Inbox = mailbox.Limits{Messages: 2, Bytes: 10} })
		c.Start()
		refused := func(what string, e *wire.Error, code wire.Code, text string) {
			t.Helper()
			if e == nil || e.Code != code || e.Started != wire.StartedNo || !strings.Contains(e.Message, text) {
				t.Errorf("%s: %+v, want %s", what, e, code)
			}
		}
		refused("unknown", c.Deliver(request(nil, 1, "wrok", "a")), wire.CodeUnknownCommand, `did you mean "work"?`)
		refused("strange", c.Deliver(request(nil, 1, "something else", "a")), wire.CodeUnknownCommand, `no command "something else"`)
		if e := c.Deliver(request(nil, 1, "work", "a")); e != nil {
			t.Fatal(e)
		}
		synctest.Wait()
		large := request(nil, 2, "work", "a")
		large.Size = 10
		refused("too many bytes", c.Deliver(large), wire.CodeOverloaded, "1 messages, 1 bytes")
		if e := c.Deliver(request(nil, 2, "work", "a")); e != nil {
			t.Fatal(e)
		}
		refused("too many", c.Deliver(request(nil, 3, "work", "a")), wire.CodeOverloaded, "2 messages")
		chained := request(nil, 4, "work", "a")
		chained.Chained = true
		if e := c.Deliver(chained); e != nil {
			t.Errorf("a call the actor itself waits for: %v", e)
		}
		if e := c.Deliver(request(nil, 5, "now", "a")); e != nil {
			t.Errorf("in place: %v", e)
		}
		c.Stop("tired", time.Hour)
		e := c.Deliver(request(nil, 6, "work", "a"))
		refused("stopping", e, wire.CodeDown, "")
		if e.Death == nil || e.Death.Cause != wire.CauseStopped || e.Death.Reason != "tired" {
			t.Errorf("stopping: %+v", e.Death)
		}
		c.Kill(&wire.Death{Cause: wire.CauseHung, Reason: "slow"})
		e = c.Deliver(request(nil, 7, "work", "a"))
		if refused("dead", e, wire.CodeDown, ""); e.Death == nil || e.Death.Cause != wire.CauseHung {
			t.Errorf("dead: %+v", e.Death)
		}
		if n := c.Counts(); n.Refused != 6 {
			t.Errorf("%+v", n)
		}
		counted(t, c)
		close(g.open["a"])
	})
}

// Who is told how a call ended, and asks again, has the room that call had: it is not
// refused because of itself, however early it comes.
func TestToldHasRoom(t *testing.T) {
	late := func(r *Request) { r.due = dueAt(time.Now()) }
	for name, test := range map[string]struct {
		room    int // of the inbox: all of it is used
		command string
		change  func(s *Spec)
		each    func(r *Request)
	}{
		"serial":        {room: 1, command: "work"},
		"in a batch":    {room: 64, command: "work"},
		"failed":        {room: 1, command: "fail"},
		"late":          {room: 1, command: "work", each: late},
		"late, batched": {room: 64, command: "work", each: late},
		"interleaved":   {room: 3, command: "work", change: func(s *Spec) { s.Mode = Interleaved }},
		"concurrent":    {room: 3, command: "work", change: func(s *Spec) { s.Mode, s.Limit = Concurrent, 2 }},
		"with a budget": {room: 3, command: "work", change: func(s *Spec) { s.Budget = time.Hour }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const calls = 1000
				g := newGates("a")
				close(g.open["a"])
				c := newCell(g, func(s *Spec) {
					s.Inbox.Messages = test.room
					if test.change != nil {
						test.change(s)
					}
				})
				var id atomic.Uint64
				ask := func() *wire.Error {
					n := id.Add(1)
					if n > calls {
						return nil
					}
					r := request(nil, n, test.command, "a")
					if test.each != nil {
						test.each(r)
					}
					return c.Deliver(r)
				}
				var refused, told atomic.Int32
				g.told = func(*Request) {
					told.Add(1)
					if e := ask(); e != nil && refused.Add(1) == 1 {
						t.Error(e)
					}
				}
				for range test.room {
					if e := ask(); e != nil {
						t.Fatal(e)
					}
				}
				if e := c.Deliver(request(nil, calls+1, test.command, "a")); e == nil || e.Code != wire.CodeOverloaded {
					t.Fatalf("it has more room than was thought: %v", e)
				}
				c.Start()
				synctest.Wait()
				if told.Load() != calls || refused.Load() != 0 {
					t.Errorf("%d of %d were answered, %d refused", told.Load(), calls, refused.Load())
				}
				if _, messages, bytes := c.Inbox(); messages != 0 || bytes != 0 {
					t.Errorf("%d messages, %d bytes are still charged", messages, bytes)
				}
				if n, bytes := c.told.sum(); n != 0 || bytes != 0 {
					t.Errorf("%d messages, %d bytes are still told", n, bytes)
				}
				counted(t, c)
				c.Kill(&wire.Death{Cause: wire.CauseKilled})
			})
		})
	}
}

// A chained call overtakes what waits; those that overtake keep their order.
func TestChainedOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a", "b", "c", "d")
		for _, open := range g.open {
			close(open)
		}
		c := newCell(g, nil)
		for _, w := range []string{"a", "b", "c", "d"} {
			r := request(nil, 0, "work", w)
			r.Chained = w >= "c"
			if e := c.Deliver(r); e != nil {
				t.Fatal(e)
			}
		}
		c.Start()
		synctest.Wait()
		g.want(t, "it", "ready <nil>", "work c", "work d", "work a", "work b")
	})
}

// Room is told when a handler ends, when a message that waits is canceled and when
// the actor stops or ends.
func TestRoom(t *testing.T) {
	for name, make := range map[string]func(g *gates, c *Cell){
		"ended":    func(g *gates, _ *Cell) { close(g.open["a"]) },
		"canceled": func(_ *gates, c *Cell) { c.Cancel(nil, 2) },
		"stopped":  func(_ *gates, c *Cell) { c.Stop("", 0) },
		"killed":   func(_ *gates, c *Cell) { c.Kill(&wire.Death{Cause: wire.CauseKilled}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGates("a", "b")
				c := newCell(g, func(s *Spec) { s.Inbox.Messages = 2 })
				c.Start()
				for n, w := range []string{"a", "b"} {
					if e := c.Deliver(request(nil, uint64(n+1), "work", w)); e != nil {
						t.Fatal(e)
					}
				}
				synctest.Wait()
				room := c.Room()
				if c.Room() != room {
					t.Error("there are two channels for one room")
				}
				if closed(room) {
					t.Fatal("there is room in a full inbox")
				}
				make(g, c)
				synctest.Wait()
				if !closed(room) {
					t.Error("nobody is told")
				}
				c.Kill(&wire.Death{Cause: wire.CauseKilled})
				if !closed(c.Room()) {
					t.Error("who waits for room in the dead waits for ever")
				}
				for _, open := range g.open {
					if !closed(open) {
						close(open)
					}
				}
			})
		})
	}
}

// A cancel that overtakes its request is remembered, so many and no more; ids of
// other connections are others.
func TestEarlyCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, mine, other := newGates(), &source{}, &source{}
		c := newCell(g, nil)
		c.Start()
		for id := range uint64(maxEarly + 10) {
			if c.Cancel(mine, id+1) {
				t.Fatalf("%d was there to be canceled", id+1)
			}
		}
		if n := len(c.extra.early); n != maxEarly {
			t.Errorf("%d are remembered, want %d", n, maxEarly)
		}
		c.Cancel(nil, 1000) // a call of this process never overtakes
		for _, r := range []*Request{request(mine, maxEarly+10, "wait", "canceled"), request(other, maxEarly+10, "fail", "")} {
			if e := c.Deliver(r); e != nil {
				t.Fatal(e)
			}
		}
		synctest.Wait()
		g.want(t, "it", "ready <nil>", fmt.Sprintf("fail %d app started=2", maxEarly+10))
		counted(t, c)
	})
}

// Whose time is up before it starts does not start, and is counted as dropped.
func TestExpiredDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c := newCell(g, nil)
		r := request(nil, 1, "work", "a")
		r.due = dueAt(time.Now())
		if e := c.Deliver(r); e != nil {
			t.Fatal(e)
		}
		c.Start()
		synctest.Wait()
		g.want(t, "it", "ready <nil>", "fail 1 deadline started=1")
		if n := c.Counts(); n != (Counts{Accepted: 1, Dropped: 1}) {
			t.Errorf("%+v", n)
		}
	})
}

// A deadline that passes while the handler runs is what its context says, also
// where whoever waited noticed first.
func TestCancelAtDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c := newCell(g, nil)
		c.Start()
		var kept context.Context
		c.spec.Commands["keep"] = &Command{CommandInfo: wire.CommandInfo{Name: "keep"}, Run: func(ctx context.Context, _ any, _ *Request) (Value, error) {
			kept = ctx
			time.Sleep(2 * time.Second)
			return nil, nil
		}}
		r := request(nil, 1, "keep", "")
		r.due = dueAt(time.Now().Add(time.Second))
		if e := c.Deliver(r); e != nil {
			t.Fatal(e)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !c.Cancel(nil, 1) {
			t.Error("it is not at work")
		}
		if kept.Err() != context.DeadlineExceeded {
			t.Errorf("%v", kept.Err())
		}
		time.Sleep(2 * time.Second)
	})
}

// What is urgent is taken although the inbox is full, and started although as many
// handlers are at work as may be; no more than the reserve.
func TestUrgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a", "b", "x", "y")
		c := newCell(g, func(s *Spec) {
			s.Mode, s.Limit, s.Reserve, s.Inbox.Messages = Concurrent, 1, 1, 2
			look := *s.Commands["work"]
			look.Urgent = true
			s.Commands["look"] = &look
		})
		c.Start()
		synctest.Wait()
		put := func(id uint64, command, w string) *wire.Error {
			e := c.Deliver(request(nil, id, command, w))
			synctest.Wait()
			return e
		}
		for id, w := range []string{"a", "b"} {
			if e := put(uint64(id), "work", w); e != nil {
				t.Fatal(e)
			}
		}
		if e := put(3, "work", "c"); e == nil || e.Code != wire.CodeOverloaded {
			t.Errorf("a full inbox took what is not urgent: %v", e)
		}
		for id, w := range []string{"x", "y", "z"} {
			if e := put(uint64(4+id), "look", w); e != nil {
				t.Errorf("a full inbox did not take what is urgent: %v", e)
			}
		}
		c.Cancel(nil, 6)
		g.want(t, "all places taken", "ready <nil>", "work a", "work x")
		close(g.open["x"])
		synctest.Wait()
		g.want(t, "one of the reserve is free", "ready <nil>", "work a", "work x", "reply 4 x", "work y")
		close(g.open["a"])
		synctest.Wait()
		close(g.open["y"])
		close(g.open["b"])
		synctest.Wait()
		counted(t, c)
		if _, charged, _ := c.Inbox(); charged != 0 || c.urgent != 0 || c.reserve != 0 || c.active != 0 {
			t.Errorf("%d charged, %d urgent, %d of the reserve, %d active", charged, c.urgent, c.reserve, c.active)
		}
	})
}

// giant is a value that says it has 5 GiB.
type giant struct{ word }

func (giant) Size() int { return 5 * gib }

// gib is 1 GiB; a variable, since five of them are no number of 32 bits.
var gib = 1 << 30

// What is larger than a letter can say is charged in full, and given back.
func TestGiant(t *testing.T) {
	if strconv.IntSize < 64 {
		t.Skip("not on a machine of 64 bits: nothing has 5 GiB there")
	}
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a")
		c := newCell(g, func(s *Spec) {
			s.Commands["work"].Run = func(_ context.Context, _ any, r *Request) (Value, error) {
				<-g.open["a"]
				if _, ok := r.Value.(giant); !ok || r.Sender != "sender" {
					t.Errorf("%#v of %q", r.Value, r.Sender)
				}
				return nil, nil
			}
			s.Inbox = mailbox.Limits{Bytes: 6 * gib}
		})
		c.Start()
		for n := range 2 {
			l := Letter{Value: giant{"a"}}
			l.From("sender")
			if e := c.Take("work", &l, nil); (e == nil) != (n == 0) {
				t.Errorf("number %d of two, where one fits: %v", n+1, e)
			}
		}
		if _, charged, bytes := c.Inbox(); charged != 1 || bytes < 5*gib {
			t.Errorf("charged with %d, of %d bytes", charged, bytes)
		}
		close(g.open["a"])
		synctest.Wait()
		if _, charged, bytes := c.Inbox(); charged != 0 || bytes != 0 {
			t.Errorf("still charged with %d, of %d bytes", charged, bytes)
		}
		counted(t, c)
	})
}

// Commands are found by their whole names, also those that have one place in the table.
func TestCommandOf(t *testing.T) {
	s := &Spec{Commands: make(map[string]*Command)}
	names := []string{"ask", "ark", "k", "work", "workwork", "böse"}
	for _, name := range names {
		s.Commands[name] = &Command{CommandInfo: wire.CommandInfo{Name: name}}
	}
	for range 2 {
		for _, name := range names {
			if commandOf(s, name) != s.Commands[name] || commandOf(s, []byte(name)) != s.Commands[name] {
				t.Errorf("%q: another one", name)
			}
		}
		for _, name := range []string{"", "ack", "askk", "b\xc3se"} {
			if c := commandOf(s, name); c != nil {
				t.Errorf("%q: found %q", name, c.Name)
			}
		}
	}
}

// A letter says who sent it as long as there are aids, and is of who was said last.
func TestLetterFrom(t *testing.T) {
	var l Letter
	for _, aid := range []string{"", "a", strings.Repeat("a", 255), ""} {
		if l.From(aid); l.sender() != aid {
			t.Errorf("from %q: %q", aid, l.sender())
		}
	}
}

// A call's letter says all of the call, and the request it becomes has nothing of the one before.
func TestCallsLetter(t *testing.T) {
	at := time.Now().Add(time.Hour)
	c := &Call{Argument: word("x"), Deadline: at}
	l := c.Letter("caller")
	l.ID, l.Chained, l.Attempt, l.weight, l.cmd = 7, true, 2, 9, &Command{CommandInfo: wire.CommandInfo{Name: "work"}}
	var blank Request
	r := l.open(&blank)
	if d, ok := new(Turn).of(nil, r).Deadline(); !ok || d.Sub(at) != 0 {
		t.Errorf("its deadline is %v, %v", d, ok)
	}
	if r != &blank || r.Command != "work" || r.Value != word("x") || r.Sender != "caller" || r.ID != 7 || !r.Chained || r.Attempt != 2 || r.Size != 9 || r.cmd != l.cmd {
		t.Errorf("%+v", r)
	}
	(&Letter{cmd: &Command{}}).open(&blank)
	if blank.turn, blank.cmd = nil, nil; !reflect.DeepEqual(blank, Request{}) {
		t.Errorf("of the one before there is left: %+v", blank)
	}
}

// What is known of a call, that it is answered, is not taken to be known of the one-way message its
// worker handles next.
func TestNothingOfTheCallBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCell(newGates(), func(s *Spec) { s.Mode = Interleaved })
		for _, id := range []uint64{1, 0, 2, 0} {
			l := Letter{Value: word("x"), ID: id}
			if e := c.Take("fail", &l, nil); e != nil {
				t.Fatal(e)
			}
		}
		c.Start()
		synctest.Wait()
		if n, bytes := c.told.sum(); n != 0 || bytes != 0 {
			t.Errorf("%d messages of %d bytes are answered and still charged", n, bytes)
		}
		counted(t, c)
	})
}

// Two commands that are asked for in turn do not write to the table again and again: all who send
// read it.
func TestCommandsKeepTheirPlace(t *testing.T) {
	for _, two := range [][2]string{{"get", "set"}, {"ask", "ark"}} {
		s := &Spec{Commands: make(map[string]*Command)}
		for _, name := range two {
			s.Commands[name] = &Command{CommandInfo: wire.CommandInfo{Name: name}}
			commandOf(s, name)
		}
		commandOf(s, two[0])
		before := make([]*Command, len(s.known))
		for i := range before {
			before[i] = s.known[i].Load()
		}
		commandOf(s, two[1])
		for i := range before {
			if s.known[i].Load() != before[i] {
				t.Errorf("%q and %q take each other's place", two[0], two[1])
			}
		}
		if two[0] == "get" && (!slices.Contains(before, s.Commands["get"]) || !slices.Contains(before, s.Commands["set"])) {
			t.Errorf("%q and %q have one place", two[0], two[1])
		}
	}
}
