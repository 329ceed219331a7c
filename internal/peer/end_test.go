package peer

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// letter is a message that was received, copied.
type letter struct {
	kind    wire.Kind
	id      uint64
	command string
	body    int // its length
}

// end is one end of a connection under test, and its Handler: it keeps what it
// receives, or hands it to on.
type end struct {
	*Conn
	pipe *PipeEnd

	on   func(c *Conn, m *wire.Message) // static; instead of keeping
	dry  func()                         // static
	beat func(c *Conn)                  // static

	mu    sync.Mutex
	inbox []letter
	ran   chan struct{} // closed when Run has returned
	err   error         // what Run returned; after ran
}

func (e *end) Receive(c *Conn, m *wire.Message) {
	if e.on != nil {
		e.on(c, m)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.inbox = append(e.inbox, letter{m.Kind, m.ID, string(m.Command), len(m.Body)})
}

func (e *end) Dry(*Conn) {
	if e.dry != nil {
		e.dry()
	}
}

func (e *end) Beat(c *Conn) {
	if e.beat != nil {
		e.beat(c)
	}
}

// got returns what was received so far.
func (e *end) got() []letter {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.inbox)
}

func (e *end) commands() (names []string) {
	for _, l := range e.got() {
		names = append(names, l.command)
	}
	return names
}

// run starts the reader. The test ends it, if nothing else has.
func (e *end) run(t testing.TB) {
	e.ran = make(chan struct{})
	go func() {
		defer close(e.ran)
		e.err = e.Run(e)
	}()
	t.Cleanup(func() {
		e.Close(nil)
		<-e.ran
	})
}

// why returns what Run returned, once it has.
func (e *end) why() error {
	<-e.ran
	return e.err
}

// hello is one that is taken.
func hello(window wire.Window) *wire.Hello {
	return &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "test", Inbox: window}
}

func welcome(window wire.Window) *wire.Welcome {
	return &wire.Welcome{Version: wire.Version, AID: "a1", Arbiter: "arbiter", Window: window, MaxMessage: DefaultMaxMessage}
}

// shake does the handshake between a, who connects, and b.
func shake(t testing.TB, a, b *Conn) {
	t.Helper()
	said := make(chan error, 1)
	go func() {
		_, err := a.Hello(t.Context(), hello(a.room.window))
		said <- err
	}()
	if _, err := b.AwaitHello(t.Context()); err != nil {
		t.Fatalf("AwaitHello: %v", err)
	}
	if err := b.Welcome(welcome(b.room.window)); err != nil {
		t.Fatalf("Welcome: %v", err)
	}
	if err := <-said; err != nil {
		t.Fatalf("Hello: %v", err)
	}
}

// pair returns two ends that have shaken hands over a Pipe and read.
func pair(t testing.TB, oa, ob Options) (a, b *end) {
	t.Helper()
	a, b = strangers(oa, ob)
	shake(t, a.Conn, b.Conn)
	a.run(t)
	b.run(t)
	return a, b
}

// strangers returns two ends that have not.
func strangers(oa, ob Options) (a, b *end) {
	pa, pb := Pipe()
	return &end{Conn: New(pa, oa), pipe: pa}, &end{Conn: New(pb, ob), pipe: pb}
}

// peerOf is the far end of a connection, written and read by hand.
type peerOf struct {
	t      testing.TB
	pipe   *PipeEnd
	frames *frame.Reader
	grant  wire.Credit
}

// noRoom is byHand with one message of data under way, in a window that is for one.
func noRoom(t *testing.T) (*end, *peerOf) {
	t.Helper()
	e, p := byHand(t, Options{}, wire.Window{Messages: 1, Bytes: 1000})
	mustPost(t, e.Conn, Data, oneWay("first", 10))
	e.Flush()
	p.next()
	return e, p
}

// byHand returns an end that has shaken hands, and the far end of its connection,
// which grants window.
func byHand(t testing.TB, o Options, window wire.Window) (*end, *peerOf) {
	t.Helper()
	return byHandOver(t, o, window, func(p *PipeEnd) Transport { return p })
}

// byHandOver is byHand with a transport over the pipe.
func byHandOver(t testing.TB, o Options, window wire.Window, over func(*PipeEnd) Transport) (*end, *peerOf) {
	t.Helper()
	return byHandAs(t, o, hello(window), over)
}

// byHandAs is byHandOver with another hello.
func byHandAs(t testing.TB, o Options, h *wire.Hello, over func(*PipeEnd) Transport) (*end, *peerOf) {
	t.Helper()
	e, p := unknownOver(t, o, over)
	opened := make(chan error, 1)
	go func() {
		_, err := e.AwaitHello(t.Context())
		if err == nil {
			err = e.Welcome(welcome(e.room.window))
		}
		opened <- err
	}()
	m, err := h.Message()
	if err != nil {
		t.Fatal(err)
	}
	p.say(&m)
	if got := p.next(); got.kind != wire.KindWelcome {
		t.Fatalf("the hello was answered with %v", got)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	e.run(t)
	return e, p
}

// unknown is byHand before the handshake.
func unknown(t testing.TB, o Options) (*end, *peerOf) {
	return unknownOver(t, o, func(p *PipeEnd) Transport { return p })
}

func unknownOver(t testing.TB, o Options, over func(*PipeEnd) Transport) (*end, *peerOf) {
	pa, pb := Pipe()
	t.Cleanup(func() { _ = pb.Close() })
	return &end{Conn: New(over(pa), o), pipe: pa}, &peerOf{t: t, pipe: pb, frames: frame.NewReader(pb, frame.Options{})}
}

// say writes m whole.
func (p *peerOf) say(m *wire.Message) {
	p.t.Helper()
	p.bytes(m.Append(frame.AppendBinary(nil, m.Size())))
}

func (p *peerOf) bytes(b []byte) {
	p.t.Helper()
	if _, err := p.pipe.Write(b); err != nil {
		p.t.Fatalf("the far end cannot write: %v", err)
	}
}

// next reads one message.
func (p *peerOf) next() letter {
	p.t.Helper()
	l, err := p.try()
	if err != nil {
		p.t.Fatalf("the far end reads %v", err)
	}
	return l
}

func (p *peerOf) try() (letter, error) {
	_, b, err := p.frames.Next()
	if err != nil {
		return letter{}, err
	}
	var m wire.Message
	if err := m.Parse(b); err != nil {
		return letter{}, err
	}
	return letter{m.Kind, m.ID, string(m.Command), len(m.Body)}, nil
}

// rest reads to the end of the connection.
func (p *peerOf) rest() (all []letter, err error) {
	for {
		l, err := p.try()
		if err != nil {
			return all, err
		}
		all = append(all, l)
	}
}

// take gives back the room of n messages of size bytes.
func (p *peerOf) take(n, size int) {
	p.t.Helper()
	p.grant.Messages += uint64(n)
	p.grant.Bytes += uint64(n * wire.Cost(size))
	m := p.grant.Message(new([16]byte))
	p.say(&m)
}

// outcome is a Caller that keeps how its calls ended.
type outcome struct {
	mu   sync.Mutex
	done map[uint64][]error // nil: a result
}

func (o *outcome) add(id uint64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done == nil {
		o.done = make(map[uint64][]error)
	}
	o.done[id] = append(o.done[id], err)
}

func (o *outcome) Result(id uint64, _ *wire.Message) { o.add(id, nil) }
func (o *outcome) Failed(id uint64, e *wire.Error)   { o.add(id, e) }

// of returns how the call id ended, which must be once.
func (o *outcome) of(t testing.TB, id uint64) error {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.done[id]); n != 1 {
		t.Fatalf("call %d ended %d times, want once: %v", id, n, o.done[id])
	}
	return o.done[id][0]
}

func (o *outcome) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.done)
}

func request(command string, size int) *wire.Message {
	return &wire.Message{Kind: wire.KindRequest, Codec: wire.CodecRaw, Command: []byte(command), Body: make([]byte, size)}
}

func oneWay(command string, size int) *wire.Message {
	m := request(command, size)
	m.Flags = wire.FlagOneWay
	return m
}

// wantCode fails the test unless err is a *wire.Error with code.
func wantCode(t testing.TB, err error, code wire.Code) *wire.Error {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("the error is %v, want one with code %q", err, code)
	}
	return e
}

func mustPost(t testing.TB, c *Conn, class Class, m *wire.Message) {
	t.Helper()
	if err := c.Post(class, m, Charge{}); err != nil {
		t.Fatalf("Post %q: %v", m.Command, err)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
