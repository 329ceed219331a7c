package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) upCommand() *cobra.Command {
	var name, listen, token string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "run an arbiter until interrupted",
		Long: `up runs an arbiter on its control socket until it is interrupted. Actors join by
actor.Serve, or are spawned of this program's kinds:

  arbiter call arbiter spawn '{"kind":"renderer","in":"process"}'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if token == "" {
				token = os.Getenv(actor.EnvToken)
			}
			if listen != "" && token == "" {
				return &usageError{fmt.Errorf("--listen needs a token, or whoever reaches the port commands every actor\n  set %s, or give --token", actor.EnvToken)}
			}
			return a.up(cmd.Context(), arbiter.Options{Name: name, Listen: listen, Token: token})
		},
	}
	cmd.Flags().StringVar(&name, "name", "arbiter", "tells this arbiter from your others")
	cmd.Flags().StringVar(&listen, "listen", "", "also take actors at this TCP address, such as 127.0.0.1:7978")
	cmd.Flags().StringVar(&token, "token", "", "what actors that join over TCP must know (default $ARBITER_TOKEN)")
	return cmd
}

func (a *app) up(ctx context.Context, o arbiter.Options) error {
	o.Child, o.Kinds, o.Output = a.hook, a.kinds, a.err
	o.Control = true
	o.Logger = slog.New(slog.NewTextHandler(a.err, nil))
	arb, err := arbiter.Start(ctx, o)
	if err != nil {
		return err
	}
	for _, at := range arb.Addresses() {
		fmt.Fprintln(a.err, "listening at", at)
	}
	fmt.Fprintln(a.err, "see who is there, from another terminal:  arbiter ps")
	select {
	case <-ctx.Done():
	case <-arb.Done():
	}
	fmt.Fprintln(a.err, "stopping")
	if err := arb.Stop(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(errors.New("not everything stopped by itself"), err)
	}
	return nil
}
