package peer

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// lender is a transport that counts who reads in which way.
type lender struct {
	*PipeEnd
	loans, reads atomic.Int64
}

func (l *lender) Read(b []byte) (int, error) {
	l.reads.Add(1)
	return l.PipeEnd.Read(b)
}

func (l *lender) ReadLoan(loan frame.Loan) (int, error) {
	l.loans.Add(1)
	return l.PipeEnd.ReadLoan(loan)
}

// A Conn has no buffer of its own while nothing comes, also behind a Chooser.
func TestConnLendsItsBuffer(t *testing.T) {
	for name, over := range map[string]func(Transport) Transport{
		"as it is":         func(t Transport) Transport { return t },
		"behind a Chooser": func(t Transport) Transport { return Choose(t, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			var l *lender
			e, p := byHandOver(t, Options{}, DefaultWindow, func(p *PipeEnd) Transport {
				l = &lender{PipeEnd: p}
				return over(l)
			})
			before := l.reads.Load()
			for range 3 {
				p.say(&wire.Message{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Command: []byte("a")})
			}
			for len(e.got()) < 3 {
				runtime.Gosched()
			}
			if l.loans.Load() == 0 || l.reads.Load() != before {
				t.Errorf("%d reads with a loan, and %d without", l.loans.Load(), l.reads.Load()-before)
			}
		})
	}
}

// Sockets that wait share the buffers of those that read.
func TestSocketsLend(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			const many = 64
			var (
				buffers frame.Buffers
				far     [many]net.Conn
				read    = make(chan int)
			)
			for i := range many {
				ours, theirs := connected(t, network)
				far[i] = theirs
				r := frame.NewReader(NewTransport(ours), frame.Options{Buffers: &buffers})
				go func() {
					for {
						_, payload, err := r.Next()
						if err != nil {
							return
						}
						read <- len(payload)
					}
				}()
			}
			message := frame.AppendFrame(nil, frame.Binary, make([]byte, 40<<10)) // which needs a buffer of 64 KiB
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for _, c := range far {
				if _, err := c.Write(message); err != nil {
					t.Fatal(err)
				}
				if n := <-read; n != 40<<10 {
					t.Fatalf("%d bytes", n)
				}
			}
			runtime.ReadMemStats(&after)
			// The race detector has a sync.Pool forget a quarter of what it is given.
			if took := after.TotalAlloc - before.TotalAlloc; runtime.GOOS == "linux" && took > many*64<<10/2 {
				t.Errorf("%d that read one after the other took %d KiB", many, took>>10)
			}
		})
	}
}

// looker is a stream of one byte that tells what its buffer had in it.
type looker struct{ first byte }

func (k *looker) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

func (k *looker) ReadLoan(l frame.Loan) (int, error) {
	k.first = l.Take()[0]
	return 0, io.EOF
}

// waiting is a transport that says when it is read from.
type waiting struct {
	*PipeEnd
	waits func()
}

func (w *waiting) ReadLoan(l frame.Loan) (int, error) {
	w.waits()
	return w.PipeEnd.ReadLoan(l)
}

// Who reads a profile that translates has no buffer either while the other end says nothing:
// then somebody else has it.
func TestJSONLends(t *testing.T) {
	ours, theirs := Pipe()
	var buffers frame.Buffers
	lent := 0
	j := NewJSON(&waiting{ours, func() {
		var k looker
		_, _, _ = frame.NewReader(&k, frame.Options{Buffers: &buffers}).Next()
		if k.first != 0 { // it was read into before
			lent++
		}
	}}, nil, frame.Unmasked)
	New(j, Options{})
	r := frame.NewReader(j, frame.Options{Buffers: &buffers})
	x := &texter{t, theirs, nil}
	x.say(`{"command":"hello","kind":"x","mode":"serial"}`)
	// A sync.Pool may forget what it is given, and does so a quarter of the time under the
	// race detector.
	for range 100 {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		x.say(`{"command":"notify"}`)
	}
	if lent == 0 {
		t.Error("it has its buffer while it waits")
	}
	t.Logf("%d of 100 times somebody else had the buffer", lent)
}

// What was read already is read before the socket also by who lends, though its buffer holds
// less than that.
func TestChooserLendsAndReadsFirst(t *testing.T) {
	var want []byte
	for i := range 20 {
		want = frame.AppendFrame(want, frame.Binary, bytes.Repeat([]byte{byte(i)}, 1020)) // four fill a buffer
	}
	for cut := 0; cut <= len(want); cut += 777 {
		ours, theirs := Pipe()
		if _, err := theirs.Write(want[cut:]); err != nil {
			t.Fatal(err)
		}
		_ = theirs.Close()
		r := frame.NewReader(Choose(ours, bytes.Clone(want[:cut])), frame.Options{Buffers: new(frame.Buffers)})
		for i := range 20 {
			_, payload, err := r.Next()
			if err != nil || len(payload) != 1020 || payload[0] != byte(i) || payload[1019] != byte(i) {
				t.Fatalf("cut at %d: message %d has %d bytes, %v", cut, i, len(payload), err)
			}
		}
		if _, _, err := r.Next(); err != io.EOF {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
}

// A part of a text frame is a sign of life, whoever reads it, and what came together is not
// lost when the transport is bound to another Conn.
func TestJSONLendsAndIsBoundAgain(t *testing.T) {
	ours, theirs := Pipe()
	j := NewJSON(ours, nil, frame.Unmasked)
	first := New(j, Options{})
	x := &texter{t, theirs, nil}
	said := frame.AppendFrame(nil, frame.Text, []byte(`{"command":"hello","kind":"x"}`))
	said = frame.AppendFrame(said, frame.Text, []byte(`{"command":"notify"}`))
	if _, err := x.pipe.Write(said); err != nil {
		t.Fatal(err)
	}
	if _, err := first.AwaitHello(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := New(&lender{PipeEnd: ours}, Options{})
	j.(Binder).Bind(second)
	r := frame.NewReader(j, frame.Options{Buffers: new(frame.Buffers)})
	for range 2 { // the first is made of the hello
		if _, payload, err := r.Next(); err != nil || wire.Kind(payload[0]) != wire.KindNotify {
			t.Fatalf("%q, %v", payload, err)
		}
	}
	ended := make(chan error)
	go func() {
		_, _, err := r.Next()
		ended <- err
	}()
	if _, err := x.pipe.Write(said[:5]); err != nil {
		t.Fatal(err)
	}
	for second.in.reads.Load() == 0 {
		runtime.Gosched()
	}
	_ = x.pipe.Close()
	if err := <-ended; err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
}

// A pipe that waits has no buffer: whoever reads next has it.
func TestPipesLend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lent := 0
		for range 100 { // a sync.Pool may forget what it is given
			var buffers frame.Buffers
			ours, theirs := Pipe()
			r := frame.NewReader(ours, frame.Options{Buffers: &buffers})
			go func() {
				for err := error(nil); err == nil; {
					_, _, err = r.Next()
				}
			}()
			if _, err := theirs.Write([]byte("\x82\x01a")); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			var k looker
			_, _, _ = frame.NewReader(&k, frame.Options{Buffers: &buffers}).Next()
			if k.first != 0 {
				lent++
			}
			_ = theirs.Close()
			synctest.Wait()
		}
		if lent == 0 {
			t.Error("it has its buffer while it waits")
		}
	})
}
