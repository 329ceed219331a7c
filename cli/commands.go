package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) psCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ps", Short: "list the actors", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context) error {
				list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
				if err != nil {
					return err
				}
				return a.printActors(list)
			})
		},
	}
}

func (a *app) printActors(list []actor.Info) error {
	switch a.format {
	case "json":
		return printJSON(a.out, list)
	case "jsonl":
		e := json.NewEncoder(a.out)
		for _, i := range list {
			if err := e.Encode(i); err != nil {
				return err
			}
		}
		return nil
	case "name":
		for _, i := range list {
			fmt.Fprintln(a.out, nameOf(i))
		}
		return nil
	}
	var rows [][]string
	for _, i := range list {
		in := i.In
		if i.In == "process" || i.In == "remote" {
			in += " " + strconv.Itoa(i.PID)
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

func (a *app) callCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "call TARGET COMMAND [ARG…]",
		Short: "send a command and print the result",
		Long: `call sends a command and prints its result as JSON.

Each argument is JSON; a word that is not is taken as a string. name=VALUE is a
keyword argument.

  arbiter call tally add 5
  arbiter call resize thumbnail photo.jpg width=200
  arbiter call tally commands`,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context) error {
				v, err := actor.Call[any](ctx, args[0], args[1], parseArgs(args[2:])...)
				if err != nil {
					return err
				}
				if a.format == "jsonl" {
					return json.NewEncoder(a.out).Encode(v)
				}
				return printJSON(a.out, v)
			})
		},
	}
}

func (a *app) sendCommand() *cobra.Command {
	return &cobra.Command{
		Use: "send TARGET COMMAND [ARG…]", Short: "send a command and do not wait", Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context) error {
				if err := actor.Send(ctx, args[0], args[1], parseArgs(args[2:])...); err != nil {
					return err
				}
				// The arbiter answers in order: once it has, it has taken the message.
				_, err := actor.Ping.Call(ctx, actor.Arbiter, actor.None{})
				return err
			})
		},
	}
}

func (a *app) stopCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stop TARGET", Short: "ask an actor to stop, and wait until it has", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context) error {
				ended := make(chan actor.Ended, 1)
				target := actor.To(args[0])
				if _, err := actor.Watch(ctx, target, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
					return err
				}
				if err := actor.Stop.Send(ctx, target, actor.None{}); err != nil {
					return err
				}
				select {
				case e := <-ended:
					return a.printEnd(args[0], e.Death)
				case <-ctx.Done():
					return fmt.Errorf("%s has not stopped yet: %w\n  end it at once:  arbiter kill %s", args[0], ctx.Err(), args[0])
				}
			})
		},
	}
}

func (a *app) killCommand() *cobra.Command {
	return &cobra.Command{
		Use: "kill TARGET", Short: "end an actor at once", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context) error {
				d, err := actor.KillActor.Call(ctx, actor.Arbiter, actor.To(args[0]))
				if err != nil {
					return err
				}
				return a.printEnd(args[0], d)
			})
		},
	}
}

// printEnd says how an actor ended.
func (a *app) printEnd(name string, d actor.Death) error {
	if a.format == "json" || a.format == "jsonl" {
		return printJSON(a.out, d)
	}
	_, err := fmt.Fprintf(a.out, "%s %s\n", name, d)
	return err
}

// parseArgs reads the arguments of a command: JSON, or else words; name=VALUE is a
// keyword argument.
func parseArgs(words []string) []any {
	var args []any
	keywords := actor.Kwargs{}
	for _, word := range words {
		if name, value, ok := strings.Cut(word, "="); ok && isName(name) {
			keywords[name] = parseValue(value)
			continue
		}
		args = append(args, parseValue(word))
	}
	if len(keywords) > 0 {
		args = append(args, keywords)
	}
	return args
}

func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// parseValue reads JSON with whole numbers kept whole; what is no JSON is a
// string.
func parseValue(word string) any {
	d := json.NewDecoder(strings.NewReader(word))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil || d.More() {
		return word
	}
	return plain(v)
}

// plain replaces json.Number by numbers.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}
