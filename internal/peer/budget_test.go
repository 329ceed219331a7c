package peer

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Those who do not read cannot hold more together than the budget, each is left its part
// whatever the others hold, and when they are gone nothing is held.
func TestBudget(t *testing.T) {
	const limit = 8 << 20
	for _, test := range []struct {
		name string
		m    *wire.Message
		size int
	}{
		{"one-way", oneWay("c", 10_000), 10_000},
		{"large one-way", oneWay("c", 1<<20), 1 << 20},
		{"replies", &wire.Message{Kind: wire.KindReply, ID: 1, Body: make([]byte, 10_000)}, 10_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := NewBudget(limit)
				var stuck []*end
				class := Data
				if test.m.Kind == wire.KindReply {
					class = Reply
				}
				for range 20 {
					e, _ := byHand(t, Options{Budget: b}, wire.Window{Messages: 1 << 20, Bytes: 1 << 40})
					e.pipe.Stall(true)
					stuck = append(stuck, e)
				}
				for range 5 {
					for _, e := range stuck {
						for e.Post(class, test.m, Charge{}) == nil {
							if b.Held() > limit {
								t.Fatalf("%d bytes are held, and the limit is %d", b.Held(), limit)
							}
							e.Flush()
						}
					}
				}
				if err := stuck[0].Post(class, test.m, Charge{}); !errors.Is(err, ErrBudget) {
					t.Errorf("there is still room: %v", err)
				}
				if b.Held() < limit/4 {
					t.Errorf("it was full with %d of %d bytes", b.Held(), limit)
				}
				if b.Refused() == 0 {
					t.Error("nothing was counted as refused")
				}
				fresh, _ := byHand(t, Options{Budget: b}, DefaultWindow)
				var o outcome
				if err := fresh.Post(Data, oneWay("c", 1000), Charge{}); err != nil {
					t.Errorf("one that holds nothing is refused a small message: %v", err)
				}
				if _, err := fresh.Request(request("c", 1000), Note{Caller: &o}, Charge{}); err != nil {
					t.Errorf("… and a call: %v", err)
				}
				m := wire.Errorf(wire.CodeOverloaded, "no").Frame(wire.KindError, 1)
				if err := fresh.Post(Reply, &m, Charge{}); err != nil {
					t.Errorf("… and an error: %v", err)
				}
				if err := stuck[1].Post(Control, &wire.Message{Kind: wire.KindStop}, Charge{}); err != nil {
					t.Errorf("one that does not read is not told to stop: %v", err)
				}
				if err := stuck[1].Post(Ordered, &wire.Message{Kind: wire.KindDown}, Charge{}); err != nil {
					t.Errorf("… nor of an end: %v", err)
				}
				if err := stuck[1].Post(Ordered, &wire.Message{Kind: wire.KindDown, Body: make([]byte, 3<<20)}, Charge{}); !errors.Is(err, ErrBudget) {
					t.Errorf("… but of one with many last words: %v", err)
				}
				for _, e := range append(stuck, fresh) {
					e.Close(nil)
					_ = e.why()
				}
				if b.Held() != 0 {
					t.Errorf("%d bytes are held, and nobody is there", b.Held())
				}
			})
		})
	}
}

// What is read and for which there is no memory is an answer all the same: a result
// becomes an error, a request is for the Handler to refuse and is charged as it came.
func TestBudgetOfWhatIsRead(t *testing.T) {
	for _, pieces := range []int{0, farPiece, nearPiece, 2 << 20} {
		t.Run(fmt.Sprint(pieces), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { budgetOfWhatIsRead(t, pieces) })
		})
	}
}

// budgetOfWhatIsRead has what is large come in pieces of so many bytes; 0: whole.
func budgetOfWhatIsRead(t *testing.T, pieces int) {
	b := NewBudget(4 << 20)
	e, p := takesPieces(t, Options{Budget: b, Window: DefaultWindow})
	say := func(m *wire.Message) {
		whole := m.Append(nil)
		if pieces == 0 {
			p.say(m)
			return
		}
		for at := 0; at < len(whole); at += pieces {
			p.bytes(pieceFrame(wire.Piece{First: at == 0, Reply: m.Kind == wire.KindReply, Left: uint64(len(whole) - at)}, whole[at:min(at+pieces, len(whole))]))
		}
	}
	missing := make(chan [2]int, 1)
	e.on = func(c *Conn, m *wire.Message) {
		charge := c.Charge(m)
		names := m.Size() - len(m.Ext) - len(m.Body)
		seen := [2]int{m.Size() + c.Missing() - names, charge.Cost - wire.Cost(names)}
		charge.Return()
		missing <- seen
	}
	var o outcome
	id, err := e.Request(request("ask", 10), Note{Caller: &o, ID: 7}, Charge{})
	if err != nil {
		t.Fatal(err)
	}
	e.Flush()
	for p.next().kind != wire.KindRequest {
	}
	b.Keep(4 << 20)
	say(&wire.Message{Kind: wire.KindReply, ID: id, Body: make([]byte, 1<<20)})
	say(oneWay("big", 500_000))
	if got := <-missing; got != [2]int{500_000, 500_000} {
		t.Errorf("of a request of 500000 bytes %d are known of, and %d charged", got[0], got[1])
	}
	for _, n := range []int{3_000, 60_000} { // what is kept of it ends in its extensions
		m := oneWay("big", 440_000)
		m.Ext = wire.AppendExt(nil, wire.ExtTrace, make([]byte, n))
		say(m)
		if got, want := <-missing, len(m.Ext)+len(m.Body); got != [2]int{want, want} {
			t.Errorf("of a request of %d bytes behind its names %d are known of, and %d charged", want, got[0], got[1])
		}
	}
	if code := wantCode(t, o.of(t, 7), wire.CodeOverloaded); code.Started != wire.StartedYes {
		t.Errorf("the caller is told %v, and not that the handler ran", code)
	}
	if n, bytes := e.Charged(); n != 0 || bytes != 0 {
		t.Errorf("%d messages, %d bytes are charged", n, bytes)
	}
	b.Keep(-4 << 20)
	say(oneWay("big", 500_000))
	if got := <-missing; got[0] != 500_000 || e.Missing() != 0 {
		t.Errorf("with room %d bytes came, and %d are missing", got[0], e.Missing())
	}
	e.Close(nil)
	_ = e.why()
	if b.Held() != 0 {
		t.Errorf("%d bytes are held", b.Held())
	}
}

// TestNothingIsKeptAtRest: the buffer of a message that came in pieces is kept for the next one,
// if it is little of the budget, and for no longer than two heartbeats. Others could not have it.
func TestNothingIsKeptAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const large, larger = 256 << 10, 1 << 20
		b := NewBudget(32 * (large + large/8)) // buffers are of a power of two and an eighth
		e, p := takesPieces(t, Options{Budget: b, Window: wide})
		e.on = func(c *Conn, m *wire.Message) { c.Charge(m).Return() }
		held := func(after func()) int64 {
			after()
			synctest.Wait()
			return b.held.Load()
		}
		big := func(n int) func() {
			return func() {
				whole := oneWay("big", n).Append(nil)
				for at := 0; at < len(whole); at += largeChunk {
					p.bytes(pieceFrame(wire.Piece{First: at == 0, Left: uint64(len(whole) - at)}, whole[at:min(at+largeChunk, len(whole))]))
				}
			}
		}
		beat := func() { p.say(&wire.Message{Kind: wire.KindNotify}) }
		before := held(func() {})
		if n := held(big(larger)) - before; n != 0 {
			t.Errorf("%d bytes are kept for another large message, which is much of the budget", n)
		}
		if n := held(big(large)) - before; n < large {
			t.Errorf("%d bytes are kept for another message of %d, want those", n, large)
		}
		if n := held(beat) - before; n < large {
			t.Errorf("%d bytes are kept beyond a heartbeat, want %d: more may be on its way", n, large)
		}
		if n := held(beat) - before; n != 0 {
			t.Errorf("%d bytes are kept beyond two heartbeats", n)
		}
	})
}
