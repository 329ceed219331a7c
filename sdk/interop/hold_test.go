package interop

import (
	"context"
	"sync"
	"time"
)

// hold is a call that is held until somebody has seen what became of it.
type hold struct {
	begun, over, released chan struct{}
	fate                  string // set before over is closed
}

// holds are those of one worker, by their tags.
type holds struct {
	mu   sync.Mutex
	list map[string]*hold
}

func (s *holds) of(tag string) *hold {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.list[tag]
	if h == nil {
		h = &hold{begun: make(chan struct{}), over: make(chan struct{}), released: make(chan struct{}), fate: "ran on"}
		if s.list == nil {
			s.list = map[string]*hold{}
		}
		s.list[tag] = h
	}
	return h
}

// hold returns when it is released, or ctx ends.
func (s *holds) hold(ctx context.Context, tag string) error {
	h := s.of(tag)
	close(h.begun)
	defer close(h.over)
	select {
	case <-h.released:
		return nil
	case <-ctx.Done():
		h.fate = "was told"
		return ctx.Err()
	}
}

// begun returns when the call is held.
func (s *holds) begun(ctx context.Context, tag string) (bool, error) {
	select {
	case <-s.of(tag).begun:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// fate says what became of the call, which may take a while to be told, and lets it go.
func (s *holds) fate(tag string, ms int) string {
	h := s.of(tag)
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-h.over:
		return h.fate
	case <-timer.C:
		close(h.released)
		return "ran on"
	}
}
