package arbiter

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/arbiter-go/arbiter/internal/proc"
)

// Instance is a living arbiter of this user.
type Instance struct {
	Name    string `json:"name"`
	PID     int    `json:"pid"`
	Address string `json:"address"` // "unix:/path" of its control socket
}

const (
	controlSocket = "control.sock"
	controlLock   = "lock" // held with flock as long as the arbiter lives
	maxSocketPath = 103    // bytes of a socket's path that every unix takes
	maxControlDir = 40     // bytes of those that the directory may have
)

// ControlDir is where the control sockets of this user's arbiters are, and in words why:
// "as $XDG_RUNTIME_DIR says", or "since" that cannot be. Who is started with another
// $XDG_RUNTIME_DIR does not see them. It is not made before there is one.
func ControlDir() (dir, why string) {
	switch xdg := os.Getenv("XDG_RUNTIME_DIR"); {
	case xdg == "":
		why = "since $XDG_RUNTIME_DIR is not set"
	case !filepath.IsAbs(xdg):
		why = "since $XDG_RUNTIME_DIR is no absolute path"
	case len(filepath.Join(xdg, "arbiter")) > maxControlDir:
		why = "since $XDG_RUNTIME_DIR is too long for the paths of sockets"
	default:
		return filepath.Join(xdg, "arbiter"), "as $XDG_RUNTIME_DIR says"
	}
	dir = filepath.Join(os.TempDir(), fmt.Sprintf("arbiter-%d", os.Getuid()))
	if len(dir) > maxControlDir && os.PathSeparator == '/' {
		dir = fmt.Sprintf("/tmp/arbiter-%d", os.Getuid())
	}
	return dir, why
}

// Instances lists the user's living arbiters that have a control socket, in the
// order of their names. What dead ones left behind is removed.
func Instances() ([]Instance, error) {
	root, _ := ControlDir()
	if err := ourDir(root); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var list []Instance
	var dead []string
	for _, e := range entries {
		dot := strings.LastIndexByte(e.Name(), '.')
		if dot < 0 {
			continue
		}
		pid, err := strconv.Atoi(e.Name()[dot+1:])
		if err != nil {
			continue
		}
		dir := filepath.Join(root, e.Name())
		alive, err := livesIn(dir)
		switch {
		case err != nil:
			return nil, err
		case alive:
			list = append(list, Instance{Name: e.Name()[:dot], PID: pid, Address: "unix:" + filepath.Join(dir, controlSocket)})
		default:
			dead = append(dead, dir)
		}
	}
	removeDead(root, dead)
	slices.SortFunc(list, func(a, b Instance) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.PID, b.PID)) })
	return list, nil
}

// removeDead removes what dead arbiters have left in root, unless somebody has taken its place:
// in a container every arbiter has the same pid.
func removeDead(root string, dead []string) {
	if len(dead) == 0 {
		return
	}
	unlock, err := lockDir(root)
	if err != nil {
		return // it is tried again by the next one
	}
	defer unlock()
	for _, dir := range dead {
		if alive, err := livesIn(dir); err == nil && !alive {
			_ = os.RemoveAll(dir)
		}
	}
}

// livesIn reports whether the arbiter whose directory dir is lives. Who tidies up temporary folders
// may have taken its lock: then it is asked.
func livesIn(dir string) (bool, error) {
	alive, err := held(filepath.Join(dir, controlLock))
	if err != nil || alive {
		return alive, err
	}
	return answers(filepath.Join(dir, controlSocket)), nil
}

// answers reports whether somebody listens at the socket at path, or may.
func answers(path string) bool {
	c, err := net.DialTimeout("unix", path, answerTime)
	if err == nil {
		_ = c.Close()
	}
	return err == nil || !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist)
}

// openControl opens the control socket of the arbiter called name. release removes
// it again.
func openControl(name string) (l net.Listener, at Instance, release func(), err error) {
	root, why := ControlDir()
	if err := privateDir(root); err != nil {
		return nil, at, nil, fmt.Errorf("%w (its folder is %s, %s)", err, root, why)
	}
	if _, err := Instances(); err != nil { // removes what the dead left
		return nil, at, nil, err
	}
	// Made under another name, so that nobody takes it for what a dead one left
	// before its lock is held.
	made, err := os.MkdirTemp(root, ".new-")
	if err != nil {
		return nil, at, nil, err
	}
	unlock, err := hold(filepath.Join(made, controlLock))
	if err != nil {
		_ = os.RemoveAll(made)
		return nil, at, nil, err
	}
	done, err := lockDir(root) // nobody who removes what the dead left takes it for that
	if err != nil {
		_ = os.RemoveAll(made)
		unlock()
		return nil, at, nil, err
	}
	defer done()
	dir := filepath.Join(root, fmt.Sprintf("%s.%d", name, os.Getpid()))
	for n := 2; os.Rename(made, dir) != nil; n++ { // one process may have several arbiters
		if n > 1000 {
			_ = os.RemoveAll(made)
			unlock()
			return nil, at, nil, fmt.Errorf("%s: there are too many arbiters of this name in one process", dir)
		}
		dir = filepath.Join(root, fmt.Sprintf("%s-%d.%d", name, n, os.Getpid()))
	}
	release = func() {
		_ = os.RemoveAll(dir)
		unlock()
	}
	path := filepath.Join(dir, controlSocket)
	if len(path) > maxSocketPath {
		release()
		return nil, at, nil, fmt.Errorf("the path %q is too long for a socket: give the arbiter a shorter name", path)
	}
	l, err = net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		release()
		return nil, at, nil, err
	}
	return l, Instance{Name: name, PID: os.Getpid(), Address: "unix:" + path}, release, nil
}

// privateDir makes sure that dir is a directory of ours that nobody else may look
// into.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := ourDir(dir); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}

// ourDir returns why dir is not to be trusted: others may have made it, in a directory such as
// /tmp, to have us talk to an arbiter of theirs, or remove what it leads to.
func ourDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory but %s: remove it", dir, info.Mode().Type())
	}
	if owner, ok := ownerOf(info); ok && owner != os.Getuid() {
		return fmt.Errorf("%s belongs to user %d, not to you: remove it, or set XDG_RUNTIME_DIR", dir, owner)
	}
	return nil
}

// sameUser returns the process at the other end of c, if it is this user's or
// root's.
func sameUser(c net.Conn) (pid int, err error) {
	pid, uid, ok := proc.PeerCred(c)
	switch {
	case !ok && proc.TellsPeers:
		return 0, fmt.Errorf("the system does not say whose process is at the other end of the control socket")
	case !ok: // it never does here; but nobody else gets through the folder of the socket: see privateDir
		return 0, nil
	case uid != os.Getuid() && uid != 0:
		return 0, fmt.Errorf("the control socket is for user %d, and you are user %d", os.Getuid(), uid)
	}
	return pid, nil
}
