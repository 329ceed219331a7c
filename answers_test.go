package arbiter

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/actor"
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

// TestMoreResultsThanRoom: who asks for more than its line carries is told so of some of it, and keeps its
// connection: it reads all the time.
func TestMoreResultsThanRoom(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		worker, caller := elsewhere(t, arb), elsewhere(t, arb)
		const calls, size = 4000, 20_000
		for id := range uint64(calls) {
			caller.call(id, worker.aid)
		}
		caller.near.Stall(true)
		worker.answers(wire.KindReply, size)
		synctest.Wait()
		caller.near.Stall(false)
		if !caller.lives() {
			t.Fatalf("it has ended: %v", caller.err)
		}
		if n := len(caller.results); n < 50<<20/size || n == calls || n+len(caller.failed) != calls {
			t.Errorf("of %d calls %d have a result, and %d failed", calls, n, len(caller.failed))
		}
		for id, e := range caller.failed {
			if e.Code != wire.CodeOverloaded || e.Started != wire.StartedYes || !strings.Contains(e.Message, "ask for less") {
				t.Fatalf("call %d was told %+v", id, e)
			}
		}
	})
}

// TestLargeAnswers: whatever an actor answers, and however little memory there is, it ends nobody's connection.
func TestLargeAnswers(t *testing.T) {
	for kind, want := range map[wire.Kind]wire.Code{wire.KindReply: wire.CodeOverloaded, wire.KindError: wire.CodeApp} {
		t.Run(kind.String(), func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				worker, caller := elsewhere(t, arb), elsewhere(t, arb)
				caller.call(1, worker.aid)
				worker.answers(kind, 31<<19)
				if !caller.lives() {
					t.Fatalf("the caller has ended: %v", caller.err)
				}
				if e := caller.failed[1]; e == nil || e.Code != want {
					t.Errorf("it was told %+v, want %s", e, want)
				}
			}, func(o *Options) { o.MemoryBudget = 32 << 20 })
		})
	}
}

// TestMoreErrorsThanRoom: what there is no room for at length is told in short, also by an actor that cannot write.
func TestMoreErrorsThanRoom(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		cmd := actor.NewCommand[int, []byte]("look")
		kind := &actor.Kind[struct{}]{Name: "worker", Mode: actor.Concurrent(10), Handlers: []actor.Handler[struct{}]{
			actor.Handle(cmd, func(_ struct{}, _ context.Context, size int) ([]byte, error) {
				if size == 0 {
					return nil, errors.New(strings.Repeat("x", 10_000))
				}
				return make([]byte, size), nil
			}),
		}}
		far, ended := accepted(arb, plain)
		m := actor.NewMember("", kind, actor.JoinOptions{Logger: quiet}.Over(far))
		ref, err := m.Ref(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		far.Stall(true)
		ctx := arb.Context(t.Context())
		var all []*actor.Pending[[]byte]
		for _, size := range []int{15 << 20, 15 << 20, 15 << 20, 11<<20 - 5000, 1 << 20, 0} {
			all = append(all, cmd.Start(ctx, ref, size))
			synctest.Wait()
		}
		far.Stall(false)
		for i, p := range all {
			b, err := p.Wait()
			var failed *actor.Error
			switch {
			case i < 4 && (err != nil || len(b) == 0):
				t.Errorf("result %d: %v", i, err)
			case i == 4 && !errors.Is(err, actor.ErrOverloaded):
				t.Errorf("the result that had no room: %d bytes, %v", len(b), err)
			case i == 5 && (!errors.As(err, &failed) || failed.Code != actor.App || !strings.HasPrefix(failed.Message, "xxx")):
				t.Errorf("the error that had none: %v", err)
			}
		}
		_ = m.Close()
		ended()
	})
}
