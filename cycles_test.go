package arbiter_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"context"

	"github.com/arbiter-go/arbiter/actor"
)

// TestCycles: a wait that could never end fails at once and names the path; the
// same actors, interleaved, answer. Nested, in every kind of place.
func TestCycles(t *testing.T) {
	for _, place := range places {
		for _, n := range []int{2, 3, 7} {
			t.Run(fmt.Sprintf("%s/%d", place.name, n), func(t *testing.T) {
				w := newWorld(t)
				ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
				defer cancel()
				for _, kind := range []actor.Behaviour{Subject, Weaver} {
					var ring []actor.Ref
					for range n {
						ring = append(ring, place.put(w, kind))
					}
					way := append(append([]actor.Ref{}, ring[1:]...), ring[0])
					got, err := Relay.Call(ctx, ring[0], way)
					if kind == actor.Behaviour(Weaver) {
						if err != nil || got != n+1 {
							t.Errorf("interleaved ring of %d: %d, %v", n, got, err)
						}
						continue
					}
					var e *actor.Error
					if !errors.As(err, &e) || e.App != string(actor.Cycle) {
						t.Errorf("serial ring of %d: %d, %v, want a cycle", n, got, err)
					}
				}
			})
		}
	}
}

// TestCrossedCycles: n actors each call the next at the same time, from handlers
// that have nothing to do with each other.
func TestCrossedCycles(t *testing.T) {
	for _, place := range places {
		for _, n := range []int{2, 3, 7} {
			t.Run(fmt.Sprintf("%s/%d", place.name, n), func(t *testing.T) {
				w := newWorld(t)
				ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
				defer cancel()
				for _, kind := range []actor.Behaviour{Subject, Weaver} {
					var ring []actor.Ref
					for range n {
						ring = append(ring, place.put(w, kind))
					}
					for range 20 {
						var calls []*actor.Pending[int]
						for i := range n {
							calls = append(calls, Relay.Start(ctx, ring[i], []actor.Ref{ring[(i+1)%n]}))
						}
						for i, c := range calls {
							_, err := c.Wait()
							var e *actor.Error
							cycle := errors.As(err, &e) && e.App == string(actor.Cycle)
							if err != nil && (kind == actor.Behaviour(Weaver) || !cycle) {
								t.Fatalf("%s %d of %d: %v", kind.KindName(), i, n, err)
							}
						}
					}
				}
			})
		}
	}
}
