//go:build unix

package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// family returns a family that is closed with the test.
func family(t *testing.T, o FamilyOptions) *Family {
	t.Helper()
	f := NewFamily(testSelf, o)
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		for _, text := range f.Weak() {
			t.Log("weak:", text)
		}
	})
	return f
}

// bothWays runs test with and without cgroups.
func bothWays(t *testing.T, test func(t *testing.T, o FamilyOptions)) {
	t.Run("as it can be", func(t *testing.T) { test(t, FamilyOptions{}) })
	t.Run("without cgroups", func(t *testing.T) { test(t, FamilyOptions{NoCgroups: true}) })
}

// startIn starts s in f, with its lines to come on a channel.
func startIn(t *testing.T, f *Family, s Spec) (*Process, <-chan string) {
	t.Helper()
	lines := make(chan string, 64)
	s.Stdout = func(line []byte) { lines <- string(line) }
	p, err := f.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	return p, lines
}

// runIn starts s in f and waits for its end. It returns what it wrote, too.
func runIn(t *testing.T, f *Family, s Spec) (Exit, []string) {
	t.Helper()
	var mu sync.Mutex
	var lines []string
	s.Stdout = func(line []byte) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, string(line))
	}
	p, err := f.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	receive(t, p.Done(), "the process's end")
	mu.Lock()
	defer mu.Unlock()
	return p.Exit(), lines
}

// prepared makes s one that takes a starter.
func prepared(s Spec) Spec {
	s.Rlimits = []Rlimit{{Name: "core"}}
	return s
}

func TestFamilyExit(t *testing.T) {
	bothWays(t, func(t *testing.T, o FamilyOptions) {
		f := family(t, o)
		for _, s := range []Spec{shell("exit 3"), prepared(shell("exit 3"))} {
			if e, _ := runIn(t, f, s); e.Code != 3 || e.Signal != "" || e.OutOfMemory {
				t.Errorf("exit %+v", e)
			}
		}
		for _, s := range []Spec{shell("ulimit -c 0; kill -SEGV $$"), prepared(shell("kill -SEGV $$"))} {
			if e, _ := runIn(t, f, s); e.Signal != "segmentation fault" {
				t.Errorf("exit %+v", e)
			}
		}
	})
}

// TestFamilyStartFails: what a starter cannot start is explained as what is started
// directly.
func TestFamilyStartFails(t *testing.T) {
	f := family(t, FamilyOptions{})
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		spec Spec
		is   error
		says string
	}{
		{"missing", Spec{Path: "/no/such/program"}, fs.ErrNotExist, "there is no file"},
		{"not executable", Spec{Path: script}, fs.ErrPermission, "chmod +x"},
		{"no directory", Spec{Path: "/bin/sh", Dir: "/no/such/directory"}, fs.ErrNotExist, "the directory it should run in"},
		{"a zero byte", Spec{Path: "/bin/sh", Args: []string{"a\x00b"}}, syscall.EINVAL, "zero byte"},
		{"a limit nobody knows", Spec{Path: "/bin/sh", Rlimits: []Rlimit{{Name: "hope", Soft: 1}}}, nil, `no limit "hope"`},
		{"a limit nobody may have", Spec{Path: "/bin/sh", Rlimits: []Rlimit{{Name: "nofile", Soft: 1 << 40}}}, syscall.EPERM,
			"set its limit nofile to 1099511627776, 1099511627776: operation not permitted (that takes a privilege"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if len(test.spec.Rlimits) == 0 {
				test.spec = prepared(test.spec)
			}
			p, err := f.Start(test.spec)
			if err == nil {
				receive(t, p.Done(), "the end")
				t.Fatal("it was started")
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is no %v", err, test.is)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error does not say %q: %v", test.says, err)
			}
		})
	}
	eventually(t, "no zombie is left", func() bool { return len(zombies(t)) == 0 })
}

func TestPreparedWithoutHook(t *testing.T) {
	f := family(t, FamilyOptions{})
	f.self = nil
	_, err := f.Start(prepared(shell("exit 0")))
	if err == nil || !strings.Contains(err.Error(), "proc.Hook") {
		t.Errorf("error %v", err)
	}
	if _, err := Start(prepared(shell("exit 0"))); err == nil || !strings.Contains(err.Error(), "Family") {
		t.Errorf("error %v", err)
	}
	if e, _ := runIn(t, f, shell("exit 4")); e.Code != 4 {
		t.Errorf("exit %+v", e)
	}
	if weak := f.Weak(); !slices.ContainsFunc(weak, func(s string) bool { return strings.HasPrefix(s, "no guard") }) {
		t.Errorf("nobody is told that there is no guard: %q", weak)
	}
}

func TestNoHelperByAccident(t *testing.T) {
	for _, value := range []string{"guard", "guard:x", "guard:0", "guard:3", "starter:99", "other:0"} {
		s := program("exit", "0")
		s.Env = setEnv(s.Env, envHelper, value)
		if e := run(t, s); e.Code != exitNoHelper || !strings.Contains(strings.Join(e.Tail, "\n"), "unset it") {
			t.Errorf("%s: exit %+v", value, e)
		}
	}
}

func TestBounds(t *testing.T) {
	f := family(t, FamilyOptions{})
	said, err := exec.Command("nice").Output()
	if err != nil {
		t.Skipf("there is no program called nice: %v", err)
	}
	ours, err := strconv.Atoi(strings.TrimSpace(string(said)))
	if err != nil {
		t.Fatal(err)
	}
	umask := 0o027
	s := shell(`ulimit -n; ulimit -H -n; ulimit -c; ulimit -t; umask; nice; pwd; echo "$1 $ARBITER_INSTANCE"`)
	s.Args = append(s.Args, "sh", "a\xffb") // arguments are bytes
	s.Dir = "/"
	s.Rlimits = []Rlimit{{Name: "nofile", Soft: 77, Hard: 99}, {Name: "core"}, {Name: "cpu", Soft: 1234}}
	s.Umask, s.Nice = &umask, 3
	e, lines := runIn(t, f, s)
	if e.Code != 0 {
		t.Fatalf("exit %+v", e)
	}
	want := []string{"77", "99", "0", "1234", "0027", strconv.Itoa(min(ours+3, 19)), "/", "a\xffb " + f.Instance()}
	if !slices.Equal(lines, want) {
		t.Errorf("it has %q, want %q", lines, want)
	}
}

// TestOtherBoundsAreOurs: what Go does to its own limit of files is not passed on,
// by no way of starting.
func TestOtherBoundsAreOurs(t *testing.T) {
	f := family(t, FamilyOptions{NoCgroups: true})
	_, directly := runIn(t, f, shell("ulimit -n; umask; nice"))
	_, prepared := runIn(t, f, prepared(shell("ulimit -n; umask; nice")))
	if len(directly) != 3 || !slices.Equal(directly, prepared) {
		t.Errorf("directly %q, by a starter %q", directly, prepared)
	}
}

func TestUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("to be another user takes root")
	}
	f := family(t, FamilyOptions{})
	s := shell("id -u; id -g; id -G")
	s.User = &User{UID: 1234, GID: 2345, Groups: []int{3456}}
	e, lines := runIn(t, f, s)
	if e.Code != 0 || !slices.Equal(lines, []string{"1234", "2345", "2345 3456"}) {
		t.Errorf("exit %+v, %q", e, lines)
	}
}

// TestUserOpensItsOutput: as programs do that are told to write to the file /dev/stdout.
func TestUserOpensItsOutput(t *testing.T) {
	if os.Getuid() != 0 || runtime.GOOS != "linux" {
		t.Skip("to be another user takes root, and the owner of a pipe can be changed on Linux only")
	}
	f := family(t, FamilyOptions{})
	s := shell("echo said > /dev/stdout; echo failed > /dev/stderr")
	s.User = &User{UID: 1234, GID: 2345}
	e, lines := runIn(t, f, s)
	if e.Code != 0 || !slices.Equal(lines, []string{"said"}) || !slices.Equal(e.Tail, []string{"failed"}) {
		t.Errorf("exit %+v, %q", e, lines)
	}
}

func TestListen(t *testing.T) {
	f := family(t, FamilyOptions{})
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		file, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files, addresses = append(files, file), append(addresses, l.Addr().String())
	}
	for range 2 { // one after the other: the sockets stay
		ours, theirs, err := Socketpair()
		if err != nil {
			t.Fatal(err)
		}
		s := program("listener")
		s.Listen, s.Socket = files, theirs
		s.Args = []string{fmt.Sprint(s.SocketAt())}
		p, lines := startIn(t, f, s)
		if line := receive(t, lines, "its first line"); line != "2 descriptors for me" {
			t.Fatalf("it says %q", line)
		}
		for i, address := range addresses {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			var b [16]byte
			n, err := conn.Read(b[:])
			if string(b[:n]) != fmt.Sprint("socket ", i) {
				t.Errorf("read %q, %v", b[:n], err)
			}
			conn.Close()
		}
		ours.Close() // it goes on until then
		receive(t, p.Done(), "its end")
		if e := p.Exit(); e.Code != 6 {
			t.Errorf("exit %+v", e)
		}
	}
}

func TestFamilyCloses(t *testing.T) {
	bothWays(t, func(t *testing.T, o FamilyOptions) {
		before := openFileCount(t)
		f := NewFamily(testSelf, o)
		p, lines := startIn(t, f, program("stubborn"))
		receive(t, lines, "its first line")
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		receive(t, p.Done(), "its end")
		if e := p.Exit(); e.Signal != "killed" || e.OutOfMemory {
			t.Errorf("exit %+v", e)
		}
		if _, err := f.Start(program("exit", "0")); !errors.Is(err, errFamilyClosed) {
			t.Errorf("a family that is closed starts a process: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
		nothingLeft(t, before)
	})
}

func TestFamilyQuickExits(t *testing.T) {
	bothWays(t, func(t *testing.T, o FamilyOptions) {
		const processes, atOnce = 100, 8
		f := family(t, o)
		runIn(t, f, shell("exit 0"))
		before := openFileCount(t)
		var wg sync.WaitGroup
		slots := make(chan struct{}, atOnce)
		for n := range processes {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				p, err := f.Start(shell(fmt.Sprintf("exit %d", n)))
				if err != nil {
					t.Error(err)
					return
				}
				receive(t, p.Done(), "an exit")
				if e := p.Exit(); e.Code != n || e.Signal != "" {
					t.Errorf("process %d: exit %+v", n, e)
				}
			})
		}
		wg.Wait()
		nothingLeft(t, before)
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.living) > 0 {
			t.Errorf("%d still live", len(f.living))
		}
	})
}

func TestEmptyFamilyCostsNothing(t *testing.T) {
	before := openFileCount(t)
	f := NewFamily(testSelf, FamilyOptions{Reap: true})
	if after := openFileCount(t); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if f.guard != nil || f.cgroups != nil || f.reaper != nil {
		t.Error("a family without processes has a guard, a reaper or cgroups")
	}
}

// TestMemoryUnbounded: whoever asked for a bound of memory is told when there is none, and
// not of what else is wanting.
func TestMemoryUnbounded(t *testing.T) {
	for text, want := range map[string]bool{
		noMemoryBounds + ", and nobody tells what ended for want of it: …": true,
		"no cgroups on plan9: " + noMemoryBounds + " and processes":        true,
		noBound + "memory: permission denied":                              true,
		noCgroup + ": no space left on device":                             true,
		noBound + "pids: permission denied":                                false,
		"no bounds of the number of processes: …":                          false,
		"orphans are not reaped: …":                                        false,
	} {
		if got := MemoryUnbounded([]string{"no guard", text}); (got == text) != want || !want && got != "" {
			t.Errorf("of %q it says %q", text, got)
		}
	}
}
