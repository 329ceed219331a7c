package arbiter_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter"
)

// TestPIDFileOfNobody: what is left of a process that nobody has waited for has no pid
// file any more, as in a container whose first process waits for none; and who got the
// number since has it no more than any other if it is a thread.
func TestPIDFileOfNobody(t *testing.T) {
	dead := exec.Command("sleep", "60")
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	defer dead.Wait()
	_ = dead.Process.Kill()
	eventually(t, "its remains are all there is", func() bool {
		state, _ := procStat(dead.Process.Pid)
		return state == "Z"
	})
	thread := 0
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if id, err := strconv.Atoi(task.Name()); err == nil && id != os.Getpid() {
			thread = id
		}
	}
	for name, pid := range map[string]int{"remains": dead.Process.Pid, "a thread": thread} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "arbiter.pid")
			if err := os.WriteFile(path, []byte(fmt.Sprintln(pid)), 0o644); err != nil {
				t.Fatal(err)
			}
			arb, err := arbiter.Start(t.Context(), arbiter.Options{Name: "test", PIDFile: path, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			if text, _ := os.ReadFile(path); strings.TrimSpace(string(text)) != strconv.Itoa(os.Getpid()) {
				t.Errorf("it says %q", text)
			}
			if err := arb.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
