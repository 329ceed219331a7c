package arbiter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

var simModes = [...]string{"serial", "serial", "interleaved", "concurrent"}

// cast spawns n actors of random modes.
func (w *simWorld) cast(n int) {
	for i := range n {
		w.spawn(fmt.Sprint("a", i), simModes[w.rng.IntN(len(simModes))])
	}
}

// talk has somebody say something.
func (w *simWorld) talk() {
	a := w.any()
	to, job := w.other(a), w.job()
	var timeout, patience time.Duration
	if w.rng.IntN(6) == 0 {
		timeout = w.upTo(50 * time.Millisecond)
	}
	if w.rng.IntN(8) == 0 {
		patience = w.upTo(20 * time.Millisecond)
	}
	for range w.rng.IntN(3) {
		job.Tell = append(job.Tell, w.any().name)
	}
	job.Tell = slices.DeleteFunc(job.Tell, func(name string) bool { return name == to }) // whoever handles it
	switch w.rng.IntN(10) {
	case 9:
		size := w.rng.IntN(20_000)
		if w.large {
			size = w.rng.IntN(1_200_000)
		}
		a.lend(to, size)
	case 8:
		a.tell(to, simJob{Look: w.any().name}, 0)
	case 0, 1, 2:
		a.tell(to, job, timeout)
	case 3:
		a.accept(to, job)
	case 4:
		job.End = "error"
		a.start(to, job, timeout, patience)
	case 5:
		job.Way = w.way(to, 1+w.rng.IntN(3))
		a.start(to, job, timeout, patience)
	default:
		a.start(to, job, timeout, patience)
	}
}

// way is a way over n others that does not visit an actor twice in a row.
func (w *simWorld) way(from string, n int) (way []string) {
	for range n {
		next := w.any().name
		for next == from {
			next = w.any().name
		}
		way, from = append(way, next), next
	}
	return way
}

// events has so many things happen, each by do.
func (w *simWorld) events(n int, do func()) {
	for range n {
		do()
		w.pass()
	}
}

func simMixed(w *simWorld) {
	w.cast(2 + w.rng.IntN(6))
	w.events(150, w.talk)
}

// simFlood is what a naive hub cannot do: two or more flood each other, and nobody
// reads while it cannot write.
func simFlood(w *simWorld) {
	w.inNoTime()
	n := [...]int{2, 2, 3, 8}[w.rng.IntN(4)]
	for i := range n {
		w.spawnIn("member", fmt.Sprint("a", i), "serial")
	}
	size := [...]int{0, 1000, 60_000, 150_000}[w.rng.IntN(4)]
	for range 400 / n {
		for i, a := range w.actors {
			to := w.actors[(i+1)%n].name
			if w.rng.IntN(4) == 0 {
				a.start(to, simJob{Pad: make([]byte, size), Size: size}, 0, 0)
			} else {
				a.tell(to, simJob{Pad: make([]byte, size)}, 0)
			}
		}
		if w.rng.IntN(10) == 0 {
			w.pass()
		}
	}
}

// simRing: each calls the next in its handler, from one or all of them at once.
func simRing(w *simWorld) {
	n := 2 + w.rng.IntN(63)
	mode := simModes[w.rng.IntN(len(simModes))]
	var names []string
	for i := range n {
		names = append(names, w.spawn(fmt.Sprint("a", i), mode).name)
	}
	for range 1 + w.rng.IntN(3) {
		for i, a := range w.actors {
			if i > 0 && w.rng.IntN(3) == 0 {
				continue
			}
			way := append(append([]string{}, names[(i+2)%n:]...), names[:(i+2)%n]...)
			if n == 2 {
				way = []string{names[i], names[1-i]}
			}
			a.start(names[(i+1)%n], simJob{Way: way}, 0, 0)
			if w.rng.IntN(4) == 0 {
				w.pass()
			}
		}
	}
	w.atOnce()
}

// simCrossed: each calls another from a handler, at the same time, and nothing is
// nested.
func simCrossed(w *simWorld) {
	n := 2 + w.rng.IntN(6)
	mode := simModes[w.rng.IntN(len(simModes))]
	for i := range n {
		w.spawn(fmt.Sprint("a", i), mode)
	}
	for range 15 {
		for i, a := range w.actors {
			to := w.actors[(i+1)%n].name
			a.start(to, simJob{Hold: int64(w.upTo(3 * time.Millisecond)), Way: w.way(to, 1)}, 0, 0)
		}
		w.pass()
	}
	w.atOnce()
}

// atOnce holds a scenario to this: no wait between serial actors ends by its deadline.
func (w *simWorld) atOnce() {
	for _, a := range w.actors {
		if a.mode != "serial" {
			return // what interleaves or is concurrent may wait in circles, until its deadline
		}
	}
	w.atRest = append(w.atRest, func() {
		for _, m := range w.messages {
			if errors.Is(m.err, actor.ErrDeadline) {
				w.violateLocked("10", "%v could never end, and was only ended by its deadline", m)
			}
		}
	})
}

// simStuck: some are stuck, some slow, the others go on.
func simStuck(w *simWorld) {
	w.cast(4 + w.rng.IntN(4))
	stuck := w.actors[:1+w.rng.IntN(2)]
	for _, s := range stuck {
		w.actors[len(w.actors)-1].tell(s.name, simJob{End: "stuck"}, 0)
	}
	w.events(150, func() {
		if w.rng.IntN(3) == 0 {
			a := w.any()
			a.tell(w.other(a), w.job(), w.upTo(100*time.Millisecond))
			return
		}
		if w.rng.IntN(10) == 0 {
			w.stall()
			return
		}
		w.talk()
	})
}

// stall has the connection of somebody stall, in one direction, for a while.
func (w *simWorld) stall() {
	a := w.any()
	if a.near == nil {
		return
	}
	end := a.near
	if w.rng.IntN(2) == 0 {
		end = a.far
	}
	w.mu.Lock()
	w.faulty = true
	w.mu.Unlock()
	d := w.upTo(3 * time.Second)
	w.note("the connection of %s stalls for %v", a.name, d)
	end.Stall(true)
	time.AfterFunc(d, func() { end.Stall(false) })
}

// simDeaths: actors are killed, panic, stop and retire under load.
func simDeaths(w *simWorld) {
	w.cast(4 + w.rng.IntN(4))
	w.events(150, func() {
		switch w.rng.IntN(20) {
		case 3: // who calls it may die first
			a := w.any()
			a.start(w.other(a), simJob{Hold: int64(w.upTo(time.Second))}, 0, 0)
		case 0:
			w.kill(w.any().name)
		case 1:
			a := w.any()
			a.start(w.other(a), simJob{Hold: int64(w.upTo(5 * time.Millisecond)), End: [...]string{"panic", "stop", "retire"}[w.rng.IntN(3)]}, 0, 0)
		case 2:
			w.stopOne(w.any().name)
		default:
			w.talk()
		}
	})
}

func (w *simWorld) stopOne(name string) {
	w.command(name+" is asked to stop", func(ctx context.Context) error {
		_, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To(name))
		return err
	})
}

// simCut: connections are cut, mostly inside a frame, or fall silent.
func simCut(w *simWorld) {
	w.cast(4 + w.rng.IntN(4))
	w.events(150, func() {
		switch w.rng.IntN(24) {
		case 0:
			if a := w.any(); a.near != nil {
				a.near.Slice(1 + w.rng.IntN(50))
				a.far.Slice(1 + w.rng.IntN(50))
				w.talk()
				w.note("the connection of %s is cut", a.name)
				a.near.Cut()
			}
		case 1:
			if a := w.any(); a.near != nil {
				w.note("the connection of %s dies without a word", a.name)
				w.mu.Lock()
				w.faulty = true
				w.mu.Unlock()
				a.near.Stall(true)
				a.far.Stall(true)
				time.AfterFunc(20*time.Second, a.near.Cut)
			}
		case 2:
			w.stall()
		default:
			w.talk()
		}
	})
}

// simStorm: actors are spawned and end all the time, by name and without.
func simStorm(w *simWorld) {
	w.cast(3)
	for n := range 60 {
		name := fmt.Sprint("s", w.rng.IntN(20))
		switch w.rng.IntN(3) {
		case 0:
			w.command("spawn "+name, func(ctx context.Context) error {
				_, err := w.arb.Spawn(ctx, w.kinds["serial"], actor.Name(name))
				return err
			})
		case 1:
			w.kill(name)
		case 2:
			w.stopOne(name)
		}
		for range 3 {
			a := w.any()
			a.start(name, w.job(), 0, 0)
			a.tell(name, w.job(), 0)
		}
		if n%3 == 0 {
			w.talk()
		}
		w.pass()
	}
}

// simRestarts: supervised actors crash and are started again while they are called.
func simRestarts(w *simWorld) {
	for i := range 2 + w.rng.IntN(3) {
		policy := supervise.Policy{MinBackoff: time.Millisecond + w.upTo(100*time.Millisecond), MaxCrashes: -1}
		w.spawnIn("goroutine", fmt.Sprint("r", i), "serial", actor.Restart(policy))
	}
	supervised := len(w.actors)
	w.cast(3)
	w.events(120, func() {
		target := w.actors[w.rng.IntN(supervised)].name
		from := w.actors[supervised+w.rng.IntN(3)]
		switch w.rng.IntN(10) {
		case 0:
			from.start(target, simJob{End: "panic"}, 0, 0)
		case 1:
			w.kill(target)
		case 2:
			w.command(target+" is restarted", func(ctx context.Context) error {
				_, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To(target))
				return err
			})
		case 3, 4, 5:
			from.tell(target, w.job(), 0)
		default:
			from.start(target, w.job(), 0, 0)
		}
	})
	w.atRest = append(w.atRest, func() {
		for _, m := range w.messages {
			if !strings.HasPrefix(m.to, "r") || !errors.Is(m.err, actor.ErrDown) || strings.Contains(m.err.Error(), "a restart was asked for") {
				continue // who is stopping refuses, until it has stopped
			}
			if !slices.ContainsFunc(w.ends[m.to], func(at time.Time) bool { return !at.Before(m.sent) && !at.After(m.endedAt) }) {
				w.violateLocked("18", "%v failed, though nobody ended meanwhile: %v", m, m.err)
			}
		}
	})
}

// simPool: a pool is scaled and rolled under load. Unless workers are killed, no call
// fails because of it.
func simPool(w *simWorld) {
	w.cast(3)
	kill := w.rng.IntN(2) == 0
	_, err := w.arb.Pool(w.arb.Context(context.Background()), w.kinds["serial"], actor.PoolArgs{Name: "pool", Workers: 3, Worker: actor.SpawnArgs{
		Restart: &supervise.Policy{MinBackoff: 5 * time.Millisecond, MaxCrashes: -1}}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.events(120, func() {
		a := w.any()
		to := [...]string{"pool", "pool", "pool#a", "pool#b", "pool/1"}[w.rng.IntN(5)]
		switch w.rng.IntN(12) {
		case 0:
			n := 1 + w.rng.IntN(5)
			w.command(fmt.Sprint("the pool is scaled to ", n), func(ctx context.Context) error {
				_, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: "pool", Workers: new(n)})
				return err
			})
		case 1:
			w.command("the pool is rolled", func(ctx context.Context) error {
				_, err := actor.RestartActor.Call(ctx, actor.Arbiter, actor.To("pool"))
				return err
			})
		case 2:
			if kill {
				w.kill(fmt.Sprint("pool/", 1+w.rng.IntN(3)))
			}
		case 3:
			a.tell("pool/*", w.job(), 0)
		case 4, 5:
			a.tell(to, w.job(), 0)
		case 6, 7:
			var timeout, patience time.Duration
			switch w.rng.IntN(6) {
			case 0:
				timeout = w.upTo(30 * time.Millisecond)
			case 1:
				patience = w.upTo(30 * time.Millisecond)
			}
			a.look(to, w.job(), timeout, patience)
		default:
			a.start(to, w.job(), 0, 0)
		}
	})
	if kill {
		return
	}
	w.atRest = append(w.atRest, func() {
		for _, m := range w.messages {
			if strings.HasPrefix(m.to, "pool") && !strings.HasSuffix(m.to, "/1") && errors.Is(m.err, actor.ErrDown) {
				w.violateLocked("18", "%v failed, though nobody was killed: %v", m, m.err)
			}
		}
	})
}

func simEverything(w *simWorld) {
	w.cast(3 + w.rng.IntN(5))
	w.events(200, func() {
		switch w.rng.IntN(30) {
		case 0:
			w.kill(w.any().name)
		case 1:
			w.stall()
		case 2:
			w.stopOne(w.any().name)
		case 3, 4, 5:
			w.liar()
		case 6:
			if a := w.any(); a.near != nil {
				w.note("the connection of %s is cut", a.name)
				a.near.Cut()
			}
		default:
			w.talk()
		}
	})
}

// simNoWindows: peers that know no windows among others, some of which do not read
// while they cannot write, flood each other and the rest.
func simNoWindows(w *simWorld) {
	w.cast(2)
	size := [...]int{0, 1000, 30_000}[w.rng.IntN(3)]
	n := 2 + w.rng.IntN(3)
	for i := range n {
		p := w.text(fmt.Sprint("t", i), w.rng.IntN(3) == 0)
		synctest.Wait()
		w.work.Go(func() {
			for k := range 60 {
				if to := fmt.Sprint("t", (i+1)%n); k%4 == 0 {
					p.ask(to, 0)
				} else {
					p.tell(to, size)
				}
				if k%10 == 0 {
					p.ask("a0", size)
				}
			}
		})
	}
	w.events(60, func() {
		a := w.any()
		a.start(fmt.Sprint("t", w.rng.IntN(n)), simJob{Pad: make([]byte, size/10)}, 0, 0)
		if w.rng.IntN(3) == 0 {
			w.talk()
		}
	})
}

// simFair: somebody is stuck, and flooded. Who has nothing to do with that is served
// as if it were not there: in this world, at once.
func simFair(w *simWorld) {
	w.spawn("stuck", "serial")
	w.spawn("flooder", "serial")
	w.spawn("caller", simModes[w.rng.IntN(len(simModes))])
	w.spawn("server", simModes[w.rng.IntN(len(simModes))])
	flooder, caller := w.actors[1], w.actors[2]
	flooder.tell("stuck", simJob{End: "stuck"}, 0)
	for range 100 {
		flooder.tell("stuck", simJob{Pad: make([]byte, w.rng.IntN(50_000))}, 0)
	}
	w.pass()
	for range 50 {
		caller.start("server", w.job().quick(), 0, 0)
		caller.start("flooder", simJob{}, 0, 0) // it is read, however much it has in vain
		w.pass()
	}
	w.atRest = append(w.atRest, func() {
		for _, m := range w.messages {
			if m.from == "caller" && (m.err != nil && !errors.Is(m.err, actor.ErrOverloaded) || m.endedAt.Sub(m.sent) > 0) {
				w.violateLocked("13", "%v took %v, and ended with %v", m, m.endedAt.Sub(m.sent), m.err)
			}
		}
	})
}

// quick is j, without taking time.
func (j simJob) quick() simJob { j.Hold = 0; return j }

// inNoTime holds a scenario in which no handler waits to this: nothing else does.
func (w *simWorld) inNoTime() {
	w.atRest = append(w.atRest, func() {
		for _, m := range w.messages {
			if d := m.endedAt.Sub(m.sent); d > time.Second {
				w.violateLocked("12", "%v took %v", m, d)
			}
		}
	})
}

// simMourners: somebody slow watches others, who send it more than it has room for and
// die. Of each end it is told after the last that was sent.
func simMourners(w *simWorld) {
	w.spawn("mourner", "serial")
	for i := range 2 + w.rng.IntN(4) {
		a := w.spawn(fmt.Sprint("a", i), simModes[w.rng.IntN(len(simModes))])
		a.tell("mourner", simJob{Look: a.name}, 0)
	}
	synctest.Wait()
	w.events(80, func() {
		a := w.actors[1+w.rng.IntN(len(w.actors)-1)]
		if w.rng.IntN(30) == 0 {
			w.kill(a.name)
			return
		}
		for range 5 {
			a.tell("mourner", w.job(), 0)
		}
	})
}
