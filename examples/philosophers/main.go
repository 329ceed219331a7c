// Philosophers dine: pulsar's classic. Five philosophers, each an actor, share
// five forks, each an actor. Who wants to eat asks for the fork on the left and the
// one on the right, and gives both back when done. Forks are asked for in one
// order, so that nobody waits in a circle; a fork that is taken says so at once,
// and its philosopher thinks a little longer.
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// The protocol.
var (
	Take = actor.NewCommand[actor.None, bool]("take", actor.Doc("takes the fork, if it lies there"))
	Lay  = actor.NewCommand[actor.None, actor.None]("lay", actor.NoAck(), actor.Doc("lays the fork back"))
	Dine = actor.NewCommand[Seat, Meals]("dine", actor.Doc("thinks and eats until it has had enough"))
)

// Seat is where a philosopher sits: between which forks, in the order in which to
// take them.
type Seat struct {
	First  actor.Ref `cbor:"first"`
	Second actor.Ref `cbor:"second"`
	Meals  int       `cbor:"meals"`
}

// Meals is how a dinner went.
type Meals struct {
	Eaten  int `cbor:"eaten"`
	Waited int `cbor:"waited"` // times a fork was not there
}

type fork struct{ holder string }

func (f *fork) Take(ctx context.Context, _ actor.None) (bool, error) {
	who, _ := actor.Caller(ctx)
	if f.holder != "" {
		return false, nil
	}
	f.holder = who.AID
	return true, nil
}

func (f *fork) Lay(ctx context.Context, _ actor.None) error {
	if who, _ := actor.Caller(ctx); who.AID == f.holder {
		f.holder = ""
	}
	return nil
}

// Fork is a fork.
var Fork = &actor.Kind[*fork]{
	Name:     "fork",
	New:      func(context.Context) (*fork, error) { return &fork{}, nil },
	Handlers: []actor.Handler[*fork]{actor.Handle(Take, (*fork).Take), actor.On(Lay, (*fork).Lay)},
}

const bite = 2 * time.Millisecond

func dine(_ actor.None, ctx context.Context, s Seat) (Meals, error) {
	var m Meals
	for m.Eaten < s.Meals {
		got, err := both(ctx, s)
		if err != nil {
			return m, err
		}
		if !got {
			m.Waited++
		}
		time.Sleep(bite) // eating, or thinking
		if !got {
			continue
		}
		m.Eaten++
		for _, f := range []actor.Ref{s.Second, s.First} {
			if err := Lay.Send(ctx, f, actor.None{}); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

// both takes both forks, or none.
func both(ctx context.Context, s Seat) (bool, error) {
	if got, err := Take.Call(ctx, s.First, actor.None{}); !got || err != nil {
		return false, err
	}
	got, err := Take.Call(ctx, s.Second, actor.None{})
	if !got && err == nil {
		err = Lay.Send(ctx, s.First, actor.None{})
	}
	return got, err
}

// Philosopher is one.
var Philosopher = &actor.Kind[actor.None]{
	Name:     "philosopher",
	Handlers: []actor.Handler[actor.None]{actor.Handle(Dine, dine)},
}

func main() {
	flag.Parse()
	arbiter.Main(run, Fork, Philosopher)
}

var (
	meals   = flag.Int("meals", 10, "meals each philosopher has")
	process = flag.Bool("process", true, "give each philosopher a process of its own")
)

func run(ctx context.Context, arb *arbiter.Arbiter) error {
	names := []string{"Aristotle", "Kant", "Spinoza", "Marx", "Russell"}
	n := len(names)
	var forks []actor.Ref
	for range n {
		f, err := arb.Spawn(ctx, Fork)
		if err != nil {
			return err
		}
		forks = append(forks, f)
	}
	place := actor.Goroutine()
	if *process {
		place = actor.Process()
	}
	var dinners []*actor.Pending[Meals]
	for i, name := range names {
		p, err := arb.Spawn(ctx, Philosopher, actor.Name(name), place)
		if err != nil {
			return err
		}
		first, second := i, (i+1)%n
		dinners = append(dinners, Dine.Start(ctx, p, Seat{forks[min(first, second)], forks[max(first, second)], *meals}))
	}
	for i, d := range dinners {
		m, err := d.Wait()
		if err != nil {
			return err
		}
		fmt.Printf("%-9s ate %d times, and found a fork missing %d times\n", names[i], m.Eaten, m.Waited)
	}
	return nil
}
