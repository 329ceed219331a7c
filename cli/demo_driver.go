package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// driver has frames made: each tile is rendered by one pool, coloured by another
// and put in its place. A call that ends with a death is made again, since the
// arbiter never does that by itself: only who called knows whether it may be.
type driver struct {
	// fixed
	size    size
	workers int
	canvas  actor.Ref
	again   func(slot string, d actor.Death) // is told of each call made again

	frames atomic.Int64 // complete
	tiles  atomic.Int64 // in their places

	halted chan struct{} // closed when a tile is lost

	mu   sync.Mutex     // guards what follows
	lost []error        // why tiles could not be had, the first maxLost
	done map[string]int // how many tiles each worker has rendered, or coloured
}

func newDriver(s size, workers int, canvas actor.Ref, again func(slot string, d actor.Death)) *driver {
	return &driver{size: s, workers: workers, canvas: canvas, again: again, halted: make(chan struct{}), done: map[string]int{}}
}

// The names of the pools.
const (
	renderPool = "render"
	colourPool = "colour"
)

// The pace.
const (
	frameEvery = time.Second / 15 // at most; the zoom is as fast everywhere
	roomFor    = 12 << 20         // pixels of frames under way
	mostFrames = 24               // of them
)

// window is how many frames may be under way: a tile that waits for a worker to be
// found dead holds up its own frame only.
func (s size) window() int { return min(max(roomFor/(s.width*s.height), 2), mostFrames) }

// run makes frames until enough is closed, and finishes those that were begun; one
// at least. A tile that cannot be had is lost, and no frame is begun any more. The
// error is what else went wrong.
func (d *driver) run(ctx context.Context, enough <-chan struct{}) error {
	work, window := make(chan tile), make(chan struct{}, d.size.window())
	var wg sync.WaitGroup
	for range 2 * (d.workers + coloursAt) { // one at work and one that waits, for each
		wg.Go(func() {
			for t := range work {
				if complete, err := d.make(ctx, t); err != nil {
					d.lose(fmt.Errorf("%v: %w", t, err))
				} else if complete {
					<-window
				}
			}
		})
	}
	err := d.feed(ctx, work, window, enough)
	close(work)
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// feed begins one frame after the other, and hands out their tiles.
func (d *driver) feed(ctx context.Context, work chan<- tile, window chan<- struct{}, enough <-chan struct{}) error {
	pace := time.NewTicker(frameEvery)
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case window <- struct{}{}:
		case <-enough:
			return nil
		case <-d.halted:
			return nil
		case <-ctx.Done():
			return nil
		}
		v := d.size.frame(n)
		if _, err := begin.Call(ctx, d.canvas, opening{n, v}); err != nil {
			return ledgerGone(fmt.Errorf("frame %d could not be begun: %w", n, err))
		}
		for _, t := range v.tiles(n, tileSide) {
			select {
			case work <- t:
			case <-ctx.Done():
				return nil
			}
		}
		select {
		case <-pace.C:
		case <-enough:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// make has one tile made.
func (d *driver) make(ctx context.Context, t tile) (complete bool, err error) {
	r, err := repeat(ctx, d, renderPool, func(ctx context.Context, pool actor.Ref) (rendered, error) { return render.Call(ctx, pool, t) })
	if err != nil {
		return false, err
	}
	p, err := repeat(ctx, d, colourPool, func(ctx context.Context, pool actor.Ref) (pixels, error) { return tint.Call(ctx, pool, r) })
	if err != nil {
		return false, err
	}
	if complete, err = put.Call(ctx, d.canvas, placed{t, p, r.By}); err != nil {
		return false, err
	}
	d.mu.Lock()
	d.done[r.By]++
	d.done[p.By]++
	d.mu.Unlock()
	d.tiles.Add(1)
	if complete {
		d.frames.Add(1)
	}
	return complete, nil
}

// maxTries is how often a call is made before its tile is taken to be what kills
// the workers.
const maxTries = 25

// repeat makes a call to a pool until it ends otherwise than with the death of a
// worker. The death of the pool itself is no reason to go on.
func repeat[T any](ctx context.Context, d *driver, pool string, call func(context.Context, actor.Ref) (T, error)) (T, error) {
	for try := 1; ; try++ {
		v, err := call(ctx, actor.To(pool))
		var down *actor.DownError
		if !errors.As(err, &down) || down.Err.Target == pool || ctx.Err() != nil {
			return v, err
		}
		if try == maxTries {
			return v, fmt.Errorf("%d workers ended over it, the last like this: %w", maxTries, err)
		}
		d.again(down.Err.Target, down.Death)
	}
}

// maxLost bounds what is kept of what went wrong; the ledger knows all tiles.
const maxLost = 3

func (d *driver) lose(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.lost) == 0 {
		close(d.halted)
	}
	if len(d.lost) < maxLost {
		d.lost = append(d.lost, err)
	}
}

// whyLost returns why tiles could not be had: the first of them.
func (d *driver) whyLost() []error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lost)
}

// from returns how many tiles a worker has rendered, or coloured.
func (d *driver) from(slot string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.done[slot]
}

// coloured returns how many tiles were coloured by whom.
func (d *driver) coloured() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	by := make(map[string]int)
	for slot, n := range d.done {
		if strings.HasPrefix(slot, colourPool+"/") {
			by[slot] = n
		}
	}
	return by
}
