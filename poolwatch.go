package arbiter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// watch looks whether the pool has the right size and whether a worker has done
// enough. It runs as often as watchEvery says.
func (p *pool) watch(ctx context.Context) {
	p.recycleOne()
	if p.args.Max > 0 {
		p.autoscale()
	}
}

// idleBefore is how long a pool has had nothing to do before it shrinks.
const idleBefore = 30 * time.Second

// growPause is how long one worker more has, at least, to show that it is enough.
const growPause = time.Second

// autoscale has one worker more, when messages wait for too long, or one less, when
// there was nothing to do.
func (p *pool) autoscale() {
	members := *p.members.Load()
	oldest, busy := time.Duration(0), false
	for _, i := range members {
		oldest = max(oldest, i.queueAge())
		busy = busy || i.calls().Len() > 0 || oldest > 0
	}
	p.mu.Lock()
	now := time.Now()
	if busy || p.idle.IsZero() {
		p.idle = now
	}
	n, step := p.wanted, 0
	why := ""
	switch {
	case oldest >= p.args.QueueAge && n < p.args.Max && p.settled(members) && now.Sub(p.grown) >= max(growPause, p.args.QueueAge):
		step = 1
		p.grown = now
		why = fmt.Sprintf("a message has waited for %v", oldest.Round(time.Millisecond))
	case now.Sub(p.idle) >= idleBefore && n > p.args.Min:
		step = -1
		p.idle = now
		why = fmt.Sprintf("there was nothing to do for %v", idleBefore)
	}
	p.mu.Unlock()
	if why == "" {
		return
	}
	p.row.arb.background(func() {
		ctx, cancel := context.WithTimeout(context.Background(), p.row.arb.options.StartTimeout+drainTime)
		defer cancel()
		// A step, since somebody else may have changed the size meanwhile.
		if _, err := p.scale(ctx, actor.ScaleArgs{Delta: step}, why); err != nil {
			p.row.arb.log.Warn("a pool could not change its size", "pool", p.args.Name, "workers", n+step, "error", err)
		}
	})
}

// settled reports whether all who were added are at work: one at a time.
func (p *pool) settled(members []*incarnation) bool {
	for _, i := range members {
		if !i.readyNow() && !i.slot.hasFailed() {
			return false
		}
	}
	return true
}

// hasFailed reports whether somebody has been in the slot before: who follows may never be
// ready, and is not waited for.
func (s *slot) hasFailed() bool {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	return s.restarts > 0
}

// queueAge is how long the oldest message that waits for i has waited, roughly.
func (i *incarnation) queueAge() time.Duration {
	if i.cell != nil {
		return i.cell.Status().Oldest
	}
	return i.session.queueAge()
}

// quota is what one incarnation may do before it is recycled: drawn once, so that
// those of a pool differ.
type quota struct {
	drawn    bool
	messages uint64
	age      time.Duration
	memory   int64
}

// drawQuota draws i's own bounds.
func (i *incarnation) drawQuota(r actor.Recycle) quota {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.recycle.drawn {
		return i.recycle
	}
	jitter := r.Jitter
	if jitter == 0 {
		jitter = 0.1
	}
	factor := 1.0
	if jitter > 0 {
		factor += jitter * (2*rand.Float64() - 1)
	}
	i.recycle = quota{
		drawn: true, messages: uint64(float64(r.Messages) * factor),
		age: time.Duration(float64(r.Age) * factor), memory: int64(float64(r.Memory) * factor),
	}
	if r.Messages > 0 {
		i.recycle.messages = max(i.recycle.messages, 1)
	}
	return i.recycle
}

// spentBy says why i has done enough, or "".
func (i *incarnation) spentBy(r actor.Recycle) string {
	q := i.drawQuota(r)
	info := i.info()
	switch {
	case q.messages > 0 && info.Started >= q.messages:
		return fmt.Sprintf("it has handled %d messages", info.Started)
	case q.age > 0 && info.Uptime >= q.age:
		return fmt.Sprintf("it is %v old", info.Uptime.Round(time.Second))
	case q.memory > 0 && info.RSS >= q.memory:
		return fmt.Sprintf("it uses %d MiB", info.RSS>>20)
	}
	return ""
}

// recycleOne replaces a worker that has done enough, one at a time.
func (p *pool) recycleOne() {
	if p.args.Recycle == (actor.Recycle{}) || !p.rolling.CompareAndSwap(false, true) {
		return
	}
	for _, i := range *p.members.Load() {
		if !i.readyNow() || i.slot == nil || !i.slot.mayRecycle() {
			continue
		}
		why := i.spentBy(p.args.Recycle)
		if why == "" {
			continue
		}
		a := p.row.arb
		if !i.slot.recycleFails() {
			a.events.add(actor.Event{Type: "recycling", Actor: i.ref(), Kind: i.kind(), Text: why})
		}
		began := a.background(func() {
			defer p.rolling.Store(false)
			ctx, cancel := context.WithTimeout(context.Background(), drainTime+2*i.startTimeout())
			defer cancel()
			err := i.slot.replace(ctx, "recycled: "+why, false)
			if errors.Is(err, errRetired) || err != nil && i.slot.absent() {
				return // that is no failure
			}
			if first, again := i.slot.recycled(err); first {
				a.events.add(actor.Event{Type: "recycle_failed", Actor: i.ref(), Kind: i.kind(), Text: err.Error()})
				a.log.Warn("a worker could not be recycled, and goes on; this is tried again, less and less often", "actor", i.label(), "after", again, "error", err)
			}
		})
		if began {
			return
		}
	}
	p.rolling.Store(false)
}

// failing is a row of tries that failed: the next one waits, for longer each time.
type failing struct {
	wait time.Duration // 0: the last one did not fail
	due  time.Time
}

// mayRecycle reports whether it is time to try to replace who is in the slot.
func (s *slot) mayRecycle() bool {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	return !time.Now().Before(s.failing.due)
}

// recycleFails reports whether the last try failed.
func (s *slot) recycleFails() bool {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	return s.failing.wait > 0
}

// recycled takes the outcome of a try. It reports whether this is the first one that
// failed, and after how long there is another one.
func (s *slot) recycled(err error) (first bool, again time.Duration) {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	f, policy := &s.failing, s.row.group.Policy()
	if err == nil {
		*f = failing{}
		return false, 0
	}
	first = f.wait == 0
	f.wait = min(max(2*f.wait, policy.MinBackoff), policy.MaxBackoff)
	f.due = time.Now().Add(f.wait)
	return first, f.wait
}
