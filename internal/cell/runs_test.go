package cell

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// setClock sets the clock on the wall as if it had been put back by d since the program began.
func setClock(t *testing.T, d time.Duration) {
	t.Helper()
	before := epoch
	t.Cleanup(func() { epoch = before })
	*(*uint64)(unsafe.Pointer(&epoch)) += uint64(d/time.Second) << 30 // see time.Time
	if epoch.Round(0).Sub(before.Round(0)) != d || epoch.Sub(before) != 0 {
		epoch = before
		t.Fatal("a time.Time is made otherwise in this Go: find another way to set its wall clock alone")
	}
}

// A deadline that says nothing but what the clock on the wall will show is right also where that
// was set since the program began.
func TestDeadlineOnTheWall(t *testing.T) {
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(d.String(), func(t *testing.T) {
			setClock(t, d)
			for name, at := range map[string]time.Time{
				"on the wall": time.Now().Add(time.Minute).Round(0),
				"any":         time.Now().Add(time.Minute),
			} {
				turn := new(Turn).of(nil, &Request{due: dueAt(at)})
				if err := turn.Err(); err != nil {
					t.Errorf("%s, put back by %v: it is over a minute early: %v", name, d, err)
				}
				if at, _ := turn.Deadline(); time.Until(at) > time.Minute || time.Until(at) < 30*time.Second {
					t.Errorf("%s, put back by %v: it has %v, want a minute", name, d, time.Until(at))
				}
			}
			far := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
			if err := new(Turn).of(nil, &Request{due: dueAt(far)}).Err(); err != nil {
				t.Errorf("the year 9999 is over: %v", err)
			}
			for name, at := range map[string]time.Time{"the beginning of the program": epoch, "the year 1": time.Time{}.Add(1)} {
				turn := new(Turn).of(nil, &Request{due: dueAt(at)})
				l := &Letter{due: dueAt(at)}
				if !l.late() || l.due.left() > 0 || turn.Err() == nil {
					t.Errorf("%s is not over", name)
				}
			}
		})
	}
}

// Requests that came many at once are used again, however they are handled: by a serial actor, in
// batches, and by others one by one. None is used while it waits, or is at work.
func TestStock(t *testing.T) {
	for name, mode := range map[string]Mode{"serial": Serial, "interleaved": Interleaved, "concurrent": Concurrent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				using := make(map[*Request]int) // between PutAll and the end of its handler
				all := make(map[*Request]bool)
				var got []string
				c := newCell(newGates(), func(s *Spec) {
					s.Mode, s.Limit = mode, 4
					s.Commands["take"] = &Command{CommandInfo: wire.CommandInfo{Name: "take"}, Run: func(_ context.Context, _ any, r *Request) (Value, error) {
						mu.Lock()
						defer mu.Unlock()
						if using[r]--; using[r] != 0 {
							t.Errorf("a request is used %d times more", using[r])
						}
						got = append(got, string(r.Value.(*Encoded).Data))
						return nil, nil
					}}
				})
				c.Start()
				synctest.Wait()
				var want []string
				for round := range 100 {
					stock := c.Spec().Stock()
					var requests []*Request
					for i := range 1 + round%maxBatch {
						body := fmt.Sprintf("%d.%d", round, i)
						r := c.ReceiveFrom(&stock, &wire.Message{Flags: wire.FlagOneWay, Command: []byte("take"), Codec: wire.CodecRaw, Body: []byte(body)}, new(source), 10, time.Time{})
						r.Granted = true
						mu.Lock()
						if using[r]++; using[r] != 1 {
							t.Errorf("a request is used %d times at once", using[r])
						}
						all[r] = true
						mu.Unlock()
						requests = append(requests, r)
						want = append(want, body)
					}
					stock.Return()
					c.PutAll(requests, func(_ *Request, e *wire.Error) { t.Error(e) })
					if round%3 > 0 {
						c.Wake()
						synctest.Wait()
					}
				}
				c.Wake()
				synctest.Wait()
				if mode == Concurrent {
					slices.Sort(got)
					slices.Sort(want)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d were handled, or in another order, want %d", len(got), len(want))
				}
				if len(all) > len(want)*3/4 { // a sync.Pool forgets some with -race
					t.Errorf("%d requests were made for %d messages", len(all), len(want))
				}
				c.Stop("", 0)
				synctest.Wait()
			})
		})
	}
}

// What was dropped with its actor, out of a batch, is not used again: it is still being told of. Nor is
// what nobody gave for that.
func TestDroppedIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("")
		c := newCell(g, nil)
		c.Start()
		synctest.Wait()
		stock := c.Spec().Stock()
		var requests []*Request
		for range 40 {
			r := c.ReceiveFrom(&stock, &wire.Message{Flags: wire.FlagOneWay, Command: []byte("work")}, new(source), 10, time.Time{})
			r.Granted = true
			requests = append(requests, r)
		}
		c.PutAll(requests, func(_ *Request, e *wire.Error) { t.Error(e) })
		c.Wake()
		synctest.Wait()
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		close(g.open[""])
		synctest.Wait()
		for i, r := range requests[1:] {
			if r.Command != "work" {
				t.Fatalf("request %d was dropped, and is blank", i+1)
			}
		}
		kept := &Request{Command: "mine"}
		c.Spec().recycle(kept)
		if kept.Command != "mine" {
			t.Error("a request of somebody's own was taken")
		}
	})
}

// A call that was canceled before it came does not start, also where it is put with others.
func TestPutAllCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("0", "1", "2")
		for _, open := range g.open {
			close(open)
		}
		c := newCell(g, nil)
		c.Start()
		synctest.Wait()
		s := new(source)
		c.Cancel(s, 7)
		requests := []*Request{request(s, 0, "work", "0"), request(s, 7, "work", "1"), request(s, 0, "work", "2")}
		for _, r := range requests {
			r.cmd, r.Granted = c.spec.Commands[r.Command], true
		}
		c.PutAll(requests, func(_ *Request, e *wire.Error) { t.Error(e) })
		c.Wake()
		synctest.Wait()
		if heard := g.all(); slices.Contains(heard, "work 1") || !slices.Contains(heard, "work 2") {
			t.Errorf("heard %q", heard)
		}
		c.Stop("", 0)
		synctest.Wait()
	})
}

// What was granted has room in a full inbox, also where it is put with others.
func TestPutAllGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("0")
		c := newCell(g, func(s *Spec) { s.Inbox = mailbox.Limits{Messages: 2, Bytes: 1 << 20} })
		c.Start()
		synctest.Wait()
		var requests []*Request
		for i := range 6 {
			r := request(new(source), 0, "work", "0")
			r.cmd, r.Granted = c.spec.Commands[r.Command], i < 5
			requests = append(requests, r)
		}
		refused := 0
		c.PutAll(requests, func(_ *Request, e *wire.Error) { refused++ })
		if refused != 1 {
			t.Errorf("%d are refused, want the one that was not granted", refused)
		}
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		close(g.open["0"])
		synctest.Wait()
	})
}
