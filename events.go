package arbiter

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// maxEvents is how far back the arbiter remembers what happened.
const maxEvents = 1024

// events is what has happened: a ring with sequence numbers.
type events struct {
	mu   sync.Mutex
	ring []actor.Event // the newest is ring[(seq-1)%maxEvents]
	seq  uint64
	news chan struct{} // closed by the next event; nil while nobody waits
}

func (e *events) add(ev actor.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seq++
	ev.Seq, ev.Time = e.seq, time.Now()
	if len(e.ring) < maxEvents {
		e.ring = append(e.ring, ev)
	} else {
		e.ring[(e.seq-1)%maxEvents] = ev
	}
	if e.news != nil {
		close(e.news)
		e.news = nil
	}
}

// happened notes something that happened to i. Those that only call are left out, as
// from the list of actors: a command line that looks every second would drive out what
// others want to see.
func (i *incarnation) happened(ev actor.Event) {
	if i.session == nil || !i.session.client() {
		i.arb.events.add(ev)
	}
}

// since returns the events after seq, oldest first, and what is closed by the next
// one if there are none.
func (e *events) since(seq uint64) (list []actor.Event, news <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if oldest := e.seq - uint64(len(e.ring)); seq < oldest {
		seq = oldest
	}
	for n := seq; n < e.seq; n++ {
		list = append(list, e.ring[n%maxEvents])
	}
	if len(list) == 0 {
		if e.news == nil {
			e.news = make(chan struct{})
		}
		news = e.news
	}
	return list, news
}

// about returns the last n events about an actor, by its aid or name, or about the
// workers of the pool it is; oldest first.
func (e *events) about(aid, name string, n int) []actor.Event {
	all, _ := e.since(0)
	var list []actor.Event
	for _, ev := range slices.Backward(all) {
		if ev.Actor.AID != "" && ev.Actor.AID == aid || ev.Actor.Name != "" && ev.Actor.Name == name || strings.HasPrefix(ev.Actor.Name, name+"/") {
			list = append(list, ev)
			if len(list) == n {
				break
			}
		}
	}
	slices.Reverse(list)
	return list
}

// maxEventWait bounds how long a request for events waits.
const maxEventWait = time.Minute

// eventWait returns how long to wait for who asks to wait that long, and is to have the answer
// before its time is up.
func eventWait(ctx context.Context, wait time.Duration) time.Duration {
	wait = min(wait, maxEventWait)
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		wait = min(wait, left-min(left/10, time.Second))
	}
	return wait
}

// wait answers the command events.
func (e *events) wait(ctx context.Context, a actor.EventsArgs) ([]actor.Event, error) {
	list, news := e.since(a.Since)
	if len(list) > 0 || a.Wait <= 0 {
		return list, nil
	}
	timer := time.NewTimer(eventWait(ctx, a.Wait))
	defer timer.Stop()
	select {
	case <-news:
		list, _ = e.since(a.Since)
	case <-timer.C:
	case <-ctx.Done():
	}
	return list, nil
}
