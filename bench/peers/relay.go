package peers

import (
	"context"
	"net"

	"github.com/arbiter-go/arbiter/bench/load"
	"github.com/arbiter-go/arbiter/bench/relay"
)

// relayPeer is the ideal hub: see package relay. Its asking end keeps asks under
// way from the reader, as the limit. The blocking one has a goroutine wait for
// each ask, as users of arbiter do; the difference is what goroutines cost. The deep
// one has the kernel take as much as an arbiter asks for on a unix socket.
type relayPeer struct {
	socket   string
	blocking bool
	deep     bool
}

// deepBytes is how much that is.
const deepBytes = 1 << 20

// deepListener accepts connections that are deep.
type deepListener struct{ net.Listener }

func (l deepListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = deepen(c)
	}
	return c, err
}

// deepen has the kernel take deepBytes of c, a unix socket.
func deepen(c net.Conn) error { return c.(*net.UnixConn).SetWriteBuffer(deepBytes) }

// The places at the hub.
const (
	relayEcho   = 0
	relayCaller = 1 // and up
)

func (p relayPeer) Info() load.Info {
	i := load.Info{Name: "relay-" + p.socket, Socket: p.socket, Hops: 2, Ideal: true,
		About: "the ideal relay over " + p.socket}
	if p.blocking {
		i.Name += "-wait"
		i.Ideal = false
		i.About += ", with a goroutine that waits for each ask"
	}
	if p.deep {
		i.Name += "-deep"
		i.Ideal = false
		i.About += ", of which the kernel takes as much as of an arbiter's"
	}
	return i
}

func (p relayPeer) Hub(ctx context.Context, dir string, ready func(string)) error {
	ln, err := listen(ctx, p.socket, dir, "hub")
	if err != nil {
		return err
	}
	ready(ln.Addr().String())
	if p.deep {
		ln = deepListener{ln}
	}
	return relay.Hub(ctx, ln)
}

// dial connects to the hub.
func (p relayPeer) dial(ctx context.Context, hub string) (net.Conn, error) {
	c, err := dial(ctx, p.socket, hub)
	if err == nil && p.deep {
		err = deepen(c)
	}
	return c, err
}

func (p relayPeer) Echo(ctx context.Context, at load.Place, answer func([]byte) []byte, ready func(string)) error {
	conn, err := p.dial(ctx, at.Hub)
	if err != nil {
		return err
	}
	return relay.Echo(ctx, conn, relayEcho, answer, func() { ready("") })
}

func (p relayPeer) Dial(ctx context.Context, at load.Place, number int) (load.Client, error) {
	conn, err := p.dial(ctx, at.Hub)
	if err != nil {
		return nil, err
	}
	c, err := relay.Dial(ctx, conn, uint8(relayCaller+number), relayEcho)
	if err != nil {
		return nil, err
	}
	if p.blocking {
		return noLoop{c}, nil
	}
	return c, nil
}

// noLoop hides that a client is a load.Looper.
type noLoop struct{ load.Client }
