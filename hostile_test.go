package arbiter_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"bufio"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// raw is a peer that says what it likes.
type raw struct {
	t *testing.T
	c net.Conn
	r *frame.Reader

	w    *world      // of TestHostilePeer
	me   string      // its aid
	told *wire.Error // why it was cut off
}

func (w *world) raw() *raw {
	w.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(w.address("tcp:"), "tcp:"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return &raw{t: w.t, c: c, r: frame.NewReader(c, frame.Options{})}
}

// flood sends a frame again and again, until it is cut off.
func (r *raw) flood(b []byte) {
	many := bytes.Repeat(b, 16<<10/len(b))
	go func() {
		for {
			if _, err := r.c.Write(many); err != nil {
				return
			}
		}
	}()
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.c.Write(b); err != nil {
		r.t.Fatal(err)
	}
}

func (r *raw) send(m wire.Message) {
	r.t.Helper()
	r.write(frame.AppendFrame(nil, frame.Binary, m.Append(nil)))
}

// next reads the next message that is no heartbeat.
func (r *raw) next() (wire.Message, error) {
	for {
		_, payload, err := r.r.Next()
		if err != nil {
			return wire.Message{}, err
		}
		var m wire.Message
		if err := m.Parse(bytes.Clone(payload)); err != nil {
			r.t.Fatal(err)
		}
		if m.Kind != wire.KindNotify && m.Kind != wire.KindCredit {
			return m, nil
		}
	}
}

func (r *raw) hello(change func(*wire.Hello)) {
	r.t.Helper()
	h := &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "raw", Token: "secret", Inbox: wire.Window{Messages: 100, Bytes: 1 << 20}}
	if change != nil {
		change(h)
	}
	m, err := h.Message()
	if err != nil {
		r.t.Fatal(err)
	}
	r.send(m)
}

func (r *raw) join() *wire.Welcome {
	r.t.Helper()
	r.hello(nil)
	m, err := r.next()
	if err != nil || m.Kind != wire.KindWelcome {
		r.t.Fatalf("%v, %v, want a welcome", m.Kind, err)
	}
	welcome, err := wire.ParseWelcome(&m)
	if err != nil {
		r.t.Fatal(err)
	}
	r.send(wire.Message{Kind: wire.KindNotify})
	return welcome
}

// cut reads until the connection ends, and returns what it was told last.
func (r *raw) cut() (told *wire.Error) {
	r.t.Helper()
	for {
		m, err := r.next()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				r.t.Error("the connection was not ended")
			}
			return told
		}
		switch m.Kind {
		case wire.KindError:
			told = wire.ParseError(&m)
		case wire.KindGoodbye:
			told = wire.Errorf(wire.CodeProtocol, "%s", wire.ParseDeath(&m))
		}
	}
}

// TestHostileHello: whoever cannot say who it is, properly, is refused, and nobody
// else notices.
func TestHostileHello(t *testing.T) {
	huge := binary.BigEndian.AppendUint64([]byte{0x82, 127}, 1<<63)
	tests := []struct {
		name string
		do   func(r *raw)
		code wire.Code // "" : no answer, only the end
	}{
		{"length 2^63", func(r *raw) { r.write(huge) }, ""},
		{"length 2^62", func(r *raw) { r.write(binary.BigEndian.AppendUint64([]byte{0x82, 127}, 1<<62)) }, ""},
		{"masked", func(r *raw) {
			r.write(append(frame.Header{Fin: true, Opcode: frame.Binary, Masked: true, Length: 4}.Append(nil), 1, 2, 3, 4))
		}, ""},
		{"garbage", func(r *raw) { r.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) }, ""},
		{"no message", func(r *raw) { r.write(frame.AppendFrame(nil, frame.Binary, []byte("short"))) }, wire.CodeProtocol},
		{"request first", func(r *raw) { r.send(wire.Message{Kind: wire.KindRequest, ID: 1}) }, wire.CodeProtocol},
		{"version 99", func(r *raw) { r.hello(func(h *wire.Hello) { h.Newest, h.Oldest = 99, 99 }) }, wire.CodeVersion},
		{"no token", func(r *raw) { r.hello(func(h *wire.Hello) { h.Token = "" }) }, wire.CodeRefused},
		{"wrong token", func(r *raw) { r.hello(func(h *wire.Hello) { h.Token = "sesame" }) }, wire.CodeRefused},
		{"another's name", func(r *raw) { r.hello(func(h *wire.Hello) { h.Name = "tally" }) }, wire.CodeExists},
		{"another's aid", func(r *raw) { r.hello(func(h *wire.Hello) { h.AID = "tally" }) }, wire.CodeExists},
		{"the arbiter's name", func(r *raw) { r.hello(func(h *wire.Hello) { h.AID = "arbiter" }) }, wire.CodeInvalid},
		{"10,000 deep", func(r *raw) {
			body := append(bytes.Repeat([]byte{0x81}, 10_000), 0)
			r.send(wire.Message{Kind: wire.KindHello, ID: 1, Millis: 1, Codec: wire.CodecCBOR, Body: body})
		}, wire.CodeProtocol},
	}
	w := newWorld(t)
	s := w.spawn(Subject, actor.Name("tally"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := w.raw()
			r.t = t
			test.do(r)
			told := r.cut()
			if test.code == "" {
				return
			}
			if told == nil || told.Code != test.code {
				t.Errorf("told %+v, want %s", told, test.code)
			} else {
				t.Log(told)
			}
			if n, err := Double.Call(w.ctx, s, 4); n != 8 || err != nil {
				t.Errorf("somebody else noticed: %d, %v", n, err)
			}
		})
	}
}

// TestHostilePeer: who joined and then breaks the protocol is cut off.
func TestHostilePeer(t *testing.T) {
	tests := []struct {
		name string
		do   func(r *raw)
		cut  bool
	}{
		{"a reply never asked for", func(r *raw) { r.send(wire.Message{Kind: wire.KindReply, ID: 77}) }, true},
		{"a credit for nothing", func(r *raw) {
			var buf [16]byte
			r.send(wire.Credit{Messages: 9, Bytes: 9000}.Message(&buf))
		}, true},
		{"a second hello", func(r *raw) { r.hello(nil) }, true},
		{"a reply never asked for, with more behind it", func(r *raw) {
			b := frame.AppendFrame(nil, frame.Binary, (&wire.Message{Kind: wire.KindReply, ID: 77}).Append(nil))
			go func() { _, _ = r.c.Write(append(b, make([]byte, 4<<20)...)) }()
		}, true},
		{"a request beyond its window", func(r *raw) {
			block := wire.Message{Kind: wire.KindRequest, Target: []byte("tally"), Command: []byte("block"), Codec: wire.CodecRaw, Body: make([]byte, 300<<10)}
			for block.ID = 1; block.ID <= 8; block.ID++ {
				b := frame.AppendFrame(nil, frame.Binary, block.Append(nil))
				if _, err := r.c.Write(b); err != nil {
					return
				}
			}
		}, true},
		{"the answer to a call of another's", func(r *raw) {
			other := r.w.raw()
			call := Double.Start(r.w.ctx, actor.To(other.join().AID), 4)
			m, err := other.next()
			if err != nil {
				r.t.Fatal(err)
			}
			answer := wire.Message{Kind: wire.KindReply, ID: m.ID, Codec: wire.CodecCBOR, Body: []byte{7}}
			r.send(answer)
			r.told = r.cut()
			answer.Body[0] = 8
			other.send(answer)
			if n, err := call.Wait(); n != 8 || err != nil {
				r.t.Errorf("the caller is told %d, %v", n, err)
			}
		}, true},
		{"an answer twice", func(r *raw) {
			call := Double.Start(r.w.ctx, actor.To(r.me), 4)
			m, err := r.next()
			if err != nil {
				r.t.Fatal(err)
			}
			for _, n := range []byte{8, 9} {
				r.send(wire.Message{Kind: wire.KindReply, ID: m.ID, Codec: wire.CodecCBOR, Body: []byte{n}})
			}
			if n, err := call.Wait(); n != 8 || err != nil {
				r.t.Errorf("the caller is told %d, %v", n, err)
			}
		}, false},
		{"a credit that counts backwards", func(r *raw) {
			ref := actor.To(r.me)
			for n := range 2 {
				if err := Record.Send(r.w.ctx, ref, n); err != nil {
					r.t.Fatal(err)
				}
			}
			var cost uint64
			for range 2 {
				m, err := r.next()
				if err != nil {
					r.t.Fatal(err)
				}
				cost += uint64(wire.Cost(m.Size()))
			}
			var buf [16]byte
			r.send(wire.Credit{Messages: 2, Bytes: cost}.Message(&buf))
			r.send(wire.Credit{Messages: 1, Bytes: cost}.Message(&buf))
		}, true},
		{"a flood of pings", func(r *raw) { r.flood(frame.AppendFrame(nil, frame.Ping, nil)) }, true},
		{"a flood of pongs", func(r *raw) { r.flood(frame.AppendFrame(nil, frame.Pong, nil)) }, true},
		{"a flood of empty frames", func(r *raw) { r.flood(frame.AppendFrame(nil, frame.Binary, nil)) }, true},
		{"a flood of heartbeats", func(r *raw) {
			r.flood(frame.AppendFrame(nil, frame.Binary, (&wire.Message{Kind: wire.KindNotify}).Append(nil)))
		}, true},
		{"a flood of credits for nothing", func(r *raw) {
			var buf [16]byte
			m := wire.Credit{}.Message(&buf)
			r.flood(frame.AppendFrame(nil, frame.Binary, m.Append(nil)))
		}, true},
		{"a flood of kinds of a later version", func(r *raw) {
			r.flood(frame.AppendFrame(nil, frame.Binary, (&wire.Message{Kind: 100}).Append(nil)))
		}, true},
		{"the id of a call in flight, again", func(r *raw) {
			for range 2 {
				r.send(wire.Message{Kind: wire.KindRequest, ID: 4, Target: []byte("tally"), Command: []byte("block")})
			}
			m, err := r.next()
			if err != nil || m.Kind != wire.KindError || m.ID != 4 || wire.ParseError(&m).Code != wire.CodeInvalid {
				r.t.Errorf("%+v, %v", m, err)
			}
			r.send(wire.Message{Kind: wire.KindCancel, ID: 4}) // the first one
		}, false},
		{"the id of a watch, again", func(r *raw) {
			for n := range 3 {
				r.send(wire.Message{Kind: wire.KindWatch, ID: 3, Target: []byte("tally")})
				m, err := r.next()
				if err != nil || (m.Kind == wire.KindReply) != (n == 0) || n > 0 && wire.ParseError(&m).Code != wire.CodeInvalid {
					r.t.Errorf("watch %d: %v, %v", n, m.Kind, err)
				}
			}
			if in, err := actor.InspectActor.Call(r.w.ctx, actor.Arbiter, actor.To("tally")); err != nil || in.Watchers != 1 {
				r.t.Errorf("%d watchers, %v", in.Watchers, err)
			}
			r.send(wire.Message{Kind: wire.KindUnwatch, ID: 3})
		}, false},
		{"pieces, and it never said that it takes them", func(r *raw) {
			r.piece(wire.Piece{First: true, Left: 1 << 20}, callOf("tally"), 64<<10)
		}, true},
		{"half a frame, then the end", func(r *raw) { r.write([]byte{0x82, 126, 1}); r.c.(*net.TCPConn).CloseWrite() }, true},
		{"a kind of a later version", func(r *raw) { r.send(wire.Message{Kind: 100, Flags: 0xff}) }, false},
		{"a call without an id", func(r *raw) {
			r.send(wire.Message{Kind: wire.KindRequest, Target: []byte("tally"), Command: []byte("ping")})
		}, false},
		{"cancel of nothing", func(r *raw) { r.send(wire.Message{Kind: wire.KindCancel, ID: 5}) }, false},
		{"undelivered of nothing", func(r *raw) {
			r.send(wire.Errorf(wire.CodeApp, "x").Frame(wire.KindUndelivered, 0))
		}, true},
		{"an argument 10,000 deep", func(r *raw) {
			r.send(wire.Message{Kind: wire.KindRequest, ID: 1, Target: []byte("tally"), Command: []byte("double"), Codec: wire.CodecCBOR,
				Body: append(bytes.Repeat([]byte{0x81}, 10_000), 0)})
		}, false},
	}
	w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = 100*time.Millisecond, 10*time.Second })
	s := w.spawn(Subject, actor.Name("tally"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := w.raw()
			r.t, r.w = t, w
			r.me = r.join().AID
			ended := w.ends(actor.To(r.me))
			test.do(r)
			if test.cut {
				told := r.cut()
				if told == nil {
					told = r.told
				}
				half := strings.HasPrefix(test.name, "half")
				if !half && told == nil {
					t.Error("it was not told why")
				}
				e := <-ended
				t.Log(e.Cause, e.Reason)
				if !half && (e.Cause != actor.CauseProtocol || e.Reason == "") {
					t.Errorf("it ended with %+v", e)
				}
			} else {
				r.send(wire.Message{Kind: wire.KindRequest, ID: 9, Target: []byte("tally"), Command: []byte("ping")})
				for {
					m, err := r.next()
					if err != nil {
						t.Fatalf("it was cut off: %v", err)
					}
					if m.ID == 9 {
						break
					}
					if m.Kind == wire.KindError {
						t.Log(wire.ParseError(&m))
					}
				}
			}
			if n, err := Double.Call(w.ctx, s, 4); n != 8 || err != nil {
				t.Errorf("somebody else noticed: %d, %v", n, err)
			}
		})
	}
}

// callOf is one that target does not end.
func callOf(target string) wire.Message {
	return wire.Message{Kind: wire.KindRequest, ID: 1, Target: []byte(target), Command: []byte("block"), Codec: wire.CodecRaw}
}

// piece sends p with n bytes of a message that begins with m, unless it has been cut off.
func (r *raw) piece(p wire.Piece, m wire.Message, n int) {
	b := append(m.Append(nil), make([]byte, n)...)[:n]
	_, _ = r.c.Write(frame.AppendFrame(nil, frame.Binary, append(p.Append(nil), b...)))
}

// TestHostilePieces: who agreed to pieces, and sends them as they must not be, is cut off
// and told why, nothing is kept of what it sent, and nobody else notices. Who begins a
// message and goes silent ends by that, as who stops inside a frame does.
func TestHostilePieces(t *testing.T) {
	type p = wire.Piece
	const whole, some = 1 << 20, 64 << 10
	call := callOf("tally")
	tests := []struct {
		name string
		do   func(r *raw)
		why  string // in what it is told
	}{
		{"no first one", func(r *raw) { r.piece(p{Left: whole}, call, some) }, "not begun"},
		{"a second first one", func(r *raw) {
			r.piece(p{First: true, Left: whole}, call, some)
			r.piece(p{First: true, Left: whole}, call, some)
		}, "the one before it"},
		{"one left out", func(r *raw) {
			r.piece(p{First: true, Left: whole}, call, some)
			r.piece(p{Left: whole - 2*some}, call, some)
		}, "have not come"},
		{"beyond the length", func(r *raw) { r.piece(p{First: true, Left: some}, call, some+1) }, "has 65536 more"},
		{"length 0", func(r *raw) { r.piece(p{First: true}, call, 20) }, "where its message has 0 more"},
		{"no bytes", func(r *raw) { r.piece(p{First: true, Left: whole}, call, 0) }, "without a byte"},
		{"a length over the limit", func(r *raw) { r.piece(p{First: true, Left: 16<<20 + 1}, call, some) }, "over the limit"},
		{"a length of 2^53 - 1", func(r *raw) { r.piece(p{First: true, Left: wire.MaxID}, call, some) }, "over the limit"},
		{"dust", func(r *raw) {
			r.piece(p{First: true, Left: whole}, call, some)
			r.piece(p{Left: whole - some}, call, 1)
		}, "not the last one"},
		{"a stop", func(r *raw) { r.piece(p{First: true, Left: whole}, wire.Message{Kind: wire.KindStop}, some) }, "a stop in pieces"},
		{"a goodbye", func(r *raw) { r.piece(p{First: true, Left: whole}, wire.Message{Kind: wire.KindGoodbye}, some) }, "a goodbye in pieces"},
		{"pieces in pieces", func(r *raw) { r.piece(p{First: true, Left: whole}, wire.Message{Kind: wire.KindPiece, ID: 9}, some) }, "a piece in pieces"},
		{"a reply never asked for", func(r *raw) {
			r.piece(p{First: true, Reply: true, Left: 16 << 20}, wire.Message{Kind: wire.KindReply, ID: 77}, some)
		}, "never asked"},
		{"a reply in the row of requests", func(r *raw) {
			r.piece(p{First: true, Left: whole}, wire.Message{Kind: wire.KindReply, ID: 77}, some)
		}, "where none may be"},
		{"more than its window", func(r *raw) {
			call := call
			for call.ID = 1; call.ID < 3; call.ID++ {
				r.piece(p{First: true, Left: 600 << 10}, call, some)
				r.piece(p{Left: 600<<10 - some}, call, 600<<10-some)
			}
			r.piece(p{First: true, Left: 600 << 10}, call, some)
		}, "beyond the window"},
		{"silence", func(r *raw) { r.piece(p{First: true, Left: 16 << 20}, call, some) }, ""},
	}
	w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = 100*time.Millisecond, 2*time.Second })
	s := w.spawn(Subject, actor.Name("tally"))
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := w.raw()
			r.t, r.w = t, w
			r.hello(func(h *wire.Hello) { h.Features = wire.FeaturePieces | 1<<40 })
			m, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			welcome, err := wire.ParseWelcome(&m)
			if err != nil || welcome.Features != wire.FeaturePieces {
				t.Fatalf("%+v, %v", welcome, err)
			}
			r.send(wire.Message{Kind: wire.KindNotify})
			ended := w.ends(actor.To(welcome.AID))
			test.do(r)
			told := r.cut()
			e := <-ended
			cause := actor.CauseProtocol
			if test.why == "" {
				cause = actor.CauseHeartbeat
			} else if told == nil || !strings.Contains(told.Error(), test.why) {
				t.Errorf("told %v, want something with %q", told, test.why)
			}
			if e.Cause != cause || !strings.Contains(e.Reason, test.why) {
				t.Errorf("it ended with %+v", e)
			}
			if n, err := Double.Call(w.ctx, s, 4); n != 8 || err != nil {
				t.Errorf("somebody else noticed: %d, %v", n, err)
			}
		})
	}
}

// TestHalfFrameThenSilence: an end that stops in the middle of a frame is given up
// after the timeout.
func TestHalfFrameThenSilence(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = 20*time.Millisecond, 100*time.Millisecond })
	r := w.raw()
	me := r.join().AID
	ended := make(chan actor.Ended, 1)
	if _, err := actor.Watch(w.ctx, actor.To(me), func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		t.Fatal(err)
	}
	r.write([]byte{0x82, 126, 1})
	if e := <-ended; e.Cause != actor.CauseHeartbeat {
		t.Errorf("ended with %+v", e)
	}
}

// TestTooLarge: a message over the limit fails at its sender, a result at its
// maker, and a frame over the limit is not read.
func TestTooLarge(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.MaxMessage = 1 << 16 })
	for _, place := range places[1:] {
		s := place.put(w, Subject)
		if _, err := actor.Call[any](w.ctx, s, "echo", strings.Repeat("x", 1<<17)); !isCode(err, actor.TooLarge) {
			t.Errorf("%s: argument: %v", place.name, err)
		}
		if _, err := Big.Call(w.ctx, s, 1<<17); !isCode(err, actor.TooLarge) {
			t.Errorf("%s: result: %v", place.name, err)
		}
		if n, err := Double.Call(w.ctx, s, 4); n != 8 || err != nil {
			t.Errorf("%s: afterwards: %d, %v", place.name, n, err)
		}
	}
}

// TestLargerMessages: where the arbiter takes more than 16 MiB those who join it do, both ways; and
// what is over the limit ends nobody.
func TestLargerMessages(t *testing.T) {
	const limit = 32 << 20
	w := newWorld(t, func(o *arbiter.Options) { o.MaxMessage, o.MemoryBudget = limit, 32*limit })
	caller := w.member(w.address("tcp:"), Caller, actor.JoinOptions{Token: "secret"})
	for _, place := range places {
		if place.name != "process" && place.name != "tcp" {
			continue
		}
		s := place.put(w, Subject)
		for from, ctx := range map[string]context.Context{"the arbiter": w.ctx, "a member": caller.Context(w.ctx)} {
			for _, n := range []int{15 << 20, 17 << 20, 31 << 20} {
				if b, err := actor.Call[[]byte](ctx, s, "echo", make([]byte, n)); len(b) != n || err != nil {
					t.Errorf("%s, from %s: of %d bytes %d came back: %v", place.name, from, n, len(b), err)
				}
			}
			if _, err := actor.Call[any](ctx, s, "echo", make([]byte, limit+1)); !isCode(err, actor.TooLarge) {
				t.Errorf("%s, from %s: an argument over the limit: %v", place.name, from, err)
			}
			if _, err := Big.Call(ctx, s, limit+1); !isCode(err, actor.TooLarge) {
				t.Errorf("%s, from %s: a result over the limit: %v", place.name, from, err)
			}
			if n, err := Double.Call(ctx, s, 4); n != 8 || err != nil {
				t.Errorf("%s, from %s: afterwards: %d, %v", place.name, from, n, err)
			}
		}
	}
}

func isCode(err error, code actor.Code) bool {
	e, ok := err.(*actor.Error)
	return ok && e.Code == code
}

// TestNotEncodable: what has no image on the wire is refused, and the field named.
func TestNotEncodable(t *testing.T) {
	w := newWorld(t)
	for _, place := range places[1:] {
		s := place.put(w, Subject)
		_, err := actor.Call[any](w.ctx, s, "echo", map[string]any{"a": []any{1, func() {}}})
		if !isCode(err, actor.NotEncodable) || !strings.Contains(err.Error(), "a") {
			t.Errorf("%s: argument: %v", place.name, err)
		}
		if _, err := Odd.Call(w.ctx, s, actor.None{}); !isCode(err, actor.NotEncodable) || !strings.Contains(err.Error(), "hook") {
			t.Errorf("%s: result: %v", place.name, err)
		}
	}
}

// envHost has a child of the test be an arbiter with process actors.
const envHost = "ARBITER_TEST_HOST"

// host is the program of that child: it prints the pids of its actors and waits.
func host() {
	arbiter.Main(func(ctx context.Context, arb *arbiter.Arbiter) error {
		for range 4 {
			s, err := arb.Spawn(ctx, Subject, actor.Process())
			if err != nil {
				return err
			}
			Block.Start(ctx, s, actor.None{})
			info, err := actor.GetInfo.Call(ctx, s, actor.None{})
			if err != nil {
				return err
			}
			os.Stdout.WriteString(strconv.Itoa(info.PID) + "\n")
		}
		<-ctx.Done()
		return nil
	}, Subject)
}

// TestArbiterKilled: after kill -9 of an arbiter its children are gone within a
// second, whatever they are doing.
func TestArbiterKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envHost+"=1", "XDG_RUNTIME_DIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for lines := bufio.NewScanner(out); len(pids) < 4 && lines.Scan(); {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	if len(pids) != 4 {
		t.Fatalf("the arbiter said %v", pids)
	}
	for _, pid := range pids {
		for alive(pid) {
			if time.Since(killed) > 2*time.Second {
				t.Fatalf("process %d is still there %v after the arbiter was killed", pid, time.Since(killed))
			}
			<-time.After(time.Millisecond)
		}
	}
	t.Logf("all gone after %v", time.Since(killed))
}

// alive reports whether pid runs; a zombie that waits for init does not.
func alive(pid int) bool {
	if signalTo(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// TestIDInUse: a second call with the id of one in flight is refused, and the first one
// can still be taken back.
func TestIDInUse(t *testing.T) {
	w := newWorld(t)
	s := w.spawn(Subject, actor.Name("tally"))
	r := w.raw()
	r.join()
	call := wire.Message{Kind: wire.KindRequest, ID: 7, Target: []byte("tally"), Command: []byte("block")}
	r.send(call)
	call.Command = []byte("echo")
	r.send(call)
	m, err := r.next()
	if err != nil || m.Kind != wire.KindError || m.ID != 7 {
		t.Fatalf("%v, %v, want an error", m, err)
	}
	if e := wire.ParseError(&m); e.Code != wire.CodeInvalid || !strings.Contains(e.Message, "another call in flight") {
		t.Errorf("told %v", e)
	}
	eventually(t, "it has begun", func() bool {
		info, err := actor.GetInfo.Call(w.ctx, s, actor.None{})
		return err == nil && info.Handling == "block"
	})
	r.send(wire.Message{Kind: wire.KindCancel, ID: 7})
	if n, err := Canceled.Call(w.ctx, s, actor.None{}); n != 1 || err != nil {
		t.Errorf("%d handlers saw the cancel, %v, want 1", n, err)
	}
}
