package arbiter

import "time"

// patience is a timer that does not count time in which this process was stopped or
// starved, more than once.
type patience struct {
	timer *time.Timer
	limit time.Duration
	due   time.Time
	spent bool
}

// excused reports whether the timer, which has fired, was so late that the fault is
// ours; it then runs again.
func (p *patience) excused() bool {
	if p.spent || time.Since(p.due) < p.limit/4 {
		return false
	}
	p.spent = true
	p.due = time.Now().Add(p.limit)
	p.timer.Reset(p.limit)
	return true
}
