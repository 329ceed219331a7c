package arbiter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// gate keeps whoever has just found who is in a slot, by its name or as one of a pool,
// apart from who takes it out of there: it is asked to stop only when nothing is on
// its way to it. It is closed once who follows can be found, or that nobody does.
type gate struct {
	entering atomic.Int64
	closed   atomic.Bool
}

// enter reports whether a message may be handed over; then leave is to be called once
// it was.
func (g *gate) enter() bool {
	g.entering.Add(1)
	if g.closed.Load() {
		g.entering.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.entering.Add(-1) }

// drainTime bounds how long a worker that takes no more, and has answered all calls, may be
// busy with what it was sent one way, before it is asked to stop regardless.
const drainTime = 30 * time.Second

// drain waits until i, which gets no more messages by its name or from its pool, has
// got and answered those it was given: all calls, each of which ends by its deadline.
func (i *incarnation) drain() {
	i.gate.closed.Store(true)
	i.until(context.Background(), func() bool { return i.calls().Len() == 0 })
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	i.until(ctx, func() bool { return !i.busy() })
}

// dismiss asks i, which another one or nobody follows, to stop, as soon as nothing is
// on its way to it: the stop would overtake that. It does not wait.
func (i *incarnation) dismiss(reason string) {
	i.asked.Store(true)
	i.gate.closed.Store(true)
	if !i.embryoless() || !i.expects() {
		i.stop(reason)
		return
	}
	began := i.arb.background(func() {
		ctx, cancel := context.WithTimeout(context.Background(), i.grace())
		defer cancel()
		i.until(ctx, func() bool { return !i.expects() })
		i.stop(reason)
	})
	if !began {
		i.stop(reason)
	}
}

// until waits for a state of i, its end, or the end of ctx.
func (i *incarnation) until(ctx context.Context, done func() bool) {
	wait := 100 * time.Microsecond
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for !done() {
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

// expects reports whether something is on its way to i.
func (i *incarnation) expects() bool {
	return i.gate.entering.Load() > 0 || i.session != nil && i.session.conn.Stats().Queued[peer.Data] > 0
}

// busy reports whether something is on its way to i, or waits there to be begun or
// answered.
func (i *incarnation) busy() bool {
	if i.expects() || i.calls().Len() > 0 {
		return true
	}
	if i.cell == nil {
		return false
	}
	waiting, _, _ := i.cell.Inbox()
	return waiting > 0
}

// retire drains i and then asks it to stop, in nobody's time: what it has to answer is
// others'. When it does not stop, its own grace ends it. It does not wait.
func (i *incarnation) retire(reason string) {
	i.asked.Store(true)
	i.gate.closed.Store(true)
	began := i.arb.background(func() {
		if i.busy() { // if it has not begun: what it was given waits for that
			for before := i.slot.before(i); before != nil && !i.embryoless(); before = i.slot.before(i) {
				<-before.ended.until()
			}
			i.begin()
		}
		if i.embryoless() {
			i.drain()
		}
		i.stop(reason)
	})
	if !began {
		i.stop("the arbiter has stopped")
	}
}

// replace puts another incarnation into the slot: the new one is started first, and
// takes over when it is ready, unless both could not live at the same time. If it is
// being replaced already, that is what is waited for. Who was stopped by hand is started if
// the restart is byName, and else left alone.
func (s *slot) replace(ctx context.Context, reason string, byName bool) error {
	r := s.row
	r.mu.Lock()
	old := s.current
	switch {
	case r.over || s.removed:
		failed := s.goneError()
		r.mu.Unlock()
		return failed
	case old == nil || !old.embryoless() || old.isEnding():
		r.mu.Unlock()
		i, err := s.start(ctx, !byName)
		if err != nil {
			return err
		}
		_, err = r.arb.awaitIn(ctx, i)
		return err
	case s.alone():
		next := s.giveWay(0, leaver{})
		r.mu.Unlock()
		old.retire(reason) // who waits in the slot begins when it has ended
		_, err := r.arb.awaitIn(ctx, next)
		return err
	}
	next := s.successor
	if next == nil {
		next = s.incarnate()
		s.successor = next
		r.arb.registry.claim(next.aid, next)
	}
	r.mu.Unlock()
	over, failed := r.arb.waitFor(ctx, next)
	if failed != nil { // it has begun, for somebody else's restart
		return failed.With(wire.StartedYes)
	}
	next.begin()
	last, err := r.arb.awaitIn(ctx, next)
	over()
	if d := old.howEnded(); err != nil && d != nil && d.Final {
		return errRetired
	}
	if err != nil || last != next { // which fell with the others: who is there instead has replaced both
		return err
	}
	old, err = s.promote(next)
	if now := s.inPlaceOf(next); err != nil && now != nil {
		_, err := r.arb.awaitIn(ctx, now)
		return err
	}
	if err != nil {
		next.stop(reason)
		return err
	}
	if old != nil {
		old.retire(reason)
		select {
		case <-old.ended.until():
		case <-ctx.Done():
		}
	}
	return nil
}

// errRetired is why who said so is not replaced.
var errRetired = errors.New("it asked not to be started again while its successor was starting")

// promote gives the slot to its successor, who is ready. It returns whom that has
// replaced; nil if it has it already, or the old one has ended.
func (s *slot) promote(next *incarnation) (old *incarnation, err error) {
	r := s.row
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.current == next {
		return nil, nil
	}
	if s.successor != next || r.over || s.removed || s.held {
		return nil, errors.New("its successor has ended")
	}
	old = s.current
	s.successor, s.current = nil, next
	s.restarts++
	r.leaving[old] = leaver{from: s}
	r.changed()
	r.arb.registry.handOver(s.name, old, next)
	old.gate.closed.Store(true) // last: whom it turns away finds the new one
	return old, nil
}

// absent reports whether there is nothing in the slot that a restart of all would be
// meant for.
func (s *slot) absent() bool {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	return !s.row.over && (s.removed || s.held)
}

// alone reports whether there can be only one incarnation in the slot at a time: a
// supervised actor of its own, and a program of which nothing is known, not even
// that it is ready. With sockets handed to it, it can share.
func (s *slot) alone() bool {
	p := s.row.pool
	return p == nil || s.args.Silent && len(p.files) == 0
}

// restart answers the command restart.
func (a *Arbiter) restart(ctx context.Context, target actor.Ref) ([]string, error) {
	name := address(target)
	if r := a.rowOf(name); r != nil && r.pool != nil {
		if failed := a.ownEnd(ctx, r.holds); failed != nil {
			return nil, failed
		}
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
	if failed := a.ownEnd(ctx, s.holds); failed != nil {
		return nil, failed
	}
	if err := s.replace(context.WithoutCancel(ctx), "a restart was asked for", true); err != nil {
		return nil, err
	}
	return []string{s.name}, nil
}

// roll replaces what is in the slots of r, one after the other. It goes on when ctx
// has ended, since half a restart is worse than one nobody waits for; it ends at the
// first slot that cannot be replaced. Slots that were removed since, or stopped by
// hand, are left out.
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
			if s.absent() {
				continue
			}
			limit := drainTime + 2*r.arb.options.StartTimeout + s.args.StartTimeout + s.args.Grace
			each, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
			err := s.replace(each, reason, false)
			cancel()
			if err != nil && (s.absent() || errors.Is(err, errRetired)) {
				continue
			}
			if err != nil {
				failed := *wire.AsError(err, wire.CodeApp)
				failed.Message = fmt.Sprintf("%s was not replaced, and those after it were left alone: %s", s.name, cmp.Or(failed.Message, err.Error()))
				o.err = &failed
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
