package supervise

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// End is how one life of a child ended. It is a crash when Failed is set and neither
// Asked nor Final is.
type End struct {
	At     time.Time     // when it ended; with a monotonic reading where there is one
	Lived  time.Duration // from ready to the end; 0: it never became ready
	Failed bool          // anything but a clean exit
	Asked  bool          // somebody asked for this end: a command, recycling, a rolling restart
	Final  bool          // the actor itself said that it is not to be started again

	// Silent is how long it had given no sign of life before it was given up, if that is
	// why it ended: a part of Lived in which it was not well. It is no time between two
	// crashes, either: else who hangs at once would be started again for ever, if only it
	// takes long enough to notice.
	Silent time.Duration
}

// Action is what is to be done about an end.
type Action uint8

// The actions.
const (
	Stay     Action = iota // nothing: this child has ended for good
	Start                  // start this child
	StartAll               // start this child, and end the others, which are started as they end
	GiveUp                 // start nobody any more, until Reset
)

// String returns "stay", "start", "start-all" or "give-up".
func (a Action) String() string {
	return word("Action", []string{"stay", "start", "start-all", "give-up"}, uint8(a))
}

// Decision is the answer to an end.
type Decision struct {
	Action Action

	// After is how long to wait, from End.At on, with Start and StartAll. Only what
	// was asked for, or is overdue, is started without a wait.
	After time.Duration

	// Crashes of the child count within Policy.Within, this one included, up to
	// MaxCrashes (without a limit, up to 100). With OneForAll they are those of the
	// group; with Stay it is 0.
	Crashes int

	// Failing says that the child keeps crashing: it came to MaxCrashes within
	// Within, and has not lived for Policy.Healthy since. With GiveUp it is always
	// set; with Start it goes on because others of the group are not failing.
	Failing bool

	// Reason is for people: "2 crashes within 1m", "exited cleanly, restart is
	// on-failure". It does not name the child.
	Reason string
}

// countUnlimited is up to where crashes are counted when there is no limit. It
// bounds the memory, and nobody needs to know more exactly that it is many.
const countUnlimited = 100

// Group decides for the children of one supervisor. It knows those it was told of
// by Add or by an end, and remembers for each at most MaxCrashes times of crashes,
// until Forget or an end for good.
//
// A Group is not safe for concurrent use.
type Group struct {
	policy   Policy // with its defaults
	random   func() float64
	clock    clock
	children map[string]*child // with OneForOne only
	all      child             // with OneForAll: the children as one
	gaveUp   bool
}

// NewGroup returns a group without children for p. Jitter takes its numbers, from 0
// up to but not including 1, from random; nil: from math/rand/v2. Given the same
// numbers, a group told the same decides the same. The error is that of p.Validate.
func NewGroup(p Policy, random func() float64) (*Group, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if random == nil {
		random = rand.Float64
	}
	p = p.WithDefaults()
	return &Group{
		policy:   p,
		random:   random,
		clock:    clock{slack: p.Within},
		children: make(map[string]*child),
	}, nil
}

// Policy returns the policy of the group, with its defaults in place.
func (g *Group) Policy() Policy { return g.policy }

// Add says that the child called name belongs to the group; it is called when the
// child is started for the first time. Adding a child again changes nothing.
//
// The group goes on while one of its children is not failing, so it must know of
// those that never crashed: without Add, one failing child of a pool is all there
// is, and the group gives up.
func (g *Group) Add(name string) { g.child(name) }

// Forget says that the child called name was removed, as when a pool shrinks, and
// drops what is known of it. A child that comes back under that name is a new one.
func (g *Group) Forget(name string) { delete(g.children, name) }

// Reset forgets all crashes and waits, and that the group gave up; the children stay
// known. It is for a group that somebody starts by hand.
func (g *Group) Reset() {
	g.gaveUp = false
	g.all = child{}
	for _, c := range g.children {
		*c = child{}
	}
}

// GaveUp reports whether the group gave up and was not Reset since.
func (g *Group) GaveUp() bool { return g.gaveUp }

// Ended takes the end of one life of the child called name, which becomes part of
// the group if it was not, and returns what is to be done. What decides, in order:
//
//   - the group gave up: Stay;
//   - Final: Stay;
//   - Restart is Never: Stay;
//   - with OneForAll, a life that began before the last crash: it fell with the group,
//     whatever its end looks like, and it is Start for it when that is due;
//   - Asked: Start at once, however often;
//   - a clean exit: Stay with OnFailure. With Always the child is started again, and
//     waits as after a crash, since one that has nothing to do would spin; but it
//     counts as none;
//   - a crash: Start or StartAll after the wait, or GiveUp.
//
// After GiveUp, what becomes of the children that still run is up to the caller.
// After StartAll the caller ends the other children and reports their ends, as Asked;
// each is answered with Start and what is left of the wait, so that all start together.
// A child that is told to Stay, but for a group that gave up, is no longer part of the
// group.
func (g *Group) Ended(name string, e End) Decision {
	now := g.clock.at(e.At)
	switch {
	case g.gaveUp:
		return Decision{Reason: "the group gave up before"}
	case e.Final:
		return g.stay(name, "asked not to be started again")
	case g.policy.Restart == Never:
		return g.stay(name, e.how()+", restart is never")
	}
	c, lived := g.child(name), max(e.Lived, 0)
	if g.policy.Strategy == OneForAll && c.fell(now, lived) {
		return g.decide(c, now, Start, max(c.due-now, 0), "fell with the group")
	}
	silent := min(max(e.Silent, 0), lived)
	if lived-silent >= g.policy.Healthy {
		c.healthy()
	}
	switch {
	case e.Asked:
		if g.policy.Strategy == OneForOne {
			c.starts(now, 0)
		}
		return g.decide(c, now, Start, 0, e.how())
	case e.Failed:
		c.skip(now, silent)
		d := g.crashed(c, now)
		if silent > 0 {
			d.Reason += ", its silence not counted"
		}
		return d
	case g.policy.Restart == Always:
		return g.start(c, now, e.how()+", restart is always")
	default:
		return g.stay(name, e.how()+", restart is on-failure")
	}
}

// crashed decides about a crash of c.
func (g *Group) crashed(c *child, now time.Duration) Decision {
	within, limit := g.policy.Within, g.policy.MaxCrashes
	if limit < 0 {
		c.crash(now, within, countUnlimited)
		return g.start(c, now, crashes(c.count(now, within), within))
	}
	failed := c.fails(now, within)
	c.crash(now, within, limit)
	n := c.count(now, within)
	c.failing = failed || n >= limit
	reason := crashes(n, within)
	if !c.failing {
		return g.start(c, now, reason)
	}
	if c.row > n {
		reason += fmt.Sprintf(", %d in a row", c.row)
	}
	if well := g.well(c, now); well > 0 {
		return g.start(c, now, reason+", but of the group "+isAre(well)+" well")
	}
	g.gaveUp = true
	if others := len(g.children) - 1; others > 0 {
		reason += ", and of the group " + isAre(others) + " failing too"
	}
	return g.decide(c, now, GiveUp, 0, reason)
}

// start has c, or all, started after a wait.
func (g *Group) start(c *child, now time.Duration, reason string) Decision {
	after := g.jitter(c.backoff(&g.policy))
	c.starts(now, after)
	action := Start
	if g.policy.Strategy == OneForAll {
		action = StartAll
	}
	return g.decide(c, now, action, after, reason)
}

// stay lets the child go.
func (g *Group) stay(name, reason string) Decision {
	g.Forget(name)
	return Decision{Reason: reason}
}

// decide fills in what every decision about c says.
func (g *Group) decide(c *child, now time.Duration, a Action, after time.Duration, reason string) Decision {
	return Decision{Action: a, After: after, Crashes: c.count(now, g.policy.Within), Failing: c.failing, Reason: reason}
}

// child returns what is known of the child called name, which is nothing yet if it
// is new.
func (g *Group) child(name string) *child {
	if g.policy.Strategy == OneForAll {
		return &g.all
	}
	c := g.children[name]
	if c == nil {
		c = new(child)
		g.children[name] = c
	}
	return c
}

// well returns how many children other than c are not failing.
func (g *Group) well(c *child, now time.Duration) int {
	n := 0
	for _, other := range g.children {
		if other != c && !other.fails(now, g.policy.Within) {
			n++
		}
	}
	return n
}

// jitter returns wait without the random part of it, which is never all of it.
func (g *Group) jitter(wait time.Duration) time.Duration {
	if g.policy.Jitter < 0 {
		return wait
	}
	r := g.random()
	if !(r >= 0) { // NaN, too: what is passed in is not to be trusted with the sign of a wait
		r = 0
	}
	below1 := math.Nextafter(1, 0) // the longest Duration as a float64, times 1, is none any more
	return wait - time.Duration(float64(wait)*g.policy.Jitter*min(r, below1))
}

// isAre is "1 other is" or "2 others are".
func isAre(others int) string {
	if others == 1 {
		return "1 other is"
	}
	return fmt.Sprintf("%d others are", others)
}

// how is how the life ended, for people.
func (e End) how() string {
	switch {
	case e.Asked:
		return "ended on request"
	case e.Failed:
		return "crashed"
	default:
		return "exited cleanly"
	}
}
