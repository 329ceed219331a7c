package actor

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/arbiter-go/arbiter/internal/proc"
)

// The environment of a child the arbiter starts.
const (
	// EnvFD is the number of the inherited socket.
	EnvFD = "ARBITER_FD"
	// EnvAddr is the address to dial where there is no inherited socket.
	EnvAddr = "ARBITER_ADDR"
	// EnvToken is what the listener at EnvAddr asks for.
	EnvToken = "ARBITER_TOKEN"
)

// dial connects to an arbiter: "unix:/path", "tcp:host:port", "host:port",
// "fd:3", "pulsar:host:port", or "" for what the environment says.
func dial(ctx context.Context, address string) (net.Conn, error) {
	if address == "" {
		if fd := os.Getenv(EnvFD); fd != "" {
			address = "fd:" + fd
		} else if address = os.Getenv(EnvAddr); address == "" {
			return nil, fmt.Errorf("no arbiter to join: %s and %s are not set; give an address such as unix:/path or host:port", EnvFD, EnvAddr)
		}
	}
	network, where, ok := strings.Cut(address, ":")
	var d net.Dialer
	switch {
	case ok && network == "fd":
		fd, err := strconv.Atoi(where)
		if err != nil || fd < 0 {
			return nil, fmt.Errorf("the address %q names no file descriptor", address)
		}
		return proc.Inherited(fd)
	case ok && (network == "unix" || network == "tcp"):
		return d.DialContext(ctx, network, where)
	case speaksPulsar(address):
		return d.DialContext(ctx, "tcp", where)
	case strings.Contains(address, "/"):
		return d.DialContext(ctx, "unix", address)
	}
	return d.DialContext(ctx, "tcp", address)
}

// speaksPulsar reports whether the arbiter at address is one of Python's pulsar.
func speaksPulsar(address string) bool { return strings.HasPrefix(address, "pulsar:") }
