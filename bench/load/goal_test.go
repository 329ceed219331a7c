package load

import (
	"strings"
	"testing"
	"time"
)

// A goal is met or missed by the ratios turn by turn, beside whom it names.
func TestGoals(t *testing.T) {
	f := Figure{Name: "f", Shape: Ask, InFlight: 2, Goals: []Goal{
		{Than: ThanIdeal, Value: 0.5}, {Than: ThanBroker, Value: 2}, {Than: ThanDirect, Value: 1}, {Than: ThanOthers, Value: 1},
		{Value: 200e6}, {Aspect: "/cpu-hub", Than: ThanIdeal, Most: true, Value: 2},
	}}
	cell := func(i Info, counts ...int64) Cell {
		c := Cell{Info: i, Figure: f}
		for _, n := range counts {
			c.Results = append(c.Results, Result{Count: n, Took: time.Second, CPU: map[Role]float64{RoleHub: 3000}})
		}
		return c
	}
	cells := []Cell{
		cell(Info{Name: "relay", Socket: "unix", Hops: 2, Ideal: true}, 2000, 1000, 3000),
		cell(Info{Name: "arbiter-unix", Socket: "unix", Hops: 2}, 1000, 550, 1470),
		cell(Info{Name: "slow", Socket: "tcp", Hops: 1}, 10, 10, 10),
		cell(Info{Name: "fast", Socket: "tcp", Hops: 1}, 2000, 500, 1400),
	}
	var got []Judged
	for _, l := range Lines(cells, time.Now()) {
		if l.Peer != "arbiter-unix" && l.Goals != nil {
			t.Errorf("%s has goals", l.Peer)
		}
		got = append(got, l.Goals...)
	}
	want := []Judged{
		{Goal: "≥ 0.5 × ideal", Peer: "relay", Value: 2000, Ratio: 0.5, Met: true},
		{Goal: "≥ every direct", Peer: "fast", Value: 1400, Ratio: 1.05, Met: true},
		{Goal: "≥ every other within a process", Peer: "fast", Value: 1400, Ratio: 1.05, Met: true},
		{Goal: "≥ 200 M"},
		{Goal: "cpu-hub ≤ 2 × ideal", Peer: "relay", Value: 1.5, Ratio: 2, Met: true},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	var b strings.Builder
	if err := WriteTable(&b, cells, Lines(cells, time.Now())); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"4 of 5 met", "fast (direct, one hop)", "TestRoutedAllocs"} {
		if !strings.Contains(b.String(), s) {
			t.Errorf("the table does not say %q:\n%s", s, &b)
		}
	}
}
