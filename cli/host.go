package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

// outliveReaders has this program go on when those are gone who read what it prints, as
// after "2>&1 | head": it has actors, who would all end with it, at once. SIGPIPE is taken,
// not ignored: what is ignored, programs that are started inherit.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// host runs an arbiter as o says until do returns, and stops it. Its control socket
// is open: the commands of a second terminal find it.
func (a *app) host(ctx context.Context, o arbiter.Options, do func(arb *arbiter.Arbiter) error) error {
	outliveReaders()
	o.Child, o.Kinds, o.Output, o.Control = a.hook, a.kinds, a.err, runtime.GOOS != "windows"
	level := new(slog.LevelVar)
	level.Set(slog.LevelWarn) // if it does not start, why is what matters
	o.Logger = slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
	arb, err := arbiter.Start(ctx, o)
	if err != nil {
		return a.explainStart(o, err)
	}
	level.Set(slog.LevelInfo)
	if i, err := actor.InspectActor.Call(arb.Context(ctx), actor.Arbiter, actor.Arbiter); err == nil {
		for _, weak := range i.Weak { // those noted so far
			o.Logger.Info("processes are kept less well here", "why", weak)
		}
	}
	if err = do(arb); err != nil {
		level.Set(slog.LevelWarn) // likewise
	}
	if killed := arb.Stop(context.WithoutCancel(ctx)); killed != nil {
		err = errors.Join(err, &problem{exit: exitFailed, code: "killed", text: killed.Error(), err: killed, stands: true})
	}
	var by interruption
	if err == nil && errors.As(context.Cause(ctx), &by) && by.signal == os.Interrupt {
		return interruptedQuietly()
	}
	return err
}

// budgetFlag adds the flag that bounds what the arbiter holds for others.
func (a *app) budgetFlag(cmd *cobra.Command, budget *amount) {
	cmd.Flags().Var(&flag[amount]{budget, parseBudget, "SIZE"}, "memory-budget", "the most the arbiter may hold for others, all together, such as 256MiB (default: half of what there is)")
	cmd.Flags().Lookup("memory-budget").DefValue = "" // said in the text
}

// parseBudget parses a memory budget.
func parseBudget(text string) (amount, error) {
	const least = 1 << 20
	n, err := parseBytes(text)
	if err == nil && n < least {
		return 0, usage("a memory budget of %s is too small: 1MiB at least", text)
	}
	return n, err
}

// untilEnd waits until the arbiter is to end.
func (a *app) untilEnd(ctx context.Context, arb *arbiter.Arbiter) {
	select {
	case <-ctx.Done():
	case <-arb.Done():
	}
	fmt.Fprintln(a.err, "stopping")
}

// hintPs says how to see what for from another terminal, if arb can be reached without a token.
func (a *app) hintPs(arb *arbiter.Arbiter, what string) {
	if slices.ContainsFunc(arb.Addresses(), func(at string) bool { return strings.HasPrefix(at, "unix:") }) {
		fmt.Fprintf(a.err, "%s, from another terminal:  %s ps\n", what, a.program)
	}
}

// printHost says where arb can be found, and what its workers listen at. That nobody reads it
// is no reason to end: see outliveReaders.
func (a *app) printHost(arb *arbiter.Arbiter, name string, bind []string) error {
	if err := a.printAddresses(arb, name, bind); err != nil && !errors.Is(err, syscall.EPIPE) {
		return err
	}
	return nil
}

func (a *app) printAddresses(arb *arbiter.Arbiter, name string, bind []string) error {
	switch {
	case a.asJSON():
		return a.print(struct {
			Name      string   `json:"name"`
			PID       int      `json:"pid"`
			Addresses []string `json:"addresses"`
			Bind      []string `json:"bind,omitempty"`
		}{name, os.Getpid(), arb.Addresses(), bind})
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
	a.hintPs(arb, "see who is there")
	return nil
}

// explainStart says why an arbiter could not be started.
func (a *app) explainStart(o arbiter.Options, err error) error {
	dir, _ := arbiter.ControlDir()
	var path *fs.PathError
	if errors.As(err, &path) && strings.HasPrefix(err.Error(), "cannot open the control socket") && filepath.Dir(dir) == filepath.Clean(os.Getenv("XDG_RUNTIME_DIR")) && (strings.HasPrefix(dir, path.Path) || strings.HasPrefix(path.Path, dir)) {
		p := &problem{exit: exitFailed, code: "failed", text: err.Error(), err: err}
		return p.hint("have it elsewhere", "env -u XDG_RUNTIME_DIR "+a.again("", ""))
	}
	flag, at := "--listen", o.Listen
	if o.Pulsar.Bind != "" && strings.HasPrefix(err.Error(), "cannot listen at "+o.Pulsar.Bind+": ") {
		flag, at = "--pulsar", o.Pulsar.Bind
	}
	_, port, _ := net.SplitHostPort(at)
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && at != "":
		p := &problem{exit: exitFailed, code: "port-in-use", text: "cannot listen at " + at + ": the port is taken", err: err}
		return p.hint("see by whom", whoListens(port)).hint("take a free one", a.again(flag, "127.0.0.1:0"))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		p := &problem{exit: exitFailed, code: "failed", text: "cannot listen at " + at + ": this machine does not have that address", err: err}
		return p.hint("listen for this machine only", a.again(flag, "127.0.0.1:"+port))
	case errors.Is(err, syscall.EACCES) && at != "":
		p := &problem{exit: exitFailed, code: "failed", text: err.Error(), err: err}
		return p.because("ports below 1024 are for root").hint("take a free one", a.again(flag, "127.0.0.1:0"))
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
