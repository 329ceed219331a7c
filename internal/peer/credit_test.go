package peer

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Whatever the window, whatever the sizes, and however long messages take their room: who
// keeps to the window is never cut off, waits no longer than the room is taken, and is told of
// all of it in the end. The counters begin close to where they pass all bits.
func TestWindows(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			one := uint64(wire.Cost(wire.HeaderSize + 4))
			w := wire.Window{
				Messages: []uint64{1, 2, 3, 4, 5, 16, 100}[rnd.IntN(7)],
				Bytes:    []uint64{1, 3, 15, 17, one, 3 * one, 20 * one, 1 << 20}[rnd.IntN(8)],
			}
			a, b := strangers(Options{}, Options{Window: w})
			shake(t, a.Conn, b.Conn)
			if start := amount(rnd.Uint64()); seed%2 == 0 {
				for _, n := range []*total{&b.room.received, &b.room.back, &b.room.told} {
					n.store(start)
				}
				b.room.seen = start
			}
			h := &taker{end: b, runs: rnd.IntN(3) > 0}
			var pending sync.WaitGroup
			slow, long := rnd.IntN(3), rand.New(rand.NewPCG(seed, 8)) // the reader's
			h.after = func(ch Charge) {
				d := time.Duration(long.IntN(50)) * time.Millisecond
				if slow == 0 || slow == 1 && d < 25*time.Millisecond {
					ch.Return()
					return
				}
				pending.Go(func() {
					time.Sleep(d)
					ch.Return()
				})
			}
			a.run(t)
			b.ran = make(chan struct{})
			go func() {
				defer close(b.ran)
				b.err = b.Conn.Run(h)
			}()
			defer func() {
				b.Close(nil)
				<-b.ran
			}()
			if rnd.IntN(2) == 0 {
				a.pipe.Slice(1 + rnd.IntN(500))
			}
			const n = 120
			begun := time.Now()
			for i := range n {
				size := []int{0, 10, 100, 3000}[rnd.IntN(4)]
				if rnd.IntN(30) == 0 {
					size = 200_000
				}
				f := []Flushing{Now, Soon, Later}[rnd.IntN(3)]
				if err := a.PostWait(t.Context(), oneWay(fmt.Sprint(i), size), f); err != nil {
					t.Fatalf("seed %d, %v: message %d: %v", seed, w, i, err)
				}
			}
			a.Flush()
			synctest.Wait()
			pending.Wait()
			synctest.Wait()
			if d := time.Since(begun); d > n*51*time.Millisecond {
				t.Errorf("seed %d, %v: it took %v", seed, w, d)
			}
			if got := h.got.Load(); got != n || h.bad != "" {
				t.Errorf("seed %d, %v: %d messages came, want %d; %s", seed, w, got, n, h.bad)
			}
			if m, bytes := b.Charged(); m != 0 || bytes != 0 {
				t.Errorf("seed %d, %v: %d messages, %d bytes are charged still", seed, w, m, bytes)
			}
			b.TellTaken()
			b.Flush()
			synctest.Wait()
			a.out.mu.Lock()
			sent, credited := a.out.sent, a.out.credited
			a.out.mu.Unlock()
			if sent != credited || sent.Messages != n {
				t.Errorf("seed %d, %v: %v were sent, %v are told to be given back", seed, w, sent, credited)
			}
			if b.err != nil {
				t.Errorf("seed %d, %v: %v", seed, w, b.err)
			}
		})
	}
}

// Room that is given back before it is owing, because little is in use, is told when so much is
// in use that it is: the reader sees that, though nothing is given back any more.
func TestOwingAtDry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const window = 160_000
		size := 1000 - wire.MessageOverhead
		var held []Charge
		hold := false
		e, p := handledBy(t, Options{Window: wire.Window{Messages: 1 << 20, Bytes: window}}, func(e *end) Handler { return e })
		e.on = func(c *Conn, m *wire.Message) {
			if hold {
				held = append(held, c.Charge(m))
				return
			}
			c.Charge(m).Return()
		}
		say := func(n int) {
			for range n {
				m := oneWay("x", 0)
				m.Body = make([]byte, size-m.Size())
				p.say(m)
			}
			synctest.Wait()
		}
		say(20) // an eighth is given back: less than a quarter
		if d := e.Stats().MessagesOut; d != 1 {
			t.Fatalf("%d messages were written, and nothing is owing", d-1)
		}
		hold = true
		say(65) // with 20 that are not told, more than half
		if d := e.Stats().MessagesOut; d != 2 {
			t.Errorf("%d messages were written, want the one credit", d-1)
		}
	})
}

// What is posted, and FlushSoon is called for, is written, whatever the reader is at.
func TestFlushSoonWhileDry(t *testing.T) {
	a, b := strangers(Options{}, Options{})
	shake(t, a.Conn, b.Conn)
	rnd := rand.New(rand.NewPCG(1, 1))
	a.dry = func() { // sometimes long, mostly not
		for range rnd.IntN(200) {
			_ = a.in.flushes.Load()
		}
	}
	came := make(chan struct{}, 1)
	b.on = func(c *Conn, m *wire.Message) {
		came <- struct{}{}
		c.Charge(m).Return()
	}
	a.on = func(c *Conn, m *wire.Message) { c.Charge(m).Return() }
	a.run(t)
	b.run(t)
	stop := make(chan struct{})
	var noise sync.WaitGroup
	noise.Go(func() { // keeps a's reader going dry
		for {
			select {
			case <-stop:
				return
			default:
			}
			if b.PostNow(oneWay("noise", 0), Now) != nil {
				runtime.Gosched()
			}
		}
	})
	for i := range 3000 {
		if err := a.Post(Control, &wire.Message{Kind: wire.KindStop}, Charge{}); err != nil {
			t.Fatal(err)
		}
		a.FlushSoon()
		select {
		case <-came:
		case <-time.After(20 * time.Second):
			t.Fatalf("message %d was posted, and is not written", i)
		}
	}
	close(stop)
	noise.Wait()
}

// Where nothing was given back nothing is told, however small the window: the other end counts
// what tells it nothing.
func TestNoCreditForNothing(t *testing.T) {
	for _, w := range []wire.Window{{Messages: 1, Bytes: 1}, {Messages: 3, Bytes: 15}, {Messages: 3, Bytes: 1 << 20}, {Messages: 100, Bytes: 3}} {
		synctest.Test(t, func(t *testing.T) {
			var held []Charge
			e, p := handledBy(t, Options{Window: w}, func(e *end) Handler {
				return &taker{end: e, after: func(ch Charge) { held = append(held, ch) }}
			})
			p.say(to(oneWay("0", 0), "a"))
			p.say(&wire.Message{Kind: wire.KindNotify})
			synctest.Wait()
			e.TellTaken()
			e.Flush()
			if n := e.Stats().MessagesOut; n != 1 || len(held) != 1 {
				t.Errorf("%v: %d credits were written for nothing", w, n-1)
			}
			held[0].Return()
			synctest.Wait()
			e.Flush()
			if n := e.Stats().MessagesOut; n != 2 && w.Messages < 100 {
				t.Errorf("%v: %d credits were written, want 1", w, n-1)
			}
		})
	}
}

// The quick look at what is owing changes nothing of the rule, and with what is stuck, three
// eighths of the window, what is not told is less than half.
func TestOwing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 5))
	pick := func(n uint64) uint64 {
		return []uint64{0, 1, n / 16, n/16 + 1, n / 8, n / 4, n/4 + 1, n / 2, rnd.Uint64N(n + 1)}[rnd.IntN(9)]
	}
	for range 200_000 {
		w := wire.Window{Messages: []uint64{1, 2, 3, 4, 7, 8, 100, 8192}[rnd.IntN(8)], Bytes: []uint64{1, 3, 15, 16, 17, 31, 33, 100, 1 << 20}[rnd.IntN(9)]}
		r := &room{window: w}
		start := amount(rnd.Uint64())
		messages, bytes, used := pick(w.Messages), pick(w.Bytes), pick(w.Bytes)
		back := start + amountOf(messages, bytes)
		r.told.store(start)
		r.back.store(back)
		r.received.store(back + amountOf(pick(w.Messages), used))
		for _, n := range []uint64{1, 2} {
			most := w.Bytes / 4
			if half := w.Bytes / 2; used >= half {
				most = min(most, w.Bytes/16)
			} else {
				most = min(most, max(w.Bytes/16, half-used))
			}
			want := messages >= max(1, w.Messages/4/n) || bytes >= max(1, most/n)
			if got := r.owing(back, n); got != want {
				t.Fatalf("%v, of which %d messages and %d bytes are not told and %d bytes in use: owing(%d) is %v", w, messages, bytes, used, n, got)
			}
			if n == 1 && !want && used <= w.Bytes*3/8 && bytes > 0 && used+bytes >= max(1, w.Bytes/2) {
				t.Fatalf("%v: %d bytes in use and %d not told are half of it", w, used, bytes)
			}
		}
	}
}

// What is half owing goes along with what is written anyway, and not alone.
func TestCreditGoesAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := handledBy(t, Options{Window: wire.Window{Messages: 80, Bytes: 1 << 20}}, func(e *end) Handler {
			return &taker{end: e, after: func(ch Charge) { ch.Return() }}
		})
		for n, want := range []uint64{9: 0, 10: 1} { // an eighth of it
			if n == 0 {
				continue
			}
			p.say(to(oneWay(fmt.Sprint(n), 0), "a"))
			synctest.Wait()
			e.Flush()
			before := e.Stats().MessagesOut
			if n < 9 {
				continue
			}
			mustPost(t, e.Conn, Control, &wire.Message{Kind: wire.KindStop})
			e.Flush()
			if got := e.Stats().MessagesOut - before - 1; got != want {
				t.Errorf("with %d of 80 given back %d credits went along, want %d", n, got, want)
			}
		}
	})
}

// A window beyond what can be counted is granted, and said to be granted, as far as it can.
func TestLargestWindow(t *testing.T) {
	a, b := strangers(Options{Window: wire.Window{Messages: 1 << 40, Bytes: 1 << 50}}, Options{Window: wire.Window{Messages: 1<<64 - 1, Bytes: 1}})
	for c, want := range map[*Conn]wire.Window{a.Conn: {Messages: 1 << 22, Bytes: 1 << 38}, b.Conn: {Messages: 1 << 22, Bytes: 1}} {
		if w := c.Window(); w != want || w != c.room.window {
			t.Errorf("it grants %v, and counts %v; want %v", w, c.room.window, want)
		}
	}
}
