//go:build unix

package conformance

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// What is between a worker and the arbiter, and is no case that one actor could run
// against another.

// sdks are the workers that are held to all of it.
func sdks(t *testing.T, f func(t *testing.T, w worker, run []string)) {
	for _, w := range workers {
		if w.basic {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			w.need(t)
			path, err := filepath.Abs(w.run[1])
			if err != nil {
				t.Fatal(err)
			}
			f(t, w, []string{w.run[0], path})
		})
	}
}

// down returns how the target of a call ended, by its error.
func down(t *testing.T, err error) actor.Death {
	t.Helper()
	var d *actor.DownError
	if !errors.As(err, &d) {
		t.Fatalf("not an end, but %v", err)
	}
	return d.Death
}

// TestStartFails: a worker whose start hook fails says so itself.
func TestStartFails(t *testing.T) {
	ctx := start(t)
	sdks(t, func(t *testing.T, w worker, run []string) {
		_, err := actor.Call[actor.Ref](ctx, "arbiter", "spawn", actor.Kwargs{"run": append(run, "failing")})
		if d := down(t, err); d.Cause != actor.CauseStart || !strings.Contains(d.Reason, "Error: no paper") {
			t.Errorf("it ended with %+v", d)
		}
	})
}

// TestBudget: by its heartbeats a worker tells that a handler has outlived its budget,
// and is ended.
func TestBudget(t *testing.T) {
	ctx := start(t)
	sdks(t, func(t *testing.T, w worker, run []string) {
		ref := spawn(t, ctx, map[string]any{"run": append(run, "concurrent"), "budget": 300 * time.Millisecond})
		_, err := actor.Call[string](ctx, ref, "sleep", 60000)
		if d := down(t, err); d.Cause != actor.CauseHung {
			t.Errorf("it ended with %+v", d)
		}
	})
}

// TestBlockedHandler: a plain handler of Python that keeps the processor does not keep
// the actor from giving signs of life.
func TestBlockedHandler(t *testing.T) {
	ctx := start(t)
	w := workers[0]
	w.need(t)
	path, err := filepath.Abs(w.run[1])
	if err != nil {
		t.Fatal(err)
	}
	ref := spawn(t, ctx, map[string]any{"run": []string{w.run[0], path, "serial"}, "heartbeat": 200 * time.Millisecond, "heartbeatTimeout": 2 * time.Second})
	if got, err := actor.Call[string](ctx, ref, "block", 5000); got != "blocked" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestLostDescriptor: where something on the way has closed the descriptor, the worker
// connects by the address and the token it was given.
func TestLostDescriptor(t *testing.T) {
	arb, err := arbiter.Start(context.Background(), arbiter.Options{
		Name: "lost", Listen: "127.0.0.1:0", Token: "secret", Output: io.Discard, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	ctx := arb.Context(context.Background())
	sdks(t, func(t *testing.T, w worker, run []string) {
		lose := []string{"sh", "-c", `eval "exec $ARBITER_FD>&-"; exec "$@"`, "sh"}
		ref := spawn(t, ctx, map[string]any{"run": append(append(lose, run...), "serial")})
		if n, err := actor.Call[int](ctx, ref, "add", 2, 3); n != 5 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// TestJoins: a worker that nobody spawned joins over TCP with the token, under the
// name it asks for, and leaves when it is told to.
func TestJoins(t *testing.T) {
	arb, err := arbiter.Start(context.Background(), arbiter.Options{
		Name: "joins", Listen: "127.0.0.1:0", Token: "secret", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	ctx := arb.Context(context.Background())
	address := ""
	for _, a := range arb.Addresses() {
		if strings.HasPrefix(a, "tcp:") {
			address = a
		}
	}
	sdks(t, func(t *testing.T, w worker, run []string) {
		join := func(token, name string) *exec.Cmd {
			cmd := exec.Command(run[0], run[1], "serial")
			cmd.Env = append(os.Environ(), "ARBITER_FD=", "ARBITER_ADDR="+address, "ARBITER_TOKEN="+token, "CONFORMANCE_NAME="+name)
			cmd.Stderr = os.Stderr
			if token != "secret" {
				cmd.Stderr = nil // it will complain
			}
			return cmd
		}
		var failed *exec.ExitError
		if err := join("guess", "nobody").Run(); !errors.As(err, &failed) || failed.ExitCode() != 1 {
			t.Errorf("with a wrong token: %v", err)
		}
		cmd := join("secret", "joined-"+w.name)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
			n, err := actor.Call[int](ctx, "joined-"+w.name, "add", 2, 3)
			if n == 5 {
				break
			}
			if time.Now().After(until) {
				_ = cmd.Process.Kill()
				t.Fatalf("it did not join: %v", err)
			}
		}
		if err := actor.Send(ctx, "joined-"+w.name, "stop"); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("it was told to stop, and %v", err)
		}
	})
}
