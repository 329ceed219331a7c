package peer

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Caller is told how a call ended: by exactly one call of one method for each Note
// that was added and not taken out, from the goroutine that found out. Its methods
// must not block; no lock is held while they run, so they may post and flush.
type Caller interface {
	// Result brings a reply. m's slices are valid only during the call; id is Note.ID.
	Result(id uint64, m *wire.Message)
	// Failed brings an error reply, the deadline, or the end of the target.
	Failed(id uint64, e *wire.Error)
}

// A Forwarder is a Caller that takes error replies undecoded, to pass them on. It
// is then told an error reply by Forward instead of Failed; errors that arise at
// this end still come by Failed. m is valid only during the call.
type Forwarder interface {
	Caller
	Forward(id uint64, m *wire.Message)
}

// Note is what is remembered of a call in flight on one target.
type Note struct {
	Caller   Caller
	ID       uint64 // the caller's own id, for Caller
	Parent   uint64
	Turn     bool
	Within   bool      // a handler, hook or timer made it
	Holds    bool      // it may be held back: see Conn.Held
	Deadline time.Time // zero: none
	Command  string
	Sent     uint64 // set by Conn.Request: its place in the data stream, from 1; see Conn.Written
}

// Status says what is known of an id.
type Status uint8

const (
	Found Status = iota // a call in flight
	Late                // issued once, and over
	Never               // never issued
)

// An id is generation<<slotBits | slot: a slot's generation says how often it was
// used, so that the id of a call that is over is not the id of a later one. The
// generation has 33 bits and wraps.
const (
	slotBits  = 20
	maxSlots  = 1 << slotBits // calls in flight on one target
	genMask   = 1<<(53-slotBits) - 1
	firstPage = 4 // slots of the first page; page p > 0 has firstPage<<(p-1)
	pages     = slotBits - 1
)

// An Owner is told of a call whose deadline has passed, after its Caller was: it tells
// the target that nobody waits. It must not block.
type Owner interface {
	Expired(id uint64, n Note)
}

// Calls are the calls in flight on one target. The zero value is ready and holds
// nothing; after use it keeps a little memory, which a deadline that passes while
// it is empty frees. All methods may be called from any goroutine.
type Calls struct {
	// Owner, if set before use, is told of each call whose deadline has passed.
	Owner Owner

	started func(*Note) wire.Started // set by Conn: what is known of one that is no longer in the table

	count atomic.Int32 // written under mu
	gone  atomic.Bool  // End was called; written under mu

	mu   sync.Mutex
	tab  *callTable             // nil while nothing was added
	base uint64                 // generations up to here were issued by tables that were freed
	end  func(Note) *wire.Error // set by End
}

// callTable is the slab: slots in pages that never move.
type callTable struct {
	pages [pages][]slot
	high  int32 // slots in use so far: those below are in a page, and live or free
	free  int32 // the first free slot below high; -1: none

	epoch time.Time   // deadlines are counted from here
	timer *time.Timer // runs sweep; made with the first deadline
	armed int64       // when it fires, in ns after epoch; 0: not armed
	swept int64       // when the last sweep ended
	pause int64       // at least this long until the next, in ns
}

type slot struct {
	gen  uint64
	due  int64 // Note.Deadline, in ns after epoch; 0: none
	next int32 // the next free slot, -1: none
	live bool
	note Note
	_    [16]byte // or what is looked at for each call would not be on one cache line
}

// at returns slot i, which is below high.
func (t *callTable) at(i int32) *slot {
	p := bits.Len32(uint32(i) / firstPage)
	if p == 0 {
		return &t.pages[0][i]
	}
	return &t.pages[p][i-firstPage<<(p-1)]
}

// Add notes a call and returns its id. The error is CodeDown or whatever End was
// given if the target has ended, and CodeOverloaded if 2^20 calls are in flight;
// in either case the handler was not started and n.Caller is told nothing.
func (c *Calls) Add(n Note) (id uint64, err *wire.Error) {
	c.mu.Lock()
	id, ok := c.addLocked(&n)
	c.mu.Unlock()
	if !ok {
		return 0, c.refusal(n)
	}
	return id, nil
}

// addLocked reports false if refusal says why not.
func (c *Calls) addLocked(n *Note) (id uint64, ok bool) {
	if c.end != nil {
		return 0, false
	}
	t := c.tab
	if t == nil {
		t = &callTable{free: -1}
		c.tab = t
	}
	i := t.free
	var s *slot
	if i >= 0 {
		s = t.at(i)
		t.free = s.next
	} else {
		if i = t.high; i == maxSlots {
			return 0, false
		}
		if p := bits.Len32(uint32(i) / firstPage); t.pages[p] == nil {
			t.pages[p] = make([]slot, firstPage<<max(p-1, 0))
		}
		t.high++
		s = t.at(i)
		s.gen = c.base
	}
	if s.gen = (s.gen + 1) & genMask; s.gen == 0 {
		s.gen = 1 // no id is 0
	}
	s.note, s.live, s.due = *n, true, 0
	c.count.Add(1)
	if !n.Deadline.IsZero() {
		c.deadlineLocked(t, s)
	}
	return s.gen<<slotBits | uint64(i), true
}

// refusal says why n could not be added.
func (c *Calls) refusal(n Note) *wire.Error {
	c.mu.Lock()
	end := c.end
	c.mu.Unlock()
	if end == nil {
		return wire.Errorf(wire.CodeOverloaded, "%d calls are in flight to the target of %q; call again later", maxSlots, n.Command).NotStarted()
	}
	e := *end(n)
	return e.NotStarted()
}

// Take takes a call out. With Found its Note is the caller's to end: nobody else
// will.
func (c *Calls) Take(id uint64) (Note, Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLocked(id)
}

// TakeCaller is Take for who needs to know no more than whom to tell.
func (c *Calls) TakeCaller(id uint64) (to Caller, own uint64, status Status) {
	c.mu.Lock()
	s, status := c.find(id)
	if status == Found {
		to, own = s.note.Caller, s.note.ID
		c.freeSlotLocked(s, int32(id&(maxSlots-1)))
	}
	c.mu.Unlock()
	return to, own, status
}

func (c *Calls) takeLocked(id uint64) (Note, Status) {
	s, status := c.find(id)
	if status != Found {
		return Note{}, status
	}
	return c.removeLocked(s, int32(id&(maxSlots-1))), Found
}

// Has reports whether id is in flight.
func (c *Calls) Has(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, status := c.find(id)
	return status == Found
}

// status says what is known of id.
func (c *Calls) status(id uint64) Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, status := c.find(id)
	return status
}

// Peek returns the Note of id, if it is in flight.
func (c *Calls) Peek(id uint64) (Note, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, status := c.find(id); status == Found {
		return s.note, true
	}
	return Note{}, false
}

// sent notes the place of a call in the data stream. It reports whether the call is
// in flight.
func (c *Calls) sent(id, place uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, status := c.find(id)
	if status == Found {
		s.note.Sent = place
	}
	return status == Found
}

// Len returns how many calls are in flight.
func (c *Calls) Len() int { return int(c.count.Load()) }

// Each calls f for every call in flight, in no order, from a copy made when it was
// called: f may use c.
func (c *Calls) Each(f func(id uint64, n Note)) {
	c.mu.Lock()
	all := c.selectLocked(nil, func(*slot) bool { return true }, false)
	c.mu.Unlock()
	for i := range all {
		f(all[i].id, all[i].note)
	}
}

// End fails every call in flight with what err returns for it, and refuses further
// ones the same way, as certainly not started. err may be called from any
// goroutine, any number of times, and must not call c. Only the first End counts.
func (c *Calls) End(err func(Note) *wire.Error) {
	c.mu.Lock()
	if c.end != nil {
		c.mu.Unlock()
		return
	}
	c.end = err
	c.gone.Store(true)
	all := c.selectLocked(nil, func(*slot) bool { return true }, true)
	c.freeLocked()
	c.mu.Unlock()
	for i := range all {
		n := &all[i].note
		n.Caller.Failed(n.ID, err(*n))
	}
}

// Ended reports whether End was called.
func (c *Calls) Ended() bool { return c.gone.Load() }

// find looks id up.
func (c *Calls) find(id uint64) (*slot, Status) {
	gen := id >> slotBits
	i := int32(id & (maxSlots - 1))
	if gen == 0 || id > wire.MaxID {
		return nil, Never
	}
	if c.tab == nil || i >= c.tab.high {
		return nil, issued(gen, c.base)
	}
	s := c.tab.at(i)
	if s.live && s.gen == gen {
		return s, Found
	}
	return nil, issued(gen, s.gen)
}

// issued compares a generation with the last one issued, on a circle: half of it
// behind the last is the past.
func issued(gen, last uint64) Status {
	if last != 0 && (last-gen)&genMask <= genMask/2 {
		return Late
	}
	return Never
}

// removeLocked takes the live slot i out and returns its note.
func (c *Calls) removeLocked(s *slot, i int32) Note {
	n := s.note
	s.note.Command = ""
	c.freeSlotLocked(s, i)
	return n
}

// freeSlotLocked takes the live slot i out. Nobody is kept alive by it, but for the name of a command.
func (c *Calls) freeSlotLocked(s *slot, i int32) {
	s.note.Caller = nil
	s.live = false
	s.next = c.tab.free
	c.tab.free = i
	c.count.Add(-1)
}

// freeLocked frees an empty table, but for what tells late ids from others.
func (c *Calls) freeLocked() {
	t := c.tab
	if t == nil {
		return
	}
	if t.timer != nil {
		t.timer.Stop()
	}
	for i := range t.high {
		if gen := t.at(i).gen; issued(c.base, gen) == Late || c.base == 0 {
			c.base = gen
		}
	}
	c.tab = nil
}

type noted struct {
	id   uint64
	note Note
}

// selectLocked appends the live slots that match to dst, taking them out if so asked.
func (c *Calls) selectLocked(dst []noted, match func(*slot) bool, take bool) []noted {
	if c.tab == nil {
		return dst
	}
	for i := range c.tab.high {
		s := c.tab.at(i)
		if !s.live || !match(s) {
			continue
		}
		dst = append(dst, noted{s.gen<<slotBits | uint64(i), s.note})
		if take {
			c.removeLocked(s, i)
		}
	}
	return dst
}
