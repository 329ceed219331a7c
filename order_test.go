package arbiter_test

import (
	"context"
	"errors"
	"flag"
	"sync"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

var orderMessages = flag.Int("order", 20_000, "messages of the order test, in each kind of place")

// ordered counts what comes out of order.
type ordered struct {
	next, wrong int
}

var (
	Next      = actor.NewCommand[int, actor.None]("next", actor.NoAck())
	Inversion = actor.NewCommand[actor.None, [2]int]("inversions")
	Ordered   = &actor.Kind[*ordered]{
		Name: "ordered",
		New:  func(context.Context) (*ordered, error) { return &ordered{}, nil },
		Handlers: []actor.Handler[*ordered]{
			actor.On(Next, func(o *ordered, _ context.Context, n int) error {
				if n != o.next {
					o.wrong++
				}
				o.next = n + 1
				return nil
			}),
			actor.Handle(Inversion, func(o *ordered, _ context.Context, _ actor.None) ([2]int, error) {
				return [2]int{o.next, o.wrong}, nil
			}),
		},
	}
)

// TestOrder: for each pair of actors, handlers start in the order sent.
// -order 1000000 is the whole of it.
func TestOrder(t *testing.T) {
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			w := newWorld(t)
			s := place.put(w, Ordered)
			inOrder(t, w, s, *orderMessages)
		})
	}
}

// TestSmallInbox: a full inbox has one-way messages wait at their senders. None
// comes back.
func TestSmallInbox(t *testing.T) {
	small := &actor.Kind[*ordered]{Name: "small", New: Ordered.New, Handlers: Ordered.Handlers, Inbox: actor.Limits{Messages: 3}}
	for _, place := range places {
		if place.name == "process" {
			continue // only registered kinds; it is a member like that over unix
		}
		t.Run(place.name, func(t *testing.T) {
			w := newWorld(t)
			inOrder(t, w, place.put(w, small), 5000)
		})
	}
}

// inOrder sends s so many messages from an actor of the arbiter's process and from
// a member, and has s say how they came.
func inOrder(t *testing.T, w *world, s actor.Ref, messages int) {
	t.Helper()
	m := w.member(w.address("unix:"), Caller, actor.JoinOptions{})
	ctx, cancel := context.WithCancel(w.arb.Context(t.Context()))
	defer cancel()
	for _, from := range []context.Context{ctx, m.Context(ctx)} {
		if err := Next.Send(from, s, 0); err != nil {
			t.Fatal(err)
		}
		// The first message of a round resets the count: one wrong at most.
		before, err := counted(from, s)
		if err != nil {
			t.Fatal(err)
		}
		for n := 1; n <= messages; n++ {
			if err := Next.Send(from, s, n); err != nil {
				t.Fatalf("send %d: %v", n, err)
			}
		}
		after, err := counted(from, s)
		if err != nil || after[1] != before[1] || after[0] != messages+1 {
			t.Errorf("after %d messages: next %d, %d out of order (%d before), %v", messages, after[0], after[1], before[1], err)
		}
	}
}

// counted asks s how its messages came, once its inbox has room for the question: a
// call is not one that waits.
func counted(ctx context.Context, s actor.Ref) (counts [2]int, err error) {
	for {
		if counts, err = Inversion.Call(ctx, s, actor.None{}); !errors.Is(err, actor.ErrOverloaded) {
			return counts, err
		}
	}
}

// TestOneConnection: however many first calls race, one connection is made.
func TestOneConnection(t *testing.T) {
	w := newWorld(t)
	m := w.member(w.address("unix:"), Caller, actor.JoinOptions{})
	ctx := m.Context(w.ctx)
	var wg sync.WaitGroup
	for range 1000 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if _, err := actor.Ping.Call(ctx, actor.Arbiter, actor.None{}); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	list, err := actor.Ps.Call(w.ctx, actor.Arbiter, actor.None{})
	if err != nil || len(list) != 2 {
		t.Errorf("%d actors, %v; want the arbiter and the one that joined", len(list), err)
	}
}
