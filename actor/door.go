package actor

import (
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Over returns options under which a Member joins over t instead of dialing. It is
// for arbitertest: nobody else can name a Transport.
func (o JoinOptions) Over(t peer.Transport) JoinOptions {
	o.dialed = t
	return o
}

// Told returns how a caller of command is told that target failed with e. It is for the
// arbiter, which sends itself no message to spawn: nobody else can name a wire.Error.
func Told(e *wire.Error, target, command string) error { return errorOf(e, target, target, command) }
