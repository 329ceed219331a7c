package arbitertest

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// tests are the arbiters of the tests that run, in virtual time or not. Those of one time may be
// of several tests, and leave goroutines that nobody can tell apart: they are looked for when the
// last one has stopped.
type tests struct {
	mu     sync.Mutex
	n      int
	before map[string]bool // the goroutines from before them all; nil: nothing is to be looked for
}

// begin counts one more, before it begins. With look what it leaves is looked for.
func (s *tests) begin(look bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	if look && s.before == nil {
		s.before = stacks()
	}
}

// end counts one less, after its end. The last one fails t if they have left goroutines of this
// module; if others begin meanwhile, those look.
func (s *tests) end(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	s.n--
	s.mu.Unlock()
	var left []string
	for end := time.Now().Add(leakWait); time.Now().Before(end); <-time.After(time.Millisecond) {
		var over bool
		if left, over = s.left(); over {
			return
		}
	}
	s.mu.Lock()
	others := s.n > 0
	if !others {
		s.before = nil // they are told of once
	}
	s.mu.Unlock()
	if others {
		return
	}
	t.Errorf("%d goroutines were left behind, by this test or one that ran at the same time:\n%s", len(left), strings.Join(left, "\n\n"))
}

// left returns the goroutines that were left; over says that there is no more to look for.
func (s *tests) left() (left []string, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.n > 0 || s.before == nil {
		return nil, true
	}
	for _, g := range allStacks() {
		id, _, _ := strings.Cut(g, " [")
		if !s.before[id] && strings.Contains(g, "github.com/arbiter-go/arbiter") && !strings.Contains(g, "arbitertest.(*tests)") &&
			!strings.Contains(g, "testing.tRunner") {
			left = append(left, g)
		}
	}
	if len(left) == 0 {
		s.before = nil
	}
	return left, len(left) == 0
}

// leakWait is how long goroutines may take to end after the arbiter has.
const leakWait = 5 * time.Second

// stacks returns the goroutines there are, by their headline number.
func stacks() map[string]bool {
	seen := make(map[string]bool)
	for _, g := range allStacks() {
		id, _, _ := strings.Cut(g, " [")
		seen[id] = true
	}
	return seen
}

func allStacks() []string {
	buf := make([]byte, 1<<20)
	return strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
}
