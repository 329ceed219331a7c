package arbiter_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

var quiet = slog.New(slog.DiscardHandler)

// rawEnd is an actor without a cell: what it does with a message allocates
// nothing, so that what is counted is the arbiter's.
type rawEnd struct {
	*peer.Conn
	aid string

	message wire.Message
	left    int // to be asked yet; below 0, of those in flight so many are answered; owned by the reader meanwhile
	flying  int // in flight at a time
	done    chan struct{}
}

// rawJoined joins arb as an actor called name.
func rawJoined(t *testing.T, arb *arbiter.Arbiter, name string) *rawEnd {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var each sync.WaitGroup
	each.Go(func() { arb.ServeConn(peer.NewTransport(theirs)) })
	e := &rawEnd{Conn: peer.New(peer.NewTransport(ours), peer.Options{}), done: make(chan struct{}, 1)}
	w, err := e.Hello(t.Context(), &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "raw", Name: name, Inbox: peer.DefaultWindow})
	if err != nil {
		t.Fatal(err)
	}
	e.aid = w.AID
	each.Go(func() { _ = e.Run(e) })
	t.Cleanup(func() {
		e.Close(nil)
		each.Wait()
	})
	if err := e.Post(peer.Control, &wire.Message{Kind: wire.KindNotify}, peer.Charge{}); err != nil {
		t.Fatal(err)
	}
	e.Flush()
	return e
}

// Receive answers a request with its body.
func (e *rawEnd) Receive(c *peer.Conn, m *wire.Message) {
	switch m.Kind {
	case wire.KindRequest:
	case wire.KindStop:
		c.Close(nil)
		return
	default:
		return
	}
	cost := wire.Cost(m.Size())
	if m.Flags&wire.FlagOneWay == 0 {
		m.Kind, m.Flags, m.Command, m.Target, m.Sender = wire.KindReply, 0, nil, nil, nil
		_ = c.Post(peer.Reply, m, peer.Charge{}) // a reply that is lost would stall the test
	} else if e.left--; e.left == 0 {
		e.done <- struct{}{}
	}
	c.Started()
	c.Credit(cost)
}

func (e *rawEnd) Dry(*peer.Conn)  {}
func (e *rawEnd) Beat(*peer.Conn) {}

func (e *rawEnd) Failed(_ uint64, err *wire.Error) { panic(err) }

func (e *rawEnd) Result(id uint64, _ *wire.Message) {
	if e.left--; e.left >= 0 {
		e.ask(id)
	} else if e.left == -e.flying {
		e.done <- struct{}{}
	}
}

func (e *rawEnd) ask(id uint64) {
	m := e.message
	if _, err := e.Request(&m, peer.Note{Caller: e, ID: id}, peer.Charge{}); err != nil {
		panic(err)
	}
}

// asks makes n calls, at most inFlight at a time.
func (e *rawEnd) asks(n, inFlight int) {
	e.left, e.flying = n-inFlight, inFlight
	for range inFlight {
		e.ask(1)
	}
	e.Flush()
	<-e.done
}

// tells sends n one-way messages, some at a time, and waits until to has them:
// who waits for room in a window allocates.
func (e *rawEnd) tells(t testing.TB, n, some int, to *rawEnd) {
	m := e.message
	m.Flags |= wire.FlagOneWay
	for ; n > 0; n -= some {
		to.left = some
		for range some {
			if err := e.Post(peer.Data, &m, peer.Charge{}); err != nil {
				t.Fatal(err)
			}
		}
		e.Flush()
		<-to.done
	}
}

// TestRoutedAllocs holds what the arbiter does for a message to no allocation: it
// is read, its sender set, its call noted, with or without an edge among the waits,
// passed on, and its reply carried back.
func TestRoutedAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools drop what they are given: without -race it is tried")
	}
	arb, err := arbiter.Start(t.Context(), arbiter.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer arb.Stop(context.Background())
	from, to := rawJoined(t, arb, ""), rawJoined(t, arb, "to")
	const n, inFlight = 2000, 32
	for _, size := range [...]int{64, 16 << 10} {
		from.message = wire.Message{
			Kind: wire.KindRequest, Codec: wire.CodecRaw, Millis: 30_000,
			Target: []byte("to"), Command: []byte("echo"), Body: make([]byte, size),
		}
		for name, f := range map[string]func(){
			"ask":               func() { from.message.Flags = 0; from.asks(n, inFlight) },
			"ask out of a turn": func() { from.message.Flags = wire.FlagTurn; from.asks(n, inFlight) },
			"one-way":           func() { from.message.Flags = 0; from.tells(t, n, inFlight, to) },
			"ask by aid, chained": func() {
				from.message.Flags = wire.FlagChained
				from.message.Target = []byte(to.aid)
				from.asks(n, inFlight)
			},
		} {
			t.Run(fmt.Sprintf("%s of %d bytes", name, size), func(t *testing.T) {
				f()
				// What remains is of the goroutines of flushes that found a full socket or a
				// window at half, which are one for many messages.
				if per := testing.AllocsPerRun(5, f) / n; per > 0.05 {
					t.Errorf("%.3f allocations per message, want 0", per)
				}
			})
		}
	}
}
