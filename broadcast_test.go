package arbiter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// TestToAllWithAFullOne: a message to all is handed to each one that has room, at once;
// its sender is told who has none, and waits for nobody.
func TestToAllWithAFullOne(t *testing.T) {
	narrow := &actor.Kind[*poolWorker]{Name: "narrow", New: poolKind.New, Handlers: poolKind.Handlers, Inbox: actor.Limits{Messages: 1}}
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		if _, err := arb.Pool(ctx, narrow, actor.PoolArgs{Name: "web", Workers: 4}); err != nil {
			t.Fatal(err)
		}
		const busy = 10 * time.Second
		for _, name := range []string{"web/1", "web/3"} {
			at := poolSlow.Start(ctx, actor.To(name), busy)
			defer at.Wait()
		}
		began := time.Now()
		err := poolNote.Send(ctx, actor.To("web/*"), "hello")
		if took := time.Since(began); took > 0 {
			t.Errorf("it was sent after %v", took)
		}
		for _, words := range []string{"web/1", "web/3", "2 of 4 workers have it"} {
			if !errors.Is(err, actor.ErrOverloaded) || !strings.Contains(err.Error(), words) {
				t.Errorf("the error does not say %q: %v", words, err)
			}
		}
		time.Sleep(busy + time.Second)
		for name, want := range map[string]int{"web/1": 0, "web/2": 1, "web/3": 0, "web/4": 1} {
			if notes, err := poolNotes.Call(ctx, actor.To(name), actor.None{}); len(notes) != want || err != nil {
				t.Errorf("%s has got %q, %v", name, notes, err)
			}
		}
	})
}

// TestToAllTakesRoomOnce: a message to all takes room in its sender's window once, and
// gives it back once, however many get it. One that gave back more would be cut off.
func TestToAllTakesRoomOnce(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 3})
		m := arb.Join(poolKind, actor.JoinOptions{})
		for range 100 {
			if err := poolNote.Send(m.Context(ctx), actor.To("web/*"), "hello"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second) // so that each is over before the next one comes
		}
		for _, name := range []string{"web/1", "web/2", "web/3"} {
			if notes, err := poolNotes.Call(ctx, actor.To(name), actor.None{}); len(notes) != 100 || err != nil {
				t.Errorf("%s has got %d, %v", name, len(notes), err)
			}
		}
	})
}

// TestToAllOverRestarts: while the workers of a pool are replaced again and again, each
// message to all reaches one in each slot.
func TestToAllOverRestarts(t *testing.T) {
	const workers, messages = 2, 8000
	got := make([][]int, workers)
	for _, where := range []string{"the arbiter", "a member"} {
		t.Run(where, func(t *testing.T) {
			a := arbitertest.New(t)
			ctx := a.Context()
			seen := make(chan [2]int, workers*messages)
			k := &actor.Kind[int]{Name: "listener", New: func(ctx context.Context) (int, error) {
				self, _ := actor.Current(ctx)
				var n int
				_, err := fmt.Sscanf(self.Ref().Name, "web/%d", &n)
				return n - 1, err
			}, Handlers: []actor.Handler[int]{actor.On(Record, func(at int, _ context.Context, n int) error {
				seen <- [2]int{at, n}
				return nil
			})}}
			if _, err := a.Pool(ctx, k, actor.PoolArgs{Name: "web", Workers: workers}); err != nil {
				t.Fatal(err)
			}
			sender := ctx
			if where == "a member" {
				sender = a.Join(poolKind, actor.JoinOptions{}).Context(ctx)
			}
			quit := make(chan struct{})
			var rolling sync.WaitGroup
			rolls := 0
			rolling.Go(func() {
				for {
					select {
					case <-quit:
						return
					default:
					}
					if _, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("web")); err != nil {
						t.Errorf("restart: %v", err)
					}
					rolls++
				}
			})
			defer func() {
				close(quit)
				rolling.Wait()
				t.Logf("%d restarts of all meanwhile", rolls)
			}()
			for n := range got {
				got[n] = make([]int, messages)
			}
			left := 0
			take := func() {
				select {
				case at := <-seen:
					got[at[0]][at[1]]++
					left--
				case <-time.After(10 * time.Second):
					t.Fatalf("%d have not come", left)
				}
			}
			for n := range messages {
				if err := Record.Send(sender, actor.To("web/*"), n); err != nil {
					t.Fatalf("number %d: %v", n, err)
				}
				for left += workers; left > 100; { // less than anybody's inbox holds
					take()
				}
			}
			for left > 0 {
				take()
			}
			for at, counts := range got {
				for n, c := range counts {
					if c != 1 {
						t.Fatalf("web/%d has got number %d %d times", at+1, n, c)
					}
				}
			}
		})
	}
}

// TestLargeToAll: a large message to all comes to each as it was sent, though they keep nothing of it
// and each may have done with it before the next one has it.
func TestLargeToAll(t *testing.T) {
	const workers, messages, size = 3, 100, 400_000
	data := actor.NewCommand[[]byte, actor.None]("data")
	a := arbitertest.New(t)
	ctx := a.Context()
	var differ, came atomic.Int64
	all := make(chan struct{})
	k := &actor.Kind[actor.None]{Name: "listener", Handlers: []actor.Handler[actor.None]{
		actor.On(data, func(_ actor.None, _ context.Context, b []byte) error {
			differ.Add(int64(len(b) - bytes.Count(b, b[:1])))
			if came.Add(1) == workers*messages {
				close(all)
			}
			return nil
		}, actor.Lent()),
	}}
	if _, err := a.Pool(ctx, k, actor.PoolArgs{Name: "web", Workers: workers}); err != nil {
		t.Fatal(err)
	}
	sender := a.Join(poolKind, actor.JoinOptions{}).Context(ctx)
	for n := range messages {
		if err := data.Send(sender, actor.To("web/*"), bytes.Repeat([]byte{byte(n)}, size)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-all:
	case <-time.After(20 * time.Second):
		t.Fatalf("%d came", came.Load())
	}
	if n := differ.Load(); n > 0 {
		t.Errorf("%d bytes are others", n)
	}
}

// TestToAllInVain: a message to all comes back from each who cannot take it, however little its sender has sent.
func TestToAllInVain(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
		ctx := arb.Context()
		newPool(t, ctx, arb.Arbiter, actor.PoolArgs{Name: "web", Workers: 3})
		var back []string
		sender := &actor.Kind[actor.None]{Name: "sender", Undelivered: func(_ actor.None, _ context.Context, e *actor.Error) {
			back = append(back, e.Target)
		}}
		m := arb.Join(sender, actor.JoinOptions{})
		nonsense := actor.NewCommand[string, actor.None]("nonsense", actor.NoAck())
		if err := nonsense.Send(m.Context(ctx), actor.To("web/*"), "hello"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := actor.Ping.Call(m.Context(ctx), actor.To("web/1"), actor.None{}); err != nil {
			t.Fatalf("its sender has ended: %v, %v", err, m.Err())
		}
		if slices.Sort(back); !slices.Equal(back, []string{"web/1", "web/2", "web/3"}) {
			t.Errorf("it came back from %q", back)
		}
		if n := len(arb.DeadLetters()); n != 3 {
			t.Errorf("%d dead letters, want one for each", n)
		}
	})
}
