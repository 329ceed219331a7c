package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// askAgain is how long watch waits when its question was not answered.
const askAgain = 100 * time.Millisecond

// watch returns when the program is at its end: it was interrupted, or nobody is
// left, or to be started again. It looks whenever something has happened: the events
// alone may be more than the arbiter remembers.
func (p *program) watch(ctx context.Context, arb *arbiter.Arbiter, pool actor.Ref) error {
	in := arb.Context(ctx)
	var since uint64
	for {
		news, err := actor.Events.Call(in, actor.Arbiter, actor.EventsArgs{Since: since, Wait: followWait})
		if err == nil && len(news) > 0 {
			var i actor.Inspection
			if i, err = actor.InspectActor.Call(in, actor.Arbiter, pool); err == nil {
				since = news[len(news)-1].Seq
				if over, err := p.outcome(in, &i); over {
					return err
				}
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			continue
		}
		select { // it has too much to do, or is ending: another terminal has asked it to
		case <-arb.Done():
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(askAgain):
		}
	}
}

// outcome reports whether the pool is at its end, and what came of it.
func (p *program) outcome(ctx context.Context, i *actor.Inspection) (over bool, err error) {
	if i.Info.State == "closed" || i.Info.State == "terminated" {
		if i.Death == nil {
			return false, nil // its workers are still ending; how it ended comes with its own end, an event
		}
		return true, p.explainEnd(i)
	}
	done := 0
	var bad *actor.Slot
	for n := range i.Slots {
		s := &i.Slots[n]
		switch {
		case s.State == "failed":
			return true, p.explainGivenUp(ctx, s)
		case s.State == "done":
			done++
			if s.Last != nil && !clean(s.Last) && bad == nil {
				bad = s
			}
		}
	}
	if done == 0 || done < len(i.Slots) {
		return false, nil // what was stopped by hand may be started by hand
	}
	if bad == nil {
		fmt.Fprintf(p.app.err, "%s: all workers have exited, and are not started again (--restart %v)\n", p.args.Name, p.restart)
		return true, nil
	}
	e := &problem{exit: exitFailed, code: string(bad.Last.Cause)}
	e.text = fmt.Sprintf("%s %s, and is not started again (--restart %v)", bad.Name, quietly(bad.Last), p.restart)
	p.lastLines(ctx, e, bad)
	return true, e
}

// clean reports whether d is an end as it should be.
func clean(d *actor.Death) bool {
	return d.Cause == actor.CauseStopped || d.Cause == actor.CauseExit && d.ExitCode == 0
}

// quietly is d without what it said last.
func quietly(d *actor.Death) actor.Death {
	quiet := *d
	quiet.Stderr = nil
	return quiet
}

// explainEnd says that somebody has ended the pool.
func (p *program) explainEnd(i *actor.Inspection) error {
	if i.Death.Cause == actor.CauseStopped {
		fmt.Fprintf(p.app.err, "%s was asked to stop\n", p.args.Name)
		return nil
	}
	return &problem{exit: exitFailed, code: string(i.Death.Cause), text: fmt.Sprintf("%s %s", p.args.Name, i.Death)}
}

// explainGivenUp says why the pool has given up, by one of its slots.
func (p *program) explainGivenUp(ctx context.Context, s *actor.Slot) error {
	e := &problem{exit: exitFailed, code: "crash-loop"}
	e.text = fmt.Sprintf("pool %s failed: %s, giving up", p.args.Name, s.Reason)
	p.lastLines(ctx, e, s)
	e.hint("after fixing it", p.again("", ""))
	if p.o.LogDir != "" {
		return e.hint("full output", "less "+quote(filepath.Join(p.o.LogDir, strings.ReplaceAll(s.Name, "/", "+")+".log")))
	}
	return e.hint("keep the full output", p.again("--log-dir", "logs"))
}

// lastLines adds to e how the last worker of s ended, and what it said.
func (p *program) lastLines(ctx context.Context, e *problem, s *actor.Slot) {
	if s.Last == nil {
		return
	}
	how := "last end: it " + quietly(s.Last).String()
	switch {
	case s.Last.Cause == actor.CauseExit:
		how = fmt.Sprintf("last exit: code %d", s.Last.ExitCode)
	case s.Last.Cause == actor.CauseSignal:
		how = "last exit: by signal " + s.Last.Signal
	}
	if s.Last.Cause == actor.CauseMemory && p.memory > 0 {
		e.because("with its descendants it may use %v (--memory)", p.memory)
	}
	lines := s.Last.Stderr
	if i, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(s.Name)); err == nil {
		if lived, ok := lastLife(i.Events); ok {
			how += " after " + used(lived)
		}
		for n := 0; len(s.Last.Stderr) == 0 && n < len(i.Lines); n++ {
			lines = append(lines, i.Lines[n].Text) // it may complain on its standard output
		}
	}
	if len(lines) == 0 {
		e.because("%s.  It printed nothing.", how)
		return
	}
	e.because("%s.  Its last lines:", how)
	for _, line := range lines {
		e.because("  | %s", line)
	}
}

// lastLife is how long the last one lived whose begin and end are among events.
func lastLife(events []actor.Event) (lived time.Duration, ok bool) {
	began := make(map[string]time.Time)
	for _, e := range events {
		switch e.Type {
		case "spawned":
			began[e.Actor.AID] = e.Time
		case "ended":
			if from, found := began[e.Actor.AID]; found {
				lived, ok = e.Time.Sub(from), true
			}
		}
	}
	return lived, ok
}
