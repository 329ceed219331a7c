package peers

import (
	"errors"
	"slices"
	"sync"
)

// errNoHub is that of peers whose processes are connected to each other.
var errNoHub = errors.New("this peer has no hub")

// oneAtATime is the answer of an echo whose framework has a goroutine for each ask.
type oneAtATime struct {
	mu     sync.Mutex
	answer func([]byte) []byte
}

// copied answers, in memory that nobody else uses: a reply to a mark is valid only
// until the next.
func (a *oneAtATime) copied(body []byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	reply := a.answer(body)
	if len(reply) > 0 && len(body) > 0 && &reply[0] == &body[0] {
		return reply // what was asked, which is this ask's own
	}
	return slices.Clone(reply)
}
