package arbiter

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// Messages that came many at once go to who has their name now, and not to who has had it when the
// road to it was found, and enter the gate of that while they are handed over, and leave it.
func TestRunsAtTheGate(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		told := actor.NewCommand[int, actor.None]("told", actor.NoAck())
		join := func(name string) (*actor.Member, *incarnation, *peer.PipeEnd, *atomic.Int64) {
			ours, ended := accepted(arb, plain)
			got := new(atomic.Int64)
			kind := &actor.Kind[struct{}]{Name: "worker", Handlers: []actor.Handler[struct{}]{
				actor.On(told, func(struct{}, context.Context, int) error { got.Add(1); return nil }),
			}}
			m := actor.NewMember("", kind, actor.JoinOptions{Name: name, Logger: quiet}.Over(ours))
			ref, err := m.Ref(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(ended)
			return m, arb.registry.get(ref.AID), ours, got
		}
		a, old, _, toOld := join("")
		b, now, _, toNow := join("it")
		c, from, pipe, _ := join("")
		synctest.Wait()
		old.seat, now.seat = new(seat), new(seat)
		old.gate.closed.Store(true)
		from.session.linkAs(old, "it")
		before := from.session.conn.Stats().MessagesIn
		const n = 50
		send := func() {
			pipe.Stall(true) // so that they come at once
			ctx := c.Context(context.Background())
			for i := range n {
				if err := told.Send(ctx, actor.To("it"), i); err != nil {
					t.Error(err)
				}
			}
			synctest.Wait()
			pipe.Stall(false)
			synctest.Wait()
		}
		send()
		send()
		if got := from.session.conn.Stats().MessagesIn - before; got < 2*n {
			t.Errorf("%d messages were read", got)
		}
		if toOld.Load() != 0 || toNow.Load() != 2*n {
			t.Errorf("who had the name got %d, and who has it %d, want none and %d", toOld.Load(), toNow.Load(), 2*n)
		}
		if o, n := old.gate.entering.Load(), now.gate.entering.Load(); o != 0 || n != 0 {
			t.Errorf("%d and %d are in the gates still", o, n)
		}
		if l := from.session.links["it"]; l == nil || l.to != now {
			t.Error("the road leads to who had the name still")
		}
		old.seat, now.seat = nil, nil
		for _, m := range []*actor.Member{a, b, c} {
			_ = m.Close()
		}
	})
}
