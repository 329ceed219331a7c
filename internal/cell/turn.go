package cell

import (
	"context"
	"sync"
	"time"
)

// Turn is one handler at work, and the context it is given. It ends when the
// handler returns, when its caller gives up, at its deadline, or with the actor.
// The deadline needs no timer unless somebody asks for Done.
type Turn struct {
	cell    *Cell
	req     *Request
	outer   *Turn // of which it is a part: a call to oneself
	inPlace bool  // answered beside the turn, or on the goroutine of another one

	prev, next *Turn // guarded by cell.mu: the turns not yet over

	mu     sync.Mutex
	done   chan struct{} // made when asked for
	err    error
	timer  *time.Timer
	nested *Call // head of the list of calls that end with this turn
	after  map[*func()]func()

	away   bool          // guarded by cell.mu: it waits and has given up the turn
	resume chan struct{} // closed when the turn is its own again
}

var _ context.Context = (*Turn)(nil)

type scopeKey struct{}

// Scope is who acts in a context: what carries its messages, and in which actor
// and turn it is, if any.
type Scope struct {
	Host Host
	Cell *Cell // nil outside an actor
	Turn *Turn // nil outside a handler or hook
}

// WithScope returns a context in which s acts.
func WithScope(ctx context.Context, s Scope) context.Context {
	return context.WithValue(ctx, scopeKey{}, s)
}

// ScopeOf returns who acts in ctx.
func ScopeOf(ctx context.Context) (Scope, bool) {
	if t, ok := ctx.(*Turn); ok {
		return Scope{t.cell.host, t.cell, t}, true
	}
	if t, ok := ctx.Value(turnKey{}).(*Turn); ok {
		return Scope{t.cell.host, t.cell, t}, true
	}
	s, ok := ctx.Value(scopeKey{}).(Scope)
	return s, ok
}

type turnKey struct{}

// Deadline returns the deadline of the request being handled.
func (t *Turn) Deadline() (time.Time, bool) {
	return t.req.Deadline, !t.req.Deadline.IsZero()
}

// Value returns the turn's own values, then those of the owner's context.
func (t *Turn) Value(key any) any {
	if _, ok := key.(turnKey); ok {
		return t
	}
	return t.cell.base.Value(key)
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Done returns a channel that is closed when the turn is over.
func (t *Turn) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		if t.err != nil {
			return closedChan
		}
		t.done = make(chan struct{})
		if !t.req.Deadline.IsZero() {
			t.timer = time.AfterFunc(time.Until(t.req.Deadline), func() { t.cancel(context.DeadlineExceeded) })
		}
	}
	return t.done
}

// Err says why the turn is over; nil while it is not.
func (t *Turn) Err() error {
	t.mu.Lock()
	err := t.err
	t.mu.Unlock()
	if err == nil && !t.req.Deadline.IsZero() && !time.Now().Before(t.req.Deadline) {
		t.cancel(context.DeadlineExceeded)
		return context.DeadlineExceeded
	}
	return err
}

// AfterFunc runs f in its own goroutine when the turn is over. The context package
// uses it, so that contexts derived from a turn need no goroutine.
func (t *Turn) AfterFunc(f func()) (stop func() bool) {
	t.Done() // the deadline must have its timer
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		go f()
		return func() bool { return false }
	}
	key := &f
	if t.after == nil {
		t.after = make(map[*func()]func())
	}
	t.after[key] = f
	return func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		_, waiting := t.after[key]
		delete(t.after, key)
		return waiting
	}
}

// cancel ends the context, and the calls made in it. The first reason counts.
func (t *Turn) cancel(err error) {
	t.mu.Lock()
	if t.err != nil {
		t.mu.Unlock()
		return
	}
	t.err = err
	if t.done != nil {
		close(t.done)
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	var nested []*Call
	for c := t.nested; c != nil; c = c.sibling {
		nested = append(nested, c)
	}
	after := t.after
	t.nested, t.after = nil, nil
	t.mu.Unlock()
	for _, c := range nested {
		c.abandon(err)
	}
	for _, f := range after {
		go f()
	}
}

// adopt makes c end with the turn. It returns false if the turn is over.
func (t *Turn) adopt(c *Call) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return false
	}
	c.turn, c.sibling = t, t.nested
	t.nested = c
	return true
}

// forget is the reverse of adopt. A turn has few calls at a time.
func (t *Turn) forget(c *Call) {
	t.mu.Lock()
	for p := &t.nested; *p != nil; p = &(*p).sibling {
		if *p == c {
			*p = c.sibling
			break
		}
	}
	t.mu.Unlock()
}

// Request returns what the turn handles; for a hook or a timer an empty one.
func (t *Turn) Request() *Request { return t.req }

// Parent returns the id of the call being handled, seen through calls to oneself;
// 0 where nobody waits.
func (t *Turn) Parent() uint64 {
	for t.outer != nil {
		t = t.outer
	}
	return t.req.ID
}

// Cell returns the actor whose turn it is.
func (t *Turn) Cell() *Cell { return t.cell }

// Holds reports whether the turn keeps others from starting while it waits: a
// serial actor's handler or hook, but not what is answered in place.
func (t *Turn) Holds() bool { return t.cell.spec.Mode == Serial && !t.inPlace }

// yield gives up the turn of an interleaved actor, so that others may start while
// this handler waits. It returns false where there is nothing to give up.
func (t *Turn) yield() bool {
	c := t.cell
	if c.spec.Mode != Interleaved || t.inPlace {
		return false
	}
	c.mu.Lock()
	if t.away {
		c.mu.Unlock()
		c.misuse("two goroutines of one interleaved handler wait in calls at the same time; start the calls in one goroutine and wait for each in turn")
		return false
	}
	t.away = true
	c.passLocked()
	c.mu.Unlock()
	return true
}

// retake waits until the turn is this handler's again. The wait is as long as
// others hold it; a dead actor's handlers get it at once.
func (t *Turn) retake() {
	c := t.cell
	c.mu.Lock()
	t.away = false
	if c.active == 0 || c.state >= Closed {
		c.active++
		c.mu.Unlock()
		return
	}
	t.resume = make(chan struct{})
	c.waiting = append(c.waiting, t)
	c.mu.Unlock()
	<-t.resume
}
