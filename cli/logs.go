package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

// logs is one run of the command.
type logs struct {
	app    *app
	args   actor.LogsArgs
	follow bool
	stamps bool
	said   bool // that lines are missing
}

func (a *app) logsCommand() *cobra.Command {
	l := &logs{app: a}
	last := -1
	cmd := a.attaching(&cobra.Command{
		Use: "logs [TARGET]", Short: "print what processes have printed", Args: a.arguments(0, 1),
		Long: `Prints what processes have printed to their standard output and error, each line
after the name of who did; of one actor, slot or pool, or of all. The arbiter keeps
the last 1,000 lines of each, 128 KiB at most; with --log-dir it writes all of them.`,
		Example: `  $0 logs web
  $0 logs -f web/2
  $0 logs --since 2m -n 50`,
		ValidArgsFunction: a.completeName(everybody),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				l.args.Target = args[0]
			}
			return a.join(cmd.Context(), func(ctx context.Context, at *attached) error { return l.run(ctx, at, last) })
		},
	})
	cmd.Flags().BoolVarP(&l.follow, "follow", "f", false, "go on printing, until interrupted")
	cmd.Flags().BoolVarP(&l.stamps, "timestamps", "t", false, "print when it was, too")
	cmd.Flags().Var(&flag[time.Duration]{&l.args.Within, parseDuration("time"), "DURATION"}, "since", "only what is not older than this, such as 2m")
	cmd.Flags().VarP(&flag[int]{&last, wholeNumber("is no number of lines", 0, 1_000_000), "N"}, "lines", "n", "only the last so many lines (default: all)")
	cmd.Flags().Lookup("lines").DefValue = ""
	cmd.Flags().Lookup("since").DefValue = ""
	return cmd
}

// run prints what there is, and goes on if it is to.
func (l *logs) run(ctx context.Context, at *attached, last int) error {
	if err := l.label(ctx); err != nil {
		return err
	}
	l.args.Last = max(last, 0)
	if last == 0 {
		l.args.Last = 1 // only to learn where the end is
	}
	all := []actor.LogLine{}
	end := uint64(0) // of what there was at first: more may come for ever
	for more := true; more; {
		page, err := l.page(ctx)
		if err != nil {
			return err
		}
		if end == 0 {
			end = page.End
		}
		for n, line := range page.Lines {
			if line.Seq > end && !l.follow {
				page.Lines = page.Lines[:n]
				break
			}
		}
		more = page.More && page.Next < end
		switch {
		case last == 0:
			l.args.Since, more = page.End, false
		case l.app.format == "json" && !l.follow:
			all = append(all, page.Lines...)
		default:
			if err := l.print(page.Lines); err != nil {
				return err
			}
		}
	}
	if !l.follow {
		if l.app.format == "json" {
			return l.app.print(all)
		}
		return nil
	}
	// Nothing up to end is news, also where there was nothing to print of it: from 0 on, the
	// arbiter would send all it keeps, or the last few of what comes.
	l.args.Since, l.args.Last, l.args.Wait, l.args.Within = max(l.args.Since, end), 0, followWait, 0
	return l.app.follow(ctx, at, func(ctx context.Context) error {
		page, err := l.next(ctx)
		if err != nil {
			return err
		}
		return l.print(page.Lines)
	})
}

// label finds the name under which lines of the target are kept, or says that there
// is no such actor. One that is no more may have lines all the same.
func (l *logs) label(ctx context.Context) error {
	if l.args.Target == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.app.timeout)
	defer cancel()
	i, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(l.args.Target))
	if err == nil {
		l.args.Target = cmp.Or(i.Info.Name, i.Info.AID)
		return nil
	}
	if !errors.Is(err, actor.ErrUnknownActor) && !errors.Is(err, actor.ErrDown) {
		return err
	}
	have, logsErr := actor.Logs.Call(ctx, actor.Arbiter, actor.LogsArgs{Target: l.args.Target, Last: 1})
	if logsErr == nil && len(have.Lines) > 0 {
		return nil
	}
	return err
}

// page returns what comes next of what there is.
func (l *logs) page(ctx context.Context) (actor.LogLines, error) {
	ctx, cancel := context.WithTimeout(ctx, l.app.timeout)
	defer cancel()
	return l.next(ctx)
}

func (l *logs) next(ctx context.Context) (actor.LogLines, error) {
	page, err := actor.Logs.Call(ctx, actor.Arbiter, l.args)
	if err != nil {
		return page, err
	}
	if page.Lost > 0 && !l.said {
		l.said = true
		fmt.Fprintln(l.app.err, "some lines are missing: more were printed than the arbiter keeps (see --log-dir of the command run)")
	}
	l.args.Since = page.Next
	return page, nil
}

func (l *logs) print(lines []actor.LogLine) error {
	for _, line := range lines {
		if l.app.asJSON() {
			if err := l.app.print(line); err != nil {
				return err
			}
			continue
		}
		stamp := ""
		if l.stamps {
			stamp = line.Time.Local().Format("2006-01-02T15:04:05.000 ")
		}
		if _, err := fmt.Fprintf(l.app.out, "%s%s | %s\n", stamp, line.Actor, line.Text); err != nil {
			return err
		}
	}
	return nil
}
