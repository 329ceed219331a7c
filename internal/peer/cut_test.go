package peer

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// gatedWrites is a transport whose TryWrite waits while the gate is shut: one that
// flushes is at work.
type gatedWrites struct {
	*PipeEnd
	gate *atomic.Pointer[chan struct{}]
}

func (w gatedWrites) TryWrite(b []byte) (int, error) {
	if gate := w.gate.Load(); gate != nil {
		<-*gate
	}
	return w.PipeEnd.TryWrite(b)
}

// writing returns an end that is just writing its first message, by flush, until shut is closed.
func writing(t *testing.T, flush func(*Conn)) (e *end, p *peerOf, shut chan struct{}) {
	var gate atomic.Pointer[chan struct{}]
	e, p = byHandOver(t, Options{}, DefaultWindow, func(p *PipeEnd) Transport { return gatedWrites{p, &gate} })
	shut = make(chan struct{})
	gate.Store(&shut)
	mustPost(t, e.Conn, Data, oneWay("first", 10))
	go flush(e.Conn)
	synctest.Wait()
	return e, p, shut
}

// Who is cut off is told so although somebody else is writing: behind what is of class
// Control and ahead of the rest, which is dropped. One that does not read is not waited
// for, or, if that is not known yet, only for cutTime.
func TestCutWhileWriting(t *testing.T) {
	cut := errors.New("it was killed")
	for _, test := range [...]struct {
		name  string
		stall bool
		took  time.Duration
	}{{"it reads", false, 0}, {"it does not", true, cutTime}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p, shut := writing(t, (*Conn).Flush)
				began := time.Now()
				mustPost(t, e.Conn, Data, oneWay("second", 10))
				mustPost(t, e.Conn, Control, &wire.Message{Kind: wire.KindStop})
				e.Cut(&wire.Death{Cause: wire.CauseKilled}, cut)
				if err := e.Post(Control, &wire.Message{Kind: wire.KindNotify}, Charge{}); err != ErrClosed {
					t.Errorf("Post after Cut: %v, want %v", err, ErrClosed)
				}
				e.pipe.Stall(test.stall)
				close(shut)
				if <-e.ran; e.why() != cut {
					t.Errorf("Run: %v, want %v", e.why(), cut)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
				if test.stall {
					return
				}
				all, _ := p.rest()
				if len(all) != 3 || all[0].command != "first" || all[1].kind != wire.KindStop || all[2].kind != wire.KindGoodbye {
					t.Errorf("the other end got %v, want the first, a stop and the goodbye", all)
				}
			})
		})
	}
}

// Who has read nothing for as long as it may take is cut off at once; one that is only
// slower than it is written to is told.
func TestCutWhoReadsSlowly(t *testing.T) {
	for _, test := range [...]struct {
		name  string
		after time.Duration
		reads bool
		took  time.Duration
	}{
		{"nothing for long", cutTime, false, 0},
		{"nothing for a while", cutTime / 2, false, cutTime},
		{"as fast as it can", 0, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := bulk(t)
				time.Sleep(test.after)
				began := time.Now()
				e.Cut(&wire.Death{Cause: wire.CauseKilled}, net.ErrClosed)
				if test.reads {
					if all, err := p.rest(); len(all) == 0 || len(all) > 3 || all[len(all)-1].kind != wire.KindGoodbye || err != io.EOF {
						t.Errorf("it got %d messages and %v, want a goodbye after the one that was being written", len(all), err)
					}
				}
				if <-e.ran; e.why() != net.ErrClosed {
					t.Errorf("Run: %v, want %v", e.why(), net.ErrClosed)
				}
				if took := time.Since(began); took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
			})
		})
	}
}

// What comes after a Cut is not handled, while the other end may still read why; and who
// waits for room is told at once that none will come.
func TestNothingIsHeardAfterCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := noRoom(t)
		ended := make(chan error, 1)
		go func() { ended <- e.PostWait(t.Context(), oneWay("waits", 10), Later) }()
		synctest.Wait()
		e.pipe.Stall(true)
		began := time.Now()
		e.Cut(&wire.Death{Cause: wire.CauseKilled}, nil)
		wantCode(t, <-ended, wire.CodeClosed)
		if took := time.Since(began); took != 0 {
			t.Errorf("who waited for room was told after %v", took)
		}
		for range 5 {
			time.Sleep(cutTime / 10)
			p.say(oneWay("after", 1))
			synctest.Wait()
		}
		if <-e.ran; e.why() != ErrClosed {
			t.Errorf("Run: %v, want %v", e.why(), ErrClosed)
		}
		if got := e.got(); len(got) > 0 {
			t.Errorf("heard %v after the Cut", got)
		}
	})
}

// The first Cut counts, and a second one does not stand in its way.
func TestCutTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, shut := writing(t, (*Conn).Flush)
		first := errors.New("first")
		e.Cut(&wire.Death{Cause: wire.CauseKilled}, first)
		e.Cut(&wire.Death{Cause: wire.CauseHung}, errors.New("second"))
		close(shut)
		all, _ := p.rest()
		if e.why() != first || len(all) != 2 || all[1].kind != wire.KindGoodbye {
			t.Errorf("%v; the other end got %v", e.why(), all)
		}
	})
}

// Cut ends at once what has begun to end before, whichever way.
func TestCutWhatEnds(t *testing.T) {
	d := &wire.Death{Cause: wire.CauseKilled}
	took := func(t *testing.T, e *end) {
		t.Helper()
		began := time.Now()
		e.Cut(d, io.ErrNoProgress)
		<-e.ran
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %v", took)
		}
	}
	t.Run("by a goodbye", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e, _ := byHand(t, Options{}, DefaultWindow)
			e.pipe.Slice(1) // its goodbye goes byte by byte
			e.out.mu.Lock()
			e.out.flushing = true // somebody else writes
			e.out.mu.Unlock()
			go func() { _ = e.Goodbye(t.Context(), &wire.Death{Cause: wire.CauseStopped}) }()
			synctest.Wait()
			e.out.mu.Lock()
			e.out.flushing = false
			e.out.mu.Unlock()
			took(t, e)
		})
	})
	t.Run("since it cannot be written to", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var broken atomic.Bool
			over := func(p *PipeEnd) Transport { return struct{ Transport }{brokenWrites{p, &broken}} }
			e, _ := byHandOver(t, Options{}, DefaultWindow, over)
			broken.Store(true)
			mustPost(t, e.Conn, Data, oneWay("x", 1))
			e.Flush()
			took(t, e)
			if err := e.why(); err != io.ErrNoProgress {
				t.Errorf("Run: %v, want what Cut was given (not %v)", err, syscall.EPIPE)
			}
		})
	})
	t.Run("since it broke the protocol", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			e, p := byHand(t, Options{}, DefaultWindow)
			e.pipe.Stall(true)
			p.say(&wire.Message{Kind: wire.KindReply, ID: 77})
			synctest.Wait() // it may read why, for reproachTime
			took(t, e)
			wantCode(t, e.why(), wire.CodeProtocol) // the first reason counts
		})
	})
}

// Where nobody writes, Cut does.
func TestCutAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, DefaultWindow)
		began := time.Now()
		e.Cut(&wire.Death{Cause: wire.CauseKilled}, io.ErrNoProgress)
		all, err := p.rest()
		if len(all) != 1 || all[0].kind != wire.KindGoodbye || err != io.EOF || time.Since(began) != 0 {
			t.Errorf("%v, %v after %v", all, err, time.Since(began))
		}
	})
}

// A flusher's goroutine that does not wait is no reason to say nothing.
func TestCutWhileItsGoroutineWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, shut := writing(t, (*Conn).FlushSoon)
		e.Cut(&wire.Death{Cause: wire.CauseKilled}, io.ErrNoProgress)
		close(shut)
		if all, _ := p.rest(); len(all) != 2 || all[1].kind != wire.KindGoodbye {
			t.Errorf("the other end got %v", all)
		}
	})
}
