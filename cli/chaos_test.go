package cli

import (
	"testing"
)

// A seed stands for the same deeds, done to the same workers at the same times.
func TestPlanRepeats(t *testing.T) {
	differ := false
	a, b, c := newPlan(7, 4), newPlan(7, 4), newPlan(8, 4)
	did := make(map[deed]int)
	slots := make(map[int]int)
	for n := range 400 {
		x, y, z := a.next(), b.next(), c.next()
		if x != y {
			t.Fatalf("strike %d of the same seed is %+v and %+v", n, x, y)
		}
		differ = differ || x != z
		if x.After < leastCalm || x.After >= mostCalm || x.Slot < 1 || x.Slot > 4 {
			t.Errorf("strike %d is %+v", n, x)
		}
		did[x.Deed]++
		slots[x.Slot]++
		if n%int(deeds) == int(deeds)-1 {
			for d := range deeds {
				if did[d] != did[0] {
					t.Fatalf("after %d strikes they are %v: each is to come once a round", n+1, did)
				}
			}
		}
	}
	if !differ {
		t.Error("two seeds stand for the same")
	}
	if len(slots) != 4 {
		t.Errorf("of four slots %v were struck", slots)
	}
}
