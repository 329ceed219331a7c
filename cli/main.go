// Package cli is the command line as a library: cli.Main gives a program of the
// user's own the commands of arbiter, with its own kinds.
//
// The commands are ordinary clients. They join the arbiter's control socket as an
// actor that only calls, and send commands to the actor "arbiter" or to whom the
// user names. Data goes to standard output, everything else to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

// app is what the commands share.
type app struct {
	hook    *arbiter.ChildHook
	kinds   []actor.Behaviour
	out     io.Writer
	err     io.Writer
	addr    string
	format  string
	timeout time.Duration
}

// Main runs the command line and exits; see docs of each command with --help. In a
// process that an arbiter started as one of kinds, or as an actor of the demo, it
// runs that actor instead, so it is to be called first thing in main.
func Main(kinds ...actor.Behaviour) {
	all := append([]actor.Behaviour{renderer}, kinds...)
	a := &app{hook: arbiter.Child(all...), kinds: all, out: os.Stdout, err: os.Stderr}
	ctx, stop := arbiter.SignalContext(context.Background())
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// run runs one command and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(ctx, err)
	a.report(err, code)
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "arbiter",
		Short: "supervised actors that message each other",
		Long: `arbiter hosts actors and carries their messages.

  arbiter demo            see it work: needs nothing else
  arbiter up              an arbiter that waits for actors to join
  arbiter ps              who is there, from another terminal

Exit codes: 0 done, 1 failed, 2 usage, 4 no such actor or command, 5 no arbiter
there, 6 refused, 7 timed out, 130 interrupted.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
		PersistentPreRunE: func(*cobra.Command, []string) error { return checkFormat(a.format) },
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{fmt.Errorf("%w\n  see:  %s --help", err, cmd.CommandPath())}
	})
	flags := root.PersistentFlags()
	flags.StringVar(&a.addr, "addr", "", "the arbiter to talk to: unix:/path or host:port (default $ARBITER_ADDR, else the only one of this user)")
	flags.StringVarP(&a.format, "output", "o", "table", "table, json, jsonl or name")
	flags.DurationVar(&a.timeout, "timeout", 30*time.Second, "how long to wait for an answer")
	root.AddCommand(a.demoCommand(), a.upCommand(), a.psCommand(), a.callCommand(), a.sendCommand(), a.stopCommand(), a.killCommand())
	for _, c := range root.Commands() {
		if args := c.Args; args != nil {
			c.Args = func(cmd *cobra.Command, given []string) error {
				if err := args(cmd, given); err != nil {
					return &usageError{fmt.Errorf("%w\n  usage:  %s", err, cmd.UseLine())}
				}
				return nil
			}
		}
	}
	return root
}

// The exit codes, for scripts.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnknown     = 4 // no such actor or command
	exitNoArbiter   = 5
	exitRefused     = 6
	exitTimeout     = 7
	exitInterrupted = 130
)

// usageError is a command line that cannot be meant.
type usageError struct{ error }

// noArbiterError says that there is nobody to talk to.
type noArbiterError struct{ error }

func exitCode(ctx context.Context, err error) int {
	var usage *usageError
	var nobody *noArbiterError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case ctx.Err() != nil:
		return exitInterrupted
	case errors.As(err, &nobody):
		return exitNoArbiter
	case errors.Is(err, actor.ErrUnknownActor), errors.Is(err, actor.ErrUnknownCommand):
		return exitUnknown
	case errors.Is(err, actor.ErrRefused):
		return exitRefused
	case errors.Is(err, actor.ErrDeadline), errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, actor.ErrInvalid):
		return exitUsage
	}
	// cobra has no type for what it says of an unknown command.
	if text := err.Error(); len(text) > 15 && text[:15] == "unknown command" {
		return exitUsage
	}
	return exitFailed
}
