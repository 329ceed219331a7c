package cell

import (
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/mailbox"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// parcel is what messages that came over one connection together have in common, and their
// bodies. Each has a Letter of its own, which says with request to which parcel it belongs: so
// little is written where they come in that another processor has to fetch to handle them, and
// there is little in an inbox that the garbage collector looks at.
//
// It is used again when all of them were handled. Where one is dropped it is the garbage
// collector's: who is told of that looks at it later.
type parcel struct {
	of     Request // what its letters have for a request; its Source is theirs
	bodies []Encoded
	data   []byte // of all bodies
	left   atomic.Int32
}

const (
	// maxParceled is the largest body that goes into a parcel. One that is larger is copied into
	// memory of its own, which its handler may keep.
	maxParceled = 1 << 10
	// fewParceled is how many messages there are in a small parcel, so that two that came together
	// do not take the room of many.
	fewParceled = 8
)

// parcel returns one for n messages, with so many bytes of bodies in all.
func (s *Spec) parcel(n, size int) *parcel {
	pool, room := &s.parcels, maxBatch
	if n <= fewParceled {
		pool, room = &s.fewParcels, fewParceled
	}
	p, ok := pool.Get().(*parcel)
	if !ok {
		p = &parcel{bodies: make([]Encoded, room)}
		p.of.parcel = p
	}
	if cap(p.data) < size {
		clear(p.bodies) // they would keep the data that was too small
		p.data = make([]byte, 0, size)
	}
	p.data = p.data[:0]
	p.left.Store(int32(n))
	return p
}

// done says that n more of the messages of p are over.
func (s *Spec) done(p *parcel, n int32) {
	if p.left.Add(-n) > 0 {
		return
	}
	p.of.Source = nil
	if len(p.bodies) > fewParceled {
		s.parcels.Put(p)
	} else {
		s.fewParcels.Put(p)
	}
}

// recycleAll takes back what letters, of one batch, were in, of those that are over, as of says.
func (s *Spec) recycleAll(letters *mailbox.Run[Letter], of func(i int) bool) {
	var last *parcel // of which n are over
	var n int32
	for i := range letters.Len() {
		r := letters.At(i).request
		if r == nil || !of(i) {
			continue
		}
		p := r.parcel
		if p == nil {
			s.recycle(r)
			continue
		}
		if p != last && last != nil {
			s.done(last, n)
			n = 0
		}
		last = p
		n++
	}
	if last != nil {
		s.done(last, n)
	}
}

// PutRun is Put for messages that came over source together, without extensions, in their
// order. What they need of that is copied, their sender had the room for each. It calls
// refused with those that are not taken. It reports false if it has done nothing, where one is
// out of the common: then each is to be Put.
func (c *Cell) PutRun(messages []wire.Message, source Source, refused func(r *Request, e *wire.Error)) bool {
	var run putting
	size := 0
	for i := range messages {
		m := &messages[i]
		cmd := commandOf(c.spec, m.Command)
		if cmd == nil || cmd.InPlace || len(m.Body) > maxParceled {
			return false
		}
		run.commands[i] = cmd
		size += len(m.Body)
	}
	p := c.spec.parcel(len(messages), size)
	p.of.Source = source
	for i := range messages {
		m, e := &messages[i], &p.bodies[i]
		n := len(p.data)
		p.data = append(p.data, m.Body...)
		*e = Encoded{Codec: m.Codec, Args: m.Flags&wire.FlagArgs != 0, Data: p.data[n:len(p.data):len(p.data)]}
	}
	run.messages, run.parcel, run.refused = messages, p, refused
	if messages[0].Flags&wire.FlagOneWay == 0 {
		run.came = time.Now()
	}
	for n := 0; n < len(messages); {
		n = c.putFrom(&run, n)
	}
	return true
}

// putting is what PutRun is about.
type putting struct {
	messages []wire.Message
	commands [maxBatch]*Command
	parcel   *parcel
	came     time.Time
	refused  func(r *Request, e *wire.Error)
}

// putFrom puts the messages from n on, up to the first that is not taken, and returns where to go on.
func (c *Cell) putFrom(run *putting, n int) int {
	c.mu.Lock()
	for ; n < len(run.messages); n++ {
		l := c.letterOf(run, n)
		var e *wire.Error
		overtaken := c.dropOvertakenLocked(&l)
		if !overtaken {
			if e = c.admitLocked(&l, true); e == nil {
				continue
			}
		}
		c.mu.Unlock()
		if overtaken {
			l.unpaid()
		} else {
			run.refused(l.open(new(Request)), e)
		}
		return n + 1
	}
	c.mu.Unlock()
	return n
}

// letterOf returns the message n of run as it is in an inbox.
func (c *Cell) letterOf(run *putting, n int) Letter {
	m, p := &run.messages[n], run.parcel
	l := Letter{cmd: run.commands[n], request: &p.of, weight: uint32(m.Size())}
	if m.Codec != wire.CodecNone || len(m.Body) > 0 {
		l.Value = &p.bodies[n]
	}
	if m.Flags&wire.FlagOneWay == 0 {
		l.ID = m.ID
		if m.Millis != 0 {
			l.due = dueOf(m, run.came)
		}
	}
	l.From(c.senderOf(m.Sender))
	return l
}
