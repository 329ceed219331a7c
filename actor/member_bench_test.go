package actor

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// feed is the end of a connection whose other end is an arbiter of which there is only
// what a member can see: it welcomes, keeps to the member's window, and reads all there is.
type feed struct {
	window wire.Window // the room for what the member sends

	mu      sync.Mutex
	moved   sync.Cond     // of mu
	first   []byte        // to be read: the welcome, once the hello came
	one     []byte        // a frame to send again and again
	left    int           // how often
	off     int           // bytes of it that are read
	sent    chan struct{} // closed when all of them are
	room    wire.Window
	cost    uint64
	given   wire.Credit // what the member has told
	answers []byte      // to what the member asked, as it asked: not read yet
	closed  bool
	in      []byte // written by the member, and not whole
}

func newFeed(window wire.Window) *feed {
	f := &feed{window: window}
	f.moved.L = &f.mu
	return f
}

func (f *feed) Info() peer.Info { return peer.Info{Network: "pipe"} }

func (f *feed) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.moved.Broadcast()
	return nil
}

// send has m read n times, as the window allows.
func (f *feed) send(m *wire.Message, n int) {
	size := m.Size()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.one, f.left, f.off, f.sent = m.Append(frame.AppendBinary(nil, size)), n, 0, make(chan struct{})
	f.cost = uint64(wire.Cost(size))
	f.moved.Broadcast()
}

func (f *feed) Read(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if n := copy(b, f.first); n > 0 {
			f.first = f.first[n:]
			return n, nil
		}
		if n := copy(b, f.answers); n > 0 {
			f.answers = append(f.answers[:0], f.answers[n:]...)
			return n, nil
		}
		n, before := 0, f.left
		for n < len(b) && f.left > 0 && (f.off > 0 || f.room.Messages > 0 && f.room.Bytes >= f.cost) {
			if f.off == 0 {
				f.room.Messages--
				f.room.Bytes -= f.cost
			}
			k := copy(b[n:], f.one[f.off:])
			n += k
			if f.off += k; f.off == len(f.one) {
				f.off = 0
				f.left--
			}
		}
		if before > 0 && f.left == 0 {
			close(f.sent)
		}
		if n > 0 {
			return n, nil
		}
		if f.closed {
			return 0, io.EOF
		}
		f.moved.Wait()
	}
}

func (f *feed) Write(b []byte) (int, error) { return f.TryWrite(b) }

func (f *feed) TryWrite(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(b)
	if len(f.in) > 0 {
		f.in = append(f.in, b...)
		b = f.in
	}
	for {
		h, head, err := frame.ParseHeader(b)
		if err != nil {
			return 0, err
		}
		if head == 0 || uint64(len(b)-head) < h.Length {
			f.in = append(f.in[:0], b...)
			return n, nil
		}
		f.take(b[head : head+int(h.Length)])
		b = b[head+int(h.Length):]
	}
}

func (f *feed) take(b []byte) {
	var m wire.Message
	if m.Parse(b) != nil {
		return
	}
	switch m.Kind {
	case wire.KindHello:
		h, err := wire.ParseHello(&m)
		if err != nil {
			panic(err)
		}
		f.room = h.Inbox
		w := &wire.Welcome{Version: wire.Version, AID: "bench", Arbiter: "arbiter", Window: f.window}
		welcome, err := w.Message()
		if err != nil {
			panic(err)
		}
		f.first = welcome.Append(frame.AppendBinary(nil, welcome.Size()))
	case wire.KindRequest:
		if m.Flags&wire.FlagOneWay != 0 {
			return
		}
		reply := wire.Message{Kind: wire.KindReply, ID: m.ID, Codec: m.Codec, Body: m.Body}
		f.answers = reply.Append(frame.AppendBinary(f.answers, reply.Size()))
	case wire.KindGoodbye:
		f.closed = true
	case wire.KindCredit:
		c, _ := wire.ParseCredit(&m)
		f.room.Messages += c.Messages - f.given.Messages
		f.room.Bytes += c.Bytes - f.given.Bytes
		f.given = c
	}
	f.moved.Broadcast()
}

// joinFeed returns a member of kind that has joined f.
func joinFeed(t testing.TB, f *feed, kind Behaviour) *Member {
	t.Helper()
	m := NewMember("unix:nowhere", kind, JoinOptions{Logger: slog.New(slog.DiscardHandler), dialed: f})
	t.Cleanup(func() { m.Close() })
	if _, err := m.Ref(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

var (
	benchTold = NewCommand[[]byte, None]("told", NoAck())
	benchBody = make([]byte, 64)
)

// BenchmarkMemberTold is what a one-way message costs the process it is for, but for the
// system calls.
func BenchmarkMemberTold(b *testing.B) {
	var told int
	all := make(chan struct{})
	kind := &Kind[None]{Name: "bench", Handlers: []Handler[None]{
		On(benchTold, func(_ None, _ context.Context, body []byte) error {
			if told++; told == b.N {
				close(all)
			}
			return nil
		}),
	}}
	f := newFeed(wire.Window{Messages: 8192, Bytes: 1 << 20})
	joinFeed(b, f, kind)
	body, err := wire.Encode(wire.CodecCBOR, nil, benchBody)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	f.send(&wire.Message{
		Kind: wire.KindRequest, Flags: wire.FlagOneWay, Codec: wire.CodecCBOR,
		Target: []byte("bench-echo"), Sender: []byte("somebody"), Command: []byte("told"), Body: body,
	}, b.N)
	<-all
}

// BenchmarkMemberSend is what a one-way message costs the process it is sent by, likewise.
func BenchmarkMemberSend(b *testing.B) {
	f := newFeed(wire.Window{Messages: 1 << 60, Bytes: 1 << 60})
	m := joinFeed(b, f, &Kind[None]{Name: "bench"})
	ctx, to := m.Context(context.Background()), To("bench-echo")
	b.ReportAllocs()
	for b.Loop() {
		if err := benchTold.Send(ctx, to, benchBody); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMemberCall is what calls cost the process they are made by, likewise: as many under
// way at once as the name says, with a goroutine each, that share a context which may end.
func BenchmarkMemberCall(b *testing.B) {
	echo := NewCommand[[]byte, []byte]("echo")
	for _, n := range []int{1, 64, 256} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			m := joinFeed(b, newFeed(wire.Window{Messages: 1 << 60, Bytes: 1 << 60}), &Kind[None]{Name: "bench"})
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			ctx = m.Context(ctx)
			b.ReportAllocs()
			b.SetParallelism((n + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := echo.Call(ctx, To("bench-echo"), benchBody); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
