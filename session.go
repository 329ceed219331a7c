package arbiter

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// session is the arbiter's side of one connection, for one incarnation. Who the
// connection is was settled by its hello; what its messages claim counts for
// nothing.
type session struct {
	// fixed
	arb  *Arbiter
	inc  *incarnation
	conn *peer.Conn
	born time.Time
	kind string // of who joined

	// owned by the reader
	hello      *wire.Hello
	sender     []byte // inc.aid
	links      map[string]*link
	sweepAt    int     // how many links are too many
	askedOf    []*link // others' connections this one's requests wait in …
	answeredBy []*link // … and those its replies do

	pulsar  atomic.Pointer[peer.Pulsar] // the transport of an actor of pulsar; or nil
	door    *door                       // by which its program may come; or nil
	letters *letters                    // those that the end of conn found on their way
	doomed  milestone                   // its process was sent SIGKILL
	counts  sessionCounts               // written by the reader

	mu        sync.Mutex // guards what follows
	asked     askedCalls
	paid      int // calls that are counted in the budget: see affordCallLocked
	watching  map[uint64]*incarnation
	gone      bool          // withdraw was called
	bye       *wire.Death   // what its goodbye said
	beat      wire.Beat     // what its last heartbeat said, without its Extra …
	extra     said          // … which is here
	beatAt    time.Time     // when it came
	uncounted bool          // it did not say how many messages it has had
	used      proc.Usage    // what its process had used by then
	wanted    time.Duration // see proc.Process.Wanted
	usedAt    time.Time

	unsent, unstarted marks // see markLocked
}

// sessionCounts are of the requests that this session's actor sent.
type sessionCounts struct {
	read    atomic.Uint64
	refused atomic.Uint64 // calls that reached no target
	letters atomic.Uint64 // likewise one-way messages
	back    atomic.Uint64 // one-way messages it was to be told of that came back
}

// maxWatches is how many actors one may watch at a time.
const maxWatches = 1 << 16

// Receive takes one message. It runs on the reader and never waits.
func (s *session) Receive(_ *peer.Conn, m *wire.Message) {
	switch m.Kind {
	case wire.KindRequest:
		s.request(m)
	case wire.KindCancel:
		s.cancel(m.ID)
	case wire.KindWatch:
		s.watch(m)
	case wire.KindUnwatch:
		s.unwatch(m.ID)
	case wire.KindUndelivered:
		e := wire.ParseError(m)
		s.arb.undelivered(string(m.Target), s.inc.label(), e)
	case wire.KindNotify:
		s.notify(m)
	case wire.KindGoodbye:
		s.mu.Lock()
		s.bye = farewell(wire.ParseDeath(m))
		s.mu.Unlock()
	}
}

// Dry flushes the connections that Receive wrote to, and wakes the actors it gave
// something: the reader has nothing more.
func (s *session) Dry(*peer.Conn) {
	for n, l := range s.askedOf {
		l.asked = false
		if l.to.session != nil {
			l.to.session.conn.Flush()
		} else {
			l.to.cell.Wake(false)
		}
		s.askedOf[n] = nil
	}
	s.askedOf = s.askedOf[:0]
	for n, l := range s.answeredBy {
		l.answered = false
		l.from.conn.Flush()
		s.answeredBy[n] = nil
	}
	s.answeredBy = s.answeredBy[:0]
}

// answered takes the call id of this session's actor off the list: it has ended.
// It returns false if it had before.
func (s *session) answered(id uint64) bool {
	s.mu.Lock()
	a, ok := s.asked.take(id)
	if ok {
		s.refundLocked()
	}
	s.mu.Unlock()
	if a.turn {
		s.arb.waits.remove(s.inc, id)
	}
	return ok
}

// fail tells this session's actor that its call id failed.
func (s *session) fail(id uint64, e *wire.Error) {
	s.unposted(s.tell(wire.KindError, id, e))
	s.conn.FlushSoon()
}

// muchUnread is how many bytes of answers may wait for an actor that is told at length what
// else goes wrong.
const muchUnread = 1 << 20

// tell queues e as a message of kind. Who has much to read already, or no room for more, is told
// in short: the last words of the same dead with each of a thousand calls would end it as well.
func (s *session) tell(kind wire.Kind, id uint64, e *wire.Error) error {
	if s.conn.Queued(peer.Reply) <= muchUnread {
		m := e.Frame(kind, id)
		if err := s.conn.Post(peer.Reply, &m, peer.Charge{}); !peer.NoRoom(err) {
			return err
		}
	}
	m := e.Brief().Frame(kind, id)
	return s.conn.Post(peer.Reply, &m, peer.Charge{})
}

// cameBack tells this session's actor of a message of its that has not reached a handler of to, if
// there is room for that: it is a dead letter all the same. Nor is it told of more than it has
// sent: who sends messages back may name anybody as their sender, and nobody notes whose each one
// was. What it has sent to itself does not come by here, and is its own.
func (s *session) cameBack(to string, e *wire.Error) {
	if to == s.inc.label() || s.counts.back.Add(1) <= s.counts.read.Load() {
		_ = s.tell(wire.KindUndelivered, 0, e)
		s.conn.FlushSoon()
	}
}

// post queues m. What cannot be queued is lost with the connection, or breaks it:
// a peer that does not read its replies cannot be served.
func (s *session) post(class peer.Class, m *wire.Message) {
	s.unposted(s.conn.Post(class, m, peer.Charge{}))
}

// unposted ends the connection if err, of a Post, is one.
func (s *session) unposted(err error) {
	if err != nil && err != peer.ErrClosed && !s.conn.Calls().Ended() {
		s.conn.Close(fmt.Errorf("it does not read what it is sent: %w", err))
	}
}

// Expired tells this session's actor that nobody waits for the call id: its time is
// up.
func (s *session) Expired(id uint64, n peer.Note) { s.tellCancel(id, n) }

func (s *session) flush(more bool) {
	if more {
		s.conn.FlushSoon()
		return
	}
	s.conn.Flush()
}

// cancel takes back a call: its target is told that nobody waits.
func (s *session) cancel(id uint64) {
	s.mu.Lock()
	var a asked
	found := s.asked.get(id)
	if found != nil {
		a = *found
	}
	s.mu.Unlock()
	if found != nil && s.answered(id) {
		s.takeBack(a)
	}
}

func (s *session) takeBack(a asked) {
	if a.again != nil {
		a.again.cancel()
	}
	to := a.link.to
	note, status := to.calls().Take(a.id)
	if status != peer.Found {
		return
	}
	if to.cell != nil {
		to.cell.Cancel(s.conn, a.id)
		return
	}
	to.session.tellCancel(a.id, note)
}

// tellCancel tells this session's actor that nobody waits for the call id any
// more.
// It was noted as n, and is no longer: what is held back of it is dropped, and there is
// nothing to take back. Who has not begun would have no end of these.
func (s *session) tellCancel(id uint64, n peer.Note) {
	if !s.conn.Written(n.Sent) {
		return
	}
	class := peer.Control
	if s.conn.Queued(class) > manyCancels {
		class = peer.Ordered
	}
	s.post(class, &wire.Message{Kind: wire.KindCancel, ID: id})
	s.conn.FlushSoon()
}

// manyCancels is how many bytes of control may wait where a cancel still passes ahead of the data:
// one caller may have made any number of calls, and what else is control needs its room.
const manyCancels = 256 << 10

// withdraw takes back all this session's actor has asked of others, and its
// watches: it is dead.
func (s *session) withdraw() {
	s.mu.Lock()
	all, watching := s.asked.all(), s.watching
	s.asked, s.watching, s.gone = askedCalls{}, nil, true
	s.conn.Dismiss(s.paid*callCost + len(watching)*watchCost)
	s.paid = 0
	s.mu.Unlock()
	// What there may be tens of thousands of in one place is taken off there at once.
	s.arb.waits.forget(s.inc)
	for _, a := range all {
		s.takeBack(a)
	}
	watched := make(map[*incarnation]bool)
	for _, to := range watching {
		watched[to] = true
	}
	for to := range watched {
		to.removeWatcher(func(w watcher) bool { return w.by == s.inc })
	}
}

// watch has this session's actor told of the end of another.
func (s *session) watch(m *wire.Message) {
	to := s.inc.resolve(m.Target)
	if to == nil {
		s.fail(m.ID, s.arb.unknownActor(string(m.Target)))
		return
	}
	s.mu.Lock()
	_, taken := s.watching[m.ID]
	refused := s.gone || len(s.watching) >= maxWatches
	poor := !refused && !taken && s.conn.Admit(watchCost) != nil
	if !refused && !taken && !poor {
		s.watching[m.ID] = to
	}
	s.mu.Unlock()
	if taken { // it would be a watch that nobody counts
		s.fail(m.ID, invalid("the id %d belongs to another watch", m.ID))
		return
	}
	if poor {
		s.fail(m.ID, errMemory(wire.StartedNo))
		return
	}
	if refused {
		s.fail(m.ID, wire.Errorf(wire.CodeOverloaded, "it watches %d actors already", maxWatches).NotStarted())
		return
	}
	// The answer goes first: the end may come at once.
	s.post(peer.Reply, &wire.Message{Kind: wire.KindReply, ID: m.ID})
	w := watcher{by: s.inc, id: m.ID}
	if d := to.addWatcher(w); d != nil {
		to.tell(w)
		return
	}
	s.conn.FlushSoon()
}

func (s *session) unwatch(id uint64) {
	if to := s.forgetWatch(id); to != nil {
		to.removeWatcher(func(w watcher) bool { return w.by == s.inc && w.id == id })
	}
}

// forgetWatch takes the watch id off the list, and returns whose end it was for; nil if
// there is no such watch.
func (s *session) forgetWatch(id uint64) *incarnation {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := s.watching[id]
	if to != nil {
		delete(s.watching, id)
		s.conn.Dismiss(watchCost)
	}
	return to
}

// stop asks the actor to stop.
func (s *session) stop(reason string) {
	s.post(peer.Control, &wire.Message{Kind: wire.KindStop, Body: []byte(reason)})
	s.conn.FlushSoon()
}

// kill ends the process, if it is ours, and the connection.
func (s *session) kill(d *wire.Death) {
	s.pulsarLast()
	if p := s.inc.process.Load(); p != nil {
		if err := p.Kill(); err != nil {
			s.arb.log.Warn("a process could not be killed", "actor", s.inc.label(), "pid", p.PID(), "error", err)
		}
		s.doomed.pass()
	}
	s.conn.Cut(d, fmt.Errorf("it %s", d.String()))
}

// serve reads until the connection ends, finds out why the actor died, and ends
// its incarnation.
func (s *session) serve() {
	err := s.conn.Run(s)
	s.inc.lost.Store(true)
	s.Dry(s.conn)
	s.links = nil
	s.inc.end(s.autopsy(err))
}
