package actor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// maxStopped is how many targets are remembered that nothing is to be sent to.
const maxStopped = 1 << 12

// stopped are the targets that the arbiter wants no more one-way messages for, for now,
// because too many of this actor's wait for them already: so there is always room on
// the way for what goes to others.
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

// until returns what is closed when messages to target may go on; nil: they may.
func (s *stopped) until(target string) <-chan struct{} {
	if !s.any.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[target]
}

// mayGoOn waits until one-way messages to target may go on, or ctx ends, if wait is set. It
// returns the context to go on with, which has a limit then, and what ends it.
func (j *joined) mayGoOn(ctx context.Context, target string, wait bool) (context.Context, context.CancelFunc, *wire.Error) {
	on := j.stopped.until(target)
	if on == nil {
		return ctx, nil, nil
	}
	if !wait {
		return ctx, nil, wire.Errorf(wire.CodeOverloaded, "too many messages wait for it on the way").NotStarted()
	}
	var cancel context.CancelFunc
	if _, limited := ctx.Deadline(); !limited {
		ctx, cancel = context.WithTimeout(ctx, peer.WaitLimit)
	}
	for ; on != nil; on = j.stopped.until(target) {
		select {
		case <-on:
		case <-j.ran:
			return ctx, cancel, wire.Errorf(wire.CodeClosed, "the connection is closed").NotStarted()
		case <-ctx.Done():
			code := wire.CodeCanceled
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				code = wire.CodeDeadline
			}
			return ctx, cancel, wire.Errorf(code, "too many messages wait for it on the way, and that did not change in time").NotStarted()
		}
	}
	return ctx, cancel, nil
}
