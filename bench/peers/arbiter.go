package peers

import (
	"context"
	"errors"

	"github.com/arbiter-go/arbiter/bench/load"
)

// arbiterPeer is arbiter itself: the hub is a program with an arbiter, echo and
// caller are actors that join it, each in its own process.
type arbiterPeer struct{ socket string }

var errMissing = errors.New("not measured yet")

func (p arbiterPeer) Info() load.Info {
	return load.Info{Name: "arbiter-" + p.socket, Socket: p.socket, Hops: 2,
		About: "arbiter over " + p.socket, Missing: errMissing.Error()}
}

func (p arbiterPeer) Hub(context.Context, string, func(string)) error { return errMissing }

func (p arbiterPeer) Echo(context.Context, load.Place, func([]byte) []byte, func(string)) error {
	return errMissing
}

func (p arbiterPeer) Dial(context.Context, load.Place, int) (load.Client, error) {
	return nil, errMissing
}

// arbiterLocal is goroutine actors of arbiter.
type arbiterLocal struct{}

func (arbiterLocal) Info() load.Info {
	return load.Info{Name: "arbiter-goroutine", Socket: "process",
		About: "goroutine actors of arbiter", Missing: errMissing.Error()}
}

func (arbiterLocal) Start(context.Context) (load.LocalActor, error) { return nil, errMissing }
func (arbiterLocal) Spawn(context.Context, int) (func(), error)     { return nil, errMissing }
