//go:build linux

package arbiter_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/faultproxy"
)

var (
	soak     = flag.Duration("soak", 1500*time.Millisecond, "how long TestSoak goes on")
	soakSeed = flag.Uint64("soak.seed", 0, "what chance decides in TestSoak; 0: another each time")
)

// soaking is one soak: a house whose actors send each other all there is, and end in
// all ways, while it stays the same house.
type soaking struct {
	*world
	t     *testing.T
	road  *faultproxy.Proxy
	json  actor.Ref
	quiet *slog.Logger

	guests map[string]*guest // by name

	sent, answered, told atomic.Int64
	deaths               atomic.Int64
	wrong                atomic.Int64

	// What each caller has sent to each target. It goes on from round to round, as does what the
	// targets remember of it: that is to be no more in the last round than it was in the first.
	numbers map[string]map[string]uint64

	mu     sync.Mutex
	faults map[string]int // how messages failed, by code
}

// guest is an actor that joins, again and again.
type guest struct {
	address string

	mu       sync.Mutex // held while it joins: who calls as it waits
	member   *actor.Member
	followed chan struct{} // closed when another one is the member
}

// current returns its member, and what is closed when that has been followed by another.
func (g *guest) current() (m *actor.Member, followed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.member, g.followed
}

// TestSoak: actors of every kind and profile send each other messages of all sizes,
// with all verbs, while they are killed, stopped, cut off and begin again. Round after round, when
// it is quiet, every message has its place in the account, and goroutines, descriptors
// and memory are what they were after the first.
//
//	go test . -run TestSoak$ -soak 30m -timeout 40m -v
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-soak.seed %d", seed)
	waits := eventfds()
	rounds := max(3, int(*soak/(20*time.Second)))
	s := newSoaking(t)
	var first [3]int
	for round := range rounds {
		s.round(rand.New(rand.NewPCG(seed, uint64(round))), *soak/time.Duration(rounds))
		s.calm()
		at := s.rest()
		if round == 0 {
			first = at
		}
		last := round == rounds-1
		if last || round%15 == 0 {
			t.Logf("round %d of %d: %d calls answered, %d messages told, %d deaths; %d goroutines, %d descriptors, %d KiB; failed: %v",
				round+1, rounds, s.answered.Load(), s.told.Load(), s.deaths.Load(), at[0], at[1], at[2]>>10, s.faults)
		}
		if last && (at[0] > first[0] || at[1] > first[1] || at[2] > first[2]+first[2]/4+2<<20) {
			t.Errorf("after the first round: %d goroutines, %d descriptors, %d bytes; after the last: %d, %d, %d",
				first[0], first[1], first[2], at[0], at[1], at[2])
		}
		if n := eventfds() - waits; n > 16 {
			t.Errorf("%d descriptors to wait at, and there are 16 at most", n)
		}
		if t.Failed() {
			return
		}
	}
	s.kindly("ask the judge", func(ctx context.Context) error {
		heard, err := Complaint.Call(ctx, actor.To("judge"), actor.None{})
		for _, text := range heard[:min(len(heard), 10)] {
			t.Error(text)
		}
		return err
	})
}

func newSoaking(t *testing.T) *soaking {
	s := &soaking{t: t, quiet: slog.New(slog.NewTextHandler(io.Discard, nil)), guests: make(map[string]*guest), numbers: make(map[string]map[string]uint64), faults: make(map[string]int)}
	s.world = pulsarWorld(t, func(o *arbiter.Options) {
		o.Logger, o.Heartbeat, o.HeartbeatTimeout = s.quiet, 500*time.Millisecond, 10*time.Second
		o.Kinds = append(o.Kinds, Soaker, Judge)
	})
	s.ctx = s.arb.Context(t.Context())
	s.road = s.world.road("tcp:", faultproxy.Roads{})
	s.spawn(Judge, actor.Name("judge"))
	for n := range 4 {
		s.spawn(Soaker, actor.Name(fmt.Sprint("local", n)), actor.Restart(eager))
	}
	for n := range 2 {
		s.spawn(Soaker, actor.Name(fmt.Sprint("process", n)), actor.Process(), actor.Restart(eager))
	}
	for name, in := range map[string]string{"cells": "goroutine", "farm": "process"} {
		if _, err := s.arb.Pool(s.ctx, Soaker, actor.PoolArgs{Name: name, Workers: 3, Worker: actor.SpawnArgs{In: in, Restart: &eager}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, address := range map[string]string{
		"unix0": s.address("unix:"), "unix1": s.address("unix:"), "tcp0": s.address("tcp:"), "road0": s.road.Address(), "road1": s.road.Address(),
	} {
		s.guests[name] = &guest{address: address}
		s.rejoin(name)
	}
	s.json = s.pull(s.address("unix:"), Subject)
	for v, aid := range map[version]string{v164: "alpha001", v202: "beta0002"} {
		p := s.standin(v, aid)
		stop := make(chan struct{})
		var beats sync.WaitGroup
		beats.Go(func() {
			every := time.NewTicker(time.Second)
			defer every.Stop()
			for {
				select {
				case <-p.said: // what it was asked, and has answered; and answers to its heartbeats
				case <-every.C:
					p.notify()
					p.mu.Lock()
					p.raw = nil
					p.mu.Unlock()
				case <-p.ended:
					return
				case <-stop:
					return
				}
			}
		})
		t.Cleanup(func() { close(stop); beats.Wait() })
	}
	return s
}

// rejoin has a guest leave, if it is there, and join.
func (s *soaking) rejoin(name string) {
	g := s.guests[name]
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.member == nil {
		s.t.Cleanup(func() { g.member.Close() })
	} else {
		g.member.Close()
		defer close(g.followed) // the one that is followed
	}
	s.kindly("join "+name, func(ctx context.Context) error {
		m := actor.NewMember(g.address, Soaker, actor.JoinOptions{Name: name, Token: "secret", Logger: s.quiet})
		if _, err := m.Ref(ctx); err != nil {
			m.Close()
			return err // its last life may not be over yet
		}
		g.member = m
		return nil
	})
	g.followed = make(chan struct{})
}

// kindly does something that must work in the end, again and again.
func (s *soaking) kindly(what string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(s.ctx, 30*time.Second)
	defer cancel()
	for {
		err := do(ctx)
		if err == nil {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			s.t.Errorf("%s: %v", what, err)
			return
		}
	}
}

// targets are who is sent messages, by name: who was restarted is the same for them.
func (s *soaking) targets() []string {
	return append(slices.Sorted(maps.Keys(s.guests)), "local0", "local1", "local2", "local3", "process0", "process1", "cells", "farm")
}

// calm has everybody send everybody small messages, until no connection keeps room
// for large ones.
func (s *soaking) calm() {
	var callers sync.WaitGroup
	for _, g := range s.guests {
		m, _ := g.current()
		callers.Go(func() {
			for _, at := range s.targets() {
				for range 60 { // of which each of three workers has a third
					s.kindly("calm "+at, func(ctx context.Context) error {
						_, err := SoakEcho.Call(m.Context(ctx), actor.To(at), nil)
						return err
					})
				}
			}
		})
	}
	callers.Wait()
}

// round is callers, and somebody who ends actors, for a while.
func (s *soaking) round(chance *rand.Rand, d time.Duration) {
	targets := s.targets()
	over := time.Now().Add(d)
	var callers sync.WaitGroup
	call := func(from string, g *guest) {
		chance := rand.New(rand.NewPCG(chance.Uint64(), 0))
		if s.numbers[from] == nil {
			s.numbers[from] = make(map[string]uint64)
		}
		c := &soakCaller{soaking: s, Rand: chance, name: from, guest: g, over: over, targets: targets, numbers: s.numbers[from]}
		callers.Go(func() {
			for time.Now().Before(over) && !s.t.Failed() {
				c.act()
			}
		})
	}
	for n := range 3 {
		call(fmt.Sprintf("arbiter%d", n), nil)
	}
	for name, g := range s.guests {
		call(name, g)
	}
	for time.Now().Before(over) && !s.t.Failed() {
		s.end(chance)
		select {
		case <-time.After(time.Duration(chance.IntN(100)) * time.Millisecond):
		case <-time.After(time.Until(over)):
		}
	}
	callers.Wait()
}

// end ends somebody, or has somebody replaced, and sees to it that there is an heir.
func (s *soaking) end(chance *rand.Rand) {
	s.deaths.Add(1)
	n := chance.IntN(3)
	switch chance.IntN(8) {
	case 0, 1:
		if workers := s.workers("farm"); len(workers) > 0 {
			_ = syscall.Kill(workers[n%len(workers)].PID, syscall.SIGKILL)
		}
	case 2:
		_, _ = s.arb.Kill(s.ctx, actor.To(fmt.Sprint("local", n)))
	case 3:
		_, _ = s.arb.Kill(s.ctx, actor.To(fmt.Sprint("process", n%2)))
	case 4:
		s.rejoin(slices.Sorted(maps.Keys(s.guests))[chance.IntN(5)])
	case 5:
		// Links come in the order in which they were made; some of them are over.
		ctx, cancel := context.WithTimeout(s.ctx, time.Millisecond)
		defer cancel()
		for link, err := s.road.Next(ctx); err == nil; link, err = s.road.Next(ctx) {
			link.Do(faultproxy.Way(chance.IntN(2)), []faultproxy.Fault{faultproxy.Reset, faultproxy.Cut}[chance.IntN(2)])
		}
		for _, name := range []string{"road0", "road1"} {
			s.rejoin(name)
		}
	case 6:
		s.kindly("scale", func(ctx context.Context) error {
			pool := []string{"cells", "farm"}[n%2]
			if _, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: pool, Workers: new(1 + chance.IntN(5))}); err != nil {
				return err
			}
			_, err := actor.ScalePool.Call(ctx, actor.Arbiter, actor.ScaleArgs{Pool: pool, Workers: new(3)})
			return err
		})
	case 7:
		_, _ = actor.RestartActor.Call(s.ctx, actor.Arbiter, actor.To([]string{"cells", "farm"}[n%2]))
	}
}

// rest waits until it is quiet, looks at the account, and returns how many goroutines,
// descriptors and bytes there are.
func (s *soaking) rest() (at [3]int) {
	s.t.Helper()
	var account actor.Account
	within(s.t, 30*time.Second, "quiet", func() bool {
		in, err := actor.InspectActor.Call(s.ctx, actor.Arbiter, actor.Arbiter)
		if err != nil {
			s.t.Error(err)
			return true
		}
		account = *in.Account
		return account.Queued <= 1 && account.Balanced() // the question itself may be on its way
	})
	if s.t.Failed() {
		s.t.Logf("%v", account)
	}
	for _, pool := range []string{"cells", "farm"} {
		within(s.t, 20*time.Second, pool+" of its size", func() bool {
			in, err := actor.InspectActor.Call(s.ctx, actor.Arbiter, actor.To(pool))
			running := 0
			for _, slot := range in.Slots {
				if slot.State == "running" {
					running++
				}
			}
			return err == nil && running == 3
		})
	}
	within(s.t, 10*time.Second, "no zombie", func() bool { return len(zombies()) == 0 })
	for steady := 0; steady < 5; { // timers and lingering connections end a moment later
		before := at
		<-time.After(50 * time.Millisecond)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if at = [3]int{goroutines(), fds(), int(m.HeapAlloc)}; at[0] == before[0] && at[1] == before[1] {
			steady++
		} else {
			steady = 0
		}
	}
	return at
}

// soakCaller sends messages, one after the other.
type soakCaller struct {
	*soaking
	*rand.Rand
	name    string
	guest   *guest    // it sends as; nil: as the arbiter
	over    time.Time // when its round is
	targets []string
	numbers map[string]uint64 // sent to each
}

// size is of a body: mostly small, seldom some MiB.
func (c *soakCaller) size() int {
	if c.IntN(300) == 0 {
		return c.IntN(4 << 20)
	}
	return c.IntN(1 << c.IntN(17))
}

// act sends one message and sees how it ends.
func (c *soakCaller) act() {
	limit := []time.Duration{5 * time.Millisecond, 100 * time.Millisecond, 5 * time.Second, 5 * time.Second}[c.IntN(4)]
	ctx := c.arb.Context(c.t.Context())
	var followed <-chan struct{}
	if c.guest != nil {
		var m *actor.Member
		m, followed = c.guest.current()
		ctx = m.Context(c.t.Context())
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	at := c.targets[c.IntN(len(c.targets))]
	to := actor.To(at)
	began := time.Now()
	c.sent.Add(1)
	var what string
	var err error
	echo := func(back func(body []byte) ([]byte, error)) error {
		body := parcel(c.name, c.Uint64(), c.size())
		got, err := back(body)
		if err == nil && !bytes.Equal(got, body) {
			c.t.Errorf("%s of %s: %d bytes came back as %d others", what, at, len(body), len(got))
		}
		return err
	}
	switch c.IntN(10) {
	case 0, 1, 2:
		what = "tell"
		c.numbers[at]++
		err = SoakTell.Send(ctx, to, parcel(c.name, c.numbers[at], c.size()))
		if err == nil {
			c.told.Add(1)
			return
		}
	case 3, 4, 5:
		what = "echo"
		err = echo(func(body []byte) ([]byte, error) { return SoakEcho.Call(ctx, to, body) })
	case 6:
		what = "via"
		err = echo(func(body []byte) ([]byte, error) {
			return SoakVia.Call(ctx, to, Errand{c.targets[c.IntN(len(c.targets))], body})
		})
	case 7:
		what = "hold"
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		p := SoakHold.Start(ctx, to, time.Duration(c.IntN(3000))*time.Microsecond)
		if c.IntN(2) == 0 {
			cancel()
		}
		_, err = p.Wait()
	case 8:
		what = "several"
		var all []*actor.Pending[[]byte]
		for range 20 {
			all = append(all, SoakEcho.Start(ctx, to, []byte("x")))
		}
		for _, p := range all {
			if _, failed := p.Wait(); failed != nil {
				err = failed
			}
		}
	case 9:
		what, at = "ping", []string{"alpha001", "beta0002"}[c.IntN(2)]
		if c.IntN(3) == 0 {
			what, at = "double", "json"
			var n int
			if n, err = Double.Call(ctx, c.json, 21); err == nil && n != 42 {
				c.t.Errorf("twice 21 is %d", n)
			}
			break
		}
		var pong string
		if pong, err = actor.Call[string](ctx, at, "ping"); err == nil && pong != "pong" {
			c.t.Errorf("the pong of %s is %q", at, pong)
		}
	}
	if took := time.Since(began); took > limit+3*time.Second {
		c.t.Errorf("%s of %s with %v left took %v: %v", what, at, limit, took, err)
	}
	if err == nil {
		c.answered.Add(1)
		return
	}
	c.failed(what, at, err)
	if errors.Is(err, actor.ErrClosed) && followed != nil {
		select { // it is about to join again
		case <-followed:
		case <-time.After(time.Until(c.over)):
		}
	}
}

// failed counts a failure, and knows which may be.
func (c *soakCaller) failed(what, at string, err error) {
	code := "no *actor.Error"
	var e *actor.Error
	if errors.As(err, &e) {
		code = string(e.Code)
		if e.Code == actor.App {
			code += " " + e.App
		}
	}
	c.mu.Lock()
	c.faults[code]++
	c.mu.Unlock()
	may := []string{"deadline", "canceled", "down", "overloaded", "cycle", "closed", "unknown_actor"}
	if !slices.Contains(may, strings.TrimPrefix(code, "app ")) && c.wrong.Add(1) < 20 {
		c.t.Errorf("%s of %s by %s: %v", what, at, c.name, err)
	}
}
