//go:build unix && !linux

package proc

import (
	"os"
	"syscall"
)

// start starts l and sets p.os. There is no handle to return.
func (p *Process) start(l *launch) (*os.File, error) {
	var err error
	p.os, err = os.StartProcess(l.path, l.argv, &os.ProcAttr{
		Dir: l.dir, Env: l.env, Files: l.files,
		Sys: &syscall.SysProcAttr{Setpgid: !l.session, Setsid: l.session},
	})
	return nil, err
}

// reap waits for the end of the process and reaps it. The rest of its group lives
// on: once the process is reaped, its group's id could be another's. A Kill in the
// very moment between the two is not told apart; os.Process guards its own pid.
func (p *Process) reap(*os.File) (Exit, error) {
	how, err := p.await()
	p.mu.Lock()
	p.reaped = true
	p.member.ends()
	p.mu.Unlock()
	return how, err
}
