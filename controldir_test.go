//go:build unix

package arbiter

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestForeignControlDir: in a directory that others made, as in /tmp, nobody looks for arbiters,
// and nothing is removed.
func TestForeignControlDir(t *testing.T) {
	t.Run("a link", func(t *testing.T) {
		run, err := os.MkdirTemp("/tmp", "x") // a short one
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(run)
		home := t.TempDir()
		precious := filepath.Join(home, "python3.12")
		if err := os.Mkdir(precious, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(home, filepath.Join(run, "arbiter")); err != nil {
			t.Fatal(err)
		}
		t.Setenv("XDG_RUNTIME_DIR", run)
		list, err := Instances()
		if err == nil {
			t.Errorf("%v, and no error", list)
		}
		if _, err := os.Stat(precious); err != nil {
			t.Error(err)
		}
	})
	t.Run("another user's", func(t *testing.T) {
		if os.Getuid() != 0 {
			t.Skip("not root, who alone can make a directory of another user's: that arbiters in it are not taken for ours was not tried")
		}
		dir, err := os.MkdirTemp("/tmp", "x")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		at := filepath.Join(dir, "arbiter", "arbiter.1")
		if err := os.MkdirAll(at, 0o755); err != nil {
			t.Fatal(err)
		}
		lock, err := os.Create(filepath.Join(at, "lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer lock.Close()
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(dir, "arbiter"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
		t.Setenv("XDG_RUNTIME_DIR", dir)
		if list, err := Instances(); err == nil || len(list) > 0 {
			t.Errorf("an arbiter of another user's is taken for one of ours: %v, %v", list, err)
		}
	})
}

// TestControlDirOfTheDead: who lists arbiters while one begins that has the pid of a dead one, as
// every arbiter of a container has, does not remove what that has just made.
func TestControlDirOfTheDead(t *testing.T) {
	run, err := os.MkdirTemp("/tmp", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	t.Setenv("XDG_RUNTIME_DIR", run)
	root, _ := ControlDir()
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var listers sync.WaitGroup
	defer listers.Wait()
	defer close(stop)
	var looked [2]atomic.Int64
	for k := range looked {
		listers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = Instances()
					looked[k].Add(1)
				}
			}
		})
	}
	// allLook returns when each has looked from beginning to end.
	allLook := func() {
		for k := range looked {
			for n := looked[k].Load() + 2; looked[k].Load() < n; {
				runtime.Gosched()
			}
		}
	}
	dead := filepath.Join(root, fmt.Sprintf("n.%d", os.Getpid()))
	const rounds = 150
	lost, failed := 0, 0
	for range rounds {
		_ = os.Mkdir(dead, 0o700)
		_ = os.WriteFile(filepath.Join(dead, controlLock), nil, 0o600)
		l, at, release, err := openControl("n")
		if err != nil {
			if failed++; failed == 1 {
				t.Logf("openControl: %v", err)
			}
			continue
		}
		allLook()
		if _, err := os.Stat(at.Address[len("unix:"):]); err != nil {
			if lost++; lost == 1 {
				t.Logf("%v", err)
			}
		}
		_ = l.Close()
		release()
	}
	if lost+failed > 0 {
		t.Errorf("of %d arbiters %d have lost their control socket to who listed them, %d could not start", rounds, lost, failed)
	}
}

// TestControlDirWithoutItsLock: an arbiter whose lock somebody has removed, as who tidies up /tmp
// does, is there as long as it answers.
func TestControlDirWithoutItsLock(t *testing.T) {
	run, err := os.MkdirTemp("/tmp", "x")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	t.Setenv("XDG_RUNTIME_DIR", run)
	l, at, release, err := openControl("n")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(at.Address[len("unix:"):]), controlLock)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if list, err := Instances(); err != nil || len(list) != 1 || list[0].Address != at.Address {
			t.Errorf("%v, %v", list, err)
		}
	}
	_ = l.Close()
	release()
	if list, err := Instances(); err != nil || len(list) != 0 {
		t.Errorf("after its end: %v, %v", list, err)
	}
}
