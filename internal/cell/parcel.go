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
	bodies [parceled]Encoded
	data   []byte // of all bodies
	left   atomic.Int32
}

const (
	// parceled is how many messages there are in a parcel at most, and parcelSize how many bytes
	// of bodies: that much memory may the last one keep of which the others are over.
	parceled   = 16
	parcelSize = 4 << 10
	// maxParceled is the largest body that goes into one. A larger one is copied into memory of
	// its own, which its handler may keep.
	maxParceled = 1 << 10
)

// parcel returns one for n messages, with so many bytes of bodies in all.
func (s *Spec) parcel(n, size int) *parcel {
	p, ok := s.parcels.Get().(*parcel)
	if !ok {
		p = new(parcel)
		p.of.parcel = p
	}
	if cap(p.data) < size {
		p.bodies = [parceled]Encoded{} // they would keep the data that was too small
		p.data = make([]byte, 0, size)
	}
	p.data = p.data[:0]
	p.left.Store(int32(n))
	return p
}

// done says that n more of the messages of p are over.
func (s *Spec) done(p *parcel, n int32) {
	if p.left.Add(-n) == 0 {
		spoil(p.data)
		p.of.Source = nil
		s.parcels.Put(p)
	}
}

// part gives r, which begins, a body of its own instead of that in p. While its handler is at
// work others begin: each would keep those of all that came with it.
func (s *Spec) part(r *Request, p *parcel) {
	if e, ok := r.Value.(*Encoded); ok {
		r.encoded = Encoded{Codec: e.Codec, Args: e.Args, lease: owned, Data: append([]byte(nil), e.Data...)}
		r.Value = &r.encoded
	}
	s.done(p, 1)
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
	var commands [maxBatch]*Command
	for i := range messages {
		m := &messages[i]
		commands[i] = commandOf(c.spec, m.Command)
		if commands[i] == nil || commands[i].InPlace || len(m.Body) > maxParceled {
			return false
		}
	}
	run := putting{messages: messages, commands: commands[:len(messages)], refused: refused}
	if messages[0].Flags&wire.FlagOneWay == 0 {
		run.came = time.Now()
	}
	for len(run.messages) > 0 {
		n := run.pack(c.spec, source)
		for i := 0; i < n; {
			i = c.putFrom(&run, i, n)
		}
		run.messages, run.commands = run.messages[n:], run.commands[n:]
	}
	return true
}

// putting is what PutRun is about.
type putting struct {
	messages []wire.Message // that are not yet put
	commands []*Command
	parcel   *parcel // of the first of them
	came     time.Time
	refused  func(r *Request, e *wire.Error)
}

// pack puts the first messages into a parcel, and returns how many it takes.
func (run *putting) pack(s *Spec, source Source) (n int) {
	size := 0
	for n < min(len(run.messages), parceled) && size+len(run.messages[n].Body) <= parcelSize {
		size += len(run.messages[n].Body)
		n++
	}
	p := s.parcel(n, size)
	p.of.Source = source
	for i := range n {
		m := &run.messages[i]
		at := len(p.data)
		p.data = append(p.data, m.Body...)
		p.bodies[i] = Encoded{Codec: m.Codec, Args: m.Flags&wire.FlagArgs != 0, Data: p.data[at:len(p.data):len(p.data)]}
		if run.commands[i].Lends {
			p.bodies[i].lease = loaned
		}
	}
	run.parcel = p
	return n
}

// putFrom puts the messages from i to n, up to the first that is not taken, and returns where to
// go on.
func (c *Cell) putFrom(run *putting, i, n int) int {
	c.mu.Lock()
	for ; i < n; i++ {
		l := c.letterOf(run, i)
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
		return i + 1
	}
	c.mu.Unlock()
	return n
}

// letterOf returns the message i, which is in the parcel, as it is in an inbox.
func (c *Cell) letterOf(run *putting, i int) Letter {
	m, p := &run.messages[i], run.parcel
	l := Letter{cmd: run.commands[i], request: &p.of, weight: uint32(m.Size())}
	if m.Codec != wire.CodecNone || len(m.Body) > 0 {
		l.Value = &p.bodies[i]
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
