//go:build linux

package arbiter_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// TestLogDirOfNoUse: an arbiter that could not keep its logs does not start.
func TestLogDirOfNoUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"/proc/nope", file, file + "/logs"} {
		arb, err := arbiter.Start(t.Context(), arbiter.Options{Name: "test", LogDir: dir, Logger: quiet})
		if err == nil {
			_ = arb.Stop(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("no logs can be written to %q", dir)) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	arb, err := arbiter.Start(t.Context(), arbiter.Options{Name: "test", LogDir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := arb.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
		t.Errorf("in the directory is %v, %v", left, err)
	}
}

// TestLogDir: each name has a file of its own, whatever it is called, which goes on
// over restarts; and who has ended holds neither descriptor nor goroutine.
func TestLogDir(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, func(o *arbiter.Options) { o.LogDir = dir })
	logged := func(file, text string) {
		t.Helper()
		var b []byte
		for deadline := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
			if b, _ = os.ReadFile(filepath.Join(dir, file)); strings.Count(string(b), text) == 1 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s never had %q once: %q", file, text, b)
			}
		}
	}
	says := func(text string) actor.SpawnArgs {
		return actor.SpawnArgs{Run: []string{"sh", "-c", "echo " + text + "; exec sleep 600"}, Silent: true}
	}
	if _, err := w.arb.Pool(w.ctx, nil, actor.PoolArgs{Name: "web", Workers: 1, Worker: says("I am of the pool")}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.arb.SpawnProgram(w.ctx, "sh", says("I am not").Run[1:], actor.Silent(), actor.Name("web-1")); err != nil {
		t.Fatal(err)
	}
	logged("web+1.log", "I am of the pool\n")
	logged("web-1.log", "I am not\n")

	// Over a restart.
	script := `test -e ` + dir + `/once && { echo second life; exec sleep 600; }; touch ` + dir + `/once; echo first life; exit 1`
	policy := supervise.Policy{MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond}
	if _, err := w.arb.SpawnProgram(w.ctx, "sh", []string{"-c", script}, actor.Silent(), actor.Name("twice"), actor.Restart(policy)); err != nil {
		t.Fatal(err)
	}
	logged("twice.log", "first life\n")
	logged("twice.log", "second life\n")

	// Those without a name have new ones for ever.
	open := func() (n int) {
		for _, path := range openFiles() {
			if strings.HasPrefix(path, dir) {
				n++
			}
		}
		return n
	}
	for n := range 20 {
		text := fmt.Sprint("program ", n)
		ref, err := w.arb.SpawnProgram(w.ctx, "sh", says(text).Run[1:], actor.Silent())
		if err != nil {
			t.Fatal(err)
		}
		logged(ref.AID+".log", text+"\n")
		if _, err := w.arb.Kill(w.ctx, ref); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); open() != 3; <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d logs are open, and 3 that print live", open())
		}
	}
}

// openFiles are the paths of what this process has open.
func openFiles() (paths []string) {
	all, _ := os.ReadDir("/proc/self/fd")
	for _, e := range all {
		if path, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}
