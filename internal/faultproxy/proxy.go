// Package faultproxy is a bad road between a client and a server, for tests: it hands
// on what each says to the other over real sockets, and on the way it is slow, late,
// damaged, or gone.
//
// It is internal because it is for tests of the protocol itself. Who tests actors wants
// a dead or a slow actor, which arbitertest has without sockets and in virtual time.
package faultproxy

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Way is a direction.
type Way int

// The directions.
const (
	Up   Way = iota // from who connects to the target
	Down            // and back
)

// Road is how one direction is from the beginning on. The zero value is a good one.
type Road struct {
	Piece int           // bytes of one write; 0: as they come, at most 32 KiB
	Delay time.Duration // how much later each byte comes, without coming slower
	Rate  int           // bytes a second; 0: as fast as it goes
}

// Roads are both directions of a connection.
type Roads struct{ Up, Down Road }

// Proxy listens and connects whoever comes to its target. Its methods may be called
// from any goroutine.
type Proxy struct {
	network, target string
	l               net.Listener
	dir             string // of the unix socket
	links           chan *Link
	wg              sync.WaitGroup // of accept, and of what it starts

	mu     sync.Mutex // guards what follows
	roads  Roads
	open   map[*Link]bool
	count  int
	closed bool
}

// maxLinks is how many connections may wait to be asked for by Next. Those beyond are
// served as well.
const maxLinks = 1024

// Listen makes a Proxy in front of target, "tcp:host:port" or "unix:/path", at a socket
// of the same kind: a port of the loopback, or a path of its own.
func Listen(target string, roads Roads) (*Proxy, error) {
	network, address, _ := strings.Cut(target, ":")
	p := &Proxy{network: network, target: address, roads: roads, links: make(chan *Link, maxLinks), open: make(map[*Link]bool)}
	at := "127.0.0.1:0"
	if network == "unix" {
		var err error
		if p.dir, err = os.MkdirTemp("", "road"); err != nil {
			return nil, err
		}
		at = filepath.Join(p.dir, "s")
	}
	l, err := net.Listen(network, at)
	if err != nil {
		_ = os.RemoveAll(p.dir)
		return nil, err
	}
	p.l = l
	p.wg.Go(p.accept)
	return p, nil
}

// Address is where to connect to, in the form that Listen takes.
func (p *Proxy) Address() string { return p.network + ":" + p.l.Addr().String() }

// Connections is how many there have been.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Next returns the connections in the order in which they came.
func (p *Proxy) Next(ctx context.Context) (*Link, error) {
	select {
	case l := <-p.links:
		return l, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("nobody has connected to %s: %w", p.Address(), ctx.Err())
	}
}

// Close ends all connections, and returns when nothing of p is left.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	open := make([]*Link, 0, len(p.open))
	for l := range p.open {
		open = append(open, l)
	}
	p.mu.Unlock()
	_ = p.l.Close()
	for _, l := range open {
		l.end(false)
	}
	p.wg.Wait()
	_ = os.RemoveAll(p.dir)
}

func (p *Proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial(p.network, p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		l := newLink(client, server, p.roads)
		if p.closed {
			p.mu.Unlock()
			l.end(false)
			return
		}
		p.open[l] = true
		p.count++
		p.mu.Unlock()
		p.wg.Go(func() {
			l.run()
			p.mu.Lock()
			delete(p.open, l)
			p.mu.Unlock()
		})
		select {
		case p.links <- l:
		default:
		}
	}
}
