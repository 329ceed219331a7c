package arbiter

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// exitWait is how long the end of a connection waits for the exit of the process
// behind it, which usually came first: the callers are waiting too.
const exitWait = 50 * time.Millisecond

// exitingWait is how long it waits for one that is seen to exit, which takes a while
// where much memory is to be freed, or others are on the processor.
const exitingWait = 2 * time.Second

// within waits for done, for d, and reports whether it came. It waits in steps: time in
// which this process did not run is none that others could have used.
func within(d time.Duration, done <-chan struct{}) bool {
	const steps = 5
	timer := time.NewTimer(d / steps)
	defer timer.Stop()
	for range steps {
		select {
		case <-done:
			return true
		case <-timer.C:
			timer.Reset(d / steps)
		}
	}
	return false
}

// burialWait is how long the end of a process that was just killed is waited for: it is
// there after a moment, unless the machine has other things to do.
const burialWait = 500 * time.Millisecond

// goodbyeWait is how long a process may take to exit whose actor said in its goodbye that
// it failed, before it is killed. One that was stopped has its grace.
const goodbyeWait = 2 * time.Second

// autopsy says how the actor of s died, whose connection ended with err. What the
// arbiter did counts first, then what the actor said, then what the operating
// system knows, then what the connection looked like.
func (s *session) autopsy(err error) *wire.Death {
	p := s.inc.process.Load()
	silent := errors.Is(err, peer.ErrSilent)
	if p != nil && !silent && !within(exitWait, p.Exited()) && p.Exiting() {
		within(exitingWait, p.Exited())
	}
	s.mu.Lock()
	bye := s.bye
	s.mu.Unlock()
	if p != nil && bye != nil && bye.Cause == wire.CauseStopped && !closed(p.Exited()) {
		s.seeOff(p, bye)
	}
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
	var lines []string
	if c.Cause != wire.CauseStopped {
		lines = lastLines(p) // first: they may tell the cause
	}
	select {
	case <-p.Exited():
		s.inc.exitDeath(&c, p.Exit())
	default:
		// It lives without its connection: it may finish what it said goodbye to,
		// but not stay.
		s.arb.background(func() { reap(p, bye != nil, s.arb) })
	}
	if c.Cause != wire.CauseStopped {
		c.Stderr = lines
	}
	return &c
}

// seeOff waits for the process p of an actor that has said goodbye, with bye, and whose
// connection is over. What p does then, as exit hooks and other threads do it, is within
// its grace: until it has ended, or was killed, its life is not over, nor is its stop, and
// nobody else begins in its place. Who waits for an answer of it is told at once, and what
// is sent to its name is for who follows it.
func (s *session) seeOff(p *proc.Process, bye *wire.Death) {
	i := s.inc
	i.state.CompareAndSwap(int32(cell.Running), int32(cell.Stopping))
	d := *bye
	d.PID = p.PID()
	if i.slot != nil {
		i.carryOut(i.slot.departs(i, &d))
	}
	i.hangUp(&d)
	i.watchStop() // from now on, if nobody has asked it to leave
	select {
	case <-p.Exited():
	case <-s.doomed.until():
		within(burialWait, p.Exited())
	}
}

// farewell is d, which an actor said in its goodbye, as far as that is its to say. What
// is done to it, as a kill is, the arbiter or the system know.
func farewell(d *wire.Death) *wire.Death {
	switch d.Cause {
	case wire.CauseStopped, wire.CausePanic, wire.CauseHung, wire.CauseStart, wire.CauseMemory:
		return d
	}
	c := *d
	c.Reason = strings.TrimSuffix(fmt.Sprintf("it said goodbye, and that its end was %q: %s", d.Cause, d.Reason), ": ")
	c.Cause, c.Signal, c.ExitCode = wire.CauseConnection, "", 0
	return &c
}

// lastLines returns what the process has written to its standard error last. What it
// wrote before it ended may still be on its way.
func lastLines(p *proc.Process) []string {
	select {
	case <-p.Exited():
		within(lastWords, p.Done())
	default:
	}
	return p.Tail()
}

// spins is which part of the time a process that spins has used a processor, or
// waited for one that others had.
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
	before, wanted, at := s.used, s.wanted, s.usedAt
	s.mu.Unlock()
	took := time.Since(at)
	used := now.CPU - before.CPU
	wanted = max(p.Wanted()-wanted, used)
	if at.IsZero() || float64(wanted) <= spins*float64(took) {
		return
	}
	const ten = 10 * time.Millisecond
	d.Cause = wire.CauseSpinning
	waited := ""
	if w := (wanted - used).Round(ten); w > 0 { // of a machine that is busy with others
		waited = fmt.Sprintf(" and waited for it for %v", w)
	}
	d.Reason = fmt.Sprintf("it used %v of the processor%s in the last %v, and %s", used.Round(ten), waited, took.Round(ten), d.Reason)
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

// exitDeath adds to d what the exit of i's process tells: the cause, where nothing
// better is known.
func (i *incarnation) exitDeath(d *wire.Death, e proc.Exit) {
	switch d.Cause {
	case wire.CauseConnection, wire.CauseProtocol, wire.CauseHeartbeat:
	default:
		d.Signal = e.Signal // with what it was killed, if it was
		return
	}
	cry := i.cry.said()
	if e.OutOfMemory || outOfMemory(e, cry) {
		d.Cause, d.Signal, d.ExitCode = wire.CauseMemory, e.Signal, max(e.Code, 0)
		d.Reason = "the system killed it for want of memory"
		if !e.OutOfMemory {
			d.Reason = strings.TrimSuffix("it could get no more memory: "+cry, ": ")
		}
		return
	}
	if e.Signal != "" {
		d.Cause, d.Signal, d.Reason = wire.CauseSignal, e.Signal, ""
		return
	}
	d.Cause, d.ExitCode, d.Reason = wire.CauseExit, e.Code, ""
	if e.Code == goFatal {
		d.Reason = cry
	}
}

// goFatal is how a Go program exits that its runtime has given up on, and
// pythonFatal a Python program after an exception that nobody caught.
const (
	goFatal     = 2
	pythonFatal = 1
)

// outOfMemory reports whether a program has said that it ended for want of memory:
// one with a bound of its own (RLIMIT_AS) is not killed, but refused.
func outOfMemory(e proc.Exit, cry string) bool {
	switch e.Code {
	case goFatal:
		return strings.HasPrefix(cry, "fatal error:") && (strings.Contains(cry, "out of memory") || strings.Contains(cry, "cannot allocate memory"))
	case pythonFatal:
		n := len(e.Tail)
		return n > 0 && (e.Tail[n-1] == "MemoryError" || strings.HasPrefix(e.Tail[n-1], "MemoryError:"))
	}
	return false
}

// cry keeps the line by which the runtime of a Go program says why it gives up. What
// follows, the stacks of all goroutines, is longer than the last lines that are kept.
type cry struct {
	mu   sync.Mutex
	line string
}

const maxCry = 1 << 10

// hear takes a line of standard error.
func (c *cry) hear(line []byte) {
	if !bytes.HasPrefix(line, []byte("panic: ")) && !bytes.HasPrefix(line, []byte("fatal error: ")) && !isSignal(line) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = strings.ToValidUTF8(string(line[:min(len(line), maxCry)]), "\uFFFD")
}

// isSignal reports whether line is one like "SIGSEGV: segmentation violation".
func isSignal(line []byte) bool {
	name, _, ok := bytes.Cut(line, []byte(": "))
	return ok && len(name) <= 9 && bytes.HasPrefix(name, []byte("SIG"))
}

func (c *cry) said() string {
	if c == nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.line
}

// connectionDeath says how a connection ended.
func connectionDeath(err error) *wire.Death {
	var e *wire.Error
	switch {
	case errors.Is(err, peer.ErrSilent):
		return &wire.Death{Cause: wire.CauseHeartbeat, Reason: "nothing came over its connection any more"}
	case errors.As(err, &e) && e.Code == wire.CodeProtocol:
		return &wire.Death{Cause: wire.CauseProtocol, Reason: e.Message}
	case err != nil:
		return &wire.Death{Cause: wire.CauseConnection, Reason: err.Error()}
	}
	return &wire.Death{Cause: wire.CauseConnection}
}
