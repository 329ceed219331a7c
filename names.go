package arbiter

import "sync"

// maxNames bounds the names kept; one more is copied each time it is needed.
const maxNames = 4096

// names keeps one string for each command seen, so that noting a call in flight
// does not allocate.
type names struct {
	mu  sync.RWMutex
	all map[string]string
}

// of returns b as a string.
func (n *names) of(b []byte) string {
	n.mu.RLock()
	s, ok := n.all[string(b)]
	n.mu.RUnlock()
	if ok {
		return s
	}
	s = string(b)
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.all) < maxNames {
		if n.all == nil {
			n.all = make(map[string]string)
		}
		n.all[s] = s
	}
	return s
}
