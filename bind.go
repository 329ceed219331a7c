package arbiter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
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

// bind opens the sockets that the workers inherit.
func (p *pool) bind(ctx context.Context) error {
	wanted := p.args.Bind
	p.args.Bind = nil // what is open
	for _, address := range wanted {
		network := "tcp"
		if name, rest, ok := strings.Cut(address, ":"); ok && (name == "unix" || name == "tcp") {
			network, address = name, rest
		}
		l, err := listenAt(ctx, network, address)
		if err != nil {
			p.closeFiles()
			return invalid("cannot listen at %q for the workers: %v", address, err)
		}
		f, err := l.(interface{ File() (*os.File, error) }).File()
		if u, ok := l.(*net.UnixListener); ok && err == nil {
			u.SetUnlinkOnClose(false) // the file's copy goes on
		}
		_ = l.Close()
		if err == nil {
			if err = block(f); err != nil {
				_ = f.Close()
			}
		}
		if err != nil {
			p.closeFiles()
			return invalid("cannot hand over the socket at %q: %v", address, err)
		}
		p.files = append(p.files, f)
		p.args.Bind = append(p.args.Bind, network+":"+l.Addr().String())
	}
	return nil
}

func (p *pool) closeFiles() {
	for _, f := range p.files {
		_ = f.Close()
	}
	for _, address := range p.args.Bind {
		if path, ok := strings.CutPrefix(address, "unix:"); ok {
			_ = os.Remove(path)
		}
	}
}
