package load

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"
)

// BrokerName is the peer beside the ideal one that others are compared with.
const BrokerName = "nats"

// Line is one figure of one peer, as it is written to a file: one JSON object a
// line.
type Line struct {
	Peer   string  `json:"peer"`
	Figure string  `json:"figure"` // the figure's name, and what of it: "ask-64", "ask-1/p99", "tell-64/cpu-hub"
	Value  float64 `json:"value"`  // the median of the rounds
	Unit   string  `json:"unit"`   // "msg/s", "µs", "B"
	Min    float64 `json:"min"`    // of the rounds
	Max    float64 `json:"max"`
	Rounds int     `json:"rounds"`

	// A ratio is this peer's value by the other's, the median over the rounds; it
	// is left out if there is nothing to compare with.
	Ideal string  `json:"ideal,omitempty"`      // which ideal: that of the same kind of socket
	Ratio float64 `json:"ratio,omitempty"`      // to it
	NATS  float64 `json:"ratio_nats,omitempty"` // to NATS

	Goals  []Judged  `json:"goals,omitempty"` // what arbiter is to reach, and whether it does
	System string    `json:"system"`
	Time   time.Time `json:"time"`
}

// aspect is one number of a Result.
type aspect struct {
	suffix string
	unit   string
	of     func(Result) float64 // 0: there is none
}

// aspects returns what is to be told of a figure, the figure itself first.
func aspects(f Figure) []aspect {
	all := []aspect{{"", f.Unit(), func(r Result) float64 { return r.Value(f) }}}
	if f.Shape == Ask && f.InFlight == 1 {
		all = append(all,
			aspect{"/p50", "µs", func(r Result) float64 { return float64(r.P50.Nanoseconds()) / 1e3 }},
			aspect{"/p99", "µs", func(r Result) float64 { return float64(r.P99.Nanoseconds()) / 1e3 }})
	}
	if f.Shape == Spawn {
		return append(all, aspect{"/bytes", "B", func(r Result) float64 { return r.Bytes }})
	}
	all = append(all, aspect{"/cpu", "µs", func(r Result) float64 {
		sum := 0.0
		for _, micros := range r.CPU {
			sum += micros
		}
		return per(sum, r.Count)
	}})
	if !f.Shape.Local() {
		for _, role := range []Role{RoleHub, RoleEcho, RoleCaller} {
			all = append(all, aspect{"/cpu-" + string(role), "µs", func(r Result) float64 { return per(r.CPU[role], r.Count) }})
		}
	}
	return all
}

func per(sum float64, n int64) float64 {
	if n == 0 {
		return 0
	}
	return sum / float64(n)
}

// Lines returns what cells say, in their order.
func Lines(cells []Cell, now time.Time) []Line {
	system := fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	var all []Line
	for _, c := range cells {
		ideal := idealFor(cells, c)
		broker := find(cells, c.Figure, func(i Info) bool { return i.Name == BrokerName })
		for _, a := range aspects(c.Figure) {
			values := c.values(a)
			if len(values) == 0 {
				continue
			}
			l := Line{
				Peer: c.Info.Name, Figure: c.Figure.Name + a.suffix, Unit: a.unit,
				Value: median(values), Min: slices.Min(values), Max: slices.Max(values), Rounds: len(values),
				System: system, Time: now.UTC().Truncate(time.Second),
			}
			if ideal != nil {
				l.Ideal = ideal.Info.Name
				l.Ratio = ratio(values, ideal.values(a))
			}
			if broker != nil {
				l.NATS = ratio(values, broker.values(a))
			}
			l.Goals = judge(cells, c, a)
			all = append(all, l)
		}
	}
	return all
}

// values returns one number of every round, or none if the peer has no such.
func (c *Cell) values(a aspect) []float64 {
	var all []float64
	for _, r := range c.Results {
		v := a.of(r)
		if v == 0 {
			return nil
		}
		all = append(all, v)
	}
	return all
}

// idealFor returns the ideal c is compared with: that of the same kind of socket,
// or whatever there is.
func idealFor(cells []Cell, c Cell) *Cell {
	if same := find(cells, c.Figure, func(i Info) bool { return i.Ideal && i.Socket == c.Info.Socket }); same != nil {
		return same
	}
	return nil
}

func find(cells []Cell, f Figure, is func(Info) bool) *Cell {
	for i := range cells {
		if c := &cells[i]; c.Figure.Name == f.Name && is(c.Info) && len(c.Results) > 0 {
			return c
		}
	}
	return nil
}

// ratio returns the median of a[i]/b[i]: two values of one round were measured
// within moments of each other. It is 0 if there is none.
func ratio(a, b []float64) float64 {
	var all []float64
	for i := range min(len(a), len(b)) {
		all = append(all, a[i]/b[i])
	}
	return median(all)
}

// median returns the middle of values, the mean of the middle two of an even
// number, and 0 of none. It leaves values as it is.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// WriteJSON writes lines, one JSON object each.
func WriteJSON(w io.Writer, lines []Line) error {
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for _, l := range lines {
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}
