package peer

import (
	"errors"
	"sync"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Class is the lane of a message. Lower ones pass ahead.
type Class uint8

const (
	// Control passes ahead of everything: stop, cancel, notify, credit.
	Control Class = iota
	// Reply is for replies, errors and what comes back undelivered. No window
	// bounds it, so that an answer never waits for room. After 256 KiB of it one
	// chunk of data goes first, so that data is not starved.
	Reply
	// Data is for requests: charged to the other end's window, which both ends
	// count. A message of another kind is taken as Ordered, because the other end
	// would not count it.
	Data
	// Ordered keeps its place among the data but is not charged, and bounded by the
	// Budget alone: down and watch, which are rare.
	Ordered

	classes = 3 // lanes
)

// Limits bound what an outbox holds, in bytes as framed, for Data as wire.Cost. A
// message that is alone in its class is always taken. Zero fields have the default.
type Limits struct {
	Control  int // default 1 MiB
	Reply    int // default 64 MiB; the last eighth is for what is no more than a trifle
	Data     int // requests with somebody waiting; default 8 MiB
	DataHard int // one-way requests; default 64 MiB
}

func (l Limits) withDefaults() Limits {
	for _, f := range [...]struct {
		v   *int
		def int
	}{{&l.Control, 1 << 20}, {&l.Reply, 64 << 20}, {&l.Data, 8 << 20}, {&l.DataHard, 64 << 20}} {
		if *f.v <= 0 {
			*f.v = f.def
		}
	}
	return l
}

var (
	// ErrFull says that a class of the outbox is at its bound: the other end does
	// not read as fast as it is written to.
	ErrFull = errors.New("the outbox of the connection is full")
	// ErrClosed says that the connection is over, or was begun to be closed here.
	ErrClosed = errors.New("the connection is closed")
)

// NoRoom reports whether err, of a Post, says that there was no room for the message. There
// may be for a shorter one.
func NoRoom(err error) bool { return errors.Is(err, ErrFull) || errors.Is(err, ErrBudget) }

// outbox is what waits to be written: the lanes, the data held back by the other
// end's window, and who waits for room in it.
type outbox struct {
	pool   *purse
	limits Limits

	mu   sync.Mutex // everything below
	idle sync.Cond  // of mu: flushing became false while shut, or clearing less

	shut     bool // nothing more is taken; what there was is dropped
	leaving  bool // a goodbye or a refusal is queued: nothing more is taken
	hurried  bool // the goodbye passes ahead of replies and data, and the connection ends with it
	parted   bool // the goodbye is being written or was: nothing follows it
	told     bool // the goodbye or the refusal was written whole
	open     bool // the handshake is over
	piece    int  // bytes of the pieces in which what is large goes; 0: it goes whole
	flushing bool // somebody writes; only who set it takes chunks
	clearing int  // how many are about to tell what was not written, and pay for it

	first *chunk // a frame of the handshake: before everything, and before open
	final *chunk // the goodbye: after everything but held data, or hurried
	lanes [classes]lane
	load  [classes]int // what is queued and being written, as Limits count
	since int          // bytes of replies since data went

	held    held
	waiters waiters

	window   wire.Window // the room at the other end
	sent     wire.Window // what of it was used, from the beginning
	credited wire.Window // what of it was given back, from the beginning

	started uint64 // handlers begun at the other end, as it told

	taken     uint64 // requests, ever
	withdrawn uint64 // of these, dropped because nobody waits for them any more
	wrote     uint64 // … and written whole

	place    uint64 // of the newest message in the data stream
	admitted uint64 // of the newest that is not held: up to here they are written or lost
	written  uint64 // of the newest that was written whole

	stats outStats
}

type outStats struct{ messages, bytes, flushes, held, dropped, full uint64 }

// fits reports whether the other end's window has room for one message that costs
// cost.
func (o *outbox) fits(cost int) bool {
	return fits(o.window, o.sent.Messages-o.credited.Messages, o.sent.Bytes-o.credited.Bytes, uint64(cost))
}

// fits is the rule of a window, the same at both ends: there is room for one more
// message, and either for its bytes, or less than half of the bytes is in use. So
// one that is larger than the window passes too; and because the receiver says
// what it has taken before that and what is stuck are half the window, it always will.
func fits(w wire.Window, messages, bytes, cost uint64) bool {
	return messages < max(w.Messages, 1) && (bytes+cost <= w.Bytes || bytes <= w.Bytes/2)
}

// direct reports whether a message of cost may go to the data lane right away. An
// Ordered one costs 0.
func (o *outbox) direct(cost int) bool {
	return o.open && o.held.len() == 0 && (cost == 0 || o.fits(cost))
}

// free reports whether there is room for one who may wait: at the other end, and, where
// that grants more than is to be held here, in the outbox.
func (o *outbox) free(cost int) bool { return o.direct(cost) && o.bounded(Data, cost, true) }

// bounded reports whether a class has room for n more. favoured says that they are of what has
// the most room in it.
func (o *outbox) bounded(class Class, n int, favoured bool) bool {
	limit := 0
	switch class {
	case Control:
		limit = o.limits.Control
	case Reply:
		if limit = o.limits.Reply; !favoured {
			limit -= limit / 8
		}
	case Data:
		if limit = o.limits.Data; favoured {
			limit = o.limits.DataHard
		}
	default:
		return true
	}
	return o.load[class] == 0 || o.load[class]+n <= limit
}

// favoured reports whether m, which is n in its class, is of what has the most room there: data
// that nobody waits for, and what is left to say where there was no room for an answer. What
// comes back is none of these: others decide how much it is.
func favoured(class Class, m *wire.Message, n int) bool {
	if class == Reply {
		return n <= trifle && m.Kind != wire.KindUndelivered
	}
	return m.Flags&wire.FlagOneWay != 0
}

// single returns m as the only frame of a chunk.
func (o *outbox) single(m *wire.Message) *chunk {
	size := m.Size()
	k := o.pool.get(frame.BinaryHeaderSize(size) + size)
	k.b = m.Append(frame.AppendBinary(k.b, size))
	k.frames = 1
	return k
}

// appendFrame appends m, of size bytes, as one frame to the lane of class Control
// or Reply.
func (o *outbox) appendFrame(class Class, m *wire.Message, size int, ch Charge) {
	n := frame.BinaryHeaderSize(size) + size
	k := o.lanes[class].reserve(n, o.pool, m)
	k.write(m, size)
	k.load[class] += n
	o.load[class] += n
	k.frames++
	k.debts = k.debts.add(ch)
}

// appendData queues m in the data stream: in the data lane if it may go, else held.
// cost is 0 for an Ordered one.
func (o *outbox) appendData(m *wire.Message, size, cost int, ch Charge, call uint64) {
	if cost > 0 {
		o.taken++
	}
	o.load[Data] += cost
	whole := frame.BinaryHeaderSize(size) + size
	var k *chunk
	if o.direct(cost) {
		k = o.lanes[Data].reserve(whole, o.pool, m)
		o.admit(k, o.place, cost, ch)
	} else {
		k = o.held.reserve(record{size: whole, cost: cost, call: call, place: o.place, charge: ch}, o.pool, m)
		o.stats.held++
	}
	k.write(m, size)
}

// admit counts the message at place, which is about to be appended to k in the data
// lane, as sent.
func (o *outbox) admit(k *chunk, place uint64, cost int, ch Charge) {
	if k.data == 0 {
		k.dataAt = len(k.b)
	}
	k.data++
	k.last = place
	k.load[Data] += cost
	k.frames++
	if ch.From != nil || ch.backlog != nil {
		k.debts = k.debts.add(ch)
	}
	o.admitted = place
	if cost > 0 {
		k.requests++
		o.sent.Messages++
		o.sent.Bytes += uint64(cost)
	}
}

// releaseLocked moves held data into the data lane as far as the window allows, then
// that of who waits. Requests nobody waits for any more are dropped; it returns
// what they owed.
func (c *Conn) releaseLocked() (owed debts) {
	o := &c.out
	for o.open && o.held.len() > 0 {
		h := o.held.head()
		dead := h.call != 0 && !c.calls.Has(h.call)
		if !dead && h.cost > 0 && !o.fits(h.cost) {
			return owed
		}
		r, b, own := o.held.next(o.pool)
		switch {
		case dead:
			owed = o.drop(owed, &r)
			if own != nil {
				o.pool.put(own)
			}
		case own != nil:
			kb := own.b
			own.b = own.b[:len(kb)-len(b)] // admit notes where it begins
			o.admit(o.lanes[Data].push(own), r.place, r.cost, r.charge)
			own.b = kb
		default:
			k := o.lanes[Data].reserve(len(b), o.pool, nil)
			o.admit(k, r.place, r.cost, r.charge)
			k.b = append(k.b, b...)
		}
		o.held.done(o.pool)
	}
	for o.open && !o.parted && !o.waiters.empty() { // nothing follows the goodbye
		w := o.waiters.head
		if w.over() {
			o.waiters.remove(w, errOver)
			continue
		}
		if w.m.Late() {
			o.waiters.remove(w, wire.ErrSenderEnded)
			continue
		}
		if w.holds && c.holds(&w.m) {
			o.waiters.remove(w, ErrHeld)
			continue
		}
		if !o.fits(w.cost) || !o.bounded(Data, w.cost, true) {
			break
		}
		if w.call == 0 || c.calls.sent(w.call, o.place+1) { // else its Caller knows
			o.place++
			w.due()
			o.appendData(&w.m, w.size, w.cost, Charge{}, w.call)
		}
		o.waiters.remove(w, nil)
	}
	return owed
}

// drop forgets a held message that is not to be written.
func (o *outbox) drop(owed debts, r *record) debts {
	o.load[Data] -= r.cost
	o.admitted = r.place // what was before it was admitted or dropped earlier
	o.stats.dropped++
	if r.cost > 0 {
		o.withdrawn++
	}
	return owed.add(r.charge)
}

// roomLocked says why there is no room for m, of size bytes, which is n in its class:
// ErrFull or ErrBudget, which it counts. It drops held requests that nobody waits for
// any more, if there are many of them or their room is needed, and returns what they owed.
func (c *Conn) roomLocked(class Class, n int, m *wire.Message, size int) (owed debts, err error) {
	o := &c.out
	room := func() error {
		switch {
		case !o.bounded(class, n, favoured(class, m, n)):
			return ErrFull
		case !c.purse.affords(class, m, size):
			return ErrBudget
		}
		return nil
	}
	if class == Data {
		owed = c.purgeLocked(16)
	}
	err = room()
	if err != nil && class == Data && owed == nil {
		owed = c.purgeLocked(1)
		err = room()
	}
	if err != nil {
		o.stats.full++
	}
	if err == ErrBudget {
		c.purse.budget.refuse()
	}
	return owed, err
}

// purgeLocked drops the held requests that nobody waits for any more, if they are
// seen to be at least so many and a quarter of all: they count in the bounds until
// then. Calls that were written hide as many that are dead, which is no harm: those
// end too if the target does not answer.
func (c *Conn) purgeLocked(least int) (owed debts) {
	o := &c.out
	dead := o.held.calls - c.calls.Len()
	if dead < least || dead < o.held.calls/4 {
		return nil
	}
	// All records go round once: what is alive is held again.
	old := o.held
	o.held = held{}
	admitted := o.admitted
	for old.len() > 0 {
		r, b, own := old.next(o.pool)
		if r.call != 0 && !c.calls.Has(r.call) {
			owed = o.drop(owed, &r)
			o.admitted = admitted
		} else {
			k := o.held.reserve(r, o.pool, nil)
			k.b = append(k.b, b...)
		}
		if own != nil {
			o.pool.put(own)
		}
		old.done(o.pool)
	}
	return owed
}

// takeLocked takes what is to be written next, nil if there is nothing. Only the
// flusher calls it.
func (c *Conn) takeLocked() *chunk {
	o := &c.out
	if k := o.first; k != nil {
		o.first = nil
		return k.whole()
	}
	if o.shut || !o.open || o.parted {
		return nil
	}
	c.grantLocked()
	k := o.lanes[Control].pop()
	at := Control
	if k == nil && !o.hurried {
		at = Reply
		if o.turnOfData() {
			at = Data
		}
		if k = o.lanes[at].pop(); k == nil && at == Reply {
			at = Data
			k = o.lanes[at].pop()
		}
	}
	if k == nil {
		if k, o.final = o.final, nil; k == nil {
			return nil
		}
		o.parted = true
		return k.whole()
	}
	if reply, ok := k.cuttable(o.piece); ok {
		k.lane = at
		k.cut(reply, o.piece)
		o.wentLocked(k)
		return k
	}
	// Small chunks of other lanes go along: one write instead of two or three.
	for l := at + 1; l < classes && !o.hurried; l++ {
		if h := o.lanes[l].head; h != nil {
			if len(h.b) > joinMax || len(k.b) > joinMax {
				break
			}
			both, rest := join(k, h)
			if both == nil {
				break
			}
			o.lanes[l].pop()
			o.pool.put(rest)
			k = both
		}
	}
	k.whole()
	o.wentLocked(k)
	return k
}

// turnOfData reports whether data goes before the replies that wait: after so many bytes
// of them, and after each piece of a large one.
func (o *outbox) turnOfData() bool {
	if o.lanes[Data].head == nil {
		return false
	}
	reply := o.lanes[Reply].head
	return o.since >= replyRun || o.since > 0 && o.piece > 0 && reply != nil && reply.sole
}

// wentLocked counts the bytes of k, which is about to be written, for whose turn it is.
func (o *outbox) wentLocked(k *chunk) {
	k.from = k.off
	if k.data > 0 || o.lanes[Data].head == nil {
		o.since = 0
	} else if k.load[Reply] > 0 {
		o.since += k.end - k.off
	}
}

const (
	replyRun = 256 << 10 // bytes of replies after which a chunk, or a piece, of data goes
	joinMax  = 16 << 10  // bytes that are worth copying to save a write
)

// pendingLocked reports whether takeLocked would return something.
func (c *Conn) pendingLocked() bool {
	o := &c.out
	if o.first != nil {
		return true
	}
	if o.shut || !o.open || o.parted {
		return false
	}
	return o.lanes[Control].head != nil || o.lanes[Reply].head != nil || o.lanes[Data].head != nil ||
		o.final != nil || c.room.due.Load()
}

// pauseLocked puts k, of which pieces are left to be written, back to the head of its
// lane: what may pass it does.
func (o *outbox) pauseLocked(k *chunk) {
	o.stats.bytes += uint64(k.off - k.from)
	o.lanes[k.lane].unpop(k)
}

// finishLocked counts k as written, as far as it was.
func (o *outbox) finishLocked(k *chunk) {
	for i, n := range k.load {
		o.load[i] -= n
	}
	o.stats.bytes += uint64(k.off - k.from)
	if k.off == len(k.b) {
		o.stats.messages += uint64(k.frames)
		o.wrote += uint64(k.requests)
		if k.data > 0 {
			o.written = k.last
		}
		o.told = o.told || k.farewell
		return
	}
	whole, data, requests := k.left()
	o.wrote += uint64(requests)
	o.stats.messages += uint64(whole)
	o.stats.dropped += uint64(k.frames - whole)
	if data > 0 {
		// Dropped messages leave gaps in the places, so this is an upper bound: none
		// that was written is taken for one that was not.
		o.written = k.last - uint64(k.data-data)
	}
}
