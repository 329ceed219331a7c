package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) psCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "ps", Short: "list the actors", Args: a.arguments(0, 0),
		Long: `Lists the actors, the oldest first, and below each pool its workers by their slots,
also those in which there is nobody: they wait to be started again, were stopped, are
done, or were given up. An actor without a name goes by its aid. LAST is why it is in
that state, or how the one before it ended.`,
		Example: `  $0 ps
  $0 ps -o wide    # more columns, nothing cut
  $0 ps -o json    # all that is known of them
  $0 ps -o name    # one name a line`,
		Annotations: map[string]string{"names": "yes", "wide": "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, _ *attached) error {
				list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
				if err != nil {
					return err
				}
				return a.printActors(list)
			})
		},
	})
}

func (a *app) printActors(list []actor.Info) error {
	switch a.format {
	case "json":
		return a.print(list)
	case "jsonl":
		for _, i := range list {
			if err := a.print(i); err != nil {
				return err
			}
		}
		return nil
	case "name":
		for _, i := range list {
			if _, err := fmt.Fprintln(a.out, nameOf(i)); err != nil {
				return err
			}
		}
		return nil
	}
	wide := a.format == "wide"
	header := []string{"NAME", "STATE", "PLACE", "PID", "UPTIME", "RESTARTS", "MEMORY", "CPU", "INBOX"}
	if wide {
		header = append(header, "IN FLIGHT", "HANDLED", "KIND", "AID")
	}
	var rows [][]cell
	for _, i := range list {
		rows = append(rows, actorRow(i, wide))
	}
	return table(a.out, append(header, "LAST"), rows)
}

// lastWidth is how much of LAST is shown where not all of it is wanted.
const lastWidth = 60

func actorRow(i actor.Info, wide bool) []cell {
	lives := i.AID != "" && i.State != "waiting"
	number := func(text string) cell { return cell{text: text, right: true} }
	row := []cell{{text: nameOf(i)}, stateCell(i.State), {text: placeOf(i)}, number(pidOf(i))}
	if lives {
		cpu := ""
		if i.CPU > 0 {
			cpu = used(i.CPU)
		}
		row = append(row, number(age(i.Uptime)), number(strconv.Itoa(i.Restarts)), number(amount(i.RSS).String()), number(cpu), number(strconv.Itoa(i.Inbox)))
	} else {
		row = append(row, number(""), number(strconv.Itoa(i.Restarts)), number(""), number(""), number(strconv.Itoa(i.Inbox)))
	}
	if !wide {
		return append(row, cell{text: oneLine(lastOf(i), lastWidth)})
	}
	return append(row, number(strconv.Itoa(i.InFlight)), number(strconv.FormatUint(i.Started, 10)), cell{text: i.Kind}, cell{text: i.AID},
		cell{text: oneLine(lastOf(i), 1000)})
}

// placeOf is where an actor lives, and what it speaks if that is not the usual.
func placeOf(i actor.Info) string {
	if i.Profile != "" && i.Profile != "native" {
		return i.In + " " + i.Profile
	}
	return i.In
}

// pidOf is the process of an actor, where it has one of its own.
func pidOf(i actor.Info) string {
	if i.PID == 0 || i.In == "goroutine" && i.Kind != "arbiter" {
		return ""
	}
	return strconv.Itoa(i.PID)
}

// lastOf is what there is to say of how i came to be in its state.
func lastOf(i actor.Info) string {
	switch {
	case i.Kind == "pool" && i.State == "running":
		if i.Workers == i.Wanted {
			return count(i.Wanted, "worker")
		}
		return strings.TrimSuffix(fmt.Sprintf("%d of %s; %s", i.Workers, count(i.Wanted, "worker"), i.Reason), "; ")
	case i.State == "failed" && i.Last != nil:
		return "given up: " + i.Last.String()
	case i.Reason != "" && i.State == "waiting":
		return i.Reason
	case i.Last != nil:
		return i.Last.String()
	}
	return i.Reason
}

func nameOf(i actor.Info) string {
	if i.Name != "" {
		return i.Name
	}
	return i.AID
}
