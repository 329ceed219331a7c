package peer

import (
	"errors"
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Budget bounds the memory that many connections hold for others, all together: what
// waits to be written to them, what of a message has been read and not the rest, and
// what they sent into inboxes of this process. All methods may be called from any
// goroutine; those of a nil Budget bound and count nothing.
//
// Up to half of the limit nobody notices it. From there to three quarters a connection may
// hold a quarter of what is left to there, so that nobody takes it all. From there to seven
// eighths it may hold its part of an eighth, as many connections as there are, but 64 KiB at
// most and 4 KiB at least: however many are stuck, and whatever they are sent, one that is
// not has some room. The last eighth is for the errors by which a refusal is told, and its
// second half for control; neither is refused to who has no more than its part unread.
//
// The limit is not exact. Whoever asks for room and whoever takes it are two steps, so
// that as many messages as there are processors may be beyond it.
type Budget struct {
	limit int64
	_     [56]byte // what is written often has a cache line of its own
	held  atomic.Int64
	_     [56]byte

	shares  atomic.Int64 // connections
	refused atomic.Uint64
}

// NewBudget returns a Budget of so many bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Limit returns how many bytes may be held.
func (b *Budget) Limit() int64 {
	if b == nil {
		return 0
	}
	return b.limit
}

// Held returns how many bytes are held.
func (b *Budget) Held() int64 {
	if b == nil {
		return 0
	}
	return b.held.Load()
}

// Refused returns how often there was no room.
func (b *Budget) Refused() uint64 {
	if b == nil {
		return 0
	}
	return b.refused.Load()
}

// Keep counts n bytes more, or fewer, that somebody else holds and bounds.
func (b *Budget) Keep(n int) {
	if b != nil && n != 0 {
		b.held.Add(int64(n))
	}
}

// refuse counts that there was no room.
func (b *Budget) refuse() {
	if b != nil {
		b.refused.Add(1)
	}
}

// allows reports whether somebody who holds own bytes may hold n more. It takes nothing.
func (b *Budget) allows(own, n int) bool {
	if b == nil || n <= 0 {
		return true
	}
	held, size := b.held.Load(), int64(n)
	switch {
	case held+size <= b.limit/2:
		return true
	case int64(own)+size <= (b.limit-b.limit/4-held)/4:
		return true
	}
	return held+size <= b.limit-b.limit/8 && int64(own)+size <= b.part()
}

// part returns how many bytes each connection may have when there is little left.
func (b *Budget) part() int64 {
	const least, most = smallChunk, 64 << 10
	return max(least, min(most, b.limit/8/max(1, b.shares.Load())))
}

// trifle is how many bytes an answer may have, framed, and still be no worse than the error that
// would stand for it.
const trifle = frame.MaxHeader + wire.MaxBrief

// allowsSmall is allows for what is refused only to who leaves much unread, and is then cut
// off: short errors and ends, of which one can cause any number, and control.
func (b *Budget) allowsSmall(class Class, unread, n int) bool {
	if b == nil || int64(unread+n) <= b.part() {
		return true
	}
	limit := b.limit
	if class != Control {
		limit -= b.limit / 16
	}
	return b.held.Load()+int64(n) <= limit
}

// purse is what one connection holds of a Budget, and the Pool of its buffers: each is
// counted from when it is taken to when it is given back. It is as large as it can
// be, not as what is in it, because that is what it costs.
type purse struct {
	pool   *Pool
	budget *Budget // nil: nothing is counted
	own    atomic.Int64
	unread atomic.Int64 // of own, what waits to be written
}

// count counts n bytes more, or fewer.
func (p *purse) count(n int) {
	if p.budget != nil && n != 0 {
		p.own.Add(int64(n))
		p.budget.held.Add(int64(n))
	}
}

// queue counts n bytes more, or fewer, that wait to be written.
func (p *purse) queue(n int) {
	if p.budget != nil {
		p.unread.Add(int64(n))
		p.count(n)
	}
}

// holds returns how many bytes the connection holds.
func (p *purse) holds() int { return int(p.own.Load()) }

// get returns an empty chunk with room for n bytes.
func (p *purse) get(n int) *chunk {
	_, size := class(n)
	p.queue(size) // first: so it is seen while the memory is being made
	return p.pool.get(n)
}

// tight reports whether so much is held that nobody should hold more than is needed.
func (p *purse) tight() bool { return p.budget != nil && p.budget.held.Load() > p.budget.limit/2 }

// exact returns an empty chunk with room for n bytes and no more. It is not used again.
func (p *purse) exact(n int) *chunk {
	p.queue(n)
	return &chunk{b: make([]byte, 0, n), class: -1}
}

// adopt returns what m lies in, if m may have it, as the chunk of a frame of n bytes, which it ends
// with. Who has read m has an empty one for it.
func (p *purse) adopt(n int, m *wire.Message) *chunk {
	if m == nil {
		return nil
	}
	b, body, ok := m.Lies()
	head := n - len(m.Body)
	if !ok || head > maxHead || body-head < soleAt {
		return nil
	}
	if _, size := class(cap(b)); size != cap(b) {
		return nil
	}
	c := p.get(cap(b)) // also where none is pooled: what is read into would grow to it anew
	c.b = m.Own.Swap(c.b)
	c.at, c.body = body-head, body
	m.Own = nil
	return c
}

// put takes back a chunk that nobody refers to.
func (p *purse) put(c *chunk) {
	p.queue(-cap(c.b))
	p.pool.put(c)
}

// reading is what a connection's reader takes of its purse, for all that is read of a
// message and not the rest. It is the reader's.
type reading struct {
	of    *purse // nil: nothing was taken
	taken atomic.Int64
}

var _ frame.Memory = (*reading)(nil)

// freeReading is how many bytes every connection may read with, whatever the others
// hold: who is to be refused has to be heard first. It is part of what a connection costs.
const freeReading = 64 << 10

// Take counts n bytes, if there is room for them.
func (r *reading) Take(n int) bool {
	if int(r.taken.Load())+n > freeReading && !r.of.budget.allows(r.of.holds(), n) {
		return false // not counted as refused: a smaller buffer may do
	}
	r.taken.Add(int64(n))
	r.of.count(n)
	return true
}

// Give takes back n of what Take has counted.
func (r *reading) Give(n int) {
	r.taken.Add(int64(-n))
	r.of.count(-n)
}

// Short reports whether much is held.
func (r *reading) Short() bool { return r.of.tight() }

// more is Take where nothing may be counted.
func (r *reading) more(n int) bool { return r.of == nil || r.Take(n) }

// force counts n bytes that are taken whether there is room for them or not.
func (r *reading) force(n int) {
	if r.of != nil {
		r.taken.Add(int64(n))
		r.of.count(n)
	}
}

// tight is Short where nothing may be counted.
func (r *reading) tight() bool { return r.of != nil && r.Short() }

// less is Give where nothing may be counted.
func (r *reading) less(n int) {
	if r.of != nil {
		r.Give(n)
	}
}

// spares reports whether n bytes may be kept that nothing is read into. Others may want them:
// it is not much of the Budget.
func (r *reading) spares(n int) bool {
	return r.of == nil || r.of.budget == nil || !r.Short() && int64(n) <= r.of.budget.limit/32
}

// end takes back all of it: nothing is read any more.
func (r *reading) end() {
	if r.of != nil {
		r.Give(int(r.taken.Load()))
		r.of.budget.shares.Add(-1)
	}
}

// ErrBudget says that there was room for a message in its queue, and none in the Budget.
var ErrBudget = errors.New("too much is held for others already")

// affords reports whether the Budget lets m, of size bytes, wait in a class.
func (p *purse) affords(class Class, m *wire.Message, size int) bool {
	switch {
	case p.budget == nil:
		return true
	case class == Control, class != Data && size <= trifle:
		return p.budget.allowsSmall(class, int(p.unread.Load()), size)
	}
	return p.budget.allows(p.holds(), size)
}

// Metered is a Transport that has a frame.Reader of its own. One that wraps another passes
// it on.
type Metered interface{ Meter(m frame.Memory) }

// meter has what is read from now on counted.
func (c *Conn) meter() {
	if c.purse.budget == nil {
		return
	}
	c.reading.of = &c.purse
	c.purse.budget.shares.Add(1)
	c.in.frames.SetMemory(&c.reading)
	if t, ok := c.t.(Metered); ok {
		t.Meter(&c.reading)
	}
}

// abridge makes something of m, which was read without its end. An answer becomes an error for
// who waits for it. A request is for the Handler to refuse: see Missing. It reports
// false if that cannot be: what else is as long as that is not to be missed.
func (c *Conn) abridge(m *wire.Message) bool {
	c.purse.budget.refuse()
	switch m.Kind {
	case wire.KindRequest:
	case wire.KindReply:
		e := wire.Errorf(wire.CodeOverloaded, "its result has %d bytes: %v", m.Size()+c.in.missing, ErrBudget).With(wire.StartedYes)
		*m = e.Frame(wire.KindError, m.ID)
	case wire.KindError:
		m.Codec, m.Body = wire.CodecNone, nil // the code and the flags stand before it
	default:
		return false
	}
	return true
}

// Missing returns how many bytes the message that Receive is given lacks at its end, because
// there was no memory for them. Only a request is given to it so, and is to be refused.
func (c *Conn) Missing() int { return c.in.missing }

// Admit counts cost, of a message that goes from c into an inbox of this process, until
// Credit gives it back. The error is ErrBudget, and nothing is counted then.
func (c *Conn) Admit(cost int) error {
	if !c.purse.budget.allows(c.purse.holds(), cost) {
		c.purse.budget.refuse()
		return ErrBudget
	}
	c.purse.count(cost)
	return nil
}

// Dismiss undoes Admit for a message that the inbox did not take.
func (c *Conn) Dismiss(cost int) { c.purse.count(-cost) }

// Holds returns how many bytes of the Budget are c's, and how many of these it reads with.
func (c *Conn) Holds() (all, reading int) { return c.purse.holds(), int(c.reading.taken.Load()) }
