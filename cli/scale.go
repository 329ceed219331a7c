package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) scaleCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "scale POOL=N…", Short: "change how many workers a pool has", Args: a.arguments(1, -1),
		Long: `Gives a pool N workers, or with a sign so many more or fewer, and says how many it
has when that is done. New ones get the lowest free slots; of those that run the
oldest goes first, when it has answered what it was given.`,
		Example: `  $0 scale web=4
  $0 scale web=+2 resize=-1`,
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, begun string) ([]string, cobra.ShellCompDirective) {
			list := a.names(cmd.Context(), begun, pools)
			for n, name := range list {
				name, about, _ := strings.Cut(name, "\t")
				list[n] = cobra.CompletionWithDesc(name+"=", about)
			}
			return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var wishes []actor.ScaleArgs
			for _, arg := range args {
				w, err := parseScale(arg)
				if err != nil {
					return err
				}
				wishes = append(wishes, w)
			}
			return a.attach(cmd.Context(), func(ctx context.Context, _ *attached) error { return a.scale(ctx, wishes) })
		},
	})
}

// parseScale parses web=4, web=+2 or web=-1.
func parseScale(text string) (actor.ScaleArgs, error) {
	name, number, ok := strings.Cut(text, "=")
	n, err := strconv.Atoi(number)
	signed := strings.HasPrefix(number, "+") || strings.HasPrefix(number, "-")
	switch {
	case !ok || name == "" || err != nil:
		return actor.ScaleArgs{}, usage("%q is not POOL=N, POOL=+N or POOL=-N", text)
	case signed && n == 0:
		return actor.ScaleArgs{}, usage("%q changes nothing", text)
	case signed:
		return actor.ScaleArgs{Pool: name, Delta: n}, nil
	}
	return actor.ScaleArgs{Pool: name, Workers: &n}, nil
}

// scaled is what came of a wish, as JSON.
type scaled struct {
	Pool    string `json:"pool"`
	Workers int    `json:"workers"`
}

// scale does one after the other, and says of each that it is done: what comes after
// may fail.
func (a *app) scale(ctx context.Context, wishes []actor.ScaleArgs) error {
	done := []scaled{}
	for _, w := range wishes {
		n, err := actor.ScalePool.Call(ctx, actor.Arbiter, w)
		if err != nil {
			if a.format == "json" && len(done) > 0 {
				err = errors.Join(err, a.print(done))
			}
			return a.explainScale(ctx, w, err)
		}
		done = append(done, scaled{w.Pool, n})
		switch a.format {
		case "json":
		case "jsonl":
			err = a.print(done[len(done)-1])
		default:
			_, err = fmt.Fprintf(a.out, "%s has %s\n", w.Pool, count(n, "worker"))
		}
		if err != nil {
			return err
		}
	}
	if a.format == "json" {
		return a.print(done)
	}
	return nil
}

func (a *app) explainScale(ctx context.Context, w actor.ScaleArgs, err error) error {
	p := a.explain(ctx, err)
	var e *actor.Error
	if !errors.As(err, &e) {
		return p
	}
	switch e.Code {
	case actor.Deadline:
		p.text = fmt.Sprintf("%s is not done with its change of size within %v", w.Pool, a.timeout)
		p.why = []string{"it goes on: those that are new start, those that leave finish what they have"}
		p.hints = nil
		p.hint("see how far it is", a.program+" inspect "+quote(w.Pool)).hint("wait longer next time", a.again("--timeout", longer(a.timeout)))
	case actor.Invalid, actor.Refused:
		p.text, p.hints = e.Message, nil
		p.hint("see the pools", a.program+" ps")
	case actor.Down:
		p.text = fmt.Sprintf("%s has other workers now, but not all of them are well: %s", w.Pool, p.text)
		p.hint("see what they print", a.program+" logs "+quote(w.Pool)+" --since 2m")
	}
	return p
}
