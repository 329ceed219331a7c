//go:build linux

package cli

import (
	"os"
	"path/filepath"
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
