package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) psCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "ps", Short: "list the actors", Args: a.arguments(0, 0),
		Long: `Lists the actors, the oldest first. An actor without a name goes by its aid.`,
		Example: `  $0 ps
  $0 ps -o json    # all that is known of them
  $0 ps -o name    # one name a line`,
		Annotations: map[string]string{"names": "yes"},
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
	var rows [][]string
	for _, i := range list {
		in := i.In
		if i.PID > 0 && (i.In == "process" || i.In == "remote") {
			in += " " + strconv.Itoa(i.PID)
		}
		if i.Profile != "" && i.Profile != "native" {
			in += " " + i.Profile
		}
		rows = append(rows, []string{
			nameOf(i), i.Kind, i.State, in, i.Uptime.Round(time.Second).String(),
			strconv.Itoa(i.Inbox), strconv.Itoa(i.InFlight), strconv.FormatUint(i.Started, 10), i.AID,
		})
	}
	return table(a.out, []string{"NAME", "KIND", "STATE", "IN", "UPTIME", "INBOX", "IN FLIGHT", "HANDLED", "AID"}, rows)
}

func nameOf(i actor.Info) string {
	if i.Name != "" {
		return i.Name
	}
	return i.AID
}
