package cli

import (
	"context"
	"net"
	"net/url"
	"os"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/websocket"
	"github.com/spf13/cobra"
)

func (a *app) upCommand() *cobra.Command {
	var name, listen, token string
	var pulsar func() (arbiter.PulsarOptions, error)
	var origins []string
	var budget amount
	cmd := &cobra.Command{
		Use:   "up",
		Short: "run an arbiter until it is interrupted",
		Long: `Runs an arbiter on its control socket until it is interrupted (exit code 130), or
stopped by SIGTERM or by the command stop (0). Actors join by actor.Serve or an SDK,
with --listen over TCP and by websocket, too, or are spawned: of the kinds of this
program, or as programs of their own. With -o json it prints where it listens.`,
		Example: `  $0 up
  $0 call arbiter spawn kind=renderer in=process    # from another terminal
  $0 call arbiter spawn run='["python3", "worker.py"]' name=thumbs
  ARBITER_TOKEN=sesame $0 up --listen 127.0.0.1:7978
  $0 up --pulsar 127.0.0.1:7979 --pulsar-aids a1,a2`,
		Args:        a.arguments(0, 0),
		Annotations: map[string]string{"names": "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.needListen(cmd, listen); err != nil {
				return err
			}
			if token == "" {
				token = os.Getenv(actor.EnvToken)
			}
			if err := a.checkUp(name, listen, token); err != nil {
				return err
			}
			for _, origin := range origins {
				u, err := url.Parse(origin)
				if origin != "*" && origin != "null" && (err != nil || u.Host == "" || origin != u.Scheme+"://"+u.Host) {
					return usage("%q in --origin is none that a browser says: SCHEME://HOST[:PORT], such as https://example.com", origin)
				}
			}
			o := arbiter.Options{Name: name, Listen: listen, Token: token, MemoryBudget: int64(budget)}
			var err error
			if o.Pulsar, err = pulsar(); err != nil {
				return err
			}
			o.HTTP = func(arb *arbiter.Arbiter, c net.Conn) {
				websocket.New(arb, websocket.Options{Origins: origins}).ServeConn(c)
			}
			return a.up(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&name, "name", "arbiter", "call this arbiter `NAME`, to tell it from your others")
	cmd.Flags().StringVar(&listen, "listen", "", "also take actors at this TCP `ADDRESS`, such as 127.0.0.1:7978")
	cmd.Flags().StringSliceVar(&origins, "origin", nil, "pages of this `ORIGIN` may join by websocket at that address, such as https://example.com")
	cmd.Flags().StringVar(&token, "token", "", "what those who come by TCP must know is `SECRET` (default $ARBITER_TOKEN, which the process list does not show)")
	a.budgetFlag(cmd, &budget)
	pulsar = a.pulsarFlags(cmd)
	return cmd
}

// needListen refuses flags that say how to listen where it does not.
func (a *app) needListen(cmd *cobra.Command, listen string) error {
	for _, name := range []string{"token", "origin"} {
		if listen == "" && cmd.Flags().Changed(name) {
			return usage("--%s is for --listen, which is missing", name).hint("take actors over TCP, too", a.again("--listen", "127.0.0.1:7978"))
		}
	}
	return nil
}

// checkUp refuses what cannot be meant.
func (a *app) checkUp(name, listen, token string) error {
	if err := actor.ValidName(name); err != nil && name != actor.Arbiter.Name {
		return usage("--name: %v", err)
	}
	if listen == "" {
		return nil
	}
	_, port, err := net.SplitHostPort(listen)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil || port == "" {
		return usage("%q in --listen is no address: host:port, such as 127.0.0.1:7978", listen)
	}
	if token == "" {
		p := usage("--listen needs a token, or whoever reaches the port commands every actor")
		return p.hint("make one", "export "+actor.EnvToken+"=$(openssl rand -hex 16)").hint("and then", a.again("", ""))
	}
	return nil
}

func (a *app) up(ctx context.Context, o arbiter.Options) error {
	return a.host(ctx, o, func(arb *arbiter.Arbiter) error {
		if err := a.printHost(arb, o.Name, nil); err != nil {
			return err
		}
		a.untilEnd(ctx, arb)
		return nil
	})
}
