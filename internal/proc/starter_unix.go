//go:build unix

package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The starter is this program, started again, which bounds itself and then becomes
// the program that was asked for. So the bounds hold before the program's first
// instruction, and nothing else in this process is touched by them. The other ways
// leave a gap or do not do it all: prlimit(2) comes after the program began, and may
// have forked; a stop by ptrace takes a privilege and does not set a umask; between
// fork and exec Go lets nobody in. It costs some milliseconds, most of which the
// runtime of this program takes to begin: so it is only for who needs it.
//
//	we                                   the starter
//	  order, end of file          →
//	                              ←      "x"             all is set, now exec
//	                              ←      end of file     it is the program
//	                              ←      refusal         it could not be

// order is what a starter is told. Strings are bytes here: they may be no UTF-8.
type order struct {
	Path, Dir []byte
	Argv, Env [][]byte
	Files     int      // how many descriptors, from 0, the program has
	Join      []string // the files of cgroups by which to enter them: cgroup.procs, or tasks of version 1
	Rlimits   []Rlimit
	User      *User
	Umask     *int
	Nice      int
	Listen    int
}

// refusal is why a starter could not become the program.
type refusal struct {
	Step  string // before the program's own start; "": that
	Errno int
}

// orderTime is how long a starter may take: it ends a wait that never would.
const orderTime = 30 * time.Second

// startPrepared starts l by way of a starter.
func (p *Process) startPrepared(self *Self, s *Spec, l *launch, join []string) (*os.File, error) {
	if err := checkRlimits(s.Rlimits); err != nil {
		return nil, err
	}
	text, err := json.Marshal(order{
		Path: []byte(l.path), Dir: []byte(l.dir), Argv: toBytes(l.argv), Env: toBytes(l.env), Files: len(l.files), Join: append(l.tasks[:len(l.tasks):len(l.tasks)], join...),
		Rlimits: s.Rlimits, User: s.User, Umask: s.Umask, Nice: s.Nice, Listen: len(s.Listen),
	})
	if err != nil {
		return nil, err
	}
	ours, theirs, err := Socketpair()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	starter := *l
	starter.path, starter.dir, starter.argv = self.exe, "", l.argv[:1]
	starter.tasks = nil // it enters them last: what it takes itself is not the program's
	starter.files = append(l.files[:len(l.files):len(l.files)], theirs)
	starter.env = setEnv(os.Environ(), envHelper, helperStarter+":"+strconv.Itoa(len(l.files)))
	if marker := getEnv(l.env, EnvInstance); marker != "" {
		starter.env = setEnv(starter.env, EnvInstance, marker) // it may be an orphan, too
	}
	handle, err := p.start(&starter)
	theirs.Close()
	if err != nil {
		return nil, err
	}
	if err := prepare(ours, text); err != nil {
		_ = p.os.Kill()
		if how, failed := p.reap(handle); errors.Is(err, errNoAnswer) && failed == nil {
			err = fmt.Errorf("%w: it %s", err, exitText(how))
		}
		return nil, err
	}
	return handle, nil
}

var errNoAnswer = errors.New("what prepares it has ended first (are its bounds too small?)")

// prepare sends a starter its order and waits until it has become the program.
func prepare(conn net.Conn, order []byte) error {
	if err := conn.SetDeadline(time.Now().Add(orderTime)); err != nil {
		return err
	}
	_, err := conn.Write(order)
	if err == nil {
		err = conn.(*net.UnixConn).CloseWrite()
	}
	// If it has ended by then, what it said, if anything, says why.
	if err != nil && !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.ENOTCONN) {
		return err
	}
	answer, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, unix.ECONNRESET) {
		return err
	}
	if len(answer) == 0 {
		return errNoAnswer
	}
	if answer[0] == 'x' {
		answer = answer[1:]
	}
	if len(answer) == 0 {
		return nil
	}
	var no refusal
	if err := json.Unmarshal(answer, &no); err != nil {
		return err
	}
	if no.Step == "" {
		return syscall.Errno(no.Errno) // Spec.explain knows more
	}
	return &stepError{no.Step, syscall.Errno(no.Errno)}
}

// runStarter is the starter. It returns an exit code only if it fails.
func runStarter(conn *os.File) int {
	runtime.LockOSThread() // the niceness is the thread's on Linux, and so are cgroups of version 1
	text, err := io.ReadAll(conn)
	var o order
	if err != nil || json.Unmarshal(text, &o) != nil {
		return exitNoHelper // who ordered has ended
	}
	step, err := o.carryOut(conn)
	no := refusal{Step: step, Errno: int(syscall.EINVAL)}
	if e := syscall.Errno(0); errors.As(err, &e) {
		no.Errno = int(e)
	}
	if text, err = json.Marshal(no); err == nil {
		_, _ = conn.Write(text)
	}
	return exitNoHelper
}

// carryOut makes this process what o says. It returns only if that fails, with the
// step at which it did.
func (o *order) carryOut(conn *os.File) (step string, err error) {
	// The bounds are the program's, not ours: all that takes memory comes before.
	debug.SetGCPercent(-1)
	argv, env := toStrings(o.Argv), toStrings(o.Env)
	path, dir := string(o.Path), string(o.Dir)
	if o.Listen > 0 {
		env = setEnv(setEnv(env, "LISTEN_FDS", strconv.Itoa(o.Listen)), "LISTEN_PID", strconv.Itoa(os.Getpid()))
	}
	closeOnExec(o.Files)

	// What takes privilege first.
	for _, file := range o.Join {
		// This process, or this thread: after exec there is no other.
		if err := setFile(file, "0"); err != nil {
			return "enter its cgroup " + file, err
		}
	}
	if o.Nice != 0 {
		if err := addNice(o.Nice); err != nil {
			return fmt.Sprintf("change its niceness by %+d", o.Nice), err
		}
	}
	if o.Umask != nil {
		syscall.Umask(*o.Umask)
	}
	for _, l := range o.Rlimits {
		if err := l.set(); err != nil {
			return fmt.Sprintf("set its limit %s to %d, %d", l.Name, l.Soft, max(l.Soft, l.Hard)), err
		}
	}
	if u := o.User; u != nil {
		if err := syscall.Setgroups(u.Groups); err != nil {
			return "set its groups", err
		}
		if err := syscall.Setgid(u.GID); err != nil {
			return fmt.Sprintf("set its group to %d", u.GID), err
		}
		if err := syscall.Setuid(u.UID); err != nil {
			return fmt.Sprintf("set its user to %d", u.UID), err
		}
	}
	// With the rights of that user.
	if dir != "" {
		if err := syscall.Chdir(dir); err != nil {
			return "", err
		}
	}
	if _, err := conn.Write([]byte{'x'}); err != nil {
		return "", err // who ordered has ended
	}
	return "", syscall.Exec(path, argv, env)
}

func toBytes(in []string) [][]byte {
	out := make([][]byte, len(in))
	for i, s := range in {
		out[i] = []byte(s)
	}
	return out
}

func toStrings(in [][]byte) []string {
	out := make([]string, len(in))
	for i, b := range in {
		out[i] = string(b)
	}
	return out
}
