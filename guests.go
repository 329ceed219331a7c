package arbiter

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// helloWait is how long whoever connects may take to say who it is, and maxGuests
// how many may be at it at a time.
const (
	helloWait = 5 * time.Second
	maxGuests = 256
)

var (
	// errNoHello ends a connection over which nobody says who it is.
	errNoHello = fmt.Errorf("no hello came within %v", helloWait)
	// errOusted ends one of too many of these.
	errOusted = fmt.Errorf("no hello came, and %d others have come to this listener since", maxGuests)
)

// guests are those at a listener who have not said yet who they are. When there are
// too many, the one that has been silent longest makes room: a hello takes
// milliseconds, so that who opens connections and says nothing keeps nobody out.
type guests struct {
	mu     sync.Mutex
	silent list.List // of context.CancelCauseFunc; the oldest in front
}

// enter adds a guest. It is to leave when ctx ends, and is none any more once it has
// called greeted, which may be done more than once.
func (g *guests) enter() (ctx context.Context, greeted func()) {
	ctx, oust := context.WithCancelCause(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.silent.Len() >= maxGuests {
		g.silent.Remove(g.silent.Front()).(context.CancelCauseFunc)(errOusted)
	}
	e := g.silent.PushBack(oust)
	return ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.silent.Remove(e)
	}
}
