package proc

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func usage(t *testing.T, p *Process) Usage {
	t.Helper()
	u, ok := p.Usage()
	if !ok {
		t.Fatal("nothing is told of a process that runs")
	}
	return u
}

// TestUsageTellsStoppedFromSpinning: and both from one that waits.
func TestUsageTellsStoppedFromSpinning(t *testing.T) {
	spins := start(t, shell("while :; do :; done"))
	waits := start(t, Spec{Path: "sleep", Args: []string{"60"}})
	eventually(t, "the one that spins has used 50 ms", func() bool { return usage(t, spins).CPU >= 50*time.Millisecond })
	if u := usage(t, spins); u.Stopped() || u.Threads != 1 || u.RSS < 4096 || u.RSS > 100<<20 {
		t.Errorf("the one that spins: %+v, %c", u, u.State)
	}
	eventually(t, "the other one waits", func() bool { u := usage(t, waits); return u.State == 'S' })
	if u := usage(t, waits); u.CPU > 10*time.Millisecond {
		t.Errorf("the one that waits has used %v", u.CPU)
	}

	if err := spins.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the one that spun is stopped", func() bool { return usage(t, spins).Stopped() })
	before := usage(t, spins).CPU
	another := usage(t, waits).CPU
	busy := time.Now().Add(40 * time.Millisecond)
	for time.Now().Before(busy) { // it does not go on meanwhile
	}
	if u := usage(t, spins); u.CPU != before || !u.Stopped() {
		t.Errorf("the one that was stopped after %v: %+v, %c", before, u, u.State)
	}
	if u := usage(t, waits); u.CPU > another+10*time.Millisecond {
		t.Errorf("the one that waits: %+v after %v", u, another)
	}
	if err := spins.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it goes on", func() bool { return usage(t, spins).CPU > before })
}

// TestExiting: a process that has ended and was not reaped is seen to exit, one that
// runs is not.
func TestExiting(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if exiting(cmd.Process.Pid) {
		t.Error("one that runs is said to exit")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is seen to exit", func() bool { return exiting(cmd.Process.Pid) })
	_ = cmd.Wait()
	if exiting(cmd.Process.Pid) {
		t.Error("one that was reaped is said to exit")
	}
}

// TestWanted: it grows with the time in a process that spins, however busy the machine
// is, and not in one that waits.
func TestWanted(t *testing.T) {
	if wantedBy(os.Getpid()) == 0 {
		t.Skip("this kernel keeps no schedstat")
	}
	before := time.Now() // how long it waited for a processor is told when it gets one, so all of it may come at once
	spins := start(t, shell("while :; do :; done"))
	waits := start(t, Spec{Path: "sleep", Args: []string{"60"}})
	eventually(t, "the other one waits", func() bool { return usage(t, waits).State == 'S' })
	still := waits.Wanted()
	from := spins.Wanted()
	began := time.Now()
	eventually(t, "it wants", func() bool { return spins.Wanted()-from > 100*time.Millisecond })
	least := time.Since(began)
	wanted := spins.Wanted() - from
	if most := time.Since(before); wanted < least/2 || wanted > 2*most {
		t.Errorf("in %v to %v the one that spins wanted %v", least, most, wanted)
	}
	if now := waits.Wanted(); now != still {
		t.Errorf("the one that waits wanted %v, and then %v", still, now)
	}
	if err := spins.Kill(); err != nil {
		t.Fatal(err)
	}
	receive(t, spins.Exited(), "its end")
	if w := spins.Wanted(); w != 0 {
		t.Errorf("one that has ended wanted %v", w)
	}
}

func TestUsageOfOneThatHasEnded(t *testing.T) {
	p := start(t, shell("exit 0"))
	receive(t, p.Exited(), "its end")
	if u, ok := p.Usage(); ok {
		t.Errorf("of a process that has ended: %+v", u)
	}
}

// TestUsageIsThatOfPs: of a process with threads and memory, our own.
func TestUsageIsThatOfPs(t *testing.T) {
	u, ok := usageOf(os.Getpid())
	if !ok {
		t.Fatal("nothing is told of us")
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	if u.Threads < 2 || u.Threads > 2*len(tasks) || u.RSS < 1<<20 || u.CPU < 0 {
		t.Errorf("%+v; there are %d threads", u, len(tasks))
	}
}

func TestParseStat(t *testing.T) {
	const good = "7 (a) S 1) S 2 3 4 0 -1 4194560 1 2 3 4 11 22 0 0 20 0 5 0 999 1000 6 18446744073709551615 1 1"
	u, ok := parseUsage(good)
	if want := (Usage{RSS: 6 * int64(os.Getpagesize()), CPU: 330 * time.Millisecond, Threads: 5, State: 'S'}); !ok || u != want {
		t.Errorf("%+v, %v; want %+v", u, ok, want)
	}
	e, err := parseEntry(7, good)
	if want := (entry{pid: 7, parent: 2, group: 3, session: 4, start: 999}); err != nil || e != want {
		t.Errorf("%+v, %v; want %+v", e, err, want)
	}
	for _, bad := range []string{"", ")", "7 (a) S 1", strings.Replace(good, " 6 ", " x ", 1), strings.Replace(good, " 11 ", " -11 ", 1),
		strings.Replace(good, ") S 2", ") SS 2", 1)} {
		if u, ok := parseUsage(bad); ok {
			t.Errorf("%q: %+v", bad, u)
		}
	}
}

func BenchmarkUsage(b *testing.B) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	p := &Process{os: cmd.Process}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := p.Usage(); !ok {
			b.Fatal("nothing is told")
		}
	}
}
