package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Options say what to measure and for how long.
type Options struct {
	Set     Set
	Figures []Figure      // nil: all
	Rounds  int           // turns of every peer at every figure; 0: 5
	Work    Work          // of a turn
	Warm    time.Duration // how long a peer works before its first turn; 0: a quarter of Work.Each

	// Budget, if not 0, is how long all may take: turns are made as short as it asks,
	// Work.Each being the longest they may be.
	Budget time.Duration
	// Progress, if not nil, is told what is measured now.
	Progress func(f Figure, round, rounds int)
}

// turnMin is the shortest turn that says anything.
const turnMin = 30 * time.Millisecond

// Cell is all that was measured of one peer at one figure.
type Cell struct {
	Info    Info
	Figure  Figure
	Results []Result // by round; fewer than asked if it failed or time was up
	Err     error    // why there are fewer
	NoTell  bool     // the peer has no such messages
}

// Run measures. It returns what it has when ctx ends, with ctx's error; the error
// of one peer ends only that peer's part of one figure. When it returns, every
// process it started has ended.
func Run(ctx context.Context, o Options) ([]Cell, error) {
	if o.Figures == nil {
		o.Figures = Figures()
	}
	if o.Rounds <= 0 {
		o.Rounds = 5
	}
	o.Work.Each = o.each()
	if o.Warm <= 0 {
		o.Warm = o.Work.Each / 4
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var all []Cell
	for i, f := range o.Figures {
		sub := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(sub, 0o700); err != nil {
			return all, err
		}
		all = append(all, o.figure(ctx, f, sub)...)
		if err := ctx.Err(); err != nil {
			return all, err
		}
	}
	return all, nil
}

// infos returns those that can be measured at f.
func (o *Options) infos(f Figure) []Info {
	var all []Info
	if f.Shape.Local() {
		for _, l := range o.Set.Locals {
			all = append(all, l.Info())
		}
		return all
	}
	for _, p := range o.Set.Peers {
		all = append(all, p.Info())
	}
	return all
}

// startCost is what it takes to start and end the processes of one peer.
const startCost = 250 * time.Millisecond

// each returns how long a turn is to be.
func (o *Options) each() time.Duration {
	each := o.Work.each()
	if o.Budget <= 0 {
		return each
	}
	crews := 0
	for _, f := range o.Figures {
		for _, info := range o.infos(f) {
			if info.Missing == "" {
				crews++
			}
		}
	}
	if crews == 0 {
		return each
	}
	// A round more, for warming up and for what is under way at the end of a turn.
	left := o.Budget - time.Duration(crews)*startCost
	return max(min(each, left/time.Duration(crews*(o.Rounds+1))), turnMin)
}

// figure measures all peers at f, by turns.
func (o *Options) figure(ctx context.Context, f Figure, dir string) []Cell {
	infos := o.infos(f)
	cells := make([]Cell, len(infos))
	crews := make([]*crew, len(infos))
	defer func() {
		for _, c := range crews {
			if c != nil {
				c.dismiss()
			}
		}
	}()
	fail := func(i int, err error) {
		if errors.Is(err, ErrNoTell) {
			cells[i].NoTell = true
		} else {
			cells[i].Err = err
		}
		if crews[i] != nil {
			crews[i].dismiss()
			crews[i] = nil
		}
	}
	for i, info := range infos {
		cells[i] = Cell{Info: info, Figure: f}
		if info.Missing != "" || ctx.Err() != nil {
			continue
		}
		sub := filepath.Join(dir, fmt.Sprint(i))
		err := os.Mkdir(sub, 0o700)
		if err == nil {
			crews[i], err = assemble(ctx, info, f, sub)
		}
		if err == nil {
			_, err = crews[i].turn(ctx, Work{Each: o.Warm, Count: o.Work.Count, Verify: o.Work.Verify})
		}
		if err != nil {
			fail(i, err)
		}
	}
	for round := range o.Rounds {
		if o.Progress != nil {
			o.Progress(f, round, o.Rounds)
		}
		for _, i := range order(len(infos), round) {
			if crews[i] == nil || ctx.Err() != nil {
				continue
			}
			r, err := crews[i].turn(ctx, o.Work)
			if err != nil {
				fail(i, err)
				continue
			}
			cells[i].Results = append(cells[i].Results, r)
		}
	}
	return cells
}

// order returns who is measured when in a round. Rounds begin with another each,
// and go forwards and backwards by turns, so that nobody always follows the same
// one.
func order(n, round int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = (i + round) % n
	}
	if round%2 == 1 {
		slices.Reverse(all)
	}
	return all
}
