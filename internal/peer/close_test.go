package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// A goodbye is the last frame, even when room comes for data that was held.
func TestNothingFollowsGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A transport that cannot end one direction alone: what is queued after the
		// goodbye would get through.
		over := func(p *PipeEnd) Transport { return struct{ Transport }{p} }
		e, p := byHandOver(t, Options{}, wire.Window{Messages: 1, Bytes: 1 << 20}, over)
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
		synctest.Wait()
		select {
		case err := <-ended:
			if err != ErrClosed {
				t.Errorf("Goodbye: %v, want %v", err, ErrClosed)
			}
		default:
			t.Fatal("Goodbye still waits after Close")
		}
	})
}

// Whatever waits in a goodbye's way, ctx ends it.
func TestGoodbyeToWhoDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := byHand(t, Options{}, DefaultWindow)
		e.pipe.Stall(true)
		if err := e.Goodbye(within(t, time.Second), &wire.Death{Cause: wire.CauseStopped}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Goodbye: %v, want the deadline", err)
		}
		if err := e.why(); err != ErrClosed {
			t.Errorf("Run: %v, want %v", err, ErrClosed)
		}
		if err := e.Goodbye(t.Context(), &wire.Death{}); err != ErrClosed {
			t.Errorf("Goodbye after the end: %v, want %v", err, ErrClosed)
		}
	})
}

// Who leaves waits for its last answers as long as they are read, however slowly, and no longer.
func TestLeaveSlowly(t *testing.T) {
	const patience = 2 * time.Second
	synctest.Test(t, func(t *testing.T) {
		for _, stalls := range []bool{false, true} {
			e, p := takesPieces(t, Options{})
			mustPost(t, e.Conn, Reply, &wire.Message{Kind: wire.KindReply, ID: 1, Body: make([]byte, 1<<20)})
			left := make(chan error, 1)
			go func() { left <- e.Leave(&wire.Death{Cause: wire.CauseStopped}, patience) }()
			read, err := 0, error(nil)
			for n := 0; err == nil && (!stalls || read < 100<<10); read += n {
				time.Sleep(patience / 4)
				n, err = p.pipe.Read(make([]byte, 10<<10))
			}
			stalled := time.Now()
			if stalls {
				if err := <-left; !errors.Is(err, context.Canceled) || time.Since(stalled) > 2*patience {
					t.Errorf("nobody reads, and it is told %v, after %v", err, time.Since(stalled))
				}
				continue
			}
			if err != io.EOF || read < 1<<20 {
				t.Errorf("%d bytes are read, then %v", read, err)
			}
			_ = p.pipe.Close()
			if err := <-left; err != nil {
				t.Error(err)
			}
		}
	})
}

// What was posted before a goodbye arrives before it, however much.
func TestGoodbyeIsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Options{}, Options{Window: wire.Window{Messages: 1000, Bytes: 64 << 20}})
		const n = 40
		for i := range n {
			class, kind := Data, wire.KindRequest
			if i%2 > 0 {
				class, kind = Reply, wire.KindNotify
			}
			mustPost(t, a.Conn, class, &wire.Message{Kind: kind, Body: make([]byte, 50<<10)})
		}
		if err := a.Goodbye(t.Context(), &wire.Death{Cause: wire.CausePanic}); err != nil {
			t.Fatal(err)
		}
		if err := a.Post(Control, &wire.Message{Kind: wire.KindNotify}, Charge{}); err != ErrClosed {
			t.Errorf("Post after the goodbye: %v, want %v", err, ErrClosed)
		}
		if err := b.why(); err != io.EOF {
			t.Errorf("the other end's Run: %v, want %v", err, io.EOF)
		}
		got := b.got()
		if len(got) != n+1 || got[n].kind != wire.KindGoodbye {
			t.Errorf("%d messages arrived, want %d and a goodbye", len(got), n)
		}
	})
}

// Close is idempotent from anywhere, the first reason counts, and nothing is left
// running: the bubble would not end.
func TestCloseFromEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pair(t, Options{Interval: time.Second, Timeout: 3 * time.Second}, Options{})
		a.pipe.Stall(true)
		mustPost(t, a.Conn, Data, oneWay("x", 1<<19))
		a.Flush()
		reason := errors.New("enough")
		a.Close(reason)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { a.Close(net.ErrClosed); a.Flush(); a.FlushSoon() })
		}
		wg.Wait()
		if err := a.why(); err != reason {
			t.Errorf("Run: %v, want %v", err, reason)
		}
		_ = b.why()
	})
}

func TestCloseFromReceive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := strangers(Options{}, Options{})
		b.on = func(c *Conn, _ *wire.Message) { c.Close(io.ErrNoProgress) }
		shake(t, a.Conn, b.Conn)
		a.run(t)
		b.run(t)
		mustPost(t, a.Conn, Data, oneWay("x", 1))
		a.Flush()
		if err := b.why(); err != io.ErrNoProgress {
			t.Errorf("Run: %v, want the reason of Close", err)
		}
	})
}

func TestCloseBeforeRun(t *testing.T) {
	a, _ := strangers(Options{}, Options{})
	a.Close(io.ErrNoProgress)
	if err := a.Run(a); err != io.ErrNoProgress {
		t.Errorf("Run: %v, want the reason of Close", err)
	}
	if err := a.Post(Data, oneWay("x", 1), Charge{}); err != ErrClosed {
		t.Errorf("Post: %v, want %v", err, ErrClosed)
	}
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

// The end of a connection ends the calls on it once each, and says which of them
// certainly did not start; unless the owner ends them.
func TestEndOfCalls(t *testing.T) {
	for _, owns := range [...]bool{false, true} {
		t.Run(fmt.Sprintf("owner=%v", owns), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := byHand(t, Options{OwnsEnd: owns}, wire.Window{Messages: 2, Bytes: 1 << 20})
				var o outcome
				sent := make(map[uint64]uint64)
				for id := uint64(1); id <= 4; id++ {
					n, err := e.Request(request("ask", 10), Note{Caller: &o, ID: id}, Charge{})
					if err != nil {
						t.Fatal(err)
					}
					note, _ := e.Calls().Peek(n)
					sent[id] = note.Sent
				}
				e.Flush()
				p.next()
				p.next()
				_ = p.pipe.Close()
				_ = e.why()
				for id := uint64(1); id <= 4; id++ {
					if got, want := e.Written(sent[id]), id <= 2; got != want {
						t.Errorf("Written of call %d is %v, want %v", id, got, want)
					}
				}
				want := wire.CodeClosed
				if owns {
					if n := e.Calls().Len(); n != 4 || o.len() != 0 {
						t.Fatalf("%d calls are in flight and %d ended, want all left to the owner", n, o.len())
					}
					want = wire.CodeDown
					// One that comes now is told of the same end, not of a connection.
					if n, err := e.Request(request("ask", 1), Note{Caller: &o, ID: 5}, Charge{}); err != nil || !e.Calls().Has(n) {
						t.Fatalf("a call between the end of the connection and that of the calls: %v", err)
					}
					e.Calls().End(func(n Note) *wire.Error { return wire.Errorf(wire.CodeDown, "it died") })
				}
				for id := uint64(1); id <= 4; id++ {
					err := wantCode(t, o.of(t, id), want)
					if certainly := err.Started == wire.StartedNo; !owns && certainly != (id > 2) {
						t.Errorf("call %d certainly did not start: %v", id, certainly)
					}
				}
				if owns {
					wantCode(t, o.of(t, 5), wire.CodeDown)
				}
				if _, err := e.Request(request("ask", 1), Note{Caller: &o, ID: 9}, Charge{}); err == nil || err.Started != wire.StartedNo {
					t.Errorf("a call after the end: %v, want an error that says it did not start", err)
				}
			})
		})
	}
}

// bulk returns an end whose flusher waits for the other end to read, with more behind it.
func bulk(t *testing.T) (*end, *peerOf) {
	e, p := byHand(t, Options{}, wire.Window{Messages: 1 << 20, Bytes: 1 << 30})
	for range 8 {
		mustPost(t, e.Conn, Data, oneWay("bulk", 200<<10))
	}
	e.Flush()
	synctest.Wait()
	return e, p
}

// Who breaks the protocol is told so ahead of what is queued for it, also while somebody
// is writing to it; one that reads nothing is not waited for.
func TestReproachWhileWriting(t *testing.T) {
	for _, reads := range [...]bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b, p := bulk(t)
			began := time.Now()
			m := wire.Message{Kind: wire.KindReply, ID: 77}
			p.say(&m)
			synctest.Wait()
			if !reads {
				<-b.ran
				if took := time.Since(began); took != reproachTime {
					t.Errorf("it was waited for %v", took)
				}
				return
			}
			n := 0
			for {
				_, payload, err := p.frames.Next()
				if err != nil {
					t.Fatalf("%v, after %d messages, before a goodbye", err, n)
				}
				if err := m.Parse(payload); err != nil {
					t.Fatal(err)
				}
				if m.Kind == wire.KindGoodbye {
					break
				}
				n++
			}
			if d := wire.ParseDeath(&m); d.Cause != wire.CauseProtocol || n >= 8 {
				t.Errorf("told %v, after %d messages", d, n)
			}
			if _, _, err := p.frames.Next(); err != io.EOF {
				t.Errorf("after the goodbye comes %v", err)
			}
		})
	}
}

// Room that comes when the goodbye was written is nobody's: who waited for it is told that
// nothing was sent.
func TestWaiterAfterGoodbye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := noRoom(t)
		ended := make(chan error, 1)
		go func() { ended <- e.PostWait(t.Context(), oneWay("late", 10), Later) }()
		synctest.Wait()
		go func() { _ = e.Goodbye(t.Context(), &wire.Death{Cause: wire.CauseStopped}) }()
		if l := p.next(); l.kind != wire.KindGoodbye {
			t.Fatalf("%v is written, want the goodbye", l)
		}
		credit := wire.Credit{Messages: 1, Bytes: uint64(wire.Cost(oneWay("first", 10).Size()))}
		m := credit.Message(new([16]byte))
		p.say(&m)
		synctest.Wait()
		_ = p.pipe.Close()
		wantCode(t, <-ended, wire.CodeClosed)
	})
}
