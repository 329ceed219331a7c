package cell

import (
	"testing"
	"time"
	"unsafe"
)

// setClock sets the clock on the wall as if it had been put back by d since the program began.
func setClock(t *testing.T, d time.Duration) {
	t.Helper()
	before := epoch
	t.Cleanup(func() { epoch = before })
	*(*uint64)(unsafe.Pointer(&epoch)) += uint64(d/time.Second) << 30 // see time.Time
	if epoch.Round(0).Sub(before.Round(0)) != d || epoch.Sub(before) != 0 {
		epoch = before
		t.Fatal("a time.Time is made otherwise in this Go: find another way to set its wall clock alone")
	}
}

// A deadline that says nothing but what the clock on the wall will show is right also where that
// was set since the program began.
func TestDeadlineOnTheWall(t *testing.T) {
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(d.String(), func(t *testing.T) {
			setClock(t, d)
			for name, at := range map[string]time.Time{
				"on the wall": time.Now().Add(time.Minute).Round(0),
				"any":         time.Now().Add(time.Minute),
			} {
				turn := new(Turn).of(nil, &Request{due: dueAt(at)})
				if err := turn.Err(); err != nil {
					t.Errorf("%s, put back by %v: it is over a minute early: %v", name, d, err)
				}
				if at, _ := turn.Deadline(); time.Until(at) > time.Minute || time.Until(at) < 30*time.Second {
					t.Errorf("%s, put back by %v: it has %v, want a minute", name, d, time.Until(at))
				}
			}
			far := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
			if err := new(Turn).of(nil, &Request{due: dueAt(far)}).Err(); err != nil {
				t.Errorf("the year 9999 is over: %v", err)
			}
			for name, at := range map[string]time.Time{"the beginning of the program": epoch, "the year 1": time.Time{}.Add(1)} {
				turn := new(Turn).of(nil, &Request{due: dueAt(at)})
				l := &Letter{due: dueAt(at)}
				if !l.late() || l.due.left() > 0 || turn.Err() == nil {
					t.Errorf("%s is not over", name)
				}
			}
		})
	}
}
