package load

import (
	"fmt"
	"strings"
)

// Whom a Goal compares with.
const (
	ThanIdeal   = "ideal"   // that of the same kind of socket
	ThanChannel = "channel" // which is the ideal within a process
	ThanBroker  = "nats"    // BrokerName
	ThanDirect  = "direct"  // whoever is best of those with one hop
	ThanOthers  = "others"  // whoever is best within the process, but for the ideal
)

// Goal is what one number of a figure is to reach, for arbiter.
type Goal struct {
	Aspect string  // of the figure: "", "/p50", "/bytes", "/cpu-hub"
	Than   string  // with whom it is compared; "" for a number of its own
	Most   bool    // it is to be at most that, not at least
	Value  float64 // times the other's, or in the number's own unit
}

// String returns the goal as it is printed: "≥ 0.5 × ideal".
func (g Goal) String() string {
	sign, what := "≥", strings.TrimPrefix(g.Aspect, "/")
	if g.Most {
		sign = "≤"
	}
	if what != "" {
		what += " "
	}
	value := fmt.Sprintf("%g", g.Value)
	if g.Value >= 1e5 {
		value = fmt.Sprintf("%g M", g.Value/1e6)
	}
	switch g.Than {
	case "":
		return what + sign + " " + value
	case ThanDirect, ThanOthers:
		if g.Value == 1 {
			value = "every"
			if g.Than == ThanOthers {
				return what + sign + " every other within a process"
			}
		}
		return what + sign + " " + value + " " + g.Than
	}
	return what + sign + " " + value + " × " + g.Than
}

// met says whether v, a ratio or the number itself, reaches the goal.
func (g Goal) met(v float64) bool {
	if g.Most {
		return v <= g.Value
	}
	return v >= g.Value
}

// Judged is a goal beside what was measured.
type Judged struct {
	Goal  string  `json:"goal"`
	Peer  string  `json:"peer,omitempty"`  // whom it was compared with
	Value float64 `json:"value,omitempty"` // of that one, the median
	Ratio float64 `json:"ratio,omitempty"` // the median of the ratios turn by turn
	Met   bool    `json:"met"`
}

// judge compares one number of c with the goals of its figure. A goal that nobody was
// measured for is left out.
func judge(cells []Cell, c Cell, a aspect) []Judged {
	if !strings.HasPrefix(c.Info.Name, "arbiter") || c.Info.Aside {
		return nil
	}
	var all []Judged
	values := c.values(a)
	for _, g := range c.Figure.Goals {
		if g.Aspect != a.suffix {
			continue
		}
		if g.Than == "" {
			all = append(all, Judged{Goal: g.String(), Met: g.met(median(values))})
			continue
		}
		other := compared(cells, c, a, g)
		if other == nil {
			continue
		}
		r := ratio(values, other.values(a))
		all = append(all, Judged{Goal: g.String(), Peer: other.Info.Name, Value: median(other.values(a)), Ratio: r, Met: g.met(r)})
	}
	return all
}

// compared returns whom g compares c with; nil if that one was not measured.
func compared(cells []Cell, c Cell, a aspect, g Goal) *Cell {
	switch g.Than {
	case ThanIdeal, ThanChannel:
		return idealFor(cells, c)
	case ThanBroker:
		return find(cells, c.Figure, func(i Info) bool { return i.Name == BrokerName })
	}
	var best *Cell
	for i := range cells {
		o := &cells[i]
		if o.Figure.Name != c.Figure.Name || o.Info.Name == c.Info.Name || o.Info.Ideal || len(o.values(a)) == 0 {
			continue
		}
		if g.Than == ThanDirect && o.Info.Hops != 1 {
			continue
		}
		better := best == nil || median(o.values(a)) > median(best.values(a))
		if best != nil && g.Most {
			better = median(o.values(a)) < median(best.values(a))
		}
		if better {
			best = o
		}
	}
	return best
}

// Elsewhere are the goals that are not figures, and what measures or asserts them.
var Elsewhere = [][2]string{
	{"allocations of the arbiter for a routed message: 0", "asserted: go test -run TestRoutedAllocs ."},
	{"a process actor from Spawn to ready: ≤ 15 ms above exec of an empty program", "go test -run '^$' -bench SpawnProcess ."},
	{"10,000 connections at rest: ≤ 40 KiB each, heartbeats ≤ 5 % of a core", "cd bench && go run ./scale -run idle"},
	{"1,000,000 goroutine actors at rest: no goroutine, ≤ 700 B each above their state", "cd bench && go run ./scale -run actors"},
}
