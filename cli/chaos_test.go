package cli

import (
	"strings"
	"testing"
)

// A seed stands for the same deeds, done to the same workers at the same times.
func TestPlanRepeats(t *testing.T) {
	for name, list := range map[string][]target{"renderers": targets(4, false), "and colourists": targets(4, true)} {
		t.Run(name, func(t *testing.T) {
			differ := false
			a, b, c := newPlan(7, list), newPlan(7, list), newPlan(8, list)
			for n := range 400 {
				x, y, z := a.next(), b.next(), c.next()
				if x != y {
					t.Fatalf("strike %d of the same seed is %+v and %+v", n, x, y)
				}
				differ = differ || x != z
				if x.After < leastCalm || x.After >= mostCalm {
					t.Errorf("strike %d is %+v", n, x)
				}
			}
			if !differ {
				t.Error("two seeds stand for the same")
			}
		})
	}
}

// Each pool gets its share of every round, each of its deeds as often as the others,
// and none of its workers is spared.
func TestPlanIsFair(t *testing.T) {
	list := targets(4, true)
	p := newPlan(7, list)
	did := make(map[string]map[deed]int)
	slots := make(map[string]bool)
	for round := range 100 {
		for range list[0].share + list[1].share {
			s := p.next()
			pool, _, _ := strings.Cut(s.Slot, "/")
			if did[pool] == nil {
				did[pool] = make(map[deed]int)
			}
			did[pool][s.Deed]++
			slots[s.Slot] = true
		}
		for _, target := range list {
			strikes := target.share * (round + 1)
			for _, d := range target.deeds {
				least := strikes / len(target.deeds)
				if n := did[target.pool][d]; n < least || n > least+1 {
					t.Fatalf("after %d rounds %s has had %v: each is to come as often as the others", round+1, target.pool, did[target.pool])
				}
			}
		}
	}
	if len(did[renderPool]) != 4 || len(did[colourPool]) != 4 || did[renderPool][raises]+did[colourPool][panics] != 0 {
		t.Errorf("the deeds are %v", did)
	}
	if len(slots) != 4+coloursAt {
		t.Errorf("only %v were struck", slots)
	}
}
