package cli

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// deed is something done to a worker.
type deed int

// What chaos does. Each kind of death is found in a way of its own.
const (
	kills   deed = iota // SIGKILL: the end of the process is seen
	panics              // a handler panics: the worker says so
	freezes             // SIGSTOP: the silence is noticed
	hangs               // a handler that never ends: its budget is
	deeds               // how many there are
)

func (d deed) String() string {
	return [...]string{"kill -9", "panic", "freeze", "hang"}[d]
}

// strike is a deed to be done: to whom, and how long after the one before.
type strike struct {
	After time.Duration
	Slot  int // from 1
	Deed  deed
}

// plan is a sequence of strikes that follows from its seed. What happens meanwhile
// does not change it.
type plan struct {
	random  *rand.Rand
	workers int
	bag     []deed // those of this round that are left: each comes once
}

func newPlan(seed uint64, workers int) *plan {
	return &plan{random: rand.New(rand.NewPCG(seed, 0)), workers: workers}
}

// Between strikes.
const (
	leastCalm = time.Second
	mostCalm  = 2 * time.Second
)

func (p *plan) next() strike {
	if len(p.bag) == 0 {
		for _, n := range p.random.Perm(int(deeds)) {
			p.bag = append(p.bag, deed(n))
		}
	}
	s := strike{
		After: leastCalm + time.Duration(p.random.Int64N(int64(mostCalm-leastCalm))),
		Slot:  1 + p.random.IntN(p.workers), Deed: p.bag[0],
	}
	p.bag = p.bag[1:]
	return s
}

// victim is the life of a worker that was struck.
type victim struct {
	Slot string
	AID  string
	PID  int
}

// chaos strikes the workers of a pool. It is the state of one actor.
type chaos struct {
	pool   string
	plan   *plan
	struck func(victim, deed) // is told of each deed
	next   strike
	due    time.Time         // when next is
	spent  map[string]string // by slot, the AID of who was struck last
}

// kindOfChaos returns the kind of an actor that strikes the workers of a pool as
// planned, until it is stopped, and tells struck what it did.
func kindOfChaos(pool string, p *plan, struck func(victim, deed)) *actor.Kind[*chaos] {
	return &actor.Kind[*chaos]{
		Name: "chaos",
		Doc:  "kills, panics, freezes and hangs the workers of " + pool,
		New: func(context.Context) (*chaos, error) {
			return &chaos{pool: pool, plan: p, struck: struck, spent: map[string]string{}}, nil
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
	name := fmt.Sprintf("%s/%d", c.pool, c.next.Slot)
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
	case panics:
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
