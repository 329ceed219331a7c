package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// deed is something done to a worker.
type deed int

// What chaos does. Each kind of death is found in a way of its own.
const (
	kills   deed = iota // SIGKILL: the end of the process is seen
	panics              // a handler panics: the worker says so, and why
	freezes             // SIGSTOP: the silence is noticed
	hangs               // a handler that never ends: its budget is
	raises              // in Python: the program exits, and its last line says why
	deeds               // how many there are
)

func (d deed) String() string {
	return [...]string{"kill -9", "panic", "freeze", "hang", "raise"}[d]
}

// target is a pool to be struck, and how.
type target struct {
	pool    string
	workers int
	deeds   []deed
	share   int // how many strikes of each round are for it
}

// targets are the pools of a demonstration that can be struck, for what is a process
// can.
func targets(renderers int, colourists bool) []target {
	list := []target{{renderPool, renderers, []deed{kills, panics, freezes, hangs}, 4}}
	if colourists {
		list = append(list, target{colourPool, coloursAt, []deed{kills, raises, freezes, hangs}, 2})
	}
	return list
}

// strike is a deed to be done: to whom, and how long after the one before.
type strike struct {
	After time.Duration
	Slot  string
	Deed  deed
}

// plan is a sequence of strikes that follows from its seed. What happens meanwhile
// does not change it.
type plan struct {
	random  *rand.Rand
	targets []target
	round   []int    // which of them are to be struck in this round yet
	bags    [][]deed // for each, the deeds that are to come before one comes again
}

func newPlan(seed uint64, all []target) *plan {
	return &plan{random: rand.New(rand.NewPCG(seed, 0)), targets: all, bags: make([][]deed, len(all))}
}

// Between strikes.
const (
	leastCalm = time.Second
	mostCalm  = 2 * time.Second
)

func (p *plan) next() strike {
	if len(p.round) == 0 {
		for n, t := range p.targets {
			p.round = append(p.round, slices.Repeat([]int{n}, t.share)...)
		}
		p.random.Shuffle(len(p.round), func(i, j int) { p.round[i], p.round[j] = p.round[j], p.round[i] })
	}
	n := p.round[0]
	t, bag := &p.targets[n], p.bags[n]
	if len(bag) == 0 {
		for _, d := range p.random.Perm(len(t.deeds)) {
			bag = append(bag, t.deeds[d])
		}
	}
	p.round, p.bags[n] = p.round[1:], bag[1:]
	return strike{
		After: leastCalm + time.Duration(p.random.Int64N(int64(mostCalm-leastCalm))),
		Slot:  fmt.Sprintf("%s/%d", t.pool, 1+p.random.IntN(t.workers)), Deed: bag[0],
	}
}

// victim is the life of a worker that was struck.
type victim struct {
	Slot string
	AID  string
	PID  int
}

// chaos strikes workers. It is the state of one actor.
type chaos struct {
	plan   *plan
	struck func(victim, deed) // is told of each deed
	next   strike
	due    time.Time         // when next is
	spent  map[string]string // by slot, the AID of who was struck last
}

// kindOfChaos returns the kind of an actor that strikes workers as planned, until it
// is stopped, and tells struck what it did.
func kindOfChaos(p *plan, struck func(victim, deed)) *actor.Kind[*chaos] {
	return &actor.Kind[*chaos]{
		Name: "chaos",
		Doc:  "kills, panics, freezes and hangs workers",
		New: func(context.Context) (*chaos, error) {
			return &chaos{plan: p, struck: struck, spent: map[string]string{}}, nil
		},
		Started: func(c *chaos, ctx context.Context) error {
			c.wait(ctx)
			return nil
		},
	}
}

// wait has the next strike happen in its time.
func (c *chaos) wait(ctx context.Context) {
	c.next = c.plan.next()
	c.due = time.Now().Add(c.next.After)
	actor.After(ctx, c.next.After, c.strike)
}

// How often chaos looks for a worker that is down from the last time, and how long.
const (
	lookAgain = 100 * time.Millisecond
	lookFor   = 5 * time.Second
)

// strike does the next deed. Whoever is in the slot has to run: it may not have
// recovered from the deed before. In the end it is spared.
func (c *chaos) strike(ctx context.Context) {
	v, found := c.find(ctx)
	done := found && c.do(ctx, v) == nil
	if !done && time.Since(c.due) < lookFor {
		actor.After(ctx, lookAgain, c.strike)
		return
	}
	if done {
		c.spent[v.Slot] = v.AID
		c.struck(v, c.next.Deed)
	}
	c.wait(ctx)
}

// find returns who is in the slot, if it runs. Who was struck before and is not
// known to be dead yet, does not.
func (c *chaos) find(ctx context.Context) (v victim, ok bool) {
	name := c.next.Slot
	list, err := actor.Ps.Call(ctx, actor.Arbiter, actor.None{})
	if err != nil {
		return v, false
	}
	for _, i := range list {
		if i.Name == name && i.State == "running" && i.PID > 0 && i.AID != c.spent[name] {
			return victim{name, i.AID, i.PID}, true
		}
	}
	return v, false
}

func (c *chaos) do(ctx context.Context, v victim) error {
	switch c.next.Deed {
	case panics, raises:
		return fault.Send(ctx, actor.Ref{AID: v.AID}, actor.None{})
	case hangs:
		return hang.Send(ctx, actor.Ref{AID: v.AID}, actor.None{})
	}
	p, err := os.FindProcess(v.PID) // a descriptor, where the system has them: it stays the same process
	if err != nil {
		return err
	}
	defer p.Release()
	// Only now is it sure whose process this is: as long as its actor lives, no other
	// has its number.
	if still, ok := c.find(ctx); !ok || still != v {
		return fmt.Errorf("%s has ended", v.Slot)
	}
	if c.next.Deed == freezes {
		return freeze(p)
	}
	return p.Kill()
}
