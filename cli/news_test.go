//go:build unix

package cli

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// What is followed are news: nothing of before, where that was left out, and all of after.
func TestLogsFollowOnlyNews(t *testing.T) {
	w := newWorld(t)
	w.supervise("--", "sh", "-c", `echo old; trap 'i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done | cat' USR1; while :; do sleep 0.05; done`)
	w.until("it has begun", func(map[string]actor.Info) bool { return len(result[[]actor.LogLine](w, "logs")) == 1 })
	asking := func() int { return result[actor.Inspection](w, "inspect", "arbiter").Info.InFlight }
	before := asking()
	f := w.start(w.command("logs", "-f", "--since", "1ms", "-n", "3"))
	w.until("it asks for more", func(map[string]actor.Info) bool { return asking() > before })
	pid := w.until("", func(map[string]actor.Info) bool { return true })["web/1"].PID
	if err := syscall.Kill(pid, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	for n := range 200 {
		if !f.lines.Scan() {
			t.Fatal("it ended")
		}
		if got := f.lines.Text(); got != fmt.Sprintf("web/1 | line %d", n) {
			t.Fatalf("line %d that logs -f prints is %q", n, got)
		}
	}
}
