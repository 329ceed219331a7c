package supervise

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pool drives a group as a supervisor does: it starts goroutines, hears of their ends
// and does what the group decides. The workers live on the bubble's time.
type pool struct {
	group *Group
	ends  chan told
	work  func(name string, life int) End // blocks for as long as the life lasts
	lives map[string]int
	begun sync.WaitGroup
}

func newPool(t *testing.T, p Policy, work func(name string, life int) End) *pool {
	t.Helper()
	group, err := NewGroup(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &pool{group: group, ends: make(chan told), work: work, lives: map[string]int{}}
}

// start lets a worker live once more, after a while.
func (p *pool) start(name string, after time.Duration) {
	life := p.lives[name]
	p.lives[name]++
	p.group.Add(name)
	p.begun.Go(func() {
		<-time.After(after)
		ready := time.Now()
		e := p.work(name, life)
		e.At, e.Lived = time.Now(), time.Since(ready)
		p.ends <- told{name, e}
	})
}

// run starts the workers and goes on until each has ended for good. It returns the
// decision of giving up, if there was one, and when it came.
func (p *pool) run(names ...string) (gaveUp Decision, at time.Time) {
	for _, n := range names {
		p.start(n, 0)
	}
	for left := len(names); left > 0; {
		e := <-p.ends
		switch d := p.group.Ended(e.child, e.end); d.Action {
		case Start:
			p.start(e.child, d.After)
		case GiveUp:
			gaveUp, at = d, e.end.At
			left--
		case Stay:
			left--
		}
	}
	p.begun.Wait()
	return gaveUp, at
}

func TestPoolThatCannotStartGivesUpInSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := newPool(t, Policy{}, func(string, int) End { return End{Failed: true} })
		d, at := p.run("web/0", "web/1", "web/2", "web/3")
		// The waits are 0.2, 0.4, 0.8 and 1.6 s, a fifth of each random.
		if took := at.Sub(begin); d.Action != GiveUp || d.Crashes != 5 || took < 2400*ms || took > 3000*ms {
			t.Errorf("after %v: %+v", took, d)
		}
		for name, n := range p.lives {
			if n < 5 || n > 6 { // the last to come to five decides; the others wait for their sixth start
				t.Errorf("%s was started %d times", name, n)
			}
		}
	})
}

func TestPoolOutlivesItsDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		gone, back := begin.Add(time.Hour), begin.Add(time.Hour+2*sec)
		p := newPool(t, Policy{}, func(string, int) End {
			switch now := time.Now(); {
			case now.Before(gone):
				<-time.After(gone.Sub(now))
				return End{Failed: true}
			case now.Before(back):
				return End{Failed: true}
			default:
				<-time.After(time.Hour)
				return End{} // done
			}
		})
		names := []string{"web/0", "web/1", "web/2", "web/3", "web/4", "web/5", "web/6", "web/7"}
		if d, _ := p.run(names...); d.Action == GiveUp {
			t.Errorf("gave up: %+v", d)
		}
		if took := time.Since(begin); took < 2*time.Hour || took > 2*time.Hour+4*sec {
			t.Errorf("took %v", took)
		}
	})
}

func TestPoolLivesWithOneBadWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		healed := begin.Add(time.Hour)
		p := newPool(t, Policy{}, func(name string, _ int) End {
			if name == "gpu/3" && time.Now().Before(healed) {
				return End{Failed: true}
			}
			<-time.After(2 * time.Hour)
			return End{}
		})
		if d, _ := p.run("gpu/1", "gpu/2", "gpu/3"); d.Action == GiveUp {
			t.Errorf("gave up: %+v", d)
		}
		// Twice a minute costs nothing, and it is back within a wait of its healing.
		if n := p.lives["gpu/3"]; n < 120 || n > 170 {
			t.Errorf("the bad worker was started %d times in an hour", n)
		}
		if took := time.Since(begin); took > 3*time.Hour+30*sec {
			t.Errorf("took %v", took)
		}
	})
}

// One crashes, the others are stopped, slowly, and all begin their second life at the
// same moment.
func TestAllOfAGroupStartTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		names := []string{"reader", "parser", "writer"}
		group := newGroup(t, Policy{Strategy: OneForAll}, names...)
		ends := make(chan told)
		stop := make(chan struct{}) // closed to end the first lives
		var lives sync.WaitGroup
		for i, name := range names {
			lives.Go(func() {
				e := End{Asked: true}
				if name == "parser" {
					<-time.After(sec)
					e = End{Failed: true}
				} else {
					<-stop
					<-time.After(time.Duration(i) * 50 * ms)
				}
				e.At, e.Lived = time.Now(), time.Since(begin)
				ends <- told{name, e}
			})
		}
		for i := range names {
			e := <-ends
			d := group.Ended(e.child, e.end)
			want := Start
			if i == 0 {
				want = StartAll
				close(stop)
			}
			if at := time.Since(begin) + d.After; d.Action != want || at != 1200*ms || d.Crashes != 1 {
				t.Errorf("%s starts at %v: %+v", e.child, at, d)
			}
		}
		lives.Wait()
	})
}
