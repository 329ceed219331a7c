package cell

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// parking returns a host whose readers are about to sleep: answer ends each call, on another
// goroutine.
func parking(t *testing.T, alone *atomic.Bool, answer func(c *Call)) *host {
	h := &host{commons: new(Commons)}
	h.commons.Parks()
	t.Cleanup(h.commons.Close)
	calls := make(chan *Call)
	var reader sync.WaitGroup
	reader.Go(func() {
		for c := range calls {
			answer(c)
		}
	})
	t.Cleanup(func() { close(calls); reader.Wait() })
	h.start = func(_ Scope, c *Call) {
		h.commons.Sends(c, alone.Load())
		calls <- c
	}
	return h
}

// Who calls alone again and again waits where that is cheap, and is answered; who does not, does not.
func TestCallerParks(t *testing.T) {
	var alone atomic.Bool
	alone.Store(true)
	parked := 0
	h := parking(t, &alone, func(c *Call) {
		if c.bell.at.Load() != nil {
			parked++
		}
		c.Value(word("here"))
	})
	inner, cancel := context.WithCancel(t.Context())
	defer cancel()
	ctx := WithScope(inner, Scope{Host: h})
	ask := func(n int) (there int) {
		before := parked
		for range n {
			if e := Ask(ctx, "it", "work", nil, false, false, func(v Value) {
				if v != word("here") {
					t.Errorf("got %v", v)
				}
			}); e != nil {
				t.Fatal(e)
			}
		}
		return parked - before
	}
	if n := ask(max(hot, often)); n != 0 {
		t.Errorf("%d were parked, before it was the rule, and a vigil watched", n)
	}
	if ask(1) != 1 {
		t.Error("it is the rule, and not done")
	}
	if n := ask(10_000); n < 2000 { // one that was late has some go the other way
		t.Errorf("%d of 10,000 were parked", n)
	}
	alone.Store(false)
	if n := ask(10); n != 0 {
		t.Errorf("%d were parked, though they were not alone", n)
	}
	alone.Store(true)
	if n := ask(often); n != 0 {
		t.Errorf("%d were parked, before it was the rule again", n)
	}
	if n := ask(5000); n == 0 {
		t.Error("none was parked when it was the rule again")
	}
	h.commons.Close()
	if n := ask(10); n != 10 {
		t.Errorf("%d were sent to a place that is closed, want 10, who wait for the bell", n)
	}
}

// The end of the context ends the call of who is parked, and the end of the host has it wait on.
func TestParkedCallerIsRungUp(t *testing.T) {
	for name, closes := range map[string]bool{"the context ends": false, "the host ends": true} {
		t.Run(name, func(t *testing.T) {
			for range 200 {
				var alone atomic.Bool
				alone.Store(true)
				var mute atomic.Bool
				kept := make(chan *Call, 1)
				h := parking(t, &alone, func(c *Call) {
					if mute.Load() {
						kept <- c
						return
					}
					c.Value(nil)
				})
				inner, cancel := context.WithCancel(t.Context())
				ctx := WithScope(inner, Scope{Host: h})
				for range hot + often {
					_ = Ask(ctx, "it", "work", nil, false, false, func(Value) {})
				}
				mute.Store(true)
				over := make(chan *wire.Error)
				go func() { over <- Ask(ctx, "it", "work", nil, false, false, func(Value) {}) }()
				c := <-kept
				if closes {
					h.commons.Close()
					c.Value(nil)
					if e := <-over; e != nil {
						t.Fatal(e)
					}
				} else {
					cancel()
					if e := <-over; e == nil || e.Code != wire.CodeCanceled {
						t.Fatalf("it ended with %v", e)
					}
				}
				cancel()
			}
		})
	}
}

// A worker that is woken again and again by who is about to sleep rests where that is cheap. Everybody
// else wakes another one.
func TestWorkerParks(t *testing.T) {
	s := new(Commons)
	s.Parks()
	wake := func(last bool) (parked bool) {
		s.mu.Lock()
		parked = s.place.parked != nil
		s.mu.Unlock()
		done := make(chan bool)
		s.work(nil, func(*Cell, *desk) { done <- true }, last)
		<-done
		for resting := false; !resting; { // it has nothing more to do
			s.mu.Lock()
			resting = s.coming == 0 && (s.place.parked != nil || len(s.idle) > 0)
			if parked && s.place.parked == nil {
				resting = false
			}
			s.mu.Unlock()
		}
		return parked
	}
	for range often {
		if wake(true) {
			t.Fatal("one is parked, before it is the rule")
		}
	}
	for range 5000 {
		wake(true)
	}
	if !wake(true) {
		t.Fatal("none is parked")
	}
	for range 3 {
		if !wake(false) {
			t.Error("one that goes on has woken the one that is parked")
		}
	}
	s.mu.Lock()
	if s.place.parked == nil || s.place.lone != 0 {
		t.Errorf("parked %v, lone %d", s.place.parked, s.place.lone)
	}
	s.mu.Unlock()
	s.Close()
	for workers() > 0 { // one may be about to see that there is nothing more
		runtime.Gosched()
	}
}

// Whoever wakes workers, and however they come to rest, each job is done.
func TestWorkerParksBesideOthers(t *testing.T) {
	s := new(Commons)
	s.Parks()
	const jobs = 20_000
	var all sync.WaitGroup
	for last := range 2 {
		all.Go(func() { // the next one when the one before is done
			done := make(chan bool)
			for range jobs {
				s.work(nil, func(*Cell, *desk) { done <- true }, last == 1)
				<-done
				if last == 0 {
					continue
				}
				s.mu.Lock()
				s.place.lone = often // it is the rule, whatever others do
				s.mu.Unlock()
			}
		})
	}
	all.Wait()
	if s.place.at == nil {
		t.Error("none has parked")
	}
	s.Close()
	for workers() > 0 { // one may be about to see that there is nothing more
		runtime.Gosched()
	}
}

// Where no reader of a socket wakes anybody there is no such place.
func TestNobodyParks(t *testing.T) {
	s := new(Commons)
	defer s.Close()
	for range 2 * often {
		done := make(chan bool)
		s.work(nil, func(*Cell, *desk) { done <- true }, true)
		<-done
		c := &Call{bell: newBell(), rung: true}
		s.Sends(c, true)
		if c.bell.at.Load() != nil {
			t.Fatal("a caller parks")
		}
	}
	if s.place.at != nil {
		t.Error("there is a place for a worker")
	}
}
