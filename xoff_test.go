package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
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
				h := stuckIn(t, arb)
				ctx := h.ctx
				stuck, other := h.place(place)

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
				time.Sleep(10 * time.Second) // what it has begun is perhaps told with its heartbeat
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
				h.release()
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

// TestStuckCalls: whose calls wait for a target that is stuck, as many as would fill its
// window ten times, goes on with others as if nothing were. When the target goes on all of
// them are answered.
func TestStuckCalls(t *testing.T) {
	for _, place := range []string{"goroutine", "member", "pool"} {
		t.Run(place, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				h := stuckIn(t, arb)
				var cancel context.CancelFunc
				h.ctx, cancel = context.WithTimeout(h.ctx, 10*time.Minute) // if it fails, before long
				defer cancel()
				stuck, other := h.place(place)
				const calls = 1000
				ends := make(chan error, calls)
				for range calls {
					go func() {
						_, err := SoakEcho.Call(h.ctx, stuck, make([]byte, 10_000))
						ends <- err
					}()
				}
				synctest.Wait()
				for _, size := range []int{0, 10_000, 400_000, 2_000_000} {
					h.quickly(other, size)
				}
				began := time.Now()
				if place == "goroutine" {
					if _, err := actor.Ping.Call(h.ctx, stuck, actor.None{}); err != nil || time.Since(began) > 0 {
						t.Errorf("ping, which is answered in place, after %v: %v", time.Since(began), err)
					}
				}
				short, cancelShort := context.WithTimeout(h.ctx, time.Minute)
				defer cancelShort()
				if _, err := SoakEcho.Call(short, stuck, nil); !errors.Is(err, actor.ErrDeadline) || time.Since(began) < time.Minute {
					t.Errorf("after %v, a call that has a minute: %v", time.Since(began), err)
				}
				if n := len(ends); n > 0 {
					t.Errorf("%d calls have ended, and their target is stuck: %v", n, <-ends)
				}
				h.release()
				for range calls {
					if err := <-ends; err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// stuckHouse is a member, with a context of its own, and who is stuck until release.
type stuckHouse struct {
	*arbitertest.Arbiter
	t       *testing.T
	ctx     context.Context // of the member
	release context.CancelFunc
	held    context.Context
}

func stuckIn(t *testing.T, arb *arbitertest.Arbiter) *stuckHouse {
	h := &stuckHouse{Arbiter: arb, t: t}
	arb.Spawn(Judge, actor.Name("judge"))
	var cancel context.CancelFunc
	h.ctx, cancel = context.WithTimeout(arb.Join(Caller, actor.JoinOptions{}).Context(arb.Context()), 10*time.Hour)
	t.Cleanup(cancel)
	h.held, h.release = context.WithCancel(h.ctx)
	t.Cleanup(h.release)
	return h
}

// place starts two actors, of which the first is stuck until release.
func (h *stuckHouse) place(kind string) (stuck, other actor.Ref) {
	put := func(name string) (ref actor.Ref) {
		var err error
		switch kind {
		case "goroutine":
			ref = h.Spawn(Soaker)
		case "member":
			ref, err = h.Join(Soaker, actor.JoinOptions{}).Ref(h.Context())
		case "pool":
			ref, err = h.Pool(h.Context(), Soaker, actor.PoolArgs{Name: name, Workers: 1})
		}
		if err != nil {
			h.t.Fatal(err)
		}
		return ref
	}
	return h.stick(put("stuck")), put("other")
}

// stick has who is stuck until release.
func (h *stuckHouse) stick(who actor.Ref) actor.Ref {
	SoakHold.Start(h.held, who, time.Hour)
	synctest.Wait()
	return who
}

// flood sends n messages of 10,000 bytes, and counts those that were taken.
func (h *stuckHouse) flood(to actor.Ref, n int) *atomic.Int64 {
	var taken atomic.Int64
	go func() {
		for range n {
			if err := SoakTell.Send(h.ctx, to, parcel(fmt.Sprint("flood of ", to), uint64(taken.Load())+1, 10_000)); err != nil {
				h.t.Errorf("after %d messages to %v: %v", taken.Load(), to, err)
				return
			}
			taken.Add(1)
		}
	}()
	synctest.Wait()
	return &taken
}

// quickly sends and calls who is not stuck, with bodies of so many bytes.
func (h *stuckHouse) quickly(to actor.Ref, size int) {
	h.t.Helper()
	began := time.Now()
	for n := range 20 {
		if err := SoakTell.Send(h.ctx, to, parcel(fmt.Sprint("calm ", size), uint64(n)+1, size)); err != nil {
			h.t.Fatal(err)
		}
		if _, err := SoakEcho.Call(h.ctx, to, make([]byte, size)); err != nil {
			h.t.Fatal(err)
		}
	}
	if took := time.Since(began); took > time.Second {
		h.t.Errorf("20 messages and calls of %d bytes to another took %v", size, took)
	}
}

// TestManyStuckTargets: also where many are stuck, and flooded by one, that one has room
// for others, whatever the size of what it sends them.
func TestManyStuckTargets(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		h := stuckIn(t, arb)
		for range 8 {
			h.flood(h.stick(arb.Spawn(Soaker)), 300)
		}
		far, err := arb.Join(Soaker, actor.JoinOptions{}).Ref(arb.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 10_000, 100_000, 400_000, 2_000_000} {
			h.quickly(far, size)
		}
		// Nothing is answered here, with which room might be told of.
		began := time.Now()
		for n := range 20 {
			size := []int{80_000, 80_000, 80_000, 900_000}[n%4]
			if err := SoakTell.Send(h.ctx, far, parcel("one way", uint64(n)+1, size)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("20 messages, small and large, to another took %v", took)
		}
		h.release()
		time.Sleep(time.Minute)
		if n := len(arb.DeadLetters()); n > 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// TestStuckAndLarge: many are stuck, and flooded: large messages to others do not wait for
// what neither end has a reason to say.
func TestStuckAndLarge(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		h := stuckIn(t, arb)
		far, err := arb.Join(Soaker, actor.JoinOptions{}).Ref(arb.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			h.flood(h.stick(arb.Spawn(Soaker)), 300)
		}
		busy, err := arb.Join(Soaker, actor.JoinOptions{}).Ref(arb.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.stick(busy)
		for _, size := range []int{100_000, 300_000, 400_000, 500_000, 2_000_000} {
			for _, part := range []int{100_000, 200_000, 240_000, 400_000} {
				one := SoakEcho.Start(h.ctx, busy, make([]byte, part))
				synctest.Wait()
				h.quickly(far, size)
				one.Cancel()
				synctest.Wait()
			}
		}
		h.release()
		time.Sleep(time.Minute)
	})
}

// TestStuckWorker: who floods a pool whose only worker is stuck waits, and loses nothing.
func TestStuckWorker(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		h := stuckIn(t, arb)
		pool, err := arb.Pool(arb.Context(), Soaker, actor.PoolArgs{Name: "p", Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		taken := h.flood(h.stick(pool), 2000)
		if n := taken.Load(); n > 300 {
			t.Errorf("%d messages were taken for one that is stuck", n)
		}
		h.release()
		time.Sleep(time.Minute)
		if n := taken.Load(); n != 2000 || len(arb.DeadLetters()) > 0 {
			t.Errorf("%d messages were taken, and there are %d dead letters", n, len(arb.DeadLetters()))
		}
	})
}

// TestWaitersForTheStuck: many wait for room, each with one message for the same target,
// when room comes. All of it arrives.
func TestWaitersForTheStuck(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		h := stuckIn(t, arb)
		stuck := h.stick(arb.Spawn(Soaker))
		var taken atomic.Int64
		const all = 3000
		for n := range all {
			go func() {
				if err := SoakTell.Send(h.ctx, stuck, parcel(fmt.Sprint(n), 1, 10_000)); err != nil {
					t.Error(err)
				}
				taken.Add(1)
			}()
		}
		synctest.Wait()
		if n := taken.Load(); n > 600 {
			t.Errorf("%d messages were taken for one that is stuck", n)
		}
		h.release()
		time.Sleep(time.Minute)
		if n := taken.Load(); n != all || len(arb.DeadLetters()) > 0 {
			t.Errorf("%d of %d were taken, and there are %d dead letters", n, all, len(arb.DeadLetters()))
		}
	})
}

// TestCallsOfTheUnanswered: calls of a command without an answer to one that is stuck wait,
// and leave room for the calls of others.
func TestCallsOfTheUnanswered(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		h := stuckIn(t, arb)
		far, err := arb.Join(Soaker, actor.JoinOptions{}).Ref(arb.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.stick(far)
		var taken atomic.Int64
		go func() {
			for range 3000 {
				if _, err := SoakTell.Call(h.ctx, far, parcel("calls", uint64(taken.Load())+1, 10_000)); err != nil {
					t.Errorf("after %d: %v", taken.Load(), err)
					return
				}
				taken.Add(1)
			}
		}()
		synctest.Wait()
		if n := taken.Load(); n > 600 {
			t.Errorf("%d calls were taken", n)
		}
		other := SoakEcho.Start(arb.Join(Caller, actor.JoinOptions{}).Context(arb.Context()), far, nil)
		synctest.Wait()
		h.release()
		if _, err := other.Wait(); err != nil {
			t.Errorf("somebody else's call: %v", err)
		}
		time.Sleep(time.Minute)
		if n := taken.Load(); n != 3000 {
			t.Errorf("%d calls were taken in the end", n)
		}
	})
}

// TestWaitingIsNoRefusal: who waits for room in an inbox of its own process waits without
// trying again and again, and is refused once, when its time is up.
func TestWaitingIsNoRefusal(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		h := stuckIn(t, arb)
		stuck := h.stick(arb.Spawn(Soaker))
		for {
			if err := SoakTell.TrySend(arb.Context(), stuck, make([]byte, 100_000)); err != nil {
				break
			}
		}
		refused := func() uint64 {
			in, err := actor.InspectActor.Call(arb.Context(), actor.Arbiter, stuck)
			if err != nil {
				t.Fatal(err)
			}
			return in.Info.Refused
		}
		before := refused()
		ctx, cancel := context.WithTimeout(arb.Context(), 20*time.Second)
		defer cancel()
		if err := SoakTell.Send(ctx, stuck, make([]byte, 100_000)); !errors.Is(err, actor.ErrOverloaded) {
			t.Error(err)
		}
		if n := refused() - before; n != 1 {
			t.Errorf("one Send that waited was refused %d times", n)
		}
		h.release()
	})
}
