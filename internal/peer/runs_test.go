package peer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// taker is a Handler whose messages take their room for a while.
type taker struct {
	*end
	runs  bool
	after func(ch Charge)
	run   func(r *Run) // instead of after; nil: none

	got   atomic.Int64
	moved atomic.Int64 // of got, those that came in runs
	last  string
	bad   string
}

func (h *taker) take(m *wire.Message, ch Charge) {
	h.got.Add(1)
	if c := string(m.Command); len(c) < len(h.last) || len(c) == len(h.last) && c <= h.last {
		h.bad = fmt.Sprintf("%q after %q", c, h.last)
	} else {
		h.last = c
	}
	h.after(ch)
}

func (h *taker) Receive(c *Conn, m *wire.Message) {
	if m.Kind == wire.KindRequest {
		h.take(m, c.Charge(m))
	}
}

func (h *taker) ReceiveRun(_ *Conn, r *Run) bool {
	if !h.runs {
		return false
	}
	if h.run != nil {
		h.run(r)
		return true
	}
	for i := range r.Messages {
		h.moved.Add(1)
		h.take(&r.Messages[i], r.Charge(i))
	}
	return true
}

// What the records of what is held take of a Budget comes back, whatever becomes of them.
func TestHeldBudget(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			budget := NewBudget(1 << 30)
			e, p := byHand(t, Options{Budget: budget, Outbox: Limits{Data: 1 << 29, DataHard: 1 << 29}}, wire.Window{Messages: 5, Bytes: 1 << 20})
			go func() {
				for {
					if _, err := p.try(); err != nil {
						return
					}
				}
			}()
			o := new(outcome)
			var calls []uint64
			for range 400 {
				switch n := rnd.IntN(100); {
				case n < 50:
					mustPost(t, e.Conn, Data, oneWay("x", rnd.IntN(2)*rnd.IntN(9000)))
				case n < 94:
					id, err := e.Request(request("x", rnd.IntN(50)), Note{Caller: o}, Charge{})
					if err != nil {
						t.Fatal(err)
					}
					calls = append(calls, id)
				case n < 96:
					for len(calls) > 0 && rnd.IntN(20) > 0 { // nobody waits for them: they are purged
						e.Calls().Take(calls[len(calls)-1])
						calls = calls[:len(calls)-1]
					}
				case n < 97:
					mustPost(t, e.Conn, Data, oneWay("large", 200_000))
				default:
					for range rnd.IntN(30) {
						e.out.mu.Lock()
						e.out.credited = e.out.sent // as if a credit had come
						owed := e.releaseLocked()
						e.out.mu.Unlock()
						owed.pay()
					}
					e.Flush()
				}
				e.out.mu.Lock()
				h := &e.out.held
				if h.counted < h.len() || h.counted > h.len()+2*manyRecords || h.len() == 0 && h.counted != 0 {
					t.Errorf("seed %d: %d records are counted, and %d held", seed, h.counted, h.len())
				}
				e.out.mu.Unlock()
			}
			e.Close(nil)
			<-e.ran
			if n := budget.Held(); n != 0 {
				t.Errorf("seed %d: %d bytes are held at the end", seed, n)
			}
		})
	}
}

// A violation in the middle of what is read at once ends the connection, and everything before
// it is handled, once.
func TestViolationBehindARun(t *testing.T) {
	tell := func(n int, target string) (b []byte) {
		for i := range n {
			m := to(oneWay(fmt.Sprint(i), 3), target)
			b = m.Append(frame.AppendBinary(b, m.Size()))
		}
		return b
	}
	lying := oneWay("x", 10)
	broken := lying.Append(nil)
	broken[16] = 255 // its sender is longer than all of it
	short := []byte{byte(wire.KindRequest), byte(wire.FlagOneWay), 0, 0}
	for name, bad := range map[string][]byte{
		"a frame that is too short": append(frame.AppendBinary(nil, len(short)), short...),
		"fields beyond its end":     append(frame.AppendBinary(nil, len(broken)), broken...),
		"an empty frame":            frame.AppendBinary(nil, 0),
		"a text frame":              {0x81, 1, 'x'},
		"a masked frame":            {0x82, 0x81, 0, 0, 0, 0, 0},
	} {
		for _, n := range []int{0, 1, 2, 3, MaxRun - 1, MaxRun, MaxRun + 1} {
			synctest.Test(t, func(t *testing.T) {
				target := []string{"a", ""}[n%2] // what cannot be parsed has none
				r, p := runnerOf(t, Options{}, nil)
				p.bytes(append(tell(n, target), bad...))
				wantCode(t, r.why(), wire.CodeProtocol)
				var want []string
				for i := range n {
					want = append(want, fmt.Sprintf("%s/%d", target, i))
				}
				if got := strings.FieldsFunc(strings.Join(r.got, "+"), func(c rune) bool { return c == '+' }); !slices.Equal(got, want) {
					t.Errorf("%s behind %d: got %q", name, n, got)
				}
				if m, _ := r.Charged(); m != uint64(n) {
					t.Errorf("%s behind %d: %d messages are charged", name, n, m)
				}
			})
		}
	}
}

// One with extensions of any length is in no run: nobody looks at those of a run.
func TestExtensionsInNoRun(t *testing.T) {
	for _, n := range []int{1, 255, 256, 257, 512, 4096} {
		m := to(oneWay("x", 3), "a")
		m.Ext = bytes.Repeat([]byte{1}, n)
		if sortOf(m.Append(nil)) != single {
			t.Errorf("one with %d bytes of extensions may be in a run", n)
		}
	}
}

// A Run that waits to be used again keeps no buffer alive, and is blank: also what was looked at
// behind it, and where there was room for a part of it only.
func TestRunKeepsNothing(t *testing.T) {
	for _, test := range []struct {
		in, behind int
		room       uint64
	}{{2, 1, 99}, {2, 3, 99}, {MaxRun - 1, 1, 99}, {MaxRun, 1, 99}, {9, 0, 4}} {
		synctest.Test(t, func(t *testing.T) {
			seen := make(map[*Run]bool)
			_, p := handledBy(t, Options{Window: wire.Window{Messages: test.room, Bytes: 1 << 20}}, func(e *end) Handler {
				return &taker{end: e, runs: true, after: func(Charge) {}, run: func(r *Run) {
					seen[r] = true
					r.from.xoff = true
					new(Backlog{From: r.from}).TakeRun(r)
				}}
			})
			var all []*wire.Message
			for i := range test.in {
				all = append(all, to(oneWay(fmt.Sprint(i), 3), "a"))
			}
			for i := range test.behind {
				all = append(all, to(oneWay(fmt.Sprint(i), 3), "b"))
			}
			p.all(all...)
			synctest.Wait()
			if len(seen) == 0 {
				t.Fatal("there was no run")
			}
			for run := range seen {
				for i := range run.messages {
					if run.messages[i].Target != nil {
						t.Errorf("%v: message %d keeps its buffer", test, i)
					}
				}
				if run.Messages != nil || run.from != nil || run.backlog != nil || run.sum != 0 {
					t.Errorf("%v: it is not blank", test)
				}
			}
		})
	}
}

// One alone is no Run, also where there is room for the first of many only; and what the message
// before lacked for want of memory is not what those of a run lack.
func TestNoRunOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		var alone int
		e, p := handledBy(t, Options{Window: wire.Window{Messages: 3, Bytes: 1 << 20}}, func(e *end) Handler {
			e.in.missing = 7
			return &taker{end: e, runs: true, run: func(r *Run) { sizes = append(sizes, len(r.Messages)) },
				after: func(Charge) { alone++ }}
		})
		two := []*wire.Message{to(oneWay("0", 3), "a"), to(oneWay("1", 3), "a")}
		p.all(two...)
		synctest.Wait()
		if e.Missing() != 0 {
			t.Errorf("%d bytes are missing", e.Missing())
		}
		p.all(two...)
		wantCode(t, e.why(), wire.CodeProtocol)
		if !slices.Equal(sizes, []int{2}) || alone != 1 {
			t.Errorf("there were runs of %v, and %d alone; want one of 2, and one", sizes, alone)
		}
	})
}

// backlogOf returns a sender with that window that heeds xoff, or not.
func backlogOf(t *testing.T, w wire.Window, xoff bool) *Conn {
	t.Helper()
	h := hello(DefaultWindow)
	if xoff {
		h.Features = wire.FeatureXoff
	}
	from, p := byHandAs(t, Options{Window: w}, h, func(p *PipeEnd) Transport { return p })
	go func() {
		for {
			if _, err := p.try(); err != nil {
				return
			}
		}
	}()
	return from.Conn
}

// What a run takes of a backlog has the bounds that what comes one by one has: that of the
// bytes as well, what the other backlogs have left, and a window and one run for what comes
// before the sender has read that it is to stop. One that would not stop is not counted.
func TestTakeRun(t *testing.T) {
	const window = 160
	w := wire.Window{Messages: window, Bytes: 1 << 20}
	bytesOf := wire.Cost(wire.HeaderSize + len("0it") + 1000)
	for name, test := range map[string]func(t *testing.T){
		"bytes": func(t *testing.T) {
			from := backlogOf(t, wire.Window{Messages: 1 << 20, Bytes: uint64(bytesOf) * window}, true)
			b := &Backlog{From: from, Target: "it"}
			b.TakeRun(runOf(from, 10, 1000))
			b.TakeRun(runOf(from, 10, 1000))
			if b.off.Load() {
				t.Error("it is stopped with 20 of 30")
			}
			for range 2 {
				b.TakeRun(runOf(from, 10, 1100))
			}
			if !b.off.Load() {
				t.Error("it is not stopped with 41 of 30")
			}
		},
		"what others have left": func(t *testing.T) {
			from := backlogOf(t, w, true)
			(&Backlog{From: from, Target: "other"}).TakeRun(runOf(from, 20, 10))
			b := &Backlog{From: from, Target: "it"}
			if b.TakeRun(runOf(from, 22, 10)); !b.off.Load() { // half of 60 - 20
				t.Error("it is not stopped with 22 of 20")
			}
		},
		"not heeded": func(t *testing.T) {
			from := backlogOf(t, w, false)
			b := &Backlog{From: from, Target: "it"}
			for range 2 {
				run := runOf(from, MaxRun, 10)
				if b.TakeRun(run); run.backlog != nil || run.from != from {
					t.Error("a run is charged to the backlog of one that does not stop")
				}
			}
			if n := b.all.load() | from.backlogged.load(); n != 0 || b.off.Load() {
				t.Errorf("it is counted: %x", uint64(n))
			}
		},
		"messages after xoff": func(t *testing.T) {
			from := backlogOf(t, w, true)
			b := &Backlog{From: from, Target: "it"}
			for range 60 {
				run := runOf(from, 10, 10)
				b.TakeRun(run)
				if run.from != nil { // or the window is used up
					from.credit(run.sum)
				}
			}
			if n := b.again.load().messages(); n < window || n >= window+MaxRun {
				t.Errorf("%d messages have their room again, want a window and one run at most", n)
			}
		},
		"bytes after xoff": func(t *testing.T) {
			from := backlogOf(t, wire.Window{Messages: 1 << 20, Bytes: uint64(bytesOf) * window}, true)
			b := &Backlog{From: from, Target: "it"}
			for range 60 {
				run := runOf(from, 10, 1000)
				b.TakeRun(run)
				if run.from != nil {
					from.credit(run.sum)
				}
			}
			if n := b.again.load().messages(); n < window || n >= window+MaxRun {
				t.Errorf("%d messages have their room again, want a window and one run at most", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}

// Messages in runs count among those that came whole: the buffer of one in pieces is let go of.
func TestRunsLetGoOfPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []int
		_, p := handledBy(t, Options{}, func(e *end) Handler {
			e.in.pieces.spare = make([]byte, 0, 1<<20)
			return &taker{end: e, runs: true, run: func(*Run) { kept = append(kept, cap(e.in.pieces.spare)) }}
		})
		var all []*wire.Message
		for i := range manyWhole {
			all = append(all, to(oneWay(fmt.Sprint(i), 3), "a"))
		}
		p.all(all...)
		synctest.Wait()
		if !slices.Equal(kept, []int{0}) {
			t.Errorf("with %d messages in a run there are %v bytes still", manyWhole, kept)
		}
	})
}

// What is passed on in a run is what each on its own is, byte for byte, and has its place in the
// data stream.
func TestPostRunIsPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, _ := strangers(Options{}, Options{})
		var streams [2][]string
		for i := range streams {
			e, p := byHand(t, Options{}, DefaultWindow)
			run := runOf(from.Conn, 10, 20)
			for n := range run.Messages {
				m := &run.Messages[n]
				m.ID, m.Millis, m.Sender = uint64(n+7), 1000, []byte("not me")
				if n%3 == 0 {
					m.Flags |= wire.FlagArgs
				}
			}
			if i == 0 {
				e.PostRun(run, []byte("me"), func(m *wire.Message, err error) { t.Error(err) })
			} else {
				for n := range run.Messages {
					m := &run.Messages[n]
					m.ID, m.Millis, m.Sender = 0, 0, []byte("me")
					mustPost(t, e.Conn, Data, m)
				}
			}
			if placed, written := e.Progress(); placed != 10 || written != 0 {
				t.Errorf("of %d in the data stream %d are written, want 0 of 10", placed, written)
			}
			e.Flush()
			for range run.Messages {
				_, b, err := p.frames.Next()
				if err != nil {
					t.Fatal(err)
				}
				streams[i] = append(streams[i], string(b))
			}
			synctest.Wait()
			if !e.Written(10) || e.Written(11) {
				t.Error("the tenth is not the last that was written")
			}
			if a := e.Account(); a.Taken != 10 || a.Written != 10 {
				t.Errorf("the account is %+v", a)
			}
		}
		if !slices.Equal(streams[0], streams[1]) {
			t.Errorf("in a run it is %q, and each on its own %q", streams[0], streams[1])
		}
	})
}

// A run for which the Budget has no room is refused, as far as that goes, and counted so.
func TestPostRunBeyondTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(1 << 20)
		from, _ := strangers(Options{}, Options{})
		e, _ := byHand(t, Options{Budget: b}, wire.Window{Messages: 1, Bytes: 1})
		refused := 0
		for range 40 {
			e.PostRun(runOf(from.Conn, MaxRun, 2000), []byte("me"), func(_ *wire.Message, err error) {
				if err != ErrBudget {
					t.Errorf("it is refused because of %v", err)
				}
				refused++
			})
		}
		if b.Held() > b.Limit() {
			t.Errorf("%d bytes are held, and %d may be", b.Held(), b.Limit())
		}
		if refused == 0 || b.Refused() != uint64(refused) {
			t.Errorf("%d are refused, and %d counted so", refused, b.Refused())
		}
		e.Close(nil)
		<-e.ran
		if m, bytes := from.Charged(); m != 0 || bytes != 0 || b.Held() != 0 {
			t.Errorf("%d messages and %d bytes are charged at the end, %d bytes held", m, bytes, b.Held())
		}
	})
}

// A run, as each on its own, makes room: what is held, and nobody waits for any more, is dropped,
// and its senders have their room again at once.
func TestPostRunDropsTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from, _ := strangers(Options{}, Options{})
		e, _ := byHand(t, Options{}, wire.Window{Messages: 1, Bytes: 1 << 20})
		calls := runOf(from.Conn, 40, 20)
		var ids []uint64
		for i := range calls.Messages {
			calls.Messages[i].Flags = 0
			id, err := e.Request(&calls.Messages[i], Note{Caller: new(outcome)}, calls.Charge(i))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		for _, id := range ids[5:] {
			e.Calls().Take(id)
		}
		e.PostRun(runOf(from.Conn, 3, 20), []byte("me"), func(_ *wire.Message, err error) { t.Error(err) })
		if held := e.out.held.len(); held != 4+3 {
			t.Errorf("%d are held, want 7", held)
		}
		if m, _ := from.Charged(); m != 5+3 {
			t.Errorf("%d are charged, want 8", m)
		}
	})
}

// What was read without its end, for want of memory, is in no run.
func TestAbridgedInNoRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBudget(4 << 20)
		var costs []int
		var alone []int
		e, p := handledBy(t, Options{Budget: b}, func(e *end) Handler {
			return &taker{end: e, runs: true,
				after: func(ch Charge) { costs, alone = append(costs, ch.Cost), append(alone, e.Missing()) },
				run:   func(r *Run) { costs = append(costs, r.costs[:len(r.Messages)]...) }}
		})
		b.Keep(4 << 20)
		all := []*wire.Message{to(oneWay("0", 500_000), "a"), to(oneWay("1", 3), "a"), to(oneWay("2", 3), "a")}
		p.all(all...)
		synctest.Wait()
		b.Keep(-4 << 20)
		var want []int
		for _, m := range all {
			want = append(want, wire.Cost(m.Size()))
		}
		if !slices.Equal(costs, want) || len(alone) == 0 || alone[0] == 0 {
			t.Errorf("they are charged with %v, of which %v are missing; want %v, and most of the first", costs, alone, want)
		}
		e.Close(nil)
		<-e.ran
	})
}

// What one by one takes of a backlog has its bounds: a half of three eighths of the window where
// nobody else has some, half of what the others leave where they do, one at least; and a window
// of what the sender has its room again for.
func TestTake(t *testing.T) {
	w := wire.Window{Messages: 160, Bytes: 1 << 30}
	read := func(from *Conn) Charge {
		if !from.room.receive(100) {
			panic("beyond the window")
		}
		return Charge{From: from, Cost: 100}
	}
	takes := func(b *Backlog, n int) (all []Charge) {
		for range n {
			all = append(all, b.Take(read(b.From), false))
		}
		return all
	}
	for name, test := range map[string]func(t *testing.T){
		"alone": func(t *testing.T) {
			b := &Backlog{From: backlogOf(t, w, true), Target: "it"}
			if takes(b, 30); b.off.Load() {
				t.Error("it is stopped with 30 of 30")
			}
			if takes(b, 1); !b.off.Load() {
				t.Error("it is not stopped with 31 of 30")
			}
		},
		"one": func(t *testing.T) {
			b := &Backlog{From: backlogOf(t, wire.Window{Messages: 2, Bytes: 1 << 30}, true), Target: "it"}
			if takes(b, 1); b.off.Load() {
				t.Error("it is stopped with one")
			}
			if takes(b, 1); !b.off.Load() {
				t.Error("it is not stopped with two")
			}
		},
		"with others": func(t *testing.T) {
			from := backlogOf(t, w, true)
			takes(&Backlog{From: from, Target: "other"}, 20)
			b := &Backlog{From: from, Target: "it"}
			all := takes(b, 30) // 20, and 10 after the xoff
			if !b.off.Load() || b.again.load().messages() != 10 {
				t.Fatalf("stopped: %v; %d have their room again, want 10", b.off.Load(), b.again.load().messages())
			}
			for _, ch := range all[:20] {
				ch.Return()
			}
			if b.off.Load() {
				t.Fatal("it is stopped with 10 of 20")
			}
			if takes(b, 10); b.off.Load() {
				t.Error("it is stopped with 20 of 20")
			}
			if takes(b, 1); !b.off.Load() {
				t.Error("it is not stopped with 21 of 20")
			}
		},
		"a window": func(t *testing.T) {
			b := &Backlog{From: backlogOf(t, w, true), Target: "it"}
			all := takes(b, 30+160+20)
			if n := b.again.load().messages(); n != 160 {
				t.Errorf("%d have their room again, want a window of 160", n)
			}
			for _, ch := range all {
				ch.Return()
			}
			if m, bytes := b.From.Charged(); m != 0 || bytes != 0 {
				t.Errorf("%d messages, %d bytes are charged at the end", m, bytes)
			}
			if n := b.all.load() | b.again.load() | b.From.backlogged.load(); n != 0 || b.off.Load() {
				t.Errorf("something is in the backlog at the end: %x, stopped: %v", uint64(n), b.off.Load())
			}
		},
	} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
	}
}
