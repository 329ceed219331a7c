package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

// Echo joins the hub as place and answers what it is sent, until ctx ends. answer
// gets a body, valid during the call, and returns the reply; a nil one means that
// there is none. ready is called when the hub knows the place.
func Echo(ctx context.Context, conn net.Conn, place uint8, answer func(body []byte) []byte, ready func()) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	l := newLink(conn, new(depot))
	defer l.close()
	if _, err := l.addFrame(id{target: hubPlace, sender: place}, nil); err != nil {
		return err
	}
	l.flush()
	err := l.read(&echo{answer: answer, ready: ready, place: place})
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

type echo struct {
	answer func([]byte) []byte
	ready  func()
	place  uint8
}

func (e *echo) frame(l *link, frame []byte, head int, owned bool) error {
	if owned {
		defer l.depot.put(frame)
	}
	at := readID(frame[head:])
	if at.target == hubPlace {
		e.ready()
		return nil
	}
	reply := e.answer(frame[head+idSize:])
	if reply == nil {
		return nil
	}
	_, err := l.addFrame(id{target: at.sender, sender: e.place, slot: at.slot}, reply)
	return err
}

func (e *echo) dry(l *link) { l.flush() }

// Client is an end that asks. Ask and Tell may be called from many goroutines,
// Loop from one at a time and not beside them.
type Client struct {
	link   *link
	place  uint8
	target uint8
	ended  chan struct{} // closed when the reader has ended
	err    error         // why; before ended is closed only the reader's
	asking atomic.Int64
	loop   atomic.Pointer[loop]
	joined chan struct{} // closed by the reader when the hub knows the place

	mu    sync.Mutex
	calls []*call  // by slot
	free  []uint32 // slots not in use
}

// call is one ask under way; it belongs to its slot and is used again.
type call struct {
	slot  uint32
	room  []byte        // where the reply goes
	reply chan struct{} // has room for one
}

// Dial joins the hub at the other end of conn as place, to ask target.
func Dial(ctx context.Context, conn net.Conn, place, target uint8) (*Client, error) {
	c := &Client{
		link: newLink(conn, new(depot)), place: place, target: target,
		ended: make(chan struct{}), joined: make(chan struct{}),
	}
	if _, err := c.link.addFrame(id{target: hubPlace, sender: place}, nil); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.ended)
		c.err = c.link.read(c)
		if l := c.loop.Load(); l != nil {
			l.end(c.err)
		}
	}()
	c.link.flush()
	select {
	case <-c.joined:
		return c, nil
	case <-c.ended:
		return nil, fmt.Errorf("joining the hub: %w", c.err)
	case <-ctx.Done():
		c.Close()
		return nil, ctx.Err()
	}
}

// Close ends the connection and waits for the client's goroutines.
func (c *Client) Close() error {
	c.link.close()
	<-c.ended
	return nil
}

// Ask sends body and waits for the reply, which is put into room if it fits.
func (c *Client) Ask(ctx context.Context, body, room []byte) ([]byte, error) {
	k := c.take(room)
	alone := c.asking.Add(1) == 1
	defer c.asking.Add(-1)
	if _, err := c.link.addFrame(id{c.target, c.place, k.slot}, body); err != nil {
		return nil, err
	}
	if !alone {
		runtime.Gosched() // lets other callers add theirs: one write for all
	}
	c.link.flush()
	select {
	case <-k.reply:
	case <-c.ended:
		return nil, c.err
	case <-ctx.Done():
		return nil, ctx.Err() // the slot stays taken: its reply may still come
	}
	reply := k.room
	c.give(k)
	return reply, nil
}

func (c *Client) take(room []byte) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.free) == 0 {
		k := &call{slot: uint32(len(c.calls)), reply: make(chan struct{}, 1)}
		c.calls = append(c.calls, k)
		c.free = append(c.free, k.slot)
	}
	k := c.calls[c.free[len(c.free)-1]]
	c.free = c.free[:len(c.free)-1]
	k.room = room[:0]
	return k
}

func (c *Client) give(k *call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.free = append(c.free, k.slot)
}

// Tell sends body, to which there will be no reply. It gathers what it is given:
// what is below 64 KiB goes out with the next Ask.
func (c *Client) Tell(body []byte) error {
	queued, err := c.link.addFrame(id{c.target, c.place, 0}, body)
	if queued >= chunkSize-1024 {
		c.link.flush()
	}
	return err
}

// loop is asks kept under way without a goroutine each.
type loop struct {
	next    func(slot int, reply []byte) []byte
	waiting int           // asks under way; the reader's, once it runs
	done    chan struct{} // closed when none is left
	once    sync.Once
	err     error
}

func (l *loop) end(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.done)
	})
}

// Loop keeps n asks under way: next(slot, nil) returns the first body of a slot,
// next(slot, reply) the following one, or nil if there is to be none. Bodies and
// replies are valid during the call. next is called from one goroutine at a time.
// Loop returns when every slot has had its last reply.
func (c *Client) Loop(ctx context.Context, n int, next func(slot int, reply []byte) []byte) error {
	l := &loop{next: next, done: make(chan struct{}), waiting: n}
	c.loop.Store(l)
	defer c.loop.Store(nil)
	for slot := range n {
		body := next(slot, nil)
		if body == nil {
			return errors.New("relay: a slot without a first ask")
		}
		// Nothing is written before all are queued, so the reader cannot call next yet.
		if _, err := c.link.addFrame(id{c.target, c.place, uint32(slot)}, body); err != nil {
			return err
		}
	}
	c.link.flush()
	select {
	case <-l.done:
		return l.err
	case <-c.ended:
		return c.err
	case <-ctx.Done():
		c.link.conn.Close() // the reader must not call next any more
		<-c.ended
		return ctx.Err()
	}
}

// frame is called by the reader.
func (c *Client) frame(l *link, frame []byte, head int, owned bool) error {
	if owned {
		defer l.depot.put(frame)
	}
	at, body := readID(frame[head:]), frame[head+idSize:]
	if at.target == hubPlace {
		close(c.joined)
		return nil
	}
	if lp := c.loop.Load(); lp != nil {
		next := lp.next(int(at.slot), body)
		if next != nil {
			_, err := l.addFrame(id{c.target, c.place, at.slot}, next)
			return err
		}
		if lp.waiting--; lp.waiting == 0 {
			lp.end(nil)
		}
		return nil
	}
	c.mu.Lock()
	if int(at.slot) >= len(c.calls) {
		c.mu.Unlock()
		return fmt.Errorf("relay: a reply to slot %d, which was never used", at.slot)
	}
	k := c.calls[at.slot]
	c.mu.Unlock()
	k.room = append(k.room, body...)
	select {
	case k.reply <- struct{}{}:
	default:
		return fmt.Errorf("relay: two replies to one ask in slot %d", at.slot)
	}
	return nil
}

// dry is called by the reader.
func (c *Client) dry(l *link) { l.flush() }
