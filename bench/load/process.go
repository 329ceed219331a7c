package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// How long a process may take to be ready, and to end once it was told to.
const (
	startLimit = 15 * time.Second
	stopLimit  = 3 * time.Second
)

// process is one process of a peer, seen from the program that measures. One
// goroutine at a time uses it.
type process struct {
	role    Role
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan answer // closed when the process's output ends
	stderr  *tail
	ended   sync.WaitGroup
	addr    string
}

// launch starts a process and waits until it is ready. When it returns an error
// there is no process.
func launch(ctx context.Context, p post) (*process, error) {
	env, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &process{role: p.Role, cmd: exec.Command(self), stderr: new(tail), answers: make(chan answer, 1)}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(env))
	c.cmd.Stderr = c.stderr
	c.cmd.WaitDelay = stopLimit
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.ended.Go(func() {
		defer close(c.answers)
		in := json.NewDecoder(out)
		for {
			var a answer
			if in.Decode(&a) != nil {
				return
			}
			c.answers <- a // bounded by stop, which drains it
		}
	})
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	a, err := c.await(ctx)
	if err == nil && !a.Ready {
		err = errors.New("it spoke before it was ready")
	}
	if err != nil {
		c.stop()
		return nil, fmt.Errorf("starting the %s: %w%s", p.Role, err, c.stderr.quoted())
	}
	c.addr = a.Addr
	return c, nil
}

// call makes one request and waits for its answer.
func (c *process) call(ctx context.Context, r request) (answer, error) {
	if err := json.NewEncoder(c.in).Encode(r); err != nil {
		// It has ended; what it said before says why.
		ctx, cancel := context.WithTimeout(ctx, stopLimit)
		defer cancel()
		if _, last := c.await(ctx); last != nil {
			err = last
		}
		return answer{}, fmt.Errorf("the %s: %w%s", c.role, err, c.stderr.quoted())
	}
	a, err := c.await(ctx)
	if err != nil {
		return a, fmt.Errorf("the %s: %w%s", c.role, err, c.stderr.quoted())
	}
	return a, nil
}

func (c *process) await(ctx context.Context) (answer, error) {
	select {
	case a, ok := <-c.answers:
		if !ok {
			return a, errors.New("it has ended")
		}
		if a.NoTell {
			return a, ErrNoTell
		}
		if a.Err != "" {
			return a, errors.New(a.Err)
		}
		return a, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// stop ends the process, kills it if it will not, and waits for it.
func (c *process) stop() {
	c.in.Close()
	kill := time.AfterFunc(stopLimit, func() { _ = c.cmd.Process.Kill() })
	for range c.answers {
	}
	c.ended.Wait()
	// How it ended says nothing that was not said before.
	_ = c.cmd.Wait()
	kill.Stop()
}

// tail keeps the end of what a process wrote to its standard error.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailMax = 2 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - tailMax; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

func (t *tail) quoted() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := strings.TrimSpace(string(t.buf)); s != "" {
		return "\n  it wrote: " + strings.ReplaceAll(s, "\n", "\n  ")
	}
	return ""
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
		c.procs[i].stop()
	}
	c.procs = nil
}
