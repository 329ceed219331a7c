package peer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// A far end that never reads costs what the limits say and no more, and nobody who
// posts waits: in the bubble a wait would be a deadlock.
func TestFull(t *testing.T) {
	const size = 1000
	limits := Limits{Control: 50_000, Reply: 100_000, Data: 150_000, DataHard: 200_000}
	for _, test := range []struct {
		name  string
		class Class
		m     *wire.Message
		limit int
	}{
		{"control", Control, &wire.Message{Kind: wire.KindNotify, Body: make([]byte, size)}, limits.Control},
		{"reply", Reply, &wire.Message{Kind: wire.KindReply, ID: 1, Body: make([]byte, size)}, limits.Reply - limits.Reply/8},
		{"error", Reply, &wire.Message{Kind: wire.KindError, ID: 1, Body: make([]byte, size)}, limits.Reply - limits.Reply/8},
		{"short reply", Reply, &wire.Message{Kind: wire.KindReply, ID: 1, Body: make([]byte, size/2)}, limits.Reply},
		{"short error", Reply, &wire.Message{Kind: wire.KindError, ID: 1, Body: make([]byte, size/2)}, limits.Reply},
		{"short undelivered", Reply, &wire.Message{Kind: wire.KindUndelivered, Body: make([]byte, size/2)}, limits.Reply - limits.Reply/8},
		{"call", Data, request("c", size), limits.Data},
		{"one-way", Data, oneWay("c", size), limits.DataHard},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, _ := byHand(t, Options{Outbox: limits}, DefaultWindow)
				e.pipe.Stall(true)
				taken := 0
				for ; ; taken++ {
					if err := e.Post(test.class, test.m, Charge{}); err != nil {
						if err != ErrFull {
							t.Fatalf("Post: %v, want %v", err, ErrFull)
						}
						break
					}
					if taken > 1000 {
						t.Fatal("it is never full")
					}
					e.Flush()
				}
				if queued := e.Stats().Queued[test.class]; queued > test.limit || queued < test.limit-2*size {
					t.Errorf("%d bytes are queued, the limit is %d", queued, test.limit)
				}
				if err := e.Post(Ordered, &wire.Message{Kind: wire.KindDown}, Charge{}); err != nil {
					t.Errorf("an ordered message was refused: %v", err)
				}
				for class := range Data {
					if err := e.Post(class, &wire.Message{Kind: wire.KindNotify}, Charge{}); class != test.class && err != nil {
						t.Errorf("class %d was refused because %d is full: %v", class, test.class, err)
					}
				}
				e.pipe.Stall(false)
				synctest.Wait()
				// The far end has not read, but the pipe took it: there is room again.
				if err := e.Post(test.class, test.m, Charge{}); err != nil {
					t.Errorf("after the far end took everything: %v", err)
				}
			})
		})
	}
}

// A call to a full outbox is refused as not started, and its Caller told nothing.
func TestRequestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := byHand(t, Options{Outbox: Limits{Data: 10_000}}, wire.Window{Messages: 1, Bytes: 1})
		var o outcome
		for id := uint64(1); ; id++ {
			_, err := e.Request(request("ask", 1000), Note{Caller: &o, ID: id}, Charge{})
			if err == nil {
				continue
			}
			if wantCode(t, err, wire.CodeOverloaded).Started != wire.StartedNo {
				t.Error("the error does not say that it did not start")
			}
			if e.Calls().Len() != int(id-1) || o.len() != 0 {
				t.Errorf("%d calls are in flight, %d ended; want %d and none", e.Calls().Len(), o.len(), id-1)
			}
			return
		}
	})
}

// What can never be sent is refused before anything is queued.
func TestCannotBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := byHand(t, Options{MaxMessage: 1000}, DefaultWindow)
		var o outcome
		long := oneWay(strings.Repeat("c", 256), 0)
		for code, m := range map[wire.Code]*wire.Message{wire.CodeTooLarge: oneWay("c", 1000), wire.CodeInvalid: long} {
			wantCode(t, e.Post(Data, m, Charge{}), code)
			wantCode(t, e.PostWait(t.Context(), m, Later), code)
			_, err := e.Request(m, Note{Caller: &o}, Charge{})
			wantCode(t, err, code)
			_, err = e.RequestWait(t.Context(), m, Note{Caller: &o}, Later)
			wantCode(t, err, code)
		}
		if e.Calls().Len() != 0 || o.len() != 0 || e.Stats().Queued != [3]int{} {
			t.Error("something was left of what was refused")
		}
	})
}

// Each class keeps its order, whatever the sizes and however the transport cuts.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Options{Window: wire.Window{Messages: 1 << 20, Bytes: 1 << 30}}, Options{Window: wire.Window{Messages: 1 << 20, Bytes: 1 << 30}})
		a.pipe.Slice(1021)
		const n = 300
		sizes := [...]int{0, 10, 125, 126, 5000, 17 << 10, 70 << 10}
		for i := range n {
			size := sizes[i%len(sizes)]
			mustPost(t, a.Conn, Control, &wire.Message{Kind: wire.KindNotify, ID: uint64(i)})
			mustPost(t, a.Conn, Reply, &wire.Message{Kind: wire.KindXoff, ID: uint64(i), Body: make([]byte, size)})
			m := oneWay("", size)
			m.ID = uint64(i)
			if i%5 == 0 { // keeps its place among the data
				mustPost(t, a.Conn, Ordered, &wire.Message{Kind: wire.KindRequest, ID: uint64(i)})
			} else {
				mustPost(t, a.Conn, Data, m)
			}
			if i%7 == 0 {
				a.Flush()
			}
		}
		a.Flush()
		synctest.Wait()
		next := map[wire.Kind]uint64{}
		for _, l := range b.got() {
			if l.id != next[l.kind] {
				t.Fatalf("%v %d came, want %d", l.kind, l.id, next[l.kind])
			}
			next[l.kind]++
		}
		for _, kind := range [...]wire.Kind{wire.KindNotify, wire.KindXoff, wire.KindRequest} {
			if next[kind] != n {
				t.Errorf("%d of kind %v came, want %d", next[kind], kind, n)
			}
		}
	})
}

// Control passes ahead of megabytes of data, behind at most what was being written.
func TestControlPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wire.Window{Messages: 1 << 20, Bytes: 1 << 30})
		e.pipe.Stall(true)
		const n = 200
		for range n {
			mustPost(t, e.Conn, Data, oneWay("bulk", 30<<10))
		}
		e.Flush()
		synctest.Wait()
		mustPost(t, e.Conn, Control, &wire.Message{Kind: wire.KindStop})
		e.Flush()
		e.pipe.Stall(false)
		for i := range n + 1 {
			if p.next().kind == wire.KindStop {
				if i*30<<10 > 2*largeChunk {
					t.Errorf("the stop came behind %d messages", i)
				}
				return
			}
		}
		t.Error("the stop never came")
	})
}

// Replies pass ahead of data but do not starve it.
func TestRepliesDoNotStarveData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wire.Window{Messages: 1 << 20, Bytes: 1 << 30})
		e.pipe.Stall(true)
		mustPost(t, e.Conn, Reply, &wire.Message{Kind: wire.KindUndelivered, Body: make([]byte, 30<<10)})
		e.Flush()
		synctest.Wait()
		for range 100 {
			mustPost(t, e.Conn, Reply, &wire.Message{Kind: wire.KindUndelivered, Body: make([]byte, 30<<10)})
			mustPost(t, e.Conn, Data, oneWay("data", 30<<10))
		}
		e.pipe.Stall(false)
		first, replies := -1, 0
		for i := range 201 {
			if l := p.next(); l.kind == wire.KindUndelivered {
				replies++
			} else if first < 0 {
				first = i
			}
			if first >= 0 && replies == 101 {
				break
			}
		}
		if bytes := first * 30 << 10; bytes < replyRun || bytes > replyRun+3*largeChunk {
			t.Errorf("the first data came behind %d replies, %d bytes; want a little over %d", first, bytes, replyRun)
		}
	})
}

// Held calls that expired make room for new ones, however few and large they are.
func TestExpiredMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		e, p := byHand(t, Options{Outbox: Limits{Data: 8 * (size + 1024)}}, wire.Window{Messages: 1, Bytes: 1 << 30})
		var o outcome
		ask := func(id uint64, limit time.Duration) *wire.Error {
			_, err := e.Request(request("ask", size), Note{Caller: &o, ID: id, Deadline: time.Now().Add(limit)}, Charge{})
			return err
		}
		for id := uint64(1); id <= 8; id++ {
			if err := ask(id, time.Second); err != nil {
				t.Fatalf("call %d: %v", id, err)
			}
		}
		wantCode(t, ask(9, time.Second), wire.CodeOverloaded)
		e.Flush()
		p.next() // the first one was written; its target says nothing
		<-time.After(2 * time.Second)
		for id := uint64(10); id < 18; id++ {
			if err := ask(id, time.Second); err != nil {
				t.Fatalf("call %d, after those that filled the outbox have expired: %v", id, err)
			}
		}
	})
}

// What was taken and not written whole is counted as dropped.
func TestDroppedAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := byHand(t, Options{}, wire.Window{Messages: 100, Bytes: 1 << 30})
		const n, size = 10, 60 << 10 // more than the pipe holds
		for range n {
			mustPost(t, e.Conn, Data, oneWay("data", size))
		}
		e.Flush()
		synctest.Wait()
		e.pipe.Cut()
		_ = e.why()
		s := e.Stats()
		if out := s.MessagesOut - 1; out+s.Dropped != n { // 1: the welcome
			t.Errorf("%d messages are counted as written and %d as dropped, of %d", out, s.Dropped, n)
		}
		if s.Queued != [3]int{} {
			t.Errorf("an outbox that is over still has %v queued", s.Queued)
		}
	})
}

// The room that forwarded messages take with their sender comes back exactly,
// whatever became of them.
func TestChargesComeBack(t *testing.T) {
	const n = 40
	type test struct {
		window wire.Window
		limits Limits
		size   int
		do     func(e *end, p *peerOf)
	}
	wide := wire.Window{Messages: 1 << 20, Bytes: 1 << 30}
	narrow := wire.Window{Messages: 3, Bytes: 1 << 30}
	for name, test := range map[string]test{
		"written":   {window: wide, size: 100, do: func(e *end, p *peerOf) { e.Flush() }},
		"too large": {window: wide, size: DefaultMaxMessage},
		"full":      {window: narrow, limits: Limits{Data: 2000, DataHard: 2000}, size: 900, do: func(e *end, _ *peerOf) { e.Close(nil) }},
		"held":      {window: narrow, size: 20 << 10, do: func(e *end, _ *peerOf) { e.Close(nil) }},
		"half written": {window: wide, size: 60 << 10, do: func(e *end, _ *peerOf) {
			e.Flush()
			synctest.Wait()
			e.pipe.Cut()
		}},
		"released": {window: narrow, size: 10, do: func(e *end, p *peerOf) {
			e.Flush()
			for range 2 * n { // requests and one-way messages
				if p.next(); p.grant.Messages < 2*n {
					p.take(1, wire.HeaderSize+len("fwd")+10)
				}
			}
		}},
		"closed before": {window: wide, size: 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sender, _ := strangers(Options{}, Options{})
				e, p := byHand(t, Options{Outbox: test.limits}, test.window)
				if name == "closed before" {
					e.Close(nil)
				}
				var o outcome
				var bytes uint64
				for i := range uint64(n) {
					m := request("fwd", test.size)
					ch := sender.Charge(m)
					bytes += 2 * uint64(ch.Cost)
					_, _ = e.Request(m, Note{Caller: &o, ID: i}, ch)
					_ = e.Post(Data, oneWay("fwd", test.size), ch)
				}
				if test.do != nil {
					test.do(e, p)
				}
				synctest.Wait()
				if m, b := sender.room.back.load().messages(), sender.room.back.load().bytes(); m != 2*n || b != bytes {
					t.Errorf("%d messages and %d bytes came back, want %d and %d", m, b, 2*n, bytes)
				}
			})
		})
	}
}

// Held calls that were taken back are never written, and the room they took with
// their sender comes back when they are dropped.
func TestCanceledAreNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sender, _ := strangers(Options{}, Options{})
		e, p := byHand(t, Options{}, wire.Window{Messages: 1, Bytes: 1 << 30})
		var o outcome
		const n = 10
		for i := range uint64(n) {
			m := request(fmt.Sprint(i), 10)
			id, err := e.Request(m, Note{Caller: &o, ID: i}, sender.Charge(m))
			if err != nil {
				t.Fatal(err)
			}
			if i%2 == 1 {
				e.Calls().Take(id)
			}
		}
		e.Flush()
		var got []string
		for range n / 2 {
			l := p.next()
			got = append(got, l.command)
			synctest.Wait()
			if placed, written := e.Progress(); len(got) < n/2 && (placed != n || written != uint64(2*len(got)-1)) {
				t.Errorf("after %q %d of %d messages are said to wait no more", l.command, written, placed)
			}
			p.take(1, wire.HeaderSize+1+10)
		}
		synctest.Wait()
		if want := []string{"0", "2", "4", "6", "8"}; !slices.Equal(got, want) {
			t.Errorf("the far end got %q, want %q", got, want)
		}
		if placed, written := e.Progress(); placed != n || written != n {
			t.Errorf("when nothing waits any more %d of %d messages are said to", placed-written, placed)
		}
		if m := sender.room.back.load().messages(); m != n {
			t.Errorf("the room of %d messages came back, want %d", m, n)
		}
		if s := e.Stats(); s.Dropped != n/2 || s.Queued != [3]int{} {
			t.Errorf("dropped %d, queued %v; want %d and nothing", s.Dropped, s.Queued, n/2)
		}
	})
}
