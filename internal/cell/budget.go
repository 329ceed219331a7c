package cell

import (
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Birth is what one actor has of its own from the start. The zero value is that of
// its kind.
type Birth struct {
	Budget time.Duration  // how long one handler may take; 0: the Spec's
	Grace  time.Duration  // how long a stop may take; 0: the Spec's
	Config map[string]any // settings; MaxConfig of them are kept
}

// Prepare gives the actor what it has from birth. It is to be called before Start.
func (c *Cell) Prepare(b Birth) {
	for name, v := range b.Config {
		c.SetConfig(name, v)
	}
	if b.Budget > 0 || b.Grace > 0 {
		c.own = &Birth{Budget: b.Budget, Grace: b.Grace}
	}
}

// budget is how long one handler may take; 0: as long as it likes.
func (c *Cell) budget() time.Duration {
	if c.own != nil && c.own.Budget > 0 {
		return c.own.Budget
	}
	return c.spec.Budget
}

// A handler that outlives the budget takes its actor with it: nobody can end a
// goroutine, but nobody has to wait for it either. There is one timer for all
// handlers at work, armed for whichever began first.

// pauseFactor is which part of a budget its timer may be late before that is taken
// to be our own doing: this process was stopped, or starved.
const pauseFactor = 4

// superviseLocked arms the timer for r, which begins now.
func (c *Cell) superviseLocked(r *Request) {
	if c.budget() <= 0 || r.cmd == nil && r.do == nil {
		return // a hook has the start's budget, or the stop's
	}
	x := c.extraLocked()
	if x.due.IsZero() {
		c.armLocked(x, r.began.Add(c.budget()))
	}
}

func (c *Cell) armLocked(x *extra, due time.Time) {
	x.due = due
	wait := time.Until(due)
	if x.budget == nil {
		x.budget = time.AfterFunc(wait, c.overdue)
	} else {
		x.budget.Reset(wait)
	}
}

// overdue looks whether a handler has outlived its budget.
func (c *Cell) overdue() {
	c.mu.Lock()
	x := c.extra
	if c.state >= Closed || x == nil || x.due.IsZero() {
		c.mu.Unlock()
		return
	}
	now := time.Now()
	late := now.Sub(x.due)
	x.due = time.Time{}
	var oldest *Request
	for r := c.working; r != nil; r = r.next {
		if r.cmd == nil && r.do == nil {
			continue
		}
		if late > c.budget()/pauseFactor {
			r.began = r.began.Add(late)
		}
		if oldest == nil || r.began.Before(oldest.began) {
			oldest = r
		}
	}
	if oldest == nil {
		c.mu.Unlock()
		return
	}
	if due := oldest.began.Add(c.budget()); due.After(now) {
		c.armLocked(x, due)
		c.mu.Unlock()
		return
	}
	what := oldest.Command
	c.mu.Unlock()
	c.Kill(&wire.Death{Cause: wire.CauseHung, Reason: fmt.Sprintf("it was still inside %s after %v, which is its budget", named(what), c.budget())})
}

func named(command string) string {
	if command == "" {
		return "a timer or hook"
	}
	return fmt.Sprintf("%q", command)
}

// Status is what an actor is at.
type Status struct {
	Counts
	Waiting  int           // messages in the inbox
	Oldest   time.Duration // how long the oldest of them has waited, at least
	Handling string        // the command whose handler has run longest, or ""
	Since    time.Duration // how long it has run, at least
}

// mark is how many messages had come at a time.
type mark struct {
	at       time.Time
	accepted uint64
}

// maxMarks is how many marks are kept.
const maxMarks = 16

// Status says what the actor is at. How long things have waited is known from when
// Status was asked before: nothing is noted with each message.
func (c *Cell) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	var s Status
	s.Counts, s.Waiting = c.countsLocked()
	for w := range c.atWorkLocked {
		if w.cmd == nil {
			continue
		}
		if w.began.IsZero() {
			*w.began = now
		}
		if since := now.Sub(*w.began); s.Handling == "" || since > s.Since {
			s.Handling, s.Since = w.cmd.Name, since
		}
	}
	if s.Waiting == 0 {
		if c.extra != nil {
			c.extra.marks = nil
		}
		return s
	}
	x := c.extraLocked()
	over := s.Started + s.Dropped
	for len(x.marks) > 0 && x.marks[0].accepted <= over {
		x.marks = x.marks[1:]
	}
	if len(x.marks) > 0 {
		s.Oldest = now.Sub(x.marks[0].at)
	}
	if len(x.marks) == maxMarks {
		x.marks = x.marks[:maxMarks-1]
	}
	x.marks = append(x.marks, mark{now, c.counts.accepted})
	return s
}

// Leaked returns how many handlers and hooks of an actor that has ended go on regardless.
func (c *Cell) Leaked() (n int) {
	for range c.GoesOn {
		n++
	}
	return n
}

// GoesOn yields what they are: of which command a handler is, or that it is a hook.
func (c *Cell) GoesOn(yield func(what string) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < Closed {
		return
	}
	for w := range c.atWorkLocked {
		what := ""
		if w.cmd != nil {
			what = w.cmd.Name
		}
		if !yield(named(what)) {
			return
		}
	}
	if c.inquiredLocked() {
		yield("the info hook")
	}
}
