package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// party is a language, or a profile.
type party struct {
	name   string
	absent func() string // why it is not on this machine, "" if it is
	// start starts a worker. asks: it is to be the one that asks.
	start func(w *world, asks bool) (*worker, error)
}

// worker is an actor under test.
type worker struct {
	aid  string
	kill func() error // ends it at once
	end  func()       // ends it, however it is, and waits
}

// parties are listed in the order of the page.
var parties = []party{
	{"go", here, spawnGo},
	{"json", here, joinRaw},
	{"python", lacks("python3"), spawnRun(func() []string { return []string{python(), "python_worker.py"} })},
	{"node", lacks("node"), spawnRun(func() []string { return []string{"node", "node_worker.mjs"} })},
	{"pulsar 1.6.4", lacksPulsar(pulsar164, "pulsar164"), startPulsar(pulsar164)},
	{"pulsar 2.0.2", lacksPulsar(pulsar202, "pulsar202"), startPulsar(pulsar202)},
}

func here() string { return "" }

func lacks(program string) func() string {
	return func() string {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not installed here"
		}
		return ""
	}
}

func lacksPulsar(command *string, name string) func() string {
	return func() string {
		if *command == "" {
			return "it is started only by -" + name
		}
		return ""
	}
}

// python returns the interpreter itself. What is called python3 may be a script that
// looks for it, at a price to be paid once.
var python = sync.OnceValue(func() string {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if path := strings.TrimSpace(string(out)); err == nil && path != "" {
		return path
	}
	return "python3"
})

func spawnGo(w *world, _ bool) (*worker, error) {
	return w.spawn(actor.Kwargs{"kind": "interop", "in": "process"})
}

func spawnRun(run func() []string) func(w *world, asks bool) (*worker, error) {
	return func(w *world, _ bool) (*worker, error) {
		run := run()
		path, err := filepath.Abs(run[1])
		if err != nil {
			return nil, err
		}
		return w.spawn(actor.Kwargs{"kind": "interop", "run": []string{run[0], path}})
	}
}

// spawn returns a worker in a process of the arbiter's.
func (w *world) spawn(args actor.Kwargs) (*worker, error) {
	ref, err := actor.Call[actor.Ref](w.ctx, "arbiter", "spawn", args)
	if err != nil {
		return nil, err
	}
	kill := func() error {
		i, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, ref)
		if err != nil {
			return err
		}
		p, err := os.FindProcess(i.Info.PID)
		if err != nil {
			return err
		}
		return p.Kill()
	}
	return &worker{ref.AID, kill, func() { _ = actor.Send(w.ctx, ref.AID, "stop") }}, nil // it may have ended; the arbiter waits for it
}

// joinRaw returns a worker in this process that joins by a socket; one that asks, by a
// websocket.
func joinRaw(w *world, asks bool) (*worker, error) {
	name := fmt.Sprintf("raw-%d", w.serial.Add(1))
	c, err := joinJSON(w.address("tcp:"), token, name, asks, (&jsonWorker{}).handle)
	if err != nil {
		return nil, err
	}
	return &worker{name, c.conn.Close, func() { _ = c.conn.Close(); <-c.done }}, nil // closed twice is closed
}

// startPulsar returns a worker in a process of this test's: no arbiter has started it.
// One that was told to stop, and hangs in it, is not left behind.
func startPulsar(command *string) func(w *world, asks bool) (*worker, error) {
	return func(w *world, _ bool) (*worker, error) {
		n := w.serial.Add(1)
		if n > maxPulsar {
			return nil, fmt.Errorf("more than %d actors of pulsar", maxPulsar)
		}
		aid := pulsarAID(n)
		path, err := filepath.Abs("pulsar_worker.py")
		if err != nil {
			return nil, err
		}
		host, port, _ := strings.Cut(w.address("pulsar:"), ":")
		words := strings.Fields(*command)
		for i, word := range words {
			words[i] = strings.NewReplacer("{worker}", path, "{host}", host, "{port}", port, "{aid}", aid, "{name}", aid).Replace(word)
		}
		cmd := exec.Command(words[0], words[1:]...)
		said := &logs{}
		cmd.Stdout, cmd.Stderr, cmd.WaitDelay = said, said, time.Second
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		exited := make(chan struct{})
		go func() {
			_ = cmd.Wait() // how it ended is the arbiter's to say
			close(exited)
		}()
		end := func() { _ = cmd.Process.Kill(); <-exited } // it may have ended
		ctx, done := context.WithTimeout(w.ctx, patience)
		defer done()
		for {
			if pong, err := actor.Call[any](ctx, aid, "ping"); err == nil && pong == "pong" {
				return &worker{aid, cmd.Process.Kill, end}, nil
			}
			select { // until the operating system has started it
			case <-time.After(20 * time.Millisecond):
			case <-exited:
				return nil, fmt.Errorf("%v ended before it joined:\n%s", words, said)
			case <-ctx.Done():
				end()
				return nil, fmt.Errorf("%v did not join:\n%s", words, said)
			}
		}
	}
}

// maxPulsar bounds how many actors join: the aids of pulsar's are listed before.
const maxPulsar = 1000

func pulsarAID(n int64) string { return fmt.Sprintf("p%07d", n) }
