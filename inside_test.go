package arbiter

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// quiet is for what a test knows without being told.
var quiet = slog.New(slog.DiscardHandler)

// inside runs f in virtual time, with an arbiter that can be looked into and is stopped
// afterwards.
func inside(t *testing.T, f func(t *testing.T, arb *Arbiter), change ...func(*Options)) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Name: "test", Output: io.Discard, Logger: quiet}
		for _, change := range change {
			change(&o)
		}
		arb, err := Start(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := arb.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		f(t, arb)
	})
}

// accepted returns the other end of a connection to arb, whose own is what over makes of it,
// and a function that waits until that is over.
func accepted(arb *Arbiter, over func(p *peer.PipeEnd) peer.Transport) (far *peer.PipeEnd, ended func()) {
	far, near := peer.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		arb.ServeConn(over(near))
	}()
	return far, func() { <-served }
}

// plain is a connection as it is.
func plain(p *peer.PipeEnd) peer.Transport { return p }

// distant is an actor elsewhere that is looked at from within. It answers nothing by itself.
type distant struct {
	*peer.Conn
	t    *testing.T
	aid  string
	near *peer.PipeEnd // the arbiter's end: while that is stalled, it reads nothing

	mu      sync.Mutex
	read    []wire.Message         // what it was sent
	results []int                  // how long those of its calls are
	failed  map[uint64]*wire.Error // its calls
	ran     chan struct{}          // closed when its connection is over
	err     error                  // why; after ran
}

// elsewhere has an actor join arb, in whose inbox there is room for whatever comes.
func elsewhere(t *testing.T, arb *Arbiter) *distant {
	d := &distant{t: t, failed: make(map[uint64]*wire.Error), ran: make(chan struct{})}
	far, ended := accepted(arb, func(p *peer.PipeEnd) peer.Transport { d.near = p; return p })
	d.Conn = peer.New(far, peer.Options{Window: wire.Window{Messages: 1 << 20, Bytes: 1 << 30}})
	w, err := d.Hello(t.Context(), &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "distant", Inbox: d.Window()})
	if err != nil {
		t.Fatal(err)
	}
	d.aid = w.AID
	go func() {
		defer close(d.ran)
		d.err = d.Run(d)
	}()
	d.post(peer.Control, wire.Message{Kind: wire.KindNotify})
	t.Cleanup(func() {
		d.Close(nil)
		<-d.ran
		ended()
	})
	return d
}

// post sends one message.
func (d *distant) post(class peer.Class, m wire.Message) {
	d.t.Helper()
	if err := d.Post(class, &m, peer.Charge{}); err != nil {
		d.t.Fatal(err)
	}
	d.Flush()
}

// call makes the call id.
func (d *distant) call(id uint64, to string) { d.ask(id, to, wire.KindRequest) }

// watch asks to be told of an end, as the call id.
func (d *distant) watch(id uint64, to string) { d.ask(id, to, wire.KindWatch) }

func (d *distant) ask(id uint64, to string, kind wire.Kind) {
	d.t.Helper()
	m := wire.Message{Kind: kind, Target: []byte(to), Command: []byte("ask"), Millis: 60_000}
	if _, err := d.RequestWait(d.t.Context(), &m, peer.Note{Caller: d, ID: id, Deadline: time.Now().Add(time.Minute)}, peer.Soon); err != nil {
		d.t.Fatal(err)
	}
}

// answers answers all calls it was sent, with one message of size bytes each.
func (d *distant) answers(kind wire.Kind, size int) {
	d.t.Helper()
	for i, m := range d.of(wire.KindRequest) {
		if i%100 == 0 {
			synctest.Wait() // there is room for so many
		}
		d.post(peer.Reply, wire.Message{Kind: kind, ID: m.ID, Command: []byte(wire.CodeApp), Codec: wire.CodecRaw, Body: make([]byte, size)})
	}
}

// lives reports whether its connection is not over, once all is quiet.
func (d *distant) lives() bool {
	synctest.Wait()
	select {
	case <-d.ran:
		return false
	default:
		return true
	}
}

// of returns those it was sent that are of a kind, once all is quiet.
func (d *distant) of(kind wire.Kind) (all []wire.Message) {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.read {
		if m.Kind == kind {
			all = append(all, m)
		}
	}
	return all
}

// Receive keeps m, and ends with a stop.
func (d *distant) Receive(_ *peer.Conn, m *wire.Message) {
	if m.Kind == wire.KindStop {
		d.Close(nil)
	}
	c := wire.Message{Kind: m.Kind, ID: m.ID, Command: bytes.Clone(m.Command), Codec: m.Codec, Body: bytes.Clone(m.Body)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read = append(d.read, c)
}

func (d *distant) Result(_ uint64, m *wire.Message) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.results = append(d.results, len(m.Body))
}

func (d *distant) Failed(id uint64, e *wire.Error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed[id] = e
}

func (d *distant) Dry(*peer.Conn)  {}
func (d *distant) Beat(*peer.Conn) {}
