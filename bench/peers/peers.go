// Package peers holds everything that package load measures, one file each.
package peers

import (
	"context"
	"net"
	"path/filepath"

	"github.com/arbiter-go/arbiter/bench/load"
)

// All returns every peer, in the order of the table. A new one is a file and a
// line here.
func All() load.Set {
	return load.Set{
		Peers: []load.Peer{
			relayPeer{socket: "unix"},
			relayPeer{socket: "tcp"},
			relayPeer{socket: "unix", blocking: true},
			relayPeer{socket: "unix", deep: true},
			arbiterPeer{socket: "unix"},
			arbiterPeer{socket: "tcp"},
			arbiterPeer{socket: "unix", start: true},
			arbiterPeer{socket: "unix", keeps: true},
			natsPeer{},
			grpcPeer{},
			grpcPeer{stream: true},
			rpcPeer{},
			protoactorPeer{},
		},
		Locals: []load.Local{
			channelLocal{},
			arbiterLocal{},
			protoactorLocal{},
		},
	}
}

// listen listens on the loopback interface, or on a unix socket in dir.
func listen(ctx context.Context, socket, dir, name string) (net.Listener, error) {
	var c net.ListenConfig
	if socket == "unix" {
		return c.Listen(ctx, "unix", filepath.Join(dir, name))
	}
	return c.Listen(ctx, "tcp", "127.0.0.1:0")
}

func dial(ctx context.Context, socket, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, socket, addr)
}
