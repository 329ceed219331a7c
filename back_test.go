package arbiter

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// note is a one-way message to one actor.
func note(to string) wire.Message {
	return wire.Message{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Target: []byte(to), Command: []byte("note")}
}

// TestSentBackToAnother: what an actor sends back as undelivered is told to who it says has sent it, and to
// nobody more often than that has sent something: with it none could end another, which may be slow to read.
func TestSentBackToAnother(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		victim, liar, friend := elsewhere(t, arb), elsewhere(t, arb), elsewhere(t, arb)
		const sent, lies = 3, 800
		for range sent {
			victim.post(peer.Data, note(friend.aid))
		}
		for range lies {
			friend.post(peer.Data, note(liar.aid))
		}
		synctest.Wait()
		victim.near.Stall(true)
		long := strings.Repeat("x", 16_000)
		back := (&wire.Error{Code: wire.CodeInvalid, Message: long, Death: &wire.Death{Cause: wire.CauseStopped, Reason: long, Stderr: longDeath().Stderr}}).Frame(wire.KindUndelivered, 0)
		back.Target = []byte(victim.aid)
		for n := range lies {
			if n%100 == 0 {
				synctest.Wait()
			}
			liar.post(peer.Reply, back)
		}
		synctest.Wait()
		victim.near.Stall(false)
		if !victim.lives() {
			t.Fatalf("it has ended: %v", victim.err)
		}
		if n := len(victim.of(wire.KindUndelivered)); n != sent {
			t.Errorf("of %d messages it has sent %d have come back", sent, n)
		}
		if n := arb.dead.total; n != lies {
			t.Errorf("%d dead letters, want one for each that was sent back", n)
		}
	})
}

// TestNoRoomForWhatComesBack: who has no room to be told of what comes back is not, and keeps its connection:
// each is a dead letter all the same.
func TestNoRoomForWhatComesBack(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		sender := elsewhere(t, arb)
		arb.budget.Keep(1 << 20)
		defer arb.budget.Keep(-1 << 20)
		sender.near.Stall(true)
		const sent = 1000
		for range sent {
			sender.post(peer.Data, note("nobody"))
		}
		synctest.Wait()
		sender.near.Stall(false)
		if !sender.lives() {
			t.Fatalf("it has ended: %v", sender.err)
		}
		if told := len(sender.of(wire.KindUndelivered)); told == 0 || told == sent || arb.dead.total != sent {
			t.Errorf("of %d it is told of %d, and %d are dead letters", sent, told, arb.dead.total)
		}
	}, func(o *Options) { o.MemoryBudget = 1 << 20 })
}

// TestSentToItselfInVain: what an actor elsewhere sends to itself never comes to the arbiter, unless it reaches no
// handler: then it comes back, and is a dead letter, and that is no message too many.
func TestSentToItselfInVain(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		far, ended := accepted(arb, plain)
		count := actor.NewCommand[int, actor.None]("count", actor.NoAck())
		told := 0
		kind := &actor.Kind[struct{}]{
			Name:        "selfish",
			Undelivered: func(struct{}, context.Context, *actor.Error) { told++ },
			Handlers:    []actor.Handler[struct{}]{actor.On(count, func(struct{}, context.Context, int) error { return nil })},
		}
		m := actor.NewMember("", kind, actor.JoinOptions{Logger: quiet}.Over(far))
		ref, err := m.Ref(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := actor.Send(m.Context(t.Context()), ref, "count", "many"); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if err := m.Err(); err != nil || told != 3 || arb.dead.total != 3 {
			t.Errorf("of 3 it was told %d times, and %d are dead letters: %v", told, arb.dead.total, err)
		}
		if a := arb.account(); !a.Balanced() || a.DeadLetters != 0 {
			t.Errorf("%v, and nothing of it was sent by the arbiter", a)
		}
		_ = m.Close()
		ended()
	})
}
