package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
	"github.com/spf13/cobra"
)

// demo is one run of the demonstration: actors in processes of their own render a
// picture in tiles, and one in a goroutine assembles it.
type demo struct {
	app     *app
	workers int
	view    view
	out     string
	picture bool

	arb     *arbiter.Arbiter
	canvas  actor.Ref
	tiles   []tile
	done    atomic.Int64
	retried atomic.Int64
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

func (a *app) demoCommand() *cobra.Command {
	d := &demo{app: a, workers: min(max(runtime.GOMAXPROCS(0), 2), maxWorkers)}
	picture := size{1280, 800}
	var quiet bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "render a picture with actors in many processes",
		Long: `Starts an arbiter, renderer actors in processes of their own, and a canvas actor in
a goroutine. The renderers compute the tiles of a fractal, the canvas assembles them
and keeps a ledger. What a renderer was at when it died, another does again: kill
some. The exit code is 0 only if the ledger shows that every tile came exactly once.

A terminal shows the picture, in characters if $NO_COLOR is set. The file's name, or
with -o json an account, goes to standard output.`,
		Example: `  $0 demo
  $0 demo --workers 8 --size 3840x2160 --out large.png`,
		Args:        a.arguments(0, 0),
		Annotations: map[string]string{"names": "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.view = seahorse(picture.width, picture.height)
			d.picture = !quiet && a.format == "table" && isTerminal(os.Stdout)
			if err := d.checkOut(); err != nil {
				return err
			}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().VarP(&flag[int]{&d.workers, wholeNumber("is no number of workers", 1, maxWorkers), "NUMBER"}, "workers", "w", "renderer processes")
	cmd.Flags().Var(&flag[size]{&picture, parseSize, "WIDTHxHEIGHT"}, "size", "of the picture, in pixels")
	cmd.Flags().StringVar(&d.out, "out", "arbiter-demo.png", "write the picture to `FILE`, as PNG")
	cmd.Flags().BoolVar(&quiet, "no-picture", false, "do not show the picture in the terminal")
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

func (d *demo) run(ctx context.Context) (err error) {
	began := time.Now()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	d.arb, err = arbiter.Start(ctx, arbiter.Options{Name: "demo", Child: d.app.hook, Kinds: d.app.kinds, Logger: quiet, Output: d.app.err})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.arb.Stop(context.WithoutCancel(ctx))) }()
	ctx = d.arb.Context(ctx)
	if d.canvas, err = d.arb.Spawn(ctx, painter, actor.Name("canvas")); err != nil {
		return err
	}
	if _, err = begin.Call(ctx, d.canvas, d.view); err != nil {
		return err
	}
	d.tiles = d.view.tiles(tileSide)
	d.workers = min(d.workers, len(d.tiles))
	fmt.Fprintf(d.app.err, "%s, each in a process of its own; a canvas in a goroutine\n", count(d.workers, "renderer"))
	shown := d.progress()
	err = d.render(ctx)
	shown()
	if err != nil {
		return err
	}
	return d.finish(ctx, began)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// render has every tile rendered and put in its place. The first thing to go wrong
// ends it.
func (d *demo) render(ctx context.Context) error {
	work := make(chan tile, len(d.tiles))
	for _, t := range d.tiles {
		work <- t
	}
	close(work)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for n := range d.workers {
		wg.Go(func() {
			w := &worker{demo: d, name: fmt.Sprintf("renderer-%d", n+1)}
			if err := w.serve(ctx, work); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// worker keeps one renderer after the other busy: when one dies, another takes its
// name. It belongs to one goroutine.
type worker struct {
	demo  *demo
	name  string
	actor actor.Ref // none: it has to be started
}

// maxTries is how often a tile is tried before it is taken to be what kills its
// renderers.
const maxTries = 10

func (w *worker) serve(ctx context.Context, work <-chan tile) error {
	for t := range work {
		for try := 1; ; try++ {
			err := w.render(ctx, t)
			if err == nil {
				break
			}
			if !errors.Is(err, actor.ErrDown) || ctx.Err() != nil || try == maxTries {
				return err
			}
			w.actor = actor.Ref{}
			w.demo.retried.Add(1)
		}
		w.demo.done.Add(1)
	}
	return nil
}

// render has one tile rendered, and puts it in its place. Down means that the
// renderer ended before the tile was there.
func (w *worker) render(ctx context.Context, t tile) (err error) {
	if w.actor.IsZero() {
		if w.actor, err = w.demo.arb.Spawn(ctx, renderer, actor.Process(), actor.Name(w.name)); err != nil {
			return err
		}
	}
	p, err := render.Call(ctx, w.actor, t)
	if err != nil {
		return err
	}
	if _, err := put.Call(ctx, w.demo.canvas, placed{t, p, w.name}); err != nil {
		return fmt.Errorf("tile %d was not put in its place: %v", t.N, err) // not wrapped: another renderer does not help
	}
	return nil
}

// progress shows how far it is, until the function it returns is called: a line
// that changes on a terminal, a line a second elsewhere.
func (d *demo) progress() (stop func()) {
	tty := isTerminal(os.Stderr)
	every := time.Second
	if tty {
		every = 100 * time.Millisecond
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	show := func() {
		done, total := int(d.done.Load()), len(d.tiles)
		if tty {
			const width = 40
			fmt.Fprintf(d.app.err, "\r[%-*s] %d of %d tiles ", width, strings.Repeat("#", done*width/total), done, total)
		} else {
			fmt.Fprintf(d.app.err, "%d of %d tiles\n", done, total)
		}
	}
	go func() {
		defer close(gone)
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				show()
			case <-quit:
				show()
				if tty {
					fmt.Fprintln(d.app.err)
				}
				return
			}
		}
	}()
	return func() { close(quit); <-gone }
}

// account is what a demonstration came to.
type account struct {
	Picture string         `json:"picture"`
	Width   int            `json:"width"`
	Height  int            `json:"height"`
	Tiles   int            `json:"tiles"`
	Workers map[string]int `json:"workers"` // how many tiles came from whom
	Again   int            `json:"again"`   // tiles rendered again because their renderer died
	Seconds float64        `json:"seconds"`
}

// finish checks the ledger, and writes and shows the picture.
func (d *demo) finish(ctx context.Context, began time.Time) error {
	l, err := report.Call(ctx, d.canvas, actor.None{})
	if err != nil {
		return err
	}
	if err := l.check(); err != nil {
		return err
	}
	if _, err := save.Call(ctx, d.canvas, d.out); err != nil {
		return d.cannotWrite(err)
	}
	took := time.Since(began)
	if d.picture {
		lines, err := look.Call(ctx, d.canvas, lookArgs{Columns: 78, Plain: os.Getenv("NO_COLOR") != ""})
		if err != nil {
			return err
		}
		fmt.Fprintln(d.app.out, strings.Join(lines, "\n"))
	}
	again := int(d.retried.Load())
	fmt.Fprintf(d.app.err, "%s, and each came exactly once, in %v", count(l.Tiles, "tile"), took.Round(10*time.Millisecond))
	if again > 0 {
		fmt.Fprintf(d.app.err, "; %d times a renderer died and another did its tile again", again)
	}
	fmt.Fprintln(d.app.err)
	if d.app.asJSON() {
		return d.app.print(account{d.out, d.view.Width, d.view.Height, l.Tiles, l.Workers, again, took.Seconds()})
	}
	_, err = fmt.Fprintln(d.app.out, d.out)
	return err
}
