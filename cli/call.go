package cli

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/spf13/cobra"
)

const argumentsHelp = `Each ARG is JSON; a word that is not is taken as a string. NAME=VALUE is a keyword
argument; to send such a word itself, write it as JSON: '"a=b"'. A single JSON
object is the whole argument. What begins with a dash goes after --.

What JSON lacks is an object with one key, in arguments and results: {"$bytes": "YWJj"}
(base64), {"$time": "2026-11-26T10:00:00Z"}, {"$uuid": …}, {"$set": [1, 2]},
{"$float": "nan"}, {"$map": [[1, "one"]]} for keys that are not text. Integers have any
size; 2.0 is not 2. A duration, where an actor in Go takes one, is text such as 5s.`

func (a *app) callCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use:   "call TARGET COMMAND [ARG…]",
		Short: "send a command and print the result",
		Long: `Sends a command to an actor, named by its name or aid, and prints the result as
JSON. The actor "arbiter" is the arbiter itself; docs/json.md says what it takes.

` + argumentsHelp,
		Example: `  $0 call arbiter commands                        # what the arbiter answers
  $0 call arbiter spawn kind=renderer name=ada    # start an actor
  $0 call ada echo '{"n": 5}'                     # every actor answers echo
  $0 call ada echo -- -5
  $0 call thumbs shrink '{"$bytes": "YWJjZGVm"}' 3
  $0 call a1 run @__main__.add 1 3                # a function, of an actor of Python's pulsar`,
		Args: a.arguments(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			arg, err := parseArgs(args[2:])
			if err != nil {
				return err
			}
			return a.attach(cmd.Context(), func(ctx context.Context, at *attached) error {
				v, err := arg.call(ctx, args[0], args[1])
				switch {
				case errors.Is(err, actor.ErrDeadline):
					return a.explainSlow(cmd.Context(), at, args[0], err)
				case errors.Is(err, actor.ErrInvalid) && strings.HasSuffix(args[0], "/*"):
					p := a.explain(ctx, err)
					p.hints = nil
					return p.hint("send it", strings.Replace(a.again("", ""), " call ", " send ", 1))
				case errors.Is(err, actor.ErrUnknownCommand):
					return a.explainSilent(ctx, err)
				case err != nil:
					return a.explainKeywords(ctx, err, arg)
				}
				return a.printValue(v)
			})
		},
	})
}

func (a *argument) call(ctx context.Context, target, command string) (value, error) {
	if a.whole != nil {
		return actor.NewCommand[any, value](command).Call(ctx, actor.To(target), a.whole)
	}
	return actor.Call[value](ctx, target, command, a.values()...)
}

func (a *argument) send(ctx context.Context, target, command string) error {
	if a.whole != nil {
		return actor.NewCommand[any, actor.None](command).Send(ctx, actor.To(target), a.whole)
	}
	return actor.Send(ctx, target, command, a.values()...)
}

// lookWait is how long the command line looks for the reason of what went wrong.
const lookWait = 2 * time.Second

// explainSlow says of a call that was not answered in time what its target is at.
func (a *app) explainSlow(ctx context.Context, at *attached, target string, err error) error {
	p := a.explain(ctx, err)
	short, cancel := context.WithTimeout(at.member.Context(ctx), lookWait)
	defer cancel()
	i, lookErr := actor.InspectActor.Call(short, actor.Arbiter, actor.To(target))
	if lookErr != nil || p.exit != exitTimeout {
		return p
	}
	switch in := i.Info; {
	case in.State != "running" && in.State != "failed":
		p.because("%s is %s", nameOf(in), in.State)
	case in.Handling != "":
		p.because("%s has been inside %q for %s; %s for it", nameOf(in), in.Handling, used(in.Since), waits(in.Inbox))
	case in.Inbox > 0:
		p.because("%s for %s", waits(in.Inbox), nameOf(in))
	}
	pool, _, _ := strings.Cut(nameOf(i.Info), "/")
	if i.Pool != nil || len(i.Slots) > 0 && pool != nameOf(i.Info) {
		p.hint("more workers", a.program+" scale "+pool+"=+1")
	}
	return p
}

// waits is "1 message waits" or "2 messages wait".
func waits(n int) string {
	if n == 1 {
		return "1 message waits"
	}
	return count(n, "message") + " wait"
}

// explainKeywords adds to an error about arguments that some were taken as
// keyword arguments, which may not have been meant.
func (a *app) explainKeywords(ctx context.Context, err error, arg argument) error {
	if !errors.Is(err, actor.ErrInvalid) || len(arg.keywords) == 0 {
		return err
	}
	return a.explain(ctx, err).because(`NAME=VALUE is a keyword argument; the word itself is written as JSON: '"a=b"'`)
}

// explainSilent says of a command that a program does not know that it was started as
// one that takes no messages at all, if it was.
func (a *app) explainSilent(ctx context.Context, err error) error {
	var e *actor.Error
	if !errors.As(err, &e) || e.Code != actor.UnknownCommand {
		return err
	}
	i, lookErr := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(e.Target))
	if lookErr != nil || i.Spawn == nil || !i.Spawn.Silent {
		return err
	}
	p := a.explain(ctx, err)
	p.hints = nil
	name := i.Info.Name
	pool, _, worker := strings.Cut(name, "/")
	if !worker {
		again := []string{a.program, "call", "arbiter", "spawn"}
		if name != "" {
			again = append(again, "name="+quote(name))
		}
		run, _ := json.Marshal(i.Spawn.Run) // texts
		p.because("it was spawned as a silent program, to which no messages go")
		return p.hint("if it speaks the protocol, stop it and spawn it so", strings.Join(append(again, "run="+quote(string(run))), " "))
	}
	again := []string{a.program, "run", "--messages", "--name", pool}
	if i, lookErr := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(pool)); lookErr == nil && i.Info.Wanted > 1 {
		again = append(again, "-w", strconv.Itoa(i.Info.Wanted))
	}
	again = append(again, "--")
	for _, word := range i.Spawn.Run {
		again = append(again, quote(word))
	}
	p.because("its program was started without --messages, and no messages go to it")
	return p.hint("if it speaks the protocol", strings.Join(again, " "))
}

func (a *app) sendCommand() *cobra.Command {
	return a.attaching(&cobra.Command{
		Use:   "send TARGET COMMAND [ARG…]",
		Short: "send a command and do not wait for it",
		Long: `Sends a command to an actor, named by its name or aid, one way. It prints nothing,
and does not wait for the handler: it is done when the message is on its way and
was not turned back at once, as one to nobody or with an unknown command is.

` + argumentsHelp,
		Example: `  $0 send ada echo hello
  $0 send arbiter spawn kind=renderer in=process`,
		Args: a.arguments(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			arg, err := parseArgs(args[2:])
			if err != nil {
				return err
			}
			return a.attach(cmd.Context(), func(ctx context.Context, at *attached) error {
				if err := arg.send(ctx, args[0], args[1]); err != nil {
					return err
				}
				return a.explainSilent(ctx, at.taken(ctx, args[0], args[1]))
			})
		},
	})
}

// refusalWait is how long a one-way message may take to come back from its target.
const refusalWait = time.Second

// taken returns once the arbiter has what was sent to target, or why it came back.
func (at *attached) taken(ctx context.Context, target, command string) error {
	// The arbiter answers in order: once it does, it has taken the message, or has
	// turned it back.
	if _, err := actor.Ping.Call(ctx, actor.Arbiter, actor.None{}); err != nil {
		return err
	}
	// So do those who read it, if they read. If not, the message is on its way all the
	// same.
	short, cancel := context.WithTimeout(ctx, refusalWait)
	var pings []*actor.Pending[string]
	for _, r := range readers(short, target) {
		pings = append(pings, actor.Ping.Start(short, r, actor.None{}))
	}
	for _, p := range pings {
		_, _ = p.Wait()
	}
	cancel()
	// What came back before is with our own actor by now, which takes it in its turn.
	self, err := at.member.Ref(ctx)
	if err == nil {
		_, err = actor.Echo.Call(ctx, self, nil)
	}
	select {
	case back := <-at.undelivered:
		e := *back
		e.Command = command // not everybody who turns a message back says which
		return &e
	default:
		return err
	}
}

// readers are who may read what is sent to target: of a pool, which answers a ping
// itself, its workers.
func readers(ctx context.Context, target string) []actor.Ref {
	name, _, _ := strings.Cut(strings.TrimSuffix(target, "/*"), "#") // to all, or by a key
	i, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(name))
	if err != nil || i.Pool == nil {
		return []actor.Ref{actor.To(target)}
	}
	var workers []actor.Ref
	for _, s := range i.Slots {
		if s.AID != "" {
			workers = append(workers, actor.To(s.AID))
		}
	}
	return workers
}
