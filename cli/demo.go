package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
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
	done    atomic.Int64
	retried atomic.Int64
	total   int
}

func (a *app) demoCommand() *cobra.Command {
	d := &demo{app: a}
	var size string
	var quiet bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "render a picture with actors in many processes",
		Long: `demo starts an arbiter, a renderer actor in a process of its own for each
processor, and a canvas actor in a goroutine. The renderers compute the tiles of a
fractal, the canvas assembles them and keeps a ledger. The exit code is 0 only if
the ledger shows that every tile came exactly once.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var w, h int
			if n, err := fmt.Sscanf(size, "%dx%d", &w, &h); n != 2 || err != nil || w < 1 || h < 1 || w > 8192 || h > 8192 {
				return &usageError{fmt.Errorf("the size %q is not WIDTHxHEIGHT, each from 1 to 8192", size)}
			}
			if d.workers < 1 || d.workers > 64 {
				return &usageError{fmt.Errorf("%d workers: from 1 to 64", d.workers)}
			}
			d.view = seahorse(w, h)
			d.picture = !quiet && isTerminal(os.Stdout)
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().IntVarP(&d.workers, "workers", "w", max(runtime.NumCPU(), 2), "renderer processes")
	cmd.Flags().StringVar(&size, "size", "1280x800", "of the picture, in pixels")
	cmd.Flags().StringVar(&d.out, "out", "arbiter-demo.png", "where to write the picture")
	cmd.Flags().BoolVar(&quiet, "no-picture", false, "do not show the picture in the terminal")
	return cmd
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
	fmt.Fprintf(d.app.err, "%d renderers, each in a process of its own; a canvas in a goroutine\n", d.workers)
	d.total = len(d.view.tiles(tileSide))
	progress := d.progress()
	err = d.render(ctx)
	progress()
	if err != nil {
		return err
	}
	return d.finish(ctx, began)
}

// render has every tile rendered and put in its place.
func (d *demo) render(ctx context.Context) error {
	tiles := d.view.tiles(tileSide)
	work := make(chan tile, len(tiles))
	for _, t := range tiles {
		work <- t
	}
	close(work)
	var wg sync.WaitGroup
	errs := make([]error, d.workers)
	for n := range d.workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[n] = d.serve(ctx, fmt.Sprintf("renderer-%d", n+1), work)
		}()
	}
	wg.Wait()
	return errors.Join(errs...)
}

// serve keeps one renderer busy. When it dies, another takes its place, and the
// tile it was at is rendered again.
func (d *demo) serve(ctx context.Context, name string, work <-chan tile) error {
	worker, err := d.arb.Spawn(ctx, renderer, actor.Process(), actor.Name(name))
	if err != nil {
		return err
	}
	for t := range work {
		for {
			p, err := render.Call(ctx, worker, t)
			if errors.Is(err, actor.ErrDown) && ctx.Err() == nil && d.retried.Add(1) <= maxRetries {
				if worker, err = d.arb.Spawn(ctx, renderer, actor.Process(), actor.Name(name)); err != nil {
					return err
				}
				continue
			}
			if err != nil {
				return err
			}
			if _, err := put.Call(ctx, d.canvas, placed{t, p, name}); err != nil {
				return err
			}
			d.done.Add(1)
			break
		}
	}
	return nil
}

// maxRetries is how many tiles may be rendered again before something is taken to
// be wrong with all of them.
const maxRetries = 1000

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
		done, total := int(d.done.Load()), max(d.total, 1)
		if tty {
			const width = 40
			fmt.Fprintf(d.app.err, "\r[%-*s] %d of %d tiles ", width, bar(done*width/total), done, d.total)
		} else {
			fmt.Fprintf(d.app.err, "%d of %d tiles\n", done, d.total)
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

func bar(n int) string {
	const full = "########################################"
	return full[:min(max(n, 0), len(full))]
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
		return fmt.Errorf("the picture could not be written: %w\n  write it elsewhere:  --out /tmp/demo.png", err)
	}
	if d.picture {
		lines, err := look.Call(ctx, d.canvas, 78)
		if err != nil {
			return err
		}
		for _, line := range lines {
			fmt.Fprintln(d.app.out, line)
		}
	}
	fmt.Fprintf(d.app.err, "every one of %d tiles came exactly once, in %v", l.Tiles, time.Since(began).Round(10*time.Millisecond))
	if n := d.retried.Load(); n > 0 {
		fmt.Fprintf(d.app.err, "; %d were rendered again because their renderer died", n)
	}
	fmt.Fprintln(d.app.err)
	fmt.Fprintln(d.app.out, d.out)
	return nil
}

// isTerminal reports whether f is one.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" && info.Mode().Type()&os.ModeDevice != 0 && f.Name() != os.DevNull
}
