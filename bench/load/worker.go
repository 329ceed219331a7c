package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"time"
)

// Role is what one process of a peer does.
type Role string

// The roles, in the order in which they are started.
const (
	RoleHub    Role = "hub"
	RoleEcho   Role = "echo"
	RoleCaller Role = "caller"
)

// Set is what can be measured.
type Set struct {
	Peers  []Peer
	Locals []Local
}

func (s Set) peer(name string) (Peer, bool) {
	for _, p := range s.Peers {
		if p.Info().Name == name {
			return p, true
		}
	}
	return nil, false
}

func (s Set) local(name string) (Local, bool) {
	for _, l := range s.Locals {
		if l.Info().Name == name {
			return l, true
		}
	}
	return nil, false
}

// childEnv holds a post as JSON: this process is then one of a peer's.
const childEnv = "ARBITER_BENCH_ROLE"

// post is what a process is started for.
type post struct {
	Role   Role
	Peer   string
	Place  Place
	Figure Figure
}

// A child is told what to do on its standard input and answers on its standard
// output, a line of JSON each. It ends when its input does, so nothing it does
// outlives whoever started it.
type request struct {
	Measure *Work // nil: only say what processor time was used so far
}

type answer struct {
	Err    string
	NoTell bool // Err is that of a peer without one-way messages
	Ready  bool
	Addr   string
	CPU    float64 // microseconds, since the process began
	Result Result
}

// Child does the work of a peer's process and returns its exit code, if this
// process was started as one. A program calls it before anything else.
func Child(set Set) (code int, ok bool) {
	env := os.Getenv(childEnv)
	if env == "" {
		return 0, false
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &worker{set: set, out: json.NewEncoder(os.Stdout), requests: make(chan request)}
	if err := json.Unmarshal([]byte(env), &c.post); err != nil {
		c.say(answer{Err: err.Error()})
		return 1, true
	}
	go func() {
		defer cancel()
		defer close(c.requests)
		in := json.NewDecoder(bufio.NewReader(os.Stdin))
		for {
			var r request
			if in.Decode(&r) != nil {
				// Whatever goes on here, it has a moment to end by itself.
				time.AfterFunc(time.Second, func() { os.Exit(3) })
				return
			}
			select {
			case c.requests <- r:
			case <-time.After(time.Minute):
				return // nobody takes requests any more
			}
		}
	}()
	profiled := c.profile()
	err := c.run(ctx)
	profiled()
	if err != nil && ctx.Err() == nil {
		c.say(answer{Err: err.Error(), NoTell: errors.Is(err, ErrNoTell)})
		return 1, true
	}
	return 0, true
}

// ProfileEnv names a folder: every process then writes a processor profile there,
// for go tool pprof.
const ProfileEnv = "ARBITER_BENCH_PROFILE"

// profile begins the profile of this process, if one is wanted, and returns what
// ends it.
func (c *worker) profile() (end func()) {
	dir := os.Getenv(ProfileEnv)
	if dir == "" {
		return func() {}
	}
	role := c.post.Role
	if role == "" {
		role = "local"
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s.%s.%s.prof", c.post.Figure.Name, c.post.Peer, role)))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "no profile:", err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}
}

// worker does the work of one process.
type worker struct {
	post     post
	set      Set
	requests chan request // closed when the input ends

	mu  sync.Mutex // a hub says that it is ready on whatever goroutine it likes
	out *json.Encoder
}

func (c *worker) say(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// An output that is gone means that the input is, which ends this process.
	_ = c.out.Encode(a)
}

func (c *worker) ready(addr string) { c.say(answer{Ready: true, Addr: addr}) }

func (c *worker) run(ctx context.Context) error {
	if l, ok := c.set.local(c.post.Peer); ok {
		c.ready("")
		return c.serve(ctx, func(w Work) (Result, error) { return measureLocal(ctx, l, c.post.Figure, w) })
	}
	p, ok := c.set.peer(c.post.Peer)
	if !ok {
		return fmt.Errorf("there is no peer %q", c.post.Peer)
	}
	switch c.post.Role {
	case RoleHub:
		return c.beside(ctx, func() error { return p.Hub(ctx, c.post.Place.Dir, c.ready) })
	case RoleEcho:
		a := new(answerer)
		return c.beside(ctx, func() error { return p.Echo(ctx, c.post.Place, a.answer, c.ready) })
	case RoleCaller:
		d, err := dial(ctx, p, c.post.Place, c.post.Figure.Conns)
		if err != nil {
			return err
		}
		defer d.close()
		c.ready("")
		return c.serve(ctx, func(w Work) (Result, error) { return d.measure(ctx, c.post.Figure, w) })
	}
	return fmt.Errorf("there is no role %q", c.post.Role)
}

// beside runs a hub or an echo, and answers requests meanwhile.
func (c *worker) beside(ctx context.Context, run func() error) error {
	ended := make(chan error, 1)
	go func() {
		err := run()
		if err == nil && ctx.Err() == nil {
			err = fmt.Errorf("the %s ended by itself", c.post.Role)
		}
		if err != nil && ctx.Err() == nil {
			// Nobody may be asking: the next answer that is awaited is this one.
			c.say(answer{Err: err.Error()})
			os.Exit(1)
		}
		ended <- err
	}()
	if err := c.serve(ctx, nil); err != nil {
		return err
	}
	return <-ended
}

// serve answers requests until there are no more.
func (c *worker) serve(ctx context.Context, measure func(Work) (Result, error)) error {
	for r := range c.requests {
		var a answer
		if r.Measure != nil {
			before := cpuMicros()
			result, err := measure(*r.Measure)
			if err != nil {
				return err
			}
			result.CPU = map[Role]float64{RoleCaller: cpuMicros() - before}
			a.Result = result
		}
		a.CPU = cpuMicros()
		c.say(a)
	}
	return ctx.Err()
}
