package peer

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// side is one connection of a hub that passes requests to the other and replies
// back, as an arbiter's session does.
type side struct {
	*Conn
	to *side
}

func (s *side) Receive(c *Conn, m *wire.Message) {
	if m.Kind != wire.KindRequest {
		return
	}
	ch := c.Charge(m)
	_, _ = s.to.Request(m, Note{Caller: s, ID: m.ID}, ch) // a call that fails here would stall the test
}

func (s *side) Dry(*Conn)                         { s.to.Flush() }
func (s *side) Beat(*Conn)                        {}
func (s *side) Failed(uint64, *wire.Error)        {}
func (s *side) Result(id uint64, m *wire.Message) { s.Forward(id, m) }
func (s *side) Forward(id uint64, m *wire.Message) {
	m.ID = id
	_ = s.Post(Reply, m, Charge{})
}

// asker has calls in flight, each of which is asked again when it is answered.
type asker struct {
	*Conn
	message wire.Message
	left    int // to be asked yet; below 0, of those in flight so many are answered; owned by the reader
	flying  int // in flight at a time
	done    chan struct{}
}

func (a *asker) Receive(*Conn, *wire.Message) {}
func (a *asker) Beat(*Conn)                   {}
func (a *asker) Dry(*Conn)                    {} // Run flushes
func (a *asker) Failed(_ uint64, e *wire.Error) {
	panic(e)
}
func (a *asker) Result(id uint64, _ *wire.Message) {
	if a.left--; a.left >= 0 {
		a.ask(id)
	} else if a.left == -a.flying {
		a.done <- struct{}{}
	}
}

func (a *asker) ask(id uint64) {
	m := a.message
	if _, err := a.Request(&m, Note{Caller: a, ID: id}, Charge{}); err != nil {
		panic(err)
	}
}

// rounds makes n calls, at most inFlight at a time, and waits for their results.
func (a *asker) rounds(n, inFlight int) {
	inFlight = min(n, inFlight)
	a.left, a.flying = n-inFlight, inFlight // no call is in flight, so the reader does not look at it
	for range inFlight {
		a.ask(1)
	}
	a.Flush()
	<-a.done
}

// answerer answers what it is asked.
type answerer struct{ *Conn }

func (a *answerer) Receive(c *Conn, m *wire.Message) {
	if m.Kind != wire.KindRequest {
		return
	}
	cost := wire.Cost(m.Size())
	m.Kind, m.Command, m.Target, m.Sender = wire.KindReply, nil, nil, nil
	_ = c.Post(Reply, m, Charge{})
	c.Started()
	c.Credit(cost)
}
func (a *answerer) Dry(*Conn)  {}
func (a *answerer) Beat(*Conn) {}

// relay returns an asker whose calls go through a hub to an answerer, over
// connections that dial makes.
func relay(t testing.TB, size int, dial func() (Transport, Transport)) *asker {
	pool := new(Pool)
	o := Options{Pool: pool}
	a1, h1 := dial()
	b1, h2 := dial()
	left, right := &side{Conn: New(h1, o)}, &side{Conn: New(h2, o)}
	left.to, right.to = right, left
	a := &asker{Conn: New(a1, Options{}), done: make(chan struct{}, 1)}
	a.message = *request("echo", size)
	a.message.Target = []byte("tally")
	b := &answerer{New(b1, Options{})}
	shake(t, a.Conn, left.Conn)
	shake(t, b.Conn, right.Conn)
	var wg sync.WaitGroup
	start := func(c *Conn, h Handler) {
		wg.Go(func() { _ = c.Run(h) })
	}
	start(a.Conn, a)
	start(left.Conn, left)
	start(right.Conn, right)
	start(b.Conn, b)
	t.Cleanup(func() {
		for _, c := range [...]*Conn{a.Conn, left.Conn, right.Conn, b.Conn} {
			c.Close(nil)
		}
		wg.Wait()
	})
	return a
}

// sockets returns a dial for relay over sockets of the network.
func sockets(t testing.TB, network string) func() (Transport, Transport) {
	return func() (Transport, Transport) {
		a, b := connected(t, network)
		return NewTransport(a), NewTransport(b)
	}
}

// connected returns the ends of a new connection.
func connected(t testing.TB, network string) (a, b net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("no %s sockets here: %v", network, err)
	}
	defer l.Close()
	if a, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
	return a, b
}

// TestForwardAllocs holds what passes through a hub, and both ends' part of it, to
// no allocation: receive, look up, post to another connection, flush, the reply
// back, and the credit for it.
func TestForwardAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's pools drop what they are given")
	}
	for _, size := range [...]int{64, 16 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const n, inFlight = 2000, 32
			// Over sockets: a Pipe that held much lets its buffer go when it is empty.
			a := relay(t, size, sockets(t, "unix"))
			a.rounds(n, inFlight)
			// What remains is of the goroutines of flushes that found a full pipe or a
			// window at half, which are one for many messages.
			perRun := testing.AllocsPerRun(10, func() { a.rounds(n, inFlight) })
			if per := perRun / n; per > 0.05 {
				t.Errorf("%.3f allocations per call, forth and back through the hub, want 0", per)
			}
		})
	}
}

func BenchmarkRelay(b *testing.B) {
	for _, inFlight := range [...]int{1, 64, 256} {
		b.Run(fmt.Sprintf("unix-%d", inFlight), func(b *testing.B) {
			a := relay(b, 64, sockets(b, "unix"))
			a.rounds(1000, inFlight)
			b.ReportAllocs()
			b.ResetTimer()
			a.rounds(b.N, inFlight)
		})
		b.Run(fmt.Sprintf("bare-unix-%d", inFlight), func(b *testing.B) { benchmarkBare(b, inFlight) })
	}
}

// benchmarkBare is the same way with nothing but frames of 8 bytes of id: each of
// the four ends reads until it runs dry, then writes once.
func benchmarkBare(b *testing.B, inFlight int) {
	const size = wire.HeaderSize + 64 + 9 // as the relay's
	a, h1 := connected(b, "unix")
	h2, z := connected(b, "unix")
	var wg sync.WaitGroup
	pass := func(from, to net.Conn) {
		wg.Go(func() {
			_ = passOn(from, to, size)
			_ = to.Close()
		})
	}
	pass(h1, h2)
	pass(z, z)
	pass(h2, h1)
	r := bufio.NewReaderSize(a, 64<<10)
	rounds := func(n int) {
		out := make([]byte, 0, 256*(size+2))
		for sent, received := 0, 0; received < n; {
			out = out[:0]
			for ; sent < n && sent-received < inFlight; sent++ {
				out = append(out, 0x82, size)
				out = binary.BigEndian.AppendUint64(out, uint64(sent))
				out = append(out, make([]byte, size-8)...)
			}
			if _, err := a.Write(out); err != nil {
				b.Fatal(err)
			}
			for first := true; received < sent && (first || r.Buffered() >= size+2); first = false {
				if _, err := r.Peek(size + 2); err != nil {
					b.Fatal(err)
				}
				_, _ = r.Discard(size + 2)
				received++
			}
		}
	}
	rounds(1000)
	b.ReportAllocs()
	b.ResetTimer()
	rounds(b.N)
	b.StopTimer()
	_ = a.Close()
	wg.Wait()
}

func passOn(from, to net.Conn, size int) error {
	r := bufio.NewReaderSize(from, 64<<10)
	var out []byte
	for {
		if _, err := r.Peek(size + 2); err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		for r.Buffered() >= size+2 {
			f, _ := r.Peek(size + 2)
			out = append(out, f...)
			_, _ = r.Discard(size + 2)
		}
		if _, err := to.Write(out); err != nil {
			return err
		}
		out = out[:0]
	}
}
