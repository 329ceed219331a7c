package peer

import (
	"math"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// minSweep is the least time between two sweeps of a table. A deadline is told at
// most this late, or ten times what the last sweep took if that is more.
const minSweep = 5 * time.Millisecond

// There is one timer for a table, armed for the earliest deadline it has seen, and
// not touched when a call ends: when it fires it looks for the next deadline, and
// frees the table if it is empty. So a call costs no timer operation, and a table
// without calls has a timer at most until the last deadline it knew.

// deadlineLocked notes the deadline of s.
func (c *Calls) deadlineLocked(t *callTable, s *slot) {
	if t.epoch.IsZero() {
		t.epoch = time.Now()
	}
	s.due = max(1, int64(s.note.Deadline.Sub(t.epoch)))
	if t.armed == 0 || s.due < t.armed {
		c.armLocked(t, s.due)
	}
}

// armLocked arms the timer for due, or as soon after it as sweeps may be.
func (c *Calls) armLocked(t *callTable, due int64) {
	if t.swept > 0 {
		due = max(due, t.swept+t.pause)
		if t.armed != 0 && due >= t.armed {
			return
		}
	}
	wait := time.Until(t.epoch.Add(time.Duration(due)))
	t.armed = due
	if t.timer == nil {
		t.timer = time.AfterFunc(wait, c.sweep)
		return
	}
	t.timer.Reset(wait)
}

// sweep ends the calls whose deadline has passed. It runs on a timer's goroutine.
func (c *Calls) sweep() {
	c.mu.Lock()
	t := c.tab
	if t == nil || t.armed == 0 {
		c.mu.Unlock() // the table was freed, or this is the timer of one that was
		return
	}
	begin := int64(time.Since(t.epoch))
	if begin < t.armed { // a timer of an earlier arming, or of a freed table
		c.mu.Unlock()
		return
	}
	t.armed = 0
	next := int64(math.MaxInt64)
	expired := c.selectLocked(nil, func(s *slot) bool {
		if s.due == 0 {
			return false
		}
		if s.due <= begin {
			return true
		}
		next = min(next, s.due)
		return false
	}, true)
	t.swept = int64(time.Since(t.epoch))
	t.pause = max(int64(minSweep), 10*(t.swept-begin))
	switch {
	case c.count.Load() == 0:
		c.freeLocked()
	case next != math.MaxInt64:
		c.armLocked(t, next)
	}
	c.mu.Unlock()

	for i := range expired {
		n := &expired[i].note
		e := wire.Errorf(wire.CodeDeadline, "%q was not answered before its deadline", n.Command)
		if c.started != nil {
			e.Started = c.started(n)
		}
		n.Caller.Failed(n.ID, e)
		if c.Owner != nil {
			c.Owner.Expired(expired[i].id, *n)
		}
	}
}
