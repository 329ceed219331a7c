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

// SocketFD is the descriptor of Spec.Socket in a process without Spec.Listen.
const SocketFD = 3

// Spec describes a process to start.
type Spec struct {
	Path  string   // the program; without a separator it is looked up in PATH, if relative it is so to Dir
	Args  []string // its arguments, without argv[0]
	Argv0 string   // argv[0]; default: Path
	Env   []string // "KEY=value", of each name the last one counts; nil: our own environment
	Dir   string   // where it runs; default: where we do

	// Socket becomes descriptor 3 of the process, or the first after those of
	// Listen: see SocketAt. It is closed here. It must be in
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

	// What follows is for Family.Start; Start refuses it.

	// Listen become descriptors 3, 4 and so on, in the mode they are in, with
	// LISTEN_FDS and LISTEN_PID set as sd_listen_fds(3) wants them. They are not
	// closed here: they are for the next process, too.
	Listen []*os.File

	Rlimits []Rlimit // set before the program runs; the others are ours
	User    *User    // who it runs as; nil: who we are
	Umask   *int     // nil: ours
	Nice    int      // added to our niceness: see setpriority(2)

	// Memory and Processes bound the process and all its descendants together, by
	// its cgroup: bytes of memory (with swap), and how many there may be at once,
	// threads counted. Less than 1 MiB is 1 MiB. 0: no bound of its own. Where no such cgroup can be made
	// they are not enforced, and Family.Weak says so.
	Memory    int64
	Processes int
}

// SocketAt is the descriptor of Socket in the process.
func (s *Spec) SocketAt() int { return SocketFD + len(s.Listen) }

// Unlimited is no bound at all, in an Rlimit.
const Unlimited = ^uint64(0)

// Rlimit is a bound of setrlimit(2): a process has its own, its descendants
// inherit it.
type Rlimit struct {
	// Name is "as" (bytes), "core" (bytes), "cpu" (seconds), "data" (bytes), "fsize"
	// (bytes), "memlock" (bytes), "nofile", "nproc" (of the user), or "stack"
	// (bytes); "as", "memlock" and "nproc" not on every system.
	Name string
	// Soft is in force, Hard is how far the program itself may raise it: at least
	// Soft. To raise our own hard bound takes privilege.
	Soft, Hard uint64
}

// User is who a process runs as. To set it takes privilege.
type User struct {
	UID, GID int
	Groups   []int // the only supplementary ones it is in
}

// prepared reports whether s needs a helper between the start of the process and
// that of its program.
func (s *Spec) prepared() bool {
	return len(s.Listen) > 0 || len(s.Rlimits) > 0 || s.User != nil || s.Umask != nil || s.Nice != 0
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

// stepError says what could not be done for the program before it runs.
type stepError struct {
	step  string
	cause syscall.Errno
}

func (e *stepError) Error() string { return e.step + ": " + e.cause.Error() }
func (e *stepError) Unwrap() error { return e.cause }

func (s *Spec) advice(path string, err error) string {
	if e := (*stepError)(nil); errors.As(err, &e) {
		if errors.Is(err, fs.ErrPermission) {
			return "that takes a privilege this process does not have"
		}
		return ""
	}
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
