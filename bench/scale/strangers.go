package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// strangers are connections whose other end never says who it is.
type strangers struct {
	mu    sync.Mutex
	conns []net.Conn
}

type strangersArgs struct {
	Address  string // of the arbiter
	Count    int
	Parallel int
	Half     bool // half of a hello is said, and the connection left open; else it is closed at once
}

type strangersResult struct {
	Opened int
	Failed int // could not be opened
	Took   time.Duration
}

// halfHello is the first five of 36 bytes of a frame.
const halfHello = "\x82\x24\x01\x00\x01"

func (c *crowd) strangers(ctx context.Context, in strangersArgs) (strangersResult, error) {
	network, address, _ := strings.Cut(in.Address, ":")
	var next, opened, failed atomic.Int64
	began := time.Now()
	err := each(in.Parallel, func(worker int) error {
		d := net.Dialer{Timeout: 5 * time.Second}
		if network == "tcp" {
			// From several addresses, since each has 28,000 ports, of which one that was closed
			// is not free for a minute. All of 127/8 is this machine's own on Linux.
			d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(os.Getpid()), byte(2+worker%200))}
		}
		for int(next.Add(1)) <= in.Count {
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				failed.Add(1)
				if ctx.Err() != nil {
					return fmt.Errorf("opening the connection %d: %w", next.Load(), err)
				}
				continue
			}
			opened.Add(1)
			if !in.Half {
				_ = conn.Close()
				continue
			}
			// One that was closed already is refused, which is as it should be.
			_, _ = conn.Write([]byte(halfHello))
			c.left.mu.Lock()
			c.left.conns = append(c.left.conns, conn)
			c.left.mu.Unlock()
		}
		return nil
	})
	return strangersResult{int(opened.Load()), int(failed.Load()), time.Since(began)}, err
}

// release closes what was left open.
func (c *crowd) release(context.Context, none) (none, error) {
	c.left.mu.Lock()
	defer c.left.mu.Unlock()
	for _, conn := range c.left.conns {
		_ = conn.Close()
	}
	c.left.conns = nil
	return none{}, nil
}
