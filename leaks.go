package arbiter

import (
	"slices"
	"sync"

	"github.com/arbiter-go/arbiter/internal/cell"
)

// leaks knows the actors that were declared dead while a handler of theirs went on:
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

// count returns how many handlers go on, and forgets the actors of which none does.
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
