package arbiter_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load is callers that call a pool without pause.
type load struct {
	quit  chan struct{}
	each  sync.WaitGroup
	total atomic.Int64 // calls that came back with the right result

	mu     sync.Mutex
	failed []error
}

// loaded has n callers call a pool until stop.
func loaded(ctx context.Context, n int, call func(context.Context) error) *load {
	l := &load{quit: make(chan struct{})}
	for range n {
		l.each.Go(func() {
			for {
				select {
				case <-l.quit:
					return
				default:
				}
				err := call(ctx)
				if err == nil {
					l.total.Add(1)
					continue
				}
				l.mu.Lock()
				l.failed = append(l.failed, err)
				hopeless := len(l.failed) > 10_000
				l.mu.Unlock()
				if hopeless { // or it would go on for ever where time is virtual
					return
				}
			}
		})
	}
	return l
}

// stop returns the errors of all calls that failed, once none is under way.
func (l *load) stop(t *testing.T, limit time.Duration) []error {
	t.Helper()
	close(l.quit)
	done := make(chan struct{})
	go func() { l.each.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
		t.Fatalf("calls without an outcome after %v", limit)
	}
	return l.failed
}
