package actor

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
)

// Self is the actor a handler, hook or timer runs in. Its methods may be called
// from any goroutine. The zero Self is nobody: all but String panic.
type Self struct {
	cell *cell.Cell
}

// Current returns the actor whose turn or life ctx belongs to; false outside of
// one.
func Current(ctx context.Context) (Self, bool) {
	s, ok := cell.ScopeOf(ctx)
	if !ok || s.Cell == nil {
		return Self{}, false
	}
	return Self{s.Cell}, true
}

// must returns the actor, or panics if there is none: it would be somebody's mistake unseen.
func (s Self) must() *cell.Cell {
	if s.cell == nil {
		panic("actor: this Self is nobody: Current has returned false, as its ctx is no actor's; give it the ctx of a handler or hook")
	}
	return s.cell
}

// Ref returns the actor's own Ref.
func (s Self) Ref() Ref { return Ref{AID: s.must().AID(), Name: s.cell.Name()} }

// Kind returns the name of the actor's kind.
func (s Self) Kind() string { return s.must().Spec().Kind }

// String returns name.aid, or "nobody" of the zero Self.
func (s Self) String() string {
	if s.cell == nil {
		return "nobody"
	}
	return s.cell.String()
}

// Stop has the actor stop, as if somebody had sent it the command stop: it handles
// what it has accepted, this handler included, and runs its hook.
func (s Self) Stop(reason string) { s.must().Stop(reason, 0) }

// Retire is Stop, and asks whoever supervises the actor not to start it again, also where a
// successor is being started. The name of an actor that is in no pool is free then. See also
// DoNotRestart.
func (s Self) Retire(reason string) { s.must().Retire(reason) }

// DoNotRestart wraps an error of Kind.New or Kind.Started: the actor could not
// start, and its supervisor is asked not to try again. Of nil it makes nil.
func DoNotRestart(err error) error {
	if err == nil {
		return nil
	}
	return finalError{err}
}

type finalError struct{ error }

func (finalError) Final() bool     { return true }
func (e finalError) Unwrap() error { return e.error }

// Context returns a context that lives as long as the actor, and in which it is
// the sender: for goroutines it starts.
func (s Self) Context() context.Context { return s.must().Life() }

// Config returns one of the actor's own settings, as the command config sets them.
func (s Self) Config(name string) (any, bool) { return s.must().Config(name) }

// SetConfig sets one of the actor's own settings. An actor holds 1,024 of them;
// one more is not kept.
func (s Self) SetConfig(name string, value any) bool { return s.must().SetConfig(name, value) }

// Caller returns who sent the message that is being handled. It is false where the
// sender is no actor, and in hooks and timers.
func Caller(ctx context.Context) (Ref, bool) {
	s, ok := cell.ScopeOf(ctx)
	if !ok || s.Turn == nil {
		return Ref{}, false
	}
	sender := s.Turn.Sender()
	return Ref{AID: sender}, sender != ""
}

// Attempt returns how often the call that is being handled was made: 1, or 2 where a pool
// makes one of an Idempotent command once more because the worker that had it has died.
func Attempt(ctx context.Context) int {
	if s, ok := cell.ScopeOf(ctx); ok && s.Turn != nil {
		return s.Turn.Attempt()
	}
	return 1
}

// Logger returns the actor's logger, which names the actor; slog's default
// elsewhere.
func Logger(ctx context.Context) *slog.Logger {
	if s, ok := cell.ScopeOf(ctx); ok && s.Cell != nil {
		return s.Cell.Logger()
	}
	return slog.Default()
}

// Connection is what carries an actor's messages.
type Connection struct {
	Profile   string // "native"; "" where messages do not leave the process
	Transport string // "unix", "tcp", "socketpair", "pipe"; "" likewise
	Peer      string // the other end: an address, or a pid
}

// ConnectionOf returns the connection of the actor in ctx to its arbiter. For a
// goroutine actor it is the zero Connection.
func ConnectionOf(ctx context.Context) Connection {
	s, ok := cell.ScopeOf(ctx)
	if !ok {
		return Connection{}
	}
	if c, ok := s.Host.(interface{ Connection() Connection }); ok {
		return c.Connection()
	}
	return Connection{}
}

// Timer is a turn the actor takes later.
type Timer struct{ timer *cell.Timer }

// Stop ends the timer. A turn of it that has begun goes on.
func (t Timer) Stop() {
	if t.timer != nil {
		t.timer.Stop()
	}
}

// After has the actor in ctx run f after d, in a turn of its own. Outside an actor
// it panics: there is no turn to take.
func After(ctx context.Context, d time.Duration, f func(ctx context.Context)) Timer {
	if f == nil {
		panic("actor: After has nothing to do: its function is nil")
	}
	return Timer{mustCell(ctx).AddTimer(d, 0, func(ctx context.Context, _ any) { f(ctx) })}
}

// Every has the actor in ctx run f again and again, each time in a turn of its
// own. A turn that comes due while the last still waits is left out. It panics outside an
// actor, as After does, and as time.NewTicker if d is not more than 0.
func Every(ctx context.Context, d time.Duration, f func(ctx context.Context)) Timer {
	switch {
	case f == nil:
		panic("actor: Every has nothing to do: its function is nil")
	case d <= 0:
		panic(fmt.Sprintf("actor: the interval of Every is %v, and must be more than 0", d))
	}
	return Timer{mustCell(ctx).AddTimer(d, d, func(ctx context.Context, _ any) { f(ctx) })}
}

func mustCell(ctx context.Context) *cell.Cell {
	s, ok := cell.ScopeOf(ctx)
	if !ok || s.Cell == nil {
		panic("actor: a timer belongs to an actor, and this context is not one's: use the ctx a handler or hook is given")
	}
	return s.Cell
}
