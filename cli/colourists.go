package cli

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/sdk/python"
	"github.com/arbiter-go/arbiter/supervise"
)

// colourists are who gives the tiles their colours: programs in Python, once it is
// prepared; until then goroutines.
type colourists struct {
	python  string // the interpreter
	version string // its own
	dir     string // where the program is, private to this run; "": in goroutines
}

// coloursAt is how many there are. They are enough for many renderers: to colour
// takes little.
const coloursAt = 2

//go:embed colourist.py
var colouristSource string

// prepare finds Python and writes down what it is to run. The error says why it is
// goroutines all the same.
func (c *colourists) prepare(ctx context.Context) (err error) {
	if c.python, c.version, err = findPython(ctx); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "arbiter-demo-")
	if err != nil {
		return fmt.Errorf("its program cannot be written: %w", err)
	}
	for name, text := range map[string]string{"arbiter.py": python.Source(), "colourist.py": colouristSource} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			_ = os.RemoveAll(dir)
			return fmt.Errorf("its program cannot be written: %w", err)
		}
	}
	c.dir = dir
	return nil
}

// remove removes what was written, when nobody runs it any more.
func (c *colourists) remove() error {
	if c.dir == "" {
		return nil
	}
	return os.RemoveAll(c.dir)
}

// processes reports whether they are processes, which can be attacked from outside.
func (c *colourists) processes() bool { return c.dir != "" }

// String says where they run: "Python 3.11.7" or "goroutines".
func (c *colourists) String() string {
	if c.processes() {
		return "Python " + c.version
	}
	return "goroutines"
}

// pool says what pool they are, of workers that are restarted by a policy. The kind
// is nil if they are programs.
func (c *colourists) pool(policy *supervise.Policy) (actor.Behaviour, actor.PoolArgs) {
	args := actor.PoolArgs{Name: colourPool, Workers: coloursAt, Worker: actor.SpawnArgs{Restart: policy}}
	if !c.processes() {
		return colourist, args
	}
	w := &args.Worker
	w.Kind, w.Run = colourist.Name, append([]string{c.python}, append(isolated(), filepath.Join(c.dir, "colourist.py"))...)
	w.Heartbeat, w.HeartbeatTimeout, w.Budget, w.Grace = beat, silence, budget, time.Second
	return nil, args
}

// isolated are the flags that keep Python to its standard library, whatever the
// environment says: it starts sooner, and takes no other arbiter.py for ours.
func isolated() []string { return []string{"-E", "-S"} }

// What is asked of Python: to run at all, within a time that is enough for a busy
// machine, and not to be older than the SDK takes.
const (
	leastMinor    = 9
	findingPython = 15 * time.Second
	askPython     = `import sys, asyncio
print(*sys.version_info[:3], sep=".")
print(sys.executable)`
)

// findPython returns the interpreter that python3 stands for in the PATH, and its
// version. What has that name may be a script that looks for it, at a price to be
// paid once and not by each worker.
func findPython(ctx context.Context) (path, version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, findingPython)
	defer cancel()
	cmd := exec.CommandContext(ctx, "python3", append(isolated(), "-c", askPython)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var failed *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", "", errors.New("there is no python3 in the PATH")
	case ctx.Err() != nil:
		return "", "", fmt.Errorf("%s gave no answer: %w", cmd.Path, context.Cause(ctx))
	case errors.As(err, &failed):
		return "", "", fmt.Errorf("%s does not run: %w: %s", cmd.Path, err, lastLine(string(failed.Stderr)))
	case err != nil:
		return "", "", fmt.Errorf("%s does not run: %w", cmd.Path, err)
	}
	version, path, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n < 2 {
		return "", "", fmt.Errorf("%s does not say its version, but %q", cmd.Path, version)
	}
	if major != 3 || minor < leastMinor {
		return "", "", fmt.Errorf("%s is Python %s, and it takes 3.%d or later", cmd.Path, version, leastMinor)
	}
	if path = strings.TrimSpace(path); path == "" {
		path = cmd.Path
	}
	return path, version, nil
}

// lastLine is the last line of a text that has something in it.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}
