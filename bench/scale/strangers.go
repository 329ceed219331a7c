package main

import (
	"context"
	"errors"
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
	Half     bool          // half of a hello is said, and the connection left open; else it is closed at once
	Within   time.Duration // they are spread over that
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
		for {
			n := int(next.Add(1))
			if n > in.Count {
				return nil
			}
			time.Sleep(time.Until(began.Add(in.Within * time.Duration(n) / time.Duration(in.Count))))
			conn, err := d.DialContext(ctx, network, address)
			if err != nil {
				failed.Add(1)
				if ctx.Err() != nil {
					return fmt.Errorf("opening the connection %d: %w", n, err)
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
	})
	return strangersResult{int(opened.Load()), int(failed.Load()), time.Since(began)}, err
}

// newWall is a program that accepts connections, reads once and closes them.
func newWall() (map[string]op, func(), error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				all.Go(func() {
					var b [len(halfHello)]byte
					_, _ = c.Read(b[:])
					_ = c.Close()
				})
			}
		}
	})
	end := func() { _ = l.Close() }
	address := func(context.Context, none) (string, error) { return "tcp:" + l.Addr().String(), nil }
	return map[string]op{"address": does(address)}, end, nil
}
