//go:build linux

package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// Standard error that nobody reads, as after ^S or in front of a pager, keeps neither
// workers nor supervision nor the stop.
func TestRunUnread(t *testing.T) {
	w := newWorld(t)
	unread, errs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer unread.Close()
	cmd := w.command(workerFlags("shouts", "run", "-o", "json", "--name", "web", "-w", "2")...)
	cmd.Stderr = errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it says where it is to be found
		t.Fatal(err)
	}
	_ = errs.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the exit code says it
	}()
	began := time.Now()
	w.until("both have printed more than anybody takes", func(ps map[string]actor.Info) bool {
		for _, name := range []string{"shouted-web-1", "shouted-web-2"} {
			if _, err := os.Stat(filepath.Join(w.dir, name)); err != nil {
				return false
			}
		}
		return true
	})
	t.Logf("both had printed 8 MiB after %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	if got := w.run("kill", "web/1"); got.code != exitOK {
		t.Errorf("kill: exit code %d\n%s", got.code, got.errors)
	}
	w.until("it was started again", func(ps map[string]actor.Info) bool { return ps["web/1"].Restarts > 0 })
	t.Logf("killed and started again after %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Logf("stopped after %v, with exit code %d", time.Since(began).Round(time.Millisecond), cmd.ProcessState.ExitCode())
	case <-time.After(20 * time.Second):
		t.Fatal("20 s after SIGTERM it had not ended")
	}
	if code := cmd.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// What has actors goes on when the readers of its standard error are gone: workers are
// stopped as ever, and inherit nothing of it.
func TestReadersGone(t *testing.T) {
	begin := func(t *testing.T, w *world, args ...string) *exec.Cmd {
		read, errs, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = read.Close()
		cmd := w.command(args...)
		cmd.Stderr = errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = errs.Close()
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	ended := func(t *testing.T, cmd *exec.Cmd) {
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v", err)
		}
	}
	t.Run("run", func(t *testing.T) {
		w := newWorld(t)
		program := `trap 'echo bye; exit' TERM; grep SigIgn /proc/self/status; while :; do sleep 0.01; done`
		cmd := begin(t, w, "run", "--name", "web", "--log-dir", "logs", "--", "sh", "-c", program)
		log := func() string {
			b, _ := os.ReadFile(filepath.Join(w.dir, "logs", "web+1.log")) // it may not be there yet
			return string(b)
		}
		for end := time.Now().Add(20 * time.Second); !strings.Contains(log(), "SigIgn"); <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the worker printed %q", log())
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		ended(t, cmd)
		var ignored uint64
		for line := range strings.Lines(log()) {
			if _, mask, ok := strings.Cut(line, "SigIgn:"); ok {
				ignored, _ = strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			}
		}
		if !strings.Contains(log(), "bye\n") || ignored&(1<<(syscall.SIGPIPE-1)) != 0 {
			t.Errorf("the worker printed\n%s", log())
		}
	})
	t.Run("demo", func(t *testing.T) {
		w := newWorld(t)
		ended(t, begin(t, w, "demo", "--no-chaos", "--no-python", "--for", "100ms", "--size", "64x64", "--workers", "1"))
	})
	t.Run("join", func(t *testing.T) {
		w := newWorld(t)
		_, at := w.up("--pulsar", "127.0.0.1:0", "--pulsar-aids", "g1")
		i := slices.IndexFunc(at.Addresses, func(a string) bool { return strings.HasPrefix(a, "pulsar:") })
		if i < 0 {
			t.Fatalf("it listens at %v", at.Addresses)
		}
		cmd := begin(t, w, "join", "--pulsar", strings.TrimPrefix(at.Addresses[i], "pulsar:"), "--aid", "g1")
		w.until("g1 is there", func(ps map[string]actor.Info) bool { return ps["g1"].State == "running" })
		w.run("stop", "g1")
		ended(t, cmd)
	})
}
