package cell

import (
	"fmt"
	"maps"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// InfoPatience is how long the answer of an info hook is waited for.
const InfoPatience = 250 * time.Millisecond

// Inquiry is one run of the info hook, for all who ask meanwhile. It has a goroutine of its own:
// the hook is the user's, and may wait for a lock that a handler has, while who asks reads a
// connection, or lists all actors.
type Inquiry struct {
	began time.Time
	done  chan struct{}

	askers int            // guarded by the cell's mu, until done is closed
	extra  map[string]any // from then on
}

// Inquire has the info hook run, or returns the run that goes on: one at a time. It is nil
// where there is no hook or no state that it could be given.
func (c *Cell) Inquire() *Inquiry {
	if c.spec.Info == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun || c.state >= Closed {
		return nil
	}
	x := c.extraLocked()
	if x.inquiry == nil {
		x.inquiry = &Inquiry{began: time.Now(), done: make(chan struct{})}
		go c.inquire(x.inquiry, c.user)
	}
	x.inquiry.askers++
	return x.inquiry
}

func (c *Cell) inquire(q *Inquiry, user any) {
	extra := map[string]any{"error": "the info hook called runtime.Goexit"}
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic in the info hook", "actor", c.String(), "panic", p, "stack", StackOfPanic())
			extra = map[string]any{"error": fmt.Sprintf("panic: %v", p)}
		}
		c.mu.Lock()
		q.extra = extra
		c.extra.inquiry = nil
		over := c.state == Stopping && c.idleLocked()
		c.mu.Unlock()
		close(q.done)
		if over {
			c.close()
		}
	}()
	said := c.spec.Info(user)
	// It would take with it what it is part of: a heartbeat, or a list of all actors.
	if _, err := wire.CheckImage(said); err != nil {
		c.log.Error("what the info hook says cannot be told", "actor", c.String(), "error", err)
		said = map[string]any{"error": "what the info hook says cannot be told: " + err.Error()}
	}
	extra = said
}

// Answer returns what the hook says, nil for a nil q. It is waited for no longer than patience,
// from when the hook began: who asks again while it is stuck does not wait at all.
func (q *Inquiry) Answer(patience time.Duration) map[string]any {
	if q == nil {
		return nil
	}
	timer := time.NewTimer(time.Until(q.began.Add(patience)))
	defer timer.Stop()
	select {
	case <-q.done:
	case <-timer.C:
		if !q.over() {
			return map[string]any{"error": fmt.Sprintf("the info hook has not returned after %v: does it wait for a lock that a handler has?",
				time.Since(q.began).Round(time.Millisecond))}
		}
	}
	if q.askers > 1 {
		return maps.Clone(q.extra) // whoever is answered may change it
	}
	return q.extra
}

func (q *Inquiry) over() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}

// inquiredLocked reports whether the info hook runs.
func (c *Cell) inquiredLocked() bool { return c.extra != nil && c.extra.inquiry != nil }
