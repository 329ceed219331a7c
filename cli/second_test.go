//go:build unix

package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// A pool by the commands of a second terminal.
func TestSecondTerminal(t *testing.T) {
	w := newWorld(t)
	w.supervise(workerFlags("obeys", "-w", "3", "--restart", "always", "--backoff", "1ms")...)
	ps := w.until("all run", func(ps map[string]actor.Info) bool { return ps["web"].Workers == 3 })
	w.expect(exitOK, "arbiter\nweb\nweb/1\nweb/2\nweb/3\n", nil, "ps", "-o", "name")

	// kill: the next one has the name, and the death of the one before is told.
	before := ps["web/2"].PID
	if d := result[actor.Death](w, "kill", "web/2"); d.Cause != actor.CauseKilled {
		t.Errorf("kill printed %+v", d)
	}
	dead(t, before)
	ps = w.until("web/2 runs again", func(ps map[string]actor.Info) bool { return ps["web/2"].State == "running" })
	if i := ps["web/2"]; i.PID == before || i.Restarts != 1 || i.Last == nil || i.Last.Cause != actor.CauseKilled {
		t.Errorf("after the kill web/2 is %+v", i)
	}
	table := w.run("ps").out
	for _, row := range []string{"web/1 ● running exec " + fmt.Sprint(ps["web/1"].PID), "was killed", "3 workers", "NAME STATE PLACE PID UPTIME RESTARTS MEMORY CPU INBOX LAST"} {
		if !strings.Contains(squeezed(table), row) {
			t.Errorf("ps does not have %q:\n%s", row, table)
		}
	}
	if wide := w.run("ps", "-o", "wide").out; !strings.Contains(wide, ps["web/2"].AID) || strings.Contains(table, ps["web/2"].AID) || strings.Contains(wide, "\x1b[") {
		t.Errorf("ps -o wide prints\n%s", wide)
	}

	// scale: absolute, up, down, several at once.
	w.expect(exitOK, "web has 5 workers\n", nil, "scale", "web=5")
	w.expect(exitOK, "web has 4 workers\nweb has 6 workers\n", nil, "scale", "web=-1", "web=+2")
	if got := result[[]scaled](w, "scale", "web=2"); len(got) != 1 || got[0] != (scaled{"web", 2}) {
		t.Errorf("scale printed %+v", got)
	}
	w.expect(exitUnknown, "", []string{`"wed"`, `"web"`, "[unknown_actor]"}, "scale", "wed=2")
	w.expect(exitRefused, "", []string{"not a pool", "[refused]"}, "scale", "web/"+slots(w)[0]+"=2")
	w.expect(exitUsage, "", []string{"4096", "[invalid]"}, "scale", "web=-3")
	for _, wrong := range []string{"web", "web=", "web=x", "=3", "web=+0"} {
		w.expect(exitUsage, "", []string{wrong, "[usage]"}, "scale", wrong)
	}
	w.expect(exitOK, "web has 3 workers\n", nil, "scale", "web=+1")

	// restart: one, all.
	first := "web/" + slots(w)[0]
	w.expect(exitOK, first+" was restarted\n", nil, "restart", first)
	if done := result[[]string](w, "restart", "web"); len(done) != 3 || done[0] != first {
		t.Errorf("restart printed %q", done)
	}
	w.expect(exitRefused, "", []string{"not supervised", "[refused]"}, "restart", "arbiter")

	// of what is stopped as a whole.
	w.run("stop", "web")
	w.expect(exitFailed, "", []string{"nothing was restarted", "start web"}, "restart", "web")
	w.run("start", "web")

	// stop and start: a slot, the pool.
	if d := result[actor.Death](w, "stop", first); d.Cause != actor.CauseStopped {
		t.Errorf("stop printed %+v", d)
	}
	ps = w.until("a slot is empty", func(ps map[string]actor.Info) bool { return ps["web"].Workers == 2 })
	if i := ps[first]; i.State != "stopped" || i.PID != 0 || i.AID != "" {
		t.Errorf("a stopped slot is %+v", i)
	}
	w.expect(exitFailed, "", []string{"stopped", "[down]", " start " + first}, "call", first, "ping")
	w.expect(exitFailed, "", []string{first + " is not running: it stopped: asked to by cli", "[down]", " start " + first}, "kill", first)
	w.expect(exitOK, first+" runs\n", nil, "start", first)
	if got := w.run("stop", "web"); got.code != exitOK || !strings.HasPrefix(got.out, "web stopped") {
		t.Errorf("stop web: %+v", got)
	}
	if out := squeezed(w.run("ps").out); strings.Count(out, "○ stopped") != 4 {
		t.Errorf("when all were stopped ps prints\n%s", out)
	}
	w.expect(exitFailed, "", []string{"its workers were stopped", " start web"}, "call", "web", "x")
	w.expect(exitOK, "web runs\n", nil, "start", "web")
	w.until("all run again", func(ps map[string]actor.Info) bool { return ps["web"].Workers == 3 && ps["web"].State == "running" })

	// Whoever is not there, is not there for any of them.
	for _, command := range []string{"kill", "stop", "start", "restart", "inspect", "logs", "events"} {
		w.expect(exitUnknown, "", []string{`"wbe/` + slots(w)[0] + `"`, "did you mean", "[unknown_actor]", " ps"}, command, "wbe/"+slots(w)[0])
	}
	// kill of the pool: run has nothing to do any more.
	if got := w.run("kill", "web"); got.code != exitOK || !strings.HasPrefix(got.out, "web was killed") {
		t.Errorf("kill web: %+v", got)
	}
}

// stop arbiter waits for all that is left of it, so that the next one can begin.
func TestStopArbiter(t *testing.T) {
	const program = `trap '' TERM; echo began; while :; do sleep 0.05; done`
	for _, test := range []struct {
		name, grace, timeout string
		code                 int
		says                 string
	}{
		{"in time", "500ms", "30s", exitOK, ""},
		{"too slow", "1m", "1s", exitTimeout, "has not stopped within 1s  [deadline]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			run, at := w.supervise("--grace", test.grace, "--pid-file", "pid", "--", "sh", "-c", program)
			ps := w.until("it has begun", func(map[string]actor.Info) bool { return len(result[[]actor.LogLine](w, "logs")) == 1 })
			got := w.run("stop", "arbiter", "--timeout", test.timeout)
			if got.code != test.code || !strings.Contains(got.errors, test.says) {
				t.Errorf("exit code %d, want %d\n%s", got.code, test.code, got.errors)
			}
			pid := ps["web/1"].PID
			gone := syscall.Kill(pid, 0) != nil || zombie(pid)
			if _, err := os.Stat(w.dir + "/pid"); os.IsNotExist(err) != gone || gone != (test.code == exitOK) {
				t.Errorf("after exit code %d its worker is gone: %v; its pid file: %v", got.code, gone, err)
			}
			if !gone { // it takes nobody any more
				w.expect(exitNoArbiter, "", []string{fmt.Sprintf("pid %d, is stopping", at.PID)}, "ps")
				return
			}
			for run.lines.Scan() { // up to its end
			}
			if _ = run.Wait(); run.ProcessState.ExitCode() != exitFailed { // its worker had to be killed
				t.Errorf("run ended with %v", run.ProcessState)
			}
		})
	}
}

// slots are the numbers of those web has.
func slots(w *world) (numbers []string) {
	for _, name := range strings.Fields(w.run("ps", "-o", "name").out) {
		if number, ok := strings.CutPrefix(name, "web/"); ok {
			numbers = append(numbers, number)
		}
	}
	return numbers
}

// squeezed is text with one space wherever it has more.
func squeezed(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestInspect(t *testing.T) {
	w := newWorld(t)
	w.supervise("-w", "2", "--give-up", "never", "--backoff", "1h", "--", "sh", "-c", `test "$ARBITER_NAME" = web/1 && exec sleep 1000; echo no such table >&2; exit 3`)
	w.until("web/2 waits", func(ps map[string]actor.Info) bool { return ps["web/2"].State == "waiting" })
	for target, want := range map[string][]string{
		"web/1":   {"web/1 ● running", "place exec, pid ", "parent web", "program sh -c", "restart on-failure", "ready"},
		"web/2":   {"web/2 ◔ waiting: is started in ", `exited with code 3; last line: "no such table"`, "restarts 1", "| no such table", "restarting", "1 crash within 1m"},
		"web":     {"web ● running", "size 1 of 2 workers run", "web/1 ● running 0", "web/2 ◔ waiting 1 is started in ", "web/2 | no such table"},
		"arbiter": {"arbiter ● running", "spawn"},
	} {
		got := w.run("inspect", target)
		if got.code != exitOK || got.errors != "" {
			t.Errorf("inspect %s: exit code %d, %s", target, got.code, got.errors)
		}
		for _, text := range want {
			if !strings.Contains(squeezed(got.out), text) {
				t.Errorf("inspect %s does not have %q:\n%s", target, text, got.out)
			}
		}
	}
	if i := result[actor.Inspection](w, "inspect", "web"); len(i.Slots) != 2 || i.Slots[1].State != "waiting" || i.Slots[1].Last == nil || i.Pool == nil {
		t.Errorf("inspect web -o json: %+v", i)
	}
	if out := squeezed(w.run("ps").out); !strings.Contains(out, "web/2 ◔ waiting exec 1 0 is started in ") {
		t.Errorf("ps prints\n%s", out)
	}
	w.expect(exitOK, "web/2 runs\n", nil, "start", "web/2") // at once
	w.until("it was started, and waits again", func(ps map[string]actor.Info) bool {
		return ps["web/2"].State == "waiting" && ps["web/2"].Restarts == 2
	})
}

func TestLogs(t *testing.T) {
	w := newWorld(t)
	program := `echo "out of $ARBITER_NAME"; echo "err of $ARBITER_NAME" >&2; while read line; do echo "$line"; done < pipe-${ARBITER_NAME#web/}`
	for _, name := range []string{"pipe-1", "pipe-2"} {
		if err := syscall.Mkfifo(w.dir+"/"+name, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.supervise("-w", "2", "--", "sh", "-c", program)
	w.until("they have begun", func(map[string]actor.Info) bool { return len(result[[]actor.LogLine](w, "logs")) == 4 })
	if lines := result[[]actor.LogLine](w, "logs", "web/2"); len(lines) != 2 || lines[0].Actor != "web/2" || lines[0].Stream == lines[1].Stream {
		t.Errorf("the lines of web/2 are %+v", lines)
	}
	f := w.start(w.command("logs", "-f", "web", "-n", "0"))
	e := w.start(w.command("events", "-f", "web/2", "-o", "jsonl"))
	e.line(t, `"ready"`)
	pipe, err := os.OpenFile(w.dir+"/pipe-2", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	// logs -f has no way to say that it has begun, so more than one line is printed.
	quit, printed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(printed)
		for n := 0; ; n++ {
			select {
			case <-quit:
				return
			default:
				fmt.Fprintf(pipe, "line %d\n", n)
			}
		}
	}()
	line := f.line(t, "web/2 | line ")
	gap := numberIn(t, f.line(t, "")) - numberIn(t, line) // more than 1 if they came faster than they were taken
	if gap < 1 {
		t.Errorf("after %q came the line %d lines later", line, gap)
	}
	close(quit)
	<-printed
	fmt.Fprintln(pipe, "the last")
	w.until("all is printed", func(map[string]actor.Info) bool {
		last := result[[]actor.LogLine](w, "logs", "web/2", "-n", "1")
		return len(last) == 1 && last[0].Text == "the last"
	})
	if code := f.end(t, os.Interrupt); code != exitInterrupted || gap > 1 && !strings.Contains(f.errs.String(), "missing") || strings.Contains(f.errs.String(), "error") {
		t.Errorf("logs -f ended with exit code %d\n%s", code, f.errs)
	}
	if got := w.run("logs", "web/2", "-n", "3"); strings.Count(got.out, "\n") != 3 || got.errors != "" {
		t.Errorf("the last three lines: %+v", got)
	}
	if got := w.run("logs", "--since", "1ns"); got.out != "" || got.code != exitOK {
		t.Errorf("what was printed in the last nanosecond: %+v", got)
	}
	if got := w.run("logs", "--since", "1h", "web/1", "-t"); strings.Count(got.out, "\n") != 2 || !strings.HasPrefix(got.out, "20") {
		t.Errorf("what was printed in the last hour: %+v", got)
	}
	// The program ends with the pipe, and events -f tells.
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	var ended actor.Event
	if err := json.Unmarshal([]byte(e.line(t, `"ended"`)), &ended); err != nil || ended.Actor.Name != "web/2" || ended.Death == nil || ended.Death.Cause != actor.CauseExit {
		t.Errorf("events -f told %+v, %v", ended, err)
	}
	if code := e.end(t, os.Interrupt); code != exitInterrupted || e.errs.String() != "" {
		t.Errorf("events -f ended with exit code %d\n%s", code, e.errs)
	}
	if got := w.run("events", "web/2", "-n", "1"); !strings.Contains(got.out, "ended") || strings.Count(got.out, "\n") != 1 {
		t.Errorf("the last event: %+v", got)
	}
	if list := result[[]actor.Event](w, "events"); slices.ContainsFunc(list, func(e actor.Event) bool { return e.Kind == "cli" }) {
		t.Errorf("the command line itself is among the events: %+v", list)
	}
	// Those who follow end with the arbiter.
	f = w.start(w.command("logs", "-f"))
	f.line(t, "out of web/1")
	w.run("stop", "arbiter")
	for f.lines.Scan() {
	}
	_ = f.Wait()
	if code := f.ProcessState.ExitCode(); code != exitNoArbiter || !strings.Contains(f.errs.String(), "the arbiter has ended") {
		t.Errorf("logs -f ended with exit code %d\n%s", code, f.errs)
	}
}

// numberIn is the one at the end of a line.
func numberIn(t *testing.T, line string) (n int) {
	t.Helper()
	if _, err := fmt.Sscanf(line, "web/2 | line %d", &n); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return n
}

// A shell is offered the names of who may be meant, and nothing where nobody answers.
func TestCompletion(t *testing.T) {
	w := newWorld(t)
	offered := func(args ...string) string {
		return w.run(append([]string{"__complete"}, args...)...).out
	}
	if out := offered("kill", ""); out != ":4\n" {
		t.Errorf("without an arbiter: %q", out)
	}
	w.supervise("-w", "2", "--", "sleep", "1000")
	for args, want := range map[string][]string{
		"kill ":     {"web\t", "web/1\tsleep, running\n", "web/2\t"},
		"restart ":  {"web\t", "web/1\t"},
		"scale ":    {"web=\t"},
		"logs web/": {"web/1\t", "web/2\t"},
		"ps -o ":    {"wide\n", "jsonl\n"},
	} {
		out := offered(strings.Split(args, " ")...)
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("after %q %q is offered, which has no %q", args, out, text)
			}
		}
	}
	if out := offered("kill", "web/1", ""); out != ":4\n" {
		t.Errorf("after the only argument %q is offered", out)
	}
	if out := offered("scale", "web/"); strings.Contains(out, "web/1") {
		t.Errorf("a worker can be scaled: %q", out)
	}
}
