package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// Hub accepts connections on ln and relays frames among them until ctx ends or
// something goes wrong. It closes ln and waits for all it started.
func Hub(ctx context.Context, ln net.Listener) error {
	h := &hub{links: new([hubPlace]atomic.Pointer[link])}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := ln.Accept()
		if err != nil {
			fail(err)
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				return cause
			}
			return nil
		}
		l := newLink(conn, &h.depot)
		conns.Go(func() {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			defer l.close()
			var broken *routeError
			if err := l.read(&router{hub: h}); errors.As(err, &broken) {
				fail(err)
			}
		})
	}
}

type hub struct {
	depot depot
	links *[hubPlace]atomic.Pointer[link] // by place; set once each
}

// routeError is one that makes the figures worthless, so it ends the hub.
type routeError struct {
	to  uint8
	err error
}

func (e *routeError) Error() string { return fmt.Sprintf("relay: to place %d: %v", e.to, e.err) }

// router is the receiver of one of the hub's links.
type router struct {
	hub   *hub
	dirty []*link // those with something queued by this reader since it was last dry
}

func (r *router) frame(l *link, frame []byte, head int, owned bool) error {
	to := frame[head]
	target := l
	if to == hubPlace {
		place := frame[head+1]
		if place == hubPlace || !r.hub.links[place].CompareAndSwap(nil, l) {
			return &routeError{place, errors.New("the place is taken")}
		}
	} else if target = r.hub.links[to].Load(); target == nil {
		return &routeError{to, errors.New("nobody is there")}
	}
	r.touch(target)
	var err error
	if owned {
		err = target.own(frame)
	} else {
		err = target.add(frame)
	}
	if err != nil {
		return &routeError{to, err}
	}
	return nil
}

// touch notes that target has to be flushed. There are few targets between two
// times the reader runs dry, and most frames go where the last one went.
func (r *router) touch(target *link) {
	for i := len(r.dirty) - 1; i >= 0; i-- {
		if r.dirty[i] == target {
			return
		}
	}
	r.dirty = append(r.dirty, target)
}

func (r *router) dry(*link) {
	for _, target := range r.dirty {
		target.flush()
	}
	r.dirty = r.dirty[:0]
}
