package cell

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// batched returns a cell whose worker has taken messages 1 to n at once: message 1 is
// at work until the gate a opens, the others wait for nothing.
func batched(t *testing.T, n int, change func(s *Spec)) (*gates, *Cell) {
	t.Helper()
	g := newGates("a", "b")
	close(g.open["b"])
	c := newCell(g, change)
	for id := range uint64(n) {
		w := "b"
		if id == 0 {
			w = "a"
		}
		// Odd ones come over a connection: those have a request of their own.
		if e := deliver(c, id+1, w); e != nil {
			t.Fatal(e)
		}
	}
	c.Start()
	synctest.Wait()
	if c.batch == nil || c.batch.letters.Len() != n {
		t.Fatalf("they were not taken at once")
	}
	return g, c
}

func deliver(c *Cell, id uint64, w string) *wire.Error {
	if id%2 == 1 {
		return c.Deliver(request(nil, id, "work", w))
	}
	return c.Take("work", &Letter{Value: word(w), ID: id}, nil)
}

// wantCounts compares what became of messages, and how many wait.
func wantCounts(t *testing.T, c *Cell, started, dropped uint64, waiting, charged int) {
	t.Helper()
	n := c.Counts()
	w, ch, _ := c.Inbox()
	if n.Started != started || n.Dropped != dropped || w != waiting || ch != charged {
		t.Errorf("started %d, dropped %d, waiting %d, charged %d; want %d, %d, %d, %d", n.Started, n.Dropped, w, ch, started, dropped, waiting, charged)
	}
	counted(t, c)
}

// What was taken at once and has not begun still waits, and can be canceled: then it
// never begins.
func TestCancelInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := batched(t, 20, nil)
		wantCounts(t, c, 1, 0, 19, 20)
		if s := c.Status(); s.Handling != "work" || s.Waiting != 19 {
			t.Errorf("status: %+v", s)
		}
		time.Sleep(time.Second)
		if s := c.Status(); s.Since != time.Second {
			t.Errorf("it has been at work for %v", s.Since)
		}
		for _, id := range []uint64{7, 8, 20} {
			if !c.Cancel(nil, id) || c.Cancel(nil, id) {
				t.Errorf("%d: not canceled, or twice", id)
			}
		}
		if c.Cancel(nil, 21) {
			t.Error("what is not there was canceled")
		}
		wantCounts(t, c, 1, 3, 16, 17)
		close(g.open["a"])
		synctest.Wait()
		wantCounts(t, c, 17, 3, 0, 0)
		if slices.Contains(g.all(), "reply 7 b") || !slices.Contains(g.all(), "reply 19 b") {
			t.Errorf("%q", g.all())
		}
	})
}

// The end of an actor is the end of what was taken and had not begun, each once, and in
// order; and the handler at work ends with it.
func TestKillInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := batched(t, 5, nil)
		c.Deliver(request(nil, 6, "work", "b"))
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		want := []string{"ready <nil>", "work a"}
		for id := 2; id <= 6; id++ {
			want = append(want, fmt.Sprintf("fail %d down started=1", id))
		}
		g.want(t, "killed", append(want, "ended killed")...)
		if n := c.Leaked(); n != 1 {
			t.Errorf("%d handlers go on", n)
		}
		if n := c.Counts(); n.Started != 1 || n.Dropped != 5 || n.Left != 5 {
			t.Errorf("%+v", n)
		}
		close(g.open["a"])
		synctest.Wait()
		if n := c.Leaked(); n != 0 {
			t.Errorf("%d handlers go on", n)
		}
		g.want(t, "then", append(want, "ended killed")...)
	})
}

// A panic in a batch is the end of the rest, and of nothing else.
func TestPanicInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("b")
		close(g.open["b"])
		c := newCell(g, nil)
		for id, command := range []string{"work", "panic", "work"} {
			if e := c.Deliver(request(nil, uint64(id+1), command, "b")); e != nil {
				t.Fatal(e)
			}
		}
		c.Start()
		synctest.Wait()
		g.want(t, "it", "ready <nil>", "work b", "reply 1 b", "fail 3 down started=1", "ended panic")
		if n := c.Leaked(); n != 0 {
			t.Errorf("%d handlers go on", n)
		}
		if n := c.Counts(); n.Started != 2 || n.Dropped != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// An actor that nobody hears any more drops what it has taken and not begun, and its
// own turns are taken all the same.
func TestAbandonInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, c := batched(t, 3, nil)
		c.Abandon("gone", time.Minute)
		close(g.open["a"])
		synctest.Wait()
		want := []string{"ready <nil>", "work a", "fail 2 closed started=1", "fail 3 closed started=1", "reply 1 a", "ended stopped"}
		g.want(t, "it", want...)
		if n := c.Counts(); n.Started != 1 || n.Dropped != 2 {
			t.Errorf("%+v", n)
		}
		counted(t, c)
	})
}

// An actor's own turns are taken in a batch with messages, and are none.
func TestOwnTurnsInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a", "b")
		close(g.open["b"])
		c := newCell(g, nil)
		c.Start()
		if e := deliver(c, 7, "a"); e != nil {
			t.Fatal(e)
		}
		synctest.Wait() // it is at work, and the rest waits
		for id := range uint64(3) {
			if e := deliver(c, id+1, "b"); e != nil {
				t.Fatal(e)
			}
			c.Post(func(context.Context, any) {
				g.add("own")
				if c.batch == nil {
					t.Error("it was not taken with others")
				}
				if n := c.Counts(); n.Started != id+2 {
					t.Errorf("at its own turn %d: %+v", id, n)
				}
			})
		}
		close(g.open["a"])
		synctest.Wait()
		g.want(t, "it", "ready <nil>", "work a", "reply 7 a", "work b", "reply 1 b", "own", "work b", "reply 2 b", "own", "work b", "reply 3 b", "own")
		wantCounts(t, c, 4, 0, 0, 0)
	})
}

// Who looks at an actor at the moment its batch ends counts nothing of it twice, and finds
// nothing missing.
func TestCountedWhileABatchEnds(t *testing.T) {
	g := newGates()
	g.share(t)
	c := newCell(g, nil)
	c.Start()
	const all = 20000
	var each sync.WaitGroup
	var over atomic.Bool
	each.Go(func() {
		for id := range uint64(all) {
			l := Letter{Value: word("x"), ID: id%2 + id}
			for c.Take("fail", &l, nil) != nil {
				runtime.Gosched()
			}
		}
		for {
			if _, charged, _ := c.Inbox(); charged == 0 {
				break
			}
			runtime.Gosched()
		}
		over.Store(true)
	})
	for !over.Load() {
		if s := c.Status(); s.Accepted != s.Started+s.Dropped+uint64(s.Waiting) {
			t.Errorf("%+v: the account is wrong", s)
			break
		}
	}
	each.Wait()
	if n := c.Counts(); n.Started != all || n.Dropped != 0 {
		t.Errorf("%+v", n)
	}
	counted(t, c)
}

// What is over in a batch has room for others before the batch is over; who waits for
// room is told at its end.
func TestRoomInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a", "b", "c")
		close(g.open["b"])
		c := newCell(g, func(s *Spec) { s.Inbox.Messages = 3 * batchPart })
		for id, w := range []string{"b", "a", "b"} { // the batch: one that is over, one at work
			deliver(c, uint64(id+1), w)
		}
		for id := uint64(4); id <= 3*batchPart; id++ {
			if e := deliver(c, id, "c"); e != nil {
				t.Fatal(e)
			}
		}
		if e := deliver(c, 100, "b"); e == nil || e.Code != wire.CodeOverloaded {
			t.Fatalf("a full inbox: %v", e)
		}
		c.Start()
		synctest.Wait()
		if c.batch == nil || c.batch.letters.Len() != 3 {
			t.Fatal("three were not taken at once")
		}
		room := c.Room()
		if e := deliver(c, 101, "b"); e != nil {
			t.Errorf("there is room for one: %v", e)
		}
		if e := deliver(c, 102, "b"); e == nil || e.Code != wire.CodeOverloaded {
			t.Errorf("there is room for one, and no more: %v", e)
		}
		close(g.open["a"])
		synctest.Wait()
		if !closed(room) {
			t.Error("nobody is told of the room")
		}
		close(g.open["c"])
		synctest.Wait()
		wantCounts(t, c, 3*batchPart+1, 0, 0, 0)
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
	})
}

// Who waits for room is told of it after each message, whenever it asked, and not when all of the
// batch is over.
func TestRoomIsToldWithinABatch(t *testing.T) {
	for name, early := range map[string]bool{"asked before the batch": true, "asked within it": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGates("a", "b")
				c := newCell(g, func(s *Spec) { s.Inbox.Messages = 2 * batchPart })
				for id := uint64(1); id <= 2*batchPart; id++ {
					w := "b"
					if id == 1 {
						w = "a"
					}
					if e := deliver(c, id, w); e != nil {
						t.Fatal(e)
					}
				}
				var room <-chan struct{}
				if early {
					room = c.Room()
				}
				c.Start()
				synctest.Wait()
				if c.batch == nil || c.batch.letters.Len() != 2 {
					t.Fatal("two were not taken at once")
				}
				if !early {
					room = c.Room()
				}
				if closed(room) {
					t.Error("told of room before there is some")
				}
				close(g.open["a"])
				synctest.Wait()
				if !closed(room) {
					t.Error("one is over, and who waits for room is not told")
				}
				if closed(c.Room()) {
					t.Error("who asks again is told of the room before")
				}
				wantCounts(t, c, 2, 0, 2*batchPart-2, 2*batchPart-1)
				close(g.open["b"])
				synctest.Wait()
			})
		})
	}
}

// Whose time is up while another one of the batch is at work does not start.
func TestLateInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("a", "b")
		close(g.open["b"])
		c := newCell(g, nil)
		deliver(c, 1, "a")
		for id := uint64(2); id <= 3; id++ {
			c.Take("work", &Letter{Value: word("b"), ID: id, due: dueAt(time.Now().Add(time.Duration(id) * time.Second))}, nil)
		}
		c.Start()
		synctest.Wait()
		time.Sleep(2 * time.Second)
		close(g.open["a"])
		synctest.Wait()
		g.want(t, "it", "ready <nil>", "work a", "reply 1 a", "fail 2 deadline started=1", "work b", "reply 3 b")
		wantCounts(t, c, 2, 1, 0, 0)
	})
}

// A message that is canceled while it is about to begin either begins or was canceled,
// and never both or neither.
func TestCancelRacesBatch(t *testing.T) { synctest.Test(t, cancelRacesBatch) }

func cancelRacesBatch(t *testing.T) {
	g := newGates("b")
	close(g.open["b"])
	g.share(t)
	c := newCell(g, nil)
	c.Start()
	const all = 4000
	var canceled atomic.Uint64
	var each sync.WaitGroup
	sent := make(chan uint64, all)
	each.Go(func() {
		for id := range uint64(all) {
			if e := deliver(c, id+1, "b"); e != nil {
				t.Error(e)
			}
			sent <- id + 1
		}
		close(sent)
	})
	each.Go(func() {
		for id := range sent {
			if c.Cancel(nil, id) {
				canceled.Add(1) // or its handler's context was ended
			}
			c.Counts()
			c.Status()
		}
	})
	each.Wait()
	c.Stop("", 0)
	synctest.Wait()
	n := c.Counts()
	if n.Accepted != all || n.Started+n.Dropped != all || n.Left+n.Letters != 0 || n.Dropped > canceled.Load() {
		t.Errorf("%+v, %d canceled", n, canceled.Load())
	}
	replies := 0
	for _, line := range g.all() {
		if strings.HasPrefix(line, "reply") {
			replies++
		}
	}
	if uint64(replies) != n.Started {
		t.Errorf("%d started, %d were answered", n.Started, replies)
	}
}

// What is urgent and was taken with others waits no more.
func TestUrgentInABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c := newCell(g, func(s *Spec) {
			u := *s.Commands["fail"]
			u.Name, u.Urgent = "urgent", true
			s.Commands["urgent"] = &u
			s.Reserve = 1
		})
		for id := range uint64(4) {
			if e := c.Deliver(request(nil, id+1, "urgent", "")); e != nil {
				t.Fatal(e)
			}
		}
		c.Start()
		synctest.Wait()
		if c.urgent != 0 || c.active != 0 {
			t.Errorf("%d urgent ones wait, %d work", c.urgent, c.active)
		}
	})
}

// The memory in which a batch waited is used again, by whatever waits next: what is
// allocated is the turns of all, which a handler may keep.
func TestBatchesCostNoMemory(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	g := newGates()
	g.share(t)
	done, seen := make(chan struct{}), 0
	c := newCell(g, func(s *Spec) {
		s.Commands["count"] = &Command{CommandInfo: wire.CommandInfo{Name: "count"}, Run: func(context.Context, any, *Request) (Value, error) {
			if seen++; seen%maxBatch == 0 {
				done <- struct{}{}
			}
			return nil, nil
		}}
	})
	c.Start()
	letters := make([]Letter, maxBatch)
	n := testing.AllocsPerRun(100, func() {
		for i := range letters {
			letters[i] = Letter{Value: word("x")}
			if e := c.Take("count", &letters[i], nil); e != nil {
				t.Fatal(e)
			}
		}
		<-done
	})
	if n > 3 { // the race detector has pools forget some of what they are given
		t.Errorf("%v allocations for a batch", n)
	}
}
