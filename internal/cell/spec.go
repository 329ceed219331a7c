package cell

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Mode says who may run at a time.
type Mode uint8

// The modes.
const (
	Serial Mode = iota
	Interleaved
	Concurrent
)

// String returns the mode's name on the wire.
func (m Mode) String() string {
	switch m {
	case Interleaved:
		return "interleaved"
	case Concurrent:
		return "concurrent"
	}
	return "serial"
}

// ParseMode is the reverse of String; an unknown name is Serial.
func ParseMode(s string) Mode {
	switch s {
	case "interleaved":
		return Interleaved
	case "concurrent":
		return Concurrent
	}
	return Serial
}

// Spec is what all actors of one kind share. It is immutable, and not copied.
type Spec struct {
	Kind     string
	Doc      string
	Mode     Mode
	Limit    int // handlers at a time, with Concurrent
	Reserve  int // further ones, for commands that are Urgent, when Limit are at work
	Inbox    mailbox.Limits
	Commands map[string]*Command

	New         func(ctx context.Context) (state any, err error)
	Started     func(ctx context.Context, state any) error // nil: nothing
	Stopping    func(ctx context.Context, state any)       // nil: nothing
	Undelivered func(ctx context.Context, state any, e *wire.Error)
	Periodic    []Task
	Functions   map[string]*Command            // what the command run may run
	Grace       time.Duration                  // how long a stop may take, draining and hook
	Budget      time.Duration                  // how long one handler may take; 0: as long as it likes
	Info        func(state any) map[string]any // what its info says beside the usual; nil: nothing

	known    [8]atomic.Pointer[Command] // some that messages were for; see commandOf
	requests sync.Pool                  // of *Request
	parcels  sync.Pool                  // of *parcel
	bodies   bodies                     // of requests, where they are large
	memory   mailbox.Chunks[Letter]     // of the inboxes
}

// Task is something an actor does again and again, as a turn of its own.
type Task struct {
	Every time.Duration
	Do    func(ctx context.Context, state any)
}

// Command is one command of a kind.
type Command struct {
	wire.CommandInfo
	// InPlace: answered at once by whoever delivers it, even while a handler runs.
	// Run must be quick and must not use the state, which is nil.
	InPlace bool
	// Urgent: of a Concurrent kind that has a Reserve. It is taken although the inbox
	// is full, and started although Limit handlers are at work.
	Urgent bool
	// Keeps: its argument is a []byte or a string, and its handler has these very bytes
	// for good. Lends: it is a []byte, and its handler keeps nothing of it. Neither: it is
	// made from the bytes, of which nobody has a part then.
	Keeps, Lends bool

	Run func(ctx context.Context, state any, r *Request) (Value, error)
}

// commandOf returns the command of s with the name, nil if it has none. Most messages are of
// few commands, which are found without a map. Of those that have one place the first has it for
// good: if they took it from each other, all who send would wait for its cache line.
func commandOf[T string | []byte](s *Spec, name T) *Command {
	n := len(name)
	if n == 0 {
		return nil
	}
	place := &s.known[(n+int(name[0])+int(name[n-1]))%len(s.known)]
	seen := place.Load()
	if seen != nil && seen.Name == string(name) {
		return seen
	}
	c := s.Commands[string(name)]
	if c != nil && seen == nil {
		place.Store(c)
	}
	return c
}

// IsInPlace reports whether command is one of those that every actor has and answers in place.
func IsInPlace[T string | []byte](command T) bool {
	switch string(command) {
	case "ping", "info", "config", "stop", "commands", "notify":
		return true
	}
	return false
}

// CommandInfos lists the commands in no particular order.
func (s *Spec) CommandInfos() []wire.CommandInfo {
	infos := make([]wire.CommandInfo, 0, len(s.Commands))
	for _, c := range s.Commands {
		infos = append(infos, c.CommandInfo)
	}
	return infos
}

// State is where an actor is in its life.
type State int8

// The states, in the order an actor passes through them.
const (
	Initial State = iota
	Starting
	Running
	Stopping
	Closed     // it ended as it should
	Terminated // it ended otherwise
)

var stateNames = [...]string{"initial", "starting", "running", "stopping", "closed", "terminated"}

// String returns the state's name, as pulsar has it.
func (s State) String() string { return stateNames[s] }
