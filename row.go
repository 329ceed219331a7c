package arbiter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
	"github.com/arbiter-go/arbiter/supervise"
)

// row is the slots that one policy decides for: those of a pool, or the only one of
// a supervised actor.
type row struct {
	// fixed
	arb  *Arbiter
	name string
	pool *pool // nil: of a single actor

	mu      sync.Mutex // guards what follows, and what slots say so of
	group   *supervise.Group
	slots   []*slot                 // in the order of their numbers
	leaving map[*incarnation]leaver // who has lost its place, or is about to, and has not ended
	over    bool                    // nothing is started any more
	untried bool                    // the first start is under way: nobody follows one that fails
	spent   string                  // why group gave up
}

// tried ends the first start of r: an actor that has died of it leaves nothing behind.
// If somebody only gave up waiting for it, it goes on.
func (r *row) tried(i *incarnation) {
	r.mu.Lock()
	r.untried = false
	died := r.slots[0].current == nil && !i.wasReady()
	r.over = r.over || died
	r.mu.Unlock()
	if died {
		r.arb.forgetRow(r)
	}
}

// add makes a slot and its first incarnation, which nobody finds yet.
func (r *row) add(index int, name string, spec *cell.Spec, args *actor.SpawnArgs, parent *incarnation) *slot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addLocked(index, name, spec, args, parent)
}

func (r *row) addLocked(index int, name string, spec *cell.Spec, args *actor.SpawnArgs, parent *incarnation) *slot {
	s := &slot{row: r, name: name, index: index, spec: spec, args: *args, parent: parent}
	s.args.GetOrCreate = false
	first := s.args
	s.args.AID = "" // it is that of the first life only
	s.current = r.arb.incarnate(spec, &first, parent, name)
	s.current.slot, s.current.seat = s, new(seat)
	at := 0
	for at < len(r.slots) && r.slots[at].index < index {
		at++
	}
	r.slots = slices.Insert(r.slots, at, s)
	r.group.Add(name)
	return s
}

// removeLocked takes a slot out.
func (r *row) removeLocked(s *slot) {
	s.removed = true
	r.slots = slices.DeleteFunc(r.slots, func(have *slot) bool { return have == s })
	r.group.Forget(s.name)
	if s.timer != nil {
		s.timer.Stop()
	}
}

// enlistRow makes a new row findable, with all that is in it. Who is in a slot is
// findable, and the other way round, whenever row.mu is free: so whoever has closed the
// row sees everybody there will be.
func (a *Arbiter) enlistRow(r *row) *wire.Error {
	a.mu.Lock()
	taken := a.rows[r.name] != nil
	if !taken {
		a.rows[r.name] = r
	}
	a.mu.Unlock()
	var failed *wire.Error
	if taken {
		failed = wire.Errorf(wire.CodeExists, "%q belongs to a supervised actor or a pool", r.name).NotStarted()
	}
	var unseen, seen []*incarnation
	r.mu.Lock()
	for _, s := range r.slots {
		i := s.current
		if failed == nil {
			failed = a.admit(i)
		}
		if failed == nil {
			seen = append(seen, i)
			continue
		}
		s.current = nil
		unseen = append(unseen, i)
	}
	r.over = r.over || failed != nil
	r.mu.Unlock()
	if failed == nil {
		return nil
	}
	for _, i := range unseen {
		i.stillbornUnseen(failed)
	}
	for _, i := range seen {
		i.kill(&wire.Death{Cause: wire.CauseStopped, Reason: failed.Message})
	}
	if !taken {
		a.forgetRow(r)
	}
	return failed
}

// stillbornUnseen lets go of an incarnation nobody could find.
func (i *incarnation) stillbornUnseen(err *wire.Error) {
	if e := i.takeEmbryo(); e != nil {
		e.discard(i, err)
	}
}

// dissolve gives up the name of r, of a single actor, which has ended for good: it is as free as that of
// any other who has ended. mu is held.
func (r *row) dissolve() {
	r.over = true
	r.arb.forgetRow(r)
}

func (a *Arbiter) forgetRow(r *row) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rows[r.name] == r {
		delete(a.rows, r.name)
	}
}

// rowNamed returns the row called name, or nil.
func (a *Arbiter) rowNamed(name string) *row {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rows[name]
}

// rowOf returns the row that an address means: that of a pool, or of a supervised
// actor's name.
func (a *Arbiter) rowOf(address string) *row {
	if r := a.rowNamed(address); r != nil {
		return r
	}
	if i := a.registry.get(address); i != nil && i.pool != nil {
		return &i.pool.row
	}
	return nil
}

func (r *row) armAll() {
	for _, s := range r.slots {
		s.arm()
	}
}

// changed tells the pool that its members are others. row.mu is held.
func (r *row) changed() {
	if r.pool != nil {
		r.pool.regroup()
	}
}

// failRest ends those that wait to be started: the supervisor has given up, after
// the death last. What their slots know of the lives before stays.
func (r *row) failRest(last *wire.Death) {
	r.mu.Lock()
	quiet := *last
	quiet.Stderr = nil // it is told beside the reason
	d := &wire.Death{Cause: wire.CauseStart, Reason: fmt.Sprintf("its supervisor gave up: %s; the last one %s", r.spent, &quiet), Stderr: last.Stderr}
	waiting := make(map[*incarnation]*embryo)
	for _, s := range r.slots {
		if s.current == nil {
			continue
		}
		if e := s.current.takeEmbryo(); e != nil {
			waiting[s.current] = e
			s.current = nil
			s.rest("failed", r.spent)
		}
	}
	r.changed()
	r.mu.Unlock()
	for i, e := range waiting {
		i.bury(e, d)
	}
}

// close has nothing started in r any more. What runs goes on.
func (r *row) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	for _, s := range r.slots {
		if s.timer != nil {
			s.timer.Stop()
		}
	}
}

// living returns who is in the slots of r, who is to be, and who was and has not
// ended.
func (r *row) living() (all []*incarnation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.slots {
		for _, i := range [...]*incarnation{s.current, s.successor} {
			if i != nil {
				all = append(all, i)
			}
		}
	}
	for i := range r.leaving {
		if !slices.Contains(all, i) {
			all = append(all, i)
		}
	}
	return all
}

// holds reports whether i is, or was, in one of the slots of r.
func (r *row) holds(i *incarnation) bool { return i.slot != nil && i.slot.row == r }

// stop empties all slots of r, at the same time, until they are started by hand.
func (r *row) stop(ctx context.Context, reason string) error {
	r.mu.Lock()
	slots := slices.Clone(r.slots)
	r.mu.Unlock()
	var all []*incarnation
	for _, s := range slots {
		leaving, _, over := s.hold(ctx, reason)
		defer over()
		all = append(all, leaving...)
	}
	return awaitAll(ctx, all)
}

// awaitAll waits until all have ended, or ctx has.
func awaitAll(ctx context.Context, all []*incarnation) error {
	for _, i := range all {
		select {
		case <-i.ended.until():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// start fills all slots of r, at the same time, and waits until each one's actor is
// ready or has failed.
func (r *row) start(ctx context.Context) error {
	r.mu.Lock()
	slots := slices.Clone(r.slots)
	r.mu.Unlock()
	failed := make([]error, len(slots))
	var all sync.WaitGroup
	for n, s := range slots {
		all.Go(func() {
			i, err := s.start(ctx, false)
			if err == nil {
				_, err = r.arb.awaitIn(ctx, i)
			}
			failed[n] = err
		})
	}
	all.Wait()
	return together(failed)
}

// together is one error for all, of which some may be nil: the first one, and in its
// words what became of the others.
func together(all []error) error {
	all = slices.DeleteFunc(all, func(err error) bool { return err == nil })
	if len(all) < 2 {
		return errors.Join(all...)
	}
	first := *wire.AsError(all[0], wire.CodeApp)
	var others strings.Builder
	for _, err := range all[1:] {
		e := wire.AsError(err, wire.CodeApp)
		fmt.Fprintf(&others, "; %s: %s", cmp.Or(e.Target, "another"), cmp.Or(e.Message, string(e.Code)))
	}
	first.Message += others.String()
	if first.Death != nil {
		d := *first.Death
		d.Reason = strings.TrimPrefix(d.Reason+others.String(), "; ")
		first.Death = &d
	}
	return &first
}

// overError is why nothing is started in r any more. mu is held.
func (r *row) overError() *wire.Error {
	if r.arb.isStopping() {
		return wire.Errorf(wire.CodeClosed, "the arbiter is stopping").NotStarted()
	}
	if r.pool == nil {
		return wire.Errorf(wire.CodeRefused, "%q has ended for good: spawn it again", r.name).NotStarted()
	}
	return wire.Errorf(wire.CodeRefused, "%q is stopping", r.name).NotStarted()
}
