// Package child runs this program again in processes of its own, and speaks with
// them: a line of JSON each way, on their standard input and output.
package child

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

// stopLimit is how long a process may take to end once it was told to.
const stopLimit = 3 * time.Second

// ErrEnded says that the process's output has ended.
var ErrEnded = errors.New("it has ended")

// Process is one process, seen from the one that started it. One goroutine at a time
// uses it.
type Process struct {
	name    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan json.RawMessage // closed when the process's output ends
	stderr  *tail
	ended   sync.WaitGroup
}

// Start starts this program again, with post as JSON in the environment variable env.
// name is for errors.
func Start(name, env string, post any) (*Process, error) {
	value, err := json.Marshal(post)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{name: name, cmd: exec.Command(self), stderr: new(tail), answers: make(chan json.RawMessage, 1)}
	p.cmd.Env = append(os.Environ(), env+"="+string(value))
	p.cmd.Stderr = p.stderr
	p.cmd.WaitDelay = stopLimit
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.ended.Go(func() {
		defer close(p.answers)
		in := json.NewDecoder(out)
		for {
			var a json.RawMessage
			if in.Decode(&a) != nil {
				return
			}
			p.answers <- a // bounded by Stop, which drains it
		}
	})
	return p, nil
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Tell sends the process a line. When it cannot, the process has ended; what it said
// before says why.
func (p *Process) Tell(request any) error { return json.NewEncoder(p.in).Encode(request) }

// Await reads the next line the process says into answer.
func (p *Process) Await(ctx context.Context, answer any) error {
	select {
	case a, ok := <-p.answers:
		if !ok {
			return ErrEnded
		}
		return json.Unmarshal(a, answer)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Explain returns err with the process's name and the last it wrote to its standard
// error.
func (p *Process) Explain(err error) error {
	return fmt.Errorf("the %s: %w%s", p.name, err, p.stderr.quoted())
}

// Stop ends the process, kills it if it will not, and waits for it. Stopping twice is
// stopping once.
func (p *Process) Stop() {
	p.in.Close()
	kill := time.AfterFunc(stopLimit, func() { _ = p.cmd.Process.Kill() })
	for range p.answers {
	}
	p.ended.Wait()
	// How it ended says nothing that was not said before.
	_ = p.cmd.Wait()
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
