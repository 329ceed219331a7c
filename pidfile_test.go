//go:build unix

package arbiter_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter"
)

// TestPIDFile: one that names a living process is refused and left alone, one of a
// dead process is replaced, one that says something else is left alone; and it is
// removed at the end, but not if it is another's by then.
func TestPIDFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "arbiter.pid")
	start := func() (*arbiter.Arbiter, error) {
		return arbiter.Start(t.Context(), arbiter.Options{Name: "test", PIDFile: path, Logger: quiet})
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func() string {
		text, _ := os.ReadFile(path)
		return strings.TrimSpace(string(text))
	}
	own := fmt.Sprint(os.Getpid())

	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Skipf("there is no program called true: %v", err)
	}
	living := exec.Command("sleep", "60")
	if err := living.Start(); err != nil {
		t.Fatal(err)
	}
	defer living.Wait()
	defer living.Process.Kill()

	for _, test := range []struct{ name, before string }{
		{"none", ""},
		{"of a dead process", fmt.Sprintln(dead.Process.Pid)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.before != "" {
				write(test.before)
			}
			arb, err := start()
			if err != nil {
				t.Fatal(err)
			}
			if read() != own {
				t.Errorf("it says %q, and the process is %s", read(), own)
			}
			if err := arb.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after the end: %v", err)
			}
		})
	}
	for _, test := range []struct{ name, before, says string }{
		{"of a living process", fmt.Sprintln(living.Process.Pid), fmt.Sprintf("process %d, which lives, has it", living.Process.Pid)},
		{"that is none", "remember the milk\n", "no pid file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			write(test.before)
			defer os.Remove(path)
			arb, err := start()
			if err == nil {
				_ = arb.Stop(t.Context())
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v", err)
			}
			if read() != strings.TrimSpace(test.before) {
				t.Errorf("it was left saying %q", read())
			}
		})
	}
	t.Run("that became another's", func(t *testing.T) {
		arb, err := start()
		if err != nil {
			t.Fatal(err)
		}
		write(fmt.Sprintln(living.Process.Pid))
		if err := arb.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if read() != fmt.Sprint(living.Process.Pid) {
			t.Errorf("it was left saying %q", read())
		}
	})
	if list, _ := os.ReadDir(filepath.Dir(path)); len(list) != 1 {
		t.Errorf("left beside it: %v", list)
	}
}
