//go:build unix

package cli

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// What a command line of run cannot mean is refused before anything is started.
func TestRunRefuses(t *testing.T) {
	w := newWorld(t)
	if err := os.WriteFile(filepath.Join(w.dir, "data"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		errs []string
	}{
		{"", []string{"missing", "CMD", "[usage]"}},
		{"-- no-such-program", []string{`"no-such-program"`, "PATH", "[no-program]"}},
		{"-- ./no-such-program x", []string{`"./no-such-program"`, "looked for in /", "--cwd", "[no-program]"}},
		{"-- .", []string{"[no-program]"}},
		{"-- data", []string{"PATH", "./data", "[no-program]"}},
		{"-- ./data", []string{"not executable", "chmod +x", "[no-program]"}},
		{"-w 0 -- sh", []string{`"0"`, "auto", "[usage]"}},
		{"-b 8080 -- sh", []string{":8080", "[usage]"}},
		{"-b localhost:httpp -- sh", []string{"httpp", "[usage]"}},
		{"--messages -t 30 -- sh", []string{"30s", "[usage]"}},
		{"-t 30s -- sh", []string{"--messages", "run --messages -t 30s -- sh", "[usage]"}},
		{"--max 4 -- sh", []string{"--messages", "[usage]"}},
		{"--messages --min 4 --max 2 -- sh", []string{"--min", "--max", "[usage]"}},
		{"--messages --min 4 -- sh", []string{"--max", "[usage]"}},
		{"--messages --max-requests-jitter 4 -- sh", []string{"--max-requests", "[usage]"}},
		{"--messages --stop-signal INT -- sh", []string{"--stop-signal", "[usage]"}},
		{"--stop-signal FOO -- sh", []string{"FOO", "TERM", "[usage]"}},
		{"--restart sometimes -- sh", []string{"always, on-failure", "[usage]"}},
		{"--give-up 5 -- sh", []string{"5/1m", "[usage]"}},
		{"--backoff 2s-1s -- sh", []string{"2s-1s", "[usage]"}},
		{"--memory lots -- sh", []string{"512MiB", "[usage]"}},
		{"--env X -- sh", []string{`"X"`, "NAME=value", "[usage]"}},
		{"--worker-env X -- sh", []string{`"X"`, "[usage]"}},
		{"--cwd none -- sh", []string{"none", "[usage]"}},
		{"--user nobody-is-called-so -- sh", []string{"nobody-is-called-so", "[usage]"}},
		{"--name a/b -- sh", []string{"--name", "[usage]"}},
		{"--name arbiter -- sh", []string{"--name", "reserved", "[usage]"}},
		{"--workerz 2 -- sh", []string{"--workerz", "[usage]"}},
	} {
		w.expect(exitUsage, "", test.errs, append([]string{"run"}, strings.Fields(test.args)...)...)
	}
	w.expect(exitNoArbiter, "", []string{"[no-arbiter]"}, "ps")
}

// A program that crashes again and again is given up: why, its last exit and lines,
// and what to type.
func TestRunGivesUp(t *testing.T) {
	w := newWorld(t)
	flags := []string{"-w", "2", "--name", "web", "--backoff", "1ms-2ms", "--give-up", "3/1m"}
	crash := []string{"--", "sh", "-c", "echo begins; echo 'no such table' >&2; exit 3"}
	args := append(append([]string{"run"}, flags...), crash...)
	w.expect(exitFailed, "", []string{
		"web/1 | no such table", "web/2 | begins", // as they came
		"pool web failed: 3 crashes within 1m", "giving up  [crash-loop]", "last exit: code 3 after ", "  | no such table\n",
		"after fixing it:  ", " run -w 2 --name web ", "keep the full output:  ", " run --log-dir logs -w 2 ",
	}, args...)
	w.expect(exitNoArbiter, "", []string{"[no-arbiter]"}, "ps")

	got := w.run(append(append([]string{"run", "-o", "json", "--log-dir", "logs"}, flags...), crash...)...)
	at := strings.LastIndex(got.errors, "\n{\n")
	var e struct {
		Error struct {
			Code  string
			Why   []string
			Hints []hint
			Exit  int
		}
	}
	if at < 0 || json.Unmarshal([]byte(got.errors[at:]), &e) != nil || e.Error.Code != "crash-loop" || e.Error.Exit != exitFailed ||
		len(e.Error.Why) < 2 || len(e.Error.Hints) != 2 || !strings.Contains(e.Error.Hints[1].Type, filepath.Join("logs", "web+")) {
		t.Errorf("with -o json: %+v\n%s", e, got.errors)
	}
	for _, name := range []string{"web+1.log", "web+2.log"} {
		if b, err := os.ReadFile(filepath.Join(w.dir, "logs", name)); err != nil || !strings.Contains(string(b), "no such table") {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	// Flags of the program are not ours.
	w.expect(exitFailed, "", []string{"  | -o\n", "[crash-loop]", " run -o table --give-up 1/1m sh -c "}, "-o", "table", "run", "--give-up", "1/1m", "sh", "-c", "echo $0; exit 3", "-o", "json")
	// What it complained of on its standard output is told, too; and that it said nothing.
	w.expect(exitFailed, "", []string{"  | so there\n", "[crash-loop]"}, "run", "--give-up", "1/1m", "--", "sh", "-c", "echo so there; exit 3")
	w.expect(exitFailed, "", []string{"last exit: by signal segmentation fault", "printed nothing", "[crash-loop]"}, "run", "--give-up", "1/1m", "--", "sh", "-c", "kill -SEGV $$")
}

// When all workers have ended for good, so does run, and its exit code says how they
// did.
func TestRunEndsWithItsProgram(t *testing.T) {
	w := newWorld(t)
	w.expect(exitOK, "", []string{"all workers have exited", "on-failure"}, "run", "-w", "2", "--", "true")
	w.expect(exitFailed, "", []string{"exited with code 4", "--restart never", "[exit]"}, "run", "-w", "2", "--restart", "never", "--", "sh", "-c", "exit 4")
	once := filepath.Join(w.dir, "once")
	w.expect(exitOK, "", []string{"was here"}, "run", "--backoff", "1ms", "--", "sh", "-c", "test -e '"+once+"' && echo was here && exit 0; touch '"+once+"'; exit 1")
}

// A signal ends run and all its workers; a second interrupt does so at once; a kill
// leaves nothing, not even what has left its group and session.
func TestEndOfRun(t *testing.T) {
	for _, test := range []struct {
		name    string
		mode    string
		signals []syscall.Signal
		code    int
		says    string
	}{
		{"interrupt", "obeys", []syscall.Signal{syscall.SIGINT}, exitInterrupted, "web/2 | bye on terminated"},
		{"terminate", "obeys", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, exitOK, "web/2 | bye on terminated"},
		{"interrupt twice", "stubborn", []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, exitInterrupted, ""},
		{"kill", "stubborn", []syscall.Signal{syscall.SIGKILL}, -1, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			run, _ := w.supervise(workerFlags(test.mode, "-w", "2", "--grace", "1m")...)
			ps := w.until("both have begun", func(ps map[string]actor.Info) bool {
				return len(result[[]actor.LogLine](w, "logs", "web")) >= 2
			})
			pids := []int{ps["web/1"].PID, ps["web/2"].PID}
			if runtime.GOOS == "linux" && test.mode == "stubborn" {
				for _, line := range result[[]actor.LogLine](w, "logs", "web") {
					pid, err := strconv.Atoi(strings.TrimPrefix(line.Text, "grandchild "))
					if err != nil {
						t.Fatalf("a worker printed %q", line.Text)
					}
					pids = append(pids, pid)
				}
			}
			for n, s := range test.signals {
				if n > 0 && s == syscall.SIGINT { // the first one was seen, and workers do not stop
					run.says(t, "stopping\n")
				}
				if err := run.Process.Signal(s); err != nil && n == 0 {
					t.Fatal(err)
				}
			}
			for run.lines.Scan() {
			}
			_ = run.Wait()
			if code := run.ProcessState.ExitCode(); code != test.code || !strings.Contains(run.errs.String(), test.says) {
				t.Errorf("run ended with exit code %d, want %d\n%s", code, test.code, run.errs)
			}
			for _, pid := range pids {
				dead(t, pid)
			}
			w.expect(exitNoArbiter, "", []string{"[no-arbiter]"}, "ps")
		})
	}
}

// Each worker inherits the sockets, and goes on with them when it was replaced.
func TestRunBind(t *testing.T) {
	w := newWorld(t)
	_, at := w.supervise(workerFlags("serves", "-w", "3", "-b", "127.0.0.1:0", "-b", "unix:"+filepath.Join(w.dir, "s"))...)
	if len(at.Bind) != 2 || !strings.HasPrefix(at.Bind[0], "tcp:127.0.0.1:") || strings.HasSuffix(at.Bind[0], ":0") {
		t.Fatalf("it listens at %v", at.Bind)
	}
	address := strings.TrimPrefix(at.Bind[0], "tcp:")
	everyone := func() {
		t.Helper()
		seen := map[string]bool{}
		for n := 0; len(seen) < 3; n++ {
			if n > 10_000 {
				t.Fatalf("only %v answer", seen)
			}
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(c)
			_ = c.Close()
			if err == nil { // else its worker was killed in between
				seen[string(b)] = true
			}
		}
	}
	everyone()
	w.run("kill", "web/2")
	w.until("all run again", func(ps map[string]actor.Info) bool { return ps["web"].Workers == 3 })
	everyone()
	// Who comes second is refused, and takes nothing away from the first.
	socket := filepath.Join(w.dir, "s")
	w.expect(exitFailed, "", []string{"[port-in-use]", "listens there", "lsof " + socket}, "run", "--name", "other", "-b", "unix:"+socket, "--", "sh")
	if _, err := os.Stat(socket); err != nil {
		t.Error(err)
	}
	w.expect(exitFailed, "", []string{"[port-in-use]", address}, "run", "--name", "other", "-b", address, "--", "sh")
}

// A program that does not know of sockets handed to it in another mode can use them:
// they block.
func TestRunBindPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3: that a worker in Python accepts at an inherited socket was not tried")
	}
	w := newWorld(t)
	server := "import socket\ns = socket.socket(fileno=3)\nwhile True:\n  c, _ = s.accept()\n  c.sendall(b'hello')\n  c.close()\n"
	_, at := w.supervise("-b", "127.0.0.1:0", "--", python, "-c", server)
	for range 20 { // in between it waits for the next one
		c, err := net.Dial("tcp", strings.TrimPrefix(at.Bind[0], "tcp:"))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		_ = c.Close()
		if string(b) != "hello" || err != nil {
			t.Fatalf("it answered %q, %v", b, err)
		}
	}
	if i := result[actor.Inspection](w, "inspect", "web/1"); i.Info.Restarts != 0 {
		t.Errorf("it was restarted: %v", i.Death)
	}
}

// A bound of memory that nothing holds is warned of, with why.
func TestRunWarnsOfMemory(t *testing.T) {
	// What a container without cgroups is like: their place is empty.
	bare := []string{"-rm", "sh", "-c", `mount -t tmpfs none /sys/fs/cgroup && exec "$@"`, "sh"}
	if out, err := exec.Command("unshare", append(bare, "true")...).CombinedOutput(); err != nil {
		t.Skipf("no unshare(1) of util-linux, or no right to mount: that --memory warns where there are no cgroups was not tried: %v\n%s", err, out)
	}
	w := newWorld(t)
	const warning = "warning: --memory is not in force: no bounds of memory"
	for _, test := range []struct {
		flags []string
		warns bool
	}{
		{[]string{"--memory", "64MiB"}, true},
		{nil, false},
	} {
		cmd := w.command(append(append([]string{"run"}, test.flags...), "--", "true")...)
		inner := exec.Command("unshare", append(bare, cmd.Args...)...)
		inner.Env, inner.Dir = cmd.Env, cmd.Dir
		got := w.finish(inner)
		if got.code != exitOK || strings.Contains(got.errors, warning) != test.warns || strings.Contains(got.errors, " inspect arbiter\n") != test.warns {
			t.Errorf("with %v: exit code %d\n%s", test.flags, got.code, got.errors)
		}
	}
}

// Without --messages there is nobody to call, and that is what the caller is told: what
// to type has the pool as it is.
func TestCallSilent(t *testing.T) {
	w := newWorld(t)
	w.supervise("-w", "2", "--", "sleep", "100 ")
	silent := []string{"[unknown_command]", "without --messages", " run --messages --name web -w 2 -- sleep '100 '\n"}
	w.expect(exitUnknown, "", silent, "call", "web", "add", "1")
	w.expect(exitUnknown, "", silent, "call", "web/1", "add", "1")
	w.expect(exitUnknown, "", silent, "send", "web/1", "add", "1")
	w.run("call", "arbiter", "spawn", `run=["sleep","100"]`, "silent=true", "name=alone")
	w.expect(exitUnknown, "", []string{"silent", ` call arbiter spawn name=alone run='["sleep","100"]'`}, "call", "alone", "add")
	if got := w.run("call", "arbiter", "add"); got.code != exitUnknown || strings.Contains(got.errors, "silent") || strings.Contains(got.errors, "--messages") {
		t.Errorf("of who is none it says %s", got.errors)
	}
}

// With --messages the program is an actor; one that says no hello is refused.
func TestRunMessages(t *testing.T) {
	w := newWorld(t)
	w.supervise(workerFlags("speaks", "--messages", "--min", "2", "--max", "3", "--max-requests", "3", "--max-requests-jitter", "0", "-t", "5s")...)
	for n := range 8 {
		w.expect(exitOK, strconv.Itoa(n)+"\n", nil, "call", "web", "echo", strconv.Itoa(n))
	}
	w.until("one was replaced after its messages", func(ps map[string]actor.Info) bool {
		return ps["web/1"].Restarts+ps["web/2"].Restarts > 0 && ps["web"].Workers == 2
	})
	w.expect(exitFailed, "", []string{"other/1 could not start: it was not ready after 300ms", "--messages", "hello", "[start]"},
		"run", "--name", "other", "--messages", "--start-timeout", "300ms", "--", "sleep", "100")
	w.expect(exitFailed, "", []string{"other/1 could not start", "exited with code 3", "| no module", "[start]"},
		"run", "--name", "other", "--messages", "--", "sh", "-c", "echo no module >&2; exit 3")
}

// What a worker turns back is told, whoever of a pool was meant: the pool answers for
// itself, and knows nothing of it.
func TestSendToPool(t *testing.T) {
	w := newWorld(t)
	w.supervise(workerFlags("speaks", "--messages", "-w", "2")...)
	for range 10 {
		for _, target := range []string{"web", "web#key", "web/*", "web/1"} {
			w.expect(exitUnknown, "", []string{`"pin"`, "[unknown_command]"}, "send", target, "pin")
		}
	}
	w.expect(exitOK, "", nil, "send", "web", "echo", "hello")
	w.expect(exitOK, "", nil, "send", "web/*", "echo", "hello")
	w.expect(exitUsage, "", []string{"one-way", " send 'web/*' echo hello\n", "[invalid]"}, "call", "web/*", "echo", "hello")
}

// What flags say of where and how it runs reaches the program.
func TestRunPlace(t *testing.T) {
	w := newWorld(t)
	if err := os.Mkdir(filepath.Join(w.dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	run, at := w.supervise("-w", "2", "-e", "A=1", "--env", "B={index}", "--worker-env", "PORT=800{index}", "--cwd", "sub",
		"--pid-file", "pid", "--log-dir", "logs/web", "--stop-signal", "sigusr1",
		"--", "sh", "-c", `trap 'echo usr1; exit' USR1; echo "$A $B $PORT $(basename "$PWD") $ARBITER_NAME $1"; while :; do sleep 0.05; done`, "sh", "-w")
	b, err := os.ReadFile(filepath.Join(w.dir, "pid"))
	if strings.TrimSpace(string(b)) != strconv.Itoa(at.PID) || err != nil {
		t.Errorf("the pid file says %q, %v", b, err)
	}
	w.expect(exitFailed, "", []string{"pid file", strconv.Itoa(at.PID)}, "run", "--name", "other", "--pid-file", "pid", "--", "sh")
	w.until("they have begun", func(map[string]actor.Info) bool {
		return len(result[[]actor.LogLine](w, "logs", "web")) == 2
	})
	for n, line := range []string{"1 {index} 8001 sub web/1 -w\n", "1 {index} 8002 sub web/2 -w\n"} {
		slot := "web/" + strconv.Itoa(n+1)
		w.expect(exitOK, slot+" | "+line, nil, "logs", slot)
	}
	if code := run.end(t, syscall.SIGTERM); code != exitOK || strings.Count(run.errs.String(), "| usr1\n") != 2 {
		t.Errorf("exit code %d\n%s", code, run.errs)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "pid")); !os.IsNotExist(err) {
		t.Errorf("the pid file is still there: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(w.dir, "logs", "web", "web+2.log")); err != nil || !strings.Contains(string(b), "8002") {
		t.Errorf("the log has %q, %v", b, err)
	}
}
