package cell

import (
	"context"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Stop ends the actor as it should: it takes no more, handles what it has, runs
// its stop hook. What takes longer than grace is killed (0: the Spec's, or
// DefaultGrace). Stopping twice is stopping once.
func (c *Cell) Stop(reason string, grace time.Duration) { c.stop(reason, grace, false) }

// Retire is Stop for an actor that is not to be started again.
func (c *Cell) Retire(reason string) { c.stop(reason, 0, true) }

func (c *Cell) stop(reason string, grace time.Duration, final bool) {
	if grace <= 0 && c.own != nil {
		grace = c.own.Grace
	}
	if grace <= 0 {
		grace = c.spec.Grace
	}
	if grace <= 0 {
		grace = DefaultGrace
	}
	c.mu.Lock()
	if c.state >= Stopping {
		if final && c.state == Stopping {
			d := *c.extra.death // others may have the one there was
			d.Final = true
			c.extra.death = &d
		}
		c.mu.Unlock()
		return
	}
	fresh := c.state == Initial
	c.state = Stopping
	c.leaves.Store(true)
	death := &wire.Death{Cause: wire.CauseStopped, Reason: reason, Final: final}
	x := c.extraLocked()
	x.death, x.grace = death, c.newPatience(grace)
	c.freeRoomLocked()
	over := !fresh && c.idleLocked()
	c.mu.Unlock()
	switch {
	case fresh: // there is no state yet that a hook could be given
		go c.Kill(death)
	case over:
		go c.close()
	}
}

// patience is how long a stop may take. A timer that is late says that this process
// was stopped, or starved, as the actor was: it runs once more then.
type patience struct {
	timer *time.Timer
	limit time.Duration
	due   time.Time
	spent bool
}

func (c *Cell) newPatience(limit time.Duration) *patience {
	p := &patience{limit: limit, due: time.Now().Add(limit)}
	p.timer = time.AfterFunc(limit, func() { c.outstayed(p) })
	return p
}

// reset begins it anew.
func (p *patience) reset(limit time.Duration) {
	p.limit, p.due = limit, time.Now().Add(limit)
	p.timer.Reset(limit)
}

// outstayed is called when the time for the stop is over.
func (c *Cell) outstayed(p *patience) {
	c.mu.Lock()
	if late := time.Since(p.due); late > p.limit/pauseFactor && !p.spent && c.state < Closed {
		p.spent = true
		p.reset(p.limit)
		c.mu.Unlock()
		return
	}
	why := fmt.Sprintf("it was asked to stop and had not after %v", p.limit)
	if c.inquiredLocked() && !c.closing {
		why += ": its info hook has not returned"
	}
	c.mu.Unlock()
	c.Kill(&wire.Death{Cause: wire.CauseHung, Reason: why})
}

// Abandon stops the actor when nobody is left to hear it: the contexts of what
// runs end, what waits is dropped, and the stop hook has grace.
func (c *Cell) Abandon(reason string, grace time.Duration) {
	c.mu.Lock()
	var turns []*Turn
	for w := range c.atWorkLocked {
		turns = append(turns, w.turn)
	}
	message := func(l Letter) bool { return !l.own() }
	left := c.takeLocked(message)
	for {
		l, ok := c.inbox.Remove(message)
		if !ok {
			break
		}
		c.tookLocked(&l)
		left = append(left, l)
	}
	for _, l := range left {
		c.inbox.Release(1, l.size())
		c.leftLocked(&l)
	}
	c.mu.Unlock()
	for _, l := range left {
		l.unpaid()
		c.host.Fail(l.open(new(Request)), wire.Errorf(wire.CodeClosed, "%s", reason).NotStarted(), true)
	}
	c.Stop(reason, grace)
	c.mu.Lock()
	if c.state == Stopping {
		c.extra.grace.reset(grace) // it may have been stopping with a longer one
		if c.begun && c.idleLocked() {
			go c.close() // what it waited for was dropped above, perhaps before anything started
		}
	}
	c.mu.Unlock()
	for _, t := range turns {
		t.cancel(canceled)
	}
}

// idleLocked reports whether nothing runs, the info hook included, waits for its turn back, or is
// to run.
func (c *Cell) idleLocked() bool {
	return c.active == 0 && c.inbox.Len() == 0 && c.working == nil && c.quicks == 0 && !c.inquiredLocked()
}

// close runs the stop hook and ends the actor.
func (c *Cell) close() {
	c.mu.Lock()
	if !c.begun || c.state != Stopping || c.closing || !c.idleLocked() { // who has not begun is killed
		c.mu.Unlock()
		return
	}
	c.closing = true
	c.active++ // the hook has the turn
	user := c.user
	stopped := c.deathLocked()
	c.mu.Unlock()
	if c.spec.Stopping == nil {
		c.Kill(stopped)
		return
	}
	death := &wire.Death{Cause: wire.CausePanic, Reason: "the stop hook called runtime.Goexit"}
	defer func() { c.Kill(death) }()
	if err := c.stopping(user); err != nil {
		death.Reason = err.Error()
		return
	}
	c.mu.Lock()
	death = c.deathLocked() // as the hook left it: it may have asked not to be started again
	c.mu.Unlock()
}

func (c *Cell) stopping(user any) (err error) {
	r := c.begin()
	defer c.finish(r)
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic in the stop hook", "actor", c.String(), "panic", p, "stack", StackOfPanic())
			err = fmt.Errorf("%v", p)
		}
	}()
	c.spec.Stopping(r.turn, user)
	return nil
}

// Kill ends the actor at once: what waits is dropped, the contexts of what runs
// end. A handler that goes on regardless is no longer heard. The first end counts.
func (c *Cell) Kill(d *wire.Death) {
	c.mu.Lock()
	if c.state >= Closed {
		c.mu.Unlock()
		return
	}
	c.state = Terminated
	if d.Cause == wire.CauseStopped {
		c.state = Closed
	}
	c.extraLocked().death = d
	c.leaves.Store(true)
	c.ended.Store(true)
	var turns []*Turn
	for w := range c.atWorkLocked {
		turns = append(turns, w.turn)
	}
	var left []Letter
	drop := func(l Letter) {
		if !l.own() {
			left = append(left, l)
			c.leftLocked(&l)
		}
	}
	for _, l := range c.takeLocked(func(Letter) bool { return true }) {
		drop(l)
	}
	c.inbox.Drain(drop)
	for _, t := range c.waitingLocked() {
		c.active++
		t.stand = present
		close(t.more().resume)
	}
	c.freeRoomLocked()
	x := c.extra
	c.extra = &extra{death: d, left: x.left, letters: x.letters, inquiry: x.inquiry} // what is told of it from here on
	c.mu.Unlock()

	if x.end != nil {
		x.end()
	}
	for timer := range x.timers {
		timer.timer.Stop()
	}
	if x.budget != nil {
		x.budget.Stop()
	}
	if x.grace != nil {
		x.grace.timer.Stop()
	}
	for _, t := range turns {
		t.cancel(canceled)
	}
	for _, l := range left {
		l.unpaid()
		c.host.Fail(l.open(new(Request)), (&wire.Error{Code: wire.CodeDown, Death: d, Message: "it ended before it came to this message"}).NotStarted(), true)
	}
	c.host.Ended(c, d)
}

// leftLocked counts l, which the actor ends on.
func (c *Cell) leftLocked(l *Letter) {
	c.counts.dropped++
	if l.ID != 0 {
		c.extraLocked().left++
	} else {
		c.extraLocked().letters++
	}
}

func (c *Cell) freeRoomLocked() {
	if c.awaited {
		close(c.extra.room)
		c.extra.room = nil
		c.awaited = false
		if c.batch != nil {
			c.batch.awaited.Store(false)
		}
	}
}

// deathLocked returns how the actor ends; nil while it is not stopping.
func (c *Cell) deathLocked() *wire.Death {
	if c.extra == nil {
		return nil
	}
	return c.extra.death
}

func (c *Cell) extraLocked() *extra {
	if c.extra == nil {
		c.extra = &extra{}
	}
	return c.extra
}

// Life returns a context that ends with the actor, for goroutines it starts.
func (c *Cell) Life() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= Closed {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return WithScope(ctx, Scope{Host: c.host, Cell: c})
	}
	x := c.extraLocked()
	if x.life == nil {
		// No turn of anybody's is given up when a goroutine waits, also where base has
		// its values from a handler of another actor.
		base := context.WithValue(context.WithoutCancel(c.base), turnKey{}, (*Turn)(nil))
		ctx, cancel := context.WithCancel(WithScope(base, Scope{Host: c.host, Cell: c}))
		x.life, x.end = ctx, cancel
	}
	return x.life
}

// Config returns a setting of the actor's own.
func (c *Cell) Config(name string) (any, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.extra == nil {
		return nil, false
	}
	v, ok := c.extra.config[name]
	return v, ok
}

// MaxConfig is how many settings an actor holds.
const MaxConfig = 1024

// SetConfig sets one. It returns false where there are too many.
func (c *Cell) SetConfig(name string, v any) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.extraLocked()
	if x.config == nil {
		x.config = make(map[string]any)
	}
	if _, ok := x.config[name]; !ok && len(x.config) >= MaxConfig {
		return false
	}
	x.config[name] = v
	return true
}

// Timer is a turn an actor takes later, once or again and again. At most one of
// its turns waits at a time; one that comes due meanwhile is left out.
type Timer struct {
	cell  *Cell
	every time.Duration
	do    func(ctx context.Context, state any)
	timer *time.Timer

	queued  bool // guarded by cell.mu
	over    bool // likewise: it is never due again
	stopped bool // likewise: by Stop; a turn that waits is left out
}

// AddTimer makes a timer that is first due after d and, if every is positive,
// every so often after that. It returns nil if the actor has ended.
func (c *Cell) AddTimer(d, every time.Duration, do func(ctx context.Context, state any)) *Timer {
	t := &Timer{cell: c, every: every, do: do}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state >= Closed {
		return nil
	}
	x := c.extraLocked()
	if x.timers == nil {
		x.timers = make(map[*Timer]struct{})
	}
	x.timers[t] = struct{}{}
	t.timer = time.AfterFunc(d, t.due)
	return t
}

func (t *Timer) due() {
	c := t.cell
	c.mu.Lock()
	if t.over || c.state >= Stopping {
		c.mu.Unlock()
		return
	}
	skip := t.queued
	t.queued = true
	if t.every > 0 {
		t.timer.Reset(t.every)
	} else {
		t.stopLocked()
	}
	c.mu.Unlock()
	if skip {
		return
	}
	c.Post(func(ctx context.Context, state any) {
		c.mu.Lock()
		t.queued = false
		stopped := t.stopped
		c.mu.Unlock()
		if !stopped {
			t.do(ctx, state)
		}
	})
}

// Stop ends the timer. A turn of it that runs goes on; one that waits is left out.
func (t *Timer) Stop() {
	t.cell.mu.Lock()
	defer t.cell.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
	t.stopLocked()
}

func (t *Timer) stopLocked() {
	t.over = true
	if t.cell.extra != nil {
		delete(t.cell.extra.timers, t)
	}
}
