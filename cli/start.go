package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) startCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "start TARGET", Short: "start what was stopped, or given up", Args: a.arguments(1, 1),
		Long: `Starts what the command stop has stopped, or a supervisor has given up: a slot, all
slots of a pool, or a supervised actor. Who waits to be started again starts at once;
who runs goes on. Crashes are counted from the beginning again.`,
		Example: `  $0 start web
  $0 start web/2`,
		ValidArgsFunction: a.completeName(supervised),
		Annotations:       map[string]string{"names": "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, _ *attached) error {
				_, err := actor.StartActor.Call(ctx, actor.Arbiter, actor.To(args[0]))
				if err != nil {
					return a.explainStartActor(ctx, args[0], err)
				}
				return a.printSlots([]string{args[0]}, "runs")
			})
		},
	})
}

func (a *app) explainStartActor(ctx context.Context, name string, err error) error {
	p := a.explain(ctx, err)
	switch {
	case errors.Is(err, actor.ErrDeadline):
		p.text = fmt.Sprintf("%s is not ready within %v", name, a.timeout)
		p.why = []string{"it was started, and goes on"}
		p.hints = nil
		p.hint("see how it does", a.program+" inspect "+quote(name)).hint("wait longer next time", a.again("--timeout", longer(a.timeout)))
	case errors.Is(err, actor.ErrDown):
		p.hint("see all it printed", a.program+" logs "+quote(name)+" --since 2m")
	}
	return p
}
