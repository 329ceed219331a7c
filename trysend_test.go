package arbiter_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// Posted is told numbers, with a load.
var Posted = actor.NewCommand[Post, actor.None]("posted", actor.NoAck())

// Post is a number and a load.
type Post struct {
	N    int    `cbor:"n"`
	Load []byte `cbor:"load"`
}

// shut is an actor with room for four messages that does nothing until it is let.
type shut struct{ got []int }

var (
	Open   = actor.NewCommand[actor.None, []int]("open")
	Letbox = &actor.Kind[*shut]{
		Name: "letterbox", Inbox: actor.Limits{Messages: 4, Bytes: 64 << 10},
		New: func(context.Context) (*shut, error) { return &shut{}, nil },
		Handlers: []actor.Handler[*shut]{
			actor.On(Posted, func(s *shut, _ context.Context, p Post) error { s.got = append(s.got, p.N); return nil }),
			actor.Handle(Open, func(s *shut, _ context.Context, _ actor.None) ([]int, error) { return s.got, nil }),
			actor.On(Block, func(_ *shut, ctx context.Context, _ actor.None) error { <-ctx.Done(); return nil }),
		},
	}
)

// TestTrySend: a message for which there is no room fails at once, as not started; what was
// taken comes, in order; and none of what was refused does.
func TestTrySend(t *testing.T) {
	for _, place := range places[:5] {
		for _, from := range []string{"arbiter", "unix"} {
			t.Run(place.name+"/from "+from, func(t *testing.T) {
				w := newWorld(t)
				s := place.put(w, Letbox)
				ctx := w.ctx
				if from == "unix" {
					ctx = w.member(w.address("unix:"), Caller, actor.JoinOptions{}).Context(w.ctx)
				}
				busy := Block.Start(ctx, s, actor.None{})
				var taken []int
				for n := 0; ; n++ {
					err := Posted.TrySend(ctx, s, Post{n, make([]byte, 100<<10)})
					if err == nil {
						taken = append(taken, n)
					} else {
						var e *actor.Error
						if !errors.Is(err, actor.ErrOverloaded) || !errors.As(err, &e) || e.Started != actor.StartedNo {
							t.Fatalf("the %dth: %v, want overloaded, and that it did not start", n, err)
						}
						// The arbiter may have given room back meanwhile, for some more.
						for err = nil; err == nil && n <= 10_000; n++ {
							if err = actor.TrySend(ctx, s, "posted", actor.Kwargs{"n": n, "load": make([]byte, 100<<10)}); err == nil {
								taken = append(taken, n)
							}
						}
						if !errors.Is(err, actor.ErrOverloaded) {
							t.Errorf("by name, the %dth: %v", n, err)
						}
						break
					}
					if n > 10_000 {
						t.Fatal("there is always room")
					}
				}
				busy.Cancel()
				var got []int
				eventually(t, "all that was taken is there", func() bool {
					var err error
					if got, err = Open.Call(ctx, s, actor.None{}); err != nil && !errors.Is(err, actor.ErrOverloaded) {
						t.Fatal(err)
					}
					return len(got) >= len(taken)
				})
				if !slices.Equal(got, taken) {
					t.Errorf("%v came, %v was taken", got, taken)
				}
				letters, err := actor.DeadLetters.Call(w.ctx, actor.Arbiter, actor.None{})
				if err != nil || len(letters) != 0 {
					t.Errorf("dead letters of what was told at once: %v, %v", letters, err)
				}
				gone := actor.To("nobody")
				if err := Posted.TrySend(w.ctx, gone, Post{}); !errors.Is(err, actor.ErrUnknownActor) {
					t.Errorf("to nobody: %v", err)
				}
			})
		}
	}
}

// ExampleCommand_TrySend drops what there is no room for: of a sample that is out of date when
// it comes, the next one is better.
func ExampleCommand_TrySend() {
	_ = func(ctx context.Context, gauge actor.Ref, sample Post) (lost bool, err error) {
		err = Posted.TrySend(ctx, gauge, sample)
		if errors.Is(err, actor.ErrOverloaded) {
			return true, nil
		}
		return false, err
	}
}
