package supervise

import (
	"math"
	"time"
)

// longestStep is longer than any life of which the length matters.
const longestStep = 10 * 365 * 24 * time.Hour

// clock turns the times that a Group is told into a time that only ever goes
// forward, so that nothing else here has to think about clocks that are set.
//
// A report that is late, or a clock set back by no more than slack, does not move
// it: what is told then happens now. A clock set back further is a new beginning
// from which time goes on; were it waited for, an hour of crashes would lie in one
// instant. A step forward counts as no more than longestStep, so that not even a clock
// that jumps to and fro brings the sum to its end.
type clock struct {
	slack time.Duration
	now   time.Duration // since the first time told; never less than before
	last  time.Time     // the latest time told
	set   bool          // last is valid
}

// at takes t in and returns the time now.
func (c *clock) at(t time.Time) time.Duration {
	d := t.Sub(c.last) // kept within a Duration by Sub
	switch {
	case !c.set:
		c.last, c.set = t, true
	case d >= 0:
		c.now = add(c.now, min(d, longestStep))
		c.last = t
	case d < -c.slack:
		c.last = t
	}
	return c.now
}

// add is a+b for b that is not negative, or the longest Duration.
func add(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
