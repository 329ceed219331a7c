// Command scale has an arbiter, a program of its own, hold many connections, actors
// and workers, from several client programs, and says what that takes. Each scene ends
// within a minute. README.md of bench says how it is run, docs/scale.md what came out.
//
//	cd bench && go run ./scale -run idle
//
// The exit code is 1 when a call had no outcome, a message was lost, or a scene failed.
// A goal that is missed is printed, and does not change it: it depends on the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter"
)

func main() {
	hook := arbiter.Child(workerKind)
	if code, ok := act(hook); ok {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// sizes say how much of everything there is.
type sizes struct {
	conns     int           // connections
	clients   int           // programs they are from
	actors    int           // goroutine actors
	workers   int           // of a pool, in goroutines
	processes int           // of a pool, in processes
	mesh      int           // actors that call each other
	rest      time.Duration // how long heartbeats are watched
	work      time.Duration // how long what has no end of its own goes on
	seed      uint64        // what is random follows from it
}

func full() sizes {
	return sizes{conns: 10_000, clients: 4, actors: 1_000_000, workers: 1_000, processes: 100, mesh: 64,
		rest: 30 * time.Second, work: 5 * time.Second, seed: 1}
}

func run(ctx context.Context, args []string) error {
	s := full()
	flags := flag.NewFlagSet("scale", flag.ContinueOnError)
	pattern := flags.String("run", "", "play the scenes whose names match this `regexp`")
	jsonFile := flags.String("json", "", "also write a JSON line a figure to this `file`")
	list := flags.Bool("list", false, "list the scenes")
	profile := flags.String("profile", "", "write profiles of the arbiter's processor and memory into this `folder`")
	flags.IntVar(&s.conns, "conns", s.conns, "connections")
	flags.IntVar(&s.clients, "clients", s.clients, "programs they are from")
	flags.IntVar(&s.actors, "actors", s.actors, "goroutine actors")
	flags.IntVar(&s.workers, "workers", s.workers, "workers of a pool, in goroutines")
	flags.IntVar(&s.processes, "processes", s.processes, "workers of a pool, in processes")
	flags.DurationVar(&s.rest, "rest", s.rest, "how long heartbeats are watched")
	flags.DurationVar(&s.work, "work", s.work, "how long callers call")
	flags.Uint64Var(&s.seed, "seed", s.seed, "what is random follows from it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("what is %q? There are flags only; see -h", flags.Arg(0))
	}
	re, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	var chosen []scene
	for _, sc := range scenes {
		if re.MatchString(sc.name) {
			chosen = append(chosen, sc)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no scene matches %q; -list lists them", *pattern)
	}
	if *list {
		for _, sc := range chosen {
			fmt.Printf("%-14s %s\n", sc.name, sc.about)
		}
		return nil
	}
	if max := descriptors() - spareDescriptors; s.conns > max {
		return fmt.Errorf("%d connections need more descriptors than the %d a process may have: see ulimit -Hn, or -conns %d", s.conns, descriptors(), max)
	}
	if *profile != "" {
		if err := os.MkdirAll(*profile, 0o755); err != nil {
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
	fmt.Println(system())
	var failed error
	for _, sc := range chosen {
		figures, err := play(ctx, sc, s, *profile)
		write(os.Stdout, sc, figures, err)
		if out != nil {
			failed = errors.Join(failed, writeJSON(out, sc, figures))
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", sc.name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}
