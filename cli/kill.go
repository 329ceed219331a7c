package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) killCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "kill TARGET", Short: "end an actor at once", Args: a.arguments(1, 1),
		Long: `Ends an actor at once, and its process, if it has one of its own, with SIGKILL.
Those who wait for its answers are told. A worker of a pool, and a supervised actor,
is started again; a pool is not, and its workers end with it. Of a supervised actor that
was stopped, or given up, it frees the name.`,
		Example:           `  $0 kill web/2`,
		ValidArgsFunction: a.completeName(everybody),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, at *attached) error {
				d, err := actor.KillActor.Call(ctx, actor.Arbiter, actor.To(args[0]))
				switch {
				case err == nil:
				case at.gone(err) && !interrupted(ctx):
					// An arbiter that has nothing else to do ends with it, and all with the arbiter.
					d = actor.Death{Cause: actor.CauseKilled, Reason: "its arbiter has ended"}
				default:
					return a.explainKill(ctx, args[0], err)
				}
				return a.printEnd(args[0], d)
			})
		},
	})
}

func (a *app) explainKill(ctx context.Context, name string, err error) error {
	p := a.explain(ctx, err)
	if down := (*actor.DownError)(nil); errors.As(err, &down) && !interrupted(ctx) {
		p.text = fmt.Sprintf("%s is not running: it %s", name, quietly(&down.Death)) // its last lines follow
	}
	if p.exit == exitRefused {
		p.text = "the arbiter is not killed, but stopped"
		p.hint("stop it, with all its actors", a.program+" stop "+quote(name))
	}
	return p
}
