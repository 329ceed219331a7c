//go:build unix && !linux

package proc

import (
	"os"
	"sync"
	"syscall"
)

// closeInherited does once what Linux does at each start: what C code opens later is inherited.
var closeInherited = sync.OnceFunc(func() { closeOnExec(SocketFD) })

// start starts l and sets p.os. There is no handle to return.
func (p *Process) start(l *launch) (*os.File, error) {
	closeInherited()
	var err error
	p.os, err = os.StartProcess(l.path, l.argv, &os.ProcAttr{
		Dir: l.dir, Env: l.env, Files: l.files,
		Sys: &syscall.SysProcAttr{Setpgid: !l.session, Setsid: l.session},
	})
	return nil, err
}

// reap waits for the end of the process, ends what is left of its group, and reaps it.
// Where there is no waiting without reaping the rest of the group lives on: its id could be
// another's then. A Kill in the very moment between the two is not told apart; os.Process
// guards its own pid.
func (p *Process) reap(*os.File) (Exit, error) {
	if awaitEnd(p.os.Pid) == nil {
		_ = killGroup(p.os.Pid)
	}
	how, err := p.await()
	p.mu.Lock()
	p.reaped = true
	p.member.ends()
	p.mu.Unlock()
	return how, err
}
