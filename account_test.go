package arbiter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// accountOf returns what became of the messages to target; of the arbiter, of all.
func accountOf(t *testing.T, ctx context.Context, target actor.Ref) actor.Account {
	t.Helper()
	in, err := actor.InspectActor.Call(ctx, actor.Arbiter, target)
	if err != nil {
		t.Fatal(err)
	}
	return *in.Account
}

// TestAccount: each message is in the account of its target, in one part of it, and in
// that of all; also when the target is gone.
func TestAccount(t *testing.T) {
	small := &actor.Kind[*subject]{Name: "small", New: Subject.New, Handlers: Subject.Handlers, Inbox: actor.Limits{Messages: 3}}
	for _, place := range []string{"goroutine", "member"} {
		t.Run(place, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				ctx := arb.Context()
				var s actor.Ref
				if place == "goroutine" {
					s = arb.Spawn(small)
				} else {
					var err error
					if s, err = arb.Join(small, actor.JoinOptions{}).Ref(ctx); err != nil {
						t.Fatal(err)
					}
				}
				from := arb.Join(Caller, actor.JoinOptions{}).Context(ctx)
				quiet := func(want actor.Account) {
					t.Helper()
					time.Sleep(10 * time.Second) // heartbeats
					synctest.Wait()
					if have := accountOf(t, ctx, s); have != want || !have.Balanced() {
						t.Errorf("%v, want %v", have, want)
					}
				}
				for n := range 5 {
					if _, err := Double.Call(from, s, n); err != nil {
						t.Fatal(err)
					}
				}
				if err := Record.Send(from, s, 1); err != nil {
					t.Fatal(err)
				}
				quiet(actor.Account{Accepted: 6, Started: 6})

				if _, err := actor.Ping.Call(from, s, actor.None{}); err != nil {
					t.Fatal(err)
				}
				blocked, release := context.WithCancel(from)
				stuck := Block.Start(blocked, s, actor.None{})
				synctest.Wait()
				waits := Double.Start(from, s, 1)
				late, cancel := context.WithTimeout(from, time.Second)
				defer cancel()
				if _, err := Double.Call(late, s, 1); !errors.Is(err, actor.ErrDeadline) {
					t.Errorf("a call behind one that is stuck: %v", err)
				}
				quiet(actor.Account{Accepted: 10, Started: 8, Withdrawn: 1, Queued: 1})
				release()
				if _, err := stuck.Wait(); !errors.Is(err, actor.ErrCanceled) {
					t.Error(err)
				}
				if _, err := waits.Wait(); err != nil {
					t.Error(err)
				}
				quiet(actor.Account{Accepted: 10, Started: 9, Withdrawn: 1})

				Block.Start(from, s, actor.None{})
				synctest.Wait()
				if err := Record.Send(from, s, 1); err != nil {
					t.Fatal(err)
				}
				lost := Double.Start(from, s, 1)
				synctest.Wait()
				if _, err := arb.Kill(ctx, s); err != nil {
					t.Fatal(err)
				}
				if _, err := lost.Wait(); !errors.Is(err, actor.ErrDown) {
					t.Error(err)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				all := accountOf(t, ctx, actor.Arbiter)
				if !all.Balanced() || all.Queued > 1 { // the question itself may be on its way
					t.Errorf("in total: %v", all)
				}
				letters := len(arb.DeadLetters())
				if all.DeadLetters != uint64(letters) {
					t.Errorf("%v, and there are %d dead letters", all, letters)
				}
				if all.Lost+all.DeadLetters != 2 {
					t.Errorf("%v, want two that the end took", all)
				}
			})
		})
	}
}
