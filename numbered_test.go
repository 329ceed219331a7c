package arbiter

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
)

func TestNumberOf(t *testing.T) {
	for address, want := range map[string]int64{
		"tally-1-wgft": 1, "tally-64-wgft": 64, "a-b-7-wgft": 7, "-7-wgft": 7, "tally-999999999999999999-wgft": 999999999999999999,

		"tally-1-wgfu": -1, "tally-01-wgft": -1, "tally-0-wgft": -1, "tally--wgft": -1, "tally-1x-wgft": -1, "tally-+1-wgft": -1,
		"tally1-wgft": -1, "1-wgft": -1, "-wgft": -1, "wgft": -1, "": -1, "tally-1-": -1, "tally-1-wgft ": -1,
		"tally-18446744073709551617-wgft": -1, // it would be 1
	} {
		number, ok := numberOf(address, "wgft")
		bytes, okBytes := numberOf([]byte(address), "wgft")
		if ok != okBytes || number != bytes {
			t.Errorf("%q: %d, %v and as bytes %d, %v", address, number, ok, bytes, okBytes)
		}
		if ok != (want >= 0) || ok && number != uint64(want) {
			t.Errorf("%q: %d, %v", address, number, ok)
		}
	}
}

// What is found at an address is what a map of all would say, whoever chose it.
func TestRegistryIsAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		r, model := newRegistry("wgft"), make(map[string]*incarnation)
		// Few numbers, kinds and names, so that they meet: two aids with one number, names
		// that look like aids, an aid that is somebody's name.
		aid := func() string {
			switch rng.IntN(6) {
			case 0:
				return "aid" + strconv.Itoa(rng.IntN(5))
			default:
				return fmt.Sprintf("%c-%d-wgft", 'a'+rune(rng.IntN(2)), 62+rng.IntN(6))
			}
		}
		name := func() string {
			switch rng.IntN(4) {
			case 0:
				return ""
			case 1:
				return aid()
			default:
				return "name" + strconv.Itoa(rng.IntN(3))
			}
		}
		var all []*incarnation
		some := func() *incarnation {
			if len(all) == 0 || rng.IntN(10) == 0 {
				return &incarnation{aid: aid(), name: name()}
			}
			return all[rng.IntN(len(all))]
		}
		drop := func(address string, i *incarnation) {
			if model[address] == i {
				delete(model, address)
			}
		}
		for range 100 {
			switch rng.IntN(5) {
			case 0, 1:
				i := &incarnation{aid: aid(), name: name()}
				taken := model[i.aid] != nil || i.name != "" && i.name != i.aid && model[i.name] != nil
				if _, ok := r.add(i); ok == taken {
					t.Fatalf("round %d: %s, %q was added: %v", round, i.aid, i.name, ok)
				}
				if !taken {
					all = append(all, i)
					model[i.aid] = i
					if i.name != "" {
						model[i.name] = i
					}
				}
			case 2:
				i, next := some(), &incarnation{aid: aid(), name: ""}
				if next.name = i.name; rng.IntN(2) == 0 || model[next.aid] != nil {
					next = nil
				}
				had := model[i.name] == i
				r.succeed(i, next)
				drop(i.aid, i)
				if next != nil && model[next.aid] == nil {
					model[next.aid] = next
					all = append(all, next)
				}
				if i.name != "" && had && (model[i.name] == i || model[i.name] == nil) {
					drop(i.name, i)
					if next != nil && i.name != i.aid {
						model[i.name] = next
					}
				}
			case 3:
				address, i := name(), some()
				if address == "" {
					continue
				}
				if free := model[address] == nil; r.claim(address, i) != free {
					t.Fatalf("round %d: %q is claimed: %v", round, address, !free)
				} else if free {
					model[address] = i
				}
			case 4:
				i := some()
				for address, have := range model {
					if have == i && rng.IntN(2) == 0 {
						r.release(address, i)
						delete(model, address)
					}
				}
			}
			for range 10 {
				address := name()
				if got := r.get(address); got != model[address] || got != r.getBytes([]byte(address)) {
					t.Fatalf("round %d: at %q is %v, want %v", round, address, got, model[address])
				}
			}
		}
		want := make(map[*incarnation]int)
		for address, i := range model {
			if address == i.aid {
				want[i]++
			}
		}
		got := make(map[*incarnation]int)
		for i := range r.all() {
			got[i]++
		}
		if !maps.Equal(got, want) {
			t.Fatalf("round %d: all are %d, want %d", round, len(got), len(want))
		}
		for address, i := range model {
			r.release(address, i)
		}
		for n := range r.own.shards {
			if left := len(r.own.shards[n].at); left > 0 {
				t.Fatalf("round %d: %d pages are left with nobody on them", round, left)
			}
		}
	}
}

// Of all who want an address at the same time one has it.
func TestRegistryRace(t *testing.T) {
	r := newRegistry("wgft")
	for n := range 300 {
		address := fmt.Sprintf("a-%d-wgft", n+1)
		var all sync.WaitGroup
		won := make(chan *incarnation, 4)
		for k := range 4 {
			all.Go(func() {
				i := &incarnation{aid: address}
				if k%2 == 0 {
					i = &incarnation{aid: fmt.Sprintf("b-%d-wgft", n+1), name: address}
				}
				if r.claim(address, i) {
					won <- i
				}
			})
		}
		all.Wait()
		close(won)
		first := <-won
		if _, more := <-won; more || first == nil || r.get(address) != first {
			t.Fatalf("%s: more than one has it, or none", address)
		}
		if n%2 == 0 {
			r.release(address, first)
		}
	}
}
