package proc

import (
	"errors"
	"os"
	"syscall"
)

// start starts l and sets p.os. There is no handle to return.
func (p *Process) start(l *launch) (*os.File, error) {
	if len(l.files) > SocketFD {
		return nil, errNoSocketpair
	}
	var err error
	p.os, err = os.StartProcess(l.path, l.argv, &os.ProcAttr{
		Dir: l.dir, Env: l.env, Files: l.files,
		// A group of its own: Ctrl-C at the console does not reach it.
		Sys: &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP},
	})
	return nil, err
}

// reap waits for the end of the process.
func (p *Process) reap(*os.File) (Exit, error) {
	how, err := p.await()
	p.mu.Lock()
	p.reaped = true
	p.member.ends()
	p.mu.Unlock()
	return how, err
}

// killGroup does nothing: there are no process groups that could be killed.
func killGroup(int) error { return nil }

// readBuffered does nothing: there is no reading without waiting.
func (p *pump) readBuffered() {}

func exitOf(state *os.ProcessState) Exit { return Exit{Code: state.ExitCode()} }

var errNoSocketpair = errors.New("processes cannot inherit a socket on windows: " +
	"let them connect to a listener on 127.0.0.1, with ARBITER_ADDR and ARBITER_TOKEN")
