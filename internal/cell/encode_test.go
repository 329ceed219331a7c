package cell

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// lump is a value that is bytes.
type lump struct{ word }

func (l lump) Bytes() ([]byte, bool) { return []byte(l.word), l.word != "" }

// A message says who waits for it and how long; what was in the buffer stays.
func TestMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		message := func(s Scope, target, command string, v Value, deadline time.Time, buf []byte) (m wire.Message, b []byte, err *wire.Error) {
			b, err = s.Message(&m, target, command, v, deadline, buf)
			return m, b, err
		}
		plain := Scope{Host: &host{}}
		m, buf, err := message(plain, "it", "work", word("w"), time.Now().Add(1500*time.Millisecond), []byte("before"))
		if err != nil || string(m.Target) != "it" || string(m.Command) != "work" || m.Kind != wire.KindRequest || m.Millis != 1500 || m.Flags != 0 {
			t.Errorf("%+v, %v", m, err)
		}
		if string(buf[:6]) != "before" || !bytes.Equal(m.Body, []byte{0x61, 'w'}) || m.Codec != wire.CodecCBOR {
			t.Errorf("%q, %q", buf, m.Body)
		}
		if m, _, err = message(plain, "it", "work", nil, time.Time{}, nil); err != nil || len(m.Body) != 0 || m.Codec != wire.CodecNone || m.Millis != 0 {
			t.Errorf("without a value: %+v, %v", m, err)
		}
		if m, _, err = message(plain, "it", "work", lump{"tail"}, time.Time{}, nil); err != nil || string(m.Tail) != "tail" || !bytes.Equal(m.Body, []byte{0x44}) {
			t.Errorf("bytes: %+v, %v", m, err)
		}
		if _, _, err = message(plain, "it", "work", word(""), time.Time{}, nil); err == nil || err.Code != wire.CodeNotEncodable || err.Started != wire.StartedNo {
			t.Errorf("not encodable: %v", err)
		}
		for _, long := range [][2]string{{strings.Repeat("t", 256), "c"}, {"t", strings.Repeat("c", 256)}} {
			if _, _, err = message(plain, long[0], long[1], nil, time.Time{}, nil); err == nil || err.Code != wire.CodeInvalid || err.Started != wire.StartedNo {
				t.Errorf("too long: %v", err)
			}
		}
		for _, mode := range []Mode{Serial, Interleaved} {
			turn := turnOf(time.Time{})
			turn.cell.spec.Mode = mode
			within, soon := Scope{turn.cell.host, turn.cell, turn}, time.Now().Add(time.Second)
			m, _, err := message(within, "it", "work", word("w"), soon, nil)
			if parent, ok := m.Parent(); err != nil || !ok || parent != 7 || m.CheckExt() != nil {
				t.Errorf("%v: the parent is %d, %v, %v", mode, parent, ok, err)
			}
			if m, _, err := message(within, "it", "work", word("w"), time.Time{}, nil); err != nil || len(m.Ext) > 0 {
				t.Errorf("%v: one way: %x, %v", mode, m.Ext, err)
			}
			turn.call = 0 // that of a timer
			m, _, err = message(within, "it", "work", word("w"), soon, nil)
			if parent, ok := m.Parent(); err != nil || !ok || parent != 0 || m.CheckExt() != nil {
				t.Errorf("%v: the parent of a timer's is %d, %v, %v", mode, parent, ok, err)
			}
			if holds := m.Flags&wire.FlagTurn != 0; holds != (mode == Serial) {
				t.Errorf("%v keeps its turn: %v", mode, holds)
			}
		}
	})
}

// A reply is encoded as was asked; what has no image is an error that says that the
// handler ran.
func TestReply(t *testing.T) {
	r := &Request{ID: 9, Codec: wire.CodecJSON}
	var m wire.Message
	buf, err := r.Reply(&m, word("w"), []byte("before"))
	if err != nil || m.Kind != wire.KindReply || m.ID != 9 || m.Codec != wire.CodecJSON || string(m.Body) != `"w"` || string(buf[:6]) != "before" {
		t.Errorf("%+v, %v", m, err)
	}
	m = wire.Message{}
	if _, err = r.Reply(&m, nil, nil); err != nil || m.Codec != wire.CodecNone || len(m.Body) != 0 {
		t.Errorf("nothing: %+v, %v", m, err)
	}
	if _, err = r.Reply(new(wire.Message), word(""), nil); err == nil || err.Code != wire.CodeNotEncodable || err.Started != wire.StartedYes || !strings.Contains(err.Message, "its result") {
		t.Errorf("no image: %v", err)
	}
	m = wire.Message{}
	if _, err = r.Reply(&m, lump{"tail"}, nil); err != nil || len(m.Tail) != 0 || m.Codec != wire.CodecJSON {
		t.Errorf("bytes as JSON: %+v, %v", m, err)
	}
}

// A request keeps nothing of the buffer it was read from, and a request that is
// used again nothing of the one before.
func TestReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGates()
		c := newCell(g, nil)
		var kept []byte
		var saw []Request
		c.spec.Commands["keep"] = &Command{CommandInfo: wire.CommandInfo{Name: "keep"}, Run: func(_ context.Context, _ any, r *Request) (Value, error) {
			saw = append(saw, Request{Command: r.Command, Sender: r.Sender, ID: r.ID, due: r.due, Codec: r.Codec, Chained: r.Chained, Value: r.Value})
			if e, ok := r.Value.(*Encoded); ok && kept == nil && e.Keep() {
				kept = e.Data
			}
			return nil, nil
		}}
		c.Start()
		body, sender := []byte("body 1"), []byte("sender")
		m := wire.Message{
			Kind: wire.KindRequest, ID: 5, Sender: sender, Command: []byte("keep"), Millis: 2000, Codec: wire.CodecCBOR, Body: body,
			Flags: wire.FlagChained | wire.FlagArgs,
		}
		s := &source{}
		r := c.Receive(&m, s, 10)
		copy(body, "XXXXXX")
		copy(sender, "XXXXXX")
		if e := r.Value.(*Encoded); string(e.Data) != "body 1" || !e.Args || r.Sender != "sender" || !r.Chained || r.ID != 5 || r.due.left() != 2*time.Second || r.Size != m.Size() {
			t.Errorf("%+v", r)
		}
		for n := range 20 {
			if n > 0 {
				r = c.Receive(&wire.Message{Kind: wire.KindRequest, ID: 6, Command: []byte("keep"), Flags: wire.FlagOneWay}, s, 10)
				if n%2 == 0 {
					r = c.Receive(&wire.Message{Kind: wire.KindRequest, ID: 6, Command: []byte("keep"), Codec: wire.CodecCBOR, Body: []byte("body 2")}, s, 10)
				}
			}
			if e := c.Deliver(r); e != nil {
				t.Fatal(e)
			}
			synctest.Wait()
		}
		s.want(t, "twenty", 20, 20)
		if string(kept) != "body 1" {
			t.Errorf("what the handler kept became %q", kept)
		}
		for n, r := range saw[1:] {
			if r.Sender != "" || r.due != 0 || r.Chained || (r.ID == 0) != (n%2 == 0) || (r.Value == nil) != (n%2 == 0) {
				t.Errorf("number %d has something of the one before: %+v", n+1, r)
			}
		}
		if r := c.Receive(&wire.Message{Command: []byte("unknown")}, s, 0); r.Command != "unknown" || c.Deliver(r) == nil {
			t.Errorf("%+v", r)
		}
	})
}

// What is lent is used again although the handler had these very bytes; what may be kept is
// not, and where races are looked for what is used again is overwritten first.
func TestReceiveLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, size := range []int{100, 10 << 10} {
			var saw []byte
			see := func(_ context.Context, _ any, r *Request) (Value, error) {
				if e := r.Value.(*Encoded); e.Keep() {
					saw = e.Data
				}
				return nil, nil
			}
			c := newCell(newGates(), func(s *Spec) {
				s.Commands["keep"] = &Command{CommandInfo: wire.CommandInfo{Name: "keep"}, Keeps: true, Run: see}
				s.Commands["lend"] = &Command{CommandInfo: wire.CommandInfo{Name: "lend"}, Lends: true, Run: see}
			})
			c.Start()
			for _, command := range []string{"keep", "lend"} {
				body := bytes.Repeat([]byte{1}, size)
				if e := c.Deliver(c.Receive(&wire.Message{Kind: wire.KindRequest, Command: []byte(command), Codec: wire.CodecRaw, Body: body}, &source{}, 10)); e != nil {
					t.Fatal(e)
				}
				synctest.Wait()
				lent := command == "lend"
				if len(saw) != size || (saw[0] == 1) != (!lent || !spoils) {
					t.Errorf("%s: %d bytes, which are %d afterwards", command, len(saw), saw[0])
				}
				if _, bytes := bodySize(size); size > maxKept && (cap(saw) == bytes) != lent {
					t.Errorf("%s: a buffer of %d bytes", command, cap(saw))
				}
			}
		}
	})
}

// A large message for a handler that keeps nothing stays in what it lies in, for which whoever has
// read it gets another buffer; it is used again when the handler has ended. One that may keep its
// argument gets a copy, and one that nobody knows takes nothing.
func TestReceiveTakesWhatItLiesIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saw []byte
		see := func(_ context.Context, _ any, r *Request) (Value, error) {
			saw = bytes.Clone(r.Value.(*Encoded).Data)
			return nil, nil
		}
		c := newCell(newGates(), func(s *Spec) {
			for name, keeps := range map[string]bool{"keep": true, "read": false} {
				s.Commands[name] = &Command{CommandInfo: wire.CommandInfo{Name: name}, Keeps: keeps, Run: see}
			}
		})
		c.Start()
		again := 0
		for n := range 100 {
			for command, takes := range map[string]bool{"keep": false, "read": true, "unknown": false} {
				lies := make([]byte, wire.BufferSize(300_000))
				for i := range lies {
					lies[i] = byte(n)
				}
				whole := lies[:300_000]
				own := wire.NewMemory(whole)
				m := wire.Message{Kind: wire.KindRequest, Command: []byte(command), Codec: wire.CodecRaw, Body: whole[500:], Own: own}
				r := c.Receive(&m, &source{}, 10)
				data := r.Value.(*Encoded).Data
				if (&data[0] == &whole[500]) != takes || (m.Own == nil) != takes {
					t.Fatalf("%s: copied %t, and what it lies in may be had still: %t", command, &data[0] != &whole[500], m.Own != nil)
				}
				left := own.Swap(nil)
				if (&left[:1][0] == &lies[0]) == takes || cap(left) != cap(lies) {
					t.Fatalf("%s: a buffer of %d bytes is left, of %d", command, cap(left), cap(lies))
				}
				if e := c.Deliver(r); (e != nil) != (command == "unknown") {
					t.Fatal(e)
				}
				synctest.Wait()
				if command == "unknown" {
					continue
				}
				if len(saw) != len(whole)-500 || saw[0] != byte(n) || saw[len(saw)-1] != byte(n) {
					t.Fatalf("%s: the handler saw %d bytes, the first %d", command, len(saw), saw[0])
				}
				if b := c.spec.bodies.get(300_000); takes && &b[:1][0] == &lies[0] {
					again++ // under the race detector a pool forgets some
				}
			}
		}
		if again < 10 {
			t.Errorf("what was taken came again %d times of 100", again)
		}
	})
}
