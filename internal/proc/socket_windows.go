package proc

import (
	"net"
	"os"
)

// Socketpair returns an error that says what to use instead.
func Socketpair() (ours net.Conn, theirs *os.File, err error) { return nil, nil, errNoSocketpair }

// Inherited returns an error that says what to use instead.
func Inherited(fd int) (net.Conn, error) { return nil, errNoSocketpair }
