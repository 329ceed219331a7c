package arbiter

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Spawn starts an actor of kind and returns when it is ready, or why it is not.
// The default place is a goroutine of this process; actor.Process gives it a
// process of its own. The actor's life is its own, not that of ctx, which only
// bounds the start.
func (a *Arbiter) Spawn(ctx context.Context, kind actor.Behaviour, options ...actor.SpawnOption) (actor.Ref, error) {
	if _, err := a.learn(kind); err != nil {
		return actor.Ref{}, err
	}
	return actor.Spawn(a.Context(ctx), kind.KindName(), options...)
}

// spawn answers the command spawn.
func (a *Arbiter) spawn(ctx context.Context, args actor.SpawnArgs) (actor.Ref, error) {
	kind, unknown := a.kindNamed(args.Kind)
	if unknown != nil {
		return actor.Ref{}, unknown
	}
	spec, err := kind.Spec()
	if err != nil {
		return actor.Ref{}, err
	}
	i, failed := a.incarnate(spec, args)
	if failed != nil {
		return actor.Ref{}, failed
	}
	switch args.In {
	case "", "goroutine":
		i.cell = cell.New(spec, i, a.self.cell.Base(), i.aid, i.name, a.log.With("actor", i.label()))
		i.local.Expired = i.expired
	case "process":
		i.place = inProcess
	default:
		return actor.Ref{}, invalid("an actor lives in a \"goroutine\" or a \"process\", not in %q", args.In)
	}
	if i.place == inProcess {
		if failed := a.startProcess(i, spec); failed != nil {
			return actor.Ref{}, failed
		}
	} else {
		if failed := a.enlist(i); failed != nil {
			return actor.Ref{}, failed
		}
		a.events.add(actor.Event{Type: "spawned", Actor: i.ref(), Kind: i.kind})
		i.cell.Start()
	}
	return i.ref(), a.awaitReady(ctx, i)
}

// awaitReady waits until i runs. What is not ready in time is killed.
func (a *Arbiter) awaitReady(ctx context.Context, i *incarnation) error {
	timer := time.NewTimer(a.options.StartTimeout)
	defer timer.Stop()
	select {
	case <-i.ready:
	case <-timer.C:
		i.kill(&wire.Death{Cause: wire.CauseStart, Reason: fmt.Sprintf("it was not ready after %v", a.options.StartTimeout)})
		<-i.ready
	case <-ctx.Done():
		i.kill(&wire.Death{Cause: wire.CauseStart, Reason: "its spawner gave up before it was ready"})
		return ctx.Err()
	}
	i.mu.Lock()
	d := i.death
	i.mu.Unlock()
	if d == nil {
		return nil
	}
	c := *d
	return &wire.Error{Code: wire.CodeDown, Started: wire.StartedYes, Target: i.label(), Command: "spawn", Message: "it " + c.String(), Death: &c}
}

// incarnate makes the life of a new actor, which nobody finds yet.
func (a *Arbiter) incarnate(spec *cell.Spec, args actor.SpawnArgs) (*incarnation, *wire.Error) {
	if err := checkNames(args.Name, args.AID); err != nil {
		return nil, err
	}
	aid := args.AID
	if aid == "" {
		aid = a.newAID(spec.Kind)
	}
	i := &incarnation{
		arb: a, aid: aid, name: args.Name, kind: spec.Kind, mode: spec.Mode, born: time.Now(),
		ready: make(chan struct{}), ended: make(chan struct{}),
	}
	i.state.Store(int32(cell.Starting))
	return i, nil
}

func checkNames(names ...string) *wire.Error {
	for _, name := range names {
		if name == "" {
			continue
		}
		if err := actor.ValidName(name); err != nil {
			return invalid("%v", err)
		}
	}
	return nil
}

// enlist makes i findable.
func (a *Arbiter) enlist(i *incarnation) *wire.Error {
	a.mu.Lock()
	stopping := a.stopping
	a.mu.Unlock()
	if stopping {
		return wire.Errorf(wire.CodeClosed, "the arbiter is stopping").NotStarted()
	}
	if taken, ok := a.registry.add(i); !ok {
		return wire.Errorf(wire.CodeExists, "%q belongs to a living actor", taken).NotStarted()
	}
	return nil
}

// newSession makes the arbiter's side of a connection for i.
func (a *Arbiter) newSession(i *incarnation, conn *peer.Conn) *session {
	s := &session{
		arb: a, inc: i, conn: conn, sender: []byte(i.aid), links: make(map[string]*link),
		asked: make(map[uint64]asked), watching: make(map[uint64]*incarnation),
	}
	i.session = s
	conn.Calls().Expired = func(id uint64, _ peer.Note) { s.tellCancel(id) }
	return s
}

// newConn makes a connection as this arbiter has them.
func (a *Arbiter) newConn(t peer.Transport) *peer.Conn {
	return peer.New(t, peer.Options{
		MaxMessage: a.options.MaxMessage, Window: sessionWindow, Logger: a.log, OwnsEnd: true,
		Interval: a.options.Heartbeat, Timeout: a.options.HeartbeatTimeout,
	})
}

// sessionWindow is the room each peer has for data under way to others.
var sessionWindow = wire.Window{Messages: 8192, Bytes: 1 << 20}

// welcome is what a peer that is i is told.
func (a *Arbiter) welcome(i *incarnation, version uint32) *wire.Welcome {
	return &wire.Welcome{
		Version: version, AID: i.aid, Name: i.name, Arbiter: a.self.aid, Window: sessionWindow,
		MaxMessage: a.options.MaxMessage, Interval: uint32(a.options.Heartbeat.Milliseconds()),
		Timeout: uint32(a.options.HeartbeatTimeout.Milliseconds()), PID: os.Getpid(),
	}
}

// startProcess starts this program again as i. Messages to i wait from now on.
func (a *Arbiter) startProcess(i *incarnation, spec *cell.Spec) *wire.Error {
	if a.options.Child == nil {
		return invalid("no process actors here: call arbiter.Child (or use arbiter.Main) at the top of main, and give what it returns to Options.Child")
	}
	if !slices.Contains(a.options.Child.kinds, spec.Kind) {
		return invalid("the kind %q cannot live in a process of its own: give it to arbiter.Main or arbiter.Child, so that the child finds it", spec.Kind)
	}
	exe, err := os.Executable()
	if err != nil {
		return startError(err)
	}
	ours, theirs, err := proc.Socketpair()
	if err != nil {
		return startError(err)
	}
	conn := a.newConn(peer.NewTransport(ours))
	s := a.newSession(i, conn)
	if failed := a.enlist(i); failed != nil {
		conn.Close(failed)
		_ = theirs.Close()
		return failed
	}
	a.events.add(actor.Event{Type: "spawned", Actor: i.ref(), Kind: i.kind})
	line := func(line []byte) { a.output.line(i.label(), line) }
	s.proc, err = proc.Start(proc.Spec{
		Path: exe, Argv0: filepath.Base(exe), Env: a.childEnv(i), Socket: theirs, Stdout: line, Stderr: line,
	})
	if err != nil {
		conn.Close(err)
		i.end(&wire.Death{Cause: wire.CauseStart, Reason: err.Error()})
		return startError(err)
	}
	a.background(func() { a.attend(s) })
	return nil
}

func startError(err error) *wire.Error {
	return &wire.Error{Code: wire.CodeDown, Started: wire.StartedNo, Message: err.Error(), Death: &wire.Death{Cause: wire.CauseStart, Reason: err.Error()}}
}

// childEnv is the environment of a child: ours, and what tells it what it is.
func (a *Arbiter) childEnv(i *incarnation) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, actor.EnvFD+"=") || strings.HasPrefix(v, envKind+"=") || strings.HasPrefix(v, actor.EnvToken+"=") ||
			strings.HasPrefix(v, actor.EnvAddr+"=")
	})
	env = append(env, fmt.Sprintf("%s=%d", actor.EnvFD, proc.SocketFD), envKind+"="+i.kind)
	for _, at := range a.Addresses() {
		if strings.HasPrefix(at, "unix:") {
			return append(env, actor.EnvAddr+"="+at)
		}
	}
	return env
}

// attend serves the connection of a child, from its hello to its end.
func (a *Arbiter) attend(s *session) {
	ctx, cancel := context.WithTimeout(context.Background(), a.options.StartTimeout)
	defer cancel()
	i := s.inc
	hello, err := s.conn.AwaitHello(ctx)
	if err == nil {
		var version uint32
		var failed *wire.Error
		if version, failed = wire.Negotiate(hello); failed == nil && hello.Kind != i.kind {
			failed = wire.Errorf(wire.CodeRefused, "a child started as %q says it is %q", i.kind, hello.Kind)
		}
		if failed != nil {
			s.conn.Refuse(failed)
			err = failed
		} else {
			s.greeted(hello)
			err = s.conn.Welcome(a.welcome(i, version))
		}
	}
	if err != nil {
		s.conn.Close(err)
		d := s.autopsy(ctx, err)
		c := *d
		if c.Cause != wire.CauseKilled {
			c.Reason = "before it was ready it " + d.String()
			c.Cause = wire.CauseStart
		}
		i.end(&c)
		return
	}
	s.serve(context.Background())
}

// greeted keeps what the hello said.
func (s *session) greeted(h *wire.Hello) {
	s.inc.mu.Lock()
	defer s.inc.mu.Unlock()
	s.hello = h
}

// expired tells a cell that nobody waits for a request any longer: its time is up.
func (i *incarnation) expired(id uint64, n peer.Note) {
	if l, ok := n.Caller.(*link); ok {
		i.cell.Cancel(l.from.conn, id)
		return
	}
	i.cell.Cancel(nil, id)
}
