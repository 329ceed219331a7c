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
// renders a zoom into a fractal, in tiles, while chaos strikes them; another colours
// the tiles; an actor assembles the frames and keeps a ledger.
type demo struct {
	app     *app
	workers int
	size    size
	long    time.Duration
	seed    uint64
	calm    bool // without chaos
	out     string
	drawn   bool // on a terminal

	began  time.Time
	arb    *arbiter.Arbiter
	canvas actor.Ref
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
in tiles; a pool of goroutines colours them; an actor assembles the frames and keeps
a ledger. Another, chaos, strikes a worker every second or two: it kills it, has it
panic, freezes it or hangs it. The pool heals, and calls that ended with a death are
made again. So do others: try the commands it shows from a second terminal.

The exit code is 0 only if the ledger shows that every tile came exactly once, and
the pool is whole again. What was lost is told otherwise.

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

// How long an end may take.
const (
	calmEnd = 5 * time.Second        // of itself
	hastily = 700 * time.Millisecond // of one that is interrupted: who is frozen then, is killed
)

func (d *demo) run(ctx context.Context) (err error) {
	d.began = time.Now()
	d.arb, err = arbiter.Start(ctx, arbiter.Options{
		Name: "demo", Child: d.app.hook, Kinds: d.app.kinds, Control: true, StopTimeout: calmEnd,
		// What a worker prints when it panics is not for this terminal; logs has it.
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Output: io.Discard,
	})
	if err != nil {
		return err
	}
	defer func() {
		within, cancel := context.WithCancel(context.WithoutCancel(ctx))
		if interrupted(ctx) {
			within, cancel = context.WithTimeout(within, hastily)
		}
		defer cancel()
		err = errors.Join(err, d.arb.Stop(within))
	}()
	if err := d.populate(d.arb.Context(ctx)); err != nil {
		return err
	}
	end, err := d.perform(d.arb.Context(ctx))
	if err != nil {
		return err
	}
	return d.tell(end)
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
	_, err = d.arb.Pool(ctx, colourist, actor.PoolArgs{Name: colourPool, Workers: colourists, Worker: actor.SpawnArgs{Restart: policy}})
	return err
}

// colourists are enough for many renderers: to colour takes little.
const colourists = 2

// ending is what a demonstration came to.
type ending struct {
	balance balance
	totals  totals
	lost    []error // why tiles could not be had
	ill     []string
	unsaved error
	took    time.Duration
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
		loose := kindOfChaos(renderPool, newPlan(d.seed, d.workers), d.story.struck)
		if _, err := d.arb.Spawn(ctx, loose, actor.Name("chaos")); err != nil {
			return end, err
		}
	}
	enough := make(chan struct{})
	timer := time.AfterFunc(d.long, func() {
		d.enter(phaseFinishing)
		close(enough)
	})
	defer timer.Stop()
	if err := d.driver.run(ctx, enough); err != nil {
		return end, err
	}
	if !d.calm {
		if _, err := actor.StopActor.Call(ctx, actor.Arbiter, actor.To("chaos")); err != nil && !errors.Is(err, actor.ErrDown) && !errors.Is(err, actor.ErrUnknownActor) {
			return end, err
		}
	}
	d.enter(phaseHealing)
	if end.ill, err = d.heal(ctx); err != nil {
		return end, err
	}
	if end.balance, err = report.Call(ctx, d.canvas, actor.None{}); err != nil {
		return end, fmt.Errorf("nobody knows what came: the ledger cannot be read: %w", err)
	}
	if end.balance.Complete > 0 {
		_, end.unsaved = save.Call(ctx, d.canvas, d.out)
	}
	end.totals, end.lost, end.took = d.story.sums(), d.driver.whyLost(), time.Since(d.began)
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

// How long the pools may take to be whole again, and after which time it is looked
// whether a worker that was struck lives on: somebody may have thawed it.
const (
	healTime  = 15 * time.Second
	healEvery = 20 * time.Millisecond
	overdue   = 2 * (silence + budget)
)

// heal waits until every slot has a worker, and nobody is left who was struck and
// lives on. It returns what is amiss, if that takes too long or time does not help.
func (d *demo) heal(ctx context.Context) (ill []string, err error) {
	timer := time.NewTimer(healTime)
	defer timer.Stop()
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	for {
		ill, hope, err := d.ill(ctx)
		if err != nil || !hope {
			return ill, err
		}
		select {
		case <-tick.C:
		case <-timer.C:
			return ill, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ill says what is not as it should be, and whether that may pass.
func (d *demo) ill(ctx context.Context) (ill []string, hope bool, err error) {
	slots := make(map[string]bool) // whether somebody is in it, or to be
	for _, pool := range [...]string{renderPool, colourPool} {
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(pool))
		if errors.Is(err, actor.ErrUnknownActor) || err == nil && in.Pool == nil {
			ill = append(ill, fmt.Sprintf("the pool %s is gone", pool))
			continue
		}
		if err != nil {
			return nil, false, err
		}
		for _, s := range in.Slots {
			slots[s.Name] = s.AID != ""
			if s.State == "running" {
				continue
			}
			hope = hope || s.AID != ""
			text := s.Name + " is " + s.State
			if s.Last != nil {
				text += ": it " + inWords(*s.Last)
			}
			ill = append(ill, text)
		}
	}
	for _, w := range d.story.told() {
		filled, there := slots[w.Slot]
		if !w.open() || !there {
			continue // a pool made smaller has lost the slot on purpose
		}
		hope = hope || filled || w.Death == nil
		ill = append(ill, fmt.Sprintf("%s (pid %d), after %s: %s", w.Slot, w.PID, w.cause(), w.course()))
		if w.Death == nil && time.Since(w.At) > overdue {
			d.feel(ctx, w.victim)
		}
	}
	return ill, hope, nil
}

// feel looks whether a worker lives.
func (d *demo) feel(ctx context.Context, v victim) {
	ctx, cancel := context.WithTimeout(ctx, beat)
	defer cancel()
	if _, err := actor.Echo.Call(ctx, actor.Ref{AID: v.AID}, "alive?"); err == nil {
		d.story.survived(v)
	}
}

// account is an ending for programs.
type account struct {
	Picture string         `json:"picture"`
	Width   int            `json:"width"`
	Height  int            `json:"height"`
	Seed    uint64         `json:"seed"`
	Frames  int            `json:"frames"`
	Tiles   int            `json:"tiles"`
	Workers map[string]int `json:"workers"` // how many tiles came from whom
	Deeds   map[string]int `json:"deeds"`   // what chaos did
	Deaths  int            `json:"deaths"`  // of workers, whoever caused them
	Healed  int            `json:"healed"`
	Again   int            `json:"again"`   // calls made again because their worker died
	Slowest float64        `json:"slowest"` // seconds from a deed to the next worker, at most
	Seconds float64        `json:"seconds"`
}

// tell says how it ended. It fails if anything was lost or is not whole again.
func (d *demo) tell(end ending) error {
	if err := d.loss(end); err != nil {
		return err
	}
	if end.unsaved != nil {
		return d.cannotWrite(end.unsaved)
	}
	t := end.totals
	fmt.Fprintf(d.app.err, "%s of %s in %s, and each came exactly once\n", count(end.balance.Tiles, "tile"), count(end.balance.Frames, "frame"), seconds(end.took))
	var did []string
	deedsDone := make(map[string]int)
	for n, times := range t.Deeds {
		if times > 0 {
			deedsDone[deed(n).String()] = times
			did = append(did, fmt.Sprintf("%d %v", times, deed(n)))
		}
	}
	if len(did) > 0 {
		fmt.Fprintf(d.app.err, "chaos: %s  (again: --seed %d)\n", strings.Join(did, ", "), d.seed)
	}
	if t.Deaths > 0 {
		fmt.Fprintf(d.app.err, "%s, and every one was followed by another worker, the slowest after %s; %s made again\n",
			count(t.Deaths, "death"), seconds(t.Slowest), count(t.Again, "call"))
	}
	if d.app.asJSON() {
		return d.app.print(account{
			Picture: d.out, Width: d.size.width, Height: d.size.height, Seed: d.seed,
			Frames: end.balance.Frames, Tiles: end.balance.Tiles, Workers: end.balance.Workers,
			Deeds: deedsDone, Deaths: t.Deaths, Healed: t.Healed, Again: t.Again,
			Slowest: t.Slowest.Seconds(), Seconds: end.took.Seconds(),
		})
	}
	_, err := fmt.Fprintln(d.app.out, d.out)
	return err
}

// loss says what was lost, and what is not whole.
func (d *demo) loss(end ending) error {
	err := end.balance.check()
	if err == nil && len(end.ill) == 0 && len(end.lost) == 0 {
		return nil
	}
	p := &problem{exit: exitFailed, code: "lost", err: err}
	switch {
	case err != nil:
		p.text = err.Error()
	case len(end.lost) > 0:
		p.text = fmt.Sprintf("%s could not be had", count(len(end.lost), "tile"))
	default:
		p.code, p.text = "not-healed", fmt.Sprintf("every tile came once, but not everybody is well after %v", healTime)
	}
	for _, err := range end.lost {
		p.because("%v", err)
	}
	for _, text := range end.ill {
		p.because("%s", text)
	}
	return p
}
