package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// calls is what became of calls: how many came to which end, "value" or an error code.
// Those that had none within the time they were given are "none".
type calls struct {
	Outcomes      map[string]int
	P50, P99, Max time.Duration // of those with an outcome
	Took          time.Duration // all of them
	Sample        []string      // some of the errors
	times         []time.Duration
}

const (
	outcomeValue = "value"
	outcomeNone  = "none"
)

func (c *calls) count() int {
	n := 0
	for _, k := range c.Outcomes {
		n += k
	}
	return n
}

func (c *calls) outcomes() []string { return slices.Sorted(maps.Keys(c.Outcomes)) }

// failed returns an error if a call came to another end than allowed.
func (c *calls) failed(of string, allowed ...string) error {
	for _, o := range c.outcomes() {
		if !slices.Contains(allowed, o) {
			return fmt.Errorf("%s: %d calls came to %q: %v", of, c.Outcomes[o], o, c.Sample)
		}
	}
	return nil
}

// merge adds others.
func (c *calls) merge(others ...calls) {
	for _, o := range others {
		for k, n := range o.Outcomes {
			c.note(k, n)
		}
		c.P50, c.P99, c.Max, c.Took = max(c.P50, o.P50), max(c.P99, o.P99), max(c.Max, o.Max), max(c.Took, o.Took)
		c.Sample = append(c.Sample, o.Sample...)
	}
}

func (c *calls) note(outcome string, n int) {
	if c.Outcomes == nil {
		c.Outcomes = map[string]int{}
	}
	c.Outcomes[outcome] += n
}

// ledger takes down calls from many goroutines.
type ledger struct {
	mu    sync.Mutex
	begun int
	calls calls
}

// begin notes that a call is made.
func (l *ledger) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
}

// end notes its outcome.
func (l *ledger) end(err error, took time.Duration) {
	outcome := outcomeValue
	var failed *actor.Error
	if errors.As(err, &failed) {
		outcome = string(failed.Code)
		if failed.App != "" {
			outcome += ": " + failed.App // of the call that the handler made
		}
	} else if err != nil {
		outcome = "an error without a code"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls.note(outcome, 1)
	if len(l.calls.times) < 1<<20 {
		l.calls.times = append(l.calls.times, took)
	}
	if err != nil && len(l.calls.Sample) < 3 {
		l.calls.Sample = append(l.calls.Sample, err.Error())
	}
}

// close waits for all, at most until ctx ends, and returns what became of them.
func (l *ledger) close(ctx context.Context, all *sync.WaitGroup, began time.Time) calls {
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.calls
	c.Outcomes = maps.Clone(c.Outcomes)
	if without := l.begun - c.count(); without > 0 {
		c.note(outcomeNone, without)
	}
	c.Took = time.Since(began)
	if len(c.times) > 0 {
		times := slices.Sorted(slices.Values(c.times))
		c.P50, c.P99, c.Max = times[len(times)/2], times[len(times)*99/100], times[len(times)-1]
	}
	return c
}
