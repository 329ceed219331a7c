package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// How long the pools may take to be whole again, and after which time it is looked
// whether a worker that was struck lives on: somebody may have thawed it.
const (
	healTime  = 15 * time.Second
	healEvery = 20 * time.Millisecond
	overdue   = 2 * (silence + budget)
)

// heal waits until every slot has a worker, and nobody is left who was struck and
// lives on. It returns what happened until then, and what is amiss, if that takes too
// long or time does not help.
func (d *demo) heal(ctx context.Context) (sums totals, ill []string, err error) {
	timer := time.NewTimer(healTime)
	defer timer.Stop()
	tick := time.NewTicker(healEvery)
	defer tick.Stop()
	for {
		var hope bool
		sums, ill, hope, err = d.ill(ctx)
		if err != nil || !hope {
			return sums, ill, err
		}
		select {
		case <-tick.C:
		case <-timer.C:
			return sums, ill, nil
		case <-ctx.Done():
			return sums, nil, context.Cause(ctx)
		}
	}
}

// ill says what happened, what is not as it should be, and whether that may pass.
func (d *demo) ill(ctx context.Context) (sums totals, ill []string, hope bool, err error) {
	slots := make(map[string]bool) // whether somebody is in it, or to be
	for _, pool := range [...]string{renderPool, colourPool} {
		in, err := actor.InspectActor.Call(ctx, actor.Arbiter, actor.To(pool))
		if errors.Is(err, actor.ErrUnknownActor) || err == nil && in.Pool == nil {
			ill = append(ill, fmt.Sprintf("the pool %s is gone", pool))
			continue
		}
		if err != nil {
			return sums, nil, false, err
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
	wounds, sums := d.story.told()
	for _, w := range wounds {
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
	return sums, ill, hope, nil
}

// feel looks whether a worker lives.
func (d *demo) feel(ctx context.Context, v victim) {
	ctx, cancel := context.WithTimeout(ctx, beat)
	defer cancel()
	if _, err := actor.Echo.Call(ctx, actor.Ref{AID: v.AID}, "alive?"); err == nil {
		d.story.survived(v)
	}
}
