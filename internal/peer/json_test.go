package peer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// sink is a socket that takes without waiting as much as room says.
type sink struct {
	Transport
	took bytes.Buffer
	room func() int
}

func (s *sink) TryWrite(b []byte) (int, error) { return s.Write(b[:min(len(b), s.room())]) }
func (s *sink) Write(b []byte) (int, error)    { return s.took.Write(b) }

// nativeStream returns messages as an arbiter's Conn writes them.
func nativeStream(t *testing.T, j *jsonTransport) []byte {
	w := wire.Welcome{Version: 1, AID: "me-1", Arbiter: "arbiter", MaxMessage: 1 << 20}
	welcome, err := w.Message()
	if err != nil {
		t.Fatal(err)
	}
	id, _ := j.acks.add("1", false)
	watch, _ := j.acks.add("w", true)
	body, err := wire.Encode(wire.CodecCBOR, nil, strings.Repeat("long ", 40_000))
	if err != nil {
		t.Fatal(err)
	}
	down := (&wire.Death{Cause: wire.CauseExit, ExitCode: 3}).Message(wire.KindDown, watch)
	down.Sender, down.Command = []byte("tally-1"), []byte("tally")
	refused := wire.Errorf(wire.CodeOverloaded, "full").Frame(wire.KindUndelivered, 0)
	goodbye := (&wire.Death{Cause: wire.CauseStopped}).Message(wire.KindGoodbye, 0)
	var b []byte
	for _, m := range []wire.Message{
		welcome,
		{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Target: []byte("me"), Command: []byte("log"), Codec: wire.CodecCBOR, Body: []byte{1}},
		{Kind: wire.KindCredit, Body: make([]byte, 16)},
		{Kind: wire.KindNotify},
		{Kind: wire.KindReply, ID: id, Codec: wire.CodecCBOR, Body: body},
		{Kind: wire.KindReply, ID: id, Codec: wire.CodecCBOR, Body: body}, // twice: dropped
		{Kind: kindPong, Body: []byte("ping")},
		{Kind: wire.KindCancel, ID: 17},
		{Kind: wire.KindReply, ID: watch},
		down, refused,
		{Kind: wire.KindStop, Body: []byte("enough")},
		goodbye,
		{Kind: wire.KindNotify}, // after the end: dropped
	} {
		b = m.Append(frame.AppendBinary(b, m.Size()))
	}
	return b
}

func jsonOver(s Transport) *jsonTransport {
	j := NewJSON(s, nil, frame.Unmasked).(*jsonTransport)
	New(j, Options{MaxMessage: 1 << 20})
	return j
}

// However the Conn cuts what it writes and whatever the socket takes, the same comes
// out; and what is said to be written has left.
func TestJSONPieces(t *testing.T) {
	var want string
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(1, seed))
		s := &sink{}
		j := jsonOver(s)
		b := nativeStream(t, j)
		most := []int{1 << 20, 7, 1000, 100_000}[seed%4]
		s.room = func() int { return r.IntN(most) }
		if seed == 0 {
			s.room = func() int { return 1 << 20 }
		}
		for off, idle := 0, 0; off < len(b); {
			part := b[off : off+min(len(b)-off, 1+r.IntN(2*most))]
			write := j.TryWrite
			if r.IntN(4) == 0 {
				write = j.Write
			}
			n, err := write(part)
			if err != nil || n < 0 || n > len(part) {
				t.Fatalf("seed %d: %d, %v", seed, n, err)
			}
			if off += n; n == len(part) && len(j.pending) > j.wrote {
				t.Fatalf("seed %d: all of it was taken, and %d bytes are pending", seed, len(j.pending)-j.wrote)
			}
			if idle++; n > 0 {
				idle = 0
			} else if idle > 1_000_000 {
				t.Fatalf("seed %d: nothing goes on", seed)
			}
		}
		if seed == 0 {
			want = s.took.String()
			t.Log(strings.ReplaceAll(want, strings.Repeat("long ", 40_000), "long"))
		} else if got := s.took.String(); got != want {
			t.Fatalf("seed %d: %d bytes came out, want %d", seed, len(got), len(want))
		}
		if len(j.acks.of) != 0 {
			t.Errorf("seed %d: %d acks are kept", seed, len(j.acks.of))
		}
	}
}

// texter is the far end of a Conn of the json profile.
type texter struct {
	t    *testing.T
	pipe *PipeEnd
	r    *frame.Reader
}

// jsonEnd returns a Conn whose other end is a texter, over a pipe of n bytes.
func jsonEnd(t *testing.T, n int, o Options) (*Conn, *texter) {
	ours, theirs := PipeSize(n)
	return New(Choose(ours, nil), o), &texter{t, theirs, frame.NewReader(theirs, frame.Options{})}
}

func (x *texter) say(format string, args ...any) {
	x.t.Helper()
	if _, err := x.pipe.Write(frame.AppendFrame(nil, frame.Text, fmt.Appendf(nil, format, args...))); err != nil {
		x.t.Error(err)
	}
}

// next returns the next frame that is no ping.
func (x *texter) next() (string, error) {
	for {
		op, payload, err := x.r.Next()
		if err != nil {
			return "", err
		}
		if op == frame.Close {
			code, reason, err := frame.ParseClose(payload)
			return fmt.Sprintf("close %d %s", code, reason), err
		}
		if op != frame.Ping {
			return string(payload), nil
		}
	}
}

func (x *texter) expect(want string) {
	x.t.Helper()
	if got, err := x.next(); err != nil || got != want {
		x.t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

// asked is what a Handler got.
type asked struct{ messages chan wire.Message }

func (a *asked) Receive(c *Conn, m *wire.Message) {
	charge := c.Charge(m)
	k := *m
	k.Body, k.Command, k.Target, k.Ext = bytes.Clone(m.Body), bytes.Clone(m.Command), bytes.Clone(m.Target), bytes.Clone(m.Ext)
	a.messages <- k
	charge.Return()
}
func (a *asked) Dry(*Conn) {}
func (a *asked) Beat(c *Conn) {
	_ = c.Post(Control, &wire.Message{Kind: wire.KindNotify}, Charge{})
	c.Flush()
}

// talk is a connection on which a hello was said and welcomed, and a handler that
// keeps what comes.
func talk(t *testing.T, n int, o Options) (*Conn, *texter, *asked, chan error) {
	c, x := jsonEnd(t, n, o)
	h := &asked{make(chan wire.Message, 1<<16)}
	over := make(chan error, 1)
	go func() {
		hello, err := c.AwaitHello(t.Context())
		if err != nil {
			over <- err
			return
		}
		if _, e := wire.Negotiate(hello); e != nil {
			t.Error(e)
		}
		w := wire.Welcome{Version: 1, AID: "me-1", Arbiter: "arbiter", MaxMessage: c.options.MaxMessage}
		if err := c.Welcome(&w); err != nil {
			t.Error(err)
		}
		over <- c.Run(h)
	}()
	x.say(`{"command":"hello","kind":"x","mode":"serial"}`)
	if w, err := x.next(); err != nil || !strings.Contains(w, `"aid":"me-1"`) {
		t.Fatalf("%s, %v, want a welcome", w, err)
	}
	return c, x, h, over
}

// A dialogue over a pipe that holds ten bytes.
func TestJSONDialogue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, x, h, over := talk(t, 10, Options{})
		if m := <-h.messages; m.Kind != wire.KindNotify {
			t.Errorf("first came %v, want the heartbeat of who is ready", m.Kind)
		}
		if p := c.Info().Profile; p != JSON {
			t.Errorf("the profile is %q", p)
		}
		x.say(`{"command":"add","target":"tally","args":[1],"ack":"a","parent":"5","timeout":70}`)
		m := <-h.messages
		parent, _ := m.Parent()
		if m.Kind != wire.KindRequest || m.Flags != wire.FlagTurn|wire.FlagArgs || m.Millis != 70 || parent != 5 || !bytes.Equal(m.Body, []byte{0x82, 0x81, 1, 0xa0}) {
			t.Errorf("the request came as %+v", m)
		}
		reply := wire.Message{Kind: wire.KindReply, ID: m.ID, Codec: wire.CodecCBOR, Body: []byte{2}}
		if err := c.Post(Reply, &reply, Charge{}); err != nil {
			t.Fatal(err)
		}
		c.FlushSoon()
		x.expect(`{"command":"callback","ack":"a","result":2}`)
		x.say(`{"command":"goodbye"}`)
		x.expect("close 1000 ")
		x.pipe.Close()
		if err := <-over; err != io.EOF {
			t.Errorf("it ended with %v", err)
		}
	})
}

// A call that has no image fails at its caller, a one-way message is told of.
func TestJSONNotEncodable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, x := jsonEnd(t, DefaultPipe, Options{MaxMessage: 1 << 16})
		unsent := make(chan string, 1)
		c.Unsent = func(sender string, e *wire.Error) { unsent <- sender + ": " + string(e.Code) + " " + e.Command }
		go func() {
			if _, err := c.AwaitHello(t.Context()); err != nil {
				t.Error(err)
			}
			_ = c.Welcome(&wire.Welcome{Version: 1, AID: "me-1", Arbiter: "arbiter"})
			_ = c.Run(&asked{make(chan wire.Message, 10)})
		}()
		x.say(`{"command":"hello","kind":"x"}`)
		if _, err := x.next(); err != nil {
			t.Fatal(err)
		}
		failed := make(chan *wire.Error, 1)
		caller := callback(func(_ uint64, e *wire.Error) { failed <- e })
		for _, test := range []struct {
			body []byte
			code wire.Code
		}{
			{append([]byte{0xc0, 0x63}, "now"...), wire.CodeNotEncodable},
			{[]byte{0xff}, wire.CodeInvalid},
			{wire.AppendBytesHead(make([]byte, 0, 1<<16), 60_000)[:60_003], wire.CodeTooLarge},
		} {
			m := wire.Message{Kind: wire.KindRequest, Target: []byte("me"), Command: []byte("add"), Codec: wire.CodecCBOR, Body: test.body}
			if _, err := c.Request(&m, Note{Caller: caller, Command: "add"}, Charge{}); err != nil {
				t.Fatal(err)
			}
			c.Flush()
			if e := <-failed; e.Code != test.code || e.Started != wire.StartedNo {
				t.Errorf("% x…: %+v, want %s", test.body[:1], e, test.code)
			}
			m.Flags, m.ID, m.Sender = wire.FlagOneWay, 0, []byte("him")
			if err := c.Post(Data, &m, Charge{}); err != nil {
				t.Fatal(err)
			}
			c.Flush()
			if got := <-unsent; got != "him: "+string(test.code)+" add" {
				t.Errorf("one way: %s", got)
			}
		}
		c.Close(nil)
	})
}

// A json peer that does not stop sending is refused what it has no room for, and is
// never left unread.
func TestJSONFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, x := jsonEnd(t, DefaultPipe, Options{Window: wire.Window{Messages: 5, Bytes: 1 << 20}})
		stuck := make(chan wire.Message, 100)
		go func() {
			if _, err := c.AwaitHello(t.Context()); err != nil {
				t.Error(err)
			}
			_ = c.Welcome(&wire.Welcome{Version: 1, AID: "me-1", Arbiter: "arbiter"})
			_ = c.Run(holding{stuck})
		}()
		x.say(`{"command":"hello","kind":"x"}`)
		if _, err := x.next(); err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			x.say(`{"command":"add","target":"tally","ack":"%d"}`, n)
			x.say(`{"command":"log","target":"tally"}`)
		}
		for range 35 {
			if s, err := x.next(); err != nil || !strings.Contains(s, `"code":"overloaded"`) {
				t.Fatalf("%s, %v, want overloaded", s, err)
			}
		}
		if s := c.Stats(); s.Refused != 35 {
			t.Errorf("%d are counted as refused, want 35", s.Refused)
		}
		for range 5 { // those that were taken are over: there is room again
			m := <-stuck
			c.Charge(&m).Return()
		}
		x.say(`{"command":"add","target":"tally","ack":"again"}`)
		if m := <-stuck; m.Kind != wire.KindRequest {
			t.Errorf("%v", m.Kind)
		}
		c.Close(nil)
	})
}

// holding keeps the room of what it gets.
type holding struct{ requests chan wire.Message }

func (h holding) Receive(_ *Conn, m *wire.Message) {
	if m.Kind == wire.KindRequest {
		h.requests <- *m
	}
}
func (holding) Dry(*Conn)  {}
func (holding) Beat(*Conn) {}

// A hello that does not come is waited for no longer than any other.
func TestJSONHelloWaits(t *testing.T) {
	for name, first := range map[string][]byte{"half a frame": {0x81, 100, '{'}, "pings": frame.AppendFrame([]byte{0x01, 1, '{'}, frame.Ping, nil)} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, x := jsonEnd(t, DefaultPipe, Options{})
				_, _ = x.pipe.Write(first)
				began := time.Now()
				_, err := c.AwaitHello(within(t, 5*time.Second))
				if err == nil || time.Since(began) != 5*time.Second {
					t.Errorf("it was waited for %v: %v", time.Since(began), err)
				}
				c.Close(err)
			})
		})
	}
}

// A slow upload is a sign of life, silence is none.
func TestJSONSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, x, h, over := talk(t, DefaultPipe, Options{Interval: interval, Timeout: timeout})
		<-h.messages
		text := []byte(`{"command":"log","target":"tally","args":["` + strings.Repeat("x", 50) + `"]}`)
		for _, b := range frame.AppendFrame(nil, frame.Text, text) {
			<-time.After(timeout / 2)
			if _, err := x.pipe.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		if m := <-h.messages; string(m.Command) != "log" {
			t.Errorf("got %s", m.Command)
		}
		began := time.Now()
		if err := <-over; !errors.Is(err, ErrSilent) || time.Since(began) > timeout+interval {
			t.Errorf("it was given up after %v: %v", time.Since(began), err)
		}
	})
}

// FuzzJSONRead: whatever a json peer sends, what the Conn gets is native messages, and
// an end.
func FuzzJSONRead(f *testing.F) {
	hello := frame.AppendFrame(nil, frame.Text, []byte(`{"command":"hello","kind":"x"}`))
	for _, s := range []string{
		`{"command":"add","target":"tally","args":[1],"ack":"a"}`, `{"command":"callback","ack":"1048577","error":{"code":"x","path":["a"],"death":{"cause":"exit","code":3}}}`,
		`{"command":"watch","actor":"tally","ack":"w"}`, `{"command":"notify","info":{"inbox":1,"extra":{}}}`, `{"command":"goodbye","death":{"stderr":["x"]}}`, `{"command":"undelivered","error":"x"}`,
	} {
		f.Add(append(bytes.Clone(hello), frame.AppendFrame(nil, frame.Text, []byte(s))...))
	}
	f.Add(append(bytes.Clone(hello), frame.AppendFrame(nil, frame.Close, []byte{3, 0xe8})...))
	f.Fuzz(func(t *testing.T, b []byte) {
		j := NewJSON(&script{in: b}, nil, frame.Unmasked).(*jsonTransport)
		c := New(j, Options{MaxMessage: 1 << 16})
		c.Close(nil) // nothing is written
		r := frame.NewReader(j, frame.Options{Limit: 1 << 17})
		for range 1 << 16 {
			op, payload, err := r.Next()
			if err != nil {
				return
			}
			var m wire.Message
			if err := m.Parse(payload); op != frame.Binary || err != nil || !m.Fits() {
				t.Fatalf("%v %x: %v", op, payload, err)
			}
		}
		t.Fatal("it does not end")
	})
}

// script is a socket on which in comes, and nothing else.
type script struct {
	Transport
	in []byte
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.in)
	s.in = s.in[n:]
	return n, nil
}
func (s *script) Close() error                   { return nil }
func (s *script) Write(b []byte) (int, error)    { return len(b), nil }
func (s *script) TryWrite(b []byte) (int, error) { return len(b), nil }
