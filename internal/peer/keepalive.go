package peer

import (
	"errors"
	"math"
	"sync"
	"time"
)

var (
	// ErrSilent ends a connection over which nothing came for Options.Timeout.
	ErrSilent = errors.New("the other end was silent for too long")
	// ErrStuck ends a connection whose other end speaks, but has read nothing of
	// what waits for it for three times Options.Timeout.
	ErrStuck = errors.New("the other end did not read for too long")
)

// stuckAfter is how many Timeouts the other end may leave unread what is written.
const stuckAfter = 3

// maxAimless is how many frames a second the other end may send that ask for nothing
// and tell nothing new. A heartbeat needs one in seconds.
const maxAimless = 1000

// keepalive is the one timer of a Conn. It beats every interval, and looks whether
// anything was read: the reader itself looks at no clock. What was read is taken as
// read when that is looked, so an end is silent for the timeout and at most an
// interval more before it is given up.
type keepalive struct {
	interval, timeout time.Duration // 0: off; static once started
	beat              func()

	mu      sync.Mutex // everything below
	timer   *time.Timer
	stopped bool
	due     time.Time // when the timer was to fire
	next    time.Time // the next beat
	reads   uint64    // as they were when last looked at
	heard   time.Time // when they were seen to change
	excused bool      // the silence may have been our own
	aimless uint64    // frames that say nothing, as last looked at
	looked  time.Time // when that was
	moved   uint64    // writes of a flusher that waits, as last looked at
	movedAt time.Time
}

// Silence returns for how long the other end has been silent, as far as that was looked at; 0: it may be
// silent for ever.
func (c *Conn) Silence() time.Duration {
	k := &c.alive
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timeout <= 0 || k.heard.IsZero() {
		return 0
	}
	return time.Since(k.heard)
}

// mostAimless is how many of them may come before the timer looks again, late as it may
// be. Where there is no timer nobody counts.
func (k *keepalive) mostAimless() uint64 {
	if k.interval <= 0 && k.timeout <= 0 {
		return math.MaxUint64
	}
	return 10*maxAimless + uint64(max(k.interval, k.timeout).Seconds()*maxAimless)
}

// startKeepalive starts the timer. It is stopped by stop, and counted by wg.
func (c *Conn) startKeepalive(beat func()) {
	k := &c.alive
	if k.interval <= 0 && k.timeout <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	k.beat = beat
	k.heard, k.movedAt, k.looked, k.reads = now, now, now, c.in.reads.Load()
	k.next = now.Add(k.interval)
	k.due = now.Add(k.wait(now))
	c.wg.Add(1)
	k.timer = time.AfterFunc(k.due.Sub(now), c.tick)
}

// wait returns how long until something is to be done.
func (k *keepalive) wait(now time.Time) time.Duration {
	wait := time.Duration(1<<63 - 1)
	if k.interval > 0 {
		wait = k.next.Sub(now)
	}
	if k.timeout > 0 {
		wait = min(wait, k.heard.Add(k.timeout).Sub(now))
		if k.interval <= 0 || k.interval > k.timeout {
			wait = min(wait, k.timeout/4)
		}
	}
	return max(wait, time.Millisecond)
}

// tick runs on the timer's goroutine.
func (c *Conn) tick() {
	k := &c.alive
	k.mu.Lock()
	if k.stopped {
		k.mu.Unlock()
		c.wg.Done()
		return
	}
	now := time.Now()
	err := c.lookLocked(now)
	beat := err == nil && k.interval > 0 && !now.Before(k.next)
	if beat {
		if k.next = k.next.Add(k.interval); k.next.Before(now) {
			k.next = now.Add(k.interval)
		}
	}
	k.mu.Unlock()

	if err != nil {
		c.Close(err)
	} else if beat {
		k.beat()
	}

	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped || err != nil {
		k.stopped = true
		c.wg.Done()
		return
	}
	now = time.Now()
	k.due = now.Add(k.wait(now))
	k.timer.Reset(k.due.Sub(now))
}

// Answer is for whoever has read a heartbeat of the other end: it reports whether to
// send one's own now, because it is due within half an interval, and then puts off the
// timer. So an end whose interval is a little longer than the other's answers each
// time, and its timer never fires: that saves a goroutine and a wake-up for each.
func (c *Conn) Answer() bool {
	k := &c.alive
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if k.timer == nil || k.stopped || k.interval <= 0 || k.next.Sub(now) > k.interval/2 {
		return false
	}
	k.next = now.Add(k.interval)
	// What is to be given up is looked at again by the timer, which has authority to do it.
	if c.lookLocked(now) == nil && k.timer.Stop() {
		k.due = now.Add(k.wait(now))
		k.timer.Reset(k.due.Sub(now))
	}
	return true
}

// lookLocked returns why the connection is to be given up, if it is.
func (c *Conn) lookLocked(now time.Time) error {
	k := &c.alive
	most := max(100, uint64(now.Sub(k.looked).Seconds()*maxAimless))
	aimless := c.in.aimless.Load()
	if aimless-k.aimless > most {
		c.in.flood.Store(true) // the reader says so, at the next one
	}
	k.aimless, k.looked = aimless, now
	c.in.judged.Store(aimless)
	if k.timeout <= 0 {
		return nil
	}
	late := now.Sub(k.due) > k.timeout/4
	if reads := c.in.reads.Load(); reads != k.reads {
		k.reads, k.heard, k.excused = reads, now, false
	} else if late && !k.excused {
		// The timer is late: this process was stopped, or starved, and what the other
		// end sent meanwhile may wait to be read. It gets one more period.
		k.heard, k.excused = now, true
	} else if now.Sub(k.heard) >= k.timeout {
		return ErrSilent
	}
	if moved := c.moved.Load(); moved != k.moved || late || c.blocked.Load() == 0 {
		k.moved, k.movedAt = moved, now
	} else if now.Sub(k.movedAt) >= stuckAfter*k.timeout {
		return ErrStuck
	}
	return nil
}

// stopKeepalive stops the timer. It does not wait for a tick that runs; wg does.
func (c *Conn) stopKeepalive() {
	k := &c.alive
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.timer == nil || k.stopped {
		k.stopped = true
		return
	}
	k.stopped = true
	if k.timer.Stop() {
		c.wg.Done()
	}
}
