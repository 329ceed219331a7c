// Package proc starts, watches and ends operating-system processes, and sees to it
// that nothing of them stays behind.
//
// A process gets /dev/null as standard input, pipes that are always read as its
// output, and a socket as descriptor 3. Nothing else of ours is open in it, but
// what Spec.Listen names. It leads a process group of its own, so that Ctrl-C at
// the terminal does not reach it and Kill reaches its children; where the system
// allows it (Linux), what is left of the group ends with the process.
//
// Nothing the process does with its output can block it, or us, or be lost on us:
// a line without end, binary noise, a pipe it closed or one that a grandchild
// still holds after its end. A Log keeps it in files that do not grow for ever.
//
// A Process holds goroutines and descriptors until it has ended: who starts one
// ends it, if need be with Kill, and waits for Done.
//
// Start starts one process and no more. Family.Start adds what takes more than one
// to keep: a cgroup for each where one can be made, bounds that hold before the
// first instruction of the program, and a guard, which ends all processes of the
// family and their descendants if this process is killed. A program that has a
// Family calls Hook first thing in main: the helpers are that program, started
// again.
package proc

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// grace is how long we read on, after the end of a process, from pipes that
// somebody else still holds open.
const grace = 100 * time.Millisecond

// Process is a process that was started. All methods may be called concurrently.
type Process struct {
	os     *os.Process
	member *member // what its Family knows of it; nil: it has none
	tail   *tail
	exited chan struct{} // closed by watch when the process has ended
	done   chan struct{} // closed by watch when its output has been read, too

	wait func() (*os.ProcessState, error) // of a test, in place of os.Wait; or nil

	mu     sync.Mutex
	reaped bool      // it is being, or was, reaped: its pid and its group's may be another's
	killed bool      // by Kill
	asked  os.Signal // by Stop; nil: it was not
	exit   Exit      // without the tail
}

// Start starts the process that s describes. It returns when the program is
// running, or with an error that says what was to be started, why it was not, and
// what can be done; errors.Is finds fs.ErrNotExist, fs.ErrPermission and the
// system's own error numbers in it. Whatever the outcome, s.Socket is closed here.
func Start(s Spec) (*Process, error) {
	if s.Socket != nil {
		defer s.Socket.Close()
	}
	if s.prepared() || s.Memory != 0 || s.Processes != 0 {
		return nil, fmt.Errorf("cannot start %q: limits, another user and listening sockets take a Family", s.Path)
	}
	return startAs(&s, nil)
}

// startAs starts s as a member of its family, or of none. It does not close s.Socket.
func startAs(s *Spec, m *member) (*Process, error) {
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	p := newProcess(s.Tail)
	p.member = m
	files, err := openFiles(s, p.tail)
	if err != nil {
		return nil, s.explain(path, err)
	}
	handle, err := m.start(p, s, &launch{path: path, argv: s.argv(), env: lastOfEach(s.Env), dir: s.Dir, files: files.child})
	files.closeChild()
	if err != nil {
		files.closeOurs()
		return nil, s.explain(path, err)
	}
	go p.watch(handle, files.pumps)
	return p, nil
}

func newProcess(tail int) *Process {
	return &Process{
		tail:   newTail(tail),
		exited: make(chan struct{}),
		done:   make(chan struct{}),
		exit:   Exit{Code: -1},
	}
}

// watch waits for the end of the process and of its output.
func (p *Process) watch(handle *os.File, pumps []*pump) {
	var output sync.WaitGroup
	for _, pump := range pumps {
		output.Go(pump.run)
	}
	how, err := p.reap(handle)
	if err == nil {
		p.mu.Lock()
		p.exit = how
		p.member.explain(&p.exit, p.killed)
		p.mu.Unlock()
	}
	close(p.exited)
	for _, pump := range pumps {
		pump.endWithin(grace)
	}
	output.Wait()
	p.member.leave()
	close(p.done)
}

// await waits until the process was reaped, and returns how it ended.
func (p *Process) await() (Exit, error) {
	wait := p.os.Wait
	if p.wait != nil {
		wait = p.wait
	}
	state, err := wait()
	if err != nil {
		return Exit{}, err
	}
	return exitOf(state), nil
}

// PID returns the process's id. After Exited it may be another's.
func (p *Process) PID() int { return p.os.Pid }

// Exited is closed as soon as the process has ended and was reaped, or 50 ms after its end
// where the kernel takes its time to reap it (Linux): see Stop for when that may take longer.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Done is closed when Exited is and its output has been read and
// handed over. A grandchild that keeps a pipe open delays this by 100 ms, and
// finds its pipe closed from then on; Spec.Stdout and Spec.Stderr delay it for as
// long as they take.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how the process ended. It is valid once Exited is closed, its Tail is
// complete once Done is; before, its Code is -1.
func (p *Process) Exit() Exit {
	p.mu.Lock()
	exit := p.exit
	p.mu.Unlock()
	exit.Tail = p.Tail()
	return exit
}

// Tail returns the last lines the process has written to its standard error so
// far, oldest first: see Spec.Tail.
func (p *Process) Tail() []string { return p.tail.lines() }

// Signal sends s to the process, not to its group. It goes through a handle, so
// that it cannot reach a process that got the same pid later. It returns
// os.ErrProcessDone if the process has been reaped.
func (p *Process) Signal(s os.Signal) error { return p.os.Signal(s) }

// Stop is Signal for who asks the process to end, and then waits for Exited for as long as
// it likes, and calls Kill. If the process ends and others of its group go on, they are
// sent s, too (Linux), and it has not exited before they have, or Kill was called: a shell
// that was started to start a server ends by a signal, and does not pass it on.
func (p *Process) Stop(s os.Signal) error {
	p.mu.Lock()
	p.asked = s // first: it may end at once
	p.mu.Unlock()
	err := p.Signal(s)
	if errors.Is(err, errors.ErrUnsupported) {
		return p.Kill() // Windows knows no signal to ask with
	}
	return err
}

// Kill ends the process and its process group at once (SIGKILL), and with a cgroup
// of its own every descendant. It does not wait for that: Exited does. If the
// process has been reaped it does nothing, and returns nil.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return nil
	}
	p.killed = true
	err := errors.Join(p.member.kill(), killGroup(p.os.Pid))
	if e := p.os.Kill(); e != nil && !errors.Is(e, os.ErrProcessDone) {
		return errors.Join(err, e)
	}
	return err
}

// Exit says how a process ended.
type Exit struct {
	Code       int      // its exit code; -1 if a signal ended it, or if somebody else waited for it and nobody knows
	Signal     string   // the signal that ended it, as package syscall names it ("killed"), or ""
	CoreDumped bool     // whether the system wrote its memory to a file
	Tail       []string // the last lines of its standard error: see Spec.Tail

	// OutOfMemory says that the system killed it for want of memory, within its
	// cgroup's bound or ours. It is told by the cgroup: without one it is false, and
	// the Signal "killed". Which of its processes that was the cgroup does not tell: what
	// kills this one ten seconds after another ended so is not taken for that.
	// OOMKills is how many processes of its cgroup, itself among them, ended so in its
	// time.
	OutOfMemory bool
	OOMKills    int
}
