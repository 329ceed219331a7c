package actor

import (
	"context"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Command is a name and two types: what an actor can be asked, and what it
// answers. It carries no code. Any kind, in any package or language, may answer
// it; a kind of this language does so with Handle. A Command is a value, made once
// as a package variable, and may be used from many goroutines.
type Command[In, Out any] struct {
	name       string
	doc        string
	noAck      bool
	idempotent bool
}

// A CommandOption changes a command when it is made.
type CommandOption func(*commandOptions)

type commandOptions struct {
	doc        string
	noAck      bool
	idempotent bool
}

// NoAck makes a command without acknowledgement: nobody is told what its handler
// returned, and a Call returns as soon as the message is accepted.
func NoAck() CommandOption { return func(o *commandOptions) { o.noAck = true } }

// Idempotent says of a command that to be asked twice is as good as once. A call of it to
// a pool whose worker dies before it has answered is then made once more by the pool, to
// another worker, within the same deadline: the caller is told Down only if that one
// dies, too. Attempt tells the handler. It is the kind that has the command who says so,
// by Handle. Without it nothing is ever sent again.
//
// Between actors of one process the second handler gets the very argument the first one
// had, as that left it; and that one may still be at work on it, if its actor was killed or
// took too long: a goroutine cannot be ended from outside. So a handler of such a command
// must not change its argument.
func Idempotent() CommandOption { return func(o *commandOptions) { o.idempotent = true } }

// Doc describes the command in a line, for people and tools.
func Doc(text string) CommandOption { return func(o *commandOptions) { o.doc = text } }

// NewCommand returns the command called name. In and Out are encoded as CBOR
// (RFC 8949) when they cross a process; None stands for no argument or no result.
// A struct In can be filled from positional and keyword arguments, in the order
// and by the names of its fields (tags cbor or json).
func NewCommand[In, Out any](name string, options ...CommandOption) Command[In, Out] {
	var o commandOptions
	for _, option := range options {
		option(&o)
	}
	return Command[In, Out]{name: name, doc: o.doc, noAck: o.noAck, idempotent: o.idempotent}
}

// Name returns the command's name.
func (c Command[In, Out]) Name() string { return c.name }

// String returns the command's name.
func (c Command[In, Out]) String() string { return c.name }

// Pending is a call under way. Its methods may be called from any goroutine, but a
// handler waits in its own.
type Pending[Out any] struct {
	call  cell.Call
	ctx   context.Context
	label string // of the target, in errors
	noAck bool
}

type exchange[In, Out any] struct {
	Pending[Out]
	in typed[In]
}

// Start sends in to target and returns at once; Wait returns the outcome. The
// call's deadline is that of ctx, 30 s from now if it has none; it is canceled
// when ctx ends or, in a handler, when the handler returns. A full queue on the
// way fails the call at once with Overloaded; a full window towards the arbiter
// is waited for.
//
// Between actors of one process in is handed over, not copied: do not touch it
// afterwards.
func (c Command[In, Out]) Start(ctx context.Context, target Ref, in In) *Pending[Out] {
	x := &exchange[In, Out]{in: typed[In]{in}}
	x.ctx, x.label, x.noAck = ctx, target.label(), c.noAck
	x.call.Command, x.call.Target, x.call.Accept = c.name, target.address(), c.noAck
	x.call.Argument, x.call.Loose = &x.in, true
	x.call.Begin(ctx)
	return &x.Pending
}

// Call sends in to target and waits for the result: Start and Wait in one.
//
// Every call ends: with the result, with the handler's error, or with an *Error or
// *DownError that says what happened instead.
func (c Command[In, Out]) Call(ctx context.Context, target Ref, in In) (Out, error) {
	var out Out
	var err error
	e := cell.Ask(ctx, target.address(), c.name, &typed[In]{in}, c.noAck, !isBytes[Out](), func(v cell.Value) {
		out, err = result[Out](v, target.label(), c.name)
	})
	if e != nil {
		err = errorOf(e, target.address(), target.label(), c.name)
	}
	return out, err
}

// CallLent is Call that lends the result to use, which keeps nothing of it: if it is a []byte that
// came over a connection, its memory is used again when use has returned. What is to stay use
// copies. It is called by the caller's own goroutine, in its turn if that is a handler's, once if
// the call succeeds and else not at all; also not of a command with NoAck, which has no result.
// Its error is returned as it is.
//
// In a program built with -race what was lent is overwritten when it is given back, so that tests
// show who has kept it. A result of any other type is use's for good.
func (c Command[In, Out]) CallLent(ctx context.Context, target Ref, in In, use func(out Out) error) error {
	var err error
	e := cell.Ask(ctx, target.address(), c.name, &typed[In]{in}, c.noAck, !isString[Out](), func(v cell.Value) {
		var out Out
		if out, err = result[Out](v, target.label(), c.name); err == nil {
			err = use(out)
		}
	})
	if e != nil {
		err = errorOf(e, target.address(), target.label(), c.name)
	}
	return err
}

// Send sends in to target, one way. It returns nil once the message has room on its
// way: within a process in the inbox of its target, else in the window towards the
// arbiter. For that it waits until ctx ends, or 30 s if ctx has no deadline. What goes
// wrong later comes back to the sender's Undelivered hook and is a dead letter.
func (c Command[In, Out]) Send(ctx context.Context, target Ref, in In) error {
	to := target.address()
	if err := cell.SendIn(ctx, to, c.name, &typed[In]{in}); err != nil {
		return errorOf(err, to, target.label(), c.name)
	}
	return nil
}

// TrySend is Send that never waits. Where it is known here that there is no room, in the
// inbox within a process, else in the window towards the arbiter or for this target, it
// returns Overloaded at once: the message went nowhere, and no dead letter is made of it.
// What is found out further on is as with Send. A Member that has not joined yet does so
// first.
func (c Command[In, Out]) TrySend(ctx context.Context, target Ref, in In) error {
	to := target.address()
	if err := cell.TrySendIn(ctx, to, c.name, &typed[In]{in}); err != nil {
		return errorOf(err, to, target.label(), c.name)
	}
	return nil
}

// Wait waits for the outcome. It returns the same however often it is called. The zero
// Pending, which nobody has started, has an error.
func (p *Pending[Out]) Wait() (out Out, err error) {
	if p.ctx == nil {
		return out, &Error{Code: Invalid, Message: "this Pending is of no call: Command.Start makes one", Started: StartedNo}
	}
	v, e := p.call.Wait(p.ctx)
	if e != nil {
		return out, errorOf(e, p.call.Target, p.label, p.call.Command)
	}
	if p.noAck {
		return out, nil
	}
	return result[Out](v, p.label, p.call.Command)
}

// result is v, with which label answered command, as an Out.
func result[Out any](v cell.Value, label, command string) (Out, error) {
	out, err := take[Out](v, nil)
	if err != nil {
		e := wire.AsError(err, wire.CodeInvalid)
		return out, errorOf(&wire.Error{Code: e.Code, Started: wire.StartedYes, Message: "its result does not fit: " + e.Message}, label, label, command)
	}
	return out, nil
}

// Done is closed when the outcome is there.
func (p *Pending[Out]) Done() <-chan struct{} {
	if p.ctx == nil {
		return closedChannel()
	}
	return p.call.Done()
}

// Cancel gives the call up: its Wait returns Canceled, and the handler's context
// ends if it has begun.
func (p *Pending[Out]) Cancel() {
	if p.ctx != nil { // else it is the zero Pending, and there is no call
		p.call.Cancel()
	}
}

// Call asks target for command, by name, and waits for the result: the dynamic
// form. The arguments are positional; a last one of type Kwargs holds keyword
// arguments.
//
//	n, err := actor.Call[int](ctx, "tally", "add", 5)
func Call[Out any, T Target](ctx context.Context, target T, command string, args ...any) (Out, error) {
	to, label := addressOf(target), labelOf(target)
	var out Out
	var err error
	e := cell.Ask(ctx, to, command, argumentsOf(args), false, !isBytes[Out](), func(v cell.Value) { out, err = result[Out](v, label, command) })
	if e != nil {
		err = errorOf(e, to, label, command)
	}
	return out, err
}

// Send sends target a command by name, one way: the dynamic form. See Call and
// Command.Send.
func Send[T Target](ctx context.Context, target T, command string, args ...any) error {
	to := addressOf(target)
	if err := cell.SendIn(ctx, to, command, argumentsOf(args)); err != nil {
		return errorOf(err, to, labelOf(target), command)
	}
	return nil
}

// TrySend is Send that never waits: see Command.TrySend.
func TrySend[T Target](ctx context.Context, target T, command string, args ...any) error {
	to := addressOf(target)
	if err := cell.TrySendIn(ctx, to, command, argumentsOf(args)); err != nil {
		return errorOf(err, to, labelOf(target), command)
	}
	return nil
}

// Kwargs are keyword arguments of a dynamic Call or Send.
type Kwargs map[string]any

func argumentsOf(args []any) *arguments {
	if n := len(args); n > 0 {
		if kw, ok := args[n-1].(Kwargs); ok {
			return &arguments{args[:n-1], kw}
		}
	}
	return &arguments{args, nil}
}
