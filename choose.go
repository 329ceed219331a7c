package arbiter

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// pick returns the worker a message is for, whose gate was entered: leave is to be
// called once it was handed over. It is nil if there is nobody.
func (p *pool) pick(key string, from *incarnation) *incarnation {
	// Each try that finds a closed gate has found a member of a list that is out of
	// date; so does the next one only if it has changed again.
	for range 100 {
		var w *incarnation
		if members := *p.members.Load(); key != "" {
			w = p.keyed(members, key)
		} else {
			w = p.least(members, from)
		}
		if w == nil || w.gate.enter() {
			return w
		}
	}
	return nil
}

// least returns who has the fewest calls unanswered: of those that run, or if none
// does, of those that start. Among equals it takes turns. Who is about to end has
// few unanswered and takes no more, and whose connection is lost has none: they
// would draw all calls until they have ended, and are the last resort.
func (p *pool) least(members []*incarnation, from *incarnation) (best *incarnation) {
	if len(members) == 0 {
		return nil
	}
	first := int(p.turn.Add(1) % uint32(len(members)))
	var bestFit fitness
	bestLoad := 0
	for n := range members {
		w := members[(first+n)%len(members)]
		fit, load := w.fitness(), w.calls().Len()
		if w == from { // it is at what it sends this from, though perhaps nobody waits for that
			fit = min(fit, leaves)
		}
		if best == nil || fit > bestFit || fit == bestFit && load < bestLoad {
			best, bestFit, bestLoad = w, fit, load
		}
		if bestFit == runsNow && bestLoad == 0 {
			break
		}
	}
	return best
}

// fitness says how good it is to hand a worker a message.
type fitness uint8

const (
	isLost fitness = iota
	leaves
	starts
	runsNow
)

func (i *incarnation) fitness() fitness {
	switch {
	case i.lost.Load():
		return isLost
	case i.leaves():
		return leaves
	case i.readyNow():
		return runsNow
	}
	return starts
}

// readyNow reports whether i has been ready. It takes no lock.
func (i *incarnation) readyNow() bool { return i.ready.passed() }

// keyed returns whose the key is: the slot with the highest hash of both, so that
// when there is one more or less, few keys move.
func (p *pool) keyed(members []*incarnation, key string) (best *incarnation) {
	var top uint64
	for _, w := range members {
		var h maphash.Hash
		h.SetSeed(p.seed)
		h.WriteString(key)
		h.WriteByte(0)
		h.WriteString(w.name)
		if sum := h.Sum64(); best == nil || sum > top {
			best, top = w, sum
		}
	}
	return best
}

// nobody is why there is no worker.
func (p *pool) nobody() *wire.Error {
	p.row.mu.Lock()
	defer p.row.mu.Unlock()
	d := &wire.Death{Cause: wire.CauseStopped, Reason: "it has no workers"}
	for _, s := range p.row.slots {
		if s.status == "stopped" {
			d.Reason = "its workers were stopped"
		}
		if s.status == "failed" {
			c := wire.Death{Cause: wire.CauseStart} // of one that was given up on before it began
			if s.last != nil {
				c = *s.last
			}
			c.Reason = strings.TrimSuffix("given up: "+s.reason+"; "+c.Reason, "; ")
			d = &c
			break
		}
	}
	e := &wire.Error{Code: wire.CodeDown, Target: p.args.Name, Death: d, Message: "it " + d.String()}
	return e.NotStarted()
}

// find returns who a message of this process's to address is for. If it says that
// the gate was entered, leave is to be called once the message is on its way.
func (a *Arbiter) find(from *incarnation, address, command string) (to *incarnation, entered bool, failed *wire.Error) {
	if to = a.registry.known(address); to != nil && to.seat == nil && to.pool == nil {
		return to, false, nil // as most are, and most messages go
	}
	if to = from.resolve(wire.Bytes(address)); to != nil {
		a.registry.note(address, to)
	}
	var key string
	if to == nil {
		name, k, all, ok := poolAddress(address)
		if ok {
			to, key = a.resolve(wire.Bytes(name)), k
		}
		if to == nil || to.pool == nil {
			return nil, false, a.unknownActor(address)
		}
		if all {
			return nil, false, needsOneWay(to.pool)
		}
	}
	if to.pool == nil || key == "" && cell.IsInPlace(command) {
		to, entered = a.enter(to, wire.Bytes(address))
		return to, entered, nil
	}
	w := to.pool.pick(key, from)
	if w == nil {
		return nil, false, to.pool.nobody()
	}
	return w, true, nil
}

// enter enters the gate of to, who was found at address, or else that of who has the
// address now. Where there is no gate to enter, or the address is that of one life
// which is about to end, it says so: then there is nothing to leave.
func (a *Arbiter) enter(to *incarnation, address []byte) (who *incarnation, entered bool) {
	for to.seat != nil && !to.gate.enter() {
		now := a.resolve(address)
		if now == nil || now == to {
			return to, false
		}
		to = now
	}
	return to, to.seat != nil
}

// allOf returns the pool all workers of which address means, or nil.
func (a *Arbiter) allOf(address string) *pool {
	if !strings.HasSuffix(address, "*") {
		return nil
	}
	name, _, all, _ := poolAddress(address)
	if !all {
		return nil
	}
	if to := a.resolve(wire.Bytes(name)); to != nil {
		return to.pool
	}
	return nil
}

// sendAll sends a one-way message of i's to every worker of p, and waits for none. If
// some cannot be sent it, the others have it all the same, and the error names those.
func (i *incarnation) sendAll(ctx context.Context, s cell.Scope, p *pool, command string, v cell.Value) *wire.Error {
	var failed []error
	sent := 0
	for _, w := range *p.members.Load() {
		if w = w.heir(); w == nil {
			continue
		}
		sent++
		if err := i.send(ctx, s, w, w.aid, command, v, inArbiter); err != nil {
			failed = append(failed, err)
		}
		w.gate.leave()
	}
	if sent == 0 {
		return p.nobody()
	}
	if len(failed) == 0 {
		return nil
	}
	e := *wire.AsError(together(failed), wire.CodeApp)
	if len(failed) < sent {
		e.Started = wire.StartedUnknown // of the others' handlers
		e.Message = fmt.Sprintf("%s; %d of %d workers have it", e.Message, sent-len(failed), sent)
	}
	return &e
}

// heir returns who has the place in a pool that w had when it was looked up, w itself or
// another one. Its gate was entered. It is nil if nobody has.
func (w *incarnation) heir() *incarnation {
	for !w.gate.enter() {
		now := w.slot.occupant()
		if now == nil || now == w {
			return nil
		}
		w = now
	}
	return w
}

// occupant returns who is in the slot, nil if nobody is or is to stay.
func (s *slot) occupant() *incarnation {
	s.row.mu.Lock()
	defer s.row.mu.Unlock()
	if s.removed || s.held {
		return nil
	}
	return s.current
}

// poolAddress takes apart an address that means a pool in a special way: "web#KEY",
// or "web/*" for all.
func poolAddress(address string) (pool, key string, all, ok bool) {
	if name, key, found := strings.Cut(address, "#"); found {
		return name, key, false, key != ""
	}
	if name, found := strings.CutSuffix(address, "/*"); found {
		return name, "", true, true
	}
	return "", "", false, false
}
