package peer

import (
	"errors"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// What breaks the protocol ends the connection, and only that.
func TestViolations(t *testing.T) {
	frame := func(m wire.Message) []byte {
		return append([]byte{0x82, byte(m.Size())}, m.Append(nil)...)
	}
	short := frame(wire.Message{Kind: wire.KindNotify})
	short[2+3] = 200 // a target longer than the message
	for name, b := range map[string][]byte{
		"a second hello":          frame(wire.Message{Kind: wire.KindHello}),
		"a second welcome":        frame(wire.Message{Kind: wire.KindWelcome}),
		"a reply never asked for": frame(wire.Message{Kind: wire.KindReply, ID: 5 << slotBits}),
		"an error to nothing":     frame(wire.Message{Kind: wire.KindError}),
		"text":                    {0x81, 2, '{', '}'},
		"a mask":                  {0x82, 0x81, 1, 2, 3, 4, 5},
		"a fragment":              {0x02, 1, 1},
		"a reserved bit":          {0xc2, 1, 1},
		"no message":              {0x82, 3, 1, 2, 3},
		"a message cut short":     short,
		"2^63 bytes":              {0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0},
		"over the limit":          {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 1},
		"pickle":                  {0x82, 2, 0x80, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := byHand(t, Options{MaxMessage: 1 << 16}, DefaultWindow)
				p.bytes(b)
				wantCode(t, e.why(), wire.CodeProtocol)
				if all, err := p.rest(); len(all) != 1 || all[0].kind != wire.KindGoodbye || err != io.EOF {
					t.Errorf("the far end was told %v, %v, want a goodbye and the end", all, err)
				}
			})
		})
	}
}

// What a newer version may send is skipped; what may come at any time is no harm.
func TestUnknownIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, DefaultWindow)
		p.say(&wire.Message{Kind: 99, Body: []byte("news")})
		p.bytes([]byte{0x89, 0})    // ping
		p.bytes([]byte{0x8a, 1, 0}) // pong
		p.say(&wire.Message{Kind: wire.KindNotify, Flags: 0xf0, Command: []byte("n")})
		synctest.Wait()
		if got := e.got(); len(got) != 1 || got[0].command != "n" {
			t.Errorf("got %v, want the notify alone", got)
		}
		if s := e.Stats(); s.Skipped != 1 || s.MessagesIn != 2 {
			t.Errorf("%d skipped of %d, want 1 of 2", s.Skipped, s.MessagesIn)
		}
	})
}

// A reply is taken once; a second, or one that comes too late, is counted.
func TestReplies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, DefaultWindow)
		var o outcome
		ask := func(own uint64) uint64 {
			id, err := e.Request(request("ask", 0), Note{Caller: &o, ID: own}, Charge{})
			if err != nil {
				t.Fatal(err)
			}
			e.Flush()
			if l := p.next(); l.id != id {
				t.Fatalf("the request has id %d, want %d", l.id, id)
			}
			return id
		}
		first, second, third := ask(1), ask(2), ask(3)
		e.Calls().Take(third) // canceled
		refusal := wire.Errorf(wire.CodeUnknownCommand, "no such command").NotStarted()
		failed := refusal.Frame(wire.KindError, second)
		for range 2 {
			p.say(&wire.Message{Kind: wire.KindReply, ID: first})
			p.say(&failed)
			p.say(&wire.Message{Kind: wire.KindReply, ID: third})
		}
		synctest.Wait()
		if err := o.of(t, 1); err != nil {
			t.Errorf("call 1: %v", err)
		}
		if wantCode(t, o.of(t, 2), wire.CodeUnknownCommand).Started != wire.StartedNo {
			t.Error("the error lost that nothing started")
		}
		if s := e.Stats(); s.Late != 4 || s.Never != 0 || o.len() != 2 {
			t.Errorf("%d late, %d never, %d told; want 4, 0, 2", s.Late, s.Never, o.len())
		}
	})
}

type forwarder struct {
	outcome
	forwarded []uint64
}

func (f *forwarder) Forward(id uint64, m *wire.Message) { f.forwarded = append(f.forwarded, id) }

// A Forwarder gets errors undecoded, but those of this end as errors.
func TestForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, DefaultWindow)
		var f forwarder
		id, _ := e.Request(request("ask", 0), Note{Caller: &f, ID: 1}, Charge{})
		_, _ = e.Request(request("ask", 0), Note{Caller: &f, ID: 2}, Charge{})
		e.Flush()
		p.say(&wire.Message{Kind: wire.KindError, ID: id, Body: []byte("anything")})
		synctest.Wait()
		e.Close(nil)
		_ = e.why()
		if len(f.forwarded) != 1 || f.forwarded[0] != 1 || f.len() != 1 {
			t.Errorf("forwarded %v, failed %v", f.forwarded, f.done)
		}
		wantCode(t, f.of(t, 2), wire.CodeClosed)
	})
}

// Run says how the connection ended.
func TestRunSaysWhy(t *testing.T) {
	half := []byte{0x82, 100, 1}
	for name, test := range map[string]struct {
		do   func(p *peerOf)
		want error
	}{
		"the far end closed":        {func(p *peerOf) { _ = p.pipe.Close() }, io.EOF},
		"the far end's close frame": {func(p *peerOf) { p.bytes([]byte{0x88, 0}) }, io.EOF},
		"inside a message":          {func(p *peerOf) { p.bytes(half); _ = p.pipe.Close() }, io.ErrUnexpectedEOF},
		"the connection was cut":    {func(p *peerOf) { p.pipe.Cut() }, syscall.ECONNRESET},
		"cut inside a message":      {func(p *peerOf) { p.bytes(half); synctest.Wait(); p.pipe.Cut() }, syscall.ECONNRESET},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := byHand(t, Options{}, DefaultWindow)
				test.do(p)
				if err := e.why(); !errors.Is(err, test.want) {
					t.Errorf("Run: %v, want %v", err, test.want)
				}
			})
		})
	}
}

// What the other end said last is heard although nothing can be written to it.
func TestLastWordsAreHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var broken atomic.Bool
		over := func(p *PipeEnd) Transport { return struct{ Transport }{brokenWrites{p, &broken}} }
		e, p := byHandOver(t, Options{}, DefaultWindow, over)
		broken.Store(true)
		mustPost(t, e.Conn, Data, oneWay("x", 1))
		e.Flush()
		if err := e.Post(Data, oneWay("x", 1), Charge{}); err != ErrClosed {
			t.Errorf("Post after a failed write: %v, want %v", err, ErrClosed)
		}
		d := wire.Death{Cause: wire.CausePanic, Reason: "boom"}
		m := d.Message(wire.KindGoodbye, 0)
		p.say(&m)
		if err := e.why(); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("Run: %v, want %v", err, syscall.EPIPE)
		}
		if got := e.got(); len(got) != 1 || got[0].kind != wire.KindGoodbye {
			t.Errorf("heard %v, want the goodbye", got)
		}
	})
}

// brokenWrites is a transport that cannot be written to any more once it is broken.
type brokenWrites struct {
	*PipeEnd
	broken *atomic.Bool
}

func (w brokenWrites) TryWrite(b []byte) (int, error) {
	if w.broken.Load() {
		return 0, syscall.EPIPE
	}
	return w.PipeEnd.TryWrite(b)
}
