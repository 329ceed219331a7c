//go:build unix

package cli

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// Who follows ends when nobody reads any more, also while nothing happens that it
// would write: events -f | head -1.
func TestFollowUnread(t *testing.T) {
	w := newWorld(t)
	w.supervise("--", "sh", "-c", "echo here; exec sleep 1000")
	w.until("it has printed", func(map[string]actor.Info) bool { return len(result[[]actor.LogLine](w, "logs")) == 1 })
	for what, last := range map[string]string{"events": "ready        web/1", "logs": "here"} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		var errs transcript
		cmd := w.command(what, "-f")
		cmd.Stdout, cmd.Stderr = write, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = write.Close()
		lines := bufio.NewScanner(read)
		for lines.Scan() && !strings.Contains(lines.Text(), last) {
		}
		_ = read.Close()
		_ = cmd.Wait() // the exit code says it
		if code := cmd.ProcessState.ExitCode(); code != exitOK || errs.String() != "" {
			t.Errorf("%s -f ended with %v, and said %q", what, cmd.ProcessState, errs.String())
		}
	}
}

// What is stopped, and takes connections without an answer, is named, with what to do.
func TestStoppedArbiterIsNamed(t *testing.T) {
	w := newWorld(t)
	r, _ := w.up()
	pid := r.Process.Pid
	if err := r.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	got := w.run("ps", "--timeout", "100ms")
	for _, want := range []string{"did not say hello within 100ms", fmt.Sprintf("pid %d", pid), fmt.Sprintf("kill -CONT %d", pid), "ps --timeout"} {
		if got.code != exitTimeout || !strings.Contains(got.errors, want) || strings.Contains(got.errors, "start one") {
			t.Errorf("exit code %d, want %d and %q in\n%s", got.code, exitTimeout, want, got.errors)
		}
	}
	if err := r.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	w.expect(exitOK, "arbiter\n", nil, "ps", "-o", "name")
}

// A pool without workers is to be given some: there is nobody who could be started.
func TestCallEmptyPool(t *testing.T) {
	w := newWorld(t)
	w.supervise(workerFlags("obeys", "-w", "1")...)
	w.expect(exitOK, "web has 0 workers\n", nil, "scale", "web=0")
	w.expect(exitFailed, "", []string{"stopped: it has no workers, before the handler started", "scale web=1", "[down]"}, "call", "web", "tell")
}
