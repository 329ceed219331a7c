// Package actor is what actors are written with, and what their callers use.
//
// A Command is a name and two types: what may be asked, and what is answered. A Kind is
// the behaviour of actors: how their state is made, and a handler for each command. A
// Ref names an actor, by its name or by its aid, which is that of one life.
//
//	var Add = actor.NewCommand[int, int]("add")
//
//	type counter struct{ n int }
//
//	func (c *counter) Add(ctx context.Context, by int) (int, error) { c.n += by; return c.n, nil }
//
//	var Counter = &actor.Kind[*counter]{
//		Name:     "counter",
//		New:      func(ctx context.Context) (*counter, error) { return &counter{}, nil },
//		Handlers: []actor.Handler[*counter]{actor.Handle(Add, (*counter).Add)},
//	}
//
// Command.Call asks and waits for the outcome, Command.Send does not wait for one;
// Call and Send do the same by the name of a command. Who sends is found in ctx: in a
// handler it is the actor, in a program that joined its Member, and in one that hosts
// the arbiter Arbiter.Context says so. Spawn and Pool have the arbiter start actors.
//
// An arbiter carries the messages. Package arbiter starts one, and actors with it; Serve
// and NewMember join one that runs elsewhere. Actors may be goroutines, processes or
// programs in any language: the calls, their outcomes and their errors are the same.
package actor
