package peer

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

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
		if got := b.commands(); len(got) != 2 {
			t.Errorf("the other end got %q, want the two posted before the hello", got)
		}
	})
}

// slowWriter takes nothing without waiting, as a socket under TLS.
type slowWriter struct{ *PipeEnd }

func (slowWriter) TryWrite([]byte) (int, error) { return 0, nil }
func (s slowWriter) Write(b []byte) (int, error) {
	time.Sleep(50 * time.Millisecond) // of the bubble's time: the network's
	return s.PipeEnd.Write(b)
}

func TestRefusalIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pa, pb := Pipe()
		a, b := New(pa, Options{Logger: quiet}), New(slowWriter{pb}, Options{Logger: quiet})
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
		b.Refuse(wire.Errorf(wire.CodeRefused, "twice")) // is once
		b.Close(nil)
		if e := wantCode(t, <-told, wire.CodeRefused); e.Message != "not today" {
			t.Errorf("the reason is %q", e.Message)
		}
	})
}

// A goodbye is the last frame, even when room comes for data that was held.
func TestNothingFollowsGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A transport that cannot end one direction alone: what is queued after the
		// goodbye would get through.
		e, p := byHand(t, Options{}, wire.Window{Messages: 1, Bytes: 1 << 20})
		e.t = struct{ Transport }{e.t}
		for range 3 {
			mustPost(t, e.Conn, Data, oneWay("data", 10))
		}
		e.Flush()
		if l := p.next(); l.command != "data" {
			t.Fatalf("got %v", l)
		}
		go func() { _ = e.Goodbye(t.Context(), &wire.Death{Cause: wire.CauseStopped}) }()
		synctest.Wait()
		p.take(1, len("data")+10+wire.HeaderSize)
		all, _ := p.rest()
		if len(all) == 0 || all[len(all)-1].kind != wire.KindGoodbye {
			t.Errorf("the last frames are %v, want a goodbye at the end", all)
		}
	})
}

// A second Goodbye does not cut off the first.
func TestGoodbyeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wire.Window{Messages: 100, Bytes: 1 << 20})
		e.pipe.Stall(true)
		mustPost(t, e.Conn, Data, oneWay("last", 10))
		ended := make(chan error, 2)
		for range 2 {
			go func() { ended <- e.Goodbye(within(t, time.Minute), &wire.Death{Cause: wire.CauseStopped}) }()
			synctest.Wait()
		}
		e.pipe.Stall(false)
		all, _ := p.rest()
		if len(all) != 2 || all[0].command != "last" || all[1].kind != wire.KindGoodbye {
			t.Errorf("the far end got %v, want what was posted and one goodbye", all)
		}
		_ = p.pipe.Close()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("Goodbye: %v", err)
			}
		}
	})
}

// Close ends a Goodbye that waits, although nobody reads.
func TestCloseEndsGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := strangers(Options{}, Options{})
		ended := make(chan error, 1)
		go func() { ended <- a.Goodbye(context.Background(), &wire.Death{Cause: wire.CauseStopped}) }()
		synctest.Wait()
		a.Close(net.ErrClosed)
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatal("Goodbye still waits a minute after Close")
		}
	})
}

// Held calls that expired make room for new ones, however few and large they are.
func TestExpiredMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 1 << 20
		e, p := byHand(t, Options{Outbox: Limits{Data: 8 * (size + 1024)}}, wire.Window{Messages: 1, Bytes: 1 << 30})
		var o outcome
		ask := func(id uint64, limit time.Duration) *wire.Error {
			_, err := e.Request(request("ask", size), Note{Caller: &o, ID: id, Deadline: time.Now().Add(limit)}, Charge{})
			return err
		}
		for id := uint64(1); id <= 8; id++ {
			if err := ask(id, time.Second); err != nil {
				t.Fatalf("call %d: %v", id, err)
			}
		}
		wantCode(t, ask(9, time.Second), wire.CodeOverloaded)
		e.Flush()
		p.next() // the first one was written; its target says nothing
		time.Sleep(2 * time.Second)
		for id := uint64(10); id < 18; id++ {
			if err := ask(id, time.Second); err != nil {
				t.Fatalf("call %d, after those that filled the outbox have expired: %v", id, err)
			}
		}
	})
}

// What was taken and not written whole is counted as dropped.
func TestDroppedAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := byHand(t, Options{}, wire.Window{Messages: 100, Bytes: 1 << 30})
		const n, size = 10, 60 << 10 // more than the pipe holds
		for range n {
			mustPost(t, e.Conn, Data, oneWay("data", size))
		}
		e.Flush()
		synctest.Wait()
		e.pipe.Cut()
		_ = e.why()
		s := e.Stats()
		if out := s.MessagesOut - 1; out+s.Dropped != n { // 1: the welcome
			t.Errorf("%d messages are counted as written and %d as dropped, of %d", out, s.Dropped, n)
		}
		if s.Queued != [3]int{} {
			t.Errorf("an outbox that is over still has %v queued", s.Queued)
		}
	})
}

// When Run has returned no timer of the connection is left, even if the flusher
// finds only then that it cannot write.
func TestNoTimerSurvivesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := byHand(t, Options{Interval: time.Second, Timeout: 3 * time.Second}, DefaultWindow)
		e.pipe.Cut()
		_ = e.why()
		e.failWrite(e.out.pool.get(1), net.ErrClosed)
		e.mu.Lock()
		left := e.linger != nil && e.linger.Stop()
		e.mu.Unlock()
		if left {
			t.Error("a timer of the connection was set when Run had returned")
		}
	})
}
