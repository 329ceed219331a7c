//go:build unix

package arbiter_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// TestBindAfterAKill: the socket that a killed arbiter has left is taken over, by one
// of those that want it; one at which somebody answers, and what is no socket, is left
// alone.
func TestBindAfterAKill(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	bind := func(name, path string) error {
		_, err := w.arb.Pool(w.ctx, nil, actor.PoolArgs{Name: name, Workers: 1, Bind: []string{"unix:" + path},
			Worker: actor.SpawnArgs{Run: []string{"sleep", "600"}, Silent: true}})
		return err
	}
	listen := func(path string) *net.UnixListener {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		return l.(*net.UnixListener)
	}
	left := filepath.Join(dir, "left")
	l := listen(left)
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	const rivals = 4
	errs := make(chan error, rivals)
	for n := range rivals {
		go func() { errs <- bind(fmt.Sprint("rival-", n), left) }()
	}
	won := 0
	for range rivals {
		switch err := <-errs; {
		case err == nil:
			won++
		case !strings.Contains(err.Error(), "address already in use"):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d pools listen at the socket that was left", won)
	}
	if c, err := net.Dial("unix", left); err != nil {
		t.Error(err)
	} else {
		_ = c.Close()
	}

	lives := filepath.Join(dir, "lives")
	l = listen(lives)
	defer l.Close()
	err := bind("lives", lives)
	if want := fmt.Sprintf("process %d listens there", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("where somebody listens: %v, want %q", err, want)
	}
	if c, err := net.Dial("unix", lives); err != nil {
		t.Errorf("who listens was disturbed: %v", err)
	} else {
		_ = c.Close()
	}

	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := bind("file", file); err == nil {
		t.Error("it listens at a file")
	}
	if b, _ := os.ReadFile(file); string(b) != "mine" {
		t.Errorf("the file has %q", b)
	}
}

// TestPoolAfterAKill: when a pool is killed its names and its ports are free: its processes have ended.
func TestPoolAfterAKill(t *testing.T) {
	w := quietWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().String()
	_ = l.Close()
	for n := range 5 {
		_, err := w.arb.Pool(w.ctx, Victim, actor.PoolArgs{Name: "web", Workers: 4, Bind: []string{port}, Worker: actor.SpawnArgs{In: "process"}})
		if err != nil {
			t.Fatalf("pool %d: %v", n, err)
		}
		var pids []int
		for _, i := range ps(t, w.ctx) {
			if i.Name != "web" && i.PID != os.Getpid() {
				pids = append(pids, i.PID)
			}
		}
		if len(pids) != 4 {
			t.Fatalf("pool %d has the processes %v", n, pids)
		}
		if _, err := w.arb.Kill(w.ctx, actor.To("web")); err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			if alive(pid) {
				t.Errorf("pool %d was killed, and its process %d lives", n, pid)
			}
		}
		for _, i := range ps(t, w.ctx) {
			if strings.HasPrefix(i.Name, "web") {
				t.Errorf("pool %d was killed, and %s is %s", n, i.Name, i.State)
			}
		}
	}
}
