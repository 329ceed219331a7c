package peer

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// A stranger's first bytes that are no hello are answered with the reason, and the
// connection is over.
func TestAwaitHelloRefuses(t *testing.T) {
	framed := func(op frame.Opcode, b []byte) []byte {
		out := frame.AppendBinary(nil, len(b))
		out[0] = 0x80 | byte(op)
		return append(out, b...)
	}
	message := func(m wire.Message) []byte { return framed(frame.Binary, m.Append(nil)) }
	good, err := hello(DefaultWindow).Message()
	if err != nil {
		t.Fatal(err)
	}
	broken, cut := good, good
	broken.Body = []byte{0xff}
	cut.Body = slices.Clone(good.Body[:len(good.Body)-1])
	for name, first := range map[string][]byte{
		"http":            []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
		"tls":             {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00},
		"masked":          {0x82, 0x81, 1, 2, 3, 4, 5},
		"text":            framed(frame.Text, []byte("{}")),
		"close":           framed(frame.Close, nil),
		"empty":           framed(frame.Binary, nil),
		"pickle":          framed(frame.Binary, append([]byte{0x80, 2}, make([]byte, 40)...)),
		"huge":            {0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"above the bound": {0x82, 127, 0, 0, 0, 0, 0, 1, 0, 1},
		"fragment":        {0x02, 1, 1},
		"a request":       message(*request("echo", 5)),
		"a welcome":       message(wire.Message{Kind: wire.KindWelcome}),
		"no body":         message(wire.Message{Kind: wire.KindHello, ID: 1, Millis: 1}),
		"a broken body":   message(broken),
		"a cut body":      message(cut),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := unknown(t, Options{})
				failed := make(chan error, 1)
				go func() {
					_, err := e.AwaitHello(t.Context())
					e.Close(err)
					failed <- err
				}()
				p.bytes(first)
				if l := p.next(); l.kind != wire.KindError || l.command != string(wire.CodeProtocol) {
					t.Errorf("it was answered with %v, want the error %q", l, wire.CodeProtocol)
				}
				if all, err := p.rest(); err != io.EOF || len(all) != 0 {
					t.Errorf("after the answer came %v, %v, want the end", all, err)
				}
				_ = p.pipe.Close()
				wantCode(t, <-failed, wire.CodeProtocol)
			})
		})
	}
}

func TestAwaitHelloWaitsNoLonger(t *testing.T) {
	for name, first := range map[string][]byte{"silence": nil, "half a hello": {0x82, 100, 1, 0}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := unknown(t, Options{})
				p.bytes(first)
				began := time.Now()
				if _, err := e.AwaitHello(within(t, 5*time.Second)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the error is %v, want the deadline", err)
				}
				if d := time.Since(began); d != 5*time.Second {
					t.Errorf("it waited %v, want 5 s", d)
				}
				if _, err := p.rest(); err != io.EOF {
					t.Errorf("the stranger reads %v, want the end", err)
				}
			})
		})
	}
}

func TestAwaitHelloOfNobody(t *testing.T) {
	for name, test := range map[string]struct {
		first []byte
		want  error
	}{"nothing": {nil, io.EOF}, "half": {[]byte{0x82, 100, 1}, io.ErrUnexpectedEOF}} {
		t.Run(name, func(t *testing.T) {
			e, p := unknown(t, Options{})
			p.bytes(test.first)
			_ = p.pipe.Close()
			if _, err := e.AwaitHello(t.Context()); !errors.Is(err, test.want) {
				t.Errorf("the error is %v, want %v", err, test.want)
			}
		})
	}
}

// Versions that have nothing in common are told to both sides.
func TestVersions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := strangers(Options{}, Options{})
		h := hello(DefaultWindow)
		h.Newest, h.Oldest = 99, 98
		told := make(chan error, 1)
		go func() {
			_, err := a.Hello(t.Context(), h)
			a.Close(err)
			told <- err
		}()
		got, err := b.AwaitHello(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, refusal := wire.Negotiate(got)
		wantCode(t, refusal, wire.CodeVersion)
		b.Refuse(refusal)
		b.Close(refusal)
		e := wantCode(t, <-told, wire.CodeVersion)
		if !strings.Contains(e.Message, "98 to 99") || !strings.Contains(e.Message, "version 1") {
			t.Errorf("the reason %q does not name both versions", e.Message)
		}
	})
}

func TestHelloAnsweredByNonsense(t *testing.T) {
	for name, answer := range map[string][]byte{
		"http": []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "text": {0x81, 2, '{', '}'}, "nothing": nil,
		"reply": append([]byte{0x82, wire.HeaderSize, byte(wire.KindReply)}, make([]byte, wire.HeaderSize-1)...),
	} {
		t.Run(name, func(t *testing.T) {
			e, p := unknown(t, Options{})
			p.bytes(answer)
			_ = p.pipe.CloseWrite()
			_, err := e.Hello(t.Context(), hello(DefaultWindow))
			if name == "nothing" {
				if !errors.Is(err, io.EOF) {
					t.Errorf("the error is %v, want %v", err, io.EOF)
				}
				return
			}
			wantCode(t, err, wire.CodeProtocol)
		})
	}
}

// slowWriter takes nothing without waiting, as a socket under TLS.
type slowWriter struct{ *PipeEnd }

func (slowWriter) TryWrite([]byte) (int, error) { return 0, nil }

func (s slowWriter) Write(b []byte) (int, error) {
	<-time.After(50 * time.Millisecond) // of the bubble's time: the network's
	return s.PipeEnd.Write(b)
}

// A refusal is written whole before the connection is closed, and is said once.
func TestRefusalIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pa, pb := Pipe()
		a, b := New(pa, Options{}), New(slowWriter{pb}, Options{})
		told := make(chan error, 1)
		go func() {
			_, err := a.Hello(t.Context(), hello(wire.Window{Messages: 1, Bytes: 1}))
			a.Close(err)
			told <- err
		}()
		if _, err := b.AwaitHello(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.Refuse(wire.Errorf(wire.CodeRefused, "not today"))
		b.Refuse(wire.Errorf(wire.CodeRefused, "twice"))
		b.Close(nil)
		if e := wantCode(t, <-told, wire.CodeRefused); e.Message != "not today" {
			t.Errorf("the reason is %q", e.Message)
		}
	})
}

// Refuse ends although the other end reads nothing and goes on talking.
func TestRefuseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := unknown(t, Options{})
		m, _ := hello(DefaultWindow).Message()
		p.say(&m)
		if _, err := e.AwaitHello(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.pipe.Stall(true)
		began := time.Now()
		e.Refuse(wire.Errorf(wire.CodeRefused, "no"))
		e.Close(nil)
		if d := time.Since(began); d > 2*lingerTime {
			t.Errorf("Refuse took %v", d)
		}
	})
}

// Whoever joins, and has no limit of its own, reads and sends what the welcome says; with one it
// sends no more than either says. What can be counted is the bound of what an arbiter may say.
func TestLimitOfTheWelcome(t *testing.T) {
	for _, test := range []struct{ own, said, reads, sends int }{
		{0, 0, DefaultMaxMessage, DefaultMaxMessage},
		{0, 1 << 16, 1 << 16, 1 << 16},
		{0, 32 << 20, 32 << 20, 32 << 20},
		{0, math.MaxInt, maxMessage, maxMessage},
		{1 << 20, 32 << 20, 1 << 20, 1 << 20},
		{64 << 20, 32 << 20, 64 << 20, 32 << 20},
		{math.MaxInt, 1 << 16, maxMessage, 1 << 16},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, b := strangers(Options{MaxMessage: test.own}, Options{})
			go func() {
				if _, err := b.AwaitHello(t.Context()); err != nil {
					t.Error(err)
				}
				w := welcome(DefaultWindow)
				w.MaxMessage = test.said
				if err := b.Welcome(w); err != nil {
					t.Error(err)
				}
			}()
			if _, err := a.Hello(t.Context(), hello(DefaultWindow)); err != nil {
				t.Fatal(err)
			}
			if a.options.MaxMessage != test.reads || a.limit != test.sends {
				t.Errorf("%d of its own, and %d in the welcome: it reads %d and sends %d, want %d and %d",
					test.own, test.said, a.options.MaxMessage, a.limit, test.reads, test.sends)
			}
		})
	}
}

// What was posted before the handshake leaves when it is over, without anything
// else happening on the connection.
func TestHelloLetsGoWhatWasPosted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := strangers(Options{}, Options{})
		mustPost(t, a.Conn, Data, oneWay("early", 10))
		mustPost(t, a.Conn, Control, &wire.Message{Kind: wire.KindNotify, Command: []byte("first")})
		a.Flush()
		shake(t, a.Conn, b.Conn)
		a.run(t)
		b.run(t)
		synctest.Wait()
		if got := b.commands(); !slices.Equal(got, []string{"first", "early"}) {
			t.Errorf("the other end got %q, want the two posted before the hello", got)
		}
	})
}
