// Command bench measures how fast arbiter and others carry messages, side by side,
// and prints a table with ratios. README.md says what the figures mean.
//
//	cd bench && go run . -quick
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter/bench/load"
	"github.com/arbiter-go/arbiter/bench/peers"
)

func main() {
	set := peers.All()
	if code, ok := load.Child(set); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, set, os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, set load.Set, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	jsonFile := flags.String("json", "", "also write a JSON line a figure to this `file`")
	quick := flags.Bool("quick", false, "take 60 s at most; the figures are rougher")
	figures := flags.String("run", "", "measure the figures whose names match this `regexp`")
	names := flags.String("peers", "", "measure these peers, `a,b`; ratios are to those among them")
	rounds := flags.Int("rounds", 0, "turns of each peer at each figure (default 5, with -quick 3)")
	each := flags.Duration("each", time.Second, "how long a turn takes, at most 1m")
	count := flags.Int("count", 0, "end a turn after this many messages (default: no such end)")
	profile := flags.String("profile", "", "write a processor profile of every process into this `folder`")
	list := flags.Bool("list", false, "list the figures and the peers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("what is %q? There are flags only; see -h", flags.Arg(0))
	}
	o := load.Options{Rounds: *rounds, Work: load.Work{Each: min(*each, time.Minute), Count: *count}}
	limit := time.Hour
	if *quick {
		o.Budget, limit = 45*time.Second, 58*time.Second
		if o.Rounds == 0 {
			o.Rounds = 3
		}
	}
	var err error
	if o.Set, err = choose(set, *names); err != nil {
		return err
	}
	if o.Figures, err = match(*figures); err != nil {
		return err
	}
	if *list {
		print(o)
		return nil
	}
	if *profile != "" {
		if err := os.MkdirAll(*profile, 0o755); err != nil {
			return err
		}
		if err := os.Setenv(load.ProfileEnv, *profile); err != nil {
			return err
		}
	}
	var out *os.File
	if *jsonFile != "" {
		if out, err = os.Create(*jsonFile); err != nil {
			return err
		}
		defer out.Close()
	}
	o.Progress = func(f load.Figure, round, rounds int) {
		fmt.Fprintf(os.Stderr, "\r%-14s round %d of %d ", f.Name, round+1, rounds)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cells, err := load.Run(ctx, o)
	fmt.Fprint(os.Stderr, "\r                              \r")
	if err != nil {
		err = fmt.Errorf("cut short: %w", err)
	}
	return errors.Join(err, report(cells, out))
}

// report prints the table, writes the lines, and says whether a peer failed.
func report(cells []load.Cell, out *os.File) error {
	lines := load.Lines(cells, time.Now())
	if len(lines) > 0 {
		fmt.Println(lines[0].System)
	}
	if err := load.WriteTable(os.Stdout, cells, lines); err != nil {
		return err
	}
	if out != nil {
		if err := load.WriteJSON(out, lines); err != nil {
			return err
		}
	}
	failed := 0
	for _, c := range cells {
		if c.Err != nil {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d measurements failed; the table says why", failed)
	}
	return nil
}

// choose keeps the peers that are named, all if none is.
func choose(set load.Set, names string) (load.Set, error) {
	if names == "" {
		return set, nil
	}
	wanted := strings.Split(names, ",")
	known := []string{}
	chosen := load.Set{}
	for _, p := range set.Peers {
		known = append(known, p.Info().Name)
		if slices.Contains(wanted, p.Info().Name) {
			chosen.Peers = append(chosen.Peers, p)
		}
	}
	for _, l := range set.Locals {
		known = append(known, l.Info().Name)
		if slices.Contains(wanted, l.Info().Name) {
			chosen.Locals = append(chosen.Locals, l)
		}
	}
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return set, fmt.Errorf("there is no peer %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// match keeps the figures whose names match.
func match(pattern string) ([]load.Figure, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(load.Figures(), func(f load.Figure) bool { return !re.MatchString(f.Name) })
	if len(all) == 0 {
		return nil, fmt.Errorf("no figure matches %q; -list lists them", pattern)
	}
	return all, nil
}

func print(o load.Options) {
	for _, f := range o.Figures {
		fmt.Printf("%-14s %s\n", f.Name, f.About)
	}
	fmt.Println()
	for _, p := range o.Set.Peers {
		fmt.Printf("%-18s %s\n", p.Info().Name, p.Info().About)
	}
	for _, l := range o.Set.Locals {
		fmt.Printf("%-18s %s\n", l.Info().Name, l.Info().About)
	}
}
