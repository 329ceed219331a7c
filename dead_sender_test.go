package arbiter_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// TestNothingOfTheDead: a goroutine that was killed cannot be stopped, and its handler goes
// on. What it sends then is refused, so that nobody hears from it who was told of its end.
func TestNothingOfTheDead(t *testing.T) {
	for _, place := range []string{"goroutine", "member"} {
		t.Run(place, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, arb *arbitertest.Arbiter) {
				type none = actor.None
				on, ends := make(chan struct{}), make(chan error, 3)
				var witness actor.Ref
				haunt := actor.NewCommand[none, none]("haunt", actor.NoAck())
				note := actor.NewCommand[string, none]("note", actor.NoAck())
				ask := actor.NewCommand[none, none]("ask")
				ghost := &actor.Kind[struct{}]{
					Name: "ghost",
					Handlers: []actor.Handler[struct{}]{
						actor.On(haunt, func(_ struct{}, ctx context.Context, _ none) error {
							<-on
							ctx = context.WithoutCancel(ctx)
							ends <- note.Send(ctx, witness, "late")
							ends <- note.TrySend(ctx, witness, "late")
							_, err := ask.Call(ctx, witness, none{})
							ends <- err
							return nil
						}),
					},
				}
				var heard []string
				looker := &actor.Kind[struct{}]{
					Name: "looker",
					Handlers: []actor.Handler[struct{}]{
						actor.On(note, func(_ struct{}, _ context.Context, s string) error { heard = append(heard, s); return nil }),
						actor.Handle(ask, func(struct{}, context.Context, none) (none, error) {
							heard = append(heard, "asked")
							return none{}, nil
						}),
					},
				}
				dead := arb.Spawn(ghost)
				if place == "goroutine" {
					witness = arb.Spawn(looker)
				} else {
					var err error
					if witness, err = arb.Join(looker, actor.JoinOptions{}).Ref(arb.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if err := haunt.Send(arb.Context(), dead, none{}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if _, err := arb.Kill(arb.Context(), dead); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				close(on)
				for _, want := range []error{actor.ErrClosed, actor.ErrClosed, actor.ErrCanceled} {
					if err := <-ends; !errors.Is(err, want) {
						t.Errorf("the dead one sends, and is told %v, not %v", err, want)
					}
				}
				synctest.Wait()
				if len(heard) > 0 {
					t.Errorf("of the dead one is heard %q", heard)
				}
			})
		})
	}
}
