package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// SocketFD is the descriptor of Spec.Socket in the process.
const SocketFD = 3

// Spec describes a process to start.
type Spec struct {
	Path  string   // the program; without a separator it is looked up in PATH, if relative it is so to Dir
	Args  []string // its arguments, without argv[0]
	Argv0 string   // argv[0]; default: Path
	Env   []string // "KEY=value"; nil: our own environment
	Dir   string   // where it runs; default: where we do

	// Socket becomes descriptor 3 of the process, and is closed here. It must be in
	// blocking mode, as the one from Socketpair is, or the process must expect
	// otherwise. Not on Windows.
	Socket *os.File

	// Stdout and Stderr are given the output line by line, without the newline: at
	// most MaxLine bytes, of any value, to be kept only as a copy. A longer line
	// comes in pieces, of which all but the first begin with Continued. Each of the
	// two is called from a goroutine of its own, one call at a time. While one does
	// not return, nothing is read, and the process waits as soon as the system's
	// pipe is full. nil: discarded.
	Stdout, Stderr func(line []byte)

	// Tail is how many of the last lines of standard error are kept for Exit and
	// Process.Tail, as UTF-8 of at most 1 KiB each: the beginning of the line.
	// Blank lines do not count. Default 20; negative: none.
	Tail int
}

// path returns the program to run.
func (s *Spec) path() (string, error) {
	if s.Path == "" {
		return "", errors.New("cannot start a process: no program is given")
	}
	if filepath.Base(s.Path) != s.Path {
		return s.Path, nil
	}
	path, err := exec.LookPath(s.Path)
	if err != nil {
		cause := err
		if e := (*exec.Error)(nil); errors.As(err, &e) {
			cause = e.Err
		}
		return "", fmt.Errorf("cannot start %q: %w (give its full path, or ./%s for one in the working directory)",
			s.Path, cause, s.Path)
	}
	return path, nil
}

func (s *Spec) argv() []string {
	argv0 := s.Argv0
	if argv0 == "" {
		argv0 = s.Path
	}
	return append([]string{argv0}, s.Args...)
}

// explain says why path could not be started, and what to do. The system's own
// words do not: it says "no such file" of a missing directory and of a missing
// interpreter, too.
func (s *Spec) explain(path string, err error) error {
	cause := err
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		cause = e.Err
	}
	if advice := s.advice(path, err); advice != "" {
		return fmt.Errorf("cannot start %q: %w (%s)", s.Path, cause, advice)
	}
	return fmt.Errorf("cannot start %q: %w", s.Path, cause)
}

func (s *Spec) advice(path string, err error) string {
	if s.Dir != "" {
		if info, e := os.Stat(s.Dir); e != nil {
			return fmt.Sprintf("the directory it should run in, %q, cannot be used", s.Dir)
		} else if !info.IsDir() {
			return fmt.Sprintf("%q, where it should run, is not a directory", s.Dir)
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.Dir, path)
		}
	}
	info, statErr := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && statErr != nil:
		return fmt.Sprintf("there is no file %q: check the path", path)
	case errors.Is(err, fs.ErrNotExist):
		return "the file is there, but not what should run it: check the interpreter in its first line, or its dynamic loader"
	case errors.Is(err, fs.ErrPermission) && statErr == nil && info.IsDir():
		return "it is a directory"
	case errors.Is(err, fs.ErrPermission) && statErr == nil && info.Mode()&0o111 == 0:
		return fmt.Sprintf("it is not executable: chmod +x %q", path)
	case errors.Is(err, fs.ErrPermission):
		return "check the permissions of the file and of the directories above it, and that its file system is not mounted noexec"
	case errors.Is(err, syscall.ENOEXEC):
		return "it is no program for this machine; a script needs #! and its interpreter in the first line"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "raise the limit of open files: ulimit -n, LimitNOFILE"
	case errors.Is(err, syscall.EAGAIN):
		return "raise the limit of processes: ulimit -u, TasksMax, pids.max"
	case errors.Is(err, syscall.E2BIG):
		return "its arguments and environment are too large"
	case errors.Is(err, syscall.ETXTBSY):
		return "somebody is still writing the file"
	case errors.Is(err, syscall.EINVAL) && strings.Contains(path+s.Dir+strings.Join(s.argv(), "")+strings.Join(s.Env, ""), "\x00"):
		return "its path, arguments or environment contain a zero byte"
	}
	return ""
}
