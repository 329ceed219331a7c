package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) stopCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "stop TARGET", Short: "ask an actor to stop, and wait until it has", Args: a.arguments(1, 1),
		Long: `Asks an actor to stop, waits until it has, and says how it ended. It finishes what
it has accepted first. A worker of a pool, all workers of a pool, and a supervised
actor stay stopped until they are started. To stop "arbiter" is to stop the arbiter,
with all its actors.`,
		Example: `  $0 stop web/2
  $0 stop web        # all its workers; start web starts them again
  $0 stop arbiter`,
		ValidArgsFunction: a.completeNames(1, everybody),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, at *attached) error { return a.stop(ctx, at, args[0]) })
		},
	})
}

func (a *app) stop(ctx context.Context, at *attached, name string) error {
	if name == actor.Arbiter.Name {
		return a.stopArbiter(ctx, at)
	}
	d, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To(name))
	switch {
	case err == nil:
		return a.printEnd(name, d)
	case errors.Is(err, actor.ErrDeadline):
		return a.notStopped(ctx, name)
	case at.gone(err):
		return noArbiter("the arbiter ended before %s was known to have stopped", name)
	}
	return err
}

func (a *app) notStopped(ctx context.Context, name string) error {
	p := &problem{exit: exitTimeout, code: string(actor.Deadline), text: fmt.Sprintf("%s has not stopped within %v", name, a.timeout), err: ctx.Err()}
	p.because("it was asked to; a handler runs, or messages wait before the end")
	p.hint("wait longer", a.again("--timeout", longer(a.timeout)))
	if name != actor.Arbiter.Name {
		p.hint("end it at once", a.program+" kill "+quote(name))
	}
	return p
}

// stopArbiter asks the arbiter to stop, and waits for the end of the connection to
// it.
func (a *app) stopArbiter(ctx context.Context, at *attached) error {
	if err := actor.Stop.Send(ctx, actor.Arbiter, actor.None{}); err != nil {
		return err
	}
	select {
	case <-at.member.Lost():
		return a.printEnd(actor.Arbiter.Name, actor.Death{Cause: actor.CauseStopped})
	case <-ctx.Done():
		return a.notStopped(ctx, actor.Arbiter.Name)
	}
}
