package cli

import (
	"context"
	"fmt"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) stopCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "stop TARGET", Short: "ask an actor to stop, and wait until it has", Args: a.arguments(1, 1),
		Long: `Asks an actor to stop, waits until it has, and says how it ended. It finishes what
it has accepted first. To stop "arbiter" is to stop the arbiter, with all its actors.`,
		Example: `  $0 stop ada
  $0 stop arbiter`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, at *attached) error { return a.stop(ctx, at, args[0]) })
		},
	})
}

func (a *app) stop(ctx context.Context, at *attached, name string) error {
	ended := make(chan actor.Ended, 1)
	target := actor.To(name)
	if _, err := actor.Watch(ctx, target, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		return err
	}
	if err := actor.Stop.Send(ctx, target, actor.None{}); err != nil {
		return err
	}
	var death actor.Death
	select {
	case e := <-ended:
		death = e.Death
	case <-ctx.Done():
		p := &problem{exit: exitTimeout, code: string(actor.Deadline), text: fmt.Sprintf("%s has not stopped within %v", name, a.timeout), err: ctx.Err()}
		p.because("it was asked to; a handler runs, or messages wait before the end")
		return p.hint("wait longer", a.again("--timeout", longer(a.timeout))).hint("end it at once", a.program+" kill "+quote(name))
	}
	if death.Cause == actor.CauseConnection && at.lost() {
		// Not the target's connection is gone, but ours: the arbiter's end.
		if name != actor.Arbiter.Name {
			return noArbiter("the arbiter ended before %s was known to have stopped", name)
		}
		death = actor.Death{Cause: actor.CauseStopped}
	}
	return a.printEnd(name, death)
}

// lost reports whether the connection to the arbiter has ended.
func (at *attached) lost() bool {
	select {
	case <-at.member.Lost():
		return true
	default:
		return false
	}
}

func (a *app) killCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "kill TARGET", Short: "end an actor at once", Args: a.arguments(1, 1),
		Long: `Ends an actor at once, and its process, if it has one of its own, with SIGKILL.
Those who wait for its answers are told.`,
		Example: `  $0 kill ada`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, _ *attached) error {
				d, err := actor.KillActor.Call(ctx, actor.Arbiter, actor.To(args[0]))
				if err != nil {
					return a.explainKill(ctx, args[0], err)
				}
				return a.printEnd(args[0], d)
			})
		},
	})
}

func (a *app) explainKill(ctx context.Context, name string, err error) error {
	p := a.explain(ctx, err)
	if p.exit == exitRefused {
		p.text = "the arbiter is not killed, but stopped"
		p.hint("stop it, with all its actors", a.program+" stop "+quote(name))
	}
	return p
}

// printEnd says how an actor ended.
func (a *app) printEnd(name string, d actor.Death) error {
	if a.asJSON() {
		return a.print(d)
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", name, d)
	return err
}
