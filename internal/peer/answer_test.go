package peer

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAnswer: an end that answers the other's heartbeats beats by its timer only where
// none came, and still gives up one that is silent.
func TestAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(nil, Options{Interval: 4 * time.Second, Timeout: 10 * time.Second})
		var beats atomic.Int32
		c.startKeepalive(func() { beats.Add(1) })
		defer c.wg.Wait()
		defer c.stopKeepalive()
		for range 10 {
			time.Sleep(3 * time.Second)
			c.in.reads.Add(1)
			if !c.Answer() {
				t.Error("it is due, and not sent with the answer")
			}
			if c.Answer() {
				t.Error("it is sent twice")
			}
		}
		if n := beats.Load(); n != 0 {
			t.Errorf("%d were sent by the timer, too", n)
		}
		time.Sleep(9 * time.Second) // after 4 s and 8 s
		synctest.Wait()
		if n := beats.Load(); n != 2 || c.why() != nil {
			t.Errorf("%d were sent when none came, %v", n, c.why())
		}
		c.alive.mu.Lock()
		err := c.lookLocked(time.Now().Add(time.Second))
		c.alive.mu.Unlock()
		if err != ErrSilent {
			t.Errorf("after 10 s of silence: %v", err)
		}
	})
}
