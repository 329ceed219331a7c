package cli

import (
	"context"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

// completionWait is how long a shell that completes a name waits for the arbiter.
const completionWait = time.Second

// Who may be meant.
func everybody(actor.Info) bool { return true }

func pools(i actor.Info) bool { return i.Kind == "pool" && i.Name != "" }

// supervised is who can be started again: pools and their workers, and those with a
// restart policy, which ps does not tell from others that have a name.
func supervised(i actor.Info) bool { return i.Name != "" && i.Kind != "arbiter" }

// completeName completes one argument, to the name of an actor that wanted says may be
// meant. Where no arbiter answers, there is nothing to complete.
func (a *app) completeName(wanted func(actor.Info) bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.names(cmd.Context(), begun, wanted), cobra.ShellCompDirectiveNoFileComp
	}
}

// names lists who is there and may be meant, each with what it is and how it does.
func (a *app) names(ctx context.Context, begun string, wanted func(actor.Info) bool) (list []string) {
	a.timeout = completionWait
	if ctx == nil {
		ctx = context.Background()
	}
	_ = a.attach(ctx, func(ctx context.Context, _ *attached) error { // who completes wants no errors
		all, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
		for _, i := range all {
			if name := nameOf(i); wanted(i) && strings.HasPrefix(name, begun) {
				list = append(list, cobra.CompletionWithDesc(name, i.Kind+", "+i.State))
			}
		}
		return err
	})
	return list
}
