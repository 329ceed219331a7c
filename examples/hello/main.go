// Hello is the smallest program with an actor in a process of its own.
package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// Add is the protocol: a name and two types.
var Add = actor.NewCommand[int, int]("add", actor.Doc("adds to the counter and answers its value"))

type counter struct{ n int }

func (c *counter) Add(_ context.Context, by int) (int, error) {
	if by < 0 {
		return 0, errors.New("a counter only goes up")
	}
	c.n += by
	return c.n, nil
}

// Counter is the behaviour.
var Counter = &actor.Kind[*counter]{
	Name:     "counter",
	New:      func(context.Context) (*counter, error) { return &counter{}, nil },
	Handlers: []actor.Handler[*counter]{actor.Handle(Add, (*counter).Add)},
}

func main() { arbiter.Main(run, Counter) }

func run(ctx context.Context, arb *arbiter.Arbiter) error {
	tally, err := arb.Spawn(ctx, Counter, actor.Process(), actor.Name("tally"))
	if err != nil {
		return err
	}
	for range 3 {
		n, err := Add.Call(ctx, tally, 5)
		if err != nil {
			return err
		}
		fmt.Println("tally says", n)
	}
	_, err = Add.Call(ctx, tally, -1)
	fmt.Println("and when asked for less:", err)
	return nil
}
