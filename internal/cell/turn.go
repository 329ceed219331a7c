package cell

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Turn is one handler at work, and the context it is given. It ends when the
// handler returns, when its caller gives up, at its deadline, or with the actor.
// The deadline needs no timer unless somebody asks for Done.
//
// There is one for every message, so what most handlers never need is apart.
type Turn struct {
	cell *Cell
	aid  *byte  // with length, the aid of who sent what it handles: see Letter.From
	call uint64 // the call it answers; 0: none
	due  due

	over    atomic.Uint32 // why the context has ended; live while it has not
	attempt uint8
	length  uint8 // of aid
	is      role
	stand   stand // guarded by cell.mu

	rest atomic.Pointer[rest] // made when needed, never changed then
}

// role is what a turn is in its actor's order of turns.
type role uint8

const (
	ordinary role = iota
	beside        // answered in place: beside that order, or on the goroutine of another turn
	hook          // that of the constructor and Started, or of Stopping: nobody else has one meanwhile
)

// stand is whose the turn of a handler is.
type stand uint8

const (
	present stand = iota // the handler's
	away                 // it waits, and has given up the turn and not got it back
	left                 // it has returned
)

// rest is the part of a turn that has calls of its own, or is waited for. Whoever
// makes it looks at over afterwards, and whoever sets over looks for it
// afterwards: so one of them sees the other.
type rest struct {
	outer *Turn // of which it is a part: a call to oneself

	mu     sync.Mutex
	done   chan struct{} // made when asked for
	timer  *time.Timer
	nested *Call // head of the list of calls that end with this turn
	after  map[*func()]func()

	resume chan struct{} // guarded by cell.mu: closed when the turn is its own again
}

// What over says.
const (
	live uint32 = iota
	canceled
	expired
)

var _ context.Context = (*Turn)(nil)

// of makes t, which is new, the turn of r in c. A request is used again when it is
// over, a turn never: its handler may have kept it, as its context.
func (t *Turn) of(c *Cell, r *Request) *Turn {
	t.cell, t.call, t.attempt, t.due = c, r.ID, r.Attempt, r.due
	t.aid, t.length = textOf(r.Sender)
	r.turn = t
	return t
}

func (t *Turn) more() *rest {
	if m := t.rest.Load(); m != nil {
		return m
	}
	t.rest.CompareAndSwap(nil, new(rest))
	return t.rest.Load()
}

type scopeKey struct{}

// Scope is who acts in a context: what carries its messages, and in which actor
// and turn it is, if any.
type Scope struct {
	Host Host
	Cell *Cell // nil outside an actor
	Turn *Turn // nil outside a handler or hook
}

// scoped is a context in which somebody acts. It is a type of its own so that a
// message need not look for its sender along the chain of contexts.
type scoped struct {
	context.Context
	scope Scope
	turn  *Turn // the one it was derived from, if any, whoever acts

	watched watched
}

// Value returns what it is itself, and then the values of what it was derived from.
func (s *scoped) Value(key any) any {
	if _, ok := key.(scopeKey); ok {
		return s
	}
	return s.Context.Value(key)
}

// WithScope returns a context in which s acts.
func WithScope(ctx context.Context, s Scope) context.Context {
	return &scoped{Context: ctx, scope: s, turn: turnIn(ctx)}
}

// turnIn returns the turn that ctx is, or was derived from; nil: none.
func turnIn(ctx context.Context) *Turn {
	switch c := ctx.(type) {
	case *Turn:
		return c
	case *scoped:
		return c.turn
	}
	t, _ := ctx.Value(turnKey{}).(*Turn)
	return t
}

// ScopeOf returns who acts in ctx: whoever was set last, by WithScope or by being
// the turn that ctx was derived from.
func ScopeOf(ctx context.Context) (Scope, bool) {
	var who any = ctx
	for {
		switch s := who.(type) {
		case *scoped:
			return s.scope, true
		case *Turn:
			return Scope{s.cell.host, s.cell, s}, true
		case nil:
			return Scope{}, false
		default:
			who = ctx.Value(scopeKey{})
		}
	}
}

type turnKey struct{}

// Deadline returns the deadline of the request being handled.
func (t *Turn) Deadline() (time.Time, bool) {
	return t.due.time(), t.due != 0
}

// Value returns the turn's own values, then those of the owner's context.
func (t *Turn) Value(key any) any {
	switch key.(type) {
	case turnKey, scopeKey:
		return t
	}
	return t.cell.base.Value(key)
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Done returns a channel that is closed when the turn is over.
func (t *Turn) Done() <-chan struct{} {
	m := t.more()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done != nil {
		return m.done
	}
	if t.over.Load() != live {
		return closedChan
	}
	m.done = make(chan struct{})
	if t.due != 0 {
		m.timer = time.AfterFunc(t.due.left(), func() { t.cancel(expired) })
	}
	return m.done
}

// Err says why the turn is over; nil while it is not.
func (t *Turn) Err() error {
	if t.over.Load() == live && t.due.passed() {
		t.cancel(expired)
	}
	switch t.over.Load() {
	case canceled:
		return context.Canceled
	case expired:
		return context.DeadlineExceeded
	}
	return nil
}

// AfterFunc runs f in its own goroutine when the turn is over. The context package
// uses it, so that contexts derived from a turn need no goroutine.
func (t *Turn) AfterFunc(f func()) (stop func() bool) {
	t.Done() // the deadline must have its timer
	m := t.more()
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.over.Load() != live {
		go f()
		return func() bool { return false }
	}
	key := &f
	if m.after == nil {
		m.after = make(map[*func()]func())
	}
	m.after[key] = f
	return func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		_, waiting := m.after[key]
		delete(m.after, key)
		return waiting
	}
}

// cancel ends the context, and the calls made in it. The first reason counts.
func (t *Turn) cancel(why uint32) {
	if !t.over.CompareAndSwap(live, why) {
		return
	}
	m := t.rest.Load()
	if m == nil {
		return
	}
	m.mu.Lock()
	if m.done != nil {
		close(m.done)
	}
	if m.timer != nil {
		m.timer.Stop()
	}
	nested, after := allOf(m.nested), m.after
	m.nested, m.after = nil, nil
	m.mu.Unlock()
	for _, c := range nested {
		c.abandon(t.Err())
	}
	for _, f := range after {
		go f()
	}
}

// unwanted is why a turn is over that nobody waits for any longer: who waited may
// have noticed first that its time is up.
func (t *Turn) unwanted() uint32 {
	if t.due.passed() {
		return expired
	}
	return canceled
}

// adopt makes c end with the turn. It returns false if the turn is over.
func (t *Turn) adopt(c *Call) bool {
	m := t.more()
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.over.Load() != live {
		return false
	}
	c.turn = t
	c.link(&m.nested)
	return true
}

// forget is the reverse of adopt.
func (t *Turn) forget(c *Call) {
	m := t.more()
	m.mu.Lock()
	defer m.mu.Unlock()
	c.unlink(&m.nested)
}

// Sender returns the aid of who sent what the turn handles; "" if that is no actor.
func (t *Turn) Sender() string { return unsafe.String(t.aid, t.length) }

// Attempt returns how often the call being handled was made, with this time.
func (t *Turn) Attempt() int { return max(1, int(t.attempt)) }

// Parent returns the id of the call being handled, seen through calls to oneself;
// 0 where nobody waits.
func (t *Turn) Parent() uint64 {
	return t.whole().call
}

// Holds reports whether the turn keeps others from starting while it waits: a
// serial actor's handler, or a hook, but not what is answered in place.
func (t *Turn) Holds() bool { return t.is == hook || t.is == ordinary && t.cell.spec.Mode == Serial }

// whole returns the turn of which t is a part: t itself but for calls to oneself.
func (t *Turn) whole() *Turn {
	for m := t.rest.Load(); m != nil && m.outer != nil; m = t.rest.Load() {
		t = m.outer
	}
	return t
}

// yield gives up the turn of an interleaved actor, so that others may start while
// this handler waits. It returns false where there is nothing to give up.
func (t *Turn) yield() bool {
	c := t.cell
	if c.spec.Mode != Interleaved || t.is == beside {
		return false
	}
	t = t.whole()
	c.mu.Lock()
	switch t.stand {
	case left:
		c.mu.Unlock()
		return false // a goroutine the handler left behind
	case away:
		c.mu.Unlock()
		c.misuse("two goroutines of one interleaved handler wait in calls at the same time; start the calls in one goroutine and wait for each in turn")
		return false
	}
	t.stand = away
	c.passLocked()
	c.mu.Unlock()
	return true
}

// retake waits until the turn is this handler's again. The wait is as long as
// others hold it; a dead actor's handlers get it at once.
func (t *Turn) retake() {
	c := t.cell
	t = t.whole()
	c.mu.Lock()
	if t.stand == left {
		c.mu.Unlock()
		return
	}
	if c.active == 0 || c.state >= Closed {
		c.active++
		t.stand = present
		c.mu.Unlock()
		return
	}
	m := t.more()
	m.resume = make(chan struct{})
	x := c.extraLocked()
	x.waiting = append(x.waiting, t)
	c.mu.Unlock()
	<-m.resume
}
