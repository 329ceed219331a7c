//go:build linux

package arbiter_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// Greeter answers who connects to the sockets it inherits, with a line that says
// what it was asked and who it is.
var Greeter = &actor.Kind[*greeter]{
	Name:     "greeter",
	New:      newGreeter,
	Stopping: func(g *greeter, _ context.Context) { g.close() },
}

type greeter struct {
	listeners []net.Listener
	each      sync.WaitGroup
}

func newGreeter(context.Context) (*greeter, error) {
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("LISTEN_FDS=%q and LISTEN_PID=%q in the process %d", os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_PID"), os.Getpid())
	}
	g := &greeter{}
	for fd := range n {
		f := os.NewFile(uintptr(3+fd), "listener")
		l, err := net.FileListener(f)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		g.listeners = append(g.listeners, l)
		g.each.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				g.each.Go(func() {
					defer c.Close()
					if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
						fmt.Fprintf(c, "%s from %s, pid %d\n", strings.TrimSpace(line), os.Getenv("SLOT"), os.Getpid())
					}
				})
			}
		})
	}
	return g, nil
}

// close takes no more, and answers those it has taken.
func (g *greeter) close() {
	for _, l := range g.listeners {
		_ = l.Close()
	}
	g.each.Wait()
}

// greet connects, asks, and returns the answer.
func greet(network, address string) (string, error) {
	c, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		return "", err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(answer, "hello from web/") {
		err = fmt.Errorf("the answer is %q", answer)
	}
	return strings.TrimSpace(answer), err
}

// TestInheritedSockets: sockets opened once are every worker's, and survive them:
// while all are restarted in turn each connection is answered, and who connects
// while all have been killed is answered by those that follow.
func TestInheritedSockets(t *testing.T) {
	w := newWorld(t)
	w.ctx = w.arb.Context(t.Context())
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().String()
	_ = free.Close()
	path := filepath.Join(w.dir, "web.sock")
	pool, err := w.arb.Pool(w.ctx, Greeter, actor.PoolArgs{
		Name: "web", Workers: 3, Bind: []string{port, "unix:" + path}, WorkerEnv: []string{"SLOT={slot}"},
		Worker: actor.SpawnArgs{In: "process", Restart: &eager},
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	answered := make(map[string]int)
	ask := func(network, address string) func(context.Context) error {
		return func(context.Context) error {
			answer, err := greet(network, address)
			mu.Lock()
			answered[answer]++
			mu.Unlock()
			return err
		}
	}
	calls := []*load{loaded(w.ctx, 2, ask("tcp", port)), loaded(w.ctx, 2, ask("unix", path))}
	began := time.Now()
	for range 3 {
		if done, err := actor.RestartActor.Call(w.ctx, actor.Arbiter, pool); len(done) != 3 || err != nil {
			t.Errorf("restarted %q, %v", done, err)
		}
	}
	for _, c := range calls {
		for _, err := range c.stop(t, 30*time.Second) {
			t.Errorf("a connection was not answered: %v", err)
		}
	}
	t.Logf("3 rolling restarts in %v, in which %d connections were answered, by %d processes", time.Since(began).Round(time.Millisecond),
		calls[0].total.Load()+calls[1].total.Load(), len(answered))
	if len(answered) < 6 {
		t.Errorf("answered by %v", answered)
	}

	for _, i := range w.workers("web") {
		_ = syscall.Kill(i.PID, syscall.SIGKILL)
	}
	for _, at := range [][2]string{{"tcp", port}, {"unix", path}} {
		if answer, err := greet(at[0], at[1]); err != nil {
			t.Errorf("after all were killed: %q, %v", answer, err)
		}
	}
	if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, pool); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unix socket of a pool that has ended: %v", err)
	}
	if answer, err := greet("tcp", port); err == nil {
		t.Errorf("somebody answers after the pool has ended: %q", answer)
	}
}
