package main

import (
	"fmt"
	"time"
)

const kib = 1 << 10

// spareDescriptors is what a process of this has open besides its connections.
const spareDescriptors = 500

// idle: many connections that do nothing.
func idle(w *world, network string) error {
	if err := w.open(); err != nil {
		return err
	}
	address := w.at.Unix
	if network == "tcp" {
		address = w.at.TCP
	}
	v, err := w.witness(address)
	if err != nil {
		return err
	}
	quiet, err := w.quiet(v)
	if err != nil {
		return err
	}
	before, err := w.sample(true)
	if err != nil {
		return err
	}
	var took time.Duration
	meanwhile, err := w.during(v, func() error {
		began := time.Now()
		_, err := w.crowds(address, w.conns)
		took = time.Since(began)
		return err
	})
	if err != nil {
		return err
	}
	n := float64(w.conns)
	joined, err := w.sample(false)
	if err != nil {
		return err
	}
	w.say("connections", n, "")
	w.say("all of them connected within", took.Seconds(), "s")
	w.say("arbiter's processor time for a connection that joins", float64((joined.CPU-before.CPU).Microseconds())/n, "µs")
	// The first heartbeats come with a connection, later ones in their turn.
	if err := w.pause(w.rest / 10); err != nil {
		return err
	}
	from, err := w.sample(false)
	if err != nil {
		return err
	}
	if err := w.pause(w.rest); err != nil {
		return err
	}
	to, err := w.sample(false)
	if err != nil {
		return err
	}
	core := 100 * (to.CPU - from.CPU).Seconds() / to.At.Sub(from.At).Seconds()
	atRest, err := w.during(v, func() error { return w.pause(min(3*time.Second, w.work)) })
	if err != nil {
		return err
	}
	settled, err := w.sample(true)
	if err != nil {
		return err
	}
	w.hold("memory of the arbiter for each, resident, at rest", float64(to.RSS-before.RSS)/n/kib, "KiB", 40)
	w.say("the same after a garbage collection", float64(settled.RSS-before.RSS)/n/kib, "KiB")
	w.say("of it heap", float64(settled.Heap-before.Heap)/n/kib, "KiB")
	w.say("of it stacks", float64(settled.Stacks-before.Stacks)/n/kib, "KiB")
	w.say("goroutines of the arbiter for each", float64(settled.Goroutines-before.Goroutines)/n, "")
	w.say("descriptors of the arbiter, in all", float64(settled.Files), "")
	w.hold("heartbeats, over "+w.rest.String(), core, "% of a core", 5)
	w.say("processor time of a heartbeat, both ways", core/100*heartbeatEvery.Seconds()*1e6/n, "µs")
	w.say("others: p99 when quiet", quiet.P99.Seconds()*1e3, "ms")
	w.say("others: p99 while all join", meanwhile.P99.Seconds()*1e3, "ms")
	w.say("others: p99 when all are at rest", atRest.P99.Seconds()*1e3, "ms")
	return nil
}

// heartbeatEvery is the default of arbiter.Options.
const heartbeatEvery = 6 * time.Second

// manyActors: goroutine actors at rest.
func manyActors(w *world) error {
	if err := w.open(); err != nil {
		return err
	}
	r, err := ask[actorsResult](w.ctx, w.hub, "actors", w.actors)
	if err != nil {
		return err
	}
	n := float64(w.actors)
	w.say("actors", n, "")
	w.hold("bytes of each, above its state, of which it has none", r.Bytes, "B", 700)
	w.say("goroutines for all of them", float64(r.Goroutines), "")
	w.hold("spawned one after the other, each", float64(r.Spawned.Nanoseconds())/1e3/n, "µs", 2)
	w.say("processor time of that", float64(r.SpawnedBy.Nanoseconds())/1e3/n, "µs")
	w.say("sent a message to each, and handled, each", float64(r.Sent.Nanoseconds())/1e3/n, "µs")
	w.say("processor time of that", float64(r.SentBy.Nanoseconds())/1e3/n, "µs")
	if r.Received != int64(w.actors) {
		return fmt.Errorf("%d actors were sent a message each, %d have handled one", w.actors, r.Received)
	}
	if r.Goroutines > 100 {
		return fmt.Errorf("%d actors at rest hold %d goroutines", w.actors, r.Goroutines)
	}
	return nil
}

func goroutinePool(w *world) error { return pool(w, poolArgs{Workers: w.workers, In: "goroutine"}) }
func processPool(w *world) error   { return pool(w, poolArgs{Workers: w.processes, In: "process"}) }

// pool: asks of one program that go to whoever has least to do.
func pool(w *world, args poolArgs) error {
	if err := w.open(); err != nil {
		return err
	}
	before, err := w.sample(false)
	if err != nil {
		return err
	}
	started, err := ask[time.Duration](w.ctx, w.hub, "pool", args)
	if err != nil {
		return err
	}
	after, err := w.sample(false)
	if err != nil {
		return err
	}
	caller, err := w.start(roleCrowd, "caller")
	if err != nil {
		return err
	}
	if _, err := ask[joinResult](w.ctx, caller, "join", joinArgs{Address: w.at.Unix, Prefix: "caller", Count: 1, Parallel: 1}); err != nil {
		return err
	}
	w.say("workers", float64(args.Workers), "")
	w.say("all of them running within", started.Seconds(), "s")
	w.say("descriptors of the arbiter for each", float64(after.Files-before.Files)/float64(args.Workers), "")
	for _, inFlight := range []int{64, 512} {
		r, err := ask[spread](w.ctx, caller, "ask-pool", askPoolArgs{InFlight: inFlight, For: w.work, Limit: 10 * time.Second})
		if err != nil {
			return err
		}
		of := fmt.Sprintf("%d in flight", inFlight)
		w.say(of+": asks", float64(r.Calls.count())/r.Calls.Took.Seconds(), "/s")
		w.say(of+": p99", r.Calls.P99.Seconds()*1e3, "ms")
		w.say(of+": workers that were asked", float64(r.Workers), "")
		w.say(of+": the most asked, times the mean", float64(r.Most)*float64(r.Workers)/float64(max(r.Calls.count(), 1)), "×")
		w.say(of+": the least asked, times the mean", float64(r.Least)*float64(r.Workers)/float64(max(r.Calls.count(), 1)), "×")
		if err := r.Calls.failed(of, outcomeValue); err != nil {
			return err
		}
	}
	b, err := ask[broadcastResult](w.ctx, w.hub, "broadcast", broadcastArgs{Workers: args.Workers, For: w.work})
	if err != nil {
		return err
	}
	w.say("messages to all of them, one-way", float64(b.Sent)/b.Took.Seconds(), "/s")
	w.say("these as they arrive", float64(b.Received)/b.Took.Seconds(), "/s")
	if want := int64(b.Sent) * int64(args.Workers); b.Received != want {
		return fmt.Errorf("%d messages were sent to all workers, which makes %d, and %d arrived", b.Sent, want, b.Received)
	}
	return nil
}

// fanIn: everybody calls one that is slow, with small bodies that all have room, and with
// larger ones that have not.
func fanIn(w *world) error {
	if err := w.open(); err != nil {
		return err
	}
	v, err := w.witness(w.at.Unix)
	if err != nil {
		return err
	}
	target, err := w.start(roleCrowd, "slow")
	if err != nil {
		return err
	}
	if _, err := ask[joinResult](w.ctx, target, "join", joinArgs{Address: w.at.Unix, Prefix: "slow", Count: 1, Parallel: 1}); err != nil {
		return err
	}
	crowds, err := w.crowds(w.at.Unix, w.conns-1)
	if err != nil {
		return err
	}
	quiet, err := w.quiet(v)
	if err != nil {
		return err
	}
	w.say("callers", float64(w.conns-1), "")
	for _, size := range []int{64, 4 * kib} {
		settled, err := w.sample(true)
		if err != nil {
			return err
		}
		highest := peak(w.hub.PID())
		var all calls
		meanwhile, err := w.during(v, func() error {
			got := make([]calls, len(crowds))
			err := each(len(crowds), func(i int) error {
				var err error
				got[i], err = ask[calls](w.ctx, crowds[i], "call", callArgs{Target: "slow-0", Size: size, Limit: 25 * time.Second})
				return err
			})
			all.merge(got...)
			return err
		})
		of := fmt.Sprintf("bodies of %d B", size)
		most := highest()
		if err != nil {
			return err
		}
		w.sayCalls(of, all)
		w.say(of+": value", float64(all.Outcomes[outcomeValue]), "")
		w.say(of+": arbiter's memory before", float64(settled.RSS)/kib/kib, "MiB")
		w.say(of+": at most", float64(most)/kib/kib, "MiB")
		w.sayBeside(meanwhile, quiet)
		if err := all.failed(of, outcomeValue, "overloaded", "deadline"); err != nil {
			return err
		}
	}
	return nil
}

// fanOut: one sends to everybody.
func fanOut(w *world) error {
	if err := w.open(); err != nil {
		return err
	}
	crowds, err := w.crowds(w.at.Unix, w.conns-1)
	if err != nil {
		return err
	}
	sender, err := w.start(roleCrowd, "sender")
	if err != nil {
		return err
	}
	if _, err := ask[joinResult](w.ctx, sender, "join", joinArgs{Address: w.at.Unix, Prefix: "sender", Count: 1, Parallel: 1}); err != nil {
		return err
	}
	args := tellArgs{For: w.work}
	for i := range crowds {
		args.Prefixes = append(args.Prefixes, fmt.Sprintf("c%d", i))
		args.Counts = append(args.Counts, (i+1)*(w.conns-1)/w.clients-i*(w.conns-1)/w.clients)
	}
	before, err := w.sample(true)
	if err != nil {
		return err
	}
	began := time.Now()
	r, err := ask[tellResult](w.ctx, sender, "tell", args)
	if err != nil {
		return err
	}
	rounds := r.Sent / int64(w.conns-1)
	arrived := make([]int64, len(crowds))
	err = each(len(crowds), func(i int) error {
		var err error
		arrived[i], err = ask[int64](w.ctx, crowds[i], "touched", rounds*int64(args.Counts[i]))
		return err
	})
	took := time.Since(began)
	if err != nil {
		return err
	}
	after, err := w.sample(false)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, n := range arrived {
		total += n
	}
	w.say("targets", float64(w.conns-1), "")
	w.say("messages", float64(total), "")
	w.say("these as they arrive", float64(total)/took.Seconds(), "/s")
	w.say("arbiter's processor time a message", float64((after.CPU-before.CPU).Nanoseconds())/1e3/float64(max(total, 1)), "µs")
	w.say("arbiter's memory before", float64(before.RSS)/kib/kib, "MiB")
	w.say("arbiter's memory after", float64(after.RSS)/kib/kib, "MiB")
	if total != r.Sent {
		return fmt.Errorf("%d messages were sent, %d arrived", r.Sent, total)
	}
	return nil
}

// mesh: everybody calls everybody, and then through each other.
func mesh(w *world) error {
	if err := w.open(); err != nil {
		return err
	}
	crowds, err := w.crowds(w.at.Unix, w.mesh)
	if err != nil {
		return err
	}
	args := meshArgs{InFlight: 8, For: w.work, Limit: 10 * time.Second}
	for i := range crowds {
		for n := range (i+1)*w.mesh/w.clients - i*w.mesh/w.clients {
			args.Names = append(args.Names, name(fmt.Sprintf("c%d", i), n))
		}
	}
	w.say("actors", float64(w.mesh), "")
	for _, relays := range []int{0, 3} {
		args.Relays = relays
		if relays > 0 {
			args.InFlight = 1
		}
		got := make([]calls, len(crowds))
		if err := each(len(crowds), func(i int) error {
			var err error
			got[i], err = ask[calls](w.ctx, crowds[i], "mesh", args)
			return err
		}); err != nil {
			return err
		}
		var all calls
		all.merge(got...)
		of, allowed := "echoes", []string{outcomeValue}
		if relays > 0 {
			of = fmt.Sprintf("through %d others, which keep their turn", relays)
			// A wait that could never end is refused to whoever is about to wait, whose caller
			// is told so as the handler's error. What waits long, because many wait for each
			// other, may run out of time.
			allowed = append(allowed, "app: app", "app: cycle", "app: deadline", "deadline")
		}
		w.say(of+": in flight", float64(w.mesh*args.InFlight), "")
		w.sayCalls(of, all)
		w.say(of+": value", float64(all.Outcomes[outcomeValue]), "")
		w.say(of+": rate", float64(all.count())/all.Took.Seconds(), "/s")
		if err := all.failed(of, allowed...); err != nil {
			return err
		}
	}
	return nil
}

// left: connections of which nobody says who it is, beside the same done to a program
// that only accepts and closes: what that costs others is the machine's doing.
func left(w *world) error {
	if err := w.open(); err != nil {
		return err
	}
	v, err := w.witness(w.at.TCP)
	if err != nil {
		return err
	}
	wall, err := w.start(roleWall, "wall")
	if err != nil {
		return err
	}
	other, err := ask[string](w.ctx, wall, "address", nil)
	if err != nil {
		return err
	}
	quiet, err := w.quiet(v)
	if err != nil {
		return err
	}
	w.say("others: p99 when quiet", quiet.P99.Seconds()*1e3, "ms")
	for _, half := range []bool{false, true} {
		of := "closed at once"
		if half {
			of = "half a hello, and left"
		}
		beside, _, err := w.strange(v, other, half, nil)
		if err != nil {
			return err
		}
		settled, err := w.sample(true)
		if err != nil {
			return err
		}
		highest := peak(w.hub.PID())
		var joined time.Duration
		meanwhile, r, err := w.strange(v, w.at.TCP, half, func() error {
			began := time.Now()
			late, err := w.start(roleCrowd, "late")
			if err != nil {
				return err
			}
			_, err = ask[joinResult](w.ctx, late, "join", joinArgs{Address: w.at.TCP, Prefix: fmt.Sprintf("late%t", half), Count: 1, Parallel: 1})
			joined = time.Since(began)
			return err
		})
		most := highest()
		if err != nil {
			return err
		}
		after, err := w.sample(false)
		if err != nil {
			return err
		}
		w.say(of+": connections", float64(r.Opened), "")
		w.say(of+": could not be opened", float64(r.Failed), "")
		w.say(of+": opened within", r.Took.Seconds(), "s")
		w.say(of+": arbiter's processor time for each", float64((after.CPU-settled.CPU).Microseconds())/float64(max(r.Opened, 1)), "µs")
		w.say(of+": arbiter's memory before", float64(settled.RSS)/kib/kib, "MiB")
		w.say(of+": at most", float64(most)/kib/kib, "MiB")
		w.say(of+": others' p99, where it is done to a program that only accepts and closes", beside.P99.Seconds()*1e3, "ms")
		w.say(of+": others' p99", meanwhile.P99.Seconds()*1e3, "ms")
		w.hold(of+": times that", float64(meanwhile.P99)/float64(max(beside.P99, quiet.P99, 1)), "×", 2)
		w.say(of+": a program starts and joins meanwhile within", joined.Seconds(), "s")
	}
	return nil
}

// strange has strangers open connections at an address, does something when half of them
// are open, and returns what the witness saw.
func (w *world) strange(v *witness, address string, half bool, also func() error) (calls, strangersResult, error) {
	enemies := make([]*proc, w.clients)
	for i := range enemies {
		var err error
		if enemies[i], err = w.start(roleCrowd, fmt.Sprintf("strangers%d", i)); err != nil {
			return calls{}, strangersResult{}, err
		}
	}
	var sum strangersResult
	got := make([]strangersResult, len(enemies))
	meanwhile, err := w.during(v, func() error {
		return each(len(enemies)+1, func(i int) error {
			if i == len(enemies) {
				if also == nil {
					return nil
				}
				if err := w.pause(w.work / 2); err != nil {
					return err
				}
				return also()
			}
			var err error
			got[i], err = ask[strangersResult](w.ctx, enemies[i], "strangers", strangersArgs{
				Address: address, Count: w.conns / w.clients, Parallel: 16, Half: half, Within: w.work,
			})
			return err
		})
	})
	for _, r := range got {
		sum.Opened, sum.Failed, sum.Took = sum.Opened+r.Opened, sum.Failed+r.Failed, max(sum.Took, r.Took)
	}
	for _, p := range enemies {
		p.Stop()
	}
	return meanwhile, sum, err
}
