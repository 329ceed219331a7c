package arbiter

import (
	"github.com/arbiter-go/arbiter/internal/peer"
)

// JoinPipe serves the other end of t, for tests of this package from outside it.
func (a *Arbiter) JoinPipe(t peer.Transport) { a.join(t) }
