//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// Whatever a point's number of steps, its colour is the same in both languages.
func TestColoursAreTheSame(t *testing.T) {
	needPython(t)
	var c colourists
	if err := c.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer c.remove()
	cmd := exec.Command(c.python, append(isolated(), "-c",
		"import sys; sys.path.insert(0, sys.argv[1]); import colourist; "+
			"sys.stdout.buffer.write(colourist.coloured(sys.stdin.buffer.read()))", c.dir)...)
	var r rendered
	for n := range 1 << 16 {
		r.Steps = append(r.Steps, byte(n), byte(n>>8))
	}
	cmd.Stdin = bytes.NewReader(r.Steps)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	got, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	want := r.colour().RGB
	if len(got) != len(want) {
		t.Fatalf("%d bytes, want %d", len(got), len(want))
	}
	for n := range want {
		if got[n] != want[n] {
			t.Fatalf("after %d sixteenths of a step it is %v in Python, and %v here", n/3, got[n/3*3:n/3*3+3], want[n/3*3:n/3*3+3])
		}
	}
}

// What the demo writes down is the SDK as it is in its own folder, for its user
// alone, and it takes it away again.
func TestColouristsFiles(t *testing.T) {
	needPython(t)
	t.Setenv("TMPDIR", t.TempDir())
	var c colourists
	if err := c.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, source := range map[string]string{"arbiter.py": "../sdk/python/arbiter.py", "colourist.py": "colourist.py"} {
		want, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(c.dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not %s: %d bytes, %v", name, source, len(got), err)
		}
	}
	if i, err := os.Stat(c.dir); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v: %v", i.Mode(), err)
	}
	if err := c.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// pretend makes a program called python3 the only one there is in the PATH.
func pretend(t *testing.T, script string) (path string) {
	t.Helper()
	path = t.TempDir()
	if script != "" {
		if err := os.WriteFile(filepath.Join(path, "python3"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// A Python that will not do is told, and why.
func TestFindPython(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"none":            {"", "there is no python3 in the PATH"},
		"too old":         {"echo 3.8.20; echo /usr/bin/python3.8", "is Python 3.8.20, and it takes 3.9 or later"},
		"of a later kind": {"echo 4.0.0; echo /usr/bin/python4", "is Python 4.0.0"},
		"broken":          {"echo one >&2; echo 'no module named asyncio' >&2; exit 3", "does not run: exit status 3: no module named asyncio"},
		"something else":  {"echo hello", `does not say its version, but "hello"`},
		"killed":          {"kill -9 $$", "does not run: signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", pretend(t, test.script))
			if path, version, err := findPython(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q, %q, %v; want %q", path, version, err, test.want)
			}
		})
	}
	t.Run("one that goes by another name", func(t *testing.T) {
		t.Setenv("PATH", pretend(t, "echo 3.10.1; echo /opt/python3.10"))
		if path, version, err := findPython(t.Context()); err != nil || path != "/opt/python3.10" || version != "3.10.1" {
			t.Errorf("%q, %q, %v", path, version, err)
		}
	})
	t.Run("nobody waits for it", func(t *testing.T) {
		t.Setenv("PATH", pretend(t, "exec /bin/sleep 60"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := findPython(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Without Python the demo says so, in one line, and goes on without.
func TestDemoWithoutPython(t *testing.T) {
	w := newWorld(t)
	temp := w.temp()
	w.env = append(w.env, "PATH="+pretend(t, "echo 3.8.20; echo /usr/bin/python3.8"))
	got := w.run("demo", "--for", "200ms", "--size", "128x64", "--workers", "1", "-o", "json", "--out", "a.png")
	if got.code != exitOK || !strings.Contains(got.out, `"colouredIn": "goroutines"`) {
		t.Errorf("exit code %d, output %s", got.code, got.out)
	}
	if want := "goroutines colour the tiles, and not Python: "; strings.Count(got.errors, want) != 1 || !strings.Contains(got.errors, "3.8.20") {
		t.Errorf("no %q once in\n%s", want, got.errors)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("%v were left: %v", left, err)
	}
	if got := w.run("demo", "--for", "200ms", "--size", "128x64", "--workers", "1", "--no-python", "--out", "a.png"); got.code != exitOK || strings.Contains(got.errors, "not Python") {
		t.Errorf("exit code %d, though nobody wanted Python\n%s", got.code, got.errors)
	}
}

// Where Python is there and its worker cannot start, that is a failure, told with
// what it said and what to do.
func TestDemoWhosePythonFails(t *testing.T) {
	w := newWorld(t)
	temp := w.temp()
	w.env = append(w.env, "PATH="+pretend(t, `if [ "$3" = -c ]; then echo 3.10.1; echo "$0"; else echo 'no space left' >&2; exit 3; fi`))
	w.expect(exitFailed, "", []string{"in Python 3.10.1, could not start", "exited with code 3", "no space left", "[start]", "demo --workers 1 --no-python"}, "demo", "--workers", "1")
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("%v were left: %v", left, err)
	}
}

// A worker in Python that raises what nobody handles ends with its last line, one
// that hangs is found to, and the demo gets over both.
func TestColouristsEnd(t *testing.T) {
	t.Parallel()
	needPython(t)
	w := newWorld(t)
	d := w.demo("--no-chaos", "--for", "5s", "--workers", "2", "--out", "a.png")
	for _, i := range d.workers(colourPool) {
		if i.In != "exec" || !strings.HasPrefix(i.Language, "python 3.") {
			t.Errorf("%s is in %s, %q", i.Name, i.In, i.Language)
		}
	}
	ends := map[string]struct {
		command string
		cause   actor.Cause
		last    string
	}{"colour/1": {"panic", actor.CauseExit, "RuntimeError: told to raise"}, "colour/2": {"hang", actor.CauseHung, ""}}
	for slot, end := range ends {
		w.expect(exitOK, "", nil, "send", slot, end.command)
	}
	found := make(map[string]actor.Death)
	for end := time.Now().Add(20 * time.Second); len(found) < len(ends) && time.Now().Before(end); {
		for _, ev := range result[[]actor.Event](w, "events") {
			if ev.Type == "ended" && ev.Death != nil && found[ev.Actor.Name].Cause == "" {
				found[ev.Actor.Name] = *ev.Death
			}
		}
	}
	for slot, end := range ends {
		if got := found[slot]; got.Cause != end.cause || lastWords(got) != end.last {
			t.Errorf("%s, told to %s, ended as %+v", slot, end.command, got)
		}
	}
	if got := <-d.ended; got.code != exitOK {
		t.Errorf("exit code %d\n%s", got.code, got.errors)
	}
}
