package arbiter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holdPIDFile writes the process id to the file of the options, until the arbiter
// has stopped.
func (a *Arbiter) holdPIDFile() error {
	path := a.options.PIDFile
	if path == "" {
		return nil
	}
	if err := takePIDFile(path); err != nil {
		return fmt.Errorf("the pid file %s cannot be had: %w", path, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closers = append(a.closers, func() {
		if pid, err := readPIDFile(path); err == nil && pid == os.Getpid() {
			_ = os.Remove(path)
		}
	})
	return nil
}

// takePIDFile makes the file, in place of one whose process has ended.
func takePIDFile(path string) error {
	unlock, err := lockDir(filepath.Dir(path))
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return fmt.Errorf("nothing can be made in %s: %w", filepath.Dir(path), e.Err)
	}
	if err != nil {
		return err
	}
	defer unlock()
	for range 3 {
		// Made whole before it has its name, so that nobody reads half of it.
		made, err := os.CreateTemp(filepath.Dir(path), ".pid-*")
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			return fmt.Errorf("nothing can be made in %s: %w", filepath.Dir(path), e.Err)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(made, "%d\n", os.Getpid())
		if e := made.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = os.Chmod(made.Name(), 0o644)
		}
		if err == nil {
			err = os.Link(made.Name(), path) // fails if it exists
		}
		_ = os.Remove(made.Name())
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
		pid, err := readPIDFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return fmt.Errorf("it exists and is no pid file (%w): remove it if nobody needs it", err)
		case pid != os.Getpid() && processLives(pid):
			return fmt.Errorf("process %d, which lives, has it: stop that, or choose another file", pid)
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.New("others keep writing it")
}

func readPIDFile(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	text := strings.TrimSpace(string(b[:min(len(b), 32)]))
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("it says %q", text)
	}
	return pid, nil
}
