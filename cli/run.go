package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
	"github.com/spf13/cobra"
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
	user     string
	requests int
	jitter   int
}

func (a *app) runCommand() *cobra.Command {
	p := &program{app: a, jitter: -1}
	p.args.Workers = 1
	cmd := &cobra.Command{
		Use:   "run [flags] -- CMD [ARG…]",
		Short: "supervise a program: as many processes of it as you like",
		Long: `Runs an arbiter with one pool of a program, until it is interrupted (exit code 130),
stopped by SIGTERM or the command stop arbiter (0), until its workers have exited for
good (0 if all did so with code 0), or until it has given up on them (1): then it says
why. A second interrupt ends it at once.

The program may be any: it is started, watched, and started again when it fails. Lines
it prints come out here, after the name of the worker. With --messages it speaks the
protocol of actors, and takes messages. In each worker ARBITER_NAME is its name;
--env and --worker-env add to its environment.`,
		Example: `  $0 run -w 4 -- python3 worker.py
  $0 run --name web -w 4 -b :8080 -- ./server    # inherits the socket, as LISTEN_FDS says
  $0 run -w 2 --worker-env 'PORT=800{index}' --memory 512MiB -- node app.js
  $0 run --messages --min 1 --max 8 -- python3 resize.py`,
		Args:        a.arguments(1, -1),
		Annotations: map[string]string{"names": "yes"},
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := p.complete(words, cmd.Flags().Changed); err != nil {
				return err
			}
			return p.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows the program is its own
	f.VarP(&flag[int]{&p.args.Workers, parseWorkers, "N"}, "workers", "w", "how many processes, or auto: one for each processor")
	f.StringArrayVarP(&p.args.Bind, "bind", "b", nil, "listen at `ADDRESS` once, for all workers: host:port or unix:/path; may be repeated")
	f.StringVar(&p.args.Name, "name", "", "call the pool `NAME`, and its workers NAME/1, NAME/2 and so on (default: as the program)")
	f.BoolVar(&p.messages, "messages", false, "the program speaks the protocol of actors and takes messages")

	f.Var(&flag[supervise.Restart]{&p.restart, parseRestart, "WHEN"}, "restart", "always, on-failure or never")
	f.Var(&flag[backoff]{&p.backoff, parseBackoff, "MIN-MAX"}, "backoff", "how long to wait before a restart: from MIN, twice as long each time, up to MAX (default 200ms-30s)")
	f.Var(&flag[giveUp]{&p.giveUp, parseGiveUp, "N/TIME"}, "give-up", "after how many crashes of each worker in what time to give up, or never (default 5/1m)")
	f.Var(&flag[string]{&p.args.Worker.StopSignal, parseSignal, "SIGNAL"}, "stop-signal", "what asks the program to stop (default TERM)")
	f.Var(&flag[time.Duration]{&p.args.Worker.Grace, parseDuration("grace"), "TIME"}, "grace", "how long it may take to stop before it is killed (default 5s)")

	f.StringArrayVarP(&p.args.Worker.Env, "env", "e", nil, "add `NAME=value` to the environment; may be repeated")
	f.StringArrayVar(&p.args.WorkerEnv, "worker-env", nil, "likewise `NAME=value`, with {index} from 1, {index0} from 0, {slot} and {pool} replaced")
	f.StringVar(&p.args.Worker.Dir, "cwd", "", "run the program in `DIR`")
	f.StringVar(&p.user, "user", "", "run the program as `USER[:GROUP]`, by name or number; takes privilege")
	f.Var(&flag[amount]{&p.memory, parseBytes, "SIZE"}, "memory", "the most each worker may use with its descendants, such as 512MiB")

	f.StringVar(&p.o.PIDFile, "pid-file", "", "write the arbiter's process id to `FILE`")
	f.StringVar(&p.o.LogDir, "log-dir", "", "also write what each worker prints to a file of its own in `DIR`")

	f.VarP(&flag[time.Duration]{&p.args.Worker.HeartbeatTimeout, parseDuration("timeout"), "TIME"}, "timeout", "t", "with --messages: end a worker that gives no sign of life for so long (default 10s)")
	f.Var(&flag[time.Duration]{&p.args.Worker.StartTimeout, parseDuration("timeout"), "TIME"}, "start-timeout", "with --messages: how long a worker may take to be ready (default 30s)")
	f.Var(&flag[int]{&p.requests, wholeNumber("is no number of messages", 1, 1<<40), "N"}, "max-requests", "with --messages: replace a worker after so many messages")
	f.Var(&flag[int]{&p.jitter, wholeNumber("is no number of messages", 0, 1<<40), "N"}, "max-requests-jitter", "by how many that may differ, at random (default: a tenth)")
	f.Var(&flag[int]{&p.args.Min, wholeNumber("is no number of workers", 1, mostWorkers), "N"}, "min", "with --messages and --max: the fewest workers (default 1)")
	f.Var(&flag[int]{&p.args.Max, wholeNumber("is no number of workers", 1, mostWorkers), "N"}, "max", "with --messages: the most workers; one more when messages wait, one less when there is nothing to do")
	for _, name := range []string{"backoff", "give-up", "grace", "memory", "timeout", "start-timeout", "max-requests", "max-requests-jitter", "min", "max"} {
		f.Lookup(name).DefValue = "" // none, or said in the text
	}
	return cmd
}

// mostWorkers is how many workers a pool may have.
const mostWorkers = 4096

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
		return missing("there is no program %q", path)
	case err != nil:
		return missing("the program %q cannot be had: %v", path, err)
	case info.IsDir():
		return missing("%q is a directory, not a program", path)
	case runtime.GOOS != "windows" && info.Mode()&0o111 == 0:
		return missing("%q is not executable", path).hint("make it so", "chmod +x "+quote(path))
	}
	return nil
}

// run hosts the arbiter until the pool is at its end.
func (p *program) run(ctx context.Context) error {
	return p.app.host(ctx, p.o, func(arb *arbiter.Arbiter) error {
		pool, err := arb.Pool(ctx, nil, p.args)
		if err != nil {
			if ctx.Err() != nil {
				return nil // it was told to end before it had begun
			}
			return p.explainStart(ctx, err)
		}
		if err := p.print(ctx, arb, pool); err != nil {
			return err
		}
		err = p.watch(ctx, arb, pool)
		fmt.Fprintln(p.app.err, "stopping")
		return err
	})
}

// print says what runs, and where it can be found.
func (p *program) print(ctx context.Context, arb *arbiter.Arbiter, pool actor.Ref) error {
	a := p.app
	i, err := actor.InspectActor.Call(arb.Context(ctx), actor.Arbiter, pool)
	if err != nil || i.Pool == nil {
		return nil // somebody has ended it already; watch sees that
	}
	if a.format != "table" {
		return a.printHost(arb, p.o.Name, i.Pool.Bind)
	}
	at := ""
	if len(i.Pool.Bind) > 0 {
		at = ", listening at " + strings.Join(i.Pool.Bind, " and ")
	}
	fmt.Fprintf(a.err, "%s: %s of %s%s\n", p.args.Name, count(i.Info.Wanted, "worker"), p.args.Worker.Run[0], at)
	for _, at := range arb.Addresses() {
		fmt.Fprintln(a.err, "control socket at", at)
	}
	fmt.Fprintf(a.err, "see how they do, from another terminal:  %s ps\n", a.program)
	return nil
}

// explainStart says why there is no pool.
func (p *program) explainStart(ctx context.Context, err error) error {
	a := p.app
	e := a.explain(ctx, err)
	var down *actor.DownError
	var refused *actor.Error
	switch {
	case errors.As(err, &down):
		quiet := down.Death
		quiet.Stderr = nil
		e.code, e.hints = string(down.Cause), nil
		e.text = fmt.Sprintf("%s %s", down.Err.Target, quiet)
		if p.messages && strings.Contains(down.Reason, "not ready") {
			e.because("with --messages a program is ready when it has said hello to the arbiter")
		}
	case errors.As(err, &refused) && strings.Contains(refused.Message, syscall.EADDRINUSE.Error()):
		e.code, e.exit, e.text, e.hints = "port-in-use", exitFailed, refused.Message, nil
		for _, address := range p.args.Bind {
			if _, port, err := net.SplitHostPort(address); err == nil && strings.Contains(refused.Message, address) {
				e.hint("see by whom", whoListens(port))
			}
		}
	case errors.As(err, &refused):
		e.text, e.hints = refused.Message, nil
	}
	return e
}
