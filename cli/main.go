// Package cli is the command line as a library: cli.Main gives a program of the
// user's own the commands of arbiter, with its own kinds.
//
// The commands are ordinary clients. They join the arbiter's control socket as an
// actor that only calls, and send commands to the actor "arbiter" or to whom the
// user names. Data goes to standard output, everything else to standard error.
package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/spf13/cobra"
)

// app is what the commands share.
type app struct {
	hook    *arbiter.ChildHook
	kinds   []actor.Behaviour
	out     io.Writer
	err     io.Writer
	program string   // as the user types it: hints and examples work when typed
	args    []string // what was typed after it

	// The flags that commands share.
	addr    string
	format  string
	timeout time.Duration
}

// Main runs the command line and exits; see docs of each command with --help. In a
// process that an arbiter started as one of kinds, or as an actor of the demo, it
// runs that actor instead, so it is to be called first thing in main.
func Main(kinds ...actor.Behaviour) {
	all := append([]actor.Behaviour{renderer}, kinds...)
	hook := arbiter.Child(all...)
	ctx := signalled()
	errs := proc.NewOutput(os.Stderr) // what is hosted goes on when nobody reads what is said
	a := &app{hook: hook, kinds: all, out: os.Stdout, err: errs, program: typed()}
	code := a.run(ctx, os.Args[1:])
	_ = errs.Close() // if nobody reads it there is nowhere to say so
	os.Exit(code)
}

// signalled returns a context that ends, with an interruption as its cause, at the
// first signal that asks for the end: also when the terminal goes away, unless that
// is ignored, as under nohup. A SIGINT after that ends the program at once; the others
// are not made more urgent by being sent twice, as service managers do. It is for a
// program that exits when ctx is no longer of use.
func signalled() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGABRT)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		cancel(interruption{<-signals})
		for <-signals != os.Interrupt {
		}
		os.Exit(exitInterrupted)
	}()
	return ctx
}

// run runs one command and returns its exit code.
func (a *app) run(ctx context.Context, args []string) int {
	a.args, a.format = args, formatIn(args) // errors of the flags themselves are to have it, too
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	p := a.explain(ctx, err)
	a.report(p)
	return p.exit
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:         filepath.Base(a.program),
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: a.program},
		Version:     version(),
		Short:       "supervised actors that message each other",
		Long: `Hosts actors and carries their messages.

Data goes to standard output, everything else to standard error; with -o json
errors are JSON too. Exit codes: 0 done, 1 failed, 2 usage, 4 no such actor or
command, 5 no arbiter there, 6 refused, 7 timed out, 130 interrupted.`,
		Example: `  $0 demo                   # see it work: needs nothing else
  $0 run -w 4 -- CMD ARG…   # supervise a program
  $0 up                     # an arbiter that waits for actors to join
  $0 ps                     # who is there, from another terminal`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		Args:              a.knownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.checkFormat(cmd) },
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(a.flagError)
	root.PersistentFlags().VarP(&flag[string]{&a.format, parseFormat, "FORMAT"}, "output", "o", "table, wide, json, jsonl (one value a line) or name")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp)) // the flag is there
	root.AddCommand(a.demoCommand(), a.runCommand(), a.upCommand(), a.joinCommand(), a.psCommand(), a.callCommand(), a.sendCommand(), a.stopCommand(), a.killCommand(), a.startCommand(), a.restartCommand(), a.scaleCommand(), a.inspectCommand(), a.logsCommand(), a.eventsCommand())
	root.SetHelpCommand(a.helpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.Short = "print the completions of a shell: bash, zsh, fish or powershell"
			c.Args = func(*cobra.Command, []string) error { return nil }
			c.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return a.unknownCommand(cmd, args[0])
				}
				return cmd.Help()
			}
			for _, shell := range c.Commands() {
				shell.Args = a.arguments(0, 0)
			}
		}
		c.Example = strings.ReplaceAll(c.Example, "$0 ", a.program+" ")
	}
	root.Example = strings.ReplaceAll(root.Example, "$0 ", a.program+" ")
	return root
}

// helpCommand is cobra's, but for what it says of a command that is not there.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "explain a command", Args: a.arguments(0, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil:
				return a.unknownCommand(cmd.Root(), args[0])
			case len(rest) > 0:
				return a.unknownCommand(of, rest[0])
			}
			of.InitDefaultHelpFlag()
			of.InitDefaultVersionFlag()
			return of.Help()
		},
	}
}

// knownCommand is the Args of the root: what is left there is no command.
func (a *app) knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return a.unknownCommand(root, args[0])
}

// unknownCommand says that of has no command called name.
func (a *app) unknownCommand(of *cobra.Command, name string) error {
	p := usage("there is no command %q", name)
	var names []string
	for _, c := range of.Commands() {
		if c.IsAvailableCommand() || c.Name() == "help" {
			names = append(names, c.Name())
		}
	}
	p.text += didYouMean(name, names)
	return p.hint("see what there is", of.CommandPath()+" --help")
}

// didYouMean asks for which of names is meant by name, which is none of them; "": none is near.
func didYouMean(name string, names []string) string {
	among := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, n := range names {
		among.AddCommand(&cobra.Command{Use: n, Run: func(*cobra.Command, []string) {}})
	}
	near := among.SuggestionsFor(name)
	if len(near) == 0 {
		return ""
	}
	// All are as near; who types "scael" means scale and not call, and "--worker" --workers and not --worker-env.
	return fmt.Sprintf("; did you mean %q?", slices.MaxFunc(near, func(a, b string) int {
		return cmp.Or(cmp.Compare(samePrefix(a, name), samePrefix(b, name)), cmp.Compare(len(b), len(a)))
	}))
}

// samePrefix returns with how many bytes that are the same a and b begin.
func samePrefix(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// arguments says how many a command takes: from least to most, or without a bound
// if most is negative. Its Use names them.
func (a *app) arguments(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		var p *problem
		switch {
		case most == 0 && len(given) > 0:
			p = usage("%s takes no arguments, and %q is one", cmd.Name(), given[0])
		case len(given) < least:
			p = usage("arguments are missing: %s", cmd.Use)
		case most >= 0 && len(given) > most:
			p = usage("%q is one argument too many: %s", given[most], cmd.Use)
		default:
			return nil
		}
		return p.hint("see how it is used", cmd.CommandPath()+" --help")
	}
}

// again returns the command line as it was typed, with flag added or replaced.
func (a *app) again(flag, value string) string {
	words := []string{a.program}
	args := slices.Clone(a.args)
	rest := []string{} // what no flag can follow
	if n := slices.Index(args, "--"); n >= 0 {
		args, rest = args[:n], args[n:]
	}
	for n := 0; n < len(args); n++ {
		switch {
		case args[n] == flag && flag != "":
			n++
		case flag != "" && strings.HasPrefix(args[n], flag+"="):
		default:
			words = append(words, quote(args[n]))
		}
	}
	if flag != "" {
		words = append(words, flag, value)
	}
	for _, word := range rest {
		words = append(words, quote(word))
	}
	return strings.Join(words, " ")
}

// typed returns how the user starts this program again.
func typed() string {
	name := os.Args[0]
	exe, err := os.Executable()
	if err == nil && strings.Contains(filepath.ToSlash(exe), "/go-build") {
		if info, ok := debug.ReadBuildInfo(); ok && info.Path != "" && info.Path != "command-line-arguments" {
			return "go run " + info.Path // go run removes the program again
		}
	}
	if strings.ContainsAny(name, " \t'\"$&;") {
		return filepath.Base(name)
	}
	return name
}

// version is that of the program's module.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}
