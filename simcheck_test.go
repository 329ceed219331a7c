package arbiter

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// check compares what the library said with what was, when all is quiet. The rows
// are those of docs/contract.md; order and duplicates are seen when they happen.
func (w *simWorld) check() {
	w.mu.Lock()
	for _, m := range w.messages {
		w.checkOutcome(m)
	}
	w.checkLoss()
	w.checkWatches()
	for _, check := range w.atRest {
		check()
	}
	w.mu.Unlock()
	w.checkRest()
	w.checkAccount()
}

// checkOutcome holds one message to rows 5, 7 and 9. w.mu is held.
func (w *simWorld) checkOutcome(m *simMessage) {
	if !m.ended && w.cutOff(m.from) {
		return
	}
	if !m.ended {
		w.violateLocked("5", "%v has no outcome", m)
		return
	}
	if m.untyped {
		return
	}
	const tolerance = 50 * time.Millisecond
	if m.endedAt.After(m.deadline.Add(tolerance)) && !m.loose {
		w.violateLocked("5", "%v ended %v after its deadline", m, m.endedAt.Sub(m.deadline))
	}
	if lives := w.lives[m.to]; m.way == 'c' && len(lives) == 1 && !w.faulty && !m.loose {
		const tolerance = 100 * time.Millisecond
		if died := w.died[lives[0]]; !died.IsZero() && m.sent.Before(died) && m.endedAt.Sub(died) > tolerance {
			w.violateLocked("6", "%v ended %v after its target: %v", m, m.endedAt.Sub(died), m.err)
		}
	}
	switch said := startedOf(m.err); {
	case m.err == nil && m.way == 'c':
		if m.started != 1 && !m.often || m.started == 0 {
			w.violateLocked("5", "%v was answered, and started %d times", m, m.started)
		}
		if m.answer.ID != m.id || m.answer.By != m.by {
			w.violateLocked("9", "%v has the answer of %s to #%d, and was started by %s", m, m.answer.By, m.answer.ID, m.by)
		}
	case m.err == nil:
	case said == actor.StartedNo && m.started > 0:
		w.violateLocked("5", "%v certainly did not start, it is said, and it did: %v", m, m.err)
	case said == actor.StartedYes && m.started == 0 && !w.hostile(m.to):
		w.violateLocked("5", "%v has started, it is said, and it has not: %v", m, m.err)
	case m.way != 'c' && said != actor.StartedNo && !errors.Is(m.err, actor.ErrDeadline) && !errors.Is(m.err, actor.ErrCanceled) &&
		!errors.Is(m.err, actor.ErrClosed) && !errors.Is(m.err, actor.ErrDown) && m.started == 0 && !w.hostile(m.to) &&
		!(strings.HasSuffix(m.to, "/*") && strings.Contains(m.err.Error(), "workers have it")): // some were killed with it
		w.violateLocked("5", "%v was not taken, and nobody knows whether it started: %v", m, m.err)
	}
}

// hostile reports whether name belongs to somebody who lies.
func (w *simWorld) hostile(name string) bool {
	for _, r := range w.raws {
		if r.name == name {
			return true
		}
	}
	return false
}

// cutOff reports whether name, who speaks json, has lost its connection: it does not read, and
// there was no memory to keep more for it.
func (w *simWorld) cutOff(name string) bool {
	i := slices.IndexFunc(w.texts, func(p *simText) bool { return p.name == name })
	return i >= 0 && w.arb.registry.get(w.texts[i].aid) == nil
}

// dead reports whether a life of name has ended; who has none never lived.
func (w *simWorld) dead(name string) bool {
	for _, aid := range w.lives[name] {
		if w.arb.registry.get(aid) == nil {
			return true
		}
	}
	return false
}

// checkLoss looks for one-way messages that were taken, and neither started nor came
// back. w.mu is held.
func (w *simWorld) checkLoss() {
	missing := make(map[[2]string]int)
	one := make(map[[2]string]*simMessage)
	for _, m := range w.messages {
		if m.way != 'c' && m.err == nil && m.started == 0 && !m.untyped && w.lives[m.to] != nil {
			at := [2]string{m.from, m.to}
			missing[at]++
			one[at] = m
		}
	}
	for at, n := range missing {
		if w.dead(at[0]) || w.dead(at[1]) {
			continue
		}
		if back := w.back[at]; back != n {
			w.violateLocked("4", "of %s to %s %d are missing, %d came back; such as %v", at[0], at[1], n, back, one[at])
		}
	}
	for at, n := range w.back {
		if n > missing[at] && slices.ContainsFunc(w.actors, func(a *simActor) bool { return a.name == at[1] }) {
			w.violateLocked("4", "%d of %s to %s came back, %d did not start", n, at[0], at[1], missing[at])
		}
	}
}

// checkWatches: who watched somebody that ended was told once. w.mu is held.
func (w *simWorld) checkWatches() {
	for _, watch := range w.watches {
		want := 0
		if w.arb.registry.get(watch.of) == nil {
			want = 1
		}
		if w.arb.registry.get(watch.by) != nil && watch.told != want {
			w.violateLocked("6", "%s watched %s, and was told %d times of its end, want %d", watch.by, watch.of, watch.told, want)
		}
	}
}

// checkRest looks for what is still in flight, charged or queued though all is quiet.
func (w *simWorld) checkRest() {
	rest := 0 // what is held of the budget though all is quiet
	for i := range w.arb.registry.all() {
		if n := i.calls().Len(); n != 0 {
			w.violate("5", "%d calls are in flight on %s", n, i.label())
		}
		w.arb.waits.mu.Lock()
		if n := len(i.waitsFor); n != 0 {
			w.violate("10", "%s waits for %d calls", i.label(), n)
		}
		w.arb.waits.mu.Unlock()
		if i.cell != nil {
			if waiting, charged, bytes := i.cell.Inbox(); waiting+charged+bytes != 0 {
				w.violate("11", "the inbox of %s has %d messages, and %d with %d bytes are charged", i.label(), waiting, charged, bytes)
			}
			continue
		}
		s := i.session
		s.mu.Lock()
		if n := s.asked.len(); n != 0 {
			w.violate("5", "%s has %d calls in flight", i.label(), n)
		}
		_, reading := s.conn.Holds()
		rest += reading + len(s.watching)*watchCost
		s.mu.Unlock()
		if q := s.conn.Stats().Queued; q != [3]int{} {
			w.violate("11", "%v bytes wait to be written to %s", q, i.label())
		}
		if n, bytes := s.conn.Charged(); n != 0 || bytes != 0 {
			w.violate("11", "%s is charged with %d messages, %d bytes", i.label(), n, bytes)
		}
	}
	if held := int(w.arb.budget.Held()); held != rest {
		w.violate("11", "%d bytes are held for others, and all is quiet: %d of them for watches and buffers of readers", held, rest)
	}
	for _, a := range w.actors {
		if n := w.arb.registry.get(a.name); n != nil && len(w.lives[a.name]) == 0 {
			w.violate("1", "%s is found, and never lived", a.name)
		}
	}
}

// checkAccount holds the counters to row 4.
func (w *simWorld) checkAccount() {
	for i := range w.arb.registry.all() {
		a := i.account(false)
		if !a.Balanced() || a.Queued != 0 {
			w.violate("4", "%s: %v", i.label(), a)
		}
		if (w.kinds[i.kind()] != nil || i.kind() == "text") && a.Started != w.began[i.aid] {
			w.violate("4", "%s: %v, and %d were begun", i.label(), a, w.began[i.aid])
		}
	}
	total := w.arb.account()
	w.note("in total: %v", total)
	if !total.Balanced() || total.Queued != 0 {
		w.violate("4", "in total: %v", total)
	}
	w.arb.dead.mu.Lock()
	letters := w.arb.dead.total
	w.arb.dead.mu.Unlock()
	if total.DeadLetters != letters {
		w.violate("16", "%d dead letters were counted, %d kept", total.DeadLetters, letters)
	}
}
