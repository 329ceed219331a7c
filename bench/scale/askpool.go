package main

import (
	"context"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

type askPoolArgs struct {
	InFlight   int
	For, Limit time.Duration
}

// spread is how a pool's workers were asked.
type spread struct {
	Calls       calls
	Workers     int // that were asked at all
	Most, Least int
}

// askPool asks a pool who answers, again and again.
func (c *crowd) askPool(ctx context.Context, in askPoolArgs) (spread, error) {
	ctx, cancel := context.WithTimeout(ctx, in.For+in.Limit+outcomeGrace)
	defer cancel()
	var l ledger
	var all sync.WaitGroup
	asked := make([]map[string]int, in.InFlight)
	began := time.Now()
	for i := range asked {
		mine := map[string]int{}
		asked[i] = mine
		all.Go(func() {
			for time.Since(began) < in.For {
				limited, cancel := context.WithTimeout(c.members[0].Context(context.Background()), in.Limit)
				l.begin()
				before := time.Now()
				name, err := who.Call(limited, actor.To(poolName), actor.None{})
				l.end(err, time.Since(before))
				cancel()
				if err == nil {
					mine[name]++
				}
			}
		})
	}
	r := spread{Calls: l.close(ctx, &all, began)}
	if r.Calls.Outcomes[outcomeNone] > 0 {
		return r, nil // those who still wait still count
	}
	sum := map[string]int{}
	for _, mine := range asked {
		for name, n := range mine {
			sum[name] += n
		}
	}
	r.Workers = len(sum)
	for _, n := range sum {
		r.Most = max(r.Most, n)
		if r.Least == 0 {
			r.Least = n
		}
		r.Least = min(r.Least, n)
	}
	return r, nil
}
