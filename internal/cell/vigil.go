package cell

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/arbiter-go/arbiter/internal/parker"
)

// vigil watches for the end of one context in which again and again somebody calls, for all
// who do: one of them would have to wait for its reply or the end of that context, whichever is
// first, and the choice costs more than all else of the wait. So they wait for the reply alone,
// and are rung up by the vigil if the context ends.
//
// It ends with its context, or when the garbage collector has found that nobody has that any more.
type vigil struct {
	calls sync.Pool // of *Call, with bells that it knows

	mu    sync.Mutex           // guards what follows
	over  bool                 // the context has ended
	bells []weak.Pointer[bell] // of all calls that wait, or are to be used again
	loose *Call                // head of the list of calls that nobody waits for yet
	gone  runtime.Cleanup      // when nobody has the context any more
}

// bell is what a caller waits for: true is the outcome of its call, false that its context has
// ended. It is used again for other calls.
type bell struct {
	rings chan bool
	at    atomic.Pointer[parker.Parker] // where who waits for it is parked; nil: at the channel
}

// newBell returns a bell on which there is room for one ring of each kind, so that nobody waits
// to ring it: a vigil rings it once.
func newBell() *bell { return &bell{rings: make(chan bool, 2)} }

// ring never waits. Who hears it may use it again at once, and be parked elsewhere: it looks once
// more then, for nothing.
func (b *bell) ring(outcome bool) {
	b.rings <- outcome
	if at := b.at.Load(); at != nil { // behind that: who is about to park looks, too
		at.Unpark()
	}
}

// leave has who waited for it be parked there no longer.
func (b *bell) leave() {
	if at := b.at.Load(); at != nil {
		b.at.Store(nil)
		at.Free()
	}
}

// hot is how many calls are made in a context before it is watched for them all.
const hot = 64

// watched is of a context that a vigil may watch.
type watched struct {
	used  atomic.Uint32 // how many calls were made in it, up to hot
	vigil atomic.Pointer[vigil]
}

// vigilOf returns the one that watches ctx for who calls in it; nil: none does.
func vigilOf(ctx context.Context) *vigil {
	s, ok := ctx.(*scoped)
	if !ok {
		return nil
	}
	if v := s.watched.vigil.Load(); v != nil || s.watched.used.Load() >= hot {
		return v
	}
	if s.watched.used.Add(1) != hot || s.Done() == nil {
		return nil
	}
	v := new(vigil)
	if !v.watch(s) {
		return nil
	}
	s.watched.vigil.Store(v)
	return v
}

// watch has v end with s. It reports false where that would take a goroutine, and a channel
// that is closed from elsewhere: for a context that is neither of package context nor tells
// who asks for that of its end.
func (v *vigil) watch(s *scoped) bool {
	of := s.Context
	if _, tells := of.(interface{ AfterFunc(func()) func() bool }); !tells {
		of = &bareEnd{of: weak.Make(s), done: s.Done()}
	}
	stop := context.AfterFunc(of, func() { v.end(of) })
	if e, ok := of.(*bareEnd); ok && !e.found() {
		stop()
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.over {
		v.gone = runtime.AddCleanup(s, func(stop func() bool) { stop() }, stop)
	}
	return true
}

// bareEnd is the end of a context and nothing else of it: who waits for that, perhaps for as
// long as the program runs, is not to keep what is known in the context, which may be who made
// it, and has it.
type bareEnd struct {
	of   weak.Pointer[scoped]
	done <-chan struct{}

	// What package context asks for first, and is told: which of its own contexts ends this one.
	// It asks once more when the wait is given up, and the context may be gone then.
	key, by any
}

func (e *bareEnd) Deadline() (at time.Time, ok bool) { return at, false }
func (e *bareEnd) Done() <-chan struct{}             { return e.done }

func (e *bareEnd) Err() error {
	if s := e.of.Value(); s != nil {
		return s.Err()
	}
	return context.Canceled // and nobody is there who calls in it
}

func (e *bareEnd) Value(key any) any {
	if s := e.of.Value(); s != nil && e.key == nil {
		e.key, e.by = key, s.Context.Value(key)
	}
	if key == e.key {
		return e.by
	}
	return nil
}

// found reports whether package context has found what ends e.
func (e *bareEnd) found() bool {
	by, ok := e.by.(context.Context)
	return ok && by.Done() == e.done
}

// call is Commons.call, of those whose bells v knows.
func (v *vigil) call() *Call {
	if c, ok := v.calls.Get().(*Call); ok {
		return c
	}
	b := newBell()
	v.mu.Lock()
	if len(v.bells) == cap(v.bells) { // some are no longer there
		kept := v.bells[:0]
		for _, w := range v.bells {
			if w.Value() != nil {
				kept = append(kept, w)
			}
		}
		v.bells = kept
	}
	v.bells = append(v.bells, weak.Make(b))
	v.mu.Unlock()
	return &Call{bell: b}
}

// reuse is Commons.reuse for one of call's.
func (v *vigil) reuse(c *Call) { v.calls.Put(c.blank()) }

// adopt has c end with the context although nobody waits for it. It returns false if that has
// ended.
func (v *vigil) adopt(c *Call) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return false
	}
	c.vigil = v
	c.link(&v.loose)
	return true
}

// forget is the reverse of adopt.
func (v *vigil) forget(c *Call) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c.unlink(&v.loose)
}

// end is called when the context of v has ended. Who begins a call from now on sees that.
func (v *vigil) end(of context.Context) {
	v.mu.Lock()
	v.over = true
	v.gone.Stop() // it has what this context is made of, which may have the context
	bells, loose := v.bells, allOf(v.loose)
	v.bells, v.loose = nil, nil
	v.mu.Unlock()
	for _, w := range bells {
		if b := w.Value(); b != nil {
			b.ring(false)
		}
	}
	for _, c := range loose {
		c.abandon(of.Err())
	}
}
