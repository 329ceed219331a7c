package arbiter

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// gate keeps whoever has just chosen a worker apart from who takes it out of the
// pool: a worker is asked to stop only when nothing is on its way to it.
type gate struct {
	entering atomic.Int64
	closed   atomic.Bool
}

// enter reports whether a message may be handed to the worker; then leave is to be
// called once it was.
func (g *gate) enter() bool {
	g.entering.Add(1)
	if g.closed.Load() {
		g.entering.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.entering.Add(-1) }

// drainTime bounds how long a worker that takes no more may be busy with what it
// has, before it is asked to stop regardless.
const drainTime = 30 * time.Second

// drain waits until i, which gets no more messages from its pool, has got and
// answered those it was given.
func (i *incarnation) drain(ctx context.Context) {
	i.gate.closed.Store(true)
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	wait := 100 * time.Microsecond
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for i.busy() {
		select {
		case <-timer.C:
		case <-i.ended.until():
			return
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, 20*time.Millisecond)
		timer.Reset(wait)
	}
}

// busy reports whether something is on its way to i or waits for its answer.
func (i *incarnation) busy() bool {
	if i.gate.entering.Load() > 0 || i.calls().Len() > 0 {
		return true
	}
	return i.session != nil && i.session.conn.Stats().Queued[peer.Data] > 0
}

// retire drains i, asks it to stop and waits until it has. When it does not, its own
// grace ends it; ctx only ends the wait.
func (i *incarnation) retire(ctx context.Context, reason string) {
	i.asked.Store(true)
	if !i.embryoless() {
		i.stop(reason)
	} else {
		i.drain(ctx)
		i.stop(reason)
	}
	select {
	case <-i.ended.until():
	case <-ctx.Done():
	}
}

// replace puts another incarnation into the slot: the new one is started first, and
// takes over when it is ready, unless both could not live at the same time.
func (s *slot) replace(ctx context.Context, reason string) error {
	r := s.row
	r.mu.Lock()
	old := s.current
	switch {
	case r.over || s.removed:
		r.mu.Unlock()
		return wire.Errorf(wire.CodeClosed, "%q is stopping", r.name).NotStarted()
	case old == nil || !old.embryoless():
		r.mu.Unlock()
		i, failed := s.start()
		if failed != nil {
			return failed
		}
		return r.arb.awaitReady(ctx, i)
	case s.successor != nil:
		r.mu.Unlock()
		return wire.Errorf(wire.CodeRefused, "%q is being replaced already", s.name).NotStarted()
	case s.alone():
		r.mu.Unlock()
		return s.stopAndStart(ctx, old, reason)
	}
	next := s.incarnate()
	s.successor = next
	r.arb.registry.claim(next.aid, next)
	r.mu.Unlock()
	next.begin()
	if err := r.arb.awaitReady(ctx, next); err != nil {
		return err
	}
	r.mu.Lock()
	if s.current == next { // the old one has ended meanwhile
		r.mu.Unlock()
		return nil
	}
	if s.successor != next || r.over || s.removed || s.held {
		r.mu.Unlock()
		next.stop(reason)
		return errors.New("its successor has ended")
	}
	s.successor, s.current = nil, next
	s.restarts++
	r.changed()
	r.arb.registry.handOver(s.name, old, next)
	r.mu.Unlock()
	old.retire(ctx, reason)
	return nil
}

// alone reports whether there can be only one incarnation in the slot at a time: a
// supervised actor of its own, and a program of which nothing is known, not even
// that it is ready. With sockets handed to it, it can share.
func (s *slot) alone() bool {
	p := s.row.pool
	return p == nil || s.args.Silent && len(p.files) == 0
}

// stopAndStart ends old and waits for who follows.
func (s *slot) stopAndStart(ctx context.Context, old *incarnation, reason string) error {
	old.retire(ctx, reason)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.row.mu.Lock()
	next, status := s.current, s.reason
	s.row.mu.Unlock()
	if next == nil {
		i, failed := s.start()
		if failed != nil {
			return fmt.Errorf("%w (%s)", failed, status)
		}
		next = i
	}
	next.begin()
	return s.row.arb.awaitReady(ctx, next)
}

// restart answers the command restart.
func (a *Arbiter) restart(ctx context.Context, target actor.Ref) ([]string, error) {
	name := address(target)
	if r := a.rowOf(name); r != nil {
		return r.roll(ctx, "a restart was asked for")
	}
	s := a.slotNamed(name)
	if s == nil {
		if i := a.resolve([]byte(name)); i != nil && i.slot != nil {
			s = i.slot
		} else if i != nil {
			return nil, wire.Errorf(wire.CodeRefused, "%q is not supervised: nobody would start it again; spawn it with a restart policy, or in a pool", name).NotStarted()
		} else {
			return nil, a.unknownActor(name)
		}
	}
	if err := s.replace(context.WithoutCancel(ctx), "a restart was asked for"); err != nil {
		return nil, err
	}
	return []string{s.name}, nil
}

// roll replaces what is in the slots of r, one after the other. It goes on when ctx
// has ended, since half a restart is worse than one nobody waits for; it ends at the
// first slot that cannot be replaced.
func (r *row) roll(ctx context.Context, reason string) ([]string, error) {
	r.mu.Lock()
	slots := append([]*slot(nil), r.slots...)
	if r.group.GaveUp() {
		r.group.Reset()
	}
	r.mu.Unlock()
	type outcome struct {
		done []string
		err  error
	}
	result := make(chan outcome, 1)
	began := r.arb.background(func() {
		var o outcome
		for _, s := range slots {
			limit := drainTime + 2*r.arb.options.StartTimeout + s.args.StartTimeout + s.args.Grace
			each, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
			o.err = s.replace(each, reason)
			cancel()
			if o.err != nil {
				o.err = fmt.Errorf("%s was not replaced, and those after it were left alone: %w", s.name, o.err)
				break
			}
			o.done = append(o.done, s.name)
		}
		result <- o
	})
	if !began {
		return nil, wire.Errorf(wire.CodeClosed, "the arbiter is stopping").NotStarted()
	}
	select {
	case o := <-result:
		return o.done, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// address is what a Ref of a command to the arbiter means.
func address(r actor.Ref) string {
	if r.AID != "" {
		return r.AID
	}
	return r.Name
}
