package arbiter

import (
	"errors"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// A session remembers the roads to maxLinks targets at most; one that uses more starts
// anew. Those to the dead are forgotten whenever there are twice as many as were left
// the last time, and manyLinks at least.
const (
	maxLinks  = 1024
	manyLinks = 32
)

// link returns the road to the address, or nil if nobody has it.
func (s *session) link(address []byte) *link {
	if l := s.links[string(address)]; l != nil {
		if !l.to.calls().Ended() {
			return l
		}
		delete(s.links, l.name)
	}
	to := s.inc.resolve(address)
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
	if len(s.links) >= s.sweepAt {
		s.sweepLinks()
	}
	l := &link{from: s, to: to, name: address}
	l.backlog.From, l.backlog.Target = s.conn, address
	s.links[address] = l
	return l
}

// sweepLinks forgets the dead: by its link a session would keep them, and by theirs
// those who died before them.
func (s *session) sweepLinks() {
	maps.DeleteFunc(s.links, func(_ string, l *link) bool { return l.to.calls().Ended() })
	if len(s.links) >= maxLinks {
		clear(s.links)
	}
	s.sweepAt = min(max(manyLinks, 2*len(s.links)), maxLinks)
}

// toPool routes a message to a pool, l, or with an address nobody has, which may mean
// one in a special way.
func (s *session) toPool(l *link, m *wire.Message, charge peer.Charge) {
	var p *pool
	var key string
	var all bool
	if l != nil {
		if p = l.to.pool; cell.IsInPlace(m.Command) {
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
	w := p.pick(key, s.inc)
	if w == nil {
		s.refuse(m, charge, p.nobody())
		return
	}
	if l != nil {
		charge = s.held(l, m, charge, m.Flags&wire.FlagOneWay == 0)
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
	own := m.Own // for the last
	m.Own = nil
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
	m.Own = own
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
	if n := s.conn.Missing(); n > 0 {
		s.refuse(m, charge, errMemory(wire.StartedNo))
		return
	}
	if m.Codec == wire.CodecPickle && !s.inc.pulsar {
		s.refuse(m, charge, errNotPulsar())
		return
	}
	if !utf8.Valid(m.Command) || !utf8.Valid(m.Target) {
		s.refuse(m, charge, invalid("the target or the command is not UTF-8"))
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
	var within bool
	if len(m.Ext) > 0 {
		if err := m.CheckExt(); err != nil {
			s.refuse(m, charge, wire.Errorf(wire.CodeProtocol, "%v", err).NotStarted())
			return
		}
		parent, within = m.Parent()
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
	s.ask(l, m, charge, parent, within)
}

// ask routes a call.
func (s *session) ask(l *link, m *wire.Message, charge peer.Charge, parent uint64, within bool) {
	own := m.ID
	within = within || m.Flags&wire.FlagTurn != 0
	turn := m.Flags&wire.FlagTurn != 0 && !cell.IsInPlace(m.Command) // that is answered beside the turn
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
	if s.arb.chained(s.inc, parent, l.to) {
		m.Flags |= wire.FlagChained
	}
	note := peer.Note{Caller: l, ID: own, Deadline: time.Now().Add(timeLeft(m.Millis)), Command: s.arb.names.of(m.Command), Parent: parent, Turn: turn, Within: within}
	var again *repeat
	if p := l.to.pooledAs(m.Target); p != nil && l.to.repeats(m.Command) {
		again = s.repeatable(p, l, m, &note)
	}
	// Noted before it is sent: the reply may come before Request returns.
	s.mu.Lock()
	if s.gone || !s.asked.add(own, asked{link: l, turn: turn, again: again}) {
		s.mu.Unlock()
		if turn {
			s.arb.waits.remove(s.inc, own)
		}
		again.forget()
		s.refuse(m, charge, invalid("the id %d belongs to another call in flight", own))
		return
	}
	afforded := s.affordCallLocked()
	s.mu.Unlock()
	if !afforded {
		charge.Return()
		again.forget()
		s.counts.refused.Add(1)
		if s.answered(own) {
			s.fail(own, errMemory(wire.StartedNo))
		}
		return
	}
	s.hand(l, m, note, s.held(l, m, charge, true))
}

// hand hands a call, which is in asked, to its target.
func (s *session) hand(l *link, m *wire.Message, note peer.Note, charge peer.Charge) {
	id, err := s.forward(l, m, note, charge)
	if id == 0 {
		s.counts.refused.Add(1)
		if err != nil {
			note.Caller.Failed(note.ID, err) // which may be to make it again
		}
		return
	}
	s.mu.Lock()
	s.placedLocked(note.ID, id)
	s.mu.Unlock()
}

// placedLocked notes as what the call own is in flight on its target.
func (s *session) placedLocked(own, id uint64) {
	if a := s.asked.get(own); a != nil {
		a.id = id
	}
}

// forward hands a call to its target. An id of 0 without an error is that of ask.
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
	err = errMemory(wire.StartedNo)
	if s.conn.Admit(charge.Cost) == nil {
		r := l.to.cell.Receive(m, s.conn, charge.Cost)
		r.Room = charge.Source()
		if err = l.to.cell.Put(r); err != nil {
			s.conn.Dismiss(charge.Cost)
		}
	}
	if err != nil {
		charge.Return()
		return 0, at(untold(l.to, id, err), l.to)
	}
	s.use(l)
	return id, nil
}

// held charges m to what waits for its target. Who is told to send no more must know whom
// for. The arbiter itself is never stuck, and is to hear whoever asks it for an end of
// something.
func (s *session) held(l *link, m *wire.Message, charge peer.Charge, call bool) peer.Charge {
	if l.name != string(m.Target) || call && l.to == s.arb.self {
		return charge
	}
	return l.backlog.Take(charge, call)
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
	charge = s.held(l, m, charge, accept)
	if to := l.to.session; to != nil {
		if e := to.conn.Post(peer.Data, m, charge); e != nil {
			err = l.to.postError(e)
		}
	} else {
		err = s.deliver(l.to, m, charge)
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

// deliver puts a one-way message into the inbox of an actor of this process.
func (s *session) deliver(to *incarnation, m *wire.Message, charge peer.Charge) *wire.Error {
	cost, source := charge.Cost, cell.Source(charge.Source())
	if source == nil {
		cost, source = wire.Cost(m.Size()), (*copied)(s.conn)
	}
	if s.conn.Admit(cost) != nil {
		charge.Return()
		return errMemory(wire.StartedNo)
	}
	r := to.cell.Receive(m, source, cost)
	r.Granted = true // it takes room in its sender's window until its handler begins: the sender waits
	err := to.cell.Put(r)
	if err != nil {
		s.conn.Dismiss(cost)
		charge.Return()
	}
	return err
}

// copied is the source of one of several copies of a message: another one gives the room
// back.
type copied peer.Conn

// Credit gives back the memory.
func (c *copied) Credit(cost int) { (*peer.Conn)(c).Dismiss(cost) }

// Started counts nothing: the sender sent one message.
func (c *copied) Started() {}

// postError is why a one-way message to i, which is elsewhere, could not be posted.
func (i *incarnation) postError(err error) *wire.Error {
	switch {
	case errors.Is(err, peer.ErrBudget):
		return errMemory(wire.StartedNo)
	case errors.Is(err, peer.ErrFull):
		return wire.Errorf(wire.CodeOverloaded, "there is no room for more on the way to it").NotStarted()
	}
	e := wire.AsError(err, wire.CodeOverloaded)
	if errors.Is(err, peer.ErrClosed) || e.Code == wire.CodeClosed && e != wire.ErrSenderEnded { // that is i's connection
		i.session.mu.Lock()
		d := i.session.bye
		i.session.mu.Unlock()
		if k := i.killed(); k != nil {
			d = k // as whoever waits for an answer of it is told
		}
		e = &wire.Error{Code: wire.CodeDown, Message: "it takes no more messages", Death: d}
	}
	return e.With(wire.StartedNo)
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
