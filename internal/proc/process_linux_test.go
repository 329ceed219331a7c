package proc

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestGrandchildHoldsThePipe: it has left the group and the session, so it is not
// ended with the process; its pipe is closed under it.
func TestGrandchildHoldsThePipe(t *testing.T) {
	files, goroutines := openFileCount(t), runtime.NumGoroutine()
	pids := make(chan string, 4)
	s := shell(`setsid sh -c 'sh -c "echo \$\$; : > \"$0\"; exec sleep 60" & exit 0' "$0" & wait; until [ -e "$0" ]; do sleep 0.01; done; echo last`)
	s.Args = append(s.Args, filepath.Join(t.TempDir(), "said")) // the pipe is closed under it, so it is to have written by then
	var last string
	s.Stdout = func(line []byte) {
		if last = string(line); last != "last" {
			pids <- last
		}
	}
	p := start(t, s)
	receive(t, p.Exited(), "the exit")
	receive(t, p.Done(), "the end of the output, which a grandchild holds")
	grandchild := receive(t, pids, "the grandchild's pid")
	defer func() {
		var pid int
		fmt.Sscan(grandchild, &pid)
		unix.Kill(pid, unix.SIGKILL)
		eventually(t, "the grandchild has ended", func() bool { return ended(grandchild) })
	}()
	if ended(grandchild) {
		t.Fatal("the grandchild has ended: this proves nothing")
	}
	if e := p.Exit(); e.Code != 0 {
		t.Errorf("exit %+v", e)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if after := openFileCount(t); after > files {
		t.Errorf("%d descriptors before, %d after", files, after)
	}
}

// wrapped is a script that runs another one and is none itself: no signal is passed on.
func wrapped(script string) Spec {
	s := shell(`sh -c "$0"; exit 3`)
	s.Args = append(s.Args, script)
	return s
}

// TestStopReachesTheGroup: what a shell has started to run the real program is asked to
// end, too, and has its time. Who has left somebody behind that does not end has not exited
// before that was killed; who was not asked has.
func TestStopReachesTheGroup(t *testing.T) {
	bothWays(t, func(t *testing.T, o FamilyOptions) {
		f := family(t, o)
		p, lines := startIn(t, f, wrapped(`trap 'sleep 0.1; echo bye; exit' TERM; echo ready; while :; do sleep 0.01; done`))
		receive(t, lines, "its first line")
		if err := p.Stop(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		receive(t, p.Done(), "its end")
		if last := receive(t, lines, "its last line"); last != "bye" {
			t.Error("the program was not let finish")
		}
		if e := p.Exit(); e.Signal != "terminated" {
			t.Errorf("exit %+v", e)
		}

		const deaf = `trap '' TERM; echo ready; while :; do sleep 0.01; done`
		p, lines = startIn(t, f, wrapped(deaf))
		receive(t, lines, "its first line")
		if err := p.Stop(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its first process has ended", func() bool { return exiting(p.PID()) })
		select {
		case <-p.Exited():
			t.Error("it has exited, and the rest of it goes on")
		default:
		}
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		receive(t, p.Exited(), "its end")

		p, lines = startIn(t, f, wrapped(deaf))
		receive(t, lines, "its first line")
		if err := p.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		receive(t, p.Exited(), "the end of who was sent a signal only")
	})
}

// TestListingIsShared: whoever asks what there was since then has no new list made if one
// was begun since.
func TestListingIsShared(t *testing.T) {
	var l listing
	before := time.Now()
	if len(l.since(time.Now())) == 0 {
		t.Fatal("there are no processes")
	}
	began := l.began
	if l.since(before); l.began != began {
		t.Error("a list that is new enough was made again")
	}
	if l.since(time.Now()); l.began == began {
		t.Error("a list that is too old was not made again")
	}
}

// TestNothingElseIsInherited: not even what was opened without thought.
func TestNothingElseIsInherited(t *testing.T) {
	leak, err := unix.Open("/dev/zero", unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	ours, theirs, err := Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	var open []string
	s := program("descriptors")
	s.Socket, s.Stdout = theirs, func(line []byte) { open = append(open, string(line)) }
	run(t, s)
	got := strings.Join(open, "\n")
	want := []string{"0 /dev/null", "1 pipe:", "2 pipe:", "3 socket:"}
	if len(open) != len(want) {
		t.Fatalf("open in the process:\n%s", got)
	}
	for i := range want {
		if !strings.HasPrefix(open[i], want[i]) {
			t.Errorf("open in the process:\n%s\nwant %q", got, want)
		}
	}
}

func TestItsOwnGroup(t *testing.T) {
	p := start(t, program("sleep"))
	group, err := unix.Getpgid(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if group != p.PID() || group == unix.Getpgrp() {
		t.Errorf("the group of process %d is %d, ours %d", p.PID(), group, unix.Getpgrp())
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p, err := Start(Spec{Path: "/bin/true", Tail: -1})
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
	}
}
