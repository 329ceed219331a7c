package arbiter

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// maxDead is how many of the dead, and of the dead letters, are remembered.
const maxDead = 1024

// dead remembers who ended lately, so that a call that comes too late is told how,
// and the last one-way messages that reached no handler.
type dead struct {
	mu      sync.Mutex
	people  map[string]*obituary // by aid
	order   [maxDead]string      // their aids, a ring
	next    int
	letters []actor.DeadLetter // a ring
	total   uint64             // letters ever
	logged  atomic.Int64       // when a letter was last logged, unix seconds
}

type obituary struct {
	label  string
	death  *wire.Death
	pulsar bool
}

func (d *dead) remember(i *incarnation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.people == nil {
		d.people = make(map[string]*obituary)
	}
	delete(d.people, d.order[d.next])
	d.order[d.next] = i.aid
	d.next = (d.next + 1) % maxDead
	d.people[i.aid] = &obituary{i.label(), inShort(i.death), i.pulsar}
}

// maxEpitaph is how many bytes of what somebody said last are remembered, and maxReason
// how many of why a letter was returned: there are a thousand of either. maxName is how many
// of a name that somebody said.
const (
	maxEpitaph = 8 << 10
	maxReason  = 1 << 10
	maxName    = 255
)

// inShort is d with no more than is to be remembered: the last lines are those that say why.
func inShort(d *wire.Death) *wire.Death {
	bytes := len(d.Reason)
	first := len(d.Stderr)
	for first > 0 && bytes+len(d.Stderr[first-1]) <= maxEpitaph {
		first--
		bytes += len(d.Stderr[first])
	}
	if first == 0 && bytes <= maxEpitaph {
		return d
	}
	c := *d
	c.Reason = wire.Tell(d.Reason, maxEpitaph)
	c.Stderr = slices.Clone(d.Stderr[first:]) // of the others nothing is kept alive
	return &c
}

func (d *dead) find(aid string) *obituary {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.people[aid]
}

// named returns the aid of who bore that name last, of those that are remembered, or "".
func (d *dead) named(name string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := range maxDead {
		aid := d.order[(d.next+maxDead-1-n)%maxDead]
		if aid == "" {
			break
		}
		if o := d.people[aid]; o != nil && o.label == name {
			return aid
		}
	}
	return ""
}

func (d *dead) letter(l actor.DeadLetter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.Seq = d.total + 1
	if len(d.letters) < maxDead {
		d.letters = append(d.letters, l)
	} else {
		d.letters[d.total%maxDead] = l
	}
	d.total++
}

// list returns the letters, oldest first.
func (d *dead) list() []actor.DeadLetter {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.letters) < maxDead {
		return append([]actor.DeadLetter{}, d.letters...)
	}
	first := d.total % maxDead
	return append(append([]actor.DeadLetter{}, d.letters[first:]...), d.letters[:first]...)
}

// letters are the one-way messages to one actor that its connection ended on. How the
// actor ended is known only later.
type letters struct {
	mu   sync.Mutex
	all  []letter
	ever uint64
}

type letter struct{ sender, command string }

// add takes one. There are as many as an outbox holds.
func (l *letters) add(m *wire.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, letter{string(m.Sender), string(m.Command)})
	l.ever++
}

// count returns how many there ever were.
func (l *letters) count() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ever
}

// bury makes dead letters of what was on its way to i, which has ended as d says.
func (l *letters) bury(i *incarnation, d *wire.Death) {
	l.mu.Lock()
	all := l.all
	l.all = nil
	l.mu.Unlock()
	for _, m := range all {
		e := &wire.Error{Code: wire.CodeDown, Target: i.label(), Command: m.command, Death: d, Message: "it " + d.String()}
		i.arb.undelivered(m.sender, i.label(), e.NotStarted())
	}
}

// undelivered keeps a one-way message that reached no handler, and tells its
// sender.
func (a *Arbiter) undelivered(sender, target string, e *wire.Error) {
	if e.Target == "" {
		e.Target = target
	}
	l := actor.DeadLetter{
		Time: time.Now(), Sender: wire.Tell(sender, maxName), Target: wire.Tell(e.Target, maxName), Command: wire.Tell(e.Command, maxName),
		Code: actor.Code(e.Code), Reason: wire.Tell(e.Error(), maxReason),
	}
	a.dead.letter(l)
	a.events.add(actor.Event{Type: "dead_letter", Text: l.Command + " to " + l.Target + ": " + l.Reason})
	if now := l.Time.Unix(); a.dead.logged.Swap(now) != now { // a line a second at most
		a.log.Warn("a dead letter", "sender", sender, "target", l.Target, "command", l.Command, "code", l.Code, "reason", l.Reason)
	}
	from := a.registry.get(sender)
	switch {
	case from == nil:
	case from.session != nil:
		from.session.cameBack(target, e)
	case from.cell.Spec().Undelivered != nil:
		from.cell.PostUndelivered(e)
	}
}
