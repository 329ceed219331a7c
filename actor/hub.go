package actor

import "time"

// Commands only the arbiter answers; their target is Arbiter.
var (
	// KillActor ends an actor at once: its process, if it has one of its own, is
	// killed. It answers when the actor is gone. One that is supervised is started
	// again, as policy says, but not taken to have failed.
	KillActor = NewCommand[Ref, Death]("kill_actor", Doc("ends an actor at once"))
	// Ps lists the actors.
	Ps = NewCommand[None, []Info]("ps", Doc("lists the actors"))
	// Events answers what has happened since an event, waiting for the next one if
	// there is nothing new. See EventsArgs.
	Events = NewCommand[EventsArgs, []Event]("events", Doc("what has happened since an event"))
	// DeadLetters lists the last one-way messages that reached no handler.
	DeadLetters = NewCommand[None, []DeadLetter]("dead_letters", Doc("one-way messages that reached no handler"))
)

// EventsArgs ask for what came after the event number Since (0: as far back as the
// arbiter remembers). If there is nothing, the answer waits up to Wait for
// something to happen; it may be empty. Where the caller's time is up before that, as
// after the 30 s of a ctx without a deadline, it comes shortly before.
type EventsArgs struct {
	Since uint64        `cbor:"since" json:"since"`
	Wait  time.Duration `cbor:"wait,omitempty" json:"wait,omitempty"` // nanoseconds; at most a minute
}

// Event is something that happened to an actor. Of those that only call, such as the
// command line, there are none.
type Event struct {
	Seq  uint64    `cbor:"seq" json:"seq"` // 1, 2, 3 …; a gap means that older ones are forgotten
	Time time.Time `cbor:"time" json:"time"`
	// Type is "spawned", "joined", "ready", "stopping", "ended", "dead_letter"; of a
	// supervised actor also "restarting" (Text says when and why) and "gave_up"; of a
	// pool "scaled", "recycling" and, once for tries in a row, "recycle_failed"; of the
	// arbiter "stopping" with each of its steps.
	Type  string `cbor:"type" json:"type"`
	Actor Ref    `cbor:"actor" json:"actor"`
	Kind  string `cbor:"kind,omitempty" json:"kind,omitempty"`
	Death *Death `cbor:"death,omitempty" json:"death,omitempty"` // with "ended"
	Text  string `cbor:"text,omitempty" json:"text,omitempty"`
}

// DeadLetter is a one-way message that reached no handler.
type DeadLetter struct {
	Seq     uint64    `cbor:"seq" json:"seq"` // 1, 2, 3 …; the last 1,024 are kept
	Time    time.Time `cbor:"time" json:"time"`
	Sender  string    `cbor:"sender,omitempty" json:"sender,omitempty"`
	Target  string    `cbor:"target" json:"target"`
	Command string    `cbor:"command" json:"command"`
	Code    Code      `cbor:"code" json:"code"`
	Reason  string    `cbor:"reason" json:"reason"`
}
