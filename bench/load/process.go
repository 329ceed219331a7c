package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/bench/child"
)

// How long a process may take to be ready, and one that has ended to be heard.
const (
	startLimit = 15 * time.Second
	lastLimit  = 3 * time.Second
)

// process is one process of a peer, seen from the program that measures. One
// goroutine at a time uses it.
type process struct {
	*child.Process
	role Role
	addr string
}

// launch starts a process and waits until it is ready. When it returns an error
// there is no process.
func launch(ctx context.Context, p post) (*process, error) {
	started, err := child.Start(string(p.Role), childEnv, p)
	if err != nil {
		return nil, err
	}
	c := &process{Process: started, role: p.Role}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	a, err := c.await(ctx)
	if err == nil && !a.Ready {
		err = errors.New("it spoke before it was ready")
	}
	if err != nil {
		c.Stop()
		return nil, fmt.Errorf("starting: %w", c.Explain(err))
	}
	c.addr = a.Addr
	return c, nil
}

// call makes one request and waits for its answer.
func (c *process) call(ctx context.Context, r request) (answer, error) {
	if err := c.Tell(r); err != nil {
		// It has ended; what it said before says why.
		ctx, cancel := context.WithTimeout(ctx, lastLimit)
		defer cancel()
		if _, last := c.await(ctx); last != nil {
			err = last
		}
		return answer{}, c.Explain(err)
	}
	a, err := c.await(ctx)
	if err != nil {
		return a, c.Explain(err)
	}
	return a, nil
}

func (c *process) await(ctx context.Context) (a answer, err error) {
	switch err := c.Await(ctx, &a); {
	case err != nil:
		return answer{}, err
	case a.NoTell:
		return a, ErrNoTell
	case a.Err != "":
		return a, errors.New(a.Err)
	}
	return a, nil
}

// crew is all the processes of one peer for one figure.
type crew struct {
	name  string
	procs []*process // in the order in which they were started
}

// assemble starts a peer's processes.
func assemble(ctx context.Context, info Info, f Figure, dir string) (*crew, error) {
	c := &crew{name: info.Name}
	at := Place{Dir: dir}
	roles := []Role{RoleHub, RoleEcho, RoleCaller}
	switch info.Hops {
	case 0:
		roles = roles[2:]
	case 1:
		roles = roles[1:]
	}
	for _, role := range roles {
		p, err := launch(ctx, post{Role: role, Peer: info.Name, Place: at, Figure: f})
		if err != nil {
			c.dismiss()
			return nil, err
		}
		c.procs = append(c.procs, p)
		switch role {
		case RoleHub:
			at.Hub = p.addr
		case RoleEcho:
			at.Echo = p.addr
		}
	}
	return c, nil
}

// turn measures once. After an error the crew is of no further use.
func (c *crew) turn(ctx context.Context, w Work) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, w.each()+2*grace)
	defer cancel()
	caller := c.procs[len(c.procs)-1]
	others := c.procs[:len(c.procs)-1]
	before := make([]float64, len(others))
	for i, p := range others {
		a, err := p.call(ctx, request{})
		if err != nil {
			return Result{}, err
		}
		before[i] = a.CPU
	}
	a, err := caller.call(ctx, request{Measure: &w})
	if err != nil {
		// When a hub or an echo has ended, it knows better than the caller why.
		for _, p := range others {
			if _, other := p.call(ctx, request{}); other != nil && ctx.Err() == nil {
				return Result{}, other
			}
		}
		return Result{}, err
	}
	for i, p := range others {
		after, err := p.call(ctx, request{})
		if err != nil {
			return Result{}, err
		}
		a.Result.CPU[p.role] = after.CPU - before[i]
	}
	return a.Result, nil
}

// dismiss ends the processes, the caller first, and waits for them.
func (c *crew) dismiss() {
	for i := len(c.procs) - 1; i >= 0; i-- {
		c.procs[i].Stop()
	}
	c.procs = nil
}
