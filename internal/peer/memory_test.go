package peer

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"unsafe"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// back is a Caller that passes replies on.
type back func(id uint64, m *wire.Message)

func (b back) Result(id uint64, m *wire.Message) { b(id, m) }
func (b back) Failed(uint64, *wire.Error)        {}

// A large message stays where it was read until it has left again, whether it goes at once or has to
// wait for room, and whoever it is said to be from. What is posted once more is copied. All of it
// comes as it was, and what is counted is given back.
func TestPassedOnWhereItLies(t *testing.T) {
	sizes := []int{200_000, 300_000, 1 << 20, 1 << 20, 1 << 20, 3 << 20, 6 << 20}
	sender := strings.Repeat("s", 255)
	for name, room := range map[string]wire.Window{"at once": wide, "held": {Messages: 2, Bytes: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				budget := NewBudget(1 << 30)
				o := Options{Window: wide, Budget: budget, Pool: new(Pool), Outbox: Limits{Data: 64 << 20}}
				asks, left := pair(t, Options{Window: wide, Outbox: o.Outbox}, o)
				right, answers := pair(t, o, Options{Window: room})
				before := budget.Held()

				var passed atomic.Int64 // by both readers of the hub
				check := func(to *end, class Class, m *wire.Message, body *byte) {
					if m.Own != nil {
						t.Errorf("whoever posts %q again may have what it lies in, too", m.Command)
					}
					to.out.mu.Lock()
					defer to.out.mu.Unlock()
					k := to.out.lanes[class].tail
					if class == Data && to.out.held.len() > 0 {
						k = to.out.held.frames.tail
					}
					if k.body == 0 || &k.b[k.body] != body {
						t.Errorf("%d bytes were copied", len(m.Body))
					}
					passed.Add(1)
				}
				left.on = func(c *Conn, m *wire.Message) {
					if m.Kind != wire.KindRequest {
						return
					}
					m.Sender = []byte(sender)
					once := *m
					once.Own = nil
					once.Flags |= wire.FlagOneWay
					body := unsafe.SliceData(m.Body)
					reply := back(func(id uint64, m *wire.Message) {
						m.ID = id
						body := unsafe.SliceData(m.Body)
						mustPost(t, left.Conn, Reply, m)
						check(left, Reply, m, body)
					})
					mustPost(t, right.Conn, Data, &once)
					if _, err := right.Request(m, Note{Caller: reply, ID: m.ID}, c.Charge(m)); err != nil {
						t.Error(err)
					}
					check(right, Data, m, body)
				}
				left.dry, right.dry = right.Flush, left.Flush
				var told heard
				answers.on = func(c *Conn, m *wire.Message) {
					if m.Kind != wire.KindRequest {
						return
					}
					if string(m.Sender) != sender {
						t.Errorf("%q is from %q", m.Command, m.Sender)
					}
					if m.Flags&wire.FlagOneWay != 0 {
						told.add(c, m)
						return
					}
					ch := c.Charge(m)
					mustPost(t, c, Reply, &wire.Message{Kind: wire.KindReply, ID: m.ID, Codec: m.Codec, Body: m.Body})
					ch.Return()
				}
				answers.dry = answers.Flush

				var heard heard
				var want, wantTold []string
				for n, size := range sizes {
					m := request(fmt.Sprint("m", n), 0)
					m.Body = random(size)
					if _, err := asks.Request(m, Note{Caller: &heard, ID: uint64(n)}, Charge{}); err != nil {
						t.Fatal(err)
					}
					want = append(want, fmt.Sprintf("reply %d %d as it was", n, size))
					wantTold = append(wantTold, fmt.Sprintf("m%d %d as it was", n, size))
				}
				asks.Flush()
				synctest.Wait()
				if got := heard.list(); !slices.Equal(got, want) {
					t.Errorf("the answers are %q, want %q", got, want)
				}
				if got := told.list(); !slices.Equal(got, wantTold) {
					t.Errorf("told were %q, want %q", got, wantTold)
				}
				if n := passed.Load(); n != int64(2*len(sizes)) {
					t.Errorf("%d messages were passed on", n)
				}
				for range manyWhole + 1 { // nothing is kept for another large one then
					mustPost(t, asks.Conn, Control, &wire.Message{Kind: wire.KindNotify})
					mustPost(t, answers.Conn, Control, &wire.Message{Kind: wire.KindNotify})
				}
				asks.Flush()
				answers.Flush()
				synctest.Wait()
				if held := budget.Held(); held != before {
					t.Errorf("%d bytes are counted, %d before", held, before)
				}
			})
		})
	}
}

// stuck returns a hub between who asks and one who gives no room back: how it posts is passed.
func stuck(t *testing.T, b *Budget, post func(c *Conn, m *wire.Message)) (asks, to *end) {
	t.Helper()
	o := Options{Window: wide, Budget: b, Pool: new(Pool), Outbox: Limits{DataHard: 64 << 20}}
	asks, left := pair(t, Options{Window: wide, Outbox: o.Outbox}, o)
	to, far := pair(t, o, Options{Window: wire.Window{Messages: 1, Bytes: 1 << 20}})
	far.on = func(*Conn, *wire.Message) {}
	left.on = func(c *Conn, m *wire.Message) {
		if m.Kind == wire.KindRequest {
			post(to.Conn, m)
			c.Charge(m).Return()
		}
	}
	left.dry = to.Flush
	return asks, to
}

// What waits for one who is stuck takes about as much memory as it has bytes, however large what
// came before it.
func TestHeldTakesWhatItIs(t *testing.T) {
	for _, size := range []int{140 << 10, 270 << 10} {
		synctest.Test(t, func(t *testing.T) {
			asks, to := stuck(t, NewBudget(1<<30), func(c *Conn, m *wire.Message) { mustPost(t, c, Data, m) })
			for n := range 50 {
				m := oneWay("m", size)
				if n == 0 {
					m = oneWay("large", 4<<20)
				}
				mustPost(t, asks.Conn, Data, m)
				asks.Flush()
				synctest.Wait()
			}
			if all, _ := to.Holds(); all > 2*to.Queued(Data)+1<<20 {
				t.Errorf("%d bytes are held for %d that wait", all, to.Queued(Data))
			}
		})
	}
}

// A message has the memory that it needs of a small budget, though a buffer for others as well would
// be beyond that.
func TestLargeInSmallBudget(t *testing.T) {
	for limit, size := range map[int64]int{1 << 20: 310_000, 2 << 20: 600_000, 4 << 20: 1_200_000, 8 << 20: 2_400_000} {
		synctest.Test(t, func(t *testing.T) {
			asks, e := pair(t, Options{Window: wide}, Options{Window: wide, Budget: NewBudget(limit)})
			e.on = func(c *Conn, m *wire.Message) {
				if m.Kind == wire.KindRequest && c.Missing() > 0 {
					t.Errorf("a budget of %d bytes: %d of a message of %d are dropped", limit, c.Missing(), size)
				}
				c.Charge(m).Return()
			}
			mustPost(t, asks.Conn, Data, oneWay("m", size))
			asks.Flush()
			synctest.Wait()
		})
	}
}

// What is beyond all buffers that are pooled is made once for the reader and once for the outbox: it
// does not grow anew with each message.
func TestLargestDoNotGrowAnew(t *testing.T) {
	const size, n = 8 << 20, 10
	o := Options{Window: wide, Pool: new(Pool), Outbox: Limits{DataHard: 64 << 20}}
	over := func() (near, far *end) {
		a, b := connected(t, "unix")
		near, far = &end{Conn: New(NewTransport(a), o)}, &end{Conn: New(NewTransport(b), o)}
		shake(t, near.Conn, far.Conn)
		return near, far
	}
	asks, left := over()
	right, answers := over()
	came := make(chan struct{})
	answers.on = func(c *Conn, m *wire.Message) {
		c.Charge(m).Return()
		if m.Kind == wire.KindRequest {
			came <- struct{}{}
		}
	}
	left.on = func(c *Conn, m *wire.Message) {
		if m.Kind == wire.KindRequest {
			mustPost(t, right.Conn, Data, m)
			c.Charge(m).Return()
		}
	}
	left.dry = right.Flush
	for _, e := range []*end{asks, left, right, answers} {
		e.run(t)
	}
	body := make([]byte, size)
	pass := func() {
		m := oneWay("m", 0)
		m.Body = body
		mustPost(t, asks.Conn, Data, m)
		asks.Flush()
		<-came
	}
	pass()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		pass()
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / n; each > 5*size/2 { // the asker's outbox, and the hub's
		t.Errorf("a message of %d bytes allocates %d", size, each)
	}
}
