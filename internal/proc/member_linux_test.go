package proc

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestOutlivesTheWantOfMemory: a process whose child was ended for want of memory, which
// goes on, and which somebody kills, was killed by somebody.
func TestOutlivesTheWantOfMemory(t *testing.T) {
	f := NewFamily(testSelf, FamilyOptions{})
	f.oomEvery = 10 * time.Millisecond
	defer f.Close()
	begin := filepath.Join(t.TempDir(), "begin")
	s := shell(`until [ -e "$1" ]; do sleep 0.01; done; "$0" 1000; echo goes on; sleep 60; :`)
	eat := program("eat")
	s.Args, s.Env, s.Memory = append(s.Args, eat.Path, begin), eat.Env, 160<<20
	p, lines := startIn(t, f, s)
	if !p.member.group.counts("memory") {
		t.Skipf("no memory cgroup can be made here: %q", f.Weak())
	}
	if place := p.member.group.cgroups.of("memory"); place.v2 { // or all of it would be ended
		if err := setFile(filepath.Join(place.dir, p.member.group.name, "memory.oom.group"), "0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(begin, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if line := receive(t, lines, "its first line"); line != "goes on" {
		t.Fatalf("it says %q", line)
	}
	eventually(t, "it is seen to go on", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.member.outlived == 1
	})
	if err := unix.Kill(p.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	receive(t, p.Done(), "its end")
	if e := p.Exit(); e.OutOfMemory || e.Signal != "killed" || e.OOMKills != 1 {
		t.Errorf("exit %+v", e)
	}
}
