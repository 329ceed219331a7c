//go:build unix && !linux

package proc

import (
	"os"
	"syscall"
)

// start starts path and sets p.os. There is no handle to return.
func (p *Process) start(path string, s *Spec, child []*os.File) (*os.File, error) {
	var err error
	p.os, err = os.StartProcess(path, s.argv(), &os.ProcAttr{
		Dir: s.Dir, Env: s.Env, Files: child,
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	return nil, err
}

// reap waits for the end of the process and reaps it. The rest of its group lives
// on: once the process is reaped, its group's id could be another's. A Kill in the
// very moment between the two is not told apart; os.Process guards its own pid.
func (p *Process) reap(*os.File) (*os.ProcessState, error) {
	state, err := p.os.Wait()
	p.mu.Lock()
	p.reaped = true
	p.mu.Unlock()
	return state, err
}
