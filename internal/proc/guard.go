package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The guard is this program, started again, that does nothing until the process
// which started it has ended, and then ends what that has left. It learns of the
// end by the end of file of its socket, or by the pidfd of its parent, whichever is
// first. It has a session of its own and ignores the signals that end others.
//
//	we                                    the guard
//	  charge (JSON), newline        →
//	                                ←     "r"            it watches
//	  "+ pid start", newline        →                    a process of ours
//	  "- pid", newline              →                    it has ended
//	  "bye", newline                →                    exit, and touch nothing
//	  end of file                   →                    end everything, then exit
//
// What it is told of processes is not all it goes by, see hunt: so nobody waits
// until it has been told. A nil guard is that of a family without.
type guard struct {
	family *Family
	wake   chan struct{} // there are changes
	stop   chan struct{} // closed by close
	done   chan struct{} // closed by keep
	ready  chan struct{} // closed by keep once the first guard watches, or could not

	mu      sync.Mutex // guards what follows
	roots   map[int]uint64
	changed map[int]bool // pids of which the guard has not been told the latest
	process *Process     // the guard; nil: there is none now
}

// charge is what a guard is told first.
type charge struct {
	Parent   int
	Instance string
	Dirs     []string
}

const (
	guardStart = 10 * time.Second // for a guard to watch
	guardWrite = 5 * time.Second  // for it to take what it is told
	guardEnd   = 2 * time.Second  // for it to go when it may

	guardFirstPause = 10 * time.Millisecond // before another is started
	guardLastPause  = time.Minute
)

// newGuard starts the guard of f and returns when it watches, or cannot for now.
func newGuard(f *Family) *guard {
	g := &guard{
		family: f, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}), ready: make(chan struct{}),
		roots: make(map[int]uint64), changed: make(map[int]bool),
	}
	go g.keep()
	<-g.ready
	return g
}

// keep sees to it that there is a guard: when one ends, or hangs, it starts another.
func (g *guard) keep() {
	defer close(g.done)
	pause := guardFirstPause
	ready := sync.OnceFunc(func() { close(g.ready) })
	for {
		began := time.Now()
		err := g.serve(ready)
		ready()
		if err == nil {
			return
		}
		g.family.lack("the guard is started again: " + err.Error())
		if time.Since(began) > guardLastPause {
			pause = guardFirstPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-g.stop:
			timer.Stop()
			return
		}
		pause = min(2*pause, guardLastPause)
	}
}

// serve starts a guard and tells it what changes, until it has ended, which is an
// error, or may go. It calls ready when the guard watches.
func (g *guard) serve(ready func()) error {
	ours, theirs, err := Socketpair()
	if err != nil {
		return err
	}
	defer ours.Close() // when the guard has ended, or it would take this for our end
	p, err := g.start(theirs)
	theirs.Close()
	if err != nil {
		return err
	}
	defer func() {
		_ = p.Kill()
		<-p.Done()
		g.mu.Lock()
		g.process = nil
		g.mu.Unlock()
	}()
	if err := g.brief(ours); err != nil {
		return err
	}
	ready()
	for {
		select {
		case <-p.Exited():
			return errors.New("it has " + exitText(p.Exit()))
		case <-g.wake:
			if err := tell(ours, g.changes()); err != nil {
				return err
			}
		case <-g.stop:
			if tell(ours, "bye\n") == nil {
				timer := time.NewTimer(guardEnd)
				defer timer.Stop()
				select {
				case <-p.Exited():
				case <-timer.C:
				}
			}
			return nil
		}
	}
}

func exitText(e Exit) string {
	if e.Signal != "" {
		return "ended by the signal " + strconv.Quote(e.Signal)
	}
	return fmt.Sprintf("exited with %d", e.Code)
}

// start starts a guard process at the other end of theirs.
func (g *guard) start(theirs *os.File) (*Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	p := newProcess(-1)
	handle, err := p.start(&launch{
		path: g.family.self.exe, argv: []string{"arbiter-guard", strconv.Itoa(os.Getpid())},
		env:   setEnv(os.Environ(), envHelper, helperGuard+":"+strconv.Itoa(SocketFD)),
		files: []*os.File{null, null, null, theirs}, session: true,
	})
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	g.process = p
	g.mu.Unlock()
	go p.watch(handle, nil)
	return p, nil
}

// brief tells a new guard all it has to know, and waits until it watches.
func (g *guard) brief(conn net.Conn) error {
	text, err := json.Marshal(charge{Parent: os.Getpid(), Instance: g.family.id, Dirs: g.family.cgroups.dirs()})
	if err != nil {
		return err
	}
	g.mu.Lock()
	for pid := range g.roots {
		g.changed[pid] = true
	}
	g.mu.Unlock()
	if err := tell(conn, string(text)+"\n"+g.changes()); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(guardStart)); err != nil {
		return err
	}
	if _, err = conn.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("it does not watch: %w", err)
	}
	return nil
}

func tell(conn net.Conn, text string) error {
	if err := conn.SetWriteDeadline(time.Now().Add(guardWrite)); err != nil {
		return err
	}
	_, err := conn.Write([]byte(text))
	return err
}

// changes returns what the guard has to be told, which it is considered to be.
func (g *guard) changes() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var b strings.Builder
	for pid := range g.changed {
		if start, lives := g.roots[pid]; lives {
			fmt.Fprintf(&b, "+ %d %d\n", pid, start)
		} else {
			fmt.Fprintf(&b, "- %d\n", pid)
		}
	}
	clear(g.changed)
	return b.String()
}

// add has the guard told of a process of ours that has not been reaped.
func (g *guard) add(pid int) {
	if g == nil {
		return
	}
	start, err := startOf(pid)
	if err != nil {
		start = 0 // its group alone is known, then
	}
	g.change(pid, func() { g.roots[pid] = start })
}

// drop has the guard told that a process is about to be reaped.
func (g *guard) drop(pid int) {
	if g == nil {
		return
	}
	g.change(pid, func() { delete(g.roots, pid) })
}

func (g *guard) change(pid int, do func()) {
	g.mu.Lock()
	do()
	g.changed[pid] = true
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// pid returns the guard's, or 0.
func (g *guard) pid() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process == nil {
		return 0
	}
	return g.process.PID()
}

// close lets the guard go and waits for its end.
func (g *guard) close() {
	if g == nil {
		return
	}
	close(g.stop)
	<-g.done
}
