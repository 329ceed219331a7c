package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/supervise"
	"github.com/spf13/cobra"
)

func (a *app) runCommand() *cobra.Command {
	p := &program{app: a, jitter: -1}
	p.args.Workers = 1
	cmd := &cobra.Command{
		Use:   "run [flags] -- CMD [ARG…]",
		Short: "supervise a program: as many processes of it as you like",
		Long: `Runs an arbiter with one pool of a program, until it is interrupted (exit code 130),
stopped by SIGTERM or the command stop arbiter (0), until its workers have exited for
good (0 if all did so with code 0), or until it has given up on them (1): then it says
why. A second interrupt ends it at once.

The program may be any: it is started, watched, and started again when it fails. Lines
it prints come out here, after the name of the worker. With --messages it speaks the
protocol of actors, and takes messages. In each worker ARBITER_NAME is its name;
--env and --worker-env set variables in its environment.`,
		Example: `  $0 run -w 4 -- python3 server.py
  $0 run --name web -w 4 -b :8080 -- ./server    # inherits the socket, as LISTEN_FDS says
  $0 run -w 2 --worker-env 'PORT=800{index}' --memory 512MiB -- node app.js
  $0 run --messages --min 1 --max 8 -- python3 resize.py`,
		Args:        a.arguments(1, -1),
		Annotations: map[string]string{"names": "yes"},
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := p.complete(words, cmd.Flags().Changed); err != nil {
				return err
			}
			return p.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows the program is its own
	f.VarP(&flag[int]{&p.args.Workers, parseWorkers, "N"}, "workers", "w", "how many processes, or auto: one for each processor")
	f.StringArrayVarP(&p.args.Bind, "bind", "b", nil, "listen at `ADDRESS` once, for all workers: host:port or unix:/path; may be repeated")
	f.StringVar(&p.args.Name, "name", "", "call the pool `NAME`, and its workers NAME/1, NAME/2 and so on (default: as the program)")
	f.BoolVar(&p.messages, "messages", false, "the program speaks the protocol of actors and takes messages")

	f.Var(&flag[supervise.Restart]{&p.restart, parseRestart, "WHEN"}, "restart", "always, on-failure or never")
	f.Var(&flag[backoff]{&p.backoff, parseBackoff, "MIN-MAX"}, "backoff", "how long to wait before a restart: from MIN, twice as long each time, up to MAX (default 200ms-30s)")
	f.Var(&flag[giveUp]{&p.giveUp, parseGiveUp, "N/TIME"}, "give-up", "after how many crashes of each worker in what time to give up, or never (default 5/1m)")
	f.Var(&flag[string]{&p.args.Worker.StopSignal, parseSignal, "SIGNAL"}, "stop-signal", "what asks the program to stop (default TERM)")
	f.Var(&flag[time.Duration]{&p.args.Worker.Grace, parseDuration("grace"), "TIME"}, "grace", "how long it may take to stop before it is killed (default 5s)")

	f.StringArrayVarP(&p.args.Worker.Env, "env", "e", nil, "set `NAME=value` in the environment; may be repeated")
	f.StringArrayVar(&p.args.WorkerEnv, "worker-env", nil, "likewise `NAME=value`, with {index} from 1, {index0} from 0, {slot} and {pool} replaced")
	f.StringVar(&p.args.Worker.Dir, "cwd", "", "run the program in `DIR`")
	f.StringVar(&p.user, "user", "", "run the program as `USER[:GROUP]`, by name or number; takes privilege")
	f.Var(&flag[amount]{&p.memory, parseBytes, "SIZE"}, "memory", "the most each worker may use with its descendants, such as 512MiB; takes cgroups, and warns where there are none")

	a.budgetFlag(cmd, &p.budget)
	f.StringVar(&p.o.PIDFile, "pid-file", "", "write the arbiter's process id to `FILE`")
	f.StringVar(&p.o.LogDir, "log-dir", "", "also write what each worker prints to a file of its own in `DIR`")

	f.VarP(&flag[time.Duration]{&p.args.Worker.HeartbeatTimeout, parseDuration("timeout"), "TIME"}, "timeout", "t", "with --messages: end a worker that gives no sign of life for so long (default 20s)")
	f.Var(&flag[time.Duration]{&p.args.Worker.StartTimeout, parseDuration("timeout"), "TIME"}, "start-timeout", "with --messages: how long a worker may take to be ready (default 30s)")
	f.Var(&flag[int]{&p.requests, wholeNumber("is no number of messages", 1, mostMessages), "N"}, "max-requests", "with --messages: replace a worker after so many messages")
	f.Var(&flag[int]{&p.jitter, wholeNumber("is no number of messages", 0, mostMessages), "N"}, "max-requests-jitter", "by how many that may differ, at random (default: a tenth)")
	f.Var(&flag[int]{&p.args.Min, wholeNumber("is no number of workers", 1, mostWorkers), "N"}, "min", "with --messages and --max: the fewest workers (default 1)")
	f.Var(&flag[int]{&p.args.Max, wholeNumber("is no number of workers", 1, mostWorkers), "N"}, "max", "with --messages: the most workers; one more when messages wait, one less when there is nothing to do")
	for _, name := range []string{"backoff", "give-up", "grace", "memory", "timeout", "start-timeout", "max-requests", "max-requests-jitter", "min", "max"} {
		f.Lookup(name).DefValue = "" // none, or said in the text
	}
	return cmd
}

// run hosts the arbiter until the pool is at its end.
func (p *program) run(ctx context.Context) error {
	return p.app.host(ctx, p.o, func(arb *arbiter.Arbiter) error {
		pool, err := arb.Pool(ctx, nil, p.args)
		if err != nil {
			if ctx.Err() != nil {
				return nil // it was told to end before it had begun
			}
			return p.explainStart(ctx, err)
		}
		if err := p.print(ctx, arb, pool); err != nil {
			return err
		}
		p.warn(ctx, arb)
		err = p.watch(ctx, arb, pool)
		fmt.Fprintln(p.app.err, "stopping")
		return err
	})
}

// print says what runs, and where it can be found.
func (p *program) print(ctx context.Context, arb *arbiter.Arbiter, pool actor.Ref) error {
	a := p.app
	i, err := actor.InspectActor.Call(arb.Context(ctx), actor.Arbiter, pool)
	if err != nil || i.Pool == nil {
		return nil // somebody has ended it already; watch sees that
	}
	if a.format != "table" {
		return a.printHost(arb, p.o.Name, i.Pool.Bind)
	}
	at := ""
	if len(i.Pool.Bind) > 0 {
		at = ", listening at " + strings.Join(i.Pool.Bind, " and ")
	}
	fmt.Fprintf(a.err, "%s: %s of %s%s\n", p.args.Name, count(i.Info.Wanted, "worker"), p.args.Worker.Run[0], at)
	for _, at := range arb.Addresses() {
		fmt.Fprintln(a.err, "control socket at", at)
	}
	a.hintPs(arb, "see how they do")
	return nil
}

// warn says that a bound that was asked for does not hold here, which nobody would see
// otherwise until it is wanted.
func (p *program) warn(ctx context.Context, arb *arbiter.Arbiter) {
	if p.memory == 0 {
		return
	}
	i, err := actor.InspectActor.Call(arb.Context(ctx), actor.Arbiter, actor.Arbiter)
	if err != nil {
		return // it is ending; watch sees that
	}
	if why := proc.MemoryUnbounded(i.Weak); why != "" {
		fmt.Fprintf(p.app.err, "warning: --memory is not in force: %s\n", why)
		fmt.Fprintf(p.app.err, "  all that is weaker here:  %s inspect arbiter\n", p.app.program)
	}
}

// explainStart says why there is no pool.
func (p *program) explainStart(ctx context.Context, err error) error {
	a := p.app
	e := a.explain(ctx, err)
	var down *actor.DownError
	var refused *actor.Error
	switch {
	case errors.As(err, &down):
		quiet := down.Death
		quiet.Stderr = nil
		e.code, e.hints = string(down.Cause), nil
		e.text = fmt.Sprintf("%s %s", down.Err.Target, quiet)
		if p.messages && strings.Contains(down.Reason, "not ready") {
			e.because("with --messages a program is ready when it has said hello to the arbiter")
		}
	case errors.As(err, &refused) && strings.Contains(refused.Message, syscall.EADDRINUSE.Error()):
		e.code, e.exit, e.text, e.hints = "port-in-use", exitFailed, refused.Message, nil
		for _, address := range p.args.Bind {
			if !strings.Contains(refused.Message, address) && !strings.Contains(refused.Message, strings.TrimPrefix(address, "unix:")) {
				continue
			}
			if path, ok := strings.CutPrefix(address, "unix:"); ok {
				e.hint("see by whom", "lsof "+quote(path))
			} else if _, port, err := net.SplitHostPort(address); err == nil {
				e.hint("see by whom", whoListens(port))
			}
		}
	case errors.As(err, &refused):
		e.text, e.hints = refused.Message, nil
	}
	return e
}
