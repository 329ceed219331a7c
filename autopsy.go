package arbiter

import (
	"errors"
	"fmt"
	"strings"
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
func (s *session) autopsy(err error) *wire.Death {
	p := s.inc.process.Load()
	silent := errors.Is(err, peer.ErrSilent)
	if p != nil && !silent {
		wait := time.NewTimer(exitWait)
		select {
		case <-p.Exited():
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
	if p == nil {
		return d
	}
	c := *d
	c.PID = p.PID()
	if c.Cause == wire.CauseHeartbeat {
		s.whySilent(&c, p)
	}
	select {
	case <-p.Exited():
		exitDeath(&c, p.Exit())
	default:
		// It lives without its connection: it may finish what it said goodbye to,
		// but not stay.
		s.arb.background(func() { reap(p, bye != nil, s.arb) })
	}
	if c.Cause != wire.CauseStopped {
		c.Stderr = lastLines(p)
	}
	return &c
}

// lastLines returns what the process has written to its standard error last. What it
// wrote before it ended may still be on its way.
func lastLines(p *proc.Process) []string {
	select {
	case <-p.Exited():
		timer := time.NewTimer(lastWords)
		defer timer.Stop()
		select {
		case <-p.Done():
		case <-timer.C:
		}
	default:
	}
	return p.Tail()
}

// spins is which part of the time a process that spins uses of a processor, at
// least: others may want it, too.
const spins = 0.5

// whySilent tells a process that was stopped, and one that spins, from one that
// waits.
func (s *session) whySilent(d *wire.Death, p *proc.Process) {
	now, ok := p.Usage()
	if !ok {
		return
	}
	if now.Stopped() {
		d.Cause, d.Reason = wire.CauseFrozen, "its process is stopped (SIGSTOP, or a debugger), and "+d.Reason
		return
	}
	s.mu.Lock()
	before, at := s.used, s.usedAt
	s.mu.Unlock()
	took := time.Since(at)
	if used := now.CPU - before.CPU; !at.IsZero() && float64(used) > spins*float64(took) {
		d.Cause = wire.CauseSpinning
		d.Reason = fmt.Sprintf("it used %v of the processor in the last %v, and %s", used.Round(10*time.Millisecond), took.Round(10*time.Millisecond), d.Reason)
	}
}

// reap waits for the process to exit, and kills it when it does not.
func reap(p *proc.Process, said bool, a *Arbiter) {
	if said {
		wait := time.NewTimer(goodbyeWait)
		defer wait.Stop()
		select {
		case <-p.Exited():
			return
		case <-wait.C:
		}
	}
	if err := p.Kill(); err != nil {
		a.log.Debug("a process could not be killed", "pid", p.PID(), "error", err)
	}
	<-p.Exited()
}

// exitDeath adds to d what the exit of the process tells: the cause, where
// nothing better is known.
func exitDeath(d *wire.Death, e proc.Exit) {
	switch d.Cause {
	case wire.CauseConnection, wire.CauseProtocol, wire.CauseHeartbeat:
	default:
		d.Signal = e.Signal // with what it was killed, if it was
		return
	}
	if e.OutOfMemory || e.Code == goFatal && outOfMemory(e.Tail) {
		d.Cause, d.Signal, d.ExitCode = wire.CauseMemory, e.Signal, max(e.Code, 0)
		d.Reason = "the system killed it for want of memory"
		if e.Signal == "" {
			d.Reason = "it could get no more memory"
		}
		return
	}
	if e.Signal != "" {
		d.Cause, d.Signal, d.Reason = wire.CauseSignal, e.Signal, ""
		return
	}
	d.Cause, d.ExitCode, d.Reason = wire.CauseExit, e.Code, ""
}

// goFatal is how a Go program exits that its runtime has given up on.
const goFatal = 2

// outOfMemory reports whether a program has said that it ended for want of memory:
// one with a bound of its own (RLIMIT_AS) is not killed, but refused.
func outOfMemory(tail []string) bool {
	for _, line := range tail {
		if strings.Contains(line, "fatal error: runtime: out of memory") || strings.Contains(line, "cannot allocate memory") {
			return true
		}
	}
	return false
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
