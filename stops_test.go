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

// TestStuckTargetLeavesRoom: who floods a target that is stuck waits for that, and goes on
// with others as if nothing were. When the target goes on all of it arrives, in order.
func TestStuckTargetLeavesRoom(t *testing.T) {
	for _, place := range []string{"goroutine", "member"} {
		t.Run(place, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				put := func(kind actor.Behaviour) actor.Ref {
					if place == "goroutine" {
						return arb.Spawn(kind)
					}
					ref, err := arb.Join(kind, actor.JoinOptions{}).Ref(arb.Context())
					if err != nil {
						t.Fatal(err)
					}
					return ref
				}
				arb.Spawn(Judge, actor.Name("judge"))
				stuck, other := put(Soaker), put(Soaker)
				sender := arb.Join(Caller, actor.JoinOptions{})
				ctx := sender.Context(arb.Context())
				release, cancel := context.WithTimeout(ctx, 10*time.Hour)
				defer cancel()
				held := SoakHold.Start(release, stuck, time.Hour)
				synctest.Wait()

				const messages, size = 1000, 10_000
				flood := make(chan error, 1)
				go func() {
					forever, cancel := context.WithTimeout(ctx, 10*time.Hour)
					defer cancel()
					for n := range messages {
						if err := SoakTell.Send(forever, stuck, parcel("flood", uint64(n)+1, size)); err != nil {
							flood <- err
							return
						}
					}
					flood <- nil
				}()
				synctest.Wait()
				began := time.Now()
				for n := range 300 { // three times a window
					if err := SoakTell.Send(ctx, other, parcel("calm", uint64(n)+1, size)); err != nil {
						t.Fatalf("after %d messages to another: %v", n, err)
					}
				}
				if _, err := SoakEcho.Call(ctx, other, nil); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("messages to another took %v", took)
				}
				if err := SoakTell.TrySend(ctx, stuck, parcel("try", 1, 0)); !errors.Is(err, actor.ErrOverloaded) {
					t.Errorf("TrySend to who is stuck: %v", err)
				}
				short, cancelShort := context.WithTimeout(ctx, time.Minute)
				defer cancelShort()
				if err := SoakTell.Send(short, stuck, parcel("short", 1, 0)); !errors.Is(err, actor.ErrDeadline) || time.Since(began) < time.Minute {
					t.Errorf("after %v, a Send that has a minute: %v", time.Since(began), err)
				}
				select {
				case err := <-flood:
					t.Fatalf("the flood has ended while its target was stuck: %v", err)
				default:
				}
				cancel()
				_, _ = held.Wait()
				if err := <-flood; err != nil {
					t.Error(err)
				}
				if _, err := SoakEcho.Call(ctx, stuck, nil); err != nil {
					t.Error(err)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				if a := accountOf(t, arb.Context(), stuck); !a.Balanced() || a.Queued != 0 || a.Started != messages+2 {
					t.Errorf("%v, want %d started", a, messages+2)
				}
				if heard, err := Complaint.Call(arb.Context(), actor.To("judge"), actor.None{}); err != nil || len(heard) > 0 {
					t.Errorf("%v, %v", heard, err)
				}
				if n := len(arb.DeadLetters()); n > 0 {
					t.Errorf("%d dead letters", n)
				}
			})
		})
	}
}
