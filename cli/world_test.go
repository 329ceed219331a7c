//go:build unix

package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// The test binary is the program arbiter when this is set.
const envProgram = "ARBITER_TEST_PROGRAM"

// stall keeps its actor busy until nobody waits any more.
var stall = actor.NewCommand[actor.None, actor.None]("stall")

// staller is a kind of the program under test, beside its own.
var staller = &actor.Kind[actor.None]{Name: "staller", Handlers: []actor.Handler[actor.None]{
	actor.On(stall, func(_ actor.None, ctx context.Context, _ actor.None) error { <-ctx.Done(); return ctx.Err() }),
}}

func TestMain(m *testing.M) {
	if mode := os.Getenv(envWorker); mode != "" {
		os.Exit(work(mode))
	}
	if os.Getenv(envProgram) != "" {
		Main(staller)
	}
	os.Exit(m.Run())
}

// world is a place in which the program runs: a folder for its sockets, and one to
// work in.
type world struct {
	t   *testing.T
	dir string
	env []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	run, err := os.MkdirTemp("", "cli") // short: a socket's path has 104 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	// The race detector has a program that ends wait for a second.
	env := []string{envProgram + "=1", "XDG_RUNTIME_DIR=" + run, "GORACE=atexit_sleep_ms=0"}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "XDG_RUNTIME_DIR=") && !strings.HasPrefix(e, "ARBITER_") {
			env = append(env, e)
		}
	}
	return &world{t, t.TempDir(), env}
}

func (w *world) command(args ...string) *exec.Cmd {
	w.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	// No measure: a host lives as long as its test, which on a busy machine starts dozens of programs.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	w.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, exe, args...)
	cmd.Env, cmd.Dir = w.env, w.dir
	return cmd
}

// output is what a command came to.
type output struct {
	code        int
	out, errors string
}

// run runs one command to its end.
func (w *world) run(args ...string) output {
	w.t.Helper()
	return w.finish(w.command(args...))
}

func (w *world) finish(cmd *exec.Cmd) output {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return output{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// begin starts a command that goes on, and tells what it came to.
func (w *world) begin(args ...string) (*os.Process, <-chan output) {
	w.t.Helper()
	cmd := w.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	ended := make(chan output, 1)
	go func() {
		_ = cmd.Wait() // the exit code says it
		ended <- output{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
	}()
	return cmd.Process, ended
}

// expect runs a command and checks its exit code, its output, and that what it
// says of errors has all of these.
func (w *world) expect(code int, out string, errs []string, args ...string) {
	w.t.Helper()
	got := w.run(args...)
	if got.code != code || got.out != out {
		w.t.Errorf("arbiter %s: exit code %d, output %q; want %d, %q\n%s", strings.Join(args, " "), got.code, got.out, code, out, got.errors)
	}
	for _, want := range errs {
		if !strings.Contains(got.errors, want) {
			w.t.Errorf("arbiter %s: %q\nwant it to have %q", strings.Join(args, " "), got.errors, want)
		}
	}
	if len(errs) == 0 && got.errors != "" {
		w.t.Errorf("arbiter %s: %q on standard error, want nothing", strings.Join(args, " "), got.errors)
	}
}

// result runs a command that succeeds with -o json, and decodes what it prints.
func result[T any](w *world, args ...string) (v T) {
	w.t.Helper()
	got := w.run(append(args, "-o", "json")...)
	if got.code != exitOK {
		w.t.Fatalf("arbiter %s: exit code %d\n%s", strings.Join(args, " "), got.code, got.errors)
	}
	if err := json.Unmarshal([]byte(got.out), &v); err != nil {
		w.t.Fatalf("arbiter %s: %v in %q", strings.Join(args, " "), err, got.out)
	}
	return v
}

// running is a command that goes on.
type running struct {
	*exec.Cmd
	lines *bufio.Scanner // of its standard output
	errs  *transcript
}

// transcript is what a command has written to its standard error so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// says waits until it has text.
func (r *running) says(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(r.errs.String(), text); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q never was among\n%s", text, r.errs)
		}
	}
}

// up starts an arbiter and waits until it listens.
func (w *world) up(args ...string) (*running, started) {
	w.t.Helper()
	return w.host(append([]string{"up", "-o", "json"}, args...)...)
}

// supervise starts an arbiter with a pool of a program, and waits until it runs.
func (w *world) supervise(args ...string) (*running, started) {
	w.t.Helper()
	return w.host(append([]string{"run", "-o", "json", "--name", "web"}, args...)...)
}

func (w *world) host(args ...string) (*running, started) {
	w.t.Helper()
	cmd := w.command(args...)
	r := w.start(cmd)
	var text string
	for r.lines.Scan() {
		text += r.lines.Text()
		var s started
		if json.Unmarshal([]byte(text), &s) == nil {
			return r, s
		}
	}
	w.t.Fatalf("%s printed %q and ended: %v\n%s", args[0], text, cmd.Wait(), r.errs)
	return nil, started{}
}

// start starts a command that goes on.
func (w *world) start(cmd *exec.Cmd) *running {
	w.t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	r := &running{cmd, bufio.NewScanner(out), new(transcript)}
	cmd.Stderr = r.errs
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return r
}

// line returns the next line of its standard output that has text.
func (r *running) line(t *testing.T, text string) string {
	t.Helper()
	var before []string
	for r.lines.Scan() {
		if line := r.lines.Text(); strings.Contains(line, text) {
			return line
		} else {
			before = append(before, line)
		}
	}
	t.Fatalf("%q was not printed, but\n%s", text, strings.Join(before, "\n"))
	return ""
}

// until asks for what there is until it is as it should be.
func (w *world) until(what string, ok func(ps map[string]actor.Info) bool) map[string]actor.Info {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		ps := make(map[string]actor.Info)
		for _, i := range result[[]actor.Info](w, "ps") {
			ps[nameOf(i)] = i
		}
		if ok(ps) {
			return ps
		}
		if time.Now().After(end) {
			w.t.Fatalf("it never was so that %s: %+v", what, ps)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// started is what up and run print.
type started struct {
	Name      string
	PID       int
	Addresses []string
	Bind      []string
}

// end sends the signal and returns the exit code.
func (r *running) end(t *testing.T, s os.Signal) int {
	t.Helper()
	if err := r.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	for r.lines.Scan() { // up to its end
	}
	_ = r.Wait()
	return r.ProcessState.ExitCode()
}

// told is an error with -o json.
type told struct {
	Error struct {
		Code    string
		Message string
	}
}

// dead waits until a process is gone, or has ended and only waits for its parent to
// see it.
func dead(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); syscall.Kill(pid, 0) == nil && !zombie(pid); {
		if time.Now().After(end) {
			t.Fatalf("the process %d is still there", pid)
		}
		<-time.After(time.Millisecond)
	}
}

func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ok := strings.Cut(string(b), ") ")
	return err == nil && ok && strings.HasPrefix(rest, "Z")
}
