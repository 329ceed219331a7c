package arbiter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
)

// leaks knows the actors that were declared dead while a handler of theirs, or a hook, went on:
// a goroutine cannot be ended.
type leaks struct {
	mu    sync.Mutex
	cells []*cell.Cell
	prune int // how many there are when those are dropped that have returned
}

func (l *leaks) add(c *cell.Cell) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.cells) >= l.prune {
		l.cells = slices.DeleteFunc(l.cells, func(c *cell.Cell) bool { return c.Leaked() == 0 })
		l.prune = 2*len(l.cells) + 16
	}
	l.cells = append(l.cells, c)
}

// count returns how many handlers and hooks go on, and forgets the actors of which none does.
func (l *leaks) count() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cells = slices.DeleteFunc(l.cells, func(c *cell.Cell) bool {
		leaked := c.Leaked()
		n += leaked
		return leaked == 0
	})
	return n
}

// maxNamed is how many of those that go on are named.
const maxNamed = 8

// wait returns when none goes on, or else when ctx ends, an error that names them. They are
// looked at again and again: what has an end of its own takes no note of who waits for it.
func (l *leaks) wait(ctx context.Context) error {
	for pause := time.Millisecond; l.count() > 0; pause = min(2*pause, 50*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return l.error()
		}
	}
	return nil
}

// error names what goes on, nil if nothing does.
func (l *leaks) error() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	n := 0
	for _, c := range l.cells {
		for what := range c.GoesOn {
			if n++; n <= maxNamed {
				names = append(names, fmt.Sprintf("%s of %q", what, cmp.Or(c.Name(), c.AID())))
			}
		}
	}
	if n == 0 {
		return nil
	}
	if n > maxNamed {
		names = append(names, fmt.Sprintf("%d more", n-maxNamed))
	}
	return fmt.Errorf("these do not return, and are left behind: %s; a handler is to return when its ctx ends", strings.Join(names, ", "))
}
