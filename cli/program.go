package cli

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// program is one run of the command run: an arbiter with one pool of a program.
type program struct {
	app  *app
	args actor.PoolArgs
	o    arbiter.Options

	// What flags say that stands elsewhere in the arguments, or in another form.
	messages bool
	restart  supervise.Restart
	backoff  backoff
	giveUp   giveUp
	memory   amount
	budget   amount
	user     string
	requests int
	jitter   int
}

// mostWorkers is how many workers a pool may have.
const mostWorkers = 4096

// mostMessages is after how many messages a worker may be replaced, at most.
const mostMessages = min(1<<40, math.MaxInt)

// complete makes of the flags what the arbiter is asked for, and refuses what cannot
// be meant.
func (p *program) complete(words []string, changed func(string) bool) error {
	if !p.messages {
		for _, name := range []string{"timeout", "start-timeout", "max-requests", "max-requests-jitter", "min", "max"} {
			if changed(name) {
				e := usage("--%s is about messages, and a program takes none unless --messages says so", name)
				return e.hint("if it speaks the protocol", p.again("--messages", ""))
			}
		}
	} else if changed("stop-signal") {
		return usage("--stop-signal is for programs without --messages: with it, the protocol asks them to stop")
	}
	for _, check := range []func([]string, func(string) bool) error{p.completeSize, p.completePolicy, p.completePlace, p.completeProgram} {
		if err := check(words, changed); err != nil {
			return err
		}
	}
	return nil
}

// completeSize is about how many there are, and how long each lives.
func (p *program) completeSize(_ []string, changed func(string) bool) error {
	a := &p.args
	switch {
	case changed("min") && !changed("max"):
		return usage("--min without --max: say up to how many workers there may be")
	case a.Max > 0 && a.Min > a.Max:
		return usage("--min is %d, and more than --max, %d", a.Min, a.Max)
	case a.Max > 0 && changed("workers") && (a.Workers > a.Max || a.Workers < max(a.Min, 1)):
		return usage("--workers is %d, and not from --min to --max, %d to %d", a.Workers, max(a.Min, 1), a.Max)
	case changed("max-requests-jitter") && !changed("max-requests"):
		return usage("--max-requests-jitter without --max-requests")
	case p.jitter > p.requests:
		return usage("--max-requests-jitter is %d, and more than --max-requests, %d", p.jitter, p.requests)
	}
	if a.Max > 0 && !changed("workers") {
		a.Workers = 0 // as many as min
	}
	a.Recycle.Messages = uint64(p.requests)
	switch {
	case p.jitter == 0:
		a.Recycle.Jitter = -1
	case p.jitter > 0:
		a.Recycle.Jitter = float64(p.jitter) / float64(p.requests)
	}
	return nil
}

// completePolicy is about what follows an end.
func (p *program) completePolicy(_ []string, _ func(string) bool) error {
	policy := supervise.Policy{Restart: p.restart, MinBackoff: p.backoff.min, MaxBackoff: p.backoff.max, MaxCrashes: p.giveUp.crashes, Within: p.giveUp.within}
	if err := policy.Validate(); err != nil {
		return usage("%v", err)
	}
	p.args.Worker.Restart = &policy
	if g := p.args.Worker.Grace; g > 0 {
		// The arbiter's own stop leaves a fifth of its time to harder means.
		p.o.StopTimeout = max(10*time.Second, (g+2*time.Second)*5/4)
	}
	return nil
}

// completePlace is about where and as whom it runs.
func (p *program) completePlace(_ []string, _ func(string) bool) error {
	w := &p.args.Worker
	for _, v := range append(w.Env[:len(w.Env):len(w.Env)], p.args.WorkerEnv...) {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			return usage("%q for the environment is not NAME=value", v)
		}
	}
	for _, address := range p.args.Bind {
		if err := checkBind(address); err != nil {
			return err
		}
	}
	if w.Dir != "" {
		if info, err := os.Stat(w.Dir); err != nil || !info.IsDir() {
			return usage("--cwd: there is no directory %q", w.Dir)
		}
	}
	if p.o.LogDir != "" {
		if err := os.MkdirAll(p.o.LogDir, 0o700); err != nil {
			return usage("--log-dir cannot be made: %v", err)
		}
	}
	p.o.MemoryBudget = int64(p.budget)
	if p.memory > 0 || p.user != "" {
		w.Bounds = &actor.Bounds{Memory: int64(p.memory)}
	}
	if p.user != "" {
		id, err := userID(p.user)
		if err != nil {
			return err
		}
		w.Bounds.User = id
	}
	return nil
}

// completeProgram is about the program itself: what does not exist is refused before
// anything is started.
func (p *program) completeProgram(words []string, _ func(string) bool) error {
	w := &p.args.Worker
	w.In, w.Run, w.Silent = "exec", words, !p.messages
	if p.args.Name == "" {
		p.args.Name = nameOfProgram(words[0])
	}
	if err := actor.ValidName(p.args.Name); err != nil {
		return usage("--name: %v", err)
	}
	if len(p.args.Name) > 56 {
		return usage("--name is longer than 56 characters, and the workers' names are longer still")
	}
	p.o.Name = p.args.Name
	return p.checkProgram(words[0])
}

// checkBind refuses what cannot be an address to listen at.
func checkBind(address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok && path != "" {
		return nil
	}
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "tcp:"))
	if err == nil && port != "" {
		_, err = net.LookupPort("tcp", port)
	}
	if err == nil && port != "" {
		return nil
	}
	p := usage("%q in --bind is no address: host:port, :port or unix:/path", address)
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		p.text += ", such as :" + address
	}
	return p
}

// nameOfProgram makes a name of a program's.
func nameOfProgram(path string) string {
	base := filepath.Base(path)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	base = strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_.-", r) {
			return r
		}
		return '-'
	}, base)
	base = strings.TrimLeft(base, "-.") // what begins with a dash would be taken for a flag
	if base = base[:min(len(base), 56)]; actor.ValidName(base) != nil {
		return "program"
	}
	return base
}

// userID returns UID:GID of USER[:GROUP], each a name or a number.
func userID(text string) (string, error) {
	name, group, both := strings.Cut(text, ":")
	uid, gid := name, group
	u, err := user.Lookup(name)
	if _, number := strconv.ParseUint(name, 10, 31); err != nil && number == nil {
		u, err = user.LookupId(name)
		if err != nil { // a number nobody has is one all the same
			u, err = &user.User{Uid: name, Gid: name}, nil
		}
	}
	if err != nil {
		return "", usage("--user: there is no user %q", name)
	}
	uid = u.Uid
	if !both {
		gid = u.Gid
	} else if _, number := strconv.ParseUint(group, 10, 31); number != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return "", usage("--user: there is no group %q", group)
		}
		gid = g.Gid
	}
	return uid + ":" + gid, nil
}

func parseWorkers(text string) (int, error) {
	if text == "auto" {
		return runtime.GOMAXPROCS(0), nil
	}
	return wholeNumber("is no number of workers, nor auto", 1, mostWorkers)(text)
}

func parseRestart(text string) (supervise.Restart, error) {
	r, err := supervise.ParseRestart(text)
	if err != nil {
		return r, usage("--restart %q is none of always, on-failure and never", text)
	}
	return r, nil
}

func parseSignal(text string) (string, error) {
	name := strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if known := []string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"}; !slices.Contains(known, name) {
		return "", usage("the stop signal %q is none of %s", text, strings.Join(known, ", "))
	}
	return name, nil
}

// backoff is how long to wait before a restart.
type backoff struct{ min, max time.Duration }

func parseBackoff(text string) (b backoff, err error) {
	least, most, both := strings.Cut(text, "-")
	parse := parseDuration("backoff")
	if b.min, err = parse(least); err == nil && both {
		b.max, err = parse(most)
	}
	if err == nil && both && b.min > b.max {
		err = usage("the backoff %q begins with more than it ends with", text)
	}
	return b, err
}

// giveUp is when to give up. The zero value is the default; fewer than 0 crashes:
// never.
type giveUp struct {
	crashes int
	within  time.Duration
}

func parseGiveUp(text string) (giveUp, error) {
	if text == "never" {
		return giveUp{crashes: -1}, nil
	}
	number, within, ok := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	d, err2 := time.ParseDuration(within)
	if !ok || err != nil || err2 != nil || n < 1 || n > supervise.MostCrashes || d <= 0 {
		return giveUp{}, usage("%q is not a number of crashes in a time, such as 5/1m, nor never", text)
	}
	return giveUp{n, d}, nil
}

// again is the command line as it was typed, with flag added before the program. An
// empty value is a flag without one.
func (p *program) again(flag, value string) string {
	args := p.app.args
	words := []string{p.app.program, "run"}
	if flag != "" {
		words = append(words, flag)
	}
	if value != "" {
		words = append(words, value)
	}
	at := slices.Index(args, "run") // only -o can stand before it
	for n, arg := range args {
		if n != at {
			words = append(words, quote(arg))
		}
	}
	return strings.Join(words, " ")
}

// checkProgram refuses a program that cannot be there.
func (p *program) checkProgram(name string) error {
	missing := func(format string, args ...any) *problem {
		return &problem{exit: exitUsage, code: "no-program", text: fmt.Sprintf(format, args...)}
	}
	path := name
	if filepath.Base(name) == name {
		if _, err := exec.LookPath(name); err == nil {
			return nil
		}
		e := missing("there is no program %q in PATH", name)
		if _, err := os.Stat(filepath.Join(p.args.Worker.Dir, name)); err == nil {
			e.because("there is a file of that name here: write ./%s", name)
		}
		if strings.ContainsAny(name, " \t") {
			e.because("the program and its arguments are words of their own, not one in quotes")
		}
		return e
	}
	if !filepath.IsAbs(name) {
		path = filepath.Join(p.args.Worker.Dir, name)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		e := missing("there is no program %q", name)
		if dir, err := filepath.Abs(p.args.Worker.Dir); err == nil && !filepath.IsAbs(name) {
			e.because("it was looked for in %s; another folder is --cwd DIR", dir)
		}
		return e
	case err != nil:
		return missing("the program %q cannot be had: %v", path, err)
	case info.IsDir():
		return missing("%q is a directory, not a program", path)
	case runtime.GOOS != "windows" && info.Mode()&0o111 == 0:
		return missing("%q is not executable", path).hint("make it so", "chmod +x "+quote(path))
	}
	return nil
}
