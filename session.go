package arbiter

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
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

	// owned by the reader
	hello      *wire.Hello
	sender     []byte // inc.aid
	links      map[string]*link
	askedOf    []*link // others' connections this one's requests wait in …
	answeredBy []*link // … and those its replies do

	pulsar  atomic.Pointer[peer.Pulsar] // the transport of an actor of pulsar; or nil
	door    *door                       // by which its program may come; or nil
	letters *letters                    // those that the end of conn found on their way
	counts  sessionCounts               // written by the reader

	mu       sync.Mutex // guards what follows
	asked    map[uint64]asked
	watching map[uint64]*incarnation
	gone     bool          // withdraw was called
	bye      *wire.Death   // what its goodbye said
	beat     actor.Info    // what its last heartbeat said
	beatAt   time.Time     // when it came
	used     proc.Usage    // what its process had used by then
	wanted   time.Duration // see proc.Process.Wanted
	usedAt   time.Time

	unsent, unstarted marks // see markLocked
}

// asked is a call this session's actor has in flight.
type asked struct {
	link *link
	id   uint64 // among the target's calls
	turn bool   // it has an edge among the waits
}

// sessionCounts are of the requests that this session's actor sent.
type sessionCounts struct {
	read    atomic.Uint64
	refused atomic.Uint64 // calls that reached no target
	letters atomic.Uint64 // likewise one-way messages
}

// maxLinks is how many targets a session remembers the road to. One that uses
// more starts anew.
const maxLinks = 1024

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
			l.to.cell.Wake()
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

// Beat sends the arbiter's own heartbeat.
func (s *session) Beat(*peer.Conn) {
	s.post(peer.Control, &wire.Message{Kind: wire.KindNotify})
	s.conn.Flush()
}

// link returns the road to the address, or nil if nobody has it.
func (s *session) link(address []byte) *link {
	if l := s.links[string(address)]; l != nil {
		if !l.to.calls().Ended() {
			return l
		}
		delete(s.links, l.name)
	}
	to := s.arb.resolve(address)
	if to == nil {
		return nil
	}
	return s.linkAs(to, string(address))
}

// linkTo returns the road to one actor, by its aid.
func (s *session) linkTo(to *incarnation) *link {
	if l := s.links[to.aid]; l != nil && l.to == to {
		return l
	}
	return s.linkAs(to, to.aid)
}

func (s *session) linkAs(to *incarnation, address string) *link {
	if len(s.links) >= maxLinks {
		clear(s.links)
	}
	l := &link{from: s, to: to, name: address}
	s.links[address] = l
	return l
}

// toPool routes a message to a pool, l, or with an address nobody has, which may mean
// one in a special way.
func (s *session) toPool(l *link, m *wire.Message, charge peer.Charge) {
	var p *pool
	var key string
	var all bool
	if l != nil {
		if p = l.to.pool; isOwn(m.Command) {
			s.route(l, m, charge)
			return
		}
	} else {
		name, k, every, ok := poolAddress(string(m.Target))
		if ok {
			if to := s.arb.resolve([]byte(name)); to != nil {
				p, key, all = to.pool, k, every
			}
		}
		if p == nil {
			s.refuse(m, charge, s.arb.unknownActor(string(m.Target)))
			return
		}
	}
	if all {
		s.toAll(p, m, charge)
		return
	}
	w := p.pick(key)
	if w == nil {
		s.refuse(m, charge, p.nobody())
		return
	}
	s.route(s.linkTo(w), m, charge)
	w.gate.leave()
}

// toAll routes a one-way message to every worker of a pool.
func (s *session) toAll(p *pool, m *wire.Message, charge peer.Charge) {
	if m.Flags&wire.FlagOneWay == 0 {
		s.refuse(m, charge, needsOneWay(p))
		return
	}
	original := *m
	var last *incarnation
	for _, w := range *p.members.Load() {
		if w = w.heir(); w == nil {
			continue
		}
		if last != nil {
			s.route(s.linkTo(last), m, peer.Charge{})
			last.gate.leave()
			*m = original
			s.counts.read.Add(1) // it is one message for each
		}
		last = w
	}
	if last == nil {
		s.refuse(m, charge, p.nobody())
		return
	}
	s.route(s.linkTo(last), m, charge) // the room is the sender's again when the last one has it
	last.gate.leave()
}

func needsOneWay(p *pool) *wire.Error {
	return invalid("a message to all of %q is one-way: send it, and do not wait for an answer", p.args.Name)
}

// request routes one request: road steps 5 to 8.
func (s *session) request(m *wire.Message) {
	s.counts.read.Add(1)
	charge := s.conn.Charge(m)
	if m.Codec == wire.CodecPickle && !s.inc.pulsar {
		s.refuse(m, charge, errNotPulsar())
		return
	}
	l := s.link(m.Target)
	if l == nil || l.to.pool != nil {
		s.toPool(l, m, charge)
		return
	}
	if l.to.seat == nil {
		s.route(l, m, charge)
		return
	}
	// Who has the address may be another one than when the road to it was found.
	to, entered := s.arb.enter(l.to, m.Target)
	if to != l.to {
		l = s.linkAs(to, string(m.Target))
	}
	s.route(l, m, charge)
	if entered {
		to.gate.leave()
	}
}

// route takes a message the road l.
func (s *session) route(l *link, m *wire.Message, charge peer.Charge) {
	var parent uint64
	if len(m.Ext) > 0 {
		if err := m.CheckExt(); err != nil {
			s.refuse(m, charge, wire.Errorf(wire.CodeProtocol, "%v", err).NotStarted())
			return
		}
		parent, _ = m.Parent()
		m.Ext = nil
	}
	m.Sender = s.sender
	if m.Codec == wire.CodecPickle && !l.to.pulsar {
		if err := toCBOR(m); err != nil {
			s.refuse(m, charge, err)
			return
		}
	}
	if m.Flags&(wire.FlagOneWay|wire.FlagAccept) != 0 {
		s.oneWay(l, m, charge)
		return
	}
	s.ask(l, m, charge, parent)
}

// ask routes a call.
func (s *session) ask(l *link, m *wire.Message, charge peer.Charge, parent uint64) {
	own := m.ID
	turn := m.Flags&wire.FlagTurn != 0
	if own == 0 {
		s.refuse(m, charge, invalid("a call needs an id other than 0"))
		return
	}
	if turn {
		if path := s.arb.waits.add(s.inc, l.to, own); path != nil {
			s.refuse(m, charge, cycle(path))
			return
		}
	}
	m.Flags &^= wire.FlagTurn | wire.FlagChained
	if parent != 0 && cell.Mode(l.to.mode.Load()) == cell.Interleaved && s.arb.waitsAbove(s.inc, parent, l.to) {
		m.Flags |= wire.FlagChained
	}
	// Noted before it is sent: the reply may come before Request returns.
	s.mu.Lock()
	if _, taken := s.asked[own]; taken || s.gone {
		s.mu.Unlock()
		if turn {
			s.arb.waits.remove(s.inc, own)
		}
		s.refuse(m, charge, invalid("the id %d belongs to another call in flight", own))
		return
	}
	s.asked[own] = asked{link: l, turn: turn}
	s.mu.Unlock()
	note := peer.Note{Caller: l, ID: own, Deadline: s.arb.deadline(m.Millis), Command: s.arb.names.of(m.Command), Parent: parent, Turn: turn}
	id, err := s.forward(l, m, note, charge)
	if err != nil {
		s.counts.refused.Add(1)
		if s.answered(own) {
			m.ID = own
			s.fail(own, err)
		}
		return
	}
	s.mu.Lock()
	if a, ok := s.asked[own]; ok {
		a.id = id
		s.asked[own] = a
	}
	s.mu.Unlock()
}

// forward hands a call to its target.
func (s *session) forward(l *link, m *wire.Message, note peer.Note, charge peer.Charge) (uint64, *wire.Error) {
	if to := l.to.session; to != nil {
		id, err := to.conn.Request(m, note, charge)
		if err == nil {
			s.use(l)
		}
		return id, at(err, l.to)
	}
	id, err := l.to.local.Add(note)
	if err != nil {
		charge.Return()
		return 0, err
	}
	m.ID = id
	r := l.to.cell.Receive(m, s.conn, charge.Cost)
	if err := l.to.cell.Put(r); err != nil {
		charge.Return()
		l.to.local.Take(id)
		return 0, at(err, l.to)
	}
	s.use(l)
	return id, nil
}

// use notes that something went to l: see Dry.
func (s *session) use(l *link) {
	if !l.asked {
		l.asked = true
		s.askedOf = append(s.askedOf, l)
	}
}

// at says whose error it is, where that is not said yet.
func at(e *wire.Error, who *incarnation) *wire.Error {
	if e != nil && e.Target == "" {
		c := *e
		c.Target = who.label()
		return &c
	}
	return e
}

// oneWay routes a message nobody waits for the answer of.
func (s *session) oneWay(l *link, m *wire.Message, charge peer.Charge) {
	id, accept := m.ID, m.Flags&wire.FlagAccept != 0
	m.Flags = m.Flags&^(wire.FlagAccept|wire.FlagTurn|wire.FlagChained) | wire.FlagOneWay
	m.ID, m.Millis = 0, 0
	var err *wire.Error
	if to := l.to.session; to != nil {
		if e := to.conn.Post(peer.Data, m, charge); e != nil {
			err = postError(e)
		}
	} else {
		var source cell.Source
		if charge.From != nil { // else it is one of several of the same message, and another one pays
			source = s.conn
		}
		r := l.to.cell.Receive(m, source, charge.Cost)
		r.Granted = true // it takes room in its sender's window until its handler begins: the sender waits
		if err = l.to.cell.Put(r); err != nil {
			charge.Return()
		}
	}
	if err != nil {
		m.ID = id
		if accept {
			m.Flags &^= wire.FlagOneWay
		}
		s.refuse(m, peer.Charge{}, at(err, l.to))
		return
	}
	s.use(l)
	if accept {
		s.post(peer.Reply, &wire.Message{Kind: wire.KindReply, ID: id})
		s.conn.FlushSoon()
	}
}

// postError is why a one-way message could not be posted.
func postError(err error) *wire.Error {
	return wire.AsError(err, wire.CodeOverloaded).With(wire.StartedNo)
}

// refuse tells the sender of m that it went nowhere.
func (s *session) refuse(m *wire.Message, charge peer.Charge, e *wire.Error) {
	charge.Return()
	if m.Flags&wire.FlagOneWay != 0 {
		s.counts.letters.Add(1)
		e = e.With(wire.StartedNo)
		e.Command = string(m.Command)
		if e.Target == "" {
			e.Target = string(m.Target)
		}
		s.arb.undelivered(s.inc.aid, e.Target, e)
		return
	}
	s.counts.refused.Add(1)
	s.fail(m.ID, e)
}

// answered takes the call id of this session's actor off the list: it has ended.
// It returns false if it had before.
func (s *session) answered(id uint64) bool {
	s.mu.Lock()
	a, ok := s.asked[id]
	if ok {
		delete(s.asked, id)
	}
	s.mu.Unlock()
	if a.turn {
		s.arb.waits.remove(s.inc, id)
	}
	return ok
}

// fail tells this session's actor that its call id failed.
func (s *session) fail(id uint64, e *wire.Error) {
	m := e.Frame(wire.KindError, id)
	s.post(peer.Reply, &m)
	s.conn.FlushSoon()
}

// post queues m. What cannot be queued is lost with the connection, or breaks it:
// a peer that does not read its replies cannot be served.
func (s *session) post(class peer.Class, m *wire.Message) {
	if err := s.conn.Post(class, m, peer.Charge{}); err != nil && !s.conn.Calls().Ended() {
		s.conn.Close(fmt.Errorf("it does not read what it is sent: %w", err))
	}
}

// Expired tells this session's actor that nobody waits for the call id: its time is
// up.
func (s *session) Expired(id uint64, _ peer.Note) { s.tellCancel(id) }

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
	a, ok := s.asked[id]
	s.mu.Unlock()
	if ok && s.answered(id) {
		s.takeBack(a)
	}
}

func (s *session) takeBack(a asked) {
	to := a.link.to
	if _, status := to.calls().Take(a.id); status != peer.Found {
		return
	}
	if to.cell != nil {
		to.cell.Cancel(s.conn, a.id)
		return
	}
	to.session.tellCancel(a.id)
}

// tellCancel tells this session's actor that nobody waits for the call id any
// more.
func (s *session) tellCancel(id uint64) {
	s.post(peer.Control, &wire.Message{Kind: wire.KindCancel, ID: id})
	s.conn.FlushSoon()
}

// withdraw takes back all this session's actor has asked of others, and its
// watches: it is dead.
func (s *session) withdraw() {
	s.mu.Lock()
	all, watching := s.asked, s.watching
	s.asked, s.watching, s.gone = nil, nil, true
	s.mu.Unlock()
	for id, a := range all {
		if a.turn {
			s.arb.waits.remove(s.inc, id)
		}
		s.takeBack(a)
	}
	for id, to := range watching {
		to.removeWatcher(func(w watcher) bool { return w.by == s.inc && w.id == id })
	}
}

// watch has this session's actor told of the end of another.
func (s *session) watch(m *wire.Message) {
	to := s.arb.resolve(m.Target)
	if to == nil {
		s.fail(m.ID, s.arb.unknownActor(string(m.Target)))
		return
	}
	s.mu.Lock()
	_, taken := s.watching[m.ID]
	refused := s.gone || len(s.watching) >= maxWatches
	if !refused && !taken {
		s.watching[m.ID] = to
	}
	s.mu.Unlock()
	if taken { // it would be a watch that nobody counts
		s.fail(m.ID, invalid("the id %d belongs to another watch", m.ID))
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
	s.mu.Lock()
	to := s.watching[id]
	delete(s.watching, id)
	s.mu.Unlock()
	if to != nil {
		to.removeWatcher(func(w watcher) bool { return w.by == s.inc && w.id == id })
	}
}

func (s *session) forgetWatch(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.watching, id)
}

// notify takes a heartbeat. The first one says that the actor runs.
func (s *session) notify(m *wire.Message) {
	var info actor.Info
	if len(m.Body) > 0 {
		if err := wire.Decode(m.Codec, m.Body, &info); err != nil {
			s.arb.log.Debug("a heartbeat that cannot be read", "actor", s.inc.label(), "error", err)
		}
	}
	s.inc.markReady()
	if info.State == cell.Stopping.String() {
		s.inc.state.CompareAndSwap(int32(cell.Running), int32(cell.Stopping))
	}
	now := time.Now()
	var used proc.Usage
	var wanted time.Duration
	known := false
	if p := s.inc.process.Load(); p != nil {
		if used, known = p.Usage(); known {
			wanted = p.Wanted()
		}
	}
	s.mu.Lock()
	s.beat, s.beatAt = info, now
	if known {
		s.used, s.wanted, s.usedAt = used, wanted, now
	}
	s.markLocked(now)
	s.mu.Unlock()
	s.checkBudget(&info)
}

// marks are how many messages there were at some times: when as many are over the
// oldest of them waits no more. Nothing is noted with each message.
type marks []mark

type mark struct {
	at   time.Time
	upTo uint64
}

const maxMarks = 16

// note notes that there are upTo messages by now, of which over are over.
func (m *marks) note(now time.Time, upTo, over uint64) {
	for len(*m) > 0 && (*m)[0].upTo <= over {
		*m = (*m)[1:]
	}
	if upTo <= over {
		return
	}
	if len(*m) == maxMarks {
		*m = (*m)[:maxMarks-1]
	}
	*m = append(*m, mark{now, upTo})
}

// age is how long the oldest message has waited, roughly.
func (m marks) age() time.Duration {
	if len(m) == 0 {
		return 0
	}
	return time.Since(m[0].at)
}

// markLocked notes how far the actor has come with what it was sent: what has not left
// here yet, and what is in its inbox, by its heartbeat. Not all that is sent is ever
// counted as started: some is answered at once, and some is dropped since nobody waits
// any more. So both are forgotten when nothing waits, and what is compared with the
// count of those that were started begins anew with each heartbeat.
func (s *session) markLocked(now time.Time) {
	placed, written := s.conn.Progress()
	s.unsent.note(now, placed, written)
	switch {
	case s.beat.Inbox <= 0:
		s.unstarted = nil
	case s.beat.Started > 0: // else it does not count
		s.unstarted.note(now, s.beat.Started+uint64(s.beat.Inbox), s.beat.Started)
	}
}

// queueAge is how long the oldest message that was sent to the actor and not
// started has waited, as far as its heartbeats tell.
func (s *session) queueAge() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.beat.Oldest
	if age > 0 {
		age += time.Since(s.beatAt)
	}
	return max(age, s.unsent.age(), s.unstarted.age())
}

// checkBudget ends an actor that says itself that a handler has outlived its budget,
// and did nothing about it. Those of this language do.
func (s *session) checkBudget(info *actor.Info) {
	args := s.inc.args
	if args == nil || args.Budget <= 0 || info.Handling == "" || info.Since <= args.Budget {
		return
	}
	s.inc.kill(&wire.Death{Cause: wire.CauseHung, Reason: fmt.Sprintf("it was still inside %q after %v, and its budget is %v",
		info.Handling, info.Since.Round(time.Millisecond), args.Budget)})
}

// describe adds to info what is known of the other end.
func (s *session) describe(info *actor.Info) {
	s.mu.Lock()
	beat := s.beat
	s.mu.Unlock()
	at := s.conn.Info()
	info.PID = at.PID
	if beat.PID != 0 {
		info.PID = beat.PID
	}
	if p := s.inc.process.Load(); p != nil {
		info.PID = p.PID()
	}
	info.Peer, info.Profile = at.Network, string(at.Profile)
	if at.Remote != "" {
		info.Peer += ":" + at.Remote
	}
	info.Extra = maps.Clone(beat.Extra)
	info.Inbox, info.Started = beat.Inbox, beat.Started
	info.Accepted, info.Refused = beat.Accepted, beat.Refused+s.counts.refused.Load()+s.counts.letters.Load()+s.conn.Refused()
	if p := s.pulsar.Load(); p != nil {
		info.Accepted = s.conn.Account().Taken
		info.Started = info.Accepted // of an actor of pulsar it is taken that what is written is begun
		describePulsar(info, p)
	}
	s.inc.mu.Lock()
	defer s.inc.mu.Unlock()
	if s.hello != nil {
		info.Language = s.hello.Language
	}
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
	}
	s.conn.Farewell(d)
	s.conn.Close(fmt.Errorf("it %s", d.String()))
}

// serve reads until the connection ends, finds out why the actor died, and ends
// its incarnation.
func (s *session) serve() {
	err := s.conn.Run(s)
	s.inc.lost.Store(true)
	s.Dry(s.conn)
	s.inc.end(s.autopsy(err))
}
