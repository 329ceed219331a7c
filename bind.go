package arbiter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter/internal/proc"
)

// listenAt opens a listener. The socket in the file system that a killed arbiter has
// left is replaced; one at which somebody answers is not.
func listenAt(ctx context.Context, network, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, network, address)
	if network != "unix" || !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	unlock, failed := lockDir(filepath.Dir(address))
	if failed != nil {
		return nil, fmt.Errorf("%w (%w)", err, failed)
	}
	defer unlock()
	if failed := removeDeadSocket(address); failed != nil {
		return nil, fmt.Errorf("%w (%w)", err, failed)
	}
	return config.Listen(ctx, network, address)
}

// answerTime is how long whoever listens at a socket may take to show that it lives.
const answerTime = time.Second

// removeDeadSocket removes the socket at path if nobody listens there.
func removeDeadSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("it is no socket: remove it if nobody needs it")
	}
	c, err := net.DialTimeout("unix", path, answerTime)
	if err == nil {
		pid, _, known := proc.PeerCred(c)
		_ = c.Close()
		if known && pid != 0 {
			return fmt.Errorf("process %d listens there", pid)
		}
		return errors.New("somebody listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("whether somebody listens there cannot be told: %w", err)
	}
	return os.Remove(path)
}
