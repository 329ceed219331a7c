package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// mirror answers each request with its body.
type mirror struct {
	mu   sync.Mutex
	got  []wire.Kind
	echo bool
}

func (h *mirror) Receive(c *Conn, m *wire.Message) {
	h.mu.Lock()
	h.got = append(h.got, m.Kind)
	h.mu.Unlock()
	if m.Kind != wire.KindRequest {
		return
	}
	c.Charge(m).Return()
	if h.echo && m.Flags&wire.FlagOneWay == 0 {
		if m.Codec == wire.CodecPickle { // as the arbiter does it
			m.Codec = wire.CodecCBOR
			m.Body, _ = wire.PickleArgs(nil, m.Body)
		}
		args, _, err := wire.SplitArgs(m.Codec, m.Body)
		if err != nil || len(args) != 1 {
			e := wire.Errorf(wire.CodeInvalid, "%d arguments, %v", len(args), err)
			r := e.Frame(wire.KindError, m.ID)
			_ = c.Post(Reply, &r, Charge{})
			return
		}
		_ = c.Post(Reply, &wire.Message{Kind: wire.KindReply, ID: m.ID, Codec: m.Codec, Body: args[0]}, Charge{})
	}
}
func (h *mirror) Dry(c *Conn)  { c.Flush() }
func (h *mirror) Beat(c *Conn) {}

func (h *mirror) kinds() []wire.Kind {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]wire.Kind(nil), h.got...)
}

// results notes how calls ended.
type results struct {
	mu     sync.Mutex
	bodies map[uint64][]byte
	errs   map[uint64]*wire.Error
}

func (r *results) Result(id uint64, m *wire.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies[id] = append([]byte{}, m.Body...)
}

func (r *results) Failed(id uint64, e *wire.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs[id] = e
}

func newResults() *results {
	return &results{bodies: make(map[uint64][]byte), errs: make(map[uint64]*wire.Error)}
}

// pulsarPair has an actor join over a pipe that holds size bytes and moves slice at a time.
func pulsarPair(t *testing.T, size, slice int) (arbiter, actor *Conn, p *Pulsar) {
	t.Helper()
	ours, theirs := PipeSize(size)
	ours.Slice(slice)
	theirs.Slice(slice)
	p = NewPulsar(ours, PulsarOptions{})
	actor = New(NewPulsar(theirs, PulsarOptions{AID: "gopher"}), Options{})
	joined := make(chan error, 1)
	go func() {
		w, err := actor.Hello(context.Background(), &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "mirror", PID: 7})
		if err == nil && (w.AID != "gopher" || w.Arbiter != "arbiter") {
			err = errors.New("it was welcomed as " + w.AID)
		}
		joined <- err
	}()
	if err := p.Await(func(aid string) error {
		if aid != "gopher" {
			return errors.New("it is not expected")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	arbiter = New(p, Options{Window: PulsarWindow})
	h, err := arbiter.AwaitHello(context.Background())
	if err != nil || h.AID != "gopher" || h.Kind != "mirror" || h.PID != 7 {
		t.Fatalf("hello: %+v, %v", h, err)
	}
	if err := arbiter.Welcome(&wire.Welcome{Version: wire.Version, AID: "gopher", Arbiter: "arbiter", Window: PulsarWindow}); err != nil {
		t.Fatal(err)
	}
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	return arbiter, actor, p
}

// TestPulsarBothWays has both ends ask each other, small and large, over pipes that take
// little at a time: every answer is the right one, and nothing stands still.
func TestPulsarBothWays(t *testing.T) {
	for _, c := range []struct {
		name        string
		size, slice int
	}{{"whole", DefaultPipe, 0}, {"tight", 64, 0}, {"sliced", 4096, 7}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, _ := pulsarPair(t, c.size, c.slice)
				ha, hb := &mirror{echo: true}, &mirror{echo: true}
				var ended sync.WaitGroup
				ended.Go(func() { _ = a.Run(ha) })
				ended.Go(func() { _ = b.Run(hb) })
				outcomes := map[*Conn]*results{a: newResults(), b: newResults()}
				sent := map[uint64][]byte{}
				for n := uint64(1); n <= 64; n++ {
					body := []byte{}
					size := int(n) * int(n)
					if n%16 == 0 && c.slice == 0 {
						size = 100 << 10
					}
					body, err := wire.EncodeArgs(wire.CodecCBOR, body, []any{bytes.Repeat([]byte{byte(n)}, size)}, nil)
					if err != nil {
						t.Fatal(err)
					}
					one, _, err := wire.SplitArgs(wire.CodecCBOR, body)
					if err != nil {
						t.Fatal(err)
					}
					sent[n] = one[0]
					for _, from := range []*Conn{a, b} {
						m := wire.Message{Kind: wire.KindRequest, Flags: wire.FlagArgs, Codec: wire.CodecCBOR, Sender: []byte("arbiter"), Target: []byte("x"), Command: []byte("echo"), Body: body}
						if _, err := from.Request(&m, Note{Caller: outcomes[from], ID: n}, Charge{}); err != nil {
							t.Fatal(err)
						}
						from.Flush()
					}
				}
				synctest.Wait()
				for from, r := range outcomes {
					if len(r.bodies)+len(r.errs) != len(sent) {
						t.Errorf("%d answers and %d errors to %d calls", len(r.bodies), len(r.errs), len(sent))
					}
					for n, body := range r.bodies {
						if !bytes.Equal(body, sent[n]) {
							t.Errorf("call %d of %v was answered with %d bytes, want %d", n, from == a, len(body), len(sent[n]))
						}
					}
				}
				if r := outcomes[a]; len(r.errs) > 0 {
					t.Errorf("errors: %v", r.errs)
				}
				a.Close(nil)
				b.Close(nil)
				ended.Wait()
			})
		})
	}
}

// actorOf is the other end by hand: it writes what pulsar writes.
type actorOf struct {
	t *testing.T
	c *PipeEnd
	r *frame.Reader
}

func (a *actorOf) say(r wire.PulsarRequest) {
	a.t.Helper()
	r.Sender = "a1"
	b, err := r.Append(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.c.Write(frame.AppendFrame(nil, frame.Binary, b)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *actorOf) next() *wire.PulsarMessage {
	a.t.Helper()
	op, b, err := a.r.Next()
	if err != nil || op != frame.Binary {
		a.t.Fatalf("it was told %v, %v", op, err)
	}
	m, err := wire.ParsePulsar(b)
	if err != nil {
		a.t.Fatal(err)
	}
	return m
}

// byPulsar is an arbiter's Conn whose other end is an actorOf.
func byPulsar(t *testing.T, window wire.Window, h Handler) (*Conn, *Pulsar, *actorOf, chan error) {
	t.Helper()
	ours, theirs := Pipe()
	a := &actorOf{t, theirs, frame.NewReader(theirs, frame.Options{})}
	p := NewPulsar(ours, PulsarOptions{})
	a.say(wire.PulsarRequest{Command: "notify", ID: "i1", Target: "arbiter", Ack: "i1"})
	if err := p.Await(func(string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	c := New(p, Options{Window: window})
	if _, err := c.AwaitHello(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := c.Welcome(&wire.Welcome{Version: wire.Version, AID: "a1", Arbiter: "arbiter"}); err != nil {
		t.Fatal(err)
	}
	if m := a.next(); !m.Callback || m.Ack != "i1" {
		t.Fatalf("the notify was answered %+v", m)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(h) }()
	return c, p, a, ended
}

// hoard keeps the room of what it gets.
type hoard struct {
	mirror
	room []Charge
}

func (h *hoard) Receive(c *Conn, m *wire.Message) {
	if m.Kind == wire.KindRequest {
		h.room = append(h.room, c.Charge(m))
	}
}

// TestPulsarRoom has an actor send more than it has room for: the rest is refused at
// once, with None, and the connection lives; with room again, it is taken again.
func TestPulsarRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hoard{}
		c, p, a, ended := byPulsar(t, wire.Window{Messages: 4, Bytes: 1 << 20}, h)
		for _, ack := range []string{"1", "2", "3", "4", "5", "6"} {
			a.say(wire.PulsarRequest{Command: "echo", ID: ack, Target: "b", Ack: ack})
		}
		for _, ack := range []string{"5", "6"} {
			if m := a.next(); !m.Callback || m.Ack != ack {
				t.Errorf("told %+v, want None for %s", m, ack)
			}
		}
		if n := p.Counts().Refused; n != 2 {
			t.Errorf("%d refused, want 2", n)
		}
		synctest.Wait()
		for _, ch := range h.room {
			ch.Return()
		}
		synctest.Wait() // the credit is written, and seen on its way
		a.say(wire.PulsarRequest{Command: "echo", ID: "7", Target: "b", Ack: "7"})
		synctest.Wait()
		if len(h.room) != 5 {
			t.Errorf("%d were taken, want 5", len(h.room))
		}
		c.Close(nil)
		<-ended
	})
}

// TestPulsarStop tells an end that was asked for from one that was not.
func TestPulsarStop(t *testing.T) {
	for _, asked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			h := &mirror{}
			c, _, a, ended := byPulsar(t, PulsarWindow, h)
			if asked {
				if err := c.Post(Control, &wire.Message{Kind: wire.KindStop, Body: []byte("enough")}, Charge{}); err != nil {
					t.Fatal(err)
				}
				c.Flush()
				if m := a.next(); m.Command != "stop" || m.Target != "a1" || m.Sender != "arbiter" || m.Ack != "" {
					t.Errorf("told %+v", m)
				}
			}
			_ = a.c.Close()
			if err := <-ended; err != io.EOF {
				t.Errorf("it ended with %v", err)
			}
			kinds := h.kinds()
			if bye := len(kinds) > 0 && kinds[len(kinds)-1] == wire.KindGoodbye; bye != asked {
				t.Errorf("asked: %v, and its end came as %v", asked, kinds)
			}
		})
	}
}

// TestPulsarQuiet has a Conn say all that pulsar has no word for: nothing is written.
func TestPulsarQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, a, ended := byPulsar(t, PulsarWindow, &mirror{})
		for _, k := range []wire.Kind{wire.KindNotify, wire.KindCancel, wire.KindUndelivered, wire.KindDown, wire.KindXoff, wire.KindXon, wire.KindUnwatch} {
			if err := c.Post(Control, &wire.Message{Kind: k, ID: 9}, Charge{}); err != nil {
				t.Fatal(err)
			}
		}
		// An answer to nothing, and one that comes twice.
		a.say(wire.PulsarRequest{Command: "echo", ID: "1", Target: "b", Ack: "1"})
		synctest.Wait()
		for range 2 {
			_ = c.Post(Reply, &wire.Message{Kind: wire.KindReply, ID: 2}, Charge{}) // 1 was the notify
		}
		_ = c.Post(Reply, &wire.Message{Kind: wire.KindReply, ID: 77}, Charge{})
		c.Flush()
		// A call nobody waits for any more when it is written is not written.
		r := newResults()
		m := wire.Message{Kind: wire.KindRequest, Command: []byte("late")}
		id, err := c.Request(&m, Note{Caller: r, ID: 1}, Charge{})
		if err != nil {
			t.Fatal(err)
		}
		c.Calls().Take(id)
		last := wire.Message{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Command: []byte("last")}
		if err := c.Post(Data, &last, Charge{}); err != nil {
			t.Fatal(err)
		}
		c.Flush()
		if m := a.next(); !m.Callback || m.Ack != "1" {
			t.Errorf("told %+v, want the callback", m)
		}
		if m := a.next(); m.Command != "last" {
			t.Errorf("told %+v, want the last request and nothing before it", m)
		}
		c.Close(nil)
		<-ended
	})
}

// TestPulsarNotSaid has values without an image on their way to an actor of pulsar.
func TestPulsarNotSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, a, ended := byPulsar(t, PulsarWindow, &mirror{})
		var unsent *wire.Error
		c.Unsent = func(sender string, e *wire.Error) { unsent = e }
		r := newResults()
		// A time of a year that Python does not have.
		body, err := wire.EncodeArgs(wire.CodecCBOR, nil, []any{1, time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := wire.Message{Kind: wire.KindRequest, Flags: wire.FlagArgs, Codec: wire.CodecCBOR, Command: []byte("echo"), Body: body}
		if _, err := c.Request(&m, Note{Caller: r, ID: 1}, Charge{}); err != nil {
			t.Fatal(err)
		}
		one := m
		one.Flags |= wire.FlagOneWay
		if err := c.Post(Data, &one, Charge{}); err != nil {
			t.Fatal(err)
		}
		c.Flush()
		synctest.Wait() // the reader may have taken the turn to write
		e := r.errs[1]
		if e == nil || e.Code != wire.CodeNotEncodable || e.Started != wire.StartedNo || !bytes.Contains([]byte(e.Message), []byte("args[1]")) {
			t.Errorf("the call ended with %+v", e)
		}
		if unsent == nil || unsent.Code != wire.CodeNotEncodable || unsent.Command != "echo" {
			t.Errorf("the one-way message came to %+v", unsent)
		}
		a.say(wire.PulsarRequest{Command: "ping", ID: "1", Target: "arbiter", Ack: "1"})
		synctest.Wait()
		c.Close(nil)
		<-ended
	})
}

// TestPulsarEarly has a real arbiter ask before it answers the first notify: what it asks
// waits for the welcome.
func TestPulsarEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := Pipe()
		a := &actorOf{t, theirs, frame.NewReader(theirs, frame.Options{})}
		c := New(NewPulsar(ours, PulsarOptions{AID: "gopher"}), Options{})
		joined := make(chan error, 1)
		go func() {
			_, err := c.Hello(context.Background(), &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "mirror"})
			joined <- err
		}()
		m := a.next()
		if m.Command != "notify" || m.Sender != "gopher" {
			t.Fatalf("its first message is %+v", m)
		}
		a.say(wire.PulsarRequest{Command: "ping", ID: "i1", Target: "gopher", Ack: "i1"})
		b, err := wire.AppendPulsarCallback(nil, m.Ack, wire.CodecNone, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Write(frame.AppendFrame(nil, frame.Binary, b)); err != nil {
			t.Fatal(err)
		}
		if err := <-joined; err != nil {
			t.Fatal(err)
		}
		h := &mirror{}
		ended := make(chan error, 1)
		go func() { ended <- c.Run(h) }()
		synctest.Wait()
		if k := h.kinds(); len(k) != 1 || k[0] != wire.KindRequest {
			t.Errorf("after the welcome came %v", k)
		}
		c.Close(nil)
		<-ended
	})
}

// TestPulsarFlood has what says nothing come without end: it is not kept for that.
func TestPulsarFlood(t *testing.T) {
	for name, b := range map[string][]byte{
		"pings":           {0x89, 0},
		"no pickles":      {0x82, 2, '{', '}'},
		"stray callbacks": nil,
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _, a, ended := byPulsar(t, PulsarWindow, &mirror{})
			if b == nil {
				payload, err := wire.AppendPulsarCallback(nil, "c9", wire.CodecNone, nil)
				if err != nil {
					t.Fatal(err)
				}
				b = frame.AppendFrame(nil, frame.Binary, payload)
			}
			one := func() {
				if _, err := a.c.Write(b); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			one()
			select {
			case err := <-ended:
				t.Fatalf("%s: one ended it: %v", name, err)
			default:
			}
			c.in.flood.Store(true) // as the timer does, when there were too many
			one()
			wantCode(t, <-ended, wire.CodeProtocol)
		})
	}
}

// TestPulsarKeepsLittle: what is remembered of a question until it is answered is not as long
// as its asker likes. Its room is the asker's again long before.
func TestPulsarKeepsLittle(t *testing.T) {
	long := strings.Repeat("x", 1<<16)
	for _, c := range []struct {
		command string
		args    []any
		kwargs  map[string]any
	}{
		{"kill_actor", []any{long}, nil},
		{"kill_actor", []any{"short"}, nil},
		{"spawn", []any{nil}, map[string]any{"name": long}},
		{"spawn", []any{nil}, map[string]any{"aid": long}},
		{"spawn", []any{nil}, map[string]any{"aid": "short", "name": "short"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			arbiter, actor, p := pulsarPair(t, DefaultPipe, 0)
			var silent, other mirror
			var wg sync.WaitGroup
			wg.Go(func() { _ = arbiter.Run(&silent) })
			wg.Go(func() { _ = actor.Run(&other) })
			body, err := wire.EncodeArgs(wire.CodecCBOR, nil, c.args, c.kwargs)
			if err != nil {
				t.Fatal(err)
			}
			m := wire.Message{Kind: wire.KindRequest, Flags: wire.FlagArgs, Codec: wire.CodecCBOR, Target: []byte("arbiter"), Command: []byte(c.command), Body: body}
			if _, err := actor.Request(&m, Note{Caller: newResults()}, Charge{}); err != nil {
				t.Fatal(err)
			}
			actor.Flush()
			synctest.Wait()
			p.asked.mu.Lock()
			for _, q := range p.asked.open {
				if kept := len(q.aid) + len(q.name); kept > 2*255 {
					t.Errorf("%s: %d bytes are kept until it is answered", c.command, kept)
				}
			}
			open := len(p.asked.open)
			p.asked.mu.Unlock()
			refused := len(body) > 1<<16
			if asked := len(silent.kinds()) > 0 && silent.kinds()[len(silent.kinds())-1] == wire.KindRequest; asked == refused || open > 0 == refused {
				t.Errorf("%s of %d bytes: asked for is %v, and %d wait for an answer", c.command, len(body), asked, open)
			}
			arbiter.Close(nil)
			actor.Close(nil)
			wg.Wait()
		})
	}
}
