package cell

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// oneWay returns n one-way messages of the command, each with its number as body.
func oneWay(command string, n int) (messages []wire.Message) {
	for i := range n {
		messages = append(messages, wire.Message{
			Kind: wire.KindRequest, Flags: wire.FlagOneWay, Command: []byte(command), Codec: wire.CodecRaw, Body: fmt.Append(nil, i),
		})
	}
	return messages
}

// costOf is what the sender of messages gets back for them.
func costOf(messages []wire.Message) (sum int) {
	for i := range messages {
		sum += wire.Cost(messages[i].Size())
	}
	return sum
}

func refusesNone(t *testing.T) func(*Request, *wire.Error) {
	return func(_ *Request, e *wire.Error) { t.Errorf("refused: %v", e) }
}

// Messages that came together arrive as they were, in their order, whatever becomes of the memory
// they were read from, and each gives its room back. Their own is used again: in batches by a
// serial actor, one by one by others, and never while one of them waits, or is at work.
func TestParcels(t *testing.T) {
	for name, mode := range map[string]Mode{"serial": Serial, "interleaved": Interleaved, "concurrent": Concurrent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var got []string
				seen := make(map[*Encoded]bool)
				c := newCell(newGates(), func(s *Spec) {
					s.Mode, s.Limit = mode, 4
					s.Commands["take"] = &Command{CommandInfo: wire.CommandInfo{Name: "take"}, Run: func(_ context.Context, _ any, r *Request) (Value, error) {
						e := r.Value.(*Encoded)
						if e.Keep() != (mode != Serial) {
							t.Errorf("it may keep its body: %v", e.Keep())
						}
						mu.Lock()
						defer mu.Unlock()
						seen[e] = true
						got = append(got, fmt.Sprintf("%s %s of %s, %d", r.Command, e.Data, r.Sender, e.Codec))
						return nil, nil
					}}
					s.Commands["also"] = &Command{CommandInfo: wire.CommandInfo{Name: "also"}, Run: s.Commands["take"].Run}
				})
				c.Start()
				synctest.Wait()
				s := new(source)
				var want []string
				cost := 0
				for round := range 100 {
					messages := oneWay("take", 2+round%(maxBatch-1))
					for i := range messages {
						m := &messages[i]
						m.Body = fmt.Appendf(nil, "%d.%d%s", round, i, strings.Repeat("!", round%7*20))
						m.Sender, m.Codec = fmt.Append(nil, "sender", i%2), wire.Codec(1+i%2)
						if (round+i)%3 == 0 {
							m.Command = []byte("also")
						}
						want = append(want, fmt.Sprintf("%s %s of %s, %d", m.Command, m.Body, m.Sender, m.Codec))
					}
					cost += costOf(messages)
					if !c.PutRun(messages, s, refusesNone(t)) {
						t.Fatal("declined")
					}
					for i := range messages {
						clear(messages[i].Body)
						clear(messages[i].Sender)
						clear(messages[i].Command)
					}
					if round%3 > 0 {
						c.Wake(false)
						synctest.Wait()
					}
				}
				c.Wake(false)
				synctest.Wait()
				if mode == Concurrent {
					slices.Sort(got)
					slices.Sort(want)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%d were handled, or in another order, want %d", len(got), len(want))
				}
				if s.credits != len(want) || s.started != len(want) || s.cost != cost {
					t.Errorf("%d have their room back, %d bytes, %d were started, want %d, %d bytes", s.credits, s.cost, s.started, len(want), cost)
				}
				if mode == Serial && len(seen) > len(want)*3/4 { // a sync.Pool forgets some with -race
					t.Errorf("%d places for %d messages", len(seen), len(want))
				}
				c.Stop("", 0)
				synctest.Wait()
			})
		})
	}
}

// What one message keeps of those that came with it is bounded, however large they were.
func TestParcelsAreSmall(t *testing.T) {
	for _, size := range []int{0, 1, 64, parcelSize / parceled, 400, maxParceled} {
		g := newGates()
		c := newCell(g, nil) // which nobody starts
		messages := oneWay("work", maxBatch)
		for i := range messages {
			messages[i].Body = make([]byte, size)
		}
		if !c.PutRun(messages, new(source), refusesNone(t)) {
			t.Fatalf("%d bytes: declined", size)
		}
		in := make(map[*parcel]int)
		var of Letter
		for ok := true; ok; of, ok = c.inbox.Pop() {
			if of.request == nil {
				continue
			}
			p := of.request.parcel
			in[p]++
			if cap(p.data) > parcelSize || len(p.data) != size*int(p.left.Load()) {
				t.Errorf("%d bytes: a parcel of %d has %d bytes, of %d", size, p.left.Load(), len(p.data), cap(p.data))
			}
		}
		all := 0
		for p, n := range in {
			if all += n; n != int(p.left.Load()) || n > parceled {
				t.Errorf("%d bytes: %d are in a parcel of %d", size, n, p.left.Load())
			}
		}
		if most := max(maxBatch/parceled, maxBatch*size/parcelSize); all != maxBatch || len(in) > most+most/4 {
			t.Errorf("%d bytes: %d are in %d parcels, want %d in %d", size, all, len(in), maxBatch, most)
		}
	}
}

// Those that are put together are taken, refused and answered as each on its own is, or declined
// before anything is done.
func TestPutRun(t *testing.T) {
	for name, test := range map[string]struct {
		do       func(c *Cell, s *source)
		put      []string // with ?: a call, of the id that is its number, from 1
		declined bool
		refused  []string
		heard    []string
	}{
		"all":                 {nil, []string{"work", "work"}, false, nil, []string{"work 0", "work 1"}},
		"an unknown one":      {nil, []string{"work", "wrok", "work"}, true, nil, nil},
		"one in place":        {nil, []string{"work", "oops", "work"}, true, nil, nil},
		"a large one":         {nil, []string{"work", "large"}, true, nil, nil},
		"calls":               {nil, []string{"?work", "?work"}, false, nil, []string{"reply 1 0", "reply 2 1", "work 0", "work 1"}},
		"one canceled before": {func(c *Cell, s *source) { c.Cancel(s, 2); c.Cancel(s, 9) }, []string{"?work", "?work", "?work"}, false, nil, []string{"reply 1 0", "reply 3 2", "work 0", "work 2"}},
		"stopping":            {func(c *Cell, _ *source) { c.Stop("enough", 0) }, []string{"work", "work", "work"}, false, []string{"0 down", "1 down", "2 down"}, []string{"ended stopped"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGates("0", "1", "2")
				for _, open := range g.open {
					close(open)
				}
				c := newCell(g, func(s *Spec) {
					work := s.Commands["work"].Run
					s.Commands["work"].Run = func(ctx context.Context, state any, r *Request) (Value, error) {
						r.Value = word(r.Value.(*Encoded).Data)
						return work(ctx, state, r)
					}
					s.Commands["large"] = s.Commands["work"]
				})
				c.Start()
				synctest.Wait()
				s := new(source)
				if test.do != nil {
					test.do(c, s)
				}
				var messages []wire.Message
				for i, command := range test.put {
					command, call := strings.CutPrefix(command, "?")
					m := oneWay(command, i+1)[i]
					if call {
						m.Flags, m.ID = 0, uint64(i+1)
					}
					if command == "large" {
						m.Body = make([]byte, maxParceled+1)
					}
					messages = append(messages, m)
				}
				var refused []string
				cost := costOf(messages)
				taken := c.PutRun(messages, s, func(r *Request, e *wire.Error) {
					refused = append(refused, fmt.Sprintf("%s %s", r.Value.(*Encoded).Data, e.Code))
					cost -= r.Cost
				})
				if taken == test.declined {
					t.Errorf("taken: %v", taken)
				}
				c.Wake(false)
				synctest.Wait()
				if !taken {
					cost = 0
				}
				if s.cost != cost {
					t.Errorf("%d bytes of room were given back, want %d", s.cost, cost)
				}
				if !slices.Equal(refused, test.refused) {
					t.Errorf("refused are %q, want %q", refused, test.refused)
				}
				heard := g.all()
				slices.Sort(heard)
				want := append([]string{"ready <nil>"}, test.heard...)
				slices.Sort(want)
				if !slices.Equal(heard, want) {
					t.Errorf("heard %q, want %q", heard, want)
				}
				c.Stop("", 0)
				synctest.Wait()
			})
		})
	}
}

// The time a call has is counted from when it came.
func TestPutRunDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(map[uint64]time.Duration)
		g := newGates("0")
		c := newCell(g, func(s *Spec) {
			s.Commands["when"] = &Command{CommandInfo: wire.CommandInfo{Name: "when"}, Run: func(ctx context.Context, _ any, r *Request) (Value, error) {
				if at, ok := ctx.Deadline(); ok {
					got[r.ID] = time.Until(at)
				}
				return nil, nil
			}}
		})
		c.Start()
		work := request(nil, 0, "work", "0")
		if e := c.Deliver(work); e != nil {
			t.Fatal(e)
		}
		calls := oneWay("when", 3)
		for i, millis := range []uint32{0, 5000, 500} {
			calls[i].Flags, calls[i].ID, calls[i].Millis = 0, uint64(i+1), millis
		}
		c.PutRun(calls, new(source), refusesNone(t))
		time.Sleep(time.Second)
		close(g.open["0"])
		synctest.Wait()
		if len(got) != 1 || got[2] != 4*time.Second {
			t.Errorf("they have %v, want one that has 4 s", got)
		}
		if heard := g.all(); !slices.Contains(heard, "fail 3 deadline started=1") {
			t.Errorf("heard %q", heard)
		}
		c.Stop("", 0)
		synctest.Wait()
	})
}

// A call that waits among others can be canceled, by who it came from.
func TestPutRunCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("0")
		c := newCell(g, func(s *Spec) {
			s.Commands["answer"] = &Command{CommandInfo: wire.CommandInfo{Name: "answer"}, Run: func(_ context.Context, _ any, r *Request) (Value, error) {
				return word(r.Value.(*Encoded).Data), nil
			}}
		})
		c.Start()
		if e := c.Deliver(request(nil, 0, "work", "0")); e != nil {
			t.Fatal(e)
		}
		calls := oneWay("answer", 3)
		for i := range calls {
			calls[i].Flags, calls[i].ID = 0, uint64(i+1)
		}
		s := new(source)
		c.PutRun(calls, s, refusesNone(t))
		if c.Cancel(new(source), 2) || c.Cancel(nil, 2) {
			t.Error("somebody else's was canceled")
		}
		if !c.Cancel(s, 2) {
			t.Error("it was not found")
		}
		close(g.open["0"])
		synctest.Wait()
		if heard := g.all(); slices.Contains(heard, "reply 2 1") || !slices.Contains(heard, "reply 1 0") || !slices.Contains(heard, "reply 3 2") {
			t.Errorf("heard %q", heard)
		}
		if s.cost != costOf(calls) || s.started != 2 {
			t.Errorf("%d bytes of room are back, %d started", s.cost, s.started)
		}
		c.Stop("", 0)
		synctest.Wait()
	})
}

// Messages of a connection and of this process may be handled in one batch, on one desk: none has
// anything of the one before.
func TestPutRunAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("0")
		var got []string
		c := newCell(g, func(s *Spec) {
			s.Commands["who"] = &Command{CommandInfo: wire.CommandInfo{Name: "who"}, Run: func(_ context.Context, _ any, r *Request) (Value, error) {
				got = append(got, fmt.Sprintf("%q %v %d %d", r.Sender, r.Source != nil, r.Codec, r.Cost))
				return nil, nil
			}}
		})
		c.Start()
		if e := c.Deliver(request(nil, 0, "work", "0")); e != nil {
			t.Fatal(e)
		}
		s := new(source)
		var want []string
		for range 3 {
			messages := oneWay("who", 2)
			messages[0].Sender, messages[1].Codec, messages[1].Body = []byte("far"), wire.CodecNone, nil
			c.PutRun(messages, s, refusesNone(t))
			near := Letter{Value: word("it")}
			near.From("near")
			if e := c.Take("who", &near, nil); e != nil {
				t.Fatal(e)
			}
			want = append(want, fmt.Sprintf("%q true %d %d", "far", wire.CodecRaw, wire.Cost(messages[0].Size())),
				fmt.Sprintf("%q true %d %d", "", wire.CodecNone, wire.Cost(messages[1].Size())), fmt.Sprintf("%q false %d 0", "near", wire.CodecNone))
		}
		close(g.open["0"])
		synctest.Wait()
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q, want\n%q", got, want)
		}
		if s.credits != 6 || s.started != 6 {
			t.Errorf("%d credits, %d started, want 6 each", s.credits, s.started)
		}
		if n, bytes := c.inbox.Charged(); n != 0 || bytes != 0 {
			t.Errorf("%d messages are still charged, %d bytes", n, bytes)
		}
		c.Stop("", 0)
		synctest.Wait()
	})
}

// What was dropped with its actor is told of with what it was, and its memory not used again; nor
// is what nobody gave for that.
func TestDroppedIsNotUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("0")
		var told []string
		g.told = func(r *Request) { told = append(told, fmt.Sprintf("%s %s", r.Command, r.Value.(*Encoded).Data)) }
		c := newCell(g, func(s *Spec) {
			s.Commands["work"].Run = func(context.Context, any, *Request) (Value, error) { <-g.open["0"]; return nil, nil }
		})
		c.Start()
		synctest.Wait()
		s := new(source)
		messages := oneWay("work", 40)
		c.PutRun(messages, s, refusesNone(t))
		c.Wake(false)
		synctest.Wait()
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		close(g.open["0"])
		synctest.Wait()
		var want []string
		for i := range 39 {
			want = append(want, fmt.Sprintf("work %d", i+1))
		}
		if !slices.Equal(told, want) {
			t.Errorf("told of %q", told)
		}
		if s.cost != costOf(messages) || s.started != 1 {
			t.Errorf("%d bytes of room are back, %d started", s.cost, s.started)
		}
		if p, ok := c.spec.parcels.Get().(*parcel); ok {
			t.Errorf("a parcel of which %d were not over is to be used again", p.left.Load())
		}
		kept := &Request{Command: "mine"}
		c.Spec().recycle(kept)
		if kept.Command != "mine" {
			t.Error("a request of somebody's own was taken")
		}
	})
}

// What came with room of its sender's has room in a full inbox.
func TestPutRunGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates("0")
		c := newCell(g, func(s *Spec) { s.Inbox = mailbox.Limits{Messages: 2, Bytes: 1 << 20} })
		c.Start()
		synctest.Wait()
		c.PutRun(oneWay("work", 6), new(source), refusesNone(t))
		if n, _ := c.inbox.Charged(); n != 6 {
			t.Errorf("%d are in the inbox, want 6", n)
		}
		c.Kill(&wire.Death{Cause: wire.CauseKilled})
		close(g.open["0"])
		synctest.Wait()
	})
}
