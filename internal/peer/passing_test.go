package peer

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// However much is read at once, it is passed on while the rest is taken.
func TestPassedOnMeanwhile(t *testing.T) {
	const all = 5*passEvery + 7
	for name, runs := range map[string]bool{"in runs": true, "one by one": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var most, since, times int
				var h *taker
				_, p := handledBy(t, Options{}, func(e *end) Handler {
					e.dry = func() { most, since, times = max(most, since), 0, times+1 }
					h = &taker{end: e, runs: runs, after: func(ch Charge) { since++; ch.Return() }}
					return h
				})
				var messages []*wire.Message
				for range all {
					messages = append(messages, to(oneWay("x", 3), "a"))
				}
				p.all(messages...)
				synctest.Wait()
				if n := h.got.Load(); n != all {
					t.Fatalf("%d of %d were taken", n, all)
				}
				if most >= passEvery+MaxRun || times < 5 {
					t.Errorf("they were passed on %d times, up to %d of them at once; want %d or few more", times, most, passEvery)
				}
			})
		})
	}
}

// passer is a Handler that posts while it takes a run, and waits where it is told of a heartbeat.
type passer struct {
	*end
	post func()
	wait chan struct{}
}

func (h *passer) ReceiveRun(c *Conn, r *Run) bool {
	for i := range r.Messages {
		h.post()
		r.Charge(i).Return()
	}
	return true
}

func (h *passer) Receive(c *Conn, m *wire.Message) {
	switch m.Kind {
	case wire.KindRequest:
		c.Charge(m).Return()
	case wire.KindNotify:
		<-h.wait
	}
}

// passing returns an end whose Handler posts a message for each that it takes, of which p has read
// none.
func passing(t *testing.T) (e *end, p *peerOf, h *passer) {
	h = &passer{wait: make(chan struct{})}
	e, p = handledBy(t, Options{}, func(e *end) Handler {
		h.end = e
		h.post = func() {
			if err := e.PostAnd(Reply, &wire.Message{Kind: wire.KindReply}, Charge{}, Now); err != nil {
				t.Error(err)
			}
		}
		return h
	})
	return e, p, h
}

// What is posted while a run is taken goes in one write.
func TestPostedDuringARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, _ := passing(t)
		before := e.Stats().Flushes
		p.all(to(oneWay("1", 0), "a"), to(oneWay("2", 0), "a"), to(oneWay("3", 0), "a"))
		synctest.Wait()
		for range 3 {
			if l := p.next(); l.kind != wire.KindReply {
				t.Errorf("got a %s", l.kind)
			}
		}
		if n := e.Stats().Flushes - before; n != 1 {
			t.Errorf("%d flushes, want 1", n)
		}
	})
}

// What is posted while a run is taken does not wait for what comes behind that.
func TestPostedDuringARunIsNotKept(t *testing.T) {
	for name, behind := range map[string]*wire.Message{
		"at once":                nil,
		"behind another request": to(oneWay("3", 0), "b"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p, h := passing(t)
				messages := []*wire.Message{to(oneWay("1", 0), "a"), to(oneWay("2", 0), "a")}
				if behind != nil {
					messages = append(messages, behind)
				}
				p.all(append(messages, &wire.Message{Kind: wire.KindNotify})...)
				for range 2 {
					if l := p.next(); l.kind != wire.KindReply {
						t.Errorf("got a %s", l.kind)
					}
				}
				// Whoever posts now has it written, though the reader still waits.
				synctest.Wait()
				mustPost(t, e.Conn, Control, &wire.Message{Kind: wire.KindStop})
				e.FlushSoon()
				if l := p.next(); l.kind != wire.KindStop {
					t.Errorf("got a %s", l.kind)
				}
				close(h.wait)
			})
		})
	}
}

// Nor does it wait when nothing is handled any more.
func TestPostedDuringARunOfTheDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p, h := passing(t)
		post := h.post
		h.post = func() { post(); e.deaf.Store(true) }
		p.all(to(oneWay("1", 0), "a"), to(oneWay("2", 0), "a"), &wire.Message{Kind: wire.KindNotify})
		for range 2 {
			if l := p.next(); l.kind != wire.KindReply {
				t.Errorf("got a %s", l.kind)
			}
		}
	})
}

// A reader that lets others run has nothing left to it by then: they may take their time.
func TestYieldsWithNothingLeftToIt(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // whoever runs sees the reader where it let others run
	synctest.Test(t, func(t *testing.T) {
		e, p, _ := passing(t)
		var messages []*wire.Message
		for range turn {
			messages = append(messages, to(oneWay("1", 0), "a"))
		}
		var over, left atomic.Bool
		go func() {
			for !over.Load() {
				if e.in.flushes.Load() {
					left.Store(true)
				}
				runtime.Gosched()
			}
		}()
		p.all(messages...)
		for range messages {
			p.next()
		}
		over.Store(true)
		if left.Load() {
			t.Errorf("it has let others run, and what they post left to it")
		}
	})
}
