package arbiter_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

var (
	exampleSquare = actor.NewCommand[int, int]("square")
	exampleCrash  = actor.NewCommand[actor.None, actor.None]("crash")
)

var squarer = &actor.Kind[actor.None]{
	Name: "squarer",
	Handlers: []actor.Handler[actor.None]{
		actor.Handle(exampleSquare, func(_ actor.None, _ context.Context, n int) (int, error) { return n * n, nil }),
		actor.On(exampleCrash, func(actor.None, context.Context, actor.None) error { panic("out of squares") }),
	},
}

// A pool is an actor: whoever of its workers has least to do answers.
func ExampleArbiter_Pool() {
	arb, err := arbiter.Start(context.Background(), arbiter.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer arb.Stop(context.Background())
	ctx := arb.Context(context.Background())

	squares, err := arb.Pool(ctx, squarer, actor.PoolArgs{Name: "squares", Workers: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	n, err := exampleSquare.Call(ctx, squares, 12)
	fmt.Println(n, err)
	n, err = exampleSquare.Call(ctx, actor.To("squares/2"), 3) // one slot
	fmt.Println(n, err)
	n, err = exampleSquare.Call(ctx, actor.To("squares#user-17"), 4) // whose the key is
	fmt.Println(n, err)

	size, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "squares", Delta: +2})
	fmt.Println(size, err)
	// Output:
	// 144 <nil>
	// 9 <nil>
	// 16 <nil>
	// 5 <nil>
}

// A handler that is through with its bytes when it returns has them lent, and so has one who
// asks for some: their memory is used again.
func ExampleCommand_CallLent() {
	digest := actor.NewCommand[[]byte, []byte]("digest")
	hasher := &actor.Kind[actor.None]{
		Name: "hasher",
		Handlers: []actor.Handler[actor.None]{
			actor.Handle(digest, func(_ actor.None, _ context.Context, b []byte) ([]byte, error) {
				sum := sha256.Sum256(b)
				return sum[:], nil
			}, actor.Lent()),
		},
	}
	arb, err := arbiter.Start(context.Background(), arbiter.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer arb.Stop(context.Background())
	ctx := arb.Context(context.Background())

	ref, err := arb.Spawn(ctx, hasher)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = digest.CallLent(ctx, ref, []byte("a large file"), func(sum []byte) error {
		_, err := fmt.Printf("%x\n", sum[:4]) // used here, and not kept
		return err
	})
	fmt.Println(err)
	// Output:
	// 683adcc3
	// <nil>
}

// A supervised actor comes back under its name. The call that ended it is told how;
// the next one waits until somebody is there again.
func ExampleArbiter_Spawn_restart() {
	arb, err := arbiter.Start(context.Background(), arbiter.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer arb.Stop(context.Background())
	ctx := arb.Context(context.Background())

	policy := supervise.Policy{MinBackoff: 5 * time.Millisecond}
	if _, err := arb.Spawn(ctx, squarer, actor.Name("phoenix"), actor.Restart(policy)); err != nil {
		fmt.Println(err)
		return
	}
	_, err = exampleCrash.Call(ctx, actor.To("phoenix"), actor.None{})
	var down *actor.DownError
	if errors.As(err, &down) {
		fmt.Println(down.Cause, "-", down.Reason)
	}
	n, err := exampleSquare.Call(ctx, actor.To("phoenix"), 5)
	fmt.Println(n, err)
	// Output:
	// panic - out of squares
	// 25 <nil>
}
