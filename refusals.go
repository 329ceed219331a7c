package arbiter

import (
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/peer"
)

// refusals count the connections that did not become an actor's. A line of the log a
// second says why, at most: who opens thousands is not to fill the disk.
type refusals struct {
	total   atomic.Uint64
	logged  atomic.Int64  // when one was last logged, unix seconds
	counted atomic.Uint64 // total then
}

// refused counts a connection that was refused because of err.
func (a *Arbiter) refused(at func() peer.Info, err error) {
	r := &a.refusals
	total := r.total.Add(1)
	if now := time.Now().Unix(); r.logged.Swap(now) != now {
		since := total - r.counted.Swap(total)
		at := at()
		a.log.Warn("a connection was refused", "from", at.Remote, "transport", at.Network, "error", err, "refused", since)
	}
}
