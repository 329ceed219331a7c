package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

func (a *app) inspectCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use: "inspect TARGET", Short: "all that is known of an actor, a slot or a pool", Args: a.arguments(1, 1),
		Long: `Says all that is known of an actor, a slot or a pool, also of one that has ended
lately: what it is and does, how the one before it ended, what it printed last, and
what has happened to it. Of "arbiter" it also says what the system keeps it from doing for processes, once it
has started one.`,
		Example: `  $0 inspect web/2
  $0 inspect web
  $0 inspect arbiter -o json`,
		ValidArgsFunction: a.completeName(everybody),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.attach(cmd.Context(), func(ctx context.Context, _ *attached) error {
				i, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(args[0]))
				switch {
				case err != nil:
					return err
				case a.asJSON():
					return a.print(i)
				}
				return a.printInspection(i)
			})
		},
	})
}

func (a *app) printInspection(i actor.Inspection) error {
	s := stateCell(i.Info.State)
	var b strings.Builder
	fmt.Fprintf(&b, "%s   %s", paint(a.out, bold, nameOf(i.Info)), paint(a.out, s.colour, s.text))
	if i.Info.Reason != "" {
		fmt.Fprintf(&b, ": %s", oneLine(i.Info.Reason, 1000))
	}
	b.WriteByte('\n')
	for _, fact := range slices.Concat(lifeFacts(i), workFacts(i), wayFacts(i)) {
		if fact[1] != "" {
			fmt.Fprintf(&b, "  %-10s %s\n", oneLine(fact[0], 100), oneLine(fact[1], 1000))
		}
	}
	for _, weak := range i.Weak {
		fmt.Fprintf(&b, "  %-10s %s\n", "weak", oneLine(weak, 1000))
	}
	if _, err := fmt.Fprint(a.out, b.String()); err != nil {
		return err
	}
	if err := a.printInspectedSlots(i); err != nil {
		return err
	}
	if len(i.Lines) > 0 {
		fmt.Fprintln(a.out, "\nit printed last")
		for _, line := range i.Lines {
			who := ""
			if line.Actor != nameOf(i.Info) { // of a pool: its workers
				who = line.Actor + " "
			}
			fmt.Fprintf(a.out, "  %s| %s\n", who, oneLine(line.Text, 8<<10))
		}
	}
	if len(i.Events) > 0 {
		fmt.Fprintln(a.out, "\nwhat happened")
		for _, e := range i.Events {
			if _, err := fmt.Fprintln(a.out, "  "+a.eventLine(e)); err != nil {
				return err
			}
		}
	}
	return nil
}

// lifeFacts are what and where it is.
func lifeFacts(i actor.Inspection) [][2]string {
	in := i.Info
	place := in.In
	if pid := pidOf(in); pid != "" {
		place += ", pid " + pid
	}
	if in.Language != "" && in.In != "goroutine" {
		place += ", " + in.Language
	}
	if in.Peer != "" {
		place += ", " + in.Peer
	}
	facts := [][2]string{{"kind", in.Kind}, {"aid", in.AID}, {"place", place}, {"parent", i.Parent}}
	if in.AID != "" && in.Uptime > 0 {
		facts = append(facts, [2]string{"uptime", age(in.Uptime)})
	}
	if in.Restarts > 0 {
		facts = append(facts, [2]string{"restarts", strconv.Itoa(in.Restarts)})
	}
	if i.Death != nil {
		what := "before it" // who had its slot
		if in.State == "closed" || in.State == "terminated" || in.AID == "" {
			what = "end"
		}
		facts = append(facts, [2]string{what, i.Death.String()})
	}
	return facts
}

// workFacts are how it does.
func workFacts(i actor.Inspection) [][2]string {
	in := i.Info
	if in.AID == "" || in.Mode == "" {
		return nil
	}
	use := amount(in.RSS).String()
	if in.CPU > 0 {
		use += ", " + used(in.CPU) + " of the processor"
	}
	inbox := count(in.Inbox, "message")
	if in.Oldest > 0 {
		inbox += ", the oldest has waited for " + in.Oldest.Round(time.Millisecond).String()
	}
	facts := [][2]string{
		{"uses", strings.TrimPrefix(use, ", ")},
		{"inbox", fmt.Sprintf("%s; %s unanswered, %d handled, %d refused", inbox, count(in.InFlight, "call"), in.Started, in.Refused)},
	}
	if i.Account != nil {
		facts = append(facts, [2]string{"account", i.Account.String()})
	}
	if m := i.Memory; m != nil {
		facts = append(facts, [2]string{"holds", fmt.Sprintf("%s for others, of %s; refused %s", cmp.Or(amount(m.Held).String(), "0 B"), amount(m.Budget), count(int(m.Refused), "time"))})
	}
	if in.Handling != "" {
		facts = append(facts, [2]string{"handles", fmt.Sprintf("%s, for %v", in.Handling, in.Since.Round(time.Millisecond))})
	}
	if i.Watchers > 0 {
		facts = append(facts, [2]string{"watchers", strconv.Itoa(i.Watchers)})
	}
	for _, name := range sortedKeys(in.Extra) {
		facts = append(facts, [2]string{name, fmt.Sprint(in.Extra[name])})
	}
	return facts
}

// wayFacts are how it was spawned.
func wayFacts(i actor.Inspection) [][2]string {
	spawn, facts := i.Spawn, [][2]string(nil)
	if p := i.Pool; p != nil {
		spawn = &p.Worker
		size := fmt.Sprintf("%d of %s run", i.Info.Workers, count(i.Info.Wanted, "worker"))
		if p.Max > 0 {
			size += fmt.Sprintf(", %d to %d as messages wait", p.Min, p.Max)
		}
		facts = append(facts, [2]string{"size", size}, [2]string{"listens", strings.Join(p.Bind, " ")})
		if p.Recycle.Messages > 0 {
			facts = append(facts, [2]string{"recycles", fmt.Sprintf("after %d messages", p.Recycle.Messages)})
		}
	}
	answers := [2]string{"answers", strings.Join(i.Commands, " ")}
	if spawn == nil {
		return append(facts, answers)
	}
	var words []string
	for _, word := range spawn.Run {
		words = append(words, quote(word))
	}
	facts = append(facts, [2]string{"program", strings.Join(words, " ")}, [2]string{"directory", spawn.Dir})
	if spawn.Restart != nil {
		facts = append(facts, [2]string{"restart", spawn.Restart.String()})
	}
	if b := spawn.Bounds; b != nil {
		if b.Memory > 0 {
			facts = append(facts, [2]string{"memory", "at most " + amount(b.Memory).String()})
		}
		facts = append(facts, [2]string{"user", b.User})
	}
	return append(facts, answers)
}

// printInspectedSlots lists the slots of a pool.
func (a *app) printInspectedSlots(i actor.Inspection) error {
	if i.Pool == nil || len(i.Slots) == 0 {
		return nil
	}
	var rows [][]cell
	for _, s := range i.Slots {
		last := s.Reason
		if s.Waits > 0 {
			last = "is started in " + used(s.Waits)
		}
		if s.Last != nil {
			last = strings.TrimPrefix(last+"; it "+s.Last.String(), "; ")
		}
		rows = append(rows, []cell{{text: "  " + s.Name}, stateCell(s.State), {text: strconv.Itoa(s.Restarts), right: true}, {text: oneLine(last, 1000)}})
	}
	fmt.Fprintln(a.out)
	return table(a.out, []string{"  SLOT", "STATE", "RESTARTS", "LAST"}, rows)
}

func sortedKeys(m map[string]any) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
