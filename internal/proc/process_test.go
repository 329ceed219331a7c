//go:build unix

package proc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// signals are those that ask a process to end.
var signals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

func shell(script string) Spec { return Spec{Path: "/bin/sh", Args: []string{"-c", script}} }

func TestExit(t *testing.T) {
	for _, test := range []struct {
		name string
		spec Spec
		want Exit
	}{
		{"0", program("exit", "0"), Exit{}},
		{"3", program("exit", "3"), Exit{Code: 3}},
		{"255", program("exit", "255"), Exit{Code: 255}},
		{"segmentation fault", shell("ulimit -c 0; kill -SEGV $$"), Exit{Code: -1, Signal: "segmentation fault"}},
		{"killed", shell("kill -KILL $$"), Exit{Code: -1, Signal: "killed"}},
		{"terminated", shell("kill -TERM $$"), Exit{Code: -1, Signal: "terminated"}},
		{"its last words", program("say", "a", "", "b"), Exit{Tail: []string{"a", "b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := run(t, test.spec)
			if got.CoreDumped {
				t.Log("a core was dumped") // by a system that pipes it to a program, whatever the limit
				got.CoreDumped = false
			}
			if !slices.Equal(got.Tail, test.want.Tail) {
				t.Errorf("last lines %q, want %q", got.Tail, test.want.Tail)
			}
			got.Tail, test.want.Tail = nil, nil
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("exit %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestEnvironment: of a variable that is set twice the process sees the last, and only
// that, by every way of starting.
func TestEnvironment(t *testing.T) {
	t.Setenv("PROC_TEST_OURS", "here")
	f := family(t, FamilyOptions{})
	for _, s := range []Spec{{Path: "env"}, prepared(Spec{Path: "env"})} {
		s.Env = []string{"PATH=" + os.Getenv("PATH"), "A=1", "B=", "A=2", "no variable", "B=x=y", "AA=3"}
		_, lines := runIn(t, f, s)
		want := []string{"PATH=" + os.Getenv("PATH"), "A=2", "no variable", "B=x=y", "AA=3", EnvInstance + "=" + f.marker}
		if !slices.Equal(lines, want) {
			t.Errorf("it has %q, want %q", lines, want)
		}
	}
	s := shell(`echo "$PROC_TEST_OURS"`)
	var said string
	s.Stdout = func(line []byte) { said = string(line) }
	if run(t, s); said != "here" {
		t.Errorf("without an environment of its own it has %q, want ours", said)
	}
}

func TestVariable(t *testing.T) {
	for v, want := range map[string]string{"A=1": "A", "A=": "A", "=C:=C:": "=C:", "A=b=c": "A", "": "", "=": "", "A": "", "=x": ""} {
		if got := Variable(v); got != want {
			t.Errorf("the name of %q is %q, want %q", v, got, want)
		}
	}
}

func TestExitIsUnknownBefore(t *testing.T) {
	p := start(t, program("sleep"))
	if e := p.Exit(); e.Code != -1 || e.Signal != "" {
		t.Errorf("exit %+v of a process that runs", e)
	}
}

func TestKill(t *testing.T) {
	p := start(t, program("sleep"))
	for range 3 {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, p.Exited(), "the exit")
	if e := p.Exit(); e.Signal != "killed" || e.Code != -1 {
		t.Errorf("exit %+v", e)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("Kill after the end: %v", err)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal after the end: %v", err)
	}
}

func TestSignal(t *testing.T) {
	ready := make(chan string, 1)
	s := program("ready")
	s.Stdout = func(line []byte) { ready <- string(line) }
	p := start(t, s)
	receive(t, ready, "its first line")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	receive(t, p.Exited(), "the exit")
	if e := p.Exit(); e.Signal != "terminated" {
		t.Errorf("exit %+v", e)
	}
}

func TestKillReachesTheGroup(t *testing.T) {
	pids := make(chan string, 2)
	s := shell(`sleep 60 & echo $!; wait`)
	s.Stdout = func(line []byte) { pids <- string(line) }
	p := start(t, s)
	child := receive(t, pids, "the grandchild's pid")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	receive(t, p.Done(), "the end")
	eventually(t, "the grandchild has ended", func() bool { return ended(child) })
}

// ended reports whether there is no process pid, or only its remains.
func ended(pid string) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", pid).Output()
	state := strings.TrimSpace(string(out))
	return err != nil || state == "" || state[0] == 'Z'
}

func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct {
		name string
		spec Spec
		is   error
		says string
	}{
		{"no program", Spec{}, nil, "no program is given"},
		{"missing", Spec{Path: filepath.Join(dir, "missing")}, fs.ErrNotExist, "there is no file"},
		{"not in PATH", Spec{Path: "arbiter-no-such-program"}, nil, "give its full path"},
		{"not executable", Spec{Path: file("plain", "#!/bin/sh\n", 0o644)}, fs.ErrPermission, "chmod +x"},
		{"a directory", Spec{Path: dir}, fs.ErrPermission, "it is a directory"},
		{"no program at all", Spec{Path: file("noise", "\x00\x01noise", 0o755)}, syscall.ENOEXEC, "it is no program for this machine"},
		{"no interpreter", Spec{Path: file("script", "#!/no/such/interpreter\n", 0o755)}, fs.ErrNotExist, "its first line"},
		{"no directory", Spec{Path: "/bin/sh", Dir: filepath.Join(dir, "missing")}, fs.ErrNotExist, "where it should run|the directory it should run in"},
		{"a zero byte", Spec{Path: "/bin/sh", Args: []string{"a\x00b"}}, syscall.EINVAL, "zero byte"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ours, theirs, err := Socketpair()
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			test.spec.Socket = theirs
			p, err := Start(test.spec)
			if err == nil {
				p.Kill()
				<-p.Done()
				t.Fatal("it was started")
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v is no %v", err, test.is)
			}
			if !slices.ContainsFunc(strings.Split(test.says, "|"), func(s string) bool { return strings.Contains(err.Error(), s) }) {
				t.Errorf("the error does not say %q: %v", test.says, err)
			}
			if n, err := ours.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the socket was not closed: read %d, %v", n, err)
			}
		})
	}
}

func TestLongLine(t *testing.T) {
	const size = 10 << 20
	var total, pieces int
	s := program("line", fmt.Sprint(size))
	s.Stdout = func(line []byte) {
		if len(line) > MaxLine {
			t.Errorf("a piece of %d bytes", len(line))
		}
		if pieces > 0 {
			if !bytes.HasPrefix(line, []byte(Continued)) {
				t.Errorf("piece %d is not marked", pieces)
			}
			line = line[len(Continued):]
		}
		if n := bytes.Count(line, []byte{'x'}); n != len(line) {
			t.Errorf("piece %d: %d of %d bytes are what was written", pieces, n, len(line))
		}
		pieces++
		total += len(line)
	}
	if e := run(t, s); e.Code != 0 {
		t.Errorf("exit %+v", e)
	}
	if total != size {
		t.Errorf("%d bytes came of %d", total, size)
	}
}

func TestNoise(t *testing.T) {
	const size = 1 << 20
	var out, errs int
	s := program("noise", fmt.Sprint(size))
	s.Stdout = func(line []byte) { out += len(line) }
	s.Stderr = func(line []byte) { errs += len(line) }
	e := run(t, s)
	if e.Code != 0 {
		t.Errorf("exit %+v", e)
	}
	// What is missing are line ends; the marks of long lines may add some.
	if out < size*9/10 || errs < size*9/10 {
		t.Errorf("%d and %d bytes came of %d", out, errs, size)
	}
	if len(e.Tail) == 0 {
		t.Error("no last lines")
	}
}

func TestNobodyListens(t *testing.T) {
	s := program("noise", fmt.Sprint(1<<20))
	s.Tail = -1
	if e := run(t, s); e.Code != 0 || e.Tail != nil {
		t.Errorf("exit %+v", e)
	}
}

func TestClosesItsOutput(t *testing.T) {
	ours, theirs, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	s := program("mute")
	s.Socket, s.Stdout = theirs, func(line []byte) { t.Errorf("it said %q", line) }
	p := start(t, s)
	r := bufio.NewReader(ours)
	for _, line := range []string{"closed\n", "works on\n"} {
		if line != "closed\n" {
			if _, err := io.WriteString(ours, line); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := r.ReadString('\n'); got != line {
			t.Fatalf("read %q, %v; want %q", got, err, line)
		}
	}
	select {
	case <-p.Exited():
		t.Fatalf("it ended with its output: %+v", p.Exit())
	default:
	}
	ours.Close()
	receive(t, p.Done(), "the end")
	if e := p.Exit(); e.Code != 7 {
		t.Errorf("exit %+v", e)
	}
}

func TestSocket(t *testing.T) {
	ours, theirs, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	lines := make(chan string, 4)
	s := program("echo")
	s.Socket, s.Stdout = theirs, func(line []byte) { lines <- string(line) }
	p := start(t, s)
	const size = 1 << 20 // more than the sockets hold
	sent := make(chan error, 1)
	go func() {
		_, err := ours.Write(bytes.Repeat([]byte{'y'}, size))
		sent <- err
	}()
	got := make([]byte, size)
	if _, err := io.ReadFull(ours, got); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, sent, "the write"); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(got, []byte{'y'}); n != size {
		t.Errorf("%d of %d bytes came back", n, size)
	}
	if again := receive(t, lines, "what it says"); !strings.Contains(again, "taken over before") {
		t.Errorf("the second Inherited: %q", again)
	}
	ours.Close()
	if last := receive(t, lines, "what it says at the end"); last != "end of file" {
		t.Errorf("it said %q", last)
	}
	receive(t, p.Done(), "the end")
	if e := p.Exit(); e.Code != 5 {
		t.Errorf("exit %+v", e)
	}
}

func TestEndOfTheProcessIsEndOfFile(t *testing.T) {
	ours, theirs, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	s := program("sleep")
	s.Socket = theirs
	p := start(t, s)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v", err)
	}
}

func TestInheritedRefuses(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	listening, err := listener.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer listening.Close()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	packet, err := packets.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer packet.Close()
	for _, test := range []struct {
		name string
		fd   int
		says string
	}{
		{"a file", int(file.Fd()), "it is not a socket"},
		{"not open", 1 << 16, "it is not open"},
		{"negative", -1, "it is not open"},
		{"one that listens", int(listening.Fd()), "it is not connected"},
		{"packets", int(packet.Fd()), "it is not a stream socket"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := Inherited(test.fd)
			if err == nil {
				conn.Close()
				t.Fatal("it was taken")
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("the error does not say %q: %v", test.says, err)
			}
		})
	}
	if _, err := file.Stat(); err != nil {
		t.Errorf("what was refused is not left alone: %v", err)
	}
}

func TestPeerCred(t *testing.T) {
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer dialed.Close()
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if pid, uid, ok := PeerCred(accepted); !ok || pid != os.Getpid() || uid != os.Getuid() {
		t.Errorf("pid %d, uid %d, %v; want %d, %d", pid, uid, ok, os.Getpid(), os.Getuid())
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	if _, _, ok := PeerCred(ours); ok {
		t.Error("the credentials of a pipe within the process")
	}
}

func TestQuickExits(t *testing.T) {
	const processes, atOnce = 200, 8
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	before := openFileCount(t)
	for n := range processes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p, err := Start(shell(fmt.Sprintf("echo line %d >&2; exit %d", n, n)))
			if err != nil {
				t.Error(err)
				return
			}
			receive(t, p.Done(), "an exit")
			if e := p.Exit(); e.Code != n || e.Signal != "" || !slices.Equal(e.Tail, []string{fmt.Sprintf("line %d", n)}) {
				t.Errorf("process %d: exit %+v", n, e)
			}
		})
	}
	wg.Wait()
	nothingLeft(t, before)
}

// nothingLeft waits until there is no zombie, and no more descriptors than before: where the
// kernel takes its time to reap what has ended, that goes on by itself.
func nothingLeft(t *testing.T, before int) {
	t.Helper()
	eventually(t, "no zombie is left", func() bool { return len(zombies(t)) == 0 })
	eventually(t, fmt.Sprintf("at most %d descriptors again", before), func() bool { return openFileCount(t) <= before })
}

// zombies returns our children that have ended and were not waited for.
func zombies(t *testing.T) (pids []string) {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "ppid=,stat=,pid=,comm=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == fmt.Sprint(os.Getpid()) && f[1][0] == 'Z' {
			pids = append(pids, f[2]+" "+f[3])
		}
	}
	return pids
}

func openFileCount(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
