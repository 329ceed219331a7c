package arbiter

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// longDeath is one with as many last words as are kept of a process.
func longDeath() *wire.Death {
	return &wire.Death{Cause: wire.CausePanic, Reason: "index out of range", Stderr: slices.Repeat([]string{strings.Repeat("y", 1000)}, 20)}
}

// TestOneDeathToldOften: the end of an actor ends the calls to it, and what was on its way, and not who
// sent that: of its last words no more are told than somebody reads.
func TestOneDeathToldOften(t *testing.T) {
	const many = 4000
	for name, test := range map[string]struct {
		send func(from, to *distant)
		told func(from *distant) []*wire.Error
	}{
		"calls": {
			func(from, to *distant) {
				for id := range uint64(many) {
					from.call(id, to.aid)
				}
			},
			func(from *distant) []*wire.Error { return slices.Collect(maps.Values(from.failed)) },
		},
		"letters": {
			func(from, to *distant) {
				to.near.Stall(true) // nothing reaches it
				for range many {
					from.post(peer.Data, wire.Message{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Target: []byte(to.aid), Command: []byte("note")})
				}
			},
			func(from *distant) (all []*wire.Error) {
				for _, m := range from.of(wire.KindUndelivered) {
					all = append(all, wire.ParseError(&m))
				}
				return all
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				target, sender := elsewhere(t, arb), elsewhere(t, arb)
				test.send(sender, target)
				synctest.Wait()
				sender.near.Stall(true) // it is at something else for a moment
				go target.Goodbye(t.Context(), longDeath())
				synctest.Wait()
				sender.near.Stall(false)
				if !sender.lives() {
					t.Fatalf("who sent to it has ended, too: %v", sender.err)
				}
				told, whole := test.told(sender), 0
				for _, e := range told {
					if e.Code != wire.CodeDown || e.Target != target.aid || e.Death == nil || e.Death.Cause != wire.CausePanic || e.Death.Reason != longDeath().Reason {
						t.Fatalf("told %+v", e)
					}
					if len(e.Death.Stderr) == 20 {
						whole++
					}
				}
				if len(told) != many || whole < 10 || whole > 500 {
					t.Errorf("of %d %d were told, and %d with all it has said", many, len(told), whole)
				}
			})
		})
	}
}
