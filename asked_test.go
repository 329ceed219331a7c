package arbiter

import (
	"math/rand/v2"
	"testing"
)

// What is in flight is what a map would say, whatever the ids are.
func TestAskedIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 300 {
		var c askedCalls
		model := make(map[uint64]uint64)
		most := 1 + rng.IntN(300)
		id := func() uint64 {
			switch round % 3 {
			case 0:
				return rng.Uint64N(uint64(most))
			case 1:
				return rng.Uint64N(uint64(most)) << 20 // as generations of one slot are
			default:
				return rng.Uint64N(4) + rng.Uint64N(uint64(most))<<44
			}
		}
		for step := range 2000 {
			own := id()
			growing := step%1000 < 500
			switch n := rng.IntN(10); {
			case n < 3 || growing && n < 6:
				_, taken := model[own]
				if ok := c.add(own, asked{id: uint64(step)}); ok != (own != 0 && !taken) {
					t.Fatalf("round %d: add %d: %v", round, own, ok)
				} else if ok {
					model[own] = uint64(step)
				}
			case n < 8:
				want, there := model[own]
				if a, ok := c.take(own); ok != there || a.id != want {
					t.Fatalf("round %d: take %d: %v, %d; %v, %d", round, own, ok, a.id, there, want)
				}
				delete(model, own)
			default:
				want, there := model[own]
				if a := c.get(own); (a != nil) != there || there && a.id != want {
					t.Fatalf("round %d: get %d: %v", round, own, a)
				} else if there {
					a.id, model[own] = uint64(step), uint64(step)
				}
			}
			if c.len() != len(model) {
				t.Fatalf("round %d: %d, want %d", round, c.len(), len(model))
			}
		}
		if got := c.all(); len(got) != len(model) {
			t.Fatalf("round %d: all are %d, want %d", round, len(got), len(model))
		}
		for own, want := range model {
			if a, ok := c.take(own); !ok || a.id != want {
				t.Fatalf("round %d: %d is lost", round, own)
			}
		}
		for range 20 { // what is left of a wave goes when none follows
			c.add(1, asked{})
			c.take(1)
		}
		if len(c.slots) > mostAtRest || c.n != 0 {
			t.Errorf("round %d: %d slots are kept for nothing", round, len(c.slots))
		}
	}
}

func BenchmarkAsked(b *testing.B) {
	const inFlight = 256
	b.Run("table", func(b *testing.B) {
		var c askedCalls
		for n := range b.N {
			own := uint64(n+1)<<20 | uint64(n%inFlight)
			if n >= inFlight {
				c.take(uint64(n+1-inFlight)<<20 | uint64(n%inFlight))
			}
			c.add(own, asked{})
			c.get(own).id = 1
		}
	})
	b.Run("map", func(b *testing.B) {
		c := make(map[uint64]asked)
		for n := range b.N {
			own := uint64(n+1)<<20 | uint64(n%inFlight)
			if n >= inFlight {
				delete(c, uint64(n+1-inFlight)<<20|uint64(n%inFlight))
			}
			if _, taken := c[own]; !taken {
				c[own] = asked{}
			}
			a := c[own]
			a.id = 1
			c[own] = a
		}
	})
}
