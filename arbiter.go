package arbiter

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Options say how an arbiter runs. The zero value is ready: actors in goroutines,
// no listener.
type Options struct {
	// Name tells this arbiter from the user's others. Default: the program's name.
	Name string
	// Kinds are those actors may be spawned of by name, from anywhere. Spawn adds
	// the kinds it is given.
	Kinds []actor.Behaviour
	// Child makes process actors possible: what Child returned at the top of main.
	// Main sets it.
	Child *ChildHook
	// Control opens the control socket, by which the command line and other
	// programs of the same user find this arbiter.
	Control bool
	// Listen is the TCP address to take actors at, such as "127.0.0.1:7978".
	// Default: none. It needs a Token.
	Listen string
	// Token is what actors that join over TCP must know.
	Token string
	// Pulsar has real actors of Python's pulsar taken. Default: none.
	Pulsar PulsarOptions
	// HTTP, if not nil, serves the connections at Listen that begin with an HTTP GET,
	// until it returns; the arbiter closes them then. websocket.Serve is made for it:
	// by it browsers join. It is called from a goroutine for each connection and must
	// bound how long a request takes. Default: such connections are refused.
	HTTP func(a *Arbiter, c net.Conn)
	// MaxMessage is the largest message in bytes. Actors in processes, and those that join, are
	// told and take as much. Default: 16 MiB; 256 GiB at most, which is what can be counted.
	MaxMessage int
	// MemoryBudget is how many bytes the arbiter may hold for others, all together: messages
	// that wait to be read by whom they are for, answers that nobody has read, what is
	// half read. Beyond it data is refused with overloaded, a result becomes that error, and
	// who leaves errors unread is cut off; half of it nobody notices. A garbage collector
	// may need as much again. At least 1 MiB; better not less than four times MaxMessage.
	// Default: half of the least of GOMEMLIMIT, the limits of the process's control groups
	// and the machine's memory, but 64 MiB at least.
	MemoryBudget int64
	// StartTimeout is how long an actor may take to be ready. Default: 30 s.
	StartTimeout time.Duration
	// StopTimeout bounds Stop: what has not stopped by then is killed. Default: 10 s.
	StopTimeout time.Duration
	// Heartbeat is how often each end of a connection gives a sign of life, and
	// HeartbeatTimeout how long a silence ends it. Default: 6 s and 20 s; if only one is
	// given the other keeps its default, but the timeout is three times Heartbeat at least,
	// and Heartbeat a third of the timeout at most. Heartbeat is 10 ms at least.
	Heartbeat, HeartbeatTimeout time.Duration
	// Quotas bound what actors may spawn.
	Quotas Quotas
	// OnSpawn, if not nil, sees what is to be spawned, by whom, before it is checked:
	// it may change it, or refuse it with an error. For a pool it is called once, with
	// what each worker will be. It is called from many goroutines. A panic is logged, and refuses.
	OnSpawn func(by actor.Ref, args *actor.SpawnArgs) error
	// PIDFile is a file to write the process id to, as long as the arbiter lives. One
	// that names a living process is refused, one left by a dead one is replaced.
	// Default: none.
	PIDFile string
	// LogDir is a directory in which each process actor has a log of what it prints, by
	// its name: NAME.log, and POOL+1.log for the slot POOL/1. It is made if it is not there; where
	// no file can be made in it, Start fails. Default: none.
	LogDir string
	// Reap makes this process the one that waits for orphans among the descendants of
	// its actors (Linux). Default: only if it is process 1, as in a container.
	Reap bool
	// Logger is where the arbiter and its actors log. It is called in the middle of
	// things, so one that blocks keeps others waiting. Default: slog.Default.
	Logger *slog.Logger
	// Output is where lines that process actors print go, each with the actor's
	// name before it, from one goroutine. One that does not take them keeps nobody: when
	// 1 MiB waits, lines are lost, and it is told how many. Default: standard error.
	Output io.Writer
	// Strict encodes what goes between actors of this process too, so that nothing
	// works there that would not elsewhere. For tests; it costs time.
	Strict bool
	// Misuse, if not nil, is told when an actor breaks a rule that nothing
	// enforces. For tests.
	Misuse func(who actor.Ref, what string)
}

// Arbiter owns actors and carries their messages. All methods may be called from
// any goroutine.
type Arbiter struct {
	// fixed
	options  Options
	log      *slog.Logger
	self     *incarnation // the actor "arbiter"
	registry *registry
	commons  cell.Commons
	budget   *peer.Budget // of what is held for others
	pool     peer.Pool    // of what connections write and read with
	tag      string       // tells this arbiter's aids from those of others

	// each safe by itself
	waits    waits
	events   events
	dead     dead
	names    names
	buffers  buffers
	serial   atomic.Uint64 // of aids
	keys     atomic.Uint64 // of local calls among the waits
	output   *proc.Output
	counts   census
	ledger   ledger
	leaks    leaks
	refusals refusals
	tokens   tokens
	journal  journal
	logs     logDir
	family   *proc.Family
	pulsar   *pulsarGate // nil: there is none; set before anybody joins

	mu        sync.Mutex // guards what follows
	kinds     map[string]*known
	listeners []net.Listener
	addresses []string
	stopping  bool
	running   int           // goroutines of the arbiter's own
	idle      chan struct{} // closed when running falls to 0 while stopping
	closers   []func()
	rows      map[string]*row // those that are started again, and pools, by name

	stops   atomic.Bool // no sync.Once: who waits for a channel lets time pass in a bubble of synctest
	stopped chan struct{}
	stopErr error // once stopped is closed
}

// Start starts an arbiter. Stop ends it; the end of ctx does not. An error means
// that nothing is left running.
func Start(ctx context.Context, options Options) (*Arbiter, error) {
	if options.Name == "" {
		options.Name = programName()
	}
	if err := wire.ValidName(options.Name); err != nil {
		return nil, fmt.Errorf("arbiter name: %w", err)
	}
	if options.MaxMessage <= 0 {
		options.MaxMessage = 16 << 20
	}
	if options.StartTimeout <= 0 {
		options.StartTimeout = 30 * time.Second
	}
	if options.StopTimeout <= 0 {
		options.StopTimeout = 10 * time.Second
	}
	options.StartTimeout, options.StopTimeout = min(options.StartTimeout, longest), min(options.StopTimeout, longest)
	switch every, timeout := options.Heartbeat, options.HeartbeatTimeout; {
	case every <= 0 && timeout <= 0:
		options.Heartbeat, options.HeartbeatTimeout = beatEvery, silence
	case every <= 0:
		if err := checkSilence(timeout); err != nil {
			return nil, err
		}
		options.Heartbeat, options.HeartbeatTimeout = min(beatEvery, timeout/3), min(timeout, longest)
	case timeout <= 0:
		every = min(every, longest/3)
		options.Heartbeat, options.HeartbeatTimeout = every, max(silence, 3*every)
	default:
		options.Heartbeat, options.HeartbeatTimeout = min(every, longest/3), min(timeout, longest)
	}
	if err := checkBeat(options.Heartbeat, options.HeartbeatTimeout); err != nil {
		return nil, err
	}
	options.Quotas = options.Quotas.withDefaults()
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	if options.Output == nil {
		options.Output = os.Stderr
	}
	if options.Listen != "" && options.Token == "" {
		return nil, errors.New("a TCP listener needs a token: whoever reaches the port could command every actor; set Options.Token")
	}
	pulsar, err := options.Pulsar.withDefaults()
	if err != nil {
		return nil, err
	}
	options.Pulsar = pulsar
	tag := randomTag()
	a := &Arbiter{
		options: options, log: options.Logger, registry: newRegistry(tag), tag: tag,
		kinds: make(map[string]*known), stopped: make(chan struct{}),
		rows: make(map[string]*row), logs: logDir{path: options.LogDir, logger: options.Logger},
	}
	var self *proc.Self
	if options.Child != nil {
		self = options.Child.self
	}
	a.budget, err = newBudget(options.MemoryBudget)
	if err != nil {
		return nil, err
	}
	a.journal.budget = a.budget
	if err := a.logs.check(); err != nil {
		return nil, err
	}
	a.family = proc.NewFamily(self, proc.FamilyOptions{Logger: options.Logger, Reap: options.Reap || os.Getpid() == 1})
	for _, k := range options.Kinds {
		if _, err := a.learn(k); err != nil {
			return nil, err
		}
	}
	spec, err := arbiterKind(a).Spec()
	if err != nil {
		return nil, err
	}
	reserveFor(spec)
	spec.Commands["stop"] = a.stopCommand(spec.Commands["stop"])
	if out, ok := options.Output.(*proc.Output); ok {
		a.output = out // whoever made it has more to say by it
	} else {
		a.output = proc.NewOutput(options.Output)
	}
	a.self = &incarnation{arb: a, aid: "arbiter", spec: spec}
	a.self.mode.Store(uint32(spec.Mode))
	a.self.cell = cell.New(spec, a.self, context.WithoutCancel(ctx), "arbiter", "", a.log)
	a.self.local.Owner = a.self
	if _, ok := a.registry.add(a.self); !ok {
		panic("arbiter: an empty registry has its own name taken")
	}
	a.self.cell.Start()
	err = a.holdPIDFile()
	if err == nil {
		err = a.openPulsar(ctx) // first: who comes by another listener may spawn such actors
	}
	if err == nil {
		err = a.listen(ctx)
	}
	if err != nil {
		_ = a.Stop(context.WithoutCancel(ctx))
		return nil, err
	}
	return a, nil
}

func programName() string {
	base := os.Args[0]
	if n := strings.LastIndexAny(base, `/\`); n >= 0 {
		base = base[n+1:]
	}
	base = strings.TrimSuffix(base, ".exe")
	if wire.ValidName(base) != nil {
		return "arbiter"
	}
	return base
}

func randomTag() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // it never fails: see crypto/rand
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:])[:4])
}

// Context returns a context in which the arbiter is the sender.
func (a *Arbiter) Context(ctx context.Context) context.Context {
	return cell.WithScope(ctx, cell.Scope{Host: a.self})
}

// Addresses are where this arbiter can be joined: "unix:/path", "tcp:host:port", and for
// actors of pulsar "pulsar:host:port".
func (a *Arbiter) Addresses() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.addresses)
}

// Logger returns the arbiter's logger.
func (a *Arbiter) Logger() *slog.Logger { return a.log }

// known is a kind that can be spawned by name, and what a Spawn of it asks for that says no
// more. That is made once, as it would be most of what such a spawn leaves to the garbage
// collector, and nobody writes to it.
type known struct {
	actor.Behaviour
	spec  *cell.Spec
	plain *actor.SpawnArgs
}

// learn adds a kind to those that can be spawned by name.
func (a *Arbiter) learn(k actor.Behaviour) (*known, error) {
	if k == nil {
		k = (*actor.Kind[actor.None])(nil) // which says so
	}
	spec, err := k.Spec()
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	have := a.kinds[spec.Kind]
	switch {
	case have == nil:
		have = &known{k, spec, &actor.SpawnArgs{Kind: spec.Kind, In: "goroutine"}}
		a.kinds[spec.Kind] = have
	case have.Behaviour != k:
		return nil, fmt.Errorf("there are two different kinds called %q: give one of them another name", spec.Kind)
	}
	return have, nil
}

// kindNamed returns the kind called name.
func (a *Arbiter) kindNamed(name string) (actor.Behaviour, *wire.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if k := a.kinds[name]; k != nil {
		return k.Behaviour, nil
	}
	text := fmt.Sprintf("this arbiter knows no kind %q", name)
	if near := wire.Nearest(name, maps.Keys(a.kinds)); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
	} else {
		text += ": give it to arbiter.Main, or to Options.Kinds"
	}
	return nil, invalid("%s", text)
}

// resolve returns who has the address, as i names another: its monitor is the pool it is a
// worker of, and the arbiter for all others. An actor of pulsar asks the arbiter by that name
// for what no other can do.
func (i *incarnation) resolve(address []byte) *incarnation {
	if i.slot != nil && i.slot.row.pool != nil && !i.pulsar && string(address) == "monitor" {
		return i.slot.row.pool.monitor
	}
	return i.arb.resolve(address)
}

// resolve returns who has the address.
func (a *Arbiter) resolve(address []byte) *incarnation {
	if i := a.registry.getBytes(address); i != nil {
		return i
	}
	if string(address) == "monitor" {
		return a.self
	}
	return nil
}

// newAID makes an aid that no actor of this arbiter has had or will have.
func (a *Arbiter) newAID(kind string) string {
	if len(kind) > 40 {
		kind = kind[:40]
	}
	var room [80]byte
	aid := append(append(room[:0], kind...), '-')
	aid = append(strconv.AppendUint(aid, a.serial.Add(1), 10), '-')
	return string(append(aid, a.tag...))
}

// timeLeft is how long a call that says that it has millis left may take.
func timeLeft(millis uint32) time.Duration {
	if millis == 0 {
		return cell.DefaultTimeout
	}
	return time.Duration(millis) * time.Millisecond
}

// background runs f in a goroutine that Stop waits for. It returns false, and
// runs nothing, once the arbiter has stopped.
func (a *Arbiter) background(f func()) bool {
	a.mu.Lock()
	if a.idle != nil && a.running == 0 {
		a.mu.Unlock()
		return false
	}
	a.running++
	a.mu.Unlock()
	go func() {
		defer func() {
			a.mu.Lock()
			a.running--
			if a.running == 0 && a.idle != nil {
				close(a.idle)
			}
			a.mu.Unlock()
		}()
		f()
	}()
	return true
}

// actorDeath is d as users see it.
func actorDeath(d *wire.Death) actor.Death {
	return actor.Death{Cause: actor.Cause(d.Cause), Reason: d.Reason, ExitCode: d.ExitCode, Signal: d.Signal, PID: d.PID, Stderr: d.Stderr, Final: d.Final}
}

// ended is told of every end, after callers and watchers.
func (a *Arbiter) ended(i *incarnation, d *wire.Death) {
	death := actorDeath(inShort(d))
	i.happened(actor.Event{Type: "ended", Actor: i.ref(), Kind: i.kind(), Death: &death})
	if d.Cause == wire.CauseStopped {
		a.log.Debug("an actor ended", "actor", i.label(), "aid", i.aid, "cause", d.Cause, "reason", d.Reason)
		return
	}
	if i.asked.Load() || d.Cause == wire.CauseKilled || d.Cause == wire.CauseExit && d.ExitCode == 0 {
		a.log.Info("an actor ended", "actor", i.label(), "aid", i.aid, "cause", d.Cause, "how", d.String())
		return
	}
	a.log.Warn("an actor ended", "actor", i.label(), "aid", i.aid, "cause", d.Cause, "how", d.String())
}

// Kill ends an actor at once; its process, if it has one of its own, is killed. It
// returns how it ended, once everybody was told.
func (a *Arbiter) Kill(ctx context.Context, target actor.Ref) (actor.Death, error) {
	return actor.KillActor.Call(a.Context(ctx), actor.Arbiter, target)
}

// Stop ends the arbiter, in steps that are logged and are events, all of them
// together within Options.StopTimeout or until ctx ends:
//
//  1. nothing is taken any more: no connection, no spawn, no restart;
//  2. every actor is asked to stop: it finishes what it has and runs its hook, within
//     its own grace;
//  3. the processes of those that have not stopped get SIGTERM;
//  4. what is left is killed.
//
// It returns when no goroutine and no process of it is left, but for what does not
// return 5 s after that, which the error then says: handlers and hooks that go on though
// their actor has ended, as after a kill, are among that. Stopping twice is
// stopping once, with the same error, which names the actors that had to be killed.
func (a *Arbiter) Stop(ctx context.Context) error {
	if a.stops.CompareAndSwap(false, true) {
		a.stopErr = a.shutDown(ctx)
		close(a.stopped)
	}
	<-a.stopped
	return a.stopErr
}

// Done is closed when the arbiter has stopped.
func (a *Arbiter) Done() <-chan struct{} { return a.stopped }
