package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// scene is one thing there is much of.
type scene struct {
	name  string
	about string
	limit time.Duration // it has failed if it takes longer; less than half a minute is usual
	play  func(w *world) error
}

// scenes are all there are, in the order of docs/scale.md.
var scenes = []scene{
	{"idle-unix", "connections at rest, over a unix socket", 90 * time.Second, func(w *world) error { return idle(w, "unix") }},
	{"idle-tcp", "connections at rest, over TCP", 90 * time.Second, func(w *world) error { return idle(w, "tcp") }},
	{"actors", "goroutine actors at rest, each sent a message", 2 * time.Minute, manyActors},
	{"pool", "a pool of goroutine workers", time.Minute, goroutinePool},
	{"pool-process", "a pool of process workers", time.Minute, processPool},
	{"fan-in", "all connections call one slow actor at once", 90 * time.Second, fanIn},
	{"fan-out", "one connection sends to all others", time.Minute, fanOut},
	{"mesh", "actors of several programs that call each other", time.Minute, mesh},
	{"left", "connections that are opened and left", time.Minute, left},
}

// play plays a scene in a world of its own, of which nothing is left when it returns.
func play(ctx context.Context, sc scene, s sizes, profile string) ([]figure, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sc.limit, fmt.Errorf("it took longer than %v", sc.limit))
	defer cancel()
	dir, err := os.MkdirTemp("", "scale")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	w := &world{ctx: ctx, sizes: s, dir: dir}
	if profile != "" {
		w.profile = filepath.Join(profile, sc.name)
	}
	defer w.end()
	err = sc.play(w)
	return w.figures, err
}

// world is what a scene is played in.
type world struct {
	sizes
	ctx     context.Context
	dir     string
	profile string // where the arbiter's profiles begin; or empty
	hub     *proc
	at      addresses
	all     []*proc

	mu      sync.Mutex
	figures []figure
}

// start starts a program of that role, for this world.
func (w *world) start(role, name string) (*proc, error) {
	p, err := launch(w.ctx, post{Role: role, Name: name, Dir: w.dir, Seed: w.seed, Profile: w.profile})
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.all = append(w.all, p)
	w.mu.Unlock()
	return p, nil
}

// open starts the arbiter.
func (w *world) open() error {
	var err error
	if w.hub, err = w.start(roleArbiter, "arbiter"); err != nil {
		return err
	}
	w.at, err = ask[addresses](w.ctx, w.hub, "addresses", nil)
	return err
}

// end ends all programs, the arbiter last.
func (w *world) end() {
	var all sync.WaitGroup
	for _, p := range w.all {
		if p != w.hub {
			all.Go(p.Stop) // again, perhaps
		}
	}
	all.Wait()
	if w.hub != nil {
		w.hub.Stop()
	}
}

// crowds starts the clients and has them join, with n actors in all.
func (w *world) crowds(address string, n int) ([]*proc, error) {
	crowds := make([]*proc, w.clients)
	err := each(w.clients, func(i int) error {
		var err error
		if crowds[i], err = w.start(roleCrowd, fmt.Sprintf("crowd%d", i)); err != nil {
			return err
		}
		_, err = ask[joinResult](w.ctx, crowds[i], "join", joinArgs{
			Address: address, Prefix: fmt.Sprintf("c%d", i), Count: (i+1)*n/w.clients - i*n/w.clients, Parallel: joinsAtOnce / w.clients,
		})
		return err
	})
	return crowds, err
}

// joinsAtOnce is how many connections say hello at a time. The arbiter takes 256.
const joinsAtOnce = 192

// witness has two programs, of which one calls the other at a steady pace: somebody
// who behaves, beside whatever else goes on.
type witness struct{ caller, target *proc }

func (w *world) witness(address string) (*witness, error) {
	var v witness
	var err error
	if v.target, err = w.start(roleCrowd, "witness"); err != nil {
		return nil, err
	}
	if _, err = ask[joinResult](w.ctx, v.target, "join", joinArgs{Address: address, Prefix: "witness", Count: 1, Parallel: 1}); err != nil {
		return nil, err
	}
	if v.caller, err = w.start(roleCrowd, "caller"); err != nil {
		return nil, err
	}
	_, err = ask[joinResult](w.ctx, v.caller, "join", joinArgs{Address: address, Prefix: "caller", Count: 1, Parallel: 1})
	return &v, err
}

// during returns what the witness sees while f does something.
func (w *world) during(v *witness, f func() error) (calls, error) {
	if _, err := ask[none](w.ctx, v.caller, "pace", paceArgs{Target: "witness-0", Every: 2 * time.Millisecond}); err != nil {
		return calls{}, err
	}
	err := f()
	seen, stopped := ask[calls](w.ctx, v.caller, "paced", nil)
	if err == nil {
		err = stopped
	}
	if err == nil {
		err = seen.failed("the witness", "value")
	}
	return seen, err
}

// quiet is what the witness sees when nothing happens.
func (w *world) quiet(v *witness) (calls, error) {
	return w.during(v, func() error { return w.pause(min(3*time.Second, w.work)) })
}

// pause waits.
func (w *world) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-w.ctx.Done():
		return context.Cause(w.ctx)
	}
}

// each does f for 0 to n-1 at once, and returns the first error.
func each(n int, f func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sample asks the arbiter's process what it uses; settled also what is left after a
// garbage collection.
func (w *world) sample(settled bool) (sample, error) {
	return ask[sample](w.ctx, w.hub, "sample", sampleArgs{Collect: settled})
}
