package proc

import (
	"errors"
	"os"
)

func (p *Process) startPrepared(*Self, *Spec, *launch, []string) (*os.File, error) {
	return nil, errors.New("limits, another user, a umask and listening sockets cannot be given to a process on windows")
}
