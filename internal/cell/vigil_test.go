package cell

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// heated returns a context of h's in which so many calls were made that a vigil watches it.
func heated(t *testing.T, ctx context.Context, h *host) (context.Context, *vigil) {
	t.Helper()
	start := h.start
	h.start = func(_ Scope, c *Call) { c.Value(word("warm")) }
	ctx = WithScope(ctx, Scope{Host: h})
	for i := range hot {
		if watch := ctx.(*scoped).watched.vigil.Load(); watch != nil {
			t.Fatalf("after %d calls a vigil watches", i)
		}
		if e := Ask(ctx, "it", "work", nil, false, false, func(Value) {}); e != nil {
			t.Fatal(e)
		}
	}
	h.start = start
	watch := ctx.(*scoped).watched.vigil.Load()
	if watch == nil {
		t.Fatalf("after %d calls nobody watches", hot)
	}
	return ctx, watch
}

// The end of a context in which many call ends every one of their calls, whoever waits for it and
// wherever it is, and is told once.
func TestVigil(t *testing.T) {
	for name, code := range map[string]wire.Code{"canceled": wire.CodeCanceled, "deadline": wire.CodeDeadline} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var calls []*Call
				h := &host{commons: new(Commons)}
				inner, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				ctx, watch := heated(t, inner, h)
				h.start = func(_ Scope, c *Call) {
					if c.Command != "nowhere" && !c.Placed(h, 1) {
						t.Error("a call has ended before it was placed")
					}
					mu.Lock()
					defer mu.Unlock()
					calls = append(calls, c)
				}
				var asked sync.WaitGroup
				var ended atomic.Int32
				for i := range 100 {
					command := "work"
					if i%4 == 0 {
						command = "nowhere"
					}
					asked.Go(func() {
						if e := Ask(ctx, "it", command, nil, false, false, func(Value) {}); e != nil && e.Code == code {
							ended.Add(1)
						} else if e != nil {
							t.Error(e)
						}
					})
				}
				var loose []*Call
				for range 10 {
					loose = append(loose, begin(ctx, nil, true))
				}
				synctest.Wait()
				answered := slices.Clone(loose[:4])
				mu.Lock()
				for _, c := range calls {
					if !c.Loose && len(answered) < 20 {
						answered = append(answered, c)
					}
				}
				mu.Unlock()
				for _, c := range answered {
					c.Value(word("it"))
				}
				synctest.Wait()
				if n := ended.Load(); n != 0 {
					t.Errorf("%d have ended with a context that has not", n)
				}
				open := 0
				for _, c := range loose {
					if c.state.Load() < ending {
						open++
					}
				}
				watch.mu.Lock()
				n := len(allOf(watch.loose))
				watch.mu.Unlock()
				if n != open {
					t.Errorf("%d calls that nobody waits for are known, want the %d that are in flight", n, open)
				}
				if code == wire.CodeCanceled {
					cancel()
				} else {
					time.Sleep(time.Minute)
				}
				asked.Wait()
				synctest.Wait()
				failed := int(ended.Load())
				for _, c := range loose {
					if _, e := c.Wait(context.Background()); e != nil && e.Code == code {
						failed++
					} else if e != nil {
						t.Error(e)
					}
				}
				if failed != 110-len(answered) {
					t.Errorf("%d ended with their context, want %d", failed, 110-len(answered))
				}
				withdrawn := make(map[*Call]bool)
				for _, c := range h.cancel {
					if withdrawn[c] || c.Command == "nowhere" || slices.Contains(answered, c) {
						t.Errorf("%q is taken back, again, or without need", c.Command)
					}
					withdrawn[c] = true
				}
				if len(watch.bells) > 0 || watch.loose != nil {
					t.Error("a vigil that is over holds calls")
				}
				h.start = func(Scope, *Call) { t.Error("it was started") }
				if e := Ask(ctx, "it", "work", nil, false, false, func(Value) {}); e == nil || e.Code != code || e.Started != wire.StartedNo {
					t.Errorf("behind the end: %v", e)
				}
				wantCall(t, "started behind the end", begin(ctx, nil, true), nil, code)
				h.start = nil
				between := begin(context.Background(), h, false) // as if it had begun just before
				between.bind(ctx)
				wantCall(t, "started at the end", between, nil, code)
			})
		})
	}
}

// Who is rung up by the end of a context has its outcome from whoever was first to end the call,
// though that takes a while.
func TestVigilAndOutcome(t *testing.T) {
	rung := func(c *Call) {
		for len(c.bell.rings) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	claim := func(t *testing.T, c *Call) {
		if _, ok := c.claim(); !ok {
			t.Error("it has ended")
		}
		time.AfterFunc(time.Minute, func() { c.finish(word("it"), nil, true) })
	}
	for name, test := range map[string]struct {
		start    func(t *testing.T, c *Call, cancel func())
		answered bool
	}{
		"in flight":                {func(_ *testing.T, _ *Call, cancel func()) { time.AfterFunc(time.Second, cancel) }, false},
		"before it waits":          {func(_ *testing.T, c *Call, cancel func()) { cancel(); rung(c) }, false},
		"answered, in flight":      {func(t *testing.T, c *Call, cancel func()) { claim(t, c); time.AfterFunc(time.Second, cancel) }, true},
		"answered before it waits": {func(t *testing.T, c *Call, cancel func()) { claim(t, c); cancel(); rung(c) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &host{commons: new(Commons)}
				inner, cancel := context.WithCancel(context.Background())
				defer cancel()
				ctx, _ := heated(t, inner, h)
				h.start = func(_ Scope, c *Call) { test.start(t, c, cancel) }
				var got Value
				e := Ask(ctx, "it", "work", nil, false, false, func(v Value) { got = v })
				if test.answered && (e != nil || got != word("it")) || !test.answered && (e == nil || e.Code != wire.CodeCanceled) {
					t.Errorf("%v, %v", got, e)
				}
			})
		})
	}
}

// What rings for one context is used for no call in another.
func TestVigilKeepsItsBells(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &host{commons: new(Commons)}
	ctx, watch := heated(t, ctx, h)
	h.start = func(_ Scope, c *Call) { c.Value(nil) }
	for range 10 {
		if e := Ask(ctx, "it", "work", nil, false, false, func(Value) {}); e != nil {
			t.Fatal(e)
		}
	}
	for c, ok := h.commons.calls.Get().(*Call); ok; c, ok = h.commons.calls.Get().(*Call) {
		for _, w := range watch.bells {
			if w.Value() == c.bell {
				t.Fatal("one of its calls is everybody's")
			}
		}
	}
}

// Calls that end while their context does end once, with the one or the other, and what is used
// again knows nothing of the calls before.
func TestVigilRaces(t *testing.T) {
	// One processor takes ten times as long as two for a round.
	for began, n := time.Now(), 0; n < 200 && (n < 20 || time.Since(began) < 5*time.Second); n++ {
		h := &host{commons: new(Commons)}
		inner, cancel := context.WithCancel(context.Background())
		ctx, _ := heated(t, inner, h)
		h.start = func(_ Scope, c *Call) {
			if c.Placed(h, 1) {
				v := word(c.Command)
				go c.Value(v)
			}
		}
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				for n := 0; ; n++ {
					command := string(rune('a'+i)) + string(rune('a'+n%26))
					var got Value
					e := Ask(ctx, "it", command, nil, false, false, func(v Value) { got = v })
					if e != nil {
						if e.Code != wire.CodeCanceled || e.Command != command {
							t.Error(e)
						}
						return
					}
					if got != word(command) {
						t.Errorf("%q was answered with %v", command, got)
					}
				}
			})
			all.Go(func() {
				for {
					c := &Call{Target: "it", Command: "loose", Loose: true}
					c.Begin(ctx)
					if v, e := c.Wait(ctx); e != nil {
						return
					} else if v != word("loose") {
						t.Errorf("started, and answered with %v", v)
					}
				}
			})
		}
		runtime.Gosched()
		cancel()
		all.Wait()
	}
}

// A context that is ended from elsewhere has who watches it called only then. unwatched is how
// often somebody ceased to watch.
type foreign struct {
	context.Context
	watched, unwatched atomic.Int32
}

func (f *foreign) Done() <-chan struct{} { return make(chan struct{}) }

func (f *foreign) AfterFunc(func()) func() bool {
	f.watched.Add(1)
	return func() bool { f.unwatched.Add(1); return true }
}

// One watch of a context is enough for all calls in it, and it ends when nobody has the context
// any more: one that outlives its users by years is not to remember them all.
func TestVigilIsForgotten(t *testing.T) {
	of := &foreign{Context: context.Background()}
	h := &host{commons: new(Commons)}
	ctx, _ := heated(t, of, h)
	h.start = func(_ Scope, c *Call) { c.Value(nil) }
	for range 100 {
		c := &Call{Target: "it", Command: "work", Loose: true}
		c.Begin(ctx)
		if e := Ask(ctx, "it", "work", nil, false, false, func(Value) {}); e != nil {
			t.Fatal(e)
		}
	}
	if n := of.watched.Load(); n != 1 {
		t.Errorf("it was watched %d times, want once", n)
	}
	runtime.KeepAlive(ctx)
	ctx = nil
	if !soon(func() bool { runtime.GC(); return of.unwatched.Load() > 0 }) {
		t.Fatal("it is still watched")
	}
}

// soon reports whether done comes true within ten seconds: for what the garbage collector does,
// which is outside of virtual time.
func soon(done func() bool) bool {
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

type sessionKey struct{}

// session is somebody of whom a context knows, and who has the context that it calls in.
type session struct {
	_     [1 << 16]byte
	calls context.Context
}

// A context in which many called is gone when nobody has it, though what it is made of knows who
// had it, and goes on.
func TestVigilHoldsNobody(t *testing.T) {
	app, stop := context.WithCancel(context.Background())
	defer stop()
	type chain func(ctx context.Context, s *session) (context.Context, context.CancelFunc)
	value := func(ctx context.Context, s *session) context.Context { return context.WithValue(ctx, sessionKey{}, s) }
	for name, made := range map[string]chain{
		"of one that goes on": func(ctx context.Context, s *session) (context.Context, context.CancelFunc) {
			return value(ctx, s), func() {}
		},
		"ended": func(ctx context.Context, s *session) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			return value(ctx, s), cancel
		},
		"ended, and known to what ended it": func(ctx context.Context, s *session) (context.Context, context.CancelFunc) {
			return context.WithCancel(value(ctx, s))
		},
	} {
		goroutines := runtime.NumGoroutine()
		h := &host{commons: new(Commons), start: func(_ Scope, c *Call) { c.Value(nil) }}
		var alive atomic.Int32
		const all = 20
		for range all {
			s := new(session)
			alive.Add(1)
			runtime.AddCleanup(s, func(alive *atomic.Int32) { alive.Add(-1) }, &alive)
			ctx, cancel := made(app, s)
			s.calls = WithScope(ctx, Scope{Host: h})
			for range hot {
				if e := Ask(s.calls, "it", "work", nil, false, false, func(Value) {}); e != nil {
					t.Fatal(e)
				}
			}
			watch := s.calls.(*scoped).watched.vigil.Load()
			if watch == nil {
				t.Fatal("nobody watches")
			}
			alive.Add(1)
			runtime.AddCleanup(watch, func(alive *atomic.Int32) { alive.Add(-1) }, &alive)
			none := func() bool { return runtime.NumGoroutine() <= goroutines } // but for a moment, for a cleanup
			if !soon(none) {
				t.Fatalf("%s: %d goroutines, and there were %d", name, runtime.NumGoroutine(), goroutines)
			}
			cancel()
			if !soon(none) { // what ends the calls
				t.Fatalf("%s: %d goroutines after its end, and there were %d", name, runtime.NumGoroutine(), goroutines)
			}
		}
		forgotten := func() bool { runtime.GC(); return alive.Load() <= 2 } // the last is perhaps still on the stack
		if !soon(forgotten) {
			t.Fatalf("%s: %d of %d sessions and vigils are still there", name, alive.Load(), 2*all)
		}
	}
}

// strange is a context that is neither of package context nor says when it ends but by its
// channel.
type strange struct {
	context.Context
	done chan struct{}
	err  atomic.Value
}

func (s *strange) Done() <-chan struct{} { return s.done }

func (s *strange) Err() error {
	err, _ := s.err.Load().(error)
	return err
}

// A context that would have to be watched by a goroutine, which ends when the garbage collector
// says so, is not: it is looked at with each call, as ever.
func TestVigilOfAStrangeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{commons: new(Commons), start: func(_ Scope, c *Call) { c.Value(nil) }}
		of := &strange{Context: context.Background(), done: make(chan struct{})}
		ctx := WithScope(of, Scope{Host: h})
		for range 2 * hot {
			if e := Ask(ctx, "it", "work", nil, false, false, func(Value) {}); e != nil {
				t.Fatal(e)
			}
		}
		if ctx.(*scoped).watched.vigil.Load() != nil {
			t.Error("it is watched")
		}
		h.start = nil
		time.AfterFunc(time.Second, func() { of.err.Store(context.Canceled); close(of.done) })
		if e := Ask(ctx, "it", "work", nil, false, false, func(Value) {}); e == nil || e.Code != wire.CodeCanceled {
			t.Errorf("at its end: %v", e)
		}
	})
}

// What a vigil knows is bounded by how many calls there are at once, however often the garbage
// collector takes those that are not in use.
func TestVigilIsBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &host{commons: new(Commons)}
	ctx, watch := heated(t, ctx, h)
	h.start = func(_ Scope, c *Call) { c.Value(nil) }
	for range 300 {
		runtime.GC()
		runtime.GC()
		if e := Ask(ctx, "it", "work", nil, false, false, func(Value) {}); e != nil {
			t.Fatal(e)
		}
	}
	if n := len(watch.bells); n > 100 {
		t.Errorf("it knows %d bells, of one call at a time", n)
	}
}

// Whatever is made in a turn ends with the turn, also where it calls in a context of another's
// that is watched.
func TestVigilInATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := turnOf(time.Now().Add(time.Second))
		h := &host{}
		turn.cell.host = h
		ctx, _ := heated(t, turn, h)
		h.start = func(_ Scope, c *Call) { c.Placed(h, 1) }
		e := Ask(ctx, "it", "work", nil, false, false, func(Value) {})
		if e == nil || e.Code != wire.CodeDeadline || len(h.cancel) != 1 {
			t.Errorf("%v, %d are taken back", e, len(h.cancel))
		}
	})
}
