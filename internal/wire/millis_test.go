package wire

import (
	"testing"
	"testing/synctest"
	"time"
)

// A deadline has at least a millisecond left where there is one at all.
func TestMillis(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for d, want := range map[time.Duration]uint32{
			time.Second: 1000, time.Millisecond: 1, time.Nanosecond: 1, 0: 1, -time.Hour: 1, 1999 * time.Microsecond: 1, 1 << 62: 1<<32 - 1,
		} {
			if got := Millis(time.Now().Add(d)); got != want {
				t.Errorf("%v: %d, want %d", d, got, want)
			}
		}
		if got := Millis(time.Time{}); got != 0 {
			t.Errorf("no deadline: %d", got)
		}
	})
}
