package cell

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// DefaultTimeout is how long a call waits when its context has no deadline.
const DefaultTimeout = 30 * time.Second

// ToStart returns ctx for a call that waits for a start which may take so long. One that has no
// deadline is given one beyond that: whoever waits is to be told why the start has failed.
func ToStart(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	const longest = math.MaxUint32 * time.Millisecond // what a message can say
	return context.WithTimeout(ctx, min(max(limit, DefaultTimeout), longest)+5*time.Second)
}

// Host carries what an actor sends, and is told of what it did.
//
// The first group is called by whoever sends; none waits longer than its ctx.
// The second is called by the cell, from the goroutine of the handler, and must
// not block.
type Host interface {
	// Start sends c on its way. However it goes, c is told.
	Start(ctx context.Context, s Scope, c *Call)
	// Send sends a one-way message. It returns nil once the message has room
	// towards its target.
	Send(ctx context.Context, s Scope, target, command string, v Value) *wire.Error
	// TrySend is Send that never waits: where there is no room, the error is overloaded.
	TrySend(ctx context.Context, s Scope, target, command string, v Value) *wire.Error
	// Cancel says that nobody waits for c any longer.
	Cancel(c *Call)
	// Commons returns what the host's actors share; nil: nothing.
	Commons() *Commons
	// Watch has w.Down called once when target ends.
	Watch(ctx context.Context, s Scope, target string, w *Watch) *wire.Error
	// Unwatch undoes Watch.
	Unwatch(w *Watch)

	// Reply ends r with v. more says that the cell has further requests at hand,
	// so that whoever writes may gather.
	Reply(r *Request, v Value, more bool)
	// Fail ends r with e; r may be one-way.
	Fail(r *Request, e *wire.Error, more bool)
	// Ready says that the actor is running, or (err) could not start.
	Ready(c *Cell, err error)
	// Ended says that the actor has ended. Once; nothing of the cell follows it
	// but what handlers still at work return.
	Ended(c *Cell, d *wire.Death)
	// Misuse reports that an actor broke a rule that nothing enforces.
	Misuse(c *Cell, what string)
}

// Watch is one actor's wish to be told of the end of another.
type Watch struct {
	Target string
	Down   func(d *Down) // called once, must not block
	ID     uint64        // the host's
	At     any           // likewise: where it is kept
}

// Down is the end of a watched actor.
type Down struct {
	AID, Name string // empty if all that has ended is the way to it
	Death     wire.Death
}

// Call is one call as its caller holds it. It ends exactly once.
type Call struct {
	// What its end writes and reads, on one cache line.
	state  atomic.Uint32
	sure   bool  // nobody else has it any more
	awaits bool  // who was woken by it says so to waker
	bell   *bell // rung then, for one who asks; nil: there is done
	value  Value
	err    *wire.Error
	turn   *Turn                       // it ends with this turn; guarded by turn.mu …
	vigil  *vigil                      // … or with the context that this watches; else with neither
	unbind atomic.Pointer[func() bool] // ends the wait for the end of its context

	Target   string
	Command  string
	Argument Value
	Accept   bool      // wait only until the message is accepted
	lends    bool      // its result is lent, and what it was in used again
	rung     bool      // its caller waits for the bell alone
	Loose    bool      // nobody waits for it yet, and its sender goes on: the end of its context ends it all the same
	Deadline time.Time // set by Begin

	host    Host
	at      any           // the host's: where it is in flight …
	id      uint64        // … and as what; written before state is placed
	done    chan struct{} // closed when it has ended; nil: there is a bell
	encoded Encoded       // what value points to, if it came over a connection
	sibling *Call         // the one before it that ends with the same, and still is in flight
	younger *Call         // the one after it
	waker   Waker         // who may read its outcome; nil: not to be told
}

const (
	pending uint32 = iota
	placed         // its host knows where it is in flight
	ending         // somebody writes the outcome, or has
)

// Ask sends target a command in the scope of ctx and waits for the outcome, or until
// ctx ends, which ends the call. With accept it waits only until it is accepted. It gives use
// the result, which is not valid any more when that has returned; nor are, if it lends them, the
// bytes of one that came over a connection.
func Ask(ctx context.Context, target, command string, v Value, accept, lends bool, use func(v Value)) *wire.Error {
	s, ok := ScopeOf(ctx)
	if !ok {
		return noScope(target, command)
	}
	watch, commons := vigilOf(ctx), s.Host.Commons()
	var c *Call
	if watch != nil {
		c = watch.call()
	} else {
		c = commons.call()
	}
	c.Target, c.Command, c.Argument, c.Accept, c.lends = target, command, v, accept, lends
	c.rung = watch != nil
	c.begin(ctx, s)
	c.await(ctx, watch != nil)
	c.bell.leave()
	err := c.err
	if err == nil && !accept {
		use(c.value)
	}
	if lends {
		c.giveBack(commons)
	}
	if watch != nil {
		watch.reuse(c)
	} else {
		commons.reuse(c)
	}
	return err
}

// Waker is told of each goroutine that it wakes as one of many, when that runs.
type Waker interface {
	Wakes() bool // there is one, which calls Awake if this is true
	Awake()
}

// WokenBy says that w reads the outcome. The host says so before it sends c.
func (c *Call) WokenBy(w Waker) { c.waker = w }

// Begin sends c, of which the exported fields but Deadline are set, in the scope of
// ctx. c is told of a failure like of everything else.
func (c *Call) Begin(ctx context.Context) {
	c.done = make(chan struct{})
	s, ok := ScopeOf(ctx)
	if !ok {
		c.Failed(0, noScope(c.Target, c.Command))
		return
	}
	c.begin(ctx, s)
}

func (c *Call) begin(ctx context.Context, s Scope) {
	c.host = s.Host
	c.Deadline = deadlineOf(ctx)
	if c.Target == "" {
		c.Failed(0, ToNobody())
		return
	}
	if err := ctx.Err(); err != nil {
		c.Failed(0, c.ctxError(err).NotStarted())
		return
	}
	if s.Turn != nil && !s.Turn.adopt(c) {
		c.Failed(0, c.ctxError(s.Turn.Err()).NotStarted())
		return
	}
	if c.Loose {
		c.bind(ctx)
	}
	s.Host.Start(ctx, s, c)
}

// bind has c end with ctx. A turn ends its calls itself.
func (c *Call) bind(ctx context.Context) {
	if _, plain := ctx.(*Turn); plain || ctx.Done() == nil {
		return
	}
	if watch := vigilOf(ctx); watch != nil { // no turn acts in it
		if !watch.adopt(c) {
			c.abandon(ctx.Err())
		}
		return
	}
	stop := context.AfterFunc(ctx, func() { c.abandon(ctx.Err()) })
	c.unbind.Store(&stop)
}

// SendIn sends target a one-way message in the scope of ctx.
func SendIn(ctx context.Context, target, command string, v Value) *wire.Error {
	s, err := senderIn(ctx, target, command)
	if err != nil {
		return err
	}
	return s.Host.Send(ctx, s, target, command, v)
}

// TrySendIn is SendIn that never waits.
func TrySendIn(ctx context.Context, target, command string, v Value) *wire.Error {
	s, err := senderIn(ctx, target, command)
	if err != nil {
		return err
	}
	return s.Host.TrySend(ctx, s, target, command, v)
}

// senderIn returns who sends in ctx.
func senderIn(ctx context.Context, target, command string) (Scope, *wire.Error) {
	s, ok := ScopeOf(ctx)
	if !ok {
		return s, noScope(target, command)
	}
	if target == "" {
		return s, ToNobody()
	}
	if err := ctx.Err(); err != nil {
		return s, ContextError(err, target, command).NotStarted()
	}
	return s, nil
}

func noScope(target, command string) *wire.Error {
	return (&wire.Error{
		Code: wire.CodeRefused, Target: target, Command: command,
		Message: "nobody sends in this context: use the ctx a handler is given, or one made by Arbiter.Context or Member.Context",
	}).NotStarted()
}

// ToNobody is how what has no target fails: the arbiter could only say that there is no actor "".
func ToNobody() *wire.Error {
	return wire.Errorf(wire.CodeUnknownActor, "the Ref is zero, or the name empty: use the Ref that Spawn or Self.Ref returns, or actor.To with a name").NotStarted()
}

// deadlineOf is when a call made in ctx is over: ctx's deadline, else the default.
func deadlineOf(ctx context.Context) time.Time {
	if d, ok := ctx.Deadline(); ok {
		return d
	}
	return now().Add(DefaultTimeout)
}

// Wait waits for the outcome, or until ctx ends, which ends the call.
func (c *Call) Wait(ctx context.Context) (Value, *wire.Error) {
	select {
	case <-c.done:
		return c.value, c.err
	default:
	}
	t := turnIn(ctx)
	if t != nil && t.yield() {
		defer t.retake()
	}
	stop := endOf(ctx)
	if stop == nil || c.vigil != nil {
		<-c.done
		return c.value, c.err
	}
	select {
	case <-c.done:
	case <-stop:
		c.abandon(ctx.Err())
		<-c.done
	}
	return c.value, c.err
}

// await is Wait for one who asks; watched says that a vigil rings if ctx ends.
func (c *Call) await(ctx context.Context, watched bool) {
	rings := c.bell.rings
	select {
	case outcome := <-rings:
		if outcome {
			c.heard()
			return
		}
		c.abandon(ctx.Err())
	default:
	}
	t := turnIn(ctx)
	if t != nil && t.yield() {
		defer t.retake()
	}
	stop := endOf(ctx)
	if stop == nil || watched {
		for {
			if at := c.bell.at.Load(); at != nil {
				at.Park(rings) // or not, where it is closed
			}
			if <-rings {
				c.heard()
				return
			}
			c.abandon(ctx.Err())
		}
	}
	select {
	case <-rings:
	case <-stop:
		c.abandon(ctx.Err())
		<-rings
	}
	c.heard()
}

// heard is called when the outcome has rung, before anything that may wait.
func (c *Call) heard() {
	if c.awaits {
		c.waker.Awake()
	}
}

// endOf returns what a wait in ctx is to look at beside its call. A turn ends its calls itself,
// deadline included; only a context derived from it, or one of somebody else, needs watching.
func endOf(ctx context.Context) <-chan struct{} {
	if _, plain := ctx.(*Turn); plain {
		return nil
	}
	return ctx.Done()
}

// Done is closed when the call has ended.
func (c *Call) Done() <-chan struct{} { return c.done }

// Cancel ends the call: nobody waits for it any longer.
func (c *Call) Cancel() { c.abandon(context.Canceled) }

// abandon ends the call from the caller's side.
func (c *Call) abandon(err error) {
	if c.end(nil, c.ctxError(err), false) == placed {
		c.host.Cancel(c)
	}
}

// Placed is called by the host once c is in flight: at and id are what Place then
// returns. It returns false if c has ended meanwhile; the host takes it back.
func (c *Call) Placed(at any, id uint64) bool {
	c.at, c.id = at, id
	return c.state.CompareAndSwap(pending, placed)
}

// Place returns where c is in flight, for the host's Cancel.
func (c *Call) Place() (at any, id uint64) { return c.at, c.id }

// Value ends the call with a value from this process. Whoever calls it, or Result, has taken
// the note of the call out, and knows that nobody else will end it, but from the caller's side.
func (c *Call) Value(v Value) { c.end(v, nil, true) }

// Result ends the call with the reply m, whose body it copies.
func (c *Call) Result(_ uint64, m *wire.Message) {
	if _, ok := c.claim(); !ok {
		return
	}
	c.encoded = Encoded{Codec: m.Codec, Data: append(c.room(len(m.Body)), m.Body...), lease: owned}
	if c.bell != nil && c.waker != nil {
		c.awaits = c.waker.Wakes()
	}
	c.finish(&c.encoded, nil, true)
}

// room returns where the result goes, of n bytes.
func (c *Call) room(n int) []byte {
	if !c.lends {
		return nil
	}
	if commons := c.host.Commons(); n > maxKept && commons != nil {
		return commons.bodies.get(n)
	}
	return c.encoded.Data
}

// giveBack takes back the memory of a result that was lent.
func (c *Call) giveBack(commons *Commons) {
	data := c.encoded.Data
	spoil(data)
	if c.encoded.Data = data[:0]; cap(data) > maxKept {
		c.encoded.Data = nil
		if commons != nil {
			commons.bodies.put(data)
		}
	}
}

// Failed ends the call with an error.
func (c *Call) Failed(_ uint64, e *wire.Error) { c.end(nil, e, false) }

// end ends the call and returns the state it was in; the first one counts. Who is sure
// of it is the last one to know of the call.
func (c *Call) end(v Value, e *wire.Error, sure bool) (was uint32) {
	was, ok := c.claim()
	if ok {
		c.finish(v, e, sure)
	}
	return was
}

// claim reports whether the caller is the one to end the call, and the state it was in.
func (c *Call) claim() (was uint32, ok bool) {
	for {
		was = c.state.Load()
		if was >= ending {
			return was, false
		}
		if c.state.CompareAndSwap(was, ending) {
			return was, true
		}
	}
}

// finish ends the call that was claimed.
func (c *Call) finish(v Value, e *wire.Error, sure bool) {
	c.value, c.err = v, e
	if t := c.turn; t != nil {
		t.forget(c)
	}
	if watch := c.vigil; watch != nil {
		watch.forget(c)
	}
	if stop := c.unbind.Load(); stop != nil {
		(*stop)()
	}
	c.sure = sure
	if c.bell != nil {
		c.bell.ring(true) // who hears it may use c again: nothing of it is looked at below
	} else {
		close(c.done)
	}
}

// link puts c at the head of a list of calls that end with something.
func (c *Call) link(head **Call) {
	c.sibling = *head
	if c.sibling != nil {
		c.sibling.younger = c
	}
	*head = c
}

// unlink takes c off the list, if it is on it: there may be thousands, and they may end in any
// order.
func (c *Call) unlink(head **Call) {
	if c.younger != nil {
		c.younger.sibling = c.sibling
	} else if *head == c {
		*head = c.sibling
	}
	if c.sibling != nil {
		c.sibling.younger = c.younger
	}
	c.sibling, c.younger = nil, nil
}

// allOf returns the calls of the list.
func allOf(head *Call) (all []*Call) {
	for c := head; c != nil; c = c.sibling {
		all = append(all, c)
	}
	return all
}

func (c *Call) ctxError(err error) *wire.Error { return ContextError(err, c.Target, c.Command) }

// ContextError says that a call ended because its context did.
func ContextError(err error, target, command string) *wire.Error {
	e := &wire.Error{Code: wire.CodeCanceled, Target: target, Command: command, Message: "the caller gave up"}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Code, e.Message = wire.CodeDeadline, "no reply before the deadline"
	}
	return e
}
