package supervise

import (
	"math"
	"time"
)

// child is what a Group knows of one child; with OneForAll, of all as one. The zero
// child has never ended. Its times are the clock's.
type child struct {
	wait    time.Duration   // before the last start, without jitter; 0: none since it was healthy
	crashed []time.Duration // the crashes that count, oldest first, at most as many as the limit
	row     int             // crashes since it was healthy
	failing bool            // had MaxCrashes within Within, and no healthy life since
	ended   bool            // has ended at last and is started again at due
	last    time.Duration
	due     time.Duration
}

// healthy notes a life that was long enough to begin anew.
func (c *child) healthy() {
	c.wait = 0
	c.row = 0
	c.failing = false
}

// crash notes a crash. Of those within the time, it remembers limit.
func (c *child) crash(now, within time.Duration, limit int) {
	if c.row < math.MaxInt {
		c.row++
	}
	if n := c.count(now, within); n >= limit {
		c.crashed = c.crashed[:copy(c.crashed, c.crashed[n-limit+1:])]
	}
	c.crashed = append(c.crashed, now)
}

// count forgets the crashes that no longer count and returns how many do.
func (c *child) count(now, within time.Duration) int {
	old := 0
	for old < len(c.crashed) && now-c.crashed[old] >= within {
		old++
	}
	if old > 0 {
		c.crashed = c.crashed[:copy(c.crashed, c.crashed[old:])]
	}
	return len(c.crashed)
}

// skip takes the time d until now, in which the child was silent, out of what lies between its
// crashes.
func (c *child) skip(now, d time.Duration) {
	for i, at := range c.crashed {
		c.crashed[i] = min(add(at, d), now)
	}
	c.due = max(c.due, min(add(c.due, d), now))
}

// backoff makes the next wait twice the last one, within the bounds of p.
func (c *child) backoff(p *Policy) time.Duration {
	switch {
	case c.wait == 0:
		c.wait = p.MinBackoff
	case c.wait > p.MaxBackoff/2: // twice as much may not even be a Duration
		c.wait = p.MaxBackoff
	default:
		c.wait *= 2
	}
	return c.wait
}

// starts notes that the child, which ended now, is started again after the time.
func (c *child) starts(now, after time.Duration) {
	c.ended = true
	c.last = now
	c.due = add(now, after)
}

// fails reports whether the child is failing at now, as far as one can know of a
// child that may be alive: who has not ended within the time, after the start was
// due, is taken to have recovered.
func (c *child) fails(now, within time.Duration) bool {
	return c.failing && now-c.due < within
}

// fell reports whether a life that ended now is one of those that fell together at
// last, and not one that came after: it was ready by then, or it never became ready
// and nobody was to be started since.
func (c *child) fell(now, lived time.Duration) bool {
	if !c.ended {
		return false
	}
	if lived == 0 {
		return now < c.due
	}
	return now-lived <= c.last // no wait is 0, so a new life is ready later
}
