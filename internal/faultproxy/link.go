package faultproxy

import (
	"io"
	"net"
	"sync"
	"time"
)

// Fault is what happens to a connection at some byte.
type Fault int

// The faults.
const (
	Reset     Fault = iota + 1 // both ends see the connection reset, and what was under way is lost
	Cut                        // both ends see it closed, in order
	HalfClose                  // the end that this direction leads to sees the end of it; the other direction goes on
	Stall                      // nothing comes any more, and nobody is told; Resume ends it
	Corrupt                    // the next byte comes with all its bits changed
)

// Link is one connection through the proxy. Its methods may be called from any
// goroutine.
type Link struct {
	ends [2]net.Conn // of Up: the client's, of Down: the target's; a Way is read from its own
	ways [2]*way
	gone chan struct{} // closed by end
	once sync.Once     // of that
}

// way is one direction: a goroutine reads and puts packets into a queue, another one
// writes them when they are due.
type way struct {
	road  Road
	queue chan packet

	mu      sync.Mutex // guards what follows
	passed  int64
	fault   Fault
	at      int64
	hit     chan struct{} // closed when the fault has happened
	stalled chan struct{} // not nil: stalled until it is closed
}

type packet struct {
	b   []byte
	due time.Time
}

const (
	most = 32 << 10 // bytes of a packet
	// A slow road holds little: what has left a sender's socket is on its way.
	slowBuffer = 64 << 10
	slice      = 5 * time.Millisecond // of a packet on a slow road
)

func newLink(client, server net.Conn, roads Roads) *Link {
	l := &Link{ends: [2]net.Conn{client, server}, gone: make(chan struct{})}
	for w, road := range [...]Road{roads.Up, roads.Down} {
		queue := 1
		if road.Delay > 0 {
			queue = 256
		}
		l.ways[w] = &way{road: road, queue: make(chan packet, queue)}
		if road.Rate > 0 {
			if c, ok := l.ends[w].(interface{ SetReadBuffer(int) error }); ok {
				_ = c.SetReadBuffer(slowBuffer)
			}
			if c, ok := l.ends[1-w].(interface{ SetWriteBuffer(int) error }); ok {
				_ = c.SetWriteBuffer(slowBuffer)
			}
		}
	}
	return l
}

// Passed is how many bytes have been handed on in a direction.
func (l *Link) Passed(w Way) int64 {
	d := l.ways[w]
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

// After has f happen when n more bytes have been handed on in direction w; with 0
// before the next one. What was asked for before and has not happened will not. The
// channel is closed when it has.
func (l *Link) After(w Way, n int64, f Fault) <-chan struct{} {
	d := l.ways[w]
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.at, d.hit = f, d.passed+n, make(chan struct{})
	return d.hit
}

// Do has f happen now, whatever is under way. Corrupt waits for a byte.
func (l *Link) Do(w Way, f Fault) {
	d := l.ways[w]
	switch f {
	case Reset:
		l.end(true)
	case Cut:
		l.end(false)
	case HalfClose:
		closeWrite(l.ends[1-w])
	case Stall:
		d.mu.Lock()
		if d.stalled == nil {
			d.stalled = make(chan struct{})
		}
		d.mu.Unlock()
	case Corrupt:
		l.After(w, 0, f)
	}
}

// Resume ends a Stall.
func (l *Link) Resume(w Way) {
	d := l.ways[w]
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stalled != nil {
		close(d.stalled)
		d.stalled = nil
	}
}

// Done is closed when the connection is over.
func (l *Link) Done() <-chan struct{} { return l.gone }

// end closes both sockets.
func (l *Link) end(reset bool) {
	l.once.Do(func() {
		close(l.gone)
		for _, c := range l.ends {
			if t, ok := c.(*net.TCPConn); ok && reset {
				_ = t.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

// run hands on until both directions have ended.
func (l *Link) run() {
	var wg sync.WaitGroup
	for w := range l.ways {
		wg.Go(func() { l.read(Way(w)) })
		wg.Go(func() { l.write(Way(w)) })
	}
	wg.Wait()
	l.end(false)
}

// size is how many bytes a packet of the road may have.
func (r Road) size() int {
	n := most
	if r.Piece > 0 {
		n = min(n, r.Piece)
	}
	if r.Rate > 0 {
		n = min(n, max(1, int(int64(r.Rate)*int64(slice)/int64(time.Second))))
	}
	return n
}

func (l *Link) read(w Way) {
	d := l.ways[w]
	defer close(d.queue)
	for {
		b := make([]byte, d.road.size())
		n, err := l.ends[w].Read(b)
		if n > 0 {
			select {
			case d.queue <- packet{b[:n], time.Now().Add(d.road.Delay)}:
			case <-l.gone:
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				l.end(true) // as it came
			}
			return
		}
	}
}

func (l *Link) write(w Way) {
	d := l.ways[w]
	free := time.Now() // when the road has room for the next packet
	for p := range d.queue {
		if d.road.Rate > 0 {
			if now := time.Now(); free.Before(now) {
				free = now
			}
			free = free.Add(time.Duration(int64(len(p.b)) * int64(time.Second) / int64(d.road.Rate)))
			p.due = free.Add(d.road.Delay)
		}
		if !l.pause(time.Until(p.due)) || !l.hand(w, p.b) {
			break
		}
	}
	for range d.queue { // the reader may be about to put one in
	}
	closeWrite(l.ends[1-w])
}

// hand hands b on, but for the faults.
func (l *Link) hand(w Way, b []byte) bool {
	d := l.ways[w]
	for len(b) > 0 {
		d.mu.Lock()
		stalled := d.stalled
		n, fault, hit := len(b), Fault(0), d.hit
		if d.fault != 0 {
			if left := max(d.at-d.passed, 0); left < int64(n) {
				n, fault, d.fault = int(left), d.fault, 0
			}
		}
		if stalled == nil {
			d.passed += int64(n)
		} else if fault != 0 {
			d.fault = fault // not yet
		}
		d.mu.Unlock()
		if stalled != nil {
			select {
			case <-stalled:
				continue
			case <-l.gone:
				return false
			}
		}
		if n > 0 {
			if _, err := l.ends[1-w].Write(b[:n]); err != nil {
				l.end(true)
				return false
			}
			b = b[n:]
		}
		switch fault {
		case 0:
			continue
		case Corrupt:
			b[0] ^= 0xff
		default:
			l.Do(w, fault)
		}
		close(hit)
		if fault == Reset || fault == Cut || fault == HalfClose {
			return false
		}
	}
	return true
}

// pause waits, and reports whether the link goes on.
func (l *Link) pause(wait time.Duration) bool {
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.gone:
		return false
	}
}

func closeWrite(c net.Conn) {
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
}
