package peer

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// lostOnes collects what Options.Lost is told.
type lostOnes struct {
	mu   sync.Mutex
	have []string
}

func (l *lostOnes) add(m *wire.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.have = append(l.have, string(m.Command))
}

func (l *lostOnes) want(t *testing.T, names ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.have, names) {
		t.Errorf("lost are %q, want %q", l.have, names)
	}
}

// What waits for the other end's window when the connection ends is told, each once
// and in order: one-way requests only, since a call's caller is told by its note.
func TestLostHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lost lostOnes
		e, p := byHand(t, Options{Lost: lost.add}, wire.Window{Messages: 3, Bytes: 1 << 20})
		for n := range 9 {
			m := oneWay(fmt.Sprint(n), 10)
			if n == 5 {
				m = request("call", 10)
			}
			mustPost(t, e.Conn, Data, m)
		}
		e.Flush()
		for range 3 {
			p.next()
		}
		// Room for one more, so that what is held begins within a chunk.
		p.say(&wire.Message{Kind: wire.KindCredit, ID: 1, Codec: wire.CodecRaw, Body: make([]byte, 16)})
		synctest.Wait()
		p.next()
		lost.want(t)
		e.Close(nil)
		_ = e.why()
		lost.want(t, "4", "6", "7", "8")
	})
}

// What is queued, and what was written in part, is lost as well; what was written
// whole is not, whether it was read or not.
func TestLostHalfWritten(t *testing.T) {
	for _, how := range []string{"stalled", "half written"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lost lostOnes
				e, _ := byHand(t, Options{Lost: lost.add}, wire.Window{Messages: 100, Bytes: 1 << 30})
				if how == "stalled" {
					e.pipe.Stall(true)
				}
				mustPost(t, e.Conn, Data, oneWay("small", 10))
				mustPost(t, e.Conn, Data, oneWay("large", 2*DefaultPipe))
				mustPost(t, e.Conn, Data, oneWay("last", 10))
				e.Flush()
				synctest.Wait()
				e.Close(nil)
				_ = e.why()
				slices.Sort(lost.have) // the chunk that is being written is told by its writer
				if how == "stalled" {
					lost.want(t, "large", "last", "small")
				} else {
					lost.want(t, "large", "last")
				}
			})
		})
	}
}

// An end that trusts the other one's end to be seen does not mind its silence, nor
// that it does not read.
func TestTrusting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var beats atomic.Int32
		e, _ := unknownOver(t, Options{Trusting: true}, func(p *PipeEnd) Transport { return p })
		e.beat = func(*Conn) { beats.Add(1) }
		// As an actor does: the times are those of the welcome.
		e.alive.interval = interval
		e.run(t)
		<-time.After(time.Hour)
		synctest.Wait() // a beat may be under way
		select {
		case <-e.ran:
			t.Fatalf("Run: %v", e.err)
		default:
		}
		if n, want := int(beats.Load()), int(time.Hour/interval); n < want-1 || n > want {
			t.Errorf("%d beats in an hour", n)
		}
	})
}

// Run returns when all that was lost is told, whoever tells it: what comes later would be
// nobody's.
func TestRunWaitsForLost(t *testing.T) {
	for _, how := range []string{"closed", "cannot be written"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := make(chan struct{})
				var lost lostOnes
				e, p := byHandOver(t, Options{Lost: func(m *wire.Message) { <-told; lost.add(m) }}, wire.Window{Messages: 100, Bytes: 1 << 20},
					func(p *PipeEnd) Transport { return &brokenAt{p, "cannot"} })
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					if how == "closed" {
						mustPost(t, e.Conn, Data, oneWay("waits", 10))
						e.Close(nil)
						return
					}
					mustPost(t, e.Conn, Data, oneWay("cannot", 10))
					e.Flush()
				}()
				synctest.Wait()
				_ = p.pipe.Close() // the reader has nothing more
				synctest.Wait()
				select {
				case <-e.ran:
					t.Error("Run has returned, and what was lost is not told yet")
				default:
				}
				close(told)
				<-ended
				_ = e.why()
				if n := len(lost.have); n != 1 {
					t.Errorf("%d are lost, want 1", n)
				}
			})
		})
	}
}

// brokenAt takes nothing that has word in it.
type brokenAt struct {
	*PipeEnd
	word string
}

func (b *brokenAt) TryWrite(p []byte) (int, error) {
	if bytes.Contains(p, []byte(b.word)) {
		return 0, syscall.EPIPE
	}
	return b.PipeEnd.TryWrite(p)
}
