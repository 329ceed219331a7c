package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"syscall"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/websocket"
	"github.com/spf13/cobra"
)

func (a *app) upCommand() *cobra.Command {
	var name, listen, token string
	var pulsar func() (arbiter.PulsarOptions, error)
	var origins []string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "run an arbiter until it is interrupted",
		Long: `Runs an arbiter on its control socket until it is interrupted (exit code 130), or
stopped by SIGTERM or by the command stop (0). Actors join by actor.Serve, or by
websocket with --listen, or are spawned of the kinds of this program. With -o json it prints where it listens.`,
		Example: `  $0 up
  $0 call arbiter spawn kind=renderer in=process    # from another terminal
  ARBITER_TOKEN=sesame $0 up --listen 127.0.0.1:7978
  $0 up --pulsar 127.0.0.1:7979 --pulsar-aids a1,a2`,
		Args:        a.arguments(0, 0),
		Annotations: map[string]string{"names": "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if token == "" {
				token = os.Getenv(actor.EnvToken)
			}
			if err := a.checkUp(name, listen, token); err != nil {
				return err
			}
			o := arbiter.Options{Name: name, Listen: listen, Token: token}
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
	pulsar = a.pulsarFlags(cmd)
	return cmd
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
	o.Child, o.Kinds, o.Output = a.hook, a.kinds, a.err
	o.Control = true
	o.Logger = slog.New(slog.NewTextHandler(a.err, nil))
	arb, err := arbiter.Start(ctx, o)
	if err != nil {
		return a.explainStart(o, err)
	}
	err = a.printUp(arb, o.Name)
	if err == nil {
		select {
		case <-ctx.Done():
		case <-arb.Done():
		}
		fmt.Fprintln(a.err, "stopping")
	}
	if killed := arb.Stop(context.WithoutCancel(ctx)); killed != nil {
		err = errors.Join(err, &problem{exit: exitFailed, code: "killed", text: killed.Error(), err: killed, stands: true})
	}
	var by interruption
	if err == nil && errors.As(context.Cause(ctx), &by) && by.signal == os.Interrupt {
		return &problem{exit: exitInterrupted, code: "interrupted", stands: true} // it is how up ends: nothing to say
	}
	return err
}

// printUp says where arb can be found.
func (a *app) printUp(arb *arbiter.Arbiter, name string) error {
	switch {
	case a.asJSON():
		return a.print(struct {
			Name      string   `json:"name"`
			PID       int      `json:"pid"`
			Addresses []string `json:"addresses"`
		}{name, os.Getpid(), arb.Addresses()})
	case a.format == "name":
		for _, at := range arb.Addresses() {
			if _, err := fmt.Fprintln(a.out, at); err != nil {
				return err
			}
		}
		return nil
	}
	for _, at := range arb.Addresses() {
		fmt.Fprintln(a.err, "listening at", at)
	}
	fmt.Fprintf(a.err, "see who is there, from another terminal:  %s ps\n", a.program)
	return nil
}

// explainStart says why an arbiter could not be started.
func (a *app) explainStart(o arbiter.Options, err error) error {
	_, port, _ := net.SplitHostPort(o.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && o.Listen != "":
		p := &problem{exit: exitFailed, code: "port-in-use", text: "cannot listen at " + o.Listen + ": the port is taken", err: err}
		return p.hint("see by whom", whoListens(port)).hint("take a free one", a.again("--listen", "127.0.0.1:0"))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		p := &problem{exit: exitFailed, code: "failed", text: "cannot listen at " + o.Listen + ": this machine does not have that address", err: err}
		return p.hint("listen for this machine only", a.again("--listen", "127.0.0.1:"+port))
	case errors.Is(err, syscall.EACCES) && o.Listen != "":
		p := &problem{exit: exitFailed, code: "failed", text: err.Error(), err: err}
		return p.because("ports below 1024 are for root").hint("take a free one", a.again("--listen", "127.0.0.1:0"))
	}
	return err
}

// whoListens is the command that says who has a TCP port.
func whoListens(port string) string {
	switch runtime.GOOS {
	case "linux":
		return "ss -ltnp 'sport = :" + port + "'"
	case "windows":
		return "netstat -ano | findstr :" + port
	}
	return "lsof -nP -iTCP:" + port + " -sTCP:LISTEN"
}
