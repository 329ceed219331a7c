package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) restartCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "restart TARGET", Short: "replace a worker, or all of a pool one after the other", Args: a.arguments(1, 1),
		Long: `Replaces what is in a slot, or in all slots of a pool one after the other. The new
worker is started first, and the old one is asked to stop when the new one is ready
and it has answered what it was given: no call fails. A supervised actor, and a
program that speaks no protocol and has no --bind, is stopped first.

It ends at the first that cannot be replaced. When the time is up it goes on.`,
		Example: `  $0 restart web
  $0 restart web/2
  $0 restart web --timeout 10m`,
		ValidArgsFunction: a.completeName(supervised),
		Annotations:       map[string]string{"names": "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, _ *attached) error {
				done, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To(args[0]))
				if err != nil {
					return a.explainRestart(ctx, args[0], err)
				}
				if len(done) == 0 {
					p := &problem{exit: exitFailed, code: "nothing", text: fmt.Sprintf("nothing was restarted: all of %s is stopped, or it has no workers", args[0])}
					return p.hint("start it", a.program+" start "+quote(args[0])).hint("see how it is", a.program+" inspect "+quote(args[0]))
				}
				return a.printSlots(done, "was restarted")
			})
		},
	})
}

func (a *app) explainRestart(ctx context.Context, name string, err error) error {
	p := a.explain(ctx, err)
	switch {
	case errors.Is(err, actor.ErrDeadline):
		p.text = fmt.Sprintf("%s is not restarted within %v", name, a.timeout)
		p.why = []string{"it goes on: nobody waits for it any more"}
		p.hints = nil
		p.hint("see how far it is", a.program+" events -f "+quote(name)).hint("wait longer next time", a.again("--timeout", longer(a.timeout)))
	case errors.Is(err, actor.ErrApp), errors.Is(err, actor.ErrDown):
		p.hint("see what it prints", a.program+" logs "+quote(name)+" --since 2m")
	case errors.Is(err, actor.ErrRefused):
		var e *actor.Error
		if errors.As(err, &e) {
			p.text = e.Message
		}
	}
	return p
}

// printSlots says of each slot what was done.
func (a *app) printSlots(names []string, what string) error {
	switch a.format {
	case "json":
		return a.print(names)
	case "jsonl":
		for _, name := range names {
			if err := a.print(name); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range names {
		line := name
		if a.format != "name" {
			line += " " + what
		}
		if _, err := fmt.Fprintln(a.out, line); err != nil {
			return err
		}
	}
	return nil
}
