package peer

import (
	"fmt"
	"slices"
	"strings"
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
	sizes := []int{300_000, 1 << 20, 6 << 20, 200_000, 1 << 20, 1 << 20, 3 << 20}
	sender := strings.Repeat("s", 255)
	for name, room := range map[string]wire.Window{"at once": wide, "held": {Messages: 2, Bytes: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				budget := NewBudget(1 << 30)
				o := Options{Window: wide, Budget: budget, Pool: new(Pool), Outbox: Limits{Data: 64 << 20}}
				asks, left := pair(t, Options{Window: wide, Outbox: o.Outbox}, o)
				right, answers := pair(t, o, Options{Window: room})
				before := budget.Held()

				passed := 0
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
					passed++
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
				if passed != 2*len(sizes) {
					t.Errorf("%d messages were passed on", passed)
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
