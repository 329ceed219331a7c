package arbiter

import (
	"context"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Watch has w told of target's end.
func (i *incarnation) Watch(_ context.Context, _ cell.Scope, target string, w *cell.Watch) *wire.Error {
	to := i.resolve(wire.Bytes(target))
	if to == nil {
		return i.arb.unknownActor(target)
	}
	w.At = to
	if !i.noteWatch(w, to) {
		return wire.Errorf(wire.CodeClosed, "the actor that watches has ended").NotStarted()
	}
	if d := to.addWatcher(watcher{by: i, watch: w}); d != nil {
		i.forgetWatch(w)
		e := &wire.Error{Code: wire.CodeDown, Target: to.label(), Death: d, Message: "it " + d.String()}
		return e.NotStarted()
	}
	return nil
}

// Unwatch undoes Watch.
func (i *incarnation) Unwatch(w *cell.Watch) {
	i.forgetWatch(w)
	if to, ok := w.At.(*incarnation); ok {
		to.removeWatcher(func(have watcher) bool { return have.watch == w })
	}
}

// noteWatch remembers what i watches, so that its end ends that. It reports false if
// that was before.
func (i *incarnation) noteWatch(w *cell.Watch, to *incarnation) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over {
		return false
	}
	t := i.tiesLocked()
	if t.watches == nil {
		t.watches = make(map[*cell.Watch]*incarnation)
	}
	t.watches[w] = to
	return true
}

func (i *incarnation) forgetWatch(w *cell.Watch) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ties != nil {
		delete(i.ties.watches, w)
	}
}
