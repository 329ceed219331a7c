package arbiter

import (
	"context"
	"errors"
	"time"

	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// exitWait is how long the end of a connection waits for the exit of the process
// behind it, which usually came first: the callers are waiting too.
const exitWait = 50 * time.Millisecond

// goodbyeWait is how long a process that said goodbye may take to exit before it
// is killed.
const goodbyeWait = 2 * time.Second

// autopsy says how the actor of s died, whose connection ended with err. What the
// arbiter did counts first, then what the actor said, then what the operating
// system knows, then what the connection looked like.
func (s *session) autopsy(ctx context.Context, err error) *wire.Death {
	if s.proc != nil {
		wait := time.NewTimer(exitWait)
		select {
		case <-s.proc.Exited():
		case <-wait.C:
		}
		wait.Stop()
	}
	s.mu.Lock()
	bye := s.bye
	s.mu.Unlock()
	d := s.inc.killed()
	switch {
	case d != nil:
	case bye != nil:
		d = bye
	default:
		d = connectionDeath(err)
	}
	if s.proc == nil {
		return d
	}
	c := *d
	c.PID = s.proc.PID()
	select {
	case <-s.proc.Exited():
		exitDeath(&c, s.proc.Exit())
	default:
		// It lives without its connection: it may finish what it said goodbye to,
		// but not stay.
		s.arb.background(func() { s.reap(bye != nil) })
	}
	if c.Cause != wire.CauseStopped {
		c.Stderr = s.proc.Tail()
	}
	return &c
}

// reap waits for the process to exit, and kills it when it does not.
func (s *session) reap(said bool) {
	if said {
		wait := time.NewTimer(goodbyeWait)
		defer wait.Stop()
		select {
		case <-s.proc.Exited():
			return
		case <-wait.C:
		}
	}
	if err := s.proc.Kill(); err != nil {
		s.arb.log.Debug("a process could not be killed", "pid", s.proc.PID(), "error", err)
	}
	<-s.proc.Exited()
}

// exitDeath adds to d what the exit of the process tells: the cause, where
// nothing better is known.
func exitDeath(d *wire.Death, e proc.Exit) {
	switch d.Cause {
	case wire.CauseConnection, wire.CauseProtocol, wire.CauseHeartbeat:
	default:
		return
	}
	if e.Signal != "" {
		d.Cause, d.Signal, d.Reason = wire.CauseSignal, e.Signal, ""
		return
	}
	d.Cause, d.ExitCode, d.Reason = wire.CauseExit, e.Code, ""
}

// connectionDeath says how a connection ended.
func connectionDeath(err error) *wire.Death {
	var e *wire.Error
	switch {
	case errors.Is(err, peer.ErrSilent):
		return &wire.Death{Cause: wire.CauseHeartbeat, Reason: err.Error()}
	case errors.As(err, &e) && e.Code == wire.CodeProtocol:
		return &wire.Death{Cause: wire.CauseProtocol, Reason: e.Message}
	case err != nil:
		return &wire.Death{Cause: wire.CauseConnection, Reason: err.Error()}
	}
	return &wire.Death{Cause: wire.CauseConnection}
}
