package actor

import (
	"context"
	"maps"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/supervise"
)

// SpawnActor starts an actor and answers when it is ready. Only the arbiter answers
// it. See Spawn.
var SpawnActor = NewCommand[SpawnArgs, Ref]("spawn", Doc("starts an actor of a kind the arbiter knows, or a program"))

// SpawnArgs say what to spawn. Required is Kind, or for a program Run. The
// SpawnOptions are the usual way to write them.
type SpawnArgs struct {
	// Kind is the name of a kind the arbiter knows. For a program it is what it is
	// to be listed as; default: the base of its name.
	Kind string `cbor:"kind,omitempty" json:"kind,omitempty"`
	Name string `cbor:"name,omitempty" json:"name,omitempty"` // default: none
	AID  string `cbor:"aid,omitempty" json:"aid,omitempty"`   // default: the arbiter makes one
	// In is "goroutine" (the default), "process", "exec" (the default with Run), or
	// "pulsar" for a real actor of Python's pulsar: see arbiter.PulsarOptions.
	In string `cbor:"in,omitempty" json:"in,omitempty"`
	// GetOrCreate has a living actor of that Name and Kind returned, if there is one.
	GetOrCreate bool `cbor:"getOrCreate,omitempty" json:"getOrCreate,omitempty"`
	// Extra are settings the actor has from birth, 1,024 at most: see Self.Config. Outside of
	// the arbiter's process it gets them encoded: each must have an image on the wire, and
	// all together 60 KiB at most.
	Extra map[string]any `cbor:"extra,omitempty" json:"extra,omitempty"`

	Run []string `cbor:"run,omitempty" json:"run,omitempty"` // the program and its arguments
	Dir string   `cbor:"dir,omitempty" json:"dir,omitempty"` // where a process runs; default: where the arbiter does
	Env []string `cbor:"env,omitempty" json:"env,omitempty"` // "KEY=value", added to the arbiter's own environment, or in place of what that says
	// Silent says that the program speaks no protocol: it is started, watched,
	// stopped and restarted, but messages for it have nowhere to go.
	Silent bool    `cbor:"silent,omitempty" json:"silent,omitempty"`
	Bounds *Bounds `cbor:"bounds,omitempty" json:"bounds,omitempty"`

	// Restart has the actor started again when it ends, under the same name. nil:
	// never.
	Restart *supervise.Policy `cbor:"restart,omitempty" json:"restart,omitempty"`
	// StartTimeout is how long it may take to be ready; default: the arbiter's. Who calls a
	// command that waits for it, such as SpawnActor or StartActor, is told after 30 s that the
	// time is up, unless ctx says otherwise; Spawn and Pool see to that themselves.
	StartTimeout time.Duration `cbor:"startTimeout,omitempty" json:"startTimeout,omitempty"`
	// Heartbeat and HeartbeatTimeout are as the arbiter's, for this actor.
	Heartbeat        time.Duration `cbor:"heartbeat,omitempty" json:"heartbeat,omitempty"`
	HeartbeatTimeout time.Duration `cbor:"heartbeatTimeout,omitempty" json:"heartbeatTimeout,omitempty"`
	// Budget is how long one handler may take before the actor is declared hung.
	// Default: its kind's.
	Budget time.Duration `cbor:"budget,omitempty" json:"budget,omitempty"`
	// Grace is how long a stop may take; default: its kind's, 5 s for a program.
	Grace time.Duration `cbor:"grace,omitempty" json:"grace,omitempty"`
	// StopSignal is what asks a Silent program to stop; default: "TERM".
	StopSignal string `cbor:"stopSignal,omitempty" json:"stopSignal,omitempty"`
}

// Bounds are what a process may use. The zero value bounds nothing.
type Bounds struct {
	// Memory and Processes bound the process with all its descendants, where a cgroup
	// can be made: bytes, and how many, threads counted.
	Memory    int64 `cbor:"memory,omitempty" json:"memory,omitempty"`
	Processes int   `cbor:"processes,omitempty" json:"processes,omitempty"`
	// Rlimits are bounds of setrlimit(2), by name: "as", "core", "cpu", "data",
	// "fsize", "memlock", "nofile", "nproc", "stack".
	Rlimits map[string]uint64 `cbor:"rlimits,omitempty" json:"rlimits,omitempty"`
	// User is who it runs as: "UID" or "UID:GID", in numbers. To set it takes
	// privilege.
	User  string `cbor:"user,omitempty" json:"user,omitempty"`
	Umask *int   `cbor:"umask,omitempty" json:"umask,omitempty"`
	Nice  int    `cbor:"nice,omitempty" json:"nice,omitempty"`
}

// A SpawnOption says how to spawn.
type SpawnOption func(*SpawnArgs)

// Name gives the new actor a name, unique among the living. A supervised actor that was stopped by
// command, or given up, keeps its own, until a kill of that name.
func Name(name string) SpawnOption { return func(a *SpawnArgs) { a.Name = name } }

// AID chooses the new actor's aid. A living one is refused with Exists, and one that could
// be of the arbiter's making with Invalid.
func AID(aid string) SpawnOption { return func(a *SpawnArgs) { a.AID = aid } }

// GetOrCreate has Spawn return the living actor of that name, if there is one and
// it is of the same kind, instead of failing with Exists. One that stops is waited for: who follows it, or
// else a new one, is returned. The name of a supervised actor that was stopped by command, or given up, is
// taken all the same: start it, or kill it.
func GetOrCreate(name string) SpawnOption {
	return func(a *SpawnArgs) { a.Name, a.GetOrCreate = name, true }
}

// Process puts the new actor in a process of its own: this program, started
// again.
func Process() SpawnOption { return func(a *SpawnArgs) { a.In = "process" } }

// Goroutine puts the new actor in the arbiter's process. It is the default.
func Goroutine() SpawnOption { return func(a *SpawnArgs) { a.In = "goroutine" } }

// Exec makes the new actor a program of any kind and language. It finds its
// connection by ARBITER_FD, an open stream socket; if it cannot use that, by
// ARBITER_ADDR, with the token ARBITER_TOKEN, which is good for one connection. In
// it it speaks the protocol of docs/protocol.md.
func Exec(program string, args ...string) SpawnOption {
	return func(a *SpawnArgs) { a.In, a.Run = "exec", append([]string{program}, args...) }
}

// Silent says that the program speaks no protocol: see SpawnArgs.
func Silent() SpawnOption { return func(a *SpawnArgs) { a.Silent = true } }

// Dir is where the process runs.
func Dir(dir string) SpawnOption { return func(a *SpawnArgs) { a.Dir = dir } }

// Env sets variables in the environment of the process, "KEY=value": in place of what
// the arbiter's own says of them. Those that the arbiter sets itself it does not change.
func Env(env ...string) SpawnOption {
	return func(a *SpawnArgs) { a.Env = append(a.Env, env...) }
}

// Extra gives the actor settings from birth: see SpawnArgs and Self.Config.
func Extra(settings map[string]any) SpawnOption {
	return func(a *SpawnArgs) {
		if a.Extra == nil {
			a.Extra = make(map[string]any, len(settings))
		}
		maps.Copy(a.Extra, settings)
	}
}

// Restart has the actor started again when it ends, as policy says. When it has ended for good its name is
// free. Such an actor needs a name.
func Restart(policy supervise.Policy) SpawnOption {
	return func(a *SpawnArgs) { a.Restart = &policy }
}

// Heartbeat is how often the actor and the arbiter give each other a sign of life,
// and how long a silence ends the actor.
func Heartbeat(every, timeout time.Duration) SpawnOption {
	return func(a *SpawnArgs) { a.Heartbeat, a.HeartbeatTimeout = every, timeout }
}

// Budget is how long one handler may take before the actor is declared hung.
func Budget(d time.Duration) SpawnOption { return func(a *SpawnArgs) { a.Budget = d } }

// StartTimeout is how long the actor may take to be ready.
func StartTimeout(d time.Duration) SpawnOption { return func(a *SpawnArgs) { a.StartTimeout = d } }

// Grace is how long a stop of the actor may take.
func Grace(d time.Duration) SpawnOption { return func(a *SpawnArgs) { a.Grace = d } }

// Bound bounds what the process may use.
func Bound(b Bounds) SpawnOption { return func(a *SpawnArgs) { a.Bounds = &b } }

// Spawn has the arbiter start an actor of a kind it knows, by name, from anywhere
// ctx has a sender. It returns when the actor is ready. With Exec, kind may be "". If ctx has no
// deadline it waits for as long as StartTimeout and 5 s more, or 35 s: where the arbiter's own
// StartTimeout is longer than that, and this actor has none, give ctx one.
func Spawn(ctx context.Context, kind string, options ...SpawnOption) (Ref, error) {
	a := SpawnArgs{Kind: kind}
	for _, o := range options {
		o(&a)
	}
	ctx, cancel := cell.ToStart(ctx, a.StartTimeout)
	defer cancel()
	return SpawnActor.Call(ctx, Arbiter, a)
}
