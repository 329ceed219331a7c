package cell

import (
	"cmp"
	"time"
)

// epoch is when the program began.
var epoch = time.Now()

// now is the time for comparing with others: half as dear as time.Now, since the clock
// on the wall is not read. What it says of that one is wrong by how much it was set
// since the program began.
func now() time.Time { return epoch.Add(time.Since(epoch)) }

// due is a deadline as messages have it: how long after epoch it is; 0: there is none. It is
// a third of a time.Time, and messages are copied.
type due time.Duration

// dueAt returns t; the zero time is no deadline.
func dueAt(t time.Time) due {
	if t.IsZero() {
		return 0
	}
	if t == t.Round(0) { // by the clock on the wall alone, which may have been set since epoch
		t = now().Add(time.Until(t))
	}
	return due(cmp.Or(t.Sub(epoch), 1))
}

// time returns d as others have it; zero: there is none.
func (d due) time() time.Time {
	if d == 0 {
		return time.Time{}
	}
	return epoch.Add(time.Duration(d))
}

// left returns how long it is until then, 0 where there is a deadline and it is over.
func (d due) left() time.Duration {
	if d.passed() {
		return 0
	}
	return time.Duration(d) - time.Since(epoch)
}

// passed reports whether there is a deadline, and it is over. It may be centuries ago, which is
// more than a Duration holds: the difference is not asked for.
func (d due) passed() bool { return d != 0 && time.Since(epoch) >= time.Duration(d) }
