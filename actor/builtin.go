package actor

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Commands every actor answers. Those marked † are answered even while a handler
// runs.
var (
	// Ping † answers "pong".
	Ping = NewCommand[None, string]("ping", Doc("answers pong"))
	// Echo answers its argument, in its turn.
	Echo = NewCommand[any, any]("echo", Doc("answers what it is given"))
	// GetInfo † answers what the actor knows of itself.
	GetInfo = NewCommand[None, Info]("info", Doc("says what the actor is and does"))
	// Config † gets or sets one of the actor's own settings; see ConfigArgs.
	Config = NewCommand[ConfigArgs, any]("config", Doc("config get NAME, config set NAME VALUE"))
	// Run runs one of the kind's Functions, by name; see RunArgs.
	Run = NewCommand[RunArgs, any]("run", Doc("runs a registered function by name"))
	// Stop † asks the actor to stop. It has no acknowledgement: watch the actor to
	// know when it has.
	Stop = NewCommand[None, None]("stop", NoAck(), Doc("asks the actor to stop"))
	// ListCommands † answers what the actor answers.
	ListCommands = NewCommand[None, []CommandInfo]("commands", Doc("lists the commands, with their types"))
	// Notify † is the heartbeat; only the arbiter makes use of it.
	Notify = NewCommand[None, float64]("notify", Doc("a heartbeat; answers the time in seconds since 1970"))
)

// CommandInfo describes a command for people and tools.
type CommandInfo struct {
	Name string `cbor:"name" json:"name"`
	Doc  string `cbor:"doc,omitempty" json:"doc,omitempty"`
	In   string `cbor:"in,omitempty" json:"in,omitempty"`   // the argument's type; "" for none
	Out  string `cbor:"out,omitempty" json:"out,omitempty"` // the result's
	Ack  bool   `cbor:"ack" json:"ack"`                     // whether a Call waits for the handler
}

// Info is what is known of an actor.
type Info struct {
	AID      string        `cbor:"aid" json:"aid"`
	Name     string        `cbor:"name,omitempty" json:"name,omitempty"`
	Kind     string        `cbor:"kind" json:"kind"`
	State    string        `cbor:"state" json:"state"` // initial, starting, running, stopping, closed, terminated
	Mode     string        `cbor:"mode" json:"mode"`   // serial, interleaved, concurrent
	In       string        `cbor:"in,omitempty" json:"in,omitempty"`
	PID      int           `cbor:"pid,omitempty" json:"pid,omitempty"`
	Peer     string        `cbor:"peer,omitempty" json:"peer,omitempty"`
	Profile  string        `cbor:"profile,omitempty" json:"profile,omitempty"` // how its connection's messages are written: native, json, pulsar
	Language string        `cbor:"language,omitempty" json:"language,omitempty"`
	Uptime   time.Duration `cbor:"uptime" json:"uptime"`     // nanoseconds
	Inbox    int           `cbor:"inbox" json:"inbox"`       // messages that wait
	InFlight int           `cbor:"inFlight" json:"inFlight"` // calls to it that are not answered yet
	Accepted uint64        `cbor:"accepted" json:"accepted"` // messages taken in its life
	Started  uint64        `cbor:"started" json:"started"`
	Refused  uint64        `cbor:"refused" json:"refused"`

	RSS      int64          `cbor:"rss,omitempty" json:"rss,omitempty"`           // bytes resident, of its process
	CPU      time.Duration  `cbor:"cpu,omitempty" json:"cpu,omitempty"`           // nanoseconds its process has used
	Oldest   time.Duration  `cbor:"oldest,omitempty" json:"oldest,omitempty"`     // how long the oldest message that waits has waited, roughly
	Handling string         `cbor:"handling,omitempty" json:"handling,omitempty"` // the command whose handler has run longest
	Since    time.Duration  `cbor:"since,omitempty" json:"since,omitempty"`       // for how long
	Restarts int            `cbor:"restarts,omitempty" json:"restarts,omitempty"` // of its slot
	Workers  int            `cbor:"workers,omitempty" json:"workers,omitempty"`   // of a pool: those that run
	Wanted   int            `cbor:"wanted,omitempty" json:"wanted,omitempty"`     // of a pool: those it is to have
	Reason   string         `cbor:"reason,omitempty" json:"reason,omitempty"`     // why it is in this state, where that needs saying
	Last     *Death         `cbor:"last,omitempty" json:"last,omitempty"`         // how the one before it in its slot ended, with one line of what it said
	Extra    map[string]any `cbor:"extra,omitempty" json:"extra,omitempty"`       // what its kind's Info hook says
}

// ConfigArgs are the arguments of Config. Op is "get" or "set".
type ConfigArgs struct {
	Op    string `cbor:"op" json:"op"`
	Name  string `cbor:"name" json:"name"`
	Value any    `cbor:"value,omitempty" json:"value,omitempty"`
}

// RunArgs are the arguments of Run: the name of the function and its argument.
type RunArgs struct {
	Function string `cbor:"function" json:"function"`
	Argument any    `cbor:"argument,omitempty" json:"argument,omitempty"`
}

// builtins makes the commands of every actor. None of them uses the state.
func builtins() map[string]*cell.Command {
	commands := make(map[string]*cell.Command)
	add := func(h Handler[None]) {
		h.command.InPlace = cell.IsInPlace(h.command.Name)
		commands[h.command.Name] = h.command
	}
	add(Handle(Ping, func(None, context.Context, None) (string, error) { return "pong", nil }))
	add(Handle(Echo, func(_ None, _ context.Context, v any) (any, error) { return v, nil }))
	add(Handle(GetInfo, func(_ None, ctx context.Context, _ None) (Info, error) {
		return infoOfCell(cellOf(ctx), cell.InfoPatience), nil
	}))
	add(Handle(Config, config))
	add(Handler[None]{&cell.Command{CommandInfo: infoOf(Run), Run: run}})
	add(Handle(Stop, func(_ None, ctx context.Context, _ None) (None, error) {
		reason := "asked to"
		if from, ok := Caller(ctx); ok {
			reason = fmt.Sprintf("asked to by %s", from)
		}
		cellOf(ctx).Stop(reason, 0)
		return None{}, nil
	}))
	add(Handle(ListCommands, func(_ None, ctx context.Context, _ None) ([]CommandInfo, error) {
		return describe(cellOf(ctx).Spec()), nil
	}))
	add(Handle(Notify, func(None, context.Context, None) (float64, error) {
		return float64(time.Now().UnixNano()) / 1e9, nil
	}))
	return commands
}

func cellOf(ctx context.Context) *cell.Cell {
	s, _ := cell.ScopeOf(ctx)
	return s.Cell
}

func describe(spec *cell.Spec) []CommandInfo {
	var list []CommandInfo
	for _, name := range slices.Sorted(maps.Keys(spec.Commands)) {
		c := spec.Commands[name].CommandInfo
		list = append(list, CommandInfo{Name: c.Name, Doc: c.Doc, In: c.In, Out: c.Out, Ack: c.Ack})
	}
	return list
}

// infoOfCell waits for what the kind's Info says as long as patience lasts.
func infoOfCell(c *cell.Cell, patience time.Duration) Info {
	extra := c.Inquire().Answer(patience)
	s := c.Status()
	info := Info{
		AID: c.AID(), Name: c.Name(), Kind: c.Spec().Kind, State: c.State().String(), Mode: c.Spec().Mode.String(),
		PID: os.Getpid(), Uptime: time.Since(c.Born()), Inbox: s.Waiting,
		Accepted: s.Accepted, Started: s.Started, Refused: s.Refused,
		Oldest: s.Oldest, Handling: s.Handling, Since: s.Since, Extra: extra,
	}
	if u, ok := proc.OwnUsage(); ok {
		info.RSS, info.CPU = u.RSS, u.CPU
	}
	return info
}

func config(_ None, ctx context.Context, a ConfigArgs) (any, error) {
	c := cellOf(ctx)
	switch a.Op {
	case "get":
		v, ok := c.Config(a.Name)
		if !ok {
			return nil, NewError("no_setting", fmt.Sprintf("the actor has no setting %q", a.Name))
		}
		return v, nil
	case "set":
		if !c.SetConfig(a.Name, a.Value) {
			return nil, NewError("too_many_settings", fmt.Sprintf("an actor holds %d settings", cell.MaxConfig))
		}
		return a.Value, nil
	}
	return nil, wire.Errorf(wire.CodeInvalid, "config %q: the first argument is \"get\" or \"set\"", a.Op).NotStarted()
}

// run finds the function and hands it its argument as if it had been called.
func run(ctx context.Context, _ any, r *cell.Request) (cell.Value, error) {
	a, err := take[RunArgs](r.Value, runShape)
	if err != nil {
		return nil, wire.AsError(err, wire.CodeInvalid).With(wire.StartedNo)
	}
	spec := cellOf(ctx).Spec()
	f := spec.Functions[a.Function]
	if f == nil {
		text := fmt.Sprintf("the kind %q has no function %q", spec.Kind, a.Function)
		if near := wire.Nearest(a.Function, maps.Keys(spec.Functions)); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		return nil, wire.Errorf(wire.CodeInvalid, "%s", text).NotStarted()
	}
	inner := &cell.Request{Command: a.Function, Sender: r.Sender, ID: r.ID, Nested: r.Nested, Codec: r.Codec}
	if a.Argument != nil {
		inner.Value = &typed[any]{a.Argument}
	}
	return f.Run(ctx, nil, inner)
}

var runShape = shapeOf[RunArgs]()
