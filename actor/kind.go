package actor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Kind is the behaviour of actors whose state is an S, usually a pointer to a
// struct of the user's own. It is written as a literal, used by its address, and
// not changed afterwards:
//
//	var Counter = &actor.Kind[*counter]{
//		Name:     "counter",
//		New:      func(ctx context.Context) (*counter, error) { return &counter{}, nil },
//		Handlers: []actor.Handler[*counter]{actor.Handle(Add, (*counter).Add)},
//	}
//
// All functions of a kind are called in the actor's turn, so S needs no lock,
// unless Mode is Concurrent.
type Kind[S any] struct {
	// Name names the kind among those of a program. Required; see ValidName.
	Name string
	// Doc says in a line what its actors are for.
	Doc string

	// New makes the state of one actor. A nil New leaves the zero S. An error
	// means that the actor could not start; its spawner is told.
	New func(ctx context.Context) (S, error)
	// Started, if not nil, runs after New: the actor can be found and can send.
	// Messages wait until it returns. An error is as with New.
	Started func(s S, ctx context.Context) error
	// Stopping, if not nil, runs when the actor was asked to stop and has handled
	// what it had accepted. It does not run when an actor is killed or panics.
	Stopping func(s S, ctx context.Context)
	// Undelivered, if not nil, is told of one-way messages the actor sent that did
	// not reach a handler; of those above 1,024 that wait for it at a time it is not.
	// Otherwise they are logged. They are dead letters in any case.
	Undelivered func(s S, ctx context.Context, err *Error)

	// Info, if not nil, adds to what the command info says. It is called at any time,
	// also while a handler runs, so it may only read what is safe to read then, on a goroutine
	// of its own: one call at a time, which is for all who ask meanwhile. Who asks is told an
	// error instead when it has not returned after 250 ms, as when it waits for a lock that a
	// handler has. A stop waits until it has returned, within the actor's grace. What it says
	// is encoded, since it goes with each heartbeat of an actor that joined and in each list:
	// a value without an image on the wire is told as an error, too, and logged; of more than
	// 64 KiB only who asks the actor itself is told.
	Info func(s S) map[string]any

	// Handlers answer the commands. Each command once.
	Handlers []Handler[S]
	// Functions are what the command run may run, by name.
	Functions []Function
	// Periodic is done again and again while the actor runs.
	Periodic []Task[S]

	// Mode says which handlers may run at a time. Default: Serial.
	Mode Mode
	// Inbox bounds what waits and what is being handled. Default: 8,192 messages,
	// 8 MiB; of an actor that joins, as one in a process of its own does, 2,048 messages,
	// 1 MiB, and what is more waits in the arbiter.
	Inbox Limits
	// Grace is how long a stop may take, from taking no more messages to the end
	// of Stopping. Default: 5 s.
	Grace time.Duration
	// Budget is how long one handler may take, calls it makes included. An actor whose
	// handler takes longer has hung: it ends with CauseHung, its callers are told. A
	// goroutine cannot be ended, and may go on unheard. Default: as long as it likes.
	Budget time.Duration

	once sync.Once
	spec *cell.Spec
	err  error
}

// Limits bound an inbox. Full means that a call fails at once with Overloaded, and
// that a one-way message waits: at its sender in the same process, else in the arbiter, at
// the expense of its sender's window. The defaults are those of an actor in the process of
// the arbiter; one that joins it, by itself or as a process of its own, has others.
type Limits struct {
	Messages int // default 8,192; 2,048 of one that joins
	Bytes    int // default 8 MiB; 1 MiB of one that joins
}

// Mode says which handlers of an actor may run at a time.
type Mode struct {
	mode  cell.Mode
	limit int
}

var (
	// Serial: one handler at a time, in the order of the messages. A call it makes
	// keeps the turn; a wait that could never end fails at once with Cycle.
	Serial = Mode{cell.Serial, 1}
	// Interleaved: one handler at a time, but while it waits for a call, others
	// may start, as coroutines do. State may change across a call. Only the
	// handler's own goroutine may wait: fan out with Start, then Wait.
	Interleaved = Mode{cell.Interleaved, 1}
)

// Concurrent: up to n handlers at a time, started in order. The state needs its
// own locks.
func Concurrent(n int) Mode { return Mode{cell.Concurrent, n} }

// Handler answers one command. Make it with Handle or On.
type Handler[S any] struct{ command *cell.Command }

// A HandlerOption says more of a handler.
type HandlerOption func(*handlerOptions)

type handlerOptions struct{ lent bool }

// Lent says of a handler whose argument is a []byte that it keeps nothing of it: nobody uses the
// slice, or a part of it, after the handler has returned. The memory of what came over a
// connection is used again then: for a large argument that saves most of what a message costs who
// receives it. What is to stay the handler copies, with bytes.Clone; so it does with what it sends
// or starts a call with, since within a process that is handed over. It may return its argument,
// or a part of it, as its result.
//
// In a program built with -race what was lent is overwritten when it is given back, so that tests
// show who has kept it. Only a []byte can be lent: a kind with another argument is refused.
func Lent() HandlerOption { return func(o *handlerOptions) { o.lent = true } }

// Handle answers command with method, usually a method expression such as
// (*counter).Add. Its error reaches the caller with its text and, if it is or
// wraps one made by NewError, its code. A panic ends the actor, not the program.
// ctx ends at the caller's deadline, when the caller gives up, or with the actor.
func Handle[S, In, Out any](command Command[In, Out], method func(s S, ctx context.Context, in In) (Out, error), options ...HandlerOption) Handler[S] {
	var o handlerOptions
	for _, option := range options {
		option(&o)
	}
	c := &cell.Command{CommandInfo: infoOf(command), Keeps: isBytes[In]() && !o.lent, Lends: o.lent}
	if method == nil {
		return Handler[S]{c} // which Spec refuses, with the kind's name
	}
	shape := shapeOf[In]()
	c.Run = func(ctx context.Context, state any, r *cell.Request) (cell.Value, error) {
		in, err := take[In](r.Value, shape)
		if err != nil {
			return nil, wire.AsError(err, wire.CodeInvalid).With(wire.StartedNo)
		}
		s, _ := state.(S)
		out, err := method(s, ctx, in)
		if err != nil {
			return nil, handlerError(ctx, err)
		}
		if r.ID == 0 && !r.Nested {
			return nil, nil // nobody waits
		}
		return &typed[Out]{out}, nil
	}
	return Handler[S]{c}
}

// On answers command, which has no result, with method. See Handle.
func On[S, In any](command Command[In, None], method func(s S, ctx context.Context, in In) error, options ...HandlerOption) Handler[S] {
	if method == nil {
		return Handle[S, In, None](command, nil)
	}
	return Handle(command, func(s S, ctx context.Context, in In) (None, error) {
		return None{}, method(s, ctx, in)
	}, options...)
}

func infoOf[In, Out any](c Command[In, Out]) wire.CommandInfo {
	return wire.CommandInfo{Name: c.name, Doc: c.doc, In: typeName[In](), Out: typeName[Out](), Ack: !c.noAck, Idempotent: c.idempotent && !c.noAck}
}

// Task is done every so often, in a turn of its own. One that comes due while the
// last still waits for its turn is left out.
type Task[S any] struct {
	Every time.Duration
	Do    func(s S, ctx context.Context)
}

// Function is what others may have an actor run by name, with the command run.
type Function struct{ command *cell.Command }

// Func names a function for the command run.
func Func[In, Out any](name string, f func(ctx context.Context, in In) (Out, error)) Function {
	if f == nil {
		return Function(Handle[None](NewCommand[In, Out](name), nil))
	}
	h := Handle(NewCommand[In, Out](name), func(_ None, ctx context.Context, in In) (Out, error) { return f(ctx, in) })
	return Function(h)
}

// Behaviour is a *Kind of any state. Only Kind implements it.
type Behaviour interface {
	// KindName returns the kind's name.
	KindName() string
	// Spec is for the arbiter: the kind in the form it runs, made once, or why it
	// cannot be.
	Spec() (*cell.Spec, error)
}

var _ Behaviour = (*Kind[None])(nil)

// KindName returns k.Name.
func (k *Kind[S]) KindName() string {
	if k == nil {
		return ""
	}
	return k.Name
}

// errNoKind says that a kind is nil.
var errNoKind = errors.New(`the kind is nil: give a *actor.Kind; one that only calls has no more than a name, as &actor.Kind[actor.None]{Name: "client"}`)

// Spec returns the kind in the form it runs. It is for the arbiter.
func (k *Kind[S]) Spec() (*cell.Spec, error) {
	if k == nil {
		return nil, errNoKind
	}
	k.once.Do(func() { k.spec, k.err = k.build() })
	return k.spec, k.err
}

func (k *Kind[S]) build() (*cell.Spec, error) {
	if err := wire.ValidName(k.Name); err != nil {
		return nil, fmt.Errorf("kind %q: %w", k.Name, err)
	}
	if k.Inbox.Messages < 0 || k.Inbox.Bytes < 0 {
		return nil, fmt.Errorf("kind %q: Inbox has %d messages and %d bytes, and neither may be negative: 0 is the default, and there is no inbox without a bound", k.Name, k.Inbox.Messages, k.Inbox.Bytes)
	}
	if k.Grace < 0 || k.Budget < 0 {
		return nil, fmt.Errorf("kind %q: its Grace is %v and its Budget %v, and must not be negative: 0 is the default", k.Name, k.Grace, k.Budget)
	}
	spec := &cell.Spec{
		Kind: k.Name, Doc: k.Doc, Mode: k.Mode.mode, Limit: max(k.Mode.limit, 1),
		Inbox:     mailbox.Limits{Messages: k.Inbox.Messages, Bytes: k.Inbox.Bytes},
		Commands:  builtins(),
		Functions: make(map[string]*cell.Command),
		Grace:     k.Grace,
		Budget:    k.Budget,
	}
	own := make(map[string]bool)
	for i, h := range k.Handlers {
		if h.command == nil || h.command.Name == "" {
			return nil, fmt.Errorf("kind %q: handler %d has no command: make it with actor.Handle and a command of actor.NewCommand", k.Name, i)
		}
		name := h.command.Name
		if len(name) > 255 {
			return nil, fmt.Errorf("kind %q: the command %.20q… is longer than 255 bytes", k.Name, name)
		}
		if h.command.Run == nil {
			return nil, fmt.Errorf("kind %q: the method that answers %q is nil: give actor.Handle, or actor.On, a function", k.Name, name)
		}
		if h.command.Lends && h.command.In != typeName[[]byte]() {
			return nil, fmt.Errorf("kind %q: the handler of %q is actor.Lent, and its argument is a %s: only a []byte can be lent", k.Name, name, cmp.Or(h.command.In, "actor.None"))
		}
		if own[name] {
			return nil, fmt.Errorf("kind %q answers the command %q twice", k.Name, name)
		}
		if b := spec.Commands[name]; b != nil && b.InPlace {
			return nil, fmt.Errorf("kind %q: the command %q is every actor's own and cannot be answered differently", k.Name, name)
		}
		own[name] = true
		spec.Commands[name] = h.command
	}
	for _, f := range k.Functions {
		if f.command == nil || f.command.Name == "" {
			return nil, fmt.Errorf("kind %q: a function has no name: make it with actor.Func", k.Name)
		}
		if f.command.Run == nil {
			return nil, fmt.Errorf("kind %q: the function %q is nil: give actor.Func one", k.Name, f.command.Name)
		}
		if spec.Functions[f.command.Name] != nil {
			return nil, fmt.Errorf("kind %q has the function %q twice", k.Name, f.command.Name)
		}
		spec.Functions[f.command.Name] = f.command
	}
	for i, task := range k.Periodic {
		if task.Every <= 0 {
			return nil, fmt.Errorf("kind %q: the interval of task %d is %v, and must be more than 0", k.Name, i, task.Every)
		}
		if task.Do == nil {
			return nil, fmt.Errorf("kind %q: task %d has nothing to do: set its Do", k.Name, i)
		}
	}
	k.hooks(spec)
	return spec, nil
}

// hooks gives the typed functions their untyped form.
func (k *Kind[S]) hooks(spec *cell.Spec) {
	// A nil pointer in an interface would not be a state that was never made.
	spec.New = func(ctx context.Context) (any, error) {
		if k.New == nil {
			var zero S
			return zero, nil
		}
		return k.New(ctx)
	}
	if k.Started != nil {
		spec.Started = func(ctx context.Context, state any) error { return k.Started(stateOf[S](state), ctx) }
	}
	if k.Stopping != nil {
		spec.Stopping = func(ctx context.Context, state any) { k.Stopping(stateOf[S](state), ctx) }
	}
	if k.Info != nil {
		spec.Info = func(state any) map[string]any { return k.Info(stateOf[S](state)) }
	}
	if k.Undelivered != nil {
		spec.Undelivered = func(ctx context.Context, state any, e *wire.Error) {
			err := errorOf(e, "", "", "")
			var plain *Error
			if d, ok := err.(*DownError); ok {
				plain = d.Err
				plain.Message = d.Death.String()
			} else {
				plain = err.(*Error)
			}
			k.Undelivered(stateOf[S](state), ctx, plain)
		}
	}
	for _, task := range k.Periodic {
		spec.Periodic = append(spec.Periodic, cell.Task{Every: task.Every, Do: func(ctx context.Context, state any) { task.Do(stateOf[S](state), ctx) }})
	}
}

func stateOf[S any](state any) S {
	s, _ := state.(S)
	return s
}
