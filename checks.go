package arbiter

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
	"github.com/arbiter-go/arbiter/supervise"
)

// onSpawn asks the hook of the options. One that panics refuses: it would end the arbiter, whose
// handler asks, and with it all actors.
func (a *Arbiter) onSpawn(by *incarnation, args *actor.SpawnArgs) (failed *wire.Error) {
	if a.options.OnSpawn == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("panic in Options.OnSpawn", "by", by.label(), "kind", args.Kind, "name", args.Name, "panic", p, "stack", cell.StackOfPanic())
			failed = wire.Errorf(wire.CodeRefused, "Options.OnSpawn of the arbiter has panicked: %v; its stack is in the arbiter's log", p).NotStarted()
		}
	}()
	if err := a.options.OnSpawn(by.ref(), args); err != nil {
		return wire.Errorf(wire.CodeRefused, "%v", err).NotStarted()
	}
	return nil
}

// checkSpawn refuses what cannot be spawned, and completes args. The spec is nil for
// a program.
func (a *Arbiter) checkSpawn(args *actor.SpawnArgs) (*cell.Spec, *wire.Error) {
	if args.In == "" {
		args.In = "goroutine"
		if len(args.Run) > 0 {
			args.In = "exec"
		}
	}
	if err := checkDurations(args); err != nil {
		return nil, err
	}
	if args.Restart != nil {
		if err := args.Restart.Validate(); err != nil {
			return nil, invalid("restart: %s", strings.ReplaceAll(err.Error(), "supervise: ", "")) // not for Go alone
		}
	}
	if _, err := boundsOf(args.Bounds); err != nil {
		return nil, err
	}
	if err := a.checkExtra(args); err != nil {
		return nil, err
	}
	switch args.In {
	case "goroutine", "process":
		if len(args.Run) > 0 || args.Silent {
			return nil, invalid("a program to run is not in a %q: leave out In, or say \"exec\"", args.In)
		}
	case "exec":
		return nil, a.checkProgram(args)
	case inPulsar:
		return nil, a.checkPulsar(args)
	default:
		return nil, invalid("an actor lives in a \"goroutine\", a \"process\", by \"exec\" or in \"pulsar\", not in %q", args.In)
	}
	if args.Kind == "" {
		return nil, invalid(`neither a kind nor a program: say kind=NAME or run=["PROGRAM", "ARGUMENT"]`)
	}
	kind, failed := a.kindNamed(args.Kind)
	if failed != nil {
		return nil, failed
	}
	spec, err := kind.Spec()
	if err != nil {
		return nil, invalid("%v", err)
	}
	if args.In == "goroutine" {
		if args.Bounds != nil || args.Dir != "" || len(args.Env) > 0 {
			return nil, invalid("a goroutine has no limits, directory or environment of its own: spawn %q in a process", args.Kind)
		}
		return spec, nil
	}
	return spec, a.checkChild(spec.Kind)
}

// checkExtra refuses settings of which some, or all, would not be there when the actor begins.
func (a *Arbiter) checkExtra(args *actor.SpawnArgs) *wire.Error {
	if n := len(args.Extra); n > cell.MaxConfig {
		return invalid("extra has %d settings, and an actor holds %d: put some of them together in one", n, cell.MaxConfig)
	}
	if args.In == "goroutine" && !a.options.Strict {
		return nil // they stay here, whatever they are
	}
	const most = wire.MaxHello - 4<<10 // the welcome says other things, too
	size, err := wire.CheckImage(args.Extra)
	switch {
	case err != nil:
		return wire.Errorf(wire.CodeNotEncodable, "extra cannot be handed to another process: %v", err).NotStarted()
	case size > most:
		return invalid("extra takes %d bytes, and may take %d: send the actor what is large when it is ready", size, most)
	}
	return nil
}

// longest is the longest time there is, 49 days: what the handshake can say. Whoever wants no
// limit asks for more than that.
const longest = math.MaxUint32 * time.Millisecond

func checkDurations(args *actor.SpawnArgs) *wire.Error {
	restart := cmp.Or(args.Restart, &supervise.Policy{})
	err := cmp.Or(
		checkDuration("startTimeout", args.StartTimeout), checkDuration("heartbeat", args.Heartbeat), checkDuration("heartbeatTimeout", args.HeartbeatTimeout),
		checkDuration("budget", args.Budget), checkDuration("grace", args.Grace),
		checkDuration("restart.minBackoff", restart.MinBackoff), checkDuration("restart.maxBackoff", restart.MaxBackoff),
		checkDuration("restart.healthy", restart.Healthy), checkDuration("restart.within", restart.Within),
	)
	if err != nil {
		return err
	}
	for _, d := range [...]*time.Duration{&args.StartTimeout, &args.Heartbeat, &args.HeartbeatTimeout, &args.Budget, &args.Grace} {
		*d = min(*d, longest)
	}
	var beat error
	switch every, timeout := args.Heartbeat, args.HeartbeatTimeout; {
	case every > 0 && (timeout > 0 || every < leastBeat):
		beat = checkBeat(every, timeout)
	case every == 0 && timeout > 0:
		beat = checkSilence(timeout)
	}
	if beat != nil {
		return invalid("%v", beat)
	}
	return nil
}

// checkDuration refuses a d, of that name, that cannot be meant: a bare number on the wire
// is nanoseconds, and 5 is no grace.
func checkDuration(name string, d time.Duration) *wire.Error {
	switch {
	case d < 0:
		return invalid("%s is %v, and must not be negative", name, d)
	case d > 0 && d < time.Millisecond:
		return invalid(`%s is %v, less than 1ms: a number is nanoseconds; write a duration as text, such as "%ds"`, name, d, d.Nanoseconds())
	}
	return nil
}

// checkBeat refuses heartbeats by which every actor would be taken for dead.
func checkBeat(every, timeout time.Duration) error {
	switch {
	case every < leastBeat:
		return fmt.Errorf("a heartbeat every %v is a flood: give %v at least", every, leastBeat)
	case timeout <= every:
		return fmt.Errorf("a silence of %v would end an actor that gives a sign of life every %v: give a longer timeout, three times that", timeout, every)
	}
	return nil
}

// checkSilence refuses a timeout, given alone, of which a third is no heartbeat.
func checkSilence(timeout time.Duration) error {
	if timeout >= 3*leastBeat {
		return nil
	}
	return fmt.Errorf("a heartbeat timeout of %v is too short: an actor gives three signs of life in it, and one each %v at most: give %v at least", timeout, leastBeat, 3*leastBeat)
}

const (
	// beatEvery and silence are Heartbeat and HeartbeatTimeout where the Options do not say. The end
	// of a process, or of its connection, is known without them; of one that says nothing any more
	// its callers are told before a call is over that has no deadline of its own.
	beatEvery = 6 * time.Second
	silence   = 20 * time.Second
	// leastBeat is the shortest time between two heartbeats.
	leastBeat = 10 * time.Millisecond
)

// checkChild refuses kinds that a child could not be.
func (a *Arbiter) checkChild(kind string) *wire.Error {
	if a.options.Child == nil {
		return invalid("no process actors here: call arbiter.Child (or use arbiter.Main) at the top of main, and give what it returns to Options.Child")
	}
	if !slices.Contains(a.options.Child.kinds, kind) {
		return invalid("the kind %q cannot live in a process of its own: give it to arbiter.Main or arbiter.Child, so that the child finds it", kind)
	}
	return nil
}

// checkProgram completes what is to be known of a program.
func (a *Arbiter) checkProgram(args *actor.SpawnArgs) *wire.Error {
	if len(args.Run) == 0 || args.Run[0] == "" {
		return invalid("no program to run: give Run, the program and its arguments")
	}
	if args.Kind == "" {
		args.Kind = kindOfProgram(args.Run[0])
	}
	if err := wire.ValidName(args.Kind); err != nil {
		return invalid("the kind of a program: %v", err)
	}
	for _, v := range args.Env {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			return invalid("%q in the environment is not NAME=value", v)
		}
	}
	_, err := signalNamed(args.StopSignal)
	return err
}

// kindOfProgram makes a name of that of a program.
func kindOfProgram(path string) string {
	base := filepath.Base(path)
	base = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_.-", r) {
			return r
		}
		return '-'
	}, base)
	if wire.ValidName(base) != nil {
		return "program"
	}
	return base
}
