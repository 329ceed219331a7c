package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
	"github.com/spf13/cobra"
)

// demo is one run of the demonstration: a pool of workers in processes of their own
// renders a zoom into a fractal, in tiles; another, in Python, colours the tiles; chaos
// strikes them both; an actor assembles the frames and keeps a ledger.
type demo struct {
	app     *app
	workers int
	size    size
	long    time.Duration
	seed    uint64
	calm    bool // without chaos
	plainGo bool // colour without Python
	out     string
	drawn   bool // on a terminal

	began  time.Time
	arb    *arbiter.Arbiter
	canvas actor.Ref
	colour colourists
	regret error // why it is not Python that colours
	driver *driver
	story  story
	phase  atomic.Pointer[string] // what it is at, for people
}

// size is that of a picture, in pixels.
type size struct{ width, height int }

func (s size) String() string { return fmt.Sprintf("%dx%d", s.width, s.height) }

const maxSize = 8192 // pixels, each way

func parseSize(text string) (size, error) {
	w, h, _ := strings.Cut(text, "x")
	width, err := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	if err != nil || err2 != nil || min(width, height) < 1 || max(width, height) > maxSize {
		return size{}, usage("the size %q is not WIDTHxHEIGHT, each from 1 to %d", text, maxSize)
	}
	return size{width, height}, nil
}

// howLong is for how long a demonstration is to go on.
type howLong time.Duration

func (h howLong) String() string { return time.Duration(h).String() }

func parseHowLong(text string) (howLong, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		example := "20s or 5m"
		if _, err := strconv.ParseUint(text, 10, 32); err == nil && text != "0" {
			example = text + "s"
		}
		return 0, usage("%q is no time to go on for, such as %s", text, example)
	}
	return howLong(d), nil
}

func parseSeed(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n == 0 {
		return 0, usage("%q is no seed: a whole number from 1 on", text)
	}
	return n, nil
}

func (a *app) demoCommand() *cobra.Command {
	d := &demo{app: a, workers: min(max(runtime.GOMAXPROCS(0), 4), 8), size: size{640, 400}}
	long := howLong(20 * time.Second)
	var quiet bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "a render pool under attack: see it heal",
		Long: `Zooms into a fractal. A pool of workers, each in a process of its own, renders it
in tiles; a pool of programs in Python colours them; an actor assembles the frames
and keeps a ledger. Another, chaos, strikes a worker every second or two: it kills it,
has it panic or raise, freezes it or hangs it. The pools heal, and calls that ended
with a death are made again. Kill some yourself, from a second terminal, by the
commands it shows. Without a python3 of at least 3.9, goroutines colour.

The exit code is 0 only if the ledger shows that every tile came exactly once, and
the pools are whole again. What was lost is told otherwise.

A terminal shows the picture, the workers, and what befell them; without colours if
$NO_COLOR is set. Elsewhere there is a line a second. The latest frame is written as
PNG; the file's name, or with -o json an account, goes to standard output.`,
		Example: `  $0 demo
  $0 demo --for 5m --seed 42    # time to kill some yourself
  $0 demo --no-chaos --workers 8 --size 1920x1200 --out large.png`,
		Args:        a.arguments(0, 0),
		Annotations: map[string]string{"names": "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.long = time.Duration(long)
			d.drawn = !quiet && a.format == "table" && isTerminal(os.Stdout)
			if d.seed == 0 {
				d.seed = 1 + rand.Uint64N(99_999) // short enough to be typed
			}
			if err := d.checkOut(); err != nil {
				return err
			}
			return d.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.Var(&flag[howLong]{&long, parseHowLong, "DURATION"}, "for", "begin frames for so long")
	flags.VarP(&flag[int]{&d.workers, wholeNumber("is no number of workers", 1, maxWorkers), "NUMBER"}, "workers", "w", "renderer processes")
	flags.Var(&flag[uint64]{&d.seed, parseSeed, "NUMBER"}, "seed", "what chaos does, and to whom, follows from it (default one by chance, which is told)")
	flags.BoolVar(&d.calm, "no-chaos", false, "without chaos")
	flags.BoolVar(&d.plainGo, "no-python", false, "colour in goroutines, without Python")
	flags.Var(&flag[size]{&d.size, parseSize, "WIDTHxHEIGHT"}, "size", "of the frames, in pixels")
	flags.StringVar(&d.out, "out", "arbiter-demo.png", "write the latest frame to `FILE`, as PNG")
	flags.BoolVar(&quiet, "no-picture", false, "a line a second, also on a terminal")
	return cmd
}

const maxWorkers = 64

// checkOut tries whether the picture can be written, before it is computed.
func (d *demo) checkOut() error {
	if d.out == "" {
		return usage("--out is empty: where to write the picture?")
	}
	_, err := os.Lstat(d.out)
	f, openErr := os.OpenFile(d.out, os.O_WRONLY|os.O_CREATE, 0o666)
	if openErr != nil {
		return d.cannotWrite(openErr)
	}
	_ = f.Close()
	if os.IsNotExist(err) {
		_ = os.Remove(d.out)
	}
	return nil
}

func (d *demo) cannotWrite(err error) error {
	p := &problem{exit: exitFailed, code: "not-written", text: fmt.Sprintf("the picture cannot be written: %v", err), err: err}
	dir := filepath.Dir(d.out)
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		p.because("there is no folder %s", dir)
		p.hint("make it", "mkdir -p "+quote(dir))
	}
	return p.hint("write it elsewhere", d.app.again("--out", quote(filepath.Join(os.TempDir(), "arbiter-demo.png"))))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// hastily is how long the end of one that is interrupted may take: who is frozen
// then, is killed.
const hastily = 700 * time.Millisecond

func (d *demo) run(ctx context.Context) (err error) {
	if runtime.GOOS == "windows" {
		return &problem{exit: exitFailed, code: "unsupported", text: "the demo needs actors in processes of their own, which there are not on Windows"}
	}
	if !d.plainGo {
		if d.regret = d.colour.prepare(ctx); ctx.Err() != nil {
			return context.Cause(ctx)
		}
		defer func() { err = errors.Join(err, d.colour.remove()) }()
	}
	outliveReaders()
	d.began = time.Now()
	d.arb, err = arbiter.Start(ctx, arbiter.Options{
		Name: "demo", Child: d.app.hook, Kinds: d.app.kinds, Control: true,
		// What a worker prints when it panics is not for this terminal; the arbiter keeps
		// it.
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Output: io.Discard,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop(ctx)) }()
	if err := d.populate(d.arb.Context(ctx)); err != nil {
		return err
	}
	end, err := d.perform(d.arb.Context(ctx))
	if err != nil {
		return err
	}
	return d.tell(end)
}

// stop ends all that was started.
func (d *demo) stop(ctx context.Context) error {
	if !interrupted(ctx) {
		return d.arb.Stop(context.WithoutCancel(ctx))
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), hastily)
	defer cancel()
	return d.arb.Stop(soon)
}

// A worker that is silent or hangs is to be found dead soon, and followed soon.
const (
	beat    = 300 * time.Millisecond
	silence = 1500 * time.Millisecond
	budget  = time.Second // for one tile, which takes a few milliseconds
)

// populate starts those who live as long as the demonstration.
func (d *demo) populate(ctx context.Context) (err error) {
	if d.canvas, err = d.arb.Spawn(ctx, painter, actor.Name("canvas")); err != nil {
		return err
	}
	d.driver = newDriver(d.size, d.workers, d.canvas, d.story.again)
	policy := &supervise.Policy{
		MinBackoff: 100 * time.Millisecond, MaxBackoff: 500 * time.Millisecond,
		MaxCrashes: -1, // it is attacked: to give up would be to lose
	}
	_, err = d.arb.Pool(ctx, renderer, actor.PoolArgs{Name: renderPool, Workers: d.workers, Worker: actor.SpawnArgs{
		In: "process", Restart: policy, Heartbeat: beat, HeartbeatTimeout: silence, Budget: budget, Grace: time.Second,
	}})
	if err != nil {
		return err
	}
	kind, args := d.colour.pool(policy)
	if _, err = d.arb.Pool(ctx, kind, args); err != nil {
		return d.noColours(err)
	}
	return nil
}

// noColours says why nobody could begin to colour, and how to do without Python.
func (d *demo) noColours(err error) error {
	var down *actor.DownError
	if !d.colour.processes() || !errors.As(err, &down) {
		return err
	}
	quiet := down.Death
	quiet.Stderr = nil
	p := &problem{exit: exitFailed, code: string(down.Cause), text: fmt.Sprintf("%s, in %v, %s", down.Err.Target, &d.colour, quiet), err: err}
	if words := lastLine(strings.Join(down.Stderr, "\n")); words != "" {
		p.because("its last line: %s", words)
	}
	return p.hint("do without Python", d.app.again("", "")+" --no-python")
}

// perform makes frames and lets chaos loose, shows it, and waits until all have
// recovered.
func (d *demo) perform(ctx context.Context) (end ending, err error) {
	watching, unwatch := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { d.follow(watching) })
	d.enter(phaseRendering)
	showing, shown := context.WithCancel(ctx)
	wg.Go(func() { d.show(showing) })
	defer func() {
		shown()
		unwatch()
		wg.Wait()
	}()
	if !d.calm {
		loose := kindOfChaos(newPlan(d.seed, targets(d.workers, d.colour.processes())), d.story.struck)
		if _, err := d.arb.Spawn(ctx, loose, actor.Name("chaos")); err != nil {
			return end, err
		}
	}
	enough := make(chan struct{})
	timer := time.AfterFunc(d.long, func() {
		d.enter(phaseFinishing)
		close(enough)
	})
	err = d.driver.run(ctx, enough)
	timer.Stop() // a loss may have come first
	if err != nil {
		return end, err
	}
	if !d.calm {
		if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("chaos")); err != nil && !errors.Is(err, actor.ErrDown) && !errors.Is(err, actor.ErrUnknownActor) {
			return end, err
		}
	}
	d.enter(phaseHealing)
	if end.totals, end.ill, err = d.heal(ctx); err != nil {
		return end, err
	}
	if end.balance, err = report.Call(ctx, d.canvas, actor.None{}); err != nil {
		return end, ledgerGone(err)
	}
	if end.balance.Complete > 0 {
		_, end.unsaved = save.Call(ctx, d.canvas, d.out)
	}
	end.lost, end.took = d.driver.whyLost(), time.Since(d.began)
	d.enter(phaseDone)
	return end, nil
}

// What a demonstration is at.
const (
	phaseRendering = "rendering"
	phaseFinishing = "finishing the frames begun"
	phaseHealing   = "healing"
	phaseDone      = "done"
)

// enter says what the demonstration is at from now on.
func (d *demo) enter(phase string) { d.phase.Store(&phase) }

// isSlot reports whether a name is that of a worker.
func isSlot(name string) bool {
	return strings.HasPrefix(name, renderPool+"/") || strings.HasPrefix(name, colourPool+"/")
}

// follow has the story told what the arbiter says of the workers, until ctx ends.
func (d *demo) follow(ctx context.Context) {
	var seq uint64
	for {
		list, err := actor.Events.Call(ctx, actor.Arbiter, actor.EventsArgs{Since: seq, Wait: time.Second})
		if err != nil {
			return // ctx has ended, or the arbiter
		}
		for _, ev := range list {
			seq = ev.Seq
			if isSlot(ev.Actor.Name) {
				d.story.happened(ev)
			}
		}
	}
}
