package actor

import "github.com/arbiter-go/arbiter/internal/peer"

// Over returns options under which a Member joins over t instead of dialing. It is
// for arbitertest: nobody else can name a Transport.
func (o JoinOptions) Over(t peer.Transport) JoinOptions {
	o.dialed = t
	return o
}
