package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) eventsCommand() *cobra.Command {
	var follow bool
	last := -1
	cmd := a.attaching(&cobra.Command{
		Use: "events [TARGET]", Short: "print what has happened: starts, ends, restarts", Args: a.arguments(0, 1),
		Long: `Prints what has happened, oldest first: of all that the arbiter remembers (1,024
events), or of one actor, slot or pool.`,
		Example: `  $0 events -f
  $0 events web -n 20
  $0 events -f -o jsonl`,
		ValidArgsFunction: a.completeName(everybody),
		RunE: func(cmd *cobra.Command, args []string) error {
			var target string
			if len(args) > 0 {
				target = args[0]
			}
			return a.join(cmd.Context(), func(ctx context.Context, at *attached) error {
				return a.events(ctx, at, target, last, follow)
			})
		},
	})
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing, until interrupted")
	cmd.Flags().VarP(&flag[int]{&last, wholeNumber("is no number of events", 0, 1_000_000), "N"}, "lines", "n", "only the last so many (default: all)")
	cmd.Flags().Lookup("lines").DefValue = ""
	return cmd
}

func (a *app) events(ctx context.Context, at *attached, target string, last int, follow bool) error {
	short, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	all, err := actor.Events.Call(short, actor.Arbiter, actor.EventsArgs{})
	if err != nil {
		return err
	}
	var since uint64
	if len(all) > 0 {
		since = all[len(all)-1].Seq
	}
	list := about(all, target)
	if len(list) == 0 && target != "" {
		if _, err := actor.InspectActor.Call(short, actor.Arbiter, actor.To(target)); err != nil {
			return err
		}
	}
	if last >= 0 && len(list) > last {
		list = list[len(list)-last:]
	}
	if a.format == "json" && !follow {
		return a.print(list)
	}
	if err := a.printEvents(list); err != nil || !follow {
		return err
	}
	return a.follow(ctx, at, func(ctx context.Context) error {
		news, err := actor.Events.Call(ctx, actor.Arbiter, actor.EventsArgs{Since: since, Wait: followWait})
		if err != nil || len(news) == 0 {
			return err
		}
		if news[0].Seq > since+1 {
			fmt.Fprintf(a.err, "%s missing: more happened than the arbiter remembers\n", count(int(news[0].Seq-since-1), "event"))
		}
		since = news[len(news)-1].Seq
		return a.printEvents(about(news, target))
	})
}

// about returns the events that are about target, which may be a pool.
func about(all []actor.Event, target string) []actor.Event {
	list := []actor.Event{}
	for _, e := range all {
		if target == "" || e.Actor.AID == target || e.Actor.Name == target || strings.HasPrefix(e.Actor.Name, target+"/") {
			list = append(list, e)
		}
	}
	return list
}

func (a *app) printEvents(list []actor.Event) error {
	for _, e := range list {
		if a.asJSON() {
			if err := a.print(e); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintln(a.out, a.eventLine(e)); err != nil {
			return err
		}
	}
	return nil
}

// eventLine is an event for people. Columns have a fixed width: what comes next is
// not known.
func (a *app) eventLine(e actor.Event) string {
	who := e.Actor.Name
	if who == "" {
		who = e.Actor.AID
	}
	text, c := e.Text, colour(0)
	if e.Death != nil {
		text = e.Death.String()
	}
	switch {
	case e.Type == "gave_up":
		c = red
	case e.Type == "ready":
		c = green
	case e.Type == "restarting", e.Death != nil && e.Death.Cause != actor.CauseStopped && e.Death.Cause != actor.CauseKilled:
		c = yellow
	}
	line := fmt.Sprintf("%s  %s  %-12s  %s", e.Time.Local().Format(time.TimeOnly+".000"), paint(a.out, c, fmt.Sprintf("%-11s", e.Type)), who, oneLine(text, 1000))
	return strings.TrimRight(line, " ")
}
