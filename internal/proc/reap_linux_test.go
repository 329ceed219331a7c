package proc

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSlowlyReaped: how a process has ended is known though the kernel has not reaped it, as
// it is where somebody who reads /proc has the processor taken away meanwhile.
func TestSlowlyReaped(t *testing.T) {
	for script, want := range map[string]Exit{
		"exit 7":     {Code: 7},
		"kill -9 $$": {Code: -1, Signal: "killed"},
		":":          {},
	} {
		p := newProcess(-1)
		handle, err := p.start(&launch{path: "/bin/sh", argv: []string{"sh", "-c", script}})
		if err != nil {
			t.Fatal(err)
		}
		reap, reaped := make(chan struct{}), make(chan struct{})
		p.wait = func() (*os.ProcessState, error) {
			defer close(reaped)
			<-reap
			return p.os.Wait()
		}
		go p.watch(handle, nil)
		receive(t, p.Done(), "the end of "+script)
		if got := p.Exit(); got.Code != want.Code || got.Signal != want.Signal || got.CoreDumped {
			t.Errorf("%s: %+v, want %+v", script, got, want)
		}
		if e, err := readEntry(p.PID()); err != nil || !e.zombie {
			t.Errorf("%s: it was reaped: this proves nothing (%v)", script, err)
		}
		if err := p.Kill(); err != nil {
			t.Errorf("kill of what has ended: %v", err)
		}
		close(reap)
		receive(t, reaped, "its reaping")
	}
}

// TestEndsAgree: what the kernel says of an end before it is reaped is what is said after.
func TestEndsAgree(t *testing.T) {
	for _, script := range []string{"exit 0", "exit 1", "exit 255", "kill -9 $$", "kill -15 $$", "ulimit -c 0; kill -6 $$", "kill -11 $$"} {
		p := newProcess(-1)
		handle, err := p.start(&launch{path: "/bin/sh", argv: []string{"sh", "-c", script}})
		if err != nil {
			t.Fatal(err)
		}
		var before siginfo
		if handle == nil {
			before, err = await(unix.P_PID, p.os.Pid, 0)
		} else {
			before, err = awaitPolled(handle)
			_ = unix.SetNonblock(int(handle.Fd()), false)
			_ = handle.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		after, err := p.await()
		if got := before.exit(); err != nil || got.Code != after.Code || got.Signal != after.Signal || got.CoreDumped != after.CoreDumped {
			t.Errorf("%s: %+v before, %+v after (%v)", script, got, after, err)
		}
	}
}
