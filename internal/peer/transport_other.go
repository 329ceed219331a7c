//go:build !unix

package peer

import "net"

func newSocket(c net.Conn) Transport { return &stream{c, InfoOf(c)} }
