package actor

import (
	"context"
	"time"
)

// Commands only the arbiter answers; their target is Arbiter.
var (
	// SpawnActor starts an actor and answers when it is ready. See Spawn.
	SpawnActor = NewCommand[SpawnArgs, Ref]("spawn", Doc("starts an actor of a kind the arbiter knows"))
	// KillActor ends an actor at once: its process, if it has one of its own, is
	// killed. It answers when the actor is gone.
	KillActor = NewCommand[Ref, Death]("kill_actor", Doc("ends an actor at once"))
	// Ps lists the actors.
	Ps = NewCommand[None, []Info]("ps", Doc("lists the actors"))
	// Events answers what has happened since an event, waiting for the next one if
	// there is nothing new. See EventsArgs.
	Events = NewCommand[EventsArgs, []Event]("events", Doc("what has happened since an event"))
	// DeadLetters lists the last one-way messages that reached no handler.
	DeadLetters = NewCommand[None, []DeadLetter]("dead_letters", Doc("one-way messages that reached no handler"))
)

// SpawnArgs say what to spawn. Only Kind is required.
type SpawnArgs struct {
	Kind string `cbor:"kind" json:"kind"`
	Name string `cbor:"name,omitempty" json:"name,omitempty"` // default: none
	AID  string `cbor:"aid,omitempty" json:"aid,omitempty"`   // default: the arbiter makes one
	In   string `cbor:"in,omitempty" json:"in,omitempty"`     // "goroutine" (the default) or "process"
}

// A SpawnOption says how to spawn.
type SpawnOption func(*SpawnArgs)

// Name gives the new actor a name, unique among the living.
func Name(name string) SpawnOption { return func(a *SpawnArgs) { a.Name = name } }

// AID chooses the new actor's aid. A living one is refused with Exists.
func AID(aid string) SpawnOption { return func(a *SpawnArgs) { a.AID = aid } }

// Process puts the new actor in a process of its own: this program, started
// again.
func Process() SpawnOption { return func(a *SpawnArgs) { a.In = "process" } }

// Goroutine puts the new actor in the arbiter's process. It is the default.
func Goroutine() SpawnOption { return func(a *SpawnArgs) { a.In = "goroutine" } }

// Spawn has the arbiter start an actor of a kind it knows, by name, from anywhere
// ctx has a sender. It returns when the actor is ready.
func Spawn(ctx context.Context, kind string, options ...SpawnOption) (Ref, error) {
	a := SpawnArgs{Kind: kind}
	for _, o := range options {
		o(&a)
	}
	return SpawnActor.Call(ctx, Arbiter, a)
}

// EventsArgs ask for what came after the event number Since (0: as far back as the
// arbiter remembers). If there is nothing, the answer waits up to Wait for
// something to happen; it may be empty.
type EventsArgs struct {
	Since uint64        `cbor:"since" json:"since"`
	Wait  time.Duration `cbor:"wait,omitempty" json:"wait,omitempty"` // nanoseconds
}

// Event is something that happened to an actor.
type Event struct {
	Seq   uint64    `cbor:"seq" json:"seq"` // 1, 2, 3 …; a gap means that older ones are forgotten
	Time  time.Time `cbor:"time" json:"time"`
	Type  string    `cbor:"type" json:"type"` // "spawned", "joined", "ready", "stopping", "ended", "dead_letter"
	Actor Ref       `cbor:"actor" json:"actor"`
	Kind  string    `cbor:"kind,omitempty" json:"kind,omitempty"`
	Death *Death    `cbor:"death,omitempty" json:"death,omitempty"` // with "ended"
	Text  string    `cbor:"text,omitempty" json:"text,omitempty"`
}

// DeadLetter is a one-way message that reached no handler.
type DeadLetter struct {
	Time    time.Time `cbor:"time" json:"time"`
	Sender  string    `cbor:"sender,omitempty" json:"sender,omitempty"`
	Target  string    `cbor:"target" json:"target"`
	Command string    `cbor:"command" json:"command"`
	Code    Code      `cbor:"code" json:"code"`
	Reason  string    `cbor:"reason" json:"reason"`
}
