package supervise

import (
	"math"
	"testing"
	"time"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// epoch is when all tests begin.
func epoch() time.Time { return time.Date(2030, 3, 1, 12, 0, 0, 0, time.UTC) }

// newGroup returns a group with p, without jitter unless p asks for it, that knows
// the children.
func newGroup(t testing.TB, p Policy, children ...string) *Group {
	t.Helper()
	if p.Jitter == 0 {
		p.Jitter = -1
	}
	g, err := NewGroup(p, func() float64 { return 0.5 })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range children {
		g.Add(c)
	}
	return g
}

// line is one line of a dialogue with a group: who ended when and how, and the answer.
type line struct {
	at    time.Duration // after epoch
	child string
	end   End // without At
	want  Decision
}

func crash(lived time.Duration) End { return End{Lived: lived, Failed: true} }
func silent(lived, last time.Duration) End {
	return End{Lived: lived, Silent: last, Failed: true}
}
func exit(lived time.Duration) End  { return End{Lived: lived} }
func asked(lived time.Duration) End { return End{Lived: lived, Failed: true, Asked: true} }

func TestDialogues(t *testing.T) {
	for _, c := range []struct {
		name     string
		policy   Policy
		children []string
		lines    []line
	}{
		{"one that cannot start", Policy{}, []string{"a"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{200 * ms, "a", crash(0), Decision{Start, 400 * ms, 2, false, "2 crashes within 1m"}},
			{600 * ms, "a", crash(0), Decision{Start, 800 * ms, 3, false, "3 crashes within 1m"}},
			{1400 * ms, "a", crash(0), Decision{Start, 1600 * ms, 4, false, "4 crashes within 1m"}},
			{3 * sec, "a", crash(0), Decision{GiveUp, 0, 5, true, "5 crashes within 1m"}},
			{3 * sec, "b", crash(0), Decision{Stay, 0, 0, false, "the group gave up before"}},
			{time.Hour, "a", asked(time.Hour), Decision{Stay, 0, 0, false, "the group gave up before"}},
			{time.Hour, "a", exit(time.Hour), Decision{Stay, 0, 0, false, "the group gave up before"}},
		}},
		{"a healthy life forgets the backoff but not the crashes", Policy{}, []string{"a"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{1 * sec, "a", crash(0), Decision{Start, 400 * ms, 2, false, "2 crashes within 1m"}},
			{11 * sec, "a", crash(10*sec - 1), Decision{Start, 800 * ms, 3, false, "3 crashes within 1m"}},
			{22 * sec, "a", crash(10 * sec), Decision{Start, 200 * ms, 4, false, "4 crashes within 1m"}},
			{33 * sec, "a", crash(10 * sec), Decision{GiveUp, 0, 5, true, "5 crashes within 1m"}},
		}},
		{"silence is neither life nor time between crashes", Policy{}, []string{"a"}, []line{
			{28 * sec, "a", silent(28*sec, 27*sec), Decision{Start, 200 * ms, 1, false, "1 crash within 1m, its silence not counted"}},
			{56 * sec, "a", silent(28*sec, 27*sec), Decision{Start, 400 * ms, 2, false, "2 crashes within 1m, its silence not counted"}},
			{84 * sec, "a", silent(28*sec, 28*sec), Decision{Start, 800 * ms, 3, false, "3 crashes within 1m, its silence not counted"}},
			{112 * sec, "a", silent(27*sec, 30*sec), Decision{Start, 1600 * ms, 4, false, "4 crashes within 1m, its silence not counted"}}, // of its life only
			{140 * sec, "a", silent(27*sec, 20*sec), Decision{GiveUp, 0, 5, true, "5 crashes within 1m, its silence not counted"}},
		}},
		{"who was well before it fell silent begins anew", Policy{MaxCrashes: 2}, []string{"a"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{1 * sec, "a", asked(0), Decision{Start, 0, 1, false, "ended on request"}},
			{90 * sec, "a", silent(89*sec, 28*sec), Decision{Start, 200 * ms, 1, false, "1 crash within 1m, its silence not counted"}},
			{110 * sec, "a", End{Lived: 19 * sec, Silent: 19 * sec, Failed: true, Asked: true}, Decision{Start, 0, 1, false, "ended on request"}},
			{149 * sec, "a", crash(39 * sec), Decision{GiveUp, 0, 2, true, "2 crashes within 1m"}},
		}},
		{"crashes exactly a minute apart do not count together", Policy{MaxCrashes: 2}, []string{"a"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{60 * sec, "a", crash(60 * sec), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{120*sec - 1, "a", crash(60 * sec), Decision{GiveUp, 0, 2, true, "2 crashes within 1m"}},
		}},
		{"the backoff ends at its maximum", Policy{MinBackoff: 3 * sec, MaxBackoff: 10 * sec, MaxCrashes: -1}, []string{"a"}, []line{
			{0, "a", crash(0), Decision{Start, 3 * sec, 1, false, "1 crash within 1m"}},
			{3 * sec, "a", crash(0), Decision{Start, 6 * sec, 2, false, "2 crashes within 1m"}},
			{9 * sec, "a", crash(0), Decision{Start, 10 * sec, 3, false, "3 crashes within 1m"}},
			{19 * sec, "a", crash(0), Decision{Start, 10 * sec, 4, false, "4 crashes within 1m"}},
		}},
		{"jitter takes a part away", Policy{Jitter: 0.4}, []string{"a"}, []line{
			{0, "a", crash(0), Decision{Start, 160 * ms, 1, false, "1 crash within 1m"}},
			{0, "a", crash(0), Decision{Start, 320 * ms, 2, false, "2 crashes within 1m"}},
		}},
		{"on failure", Policy{}, []string{"a", "b", "c"}, []line{
			{0, "a", exit(sec), Decision{Stay, 0, 0, false, "exited cleanly, restart is on-failure"}},
			{0, "b", End{Lived: sec, Failed: true, Final: true}, Decision{Stay, 0, 0, false, "asked not to be started again"}},
			{0, "c", crash(sec), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
		}},
		{"never", Policy{Restart: Never}, []string{"a", "b", "c"}, []line{
			{0, "a", exit(sec), Decision{Stay, 0, 0, false, "exited cleanly, restart is never"}},
			{0, "b", crash(sec), Decision{Stay, 0, 0, false, "crashed, restart is never"}},
			{0, "c", asked(sec), Decision{Stay, 0, 0, false, "ended on request, restart is never"}},
		}},
		{"always: what has nothing to do waits, and is no crash", Policy{Restart: Always, MaxCrashes: 1}, []string{"a"}, []line{
			{0, "a", exit(0), Decision{Start, 200 * ms, 0, false, "exited cleanly, restart is always"}},
			{1 * sec, "a", exit(ms), Decision{Start, 400 * ms, 0, false, "exited cleanly, restart is always"}},
			{2 * sec, "a", exit(ms), Decision{Start, 800 * ms, 0, false, "exited cleanly, restart is always"}},
			{60 * sec, "a", exit(40 * sec), Decision{Start, 200 * ms, 0, false, "exited cleanly, restart is always"}},
			{61 * sec, "a", End{Final: true}, Decision{Stay, 0, 0, false, "asked not to be started again"}},
		}},
		{"what was asked for is no crash, comes back at once and leaves the backoff", Policy{MaxCrashes: 2}, []string{"a"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{1 * sec, "a", asked(sec), Decision{Start, 0, 1, false, "ended on request"}},
			{1 * sec, "a", asked(0), Decision{Start, 0, 1, false, "ended on request"}},
			{2 * sec, "a", End{Lived: sec, Asked: true}, Decision{Start, 0, 1, false, "ended on request"}},
			{61 * sec, "a", crash(sec), Decision{Start, 400 * ms, 1, false, "1 crash within 1m"}},
			{99 * sec, "a", asked(30 * sec), Decision{Start, 0, 1, false, "ended on request"}},
			{150 * sec, "a", crash(sec), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
		}},
		{"the actor's own word comes before that of others", Policy{}, []string{"a"}, []line{
			{0, "a", End{Lived: sec, Asked: true, Final: true}, Decision{Stay, 0, 0, false, "asked not to be started again"}},
		}},
		{"one crash is one too many", Policy{MaxCrashes: 1}, []string{"a"}, []line{
			{0, "a", asked(0), Decision{Start, 0, 0, false, "ended on request"}},
			{time.Hour, "a", crash(time.Hour), Decision{GiveUp, 0, 1, true, "1 crash within 1m"}},
		}},
		{"a pool falls together, twice", Policy{MaxCrashes: 2}, []string{"a", "b", "c"}, []line{
			{0, "a", crash(time.Hour), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{0, "b", crash(time.Hour), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{5 * ms, "c", crash(time.Hour), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{200 * ms, "b", crash(0), Decision{Start, 400 * ms, 2, true, "2 crashes within 1m, but of the group 2 others are well"}},
			{200 * ms, "a", crash(0), Decision{Start, 400 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
			{205 * ms, "c", crash(0), Decision{GiveUp, 0, 2, true, "2 crashes within 1m, and of the group 2 others are failing too"}},
		}},
		{"one bad worker among others", Policy{MaxCrashes: 2, MaxBackoff: sec}, []string{"a", "b"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{1 * sec, "a", crash(0), Decision{Start, 400 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
			{2 * sec, "a", crash(0), Decision{Start, 800 * ms, 2, true, "2 crashes within 1m, 3 in a row, but of the group 1 other is well"}},
			{3 * sec, "a", asked(0), Decision{Start, 0, 2, true, "ended on request"}},
			{62 * sec, "a", crash(0), Decision{Start, 1 * sec, 1, true, "1 crash within 1m, 4 in a row, but of the group 1 other is well"}},
			{73 * sec, "a", crash(10 * sec), Decision{Start, 200 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
		}},
		{"a healthy life ends the failing", Policy{MaxCrashes: 2}, []string{"a", "b"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{1 * sec, "a", crash(0), Decision{Start, 400 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
			{60 * sec, "a", crash(58 * sec), Decision{Start, 200 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
			{121 * sec, "a", crash(60 * sec), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{122 * sec, "b", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{123 * sec, "b", crash(0), Decision{Start, 400 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
		}},
		{"a broken program is rolled out, one worker after the other", Policy{MaxCrashes: 2, MaxBackoff: 30 * sec, MinBackoff: 30 * sec}, []string{"a", "b"}, []line{
			{0, "a", crash(0), Decision{Start, 30 * sec, 1, false, "1 crash within 1m"}},
			{30 * sec, "a", crash(0), Decision{Start, 30 * sec, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
			{90 * sec, "a", crash(0), Decision{Start, 30 * sec, 1, true, "1 crash within 1m, 3 in a row, but of the group 1 other is well"}},
			{150 * sec, "b", crash(0), Decision{Start, 30 * sec, 1, false, "1 crash within 1m"}},
			{179 * sec, "b", crash(0), Decision{GiveUp, 0, 2, true, "2 crashes within 1m, and of the group 1 other is failing too"}},
		}},
		{"who was not heard of for a minute has recovered", Policy{MaxCrashes: 2}, []string{"a", "b"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{600 * ms, "a", crash(0), Decision{Start, 400 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
			{60 * sec, "b", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{61 * sec, "b", crash(0), Decision{Start, 400 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
			{62 * sec, "a", crash(0), Decision{Start, 800 * ms, 1, false, "1 crash within 1m"}},
		}},
		{"who was started by hand meanwhile was heard of", Policy{MaxCrashes: 2}, []string{"a", "b"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{600 * ms, "a", crash(0), Decision{Start, 400 * ms, 2, true, "2 crashes within 1m, but of the group 1 other is well"}},
			{59 * sec, "a", asked(0), Decision{Start, 0, 2, true, "ended on request"}},
			{60 * sec, "b", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{62 * sec, "b", crash(0), Decision{GiveUp, 0, 2, true, "2 crashes within 1m, and of the group 1 other is failing too"}},
		}},
		{"who is gone does not keep the group going", Policy{MaxCrashes: 2}, []string{"a", "b"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{1 * sec, "b", exit(sec), Decision{Stay, 0, 0, false, "exited cleanly, restart is on-failure"}},
			{2 * sec, "a", crash(0), Decision{GiveUp, 0, 2, true, "2 crashes within 1m"}},
		}},
		{"whoever was not added counts from the first end", Policy{MaxCrashes: 2}, nil, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{1 * sec, "a", crash(0), Decision{GiveUp, 0, 2, true, "2 crashes within 1m"}},
		}},
		{"one for all: who falls with the first is no further crash", Policy{Strategy: OneForAll, MaxCrashes: 3}, []string{"a", "b", "c", "d", "e"}, []line{
			{0, "a", crash(time.Hour), Decision{StartAll, 200 * ms, 1, false, "1 crash within 1m"}},
			{10 * ms, "b", crash(time.Hour), Decision{Start, 190 * ms, 1, false, "fell with the group"}},
			{20 * ms, "c", exit(time.Hour), Decision{Start, 180 * ms, 1, false, "fell with the group"}},
			{30 * ms, "d", crash(0), Decision{Start, 170 * ms, 1, false, "fell with the group"}},
			{400 * ms, "e", asked(time.Hour), Decision{Start, 0, 1, false, "fell with the group"}}, // slow to stop
			{401 * ms, "b", crash(0), Decision{StartAll, 400 * ms, 2, false, "2 crashes within 1m"}},
			{402 * ms, "c", asked(ms), Decision{Start, 399 * ms, 2, false, "fell with the group"}},
			{2 * sec, "c", asked(sec), Decision{Start, 0, 2, false, "ended on request"}}, // by itself
			{3 * sec, "c", exit(sec), Decision{Stay, 0, 0, false, "exited cleanly, restart is on-failure"}},
			{50 * sec, "d", crash(49 * sec), Decision{GiveUp, 0, 3, true, "3 crashes within 1m"}},
			{50 * sec, "a", crash(48 * sec), Decision{Stay, 0, 0, false, "the group gave up before"}},
		}},
		{"one for all: a healthy life of all", Policy{Strategy: OneForAll}, []string{"a", "b"}, []line{
			{0, "a", crash(0), Decision{StartAll, 200 * ms, 1, false, "1 crash within 1m"}},
			{1 * sec, "b", crash(sec / 2), Decision{StartAll, 400 * ms, 2, false, "2 crashes within 1m"}},
			{20 * sec, "a", crash(18 * sec), Decision{StartAll, 200 * ms, 3, false, "3 crashes within 1m"}},
			{time.Hour, "b", crash(59 * time.Minute), Decision{StartAll, 200 * ms, 1, false, "1 crash within 1m"}},
		}},
		{"one for all, always", Policy{Strategy: OneForAll, Restart: Always}, []string{"a", "b"}, []line{
			{0, "a", exit(sec), Decision{StartAll, 200 * ms, 0, false, "exited cleanly, restart is always"}},
			{0, "b", asked(sec), Decision{Start, 200 * ms, 0, false, "fell with the group"}},
			{sec, "b", End{Final: true}, Decision{Stay, 0, 0, false, "asked not to be started again"}},
		}},
		{"a life that lasted a negative time was none", Policy{}, []string{"a"}, []line{
			{0, "a", crash(math.MinInt64), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{0, "a", crash(math.MaxInt64), Decision{Start, 200 * ms, 2, false, "2 crashes within 1m"}},
		}},
		{"a life of all that lasted a negative time was none", Policy{Strategy: OneForAll}, []string{"a"}, []line{
			{0, "a", crash(-1), Decision{StartAll, 200 * ms, 1, false, "1 crash within 1m"}},
			{200 * ms, "a", crash(math.MinInt64), Decision{StartAll, 400 * ms, 2, false, "2 crashes within 1m"}},
			{600 * ms, "a", crash(-1), Decision{StartAll, 800 * ms, 3, false, "3 crashes within 1m"}},
		}},
		{"an hour back and forth", Policy{MaxCrashes: 3}, []string{"a"}, []line{
			{0, "a", crash(0), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{-time.Hour, "a", crash(0), Decision{Start, 400 * ms, 2, false, "2 crashes within 1m"}},
			{-time.Hour + 60*sec, "a", crash(30 * sec), Decision{Start, 200 * ms, 1, false, "1 crash within 1m"}},
			{10 * sec, "a", crash(0), Decision{Start, 400 * ms, 1, false, "1 crash within 1m"}},
			{9 * sec, "a", crash(0), Decision{Start, 800 * ms, 2, false, "2 crashes within 1m"}},
			{8 * sec, "a", crash(0), Decision{GiveUp, 0, 3, true, "3 crashes within 1m, 4 in a row"}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t, c.policy, c.children...)
			for i, l := range c.lines {
				e := l.end
				e.At = epoch().Add(l.at)
				if got := g.Ended(l.child, e); got != l.want {
					t.Errorf("line %d, %v %s:\n got %+v\nwant %+v", i, l.at, l.child, got, l.want)
				}
				if l.want.Action == GiveUp != g.GaveUp() && l.want.Reason != "the group gave up before" {
					t.Errorf("line %d: gave up is %v", i, g.GaveUp())
				}
			}
		})
	}
}

func TestResetBeginsAnew(t *testing.T) {
	for _, strategy := range []Strategy{OneForOne, OneForAll} {
		g := newGroup(t, Policy{Strategy: strategy, MaxCrashes: 2}, "a", "b")
		at := epoch()
		fall := func() (last Decision) {
			for range 2 {
				for _, name := range []string{"a", "b"} {
					at = at.Add(sec)
					if last.Action != GiveUp {
						last = g.Ended(name, End{At: at, Failed: true})
					}
				}
			}
			return last
		}
		first := fall()
		if first.Action != GiveUp || !g.GaveUp() {
			t.Fatalf("%v: %+v", strategy, first)
		}
		g.Reset()
		if g.GaveUp() {
			t.Errorf("%v: has given up after Reset", strategy)
		}
		if d := g.Ended("a", End{At: at, Failed: true}); d.After != 200*ms || d.Crashes != 1 || d.Failing {
			t.Errorf("%v: the first crash after Reset: %+v", strategy, d)
		}
		g.Reset()
		if again := fall(); again != first {
			t.Errorf("%v: first %+v, after Reset %+v", strategy, first, again)
		}
	}
}

func TestForgottenChildrenLeaveNothing(t *testing.T) {
	g := newGroup(t, Policy{MaxCrashes: -1})
	for i := range 1000 {
		name := string(rune('a' + i%7))
		if d := g.Ended(name, End{At: epoch(), Failed: true}); d.Crashes != 1 || d.After != 200*ms {
			t.Fatalf("a new child has a past: %+v", d)
		}
		g.Forget(name)
		g.Forget("nobody")
	}
	for i := range 1000 { // those that ended for good
		g.Add(string(rune(i)))
		g.Ended(string(rune(i)), End{At: epoch()})
	}
	if len(g.children) != 0 {
		t.Errorf("%d children are left", len(g.children))
	}
	all := newGroup(t, Policy{Strategy: OneForAll})
	all.Add("a")
	all.Forget("a")
	all.Ended("b", End{At: epoch(), Failed: true})
	if len(all.children) != 0 {
		t.Error("with OneForAll single children are remembered")
	}
}

func TestCrashesAreBounded(t *testing.T) {
	for limit, most := range map[int]int{-1: countUnlimited, 3: 3, MostCrashes: MostCrashes} {
		g := newGroup(t, Policy{MaxCrashes: limit}, "a", "well")
		var d Decision
		for range 3 * MostCrashes {
			d = g.Ended("a", End{At: epoch(), Failed: true})
		}
		if c := g.children["a"]; d.Crashes != most || len(c.crashed) != most || cap(c.crashed) > 2*most+8 {
			t.Errorf("limit %d: %d crashes, %d remembered in room for %d", limit, d.Crashes, len(c.crashed), cap(c.crashed))
		}
	}
}

func TestBackoffDoesNotOverflow(t *testing.T) {
	for _, p := range []Policy{
		{MinBackoff: 1, MaxBackoff: math.MaxInt64, MaxCrashes: -1},
		{MinBackoff: math.MaxInt64, MaxBackoff: math.MaxInt64, MaxCrashes: -1},
		{MinBackoff: 1, MaxBackoff: math.MaxInt64, MaxCrashes: -1, Jitter: 1},
		{MinBackoff: 1, MaxBackoff: 365 * 24 * time.Hour, MaxCrashes: -1, Within: math.MaxInt64, Healthy: math.MaxInt64, Strategy: OneForAll},
	} {
		for _, random := range []float64{0, 0.5, math.Nextafter(1, 0), 1, 7, -1, math.NaN(), math.Inf(1), math.Inf(-1)} {
			g, err := NewGroup(p, func() float64 { return random })
			if err != nil {
				t.Fatal(err)
			}
			at := epoch()
			last := time.Duration(0)
			for i := range 100 {
				d := g.Ended("a", End{At: at, Failed: true})
				if d.After < 0 || d.After > p.MaxBackoff || d.After < last {
					t.Fatalf("%+v, random %v: crash %d waits %v after %v", p, random, i, d.After, last)
				}
				last = d.After
				at = at.Add(d.After)
			}
			if (p.Jitter == 0 || p.Jitter == 1) && random == 0 && last != p.MaxBackoff {
				t.Errorf("%+v: ends at %v", p, last)
			}
		}
	}
}

func TestJitterUsesItsPart(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 10 * sec, 0.5: 9 * sec, 1: 8 * sec} {
		g, err := NewGroup(Policy{MinBackoff: 10 * sec}, func() float64 { return random })
		if err != nil {
			t.Fatal(err)
		}
		if d := g.Ended("a", End{At: epoch(), Failed: true}); d.After < want || d.After > want+1 {
			t.Errorf("random %v: waits %v, want %v", random, d.After, want)
		}
	}
	g, err := NewGroup(Policy{MinBackoff: time.Hour, MaxBackoff: time.Hour, MaxCrashes: -1}, nil) // its own numbers
	if err != nil {
		t.Fatal(err)
	}
	seen := map[time.Duration]bool{}
	for range 20 {
		d := g.Ended("a", End{At: epoch(), Failed: true}).After
		if d > time.Hour || d < 48*time.Minute {
			t.Fatalf("waits %v", d)
		}
		seen[d] = true
	}
	if len(seen) < 2 {
		t.Error("the waits are all the same")
	}
}

func TestGroupTellsItsPolicy(t *testing.T) {
	g := newGroup(t, Policy{MaxCrashes: 9})
	if got := g.Policy(); got.MaxCrashes != 9 || got.Within != time.Minute {
		t.Errorf("%+v", got)
	}
}
