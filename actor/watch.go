package actor

import (
	"context"

	"github.com/arbiter-go/arbiter/internal/cell"
)

// Ended is the end of a watched actor. With CauseConnection it may be that of the watcher's own
// connection to the arbiter, of which its reason says so: of the watched one nothing is known then,
// and Ref is what Watch was given.
type Ended struct {
	Ref Ref
	Death
}

// Watching is a watch under way.
type Watching struct {
	host  cell.Host
	watch *cell.Watch
}

// Watch has f called once when target ends. In an actor f runs in a turn of its
// own, after everything target sent to it before; elsewhere in a goroutine of its
// own. If target does not exist, or ended before, Watch returns the error a call
// to it would return.
func Watch(ctx context.Context, target Ref, f func(ctx context.Context, e Ended)) (Watching, error) {
	if f == nil {
		panic("actor: Watch has nobody to tell: its function is nil")
	}
	s, ok := cell.ScopeOf(ctx)
	to := target.address()
	if !ok {
		return Watching{}, &Error{Code: Refused, Target: to, Message: "nobody watches in this context: use the ctx a handler is given, or one made by Arbiter.Context or Member.Context", Started: StartedNo}
	}
	if to == "" {
		return Watching{}, errorOf(cell.ToNobody(), "", "", "watch")
	}
	w := &cell.Watch{Target: to}
	w.Down = func(d *cell.Down) {
		e := Ended{Ref: Ref{AID: d.AID, Name: d.Name}, Death: deathOf(&d.Death)}
		if d.AID == "" {
			e.Ref = target
		}
		if s.Cell != nil {
			s.Cell.Post(func(ctx context.Context, _ any) { f(ctx, e) })
			return
		}
		go f(ctx, e)
	}
	if err := s.Host.Watch(ctx, s, to, w); err != nil {
		return Watching{}, errorOf(err, target.address(), target.label(), "watch")
	}
	return Watching{s.Host, w}, nil
}

// Stop ends the watch. An end that is already on its way is still told.
func (w Watching) Stop() {
	if w.host != nil {
		w.host.Unwatch(w.watch)
	}
}
