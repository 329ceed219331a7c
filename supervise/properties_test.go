package supervise

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// told is one end, as a test makes it up.
type told struct {
	child string
	end   End
}

// well is how long it lived and was not silent.
func (e told) well() time.Duration { return e.end.Lived - min(e.end.Silent, e.end.Lived) }

// still is how long it was silent, if that ended it.
func (e told) still() time.Duration {
	if !e.end.Failed || e.end.Asked || e.end.Final {
		return 0
	}
	return e.end.Lived - e.well()
}

// story makes up a policy and the ends of some children, never back in time. About
// one story in two is of children that crash soon, the others of a mixed life.
func story(r *rand.Rand) (Policy, []string, []told) {
	p := Policy{
		Restart:    Restart(r.IntN(2)),
		Strategy:   Strategy(r.IntN(2)),
		MinBackoff: 1 + time.Duration(r.Int64N(int64(sec))),
		Jitter:     float64(r.IntN(4))/3 - 0.01,
		Healthy:    1 + time.Duration(r.Int64N(int64(20*sec))),
		MaxCrashes: 1 + r.IntN(6),
		Within:     1 + time.Duration(r.Int64N(int64(2*time.Minute))),
	}
	p.MaxBackoff = p.MinBackoff + time.Duration(r.Int64N(int64(time.Minute)))
	names := []string{"a", "b", "c", "d"}[:1+r.IntN(4)]
	calm := r.IntN(2) * 8
	at := epoch()
	ends := make([]told, 100)
	for i := range ends {
		gap := time.Duration(r.Int64N(int64(10 * sec)))
		if r.IntN(10) < calm {
			gap *= 20
		}
		at = at.Add(gap)
		e := End{At: at, Failed: r.IntN(10) >= calm/2, Asked: r.IntN(20) < calm/4, Final: r.IntN(100) < calm/4}
		if r.IntN(2) == 0 {
			e.Lived = time.Duration(r.Int64N(int64(gap) + 1))
			e.Silent = time.Duration(r.Int64N(int64(gap)+1)) * time.Duration(r.IntN(2))
		}
		ends[i] = told{names[r.IntN(len(names))], e}
	}
	return p, names, ends
}

// stories runs f on many stories, each from a seed of its own that a failure names.
func stories(t *testing.T, f func(t *testing.T, r *rand.Rand, p Policy, names []string, ends []told)) {
	for seed := range uint64(400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			p, names, ends := story(r)
			f(t, r, p, names, ends)
		})
	}
}

// tell plays a story to a new group.
func tell(t *testing.T, p Policy, names []string, ends []told, seed uint64) []Decision {
	t.Helper()
	g, err := NewGroup(p, rand.New(rand.NewPCG(seed, 4)).Float64)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		g.Add(n)
	}
	var got []Decision
	for _, e := range ends {
		got = append(got, g.Ended(e.child, e.end))
	}
	return got
}

func TestDecisionsMakeSense(t *testing.T) {
	gaveUp := 0
	stories(t, func(t *testing.T, _ *rand.Rand, p Policy, names []string, ends []told) {
		over := false
		for i, d := range tell(t, p, names, ends, 1) {
			e := ends[i].end
			switch d.Action {
			case Stay:
				if !over && !e.Final && (e.Asked || e.Failed || p.Restart == Always) {
					t.Errorf("end %d: %+v of %+v", i, d, e)
				}
			case Start:
				if p.Strategy == OneForAll && !e.Asked && d.Reason != "fell with the group" {
					t.Errorf("end %d: only one of all: %+v", i, d)
				}
			case StartAll:
				if p.Strategy == OneForOne {
					t.Errorf("end %d: all of one: %+v", i, d)
				}
			case GiveUp:
				over = true
				gaveUp++
				if !e.Failed || e.Asked || e.Final || !d.Failing {
					t.Errorf("end %d: %+v of %+v", i, d, e)
				}
				continue
			default:
				t.Errorf("end %d: %+v", i, d)
			}
			if over != (d.Reason == "the group gave up before") {
				t.Errorf("end %d: gave up: %v, %+v", i, over, d)
			}
			if d.After < 0 || d.After > p.MaxBackoff || (d.After > 0 && d.Action == Stay) || d.Reason == "" {
				t.Errorf("end %d: %+v", i, d)
			}
			if d.Crashes < 0 || d.Crashes > p.MaxCrashes {
				t.Errorf("end %d: %+v", i, d)
			}
		}
	})
	if gaveUp < 50 || gaveUp > 390 {
		t.Errorf("%d of 400 groups gave up: the stories are too much alike", gaveUp)
	}
}

func TestDecisionsDependOnNothingElse(t *testing.T) {
	stories(t, func(t *testing.T, r *rand.Rand, p Policy, names []string, ends []told) {
		want := tell(t, p, names, ends, 1)
		if again := tell(t, p, names, ends, 1); !slices.Equal(again, want) {
			t.Error("told the same again, the group decides otherwise")
		}
		shift := time.Duration(r.Int64N(int64(1000 * time.Hour)))
		later := slices.Clone(ends)
		for i := range later {
			later[i].end.At = later[i].end.At.Add(shift)
		}
		if shifted := tell(t, p, names, later, 1); !slices.Equal(shifted, want) {
			t.Errorf("told the same %v later, the group decides otherwise", shift)
		}
	})
}

// With one for one and no limit, no child has anything to do with the others.
func TestChildrenAreApart(t *testing.T) {
	stories(t, func(t *testing.T, _ *rand.Rand, p Policy, names []string, ends []told) {
		p.Strategy, p.MaxCrashes, p.Jitter = OneForOne, -1, -1
		all := tell(t, p, names, ends, 1)
		for _, n := range names {
			var own []told
			var want []Decision
			for i, e := range ends {
				if e.child == n {
					own, want = append(own, e), append(want, all[i])
				}
			}
			if got := tell(t, p, []string{n}, own, 1); !slices.Equal(got, want) {
				t.Errorf("alone, %s gets other decisions", n)
			}
		}
	})
}

// What is counted and waited follows from the whole past of a child, worked out here
// in the simplest way.
func TestCountsAndWaitsAgainstTheWholePast(t *testing.T) {
	stories(t, func(t *testing.T, _ *rand.Rand, p Policy, names []string, ends []told) {
		p.Strategy, p.Jitter = OneForOne, -1
		for i, d := range tell(t, p, names, ends, 1) {
			if d.Action == GiveUp {
				return
			}
			if d.Action == Stay {
				continue
			}
			e := ends[i]
			crashed, waits := 0, 0
			still := time.Duration(0) // after the end that is looked at
			healthy := false
			for j := i; j >= 0; j-- { // back to where the child came into being
				o := ends[j]
				if o.child != e.child {
					continue
				}
				if o.end.Final || (j < i && !o.end.Failed && !o.end.Asked && p.Restart == OnFailure) {
					break
				}
				if o.end.Failed && !o.end.Asked && e.end.At.Sub(o.end.At)-still < p.Within {
					crashed++
				}
				still += o.still()
				if !healthy && !o.end.Asked {
					waits++
				}
				healthy = healthy || o.well() >= p.Healthy
			}
			if want := min(crashed, p.MaxCrashes); d.Crashes != want {
				t.Errorf("end %d: %d crashes, want %d: %+v", i, d.Crashes, want, d)
			}
			want := time.Duration(0)
			if !e.end.Asked {
				want = p.MinBackoff
				for range waits - 1 {
					want = min(2*want, p.MaxBackoff)
				}
			}
			if d.After != want {
				t.Errorf("end %d: waits %v, want %v (%d in a row)", i, d.After, want, waits)
			}
		}
	})
}

// A group gives up only when each of its children, since it was last healthy, has
// come to the limit.
func TestNobodyIsGivenUpForOthers(t *testing.T) {
	gaveUp := 0
	stories(t, func(t *testing.T, r *rand.Rand, p Policy, names []string, ends []told) {
		p.Strategy = OneForOne
		at := slices.IndexFunc(tell(t, p, names, ends, 1), func(d Decision) bool { return d.Action == GiveUp })
		if at < 0 {
			return
		}
		gaveUp++
		for _, n := range names {
			var crashed []time.Time // as if nobody had ever been silent
			still, reached, member := time.Duration(0), false, true
			for _, e := range ends[:at+1] {
				if e.child != n {
					continue
				}
				member = !e.end.Final && (e.end.Failed || e.end.Asked || p.Restart == Always)
				if e.well() >= p.Healthy {
					reached = false
				}
				still += e.still()
				if !member {
					crashed, reached = nil, false
				} else if e.end.Failed && !e.end.Asked {
					crashed = append(crashed, e.end.At.Add(-still))
					if first := len(crashed) - p.MaxCrashes; first >= 0 && crashed[len(crashed)-1].Sub(crashed[first]) < p.Within {
						reached = true
					}
				}
			}
			if member && !reached {
				t.Errorf("gave up at end %d, but %s is not failing", at, n)
			}
		}
		well := append(slices.Clone(names), "well") // and one that never crashed saves them
		for i, d := range tell(t, p, well, ends, 1) {
			if d.Action == GiveUp {
				t.Errorf("gave up at end %d, but one never crashed", i)
			}
		}
	})
	if gaveUp < 50 {
		t.Errorf("only %d groups gave up", gaveUp)
	}
}

// Who crashes seldom enough is started again for ever, and at the shortest wait.
func TestSeldomIsForEver(t *testing.T) {
	stories(t, func(t *testing.T, r *rand.Rand, p Policy, _ []string, _ []told) {
		p.MaxCrashes = max(p.MaxCrashes, 2)
		gap := max(p.Within/time.Duration(p.MaxCrashes-1)+1, p.Healthy)
		g := newGroup(t, p, "a")
		at := epoch()
		for i := range 1000 {
			at = at.Add(gap + time.Duration(r.IntN(int(sec))))
			if d := g.Ended("a", End{At: at, Lived: gap, Failed: true}); d.Action == GiveUp || d.Failing || d.After > p.MinBackoff {
				t.Fatalf("crash %d, one each %v at least: %+v", i, gap, d)
			}
		}
	})
}

// FuzzGroup tells a group anything at all: four bytes make an end or another call.
func FuzzGroup(f *testing.F) {
	f.Add(int64(0), int64(0), 0.0, 0, int64(0), byte(0), []byte("\x00\x00\x00\x00\x01\x00\x00\x00"))
	f.Add(int64(1), int64(1<<62), 1.0, 1, int64(1<<62), byte(4), []byte("aaaaaaaabbbbzzzz\xff\xff\xff\xff\xff\xff\x01\x01"))
	f.Add(int64(sec), int64(sec), -1.0, -1, int64(1), byte(1), []byte("\x0f\x80\x01\x01\x0f\x00\x01\x01\x0f\x7f\x01\x01"))
	f.Fuzz(func(t *testing.T, minBackoff, maxBackoff int64, jitter float64, limit int, within int64, kinds byte, script []byte) {
		p := Policy{
			Restart: Restart(kinds & 3), Strategy: Strategy(kinds >> 2 & 1),
			MinBackoff: time.Duration(minBackoff), MaxBackoff: time.Duration(maxBackoff),
			Jitter: jitter, MaxCrashes: limit, Within: time.Duration(within),
		}
		g, err := NewGroup(p, rand.New(rand.NewPCG(1, 2)).Float64)
		if (err == nil) != (p.Validate() == nil) {
			t.Fatalf("NewGroup: %v, Validate: %v", err, p.Validate())
		}
		if err != nil {
			return
		}
		at := epoch()
		for ; len(script) >= 4; script = script[4:] {
			name := string('a' + rune(script[0]>>5))
			switch script[0] & 31 {
			case 0:
				g.Add(name)
				continue
			case 1:
				g.Forget(name)
				continue
			case 2:
				g.Reset()
				continue
			}
			at = at.Add(time.Duration(int8(script[1])) << (script[2] & 63)) // forward and back, from 1 ns to centuries
			before := g.GaveUp()
			d := g.Ended(name, End{
				At: at, Lived: time.Duration(int8(script[3])) << (script[2] & 63), Silent: time.Duration(int8(script[3]^script[1])) << (script[2] & 63),
				Failed: script[0]&4 != 0, Asked: script[0]&8 != 0, Final: script[0]&16 != 0,
			})
			if d.After < 0 || d.After > g.Policy().MaxBackoff {
				t.Fatalf("%v: waits %v", p, d.After)
			}
			if before && d.Action != Stay || (d.Action == GiveUp) != (g.GaveUp() && !before) {
				t.Fatalf("%v: gave up before: %v, after: %v, %+v", p, before, g.GaveUp(), d)
			}
			for _, c := range g.children {
				if len(c.crashed) > max(g.Policy().MaxCrashes, countUnlimited) || !slices.IsSorted(c.crashed) {
					t.Fatalf("remembers %v", c.crashed)
				}
			}
			if len(g.children) > 8 {
				t.Fatalf("%d children", len(g.children))
			}
		}
	})
}
