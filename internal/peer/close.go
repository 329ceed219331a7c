package peer

import (
	"context"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Goodbye says why this end leaves, writes what was posted before, but for data
// that the other end has no room for, and closes. It returns when that is done,
// ctx ends, whose error it then returns, or the connection was lost, with
// ErrClosed. Nothing can be posted any more. A second Goodbye waits for the first.
func (c *Conn) Goodbye(ctx context.Context, d *wire.Death) error {
	m := d.Message(wire.KindGoodbye, 0)
	o := &c.out
	o.mu.Lock()
	if !o.shut && !o.leaving {
		o.leaving = true
		o.final = o.single(&m)
		o.final.farewell = true
	}
	over := o.shut
	o.mu.Unlock()
	if over {
		c.Close(ErrClosed)
		return ErrClosed
	}
	c.FlushSoon()
	select {
	case <-c.said:
	case <-ctx.Done():
		c.Close(ErrClosed)
		return ctx.Err()
	}
	o.mu.Lock()
	told := o.told
	o.mu.Unlock()
	if !told {
		return ErrClosed
	}
	// The other end reads it, sees the end, and closes: only then is it certain that
	// nothing was lost.
	if w, ok := c.t.(writeCloser); ok {
		_ = w.CloseWrite()
	}
	wait := time.NewTimer(lingerTime)
	defer wait.Stop()
	select {
	case <-c.ended:
	case <-ctx.Done():
	case <-wait.C:
	}
	c.Close(ErrClosed)
	return nil
}

// Leave is Goodbye for who waits as long as what was posted before gets on its way. When nothing
// of it was written for patience it gives up, with the error of a context that has ended.
func (c *Conn) Leave(d *wire.Death, patience time.Duration) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	said := make(chan error, 1)
	go func() { said <- c.Goodbye(ctx, d) }()
	look := time.NewTicker(patience)
	defer look.Stop()
	for moved := c.moved.Load(); ; {
		select {
		case err := <-said:
			return err
		case <-look.C:
			now := c.moved.Load()
			if now == moved {
				cancel()
			}
			moved = now
		}
	}
}

// Cut ends the connection as Close does, and tells the other end why: behind what is of
// class Control, and ahead of the rest, which is dropped. Nothing that comes is handled any
// more. It does not wait: whoever writes meanwhile goes on with it, and has cutTime for
// that. Not told is an end that has read nothing for as long already, that does not read
// it within that time, or that is said goodbye already. A second Cut does nothing.
func (c *Conn) Cut(d *wire.Death, reason error) {
	m := d.Message(wire.KindGoodbye, 0)
	begun, again := c.endBy(cutTime, reason)
	if again {
		return
	}
	c.deaf.Store(true)
	o := &c.out
	o.mu.Lock()
	told := begun && o.open && !o.shut && !o.leaving && !c.stands(cutTime)
	if told {
		o.leaving, o.hurried = true, true
		o.final = o.single(&m)
		o.final.farewell = true
		for !o.waiters.empty() {
			o.waiters.remove(o.waiters.head, ErrClosed)
		}
	}
	o.mu.Unlock()
	if !told {
		c.Close(reason)
		return
	}
	c.Flush()
}

// stands reports whether the flusher has waited for so long to write.
func (c *Conn) stands(long time.Duration) bool {
	since := c.blocked.Load()
	return since != 0 && time.Now().UnixNano()-since >= int64(long)
}

// Close ends the connection: what waits is dropped, Run returns reason. The first
// reason counts. It does not wait.
func (c *Conn) Close(reason error) {
	c.end(reason)
	o := &c.out
	o.mu.Lock()
	left := o.shutLocked()
	o.mu.Unlock()
	left.clear(c)
	_ = c.t.Close()
	c.stopLinger()
}

// end notes why the connection ends.
func (c *Conn) end(reason error) {
	if reason == nil {
		reason = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.over, c.reason = true, reason
	}
}

// endSoon ends the connection because it cannot be written to: what the other end
// said last may still be read.
func (c *Conn) endSoon(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.linger != nil {
		return
	}
	c.wg.Add(1)
	c.linger = time.AfterFunc(lingerTime, func() {
		defer c.wg.Done()
		c.Close(fmt.Errorf("it cannot be written to: %w", err))
	})
}

// endBy notes why the connection ends, which it will after limit. It reports whether it
// has begun that: not if the connection had begun to end before; and whether that was by
// endBy.
func (c *Conn) endBy(limit time.Duration, reason error) (begun, again bool) {
	if reason == nil {
		reason = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.linger != nil {
		return false, c.cut
	}
	c.cut, c.over, c.reason = true, true, reason
	c.wg.Add(1)
	c.linger = time.AfterFunc(limit, func() {
		defer c.wg.Done()
		c.Close(reason)
	})
	return true, false
}

// stopLinger stops what endSoon or endBy began. The connection must be over.
func (c *Conn) stopLinger() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.linger != nil && c.linger.Stop() {
		c.wg.Done()
	}
	c.linger = nil
}

func (c *Conn) why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}
