package peer

import (
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// whole says that all of the chunk is to be written at once.
func (c *chunk) whole() *chunk {
	c.end, c.from = len(c.b), c.off
	return c
}

// left returns how many of the chunk's frames have left whole, how many of them are
// data, and how many of these requests. It was not written to its end.
func (c *chunk) left() (frames, data, requests int) {
	if c.sole {
		return 0, 0, 0
	}
	for at := 0; at < c.off; {
		h, n, err := frame.ParseHeader(c.b[at:])
		if err != nil || n == 0 {
			break
		}
		end := at + n + int(h.Length)
		if end > c.off {
			break
		}
		frames++
		if c.data > 0 && at >= c.dataAt {
			data++
			if isRequest(c.b[at:], n, h) {
				requests++
			}
		}
		at = end
	}
	return frames, data, requests
}

// lost tells of the one-way requests in the chunk that were not written whole.
func (c *chunk) lost(tell func(m *wire.Message)) {
	if c.sole {
		tellLost(c.b[c.at+largeHeader:], tell)
		return
	}
	for at := 0; at < len(c.b); {
		h, n, err := frame.ParseHeader(c.b[at:])
		if err != nil || n == 0 {
			return
		}
		body := at + n
		at = body + int(h.Length)
		if at > c.off {
			tellLost(c.b[body:at], tell)
		}
	}
}

// tellLost tells of the message b if it is a one-way request.
func tellLost(b []byte, tell func(m *wire.Message)) {
	var m wire.Message
	if m.Parse(b) == nil && m.Kind == wire.KindRequest && m.Flags&wire.FlagOneWay != 0 {
		tell(&m)
	}
}

// shutLocked ends the outbox: it takes everything out, for clear, which is to be called.
func (o *outbox) shutLocked() (left leftover) {
	o.shut = true
	o.clearing++
	for _, k := range [...]*chunk{o.first, o.final} {
		if k != nil {
			left.chunks.push(k)
		}
	}
	o.first, o.final = nil, nil
	for i := range o.lanes {
		for k := o.lanes[i].pop(); k != nil; k = o.lanes[i].pop() {
			for j, n := range k.load {
				o.load[j] -= n
			}
			o.stats.dropped += uint64(k.frames)
			left.chunks.push(k)
		}
	}
	for _, r := range o.held.records[o.held.first:] {
		o.load[Data] -= r.cost
		o.stats.dropped++
		left.owed = left.owed.add(r.charge)
	}
	if k := o.held.frames.head; k != nil && !k.sole {
		k.off = o.held.off // what is before that has gone to the lane
	}
	for k := o.held.frames.pop(); k != nil; k = o.held.frames.pop() {
		left.chunks.push(k)
	}
	o.held.count(-o.held.counted, o.pool)
	o.held = held{}
	for !o.waiters.empty() {
		o.waiters.remove(o.waiters.head, ErrClosed)
	}
	return left
}

// leftover is what an outbox had when it was shut.
type leftover struct {
	chunks lane
	owed   debts
}

// clear pays what the leftover owes and frees it. No lock may be held.
func (l *leftover) clear(c *Conn) {
	l.owed.pay()
	for k := l.chunks.pop(); k != nil; k = l.chunks.pop() {
		c.written(k)
	}
	c.cleared()
}

// cleared ends one clearing.
func (c *Conn) cleared() {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clearing--
	o.idle.Broadcast()
}
