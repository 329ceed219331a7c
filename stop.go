package arbiter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// termPart is the part of the time for a stop that is left for SIGTERM to work.
const termPart = 5

// killWait is how long a stop waits for what it has killed, and for its goroutines.
const killWait = 5 * time.Second

// soonReturned is how long most handlers take at most to return when their ctx has ended.
const soonReturned = 100 * time.Millisecond

// stopCommand is the command stop as the actor "arbiter" answers it: by all the steps
// of Stop. To others it means to finish what they have first; what the arbiter has
// would be whoever waits for events or lines, and they wait for long.
func (a *Arbiter) stopCommand(builtin *cell.Command) *cell.Command {
	c := *builtin
	c.Run = func(context.Context, any, *cell.Request) (cell.Value, error) {
		go func() { _ = a.Stop(context.Background()) }() // whoever waits for Done learns of it
		return nil, nil
	}
	return &c
}

// shutDown is Stop, once.
func (a *Arbiter) shutDown(ctx context.Context) error {
	began := time.Now()
	budget := a.options.StopTimeout
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()

	a.mu.Lock()
	a.stopping = true
	listeners, closers := a.listeners, a.closers
	var rows []*row
	for _, r := range a.rows {
		rows = append(rows, r)
	}
	a.mu.Unlock()
	for _, l := range listeners {
		_ = l.Close()
	}
	for _, r := range rows {
		r.close()
	}
	left := a.others()
	for _, r := range rows {
		for _, i := range r.living() { // who is about to be found
			if !slices.Contains(left, i) {
				left = append(left, i)
			}
		}
	}
	asked := left
	a.step("nothing is taken any more", began, "actors", len(left), "budget", budget)

	for _, i := range left {
		i.stop("the arbiter is stopping")
	}
	soft, cancelSoft := context.WithTimeout(ctx, budget-budget/termPart)
	left = awaitEnds(soft, left)
	cancelSoft()
	a.step("actors were asked to stop", began, "left", len(left))

	if left = terminate(left); len(left) > 0 {
		left = awaitEnds(ctx, left)
		a.step("processes were sent SIGTERM", began, "left", len(left))
	}
	var killed []string
	for _, i := range left {
		killed = append(killed, i.label())
		i.kill(&wire.Death{Cause: wire.CauseKilled, Reason: "it had not stopped when the arbiter did"})
	}
	last, cancelLast := context.WithTimeout(context.Background(), killWait)
	defer cancelLast()
	awaitEnds(last, left)
	for _, i := range asked { // or it has outlived a grace of its own, which is shorter
		if i.ended.passed() && i.wasReady() && i.howEnded().Cause == wire.CauseHung {
			killed = append(killed, i.label())
		}
	}
	if len(killed) > 0 {
		a.step("the rest was killed", began, "killed", strings.Join(killed, ", "))
	}

	a.self.cell.Kill(&wire.Death{Cause: wire.CauseStopped, Reason: "the arbiter is stopping"})
	family := a.family.Close()
	for _, c := range closers {
		c()
	}
	a.mu.Lock()
	idle := make(chan struct{})
	a.idle = idle
	if a.running == 0 {
		close(idle)
	}
	a.mu.Unlock()
	var stuck error
	select {
	case <-idle:
	case <-last.Done():
		stuck = errors.New("something the arbiter has called does not return (the start of a process, or Options.HTTP), and is left behind")
	}
	soon, cancelSoon := context.WithTimeout(last, soonReturned)
	leaked := a.leaks.wait(soon)
	cancelSoon()
	if leaked != nil {
		a.step("handlers and hooks whose actors have ended are waited for", began, "left", a.leaks.count())
		leaked = a.leaks.wait(last)
	}
	stuck = errors.Join(stuck, leaked)
	a.commons.Close()
	if a.output != a.options.Output {
		if err := a.output.Close(); err != nil {
			a.log.Warn("not all was printed", "error", err)
		}
	}
	switch {
	case len(killed) > 0:
		err := fmt.Errorf("not all stopped in time; these were killed: %s", strings.Join(killed, ", "))
		return errors.Join(err, family, stuck)
	case family != nil || stuck != nil:
		return fmt.Errorf("not everything has ended: %w", errors.Join(family, stuck))
	}
	return nil
}

// isStopping reports whether the arbiter takes nothing any more.
func (a *Arbiter) isStopping() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stopping
}

// step reports one of the steps of a stop.
func (a *Arbiter) step(what string, began time.Time, attrs ...any) {
	text := what
	for n := 0; n+1 < len(attrs); n += 2 {
		text += fmt.Sprintf(", %v: %v", attrs[n], attrs[n+1])
	}
	a.events.add(actor.Event{Type: "stopping", Actor: a.self.ref(), Kind: a.self.kind(), Text: text})
	a.log.Info("stopping: "+what, append(attrs, "after", time.Since(began).Round(time.Millisecond))...)
}

// others returns every incarnation but the arbiter's own.
func (a *Arbiter) others() (all []*incarnation) {
	for i := range a.registry.all() {
		if i != a.self {
			all = append(all, i)
		}
	}
	return all
}

// awaitEnds waits until all have ended or ctx has, and returns who has not.
func awaitEnds(ctx context.Context, all []*incarnation) (left []*incarnation) {
	for _, i := range all {
		if i.ended.passed() {
			continue // also if ctx has ended
		}
		select {
		case <-i.ended.until():
		case <-ctx.Done():
			left = append(left, i)
		}
	}
	return left
}

// terminate sends SIGTERM to those that have a process, and returns all that have
// not ended.
func terminate(all []*incarnation) (left []*incarnation) {
	sig, _ := signalNamed("TERM")
	for _, i := range all {
		if i.ended.passed() {
			continue
		}
		left = append(left, i)
		if p := i.process.Load(); p != nil {
			_ = p.Stop(sig) // if it fails, the kill that follows does not
		}
	}
	return left
}

// printed takes a line that a process has printed: to the journal, the log of its
// name, if there is one, and the output.
func (a *Arbiter) printed(label, stream string, line []byte, log *proc.Log) {
	a.journal.add(label, stream, line)
	switch {
	case log == nil:
	case stream == "stderr":
		log.Stderr(line)
	default:
		log.Stdout(line)
	}
	a.output.Line(label, line) // last: it may have to wait for whoever reads it
}
