package supervise

import (
	"math"
	"testing"
	"time"
)

func TestClockOnlyGoesForward(t *testing.T) {
	start := time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC)
	c := clock{slack: time.Minute}
	for i, step := range []struct {
		at   time.Duration // after start
		want time.Duration
	}{
		{0, 0},
		{5 * time.Second, 5 * time.Second},
		{5 * time.Second, 5 * time.Second},
		{3 * time.Second, 5 * time.Second},           // a late report
		{6 * time.Second, 6 * time.Second},           // is not counted twice
		{-50 * time.Second, 6 * time.Second},         // set back a little: waited for
		{7 * time.Second, 7 * time.Second},           //
		{-time.Hour, 7 * time.Second},                // set back far: goes on from there
		{-time.Hour + time.Second, 8 * time.Second},  //
		{0, 8*time.Second + time.Hour - time.Second}, // set right
		{time.Second, 9*time.Second + time.Hour - time.Second},
	} {
		if got := c.at(start.Add(step.at)); got != step.want {
			t.Errorf("step %d, %v: now is %v, want %v", i, step.at, got, step.want)
		}
	}
}

// A caller that leaves out the time now and then, or one that is mad, does not bring
// the clock to its end, at which all crashes would lie in one instant.
func TestClockSurvivesJumps(t *testing.T) {
	c := clock{slack: time.Minute}
	before := time.Duration(-1)
	for range 10 {
		c.at(time.Time{})
		now := c.at(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
		if now <= before || now == math.MaxInt64 {
			t.Fatalf("now is %v after %v", now, before)
		}
		before = now
	}
	for range 100 { // at its end it stays there
		c.at(time.Time{})
		c.at(time.Unix(1<<40, 0))
	}
	if c.now != math.MaxInt64 {
		t.Errorf("the end of time is %v", c.now)
	}
}
