//go:build unix

package cli

import (
	"strings"
	"syscall"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// A pool that is made smaller and larger again has nobody twice: its programs may not be able
// to live side by side.
func TestScaleWaitsForTheName(t *testing.T) {
	for _, before := range []string{"", "restart"} {
		t.Run(before, func(t *testing.T) {
			w := newWorld(t)
			w.supervise(workerFlags("sleeps", "-w", "2", "--grace", "1s")...)
			w.until("all run", func(ps map[string]actor.Info) bool { return ps["web"].Workers == 2 })
			if before != "" {
				w.begin("restart", "web")
				w.until("it has", func(ps map[string]actor.Info) bool { return strings.Contains(w.run("ps").out, "stopping") })
			}
			w.run("scale", "web=1", "--timeout", "100ms")
			_, scaled := w.begin("scale", "web=2")
			var got *output
			for got == nil {
				select {
				case end := <-scaled:
					got = &end
				default:
				}
				of := map[string]int{}
				for _, i := range result[[]actor.Info](w, "ps") {
					if i.PID != 0 && i.Kind != "arbiter" && syscall.Kill(i.PID, 0) == nil && !zombie(i.PID) { // the list is made while they change
						of[i.Name]++
					}
				}
				if of["web/1"] > 1 || of["web/2"] > 1 {
					t.Fatalf("two of one name run: %v\n%s", of, w.run("ps").out)
				}
			}
			if got.code != 0 {
				t.Errorf("%+v", *got)
			}
		})
	}
}

// Who kills the pool of a run ends the run, which fails whatever its workers were at.
func TestRunOfAKilledPool(t *testing.T) {
	for range 5 {
		w := newWorld(t)
		run, _ := w.supervise("-w", "3", "--", "sleep", "300")
		w.run("kill", "web")
		for run.lines.Scan() {
		}
		_ = run.Wait()
		if code := run.ProcessState.ExitCode(); code != exitFailed || !strings.Contains(run.errs.String(), "web was killed: asked to by") {
			t.Errorf("run ended with %d\n%s", code, run.errs)
		}
	}
}
