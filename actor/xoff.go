package actor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// maxStopped is how many targets are remembered that nothing is to be sent to.
const maxStopped = 1 << 12

// stopped are the targets that the arbiter wants no more messages for, for now, because too
// many of this actor's wait for them already: so there is always room on the way for what
// goes to others. What a handler calls goes all the same: the target may wait for it.
type stopped struct {
	any atomic.Bool // there are some

	mu sync.Mutex
	of map[string]chan struct{} // by target; closed when it may go on
}

// add notes that nothing more is to be sent to target.
func (s *stopped) add(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = make(map[string]chan struct{})
	}
	if s.of[target] == nil && len(s.of) < maxStopped {
		s.of[target] = make(chan struct{})
		s.any.Store(true)
	}
}

// remove ends that.
func (s *stopped) remove(target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on := s.of[target]; on != nil {
		close(on)
		delete(s.of, target)
		s.any.Store(len(s.of) > 0)
	}
}

// has reports whether target is one of them.
func (s *stopped) has(target []byte) bool {
	if !s.any.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[string(target)] != nil
}

// until returns what is closed when messages to target may go on; nil: they may.
func (s *stopped) until(target string) <-chan struct{} {
	if !s.any.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[target]
}

// hold is for one who is about to send a message to a target, and may be held back.
type hold struct {
	target   string
	deadline time.Time // of a call; zero: ctx's, or in peer.WaitLimit
	cancel   context.CancelFunc
}

// wait waits while messages to the target are held back, until ctx ends. It returns the
// context to go on with, which has a limit once something was waited for.
func (h *hold) wait(ctx context.Context, j *joined) (context.Context, *wire.Error) {
	for on := j.stopped.until(h.target); on != nil; on = j.stopped.until(h.target) {
		if h.cancel == nil {
			limit, limited := h.deadline, !h.deadline.IsZero()
			if _, has := ctx.Deadline(); !has && !limited {
				limit, limited = time.Now().Add(peer.WaitLimit), true
			}
			if limited {
				ctx, h.cancel = context.WithDeadline(ctx, limit)
			} else {
				h.cancel = func() {}
			}
		}
		select {
		case <-on:
		case <-j.ran:
			return ctx, wire.Errorf(wire.CodeClosed, "the connection is closed").NotStarted()
		case <-ctx.Done():
			code := wire.CodeCanceled
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				code = wire.CodeDeadline
			}
			return ctx, wire.Errorf(code, "too many messages wait for it on the way, and that did not change in time").NotStarted()
		}
	}
	return ctx, nil
}

// end lets go of what wait has made.
func (h *hold) end() {
	if h.cancel != nil {
		h.cancel()
	}
}
