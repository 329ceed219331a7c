package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

// pulsarFlags gives cmd the flags by which real actors of Python's pulsar are taken, and
// returns what reads them.
func (a *app) pulsarFlags(cmd *cobra.Command) func() (arbiter.PulsarOptions, error) {
	var o arbiter.PulsarOptions
	var spawn string
	flags := cmd.Flags()
	flags.StringVar(&o.Bind, "pulsar", "", "also take real actors of Python's pulsar at this loopback `ADDRESS`, such as 127.0.0.1:7979")
	flags.StringSliceVar(&o.AIDs, "pulsar-aids", nil, "the `AIDS` that are let in there, separated by commas")
	flags.StringVar(&spawn, "pulsar-spawn", "", "start a further one by this `COMMAND`, such as 'python3.6 child.py {host} {port} {aid} {name}'")
	o.Timeout = 30 * time.Second
	flags.Var(&flag[time.Duration]{&o.Timeout, parseDuration("timeout"), "DURATION"}, "pulsar-timeout", "how long one may be silent")
	flags.BoolVar(&o.NoRun, "pulsar-no-run", false, "refuse the command run, by which any of them has any other call any function")
	return func() (arbiter.PulsarOptions, error) {
		var err error
		if spawn != "" {
			if o.Spawn, err = words(spawn); err != nil {
				return o, usage("--pulsar-spawn: %v", err)
			}
		}
		given := ""
		for _, name := range []string{"pulsar-aids", "pulsar-spawn", "pulsar-timeout", "pulsar-no-run"} {
			if flags.Changed(name) {
				given = name
			}
		}
		if o.Bind == "" && given != "" {
			return o, usage("--%s is for --pulsar, which is missing", given).hint("take them at a loopback address", a.again("--pulsar", "127.0.0.1:7979"))
		}
		for _, aid := range o.AIDs {
			if err := actor.ValidName(aid); err != nil {
				return o, usage("--pulsar-aids: %v", err)
			}
		}
		if err := o.Validate(); err != nil {
			return o, usage("--%v", err).hint("take them at a loopback address", a.again("--pulsar", "127.0.0.1:7979"))
		}
		return o, nil
	}
}

// words splits a command as a shell does it: at spaces, but for those in quotes.
func words(text string) (list []string, err error) {
	var word strings.Builder
	begun, quoted := false, rune(0)
	for _, r := range text {
		switch {
		case quoted != 0 && r == quoted:
			quoted = 0
		case quoted == 0 && (r == '\'' || r == '"'):
			begun, quoted = true, r
		case quoted == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if begun {
				list = append(list, word.String())
				word.Reset()
				begun = false
			}
		default:
			begun = true
			word.WriteRune(r)
		}
	}
	if quoted != 0 {
		return nil, fmt.Errorf("the quote %c is not closed", quoted)
	}
	if begun {
		list = append(list, word.String())
	}
	if len(list) == 0 || list[0] == "" {
		return nil, fmt.Errorf("there is no command in it")
	}
	return list, nil
}

func (a *app) joinCommand() *cobra.Command {
	var at, aid, name string
	cmd := &cobra.Command{
		Use:   "join --pulsar HOST:PORT --aid AID",
		Short: "be an actor of a real arbiter of Python's pulsar",
		Long: `Joins a real arbiter of Python's pulsar (1.6 or 2.0) as an actor that answers the
built-in commands: ping, echo, info, config, stop. The arbiter must expect the aid.
It ends when it is stopped, or the arbiter does.`,
		Example: `  $0 join --pulsar 127.0.0.1:50321 --aid a1`,
		Args:    a.arguments(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, _, err := net.SplitHostPort(at); err != nil {
				return usage("--pulsar is the address of the arbiter's mailbox: host:port").hint("for example", a.again("--pulsar", "127.0.0.1:50321"))
			}
			if err := actor.ValidName(aid); err != nil {
				return usage("--aid: %v", err).hint("for example", a.again("--aid", "a1"))
			}
			outliveReaders()
			kind := &actor.Kind[actor.None]{Name: "actor", New: func(context.Context) (actor.None, error) { return actor.None{}, nil }}
			m := actor.NewMember("pulsar:"+at, kind, actor.JoinOptions{AID: aid, Name: name})
			defer m.Close()
			ref, err := m.Ref(cmd.Context())
			var dial *net.OpError
			if errors.As(err, &dial) && dial.Op == "dial" {
				return noArbiter("there is no arbiter of pulsar at %s: %v", at, dial.Err).because("it takes another port at each start, unless it is told which")
			}
			if errors.Is(err, context.DeadlineExceeded) {
				p := &problem{exit: exitTimeout, code: "deadline", text: "what listens at " + at + " has not answered", err: err}
				return p.because("it hangs or is stopped, or is no arbiter of pulsar's")
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(a.err, "joined the pulsar arbiter at %s as %s\n", at, ref)
			return m.Serve(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&at, "pulsar", "", "the `ADDRESS` of the arbiter's mailbox, host:port")
	cmd.Flags().StringVar(&aid, "aid", "", "the `AID` to be known by")
	cmd.Flags().StringVar(&name, "name", "", "the `NAME` it says it has (default actor)")
	return cmd
}
