package arbiter

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// repeat is a call to a pool that may be made once more: its command says that it is
// idempotent. It stands for the caller in the calls in flight on the worker. If that dies
// before it has answered, the call goes to another one, as a new message with the
// same deadline; however that ends is how the call ends.
//
// What there is of it at a time is one note, on one worker: so it ends once, as every call.
type repeat struct {
	pool  *pool
	note  peer.Note    // as it was first
	first peer.Caller  // whose call it is
	on    *incarnation // where it is in flight, the first time
	// again sends the call to another worker, with the number of the attempt. It never
	// waits.
	again func(to *incarnation, note peer.Note) (id uint64, err *wire.Error)
	// release lets go of what was kept for that. Once.
	release func()
	source  cell.Source // by which a cell knows whose call it is, the second time

	mu     sync.Mutex   // guards what follows
	caller peer.Caller  // who is told of its end: the road back from where it is in flight
	to     *incarnation // where it is in flight, the second time; nil before
	id     uint64
	tried  bool
	began  bool // the first handler may have
	over   bool
}

var _ peer.Forwarder = (*repeat)(nil)

// pooledAs returns the pool i is a worker of, if target is its address; nil otherwise: who
// names a worker, or a key, wants that one.
func (i *incarnation) pooledAs(target []byte) *pool {
	if i.slot == nil || i.slot.row.pool == nil {
		return nil
	}
	p := i.slot.row.pool
	if string(target) == p.args.Name || string(target) == p.monitor.aid {
		return p
	}
	return nil
}

// repeats reports whether i says that it may be asked command twice.
func (i *incarnation) repeats(command []byte) bool {
	if i.spec != nil {
		c := i.spec.Commands[string(command)]
		return c != nil && c.Idempotent
	}
	return i.session != nil && i.session.repeats(command)
}

// repeats reports whether the hello said that command may be asked twice.
func (s *session) repeats(command []byte) bool {
	s.inc.mu.Lock()
	defer s.inc.mu.Unlock()
	return s.hello != nil && slices.ContainsFunc(s.hello.Commands, func(c wire.CommandInfo) bool { return c.Idempotent && c.Name == string(command) })
}

// forget is for a call that was not made after all; r may be nil.
func (r *repeat) forget() {
	if r != nil {
		r.finish()
	}
}

// finish takes the call for ended. It returns who is to be told; nil if it had ended before.
func (r *repeat) finish() peer.Caller {
	r.mu.Lock()
	caller := r.caller
	if r.over {
		caller = nil
	}
	r.over = true
	r.mu.Unlock()
	if caller != nil {
		r.release()
	}
	return caller
}

// isOver reports whether the call has ended, or was given up.
func (r *repeat) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// Result passes a reply on.
func (r *repeat) Result(id uint64, m *wire.Message) {
	if caller := r.finish(); caller != nil {
		caller.Result(id, m)
	}
}

// Forward passes a reply or an error on. An actor elsewhere that panics says itself, of the
// calls that wait in it, that they go down with it.
func (r *repeat) Forward(id uint64, m *wire.Message) {
	if m.Kind == wire.KindError && string(m.Command) == string(wire.CodeDown) {
		r.Failed(id, wire.ParseError(m))
		return
	}
	r.mu.Lock()
	if r.began {
		m.Flags &^= wire.FlagNotStarted // the second one did not
	}
	r.mu.Unlock()
	caller := r.finish()
	switch f, ok := caller.(peer.Forwarder); {
	case caller == nil:
	case ok:
		f.Forward(id, m)
	case m.Kind == wire.KindReply:
		caller.Result(id, m)
	default:
		caller.Failed(id, wire.ParseError(m))
	}
}

// Failed makes the call again, if its worker has died and it may be; else it passes the
// error on.
func (r *repeat) Failed(id uint64, e *wire.Error) {
	r.mu.Lock()
	repeat := e.Code == wire.CodeDown && !r.tried && !r.over && time.Now().Before(r.note.Deadline)
	if r.began && e.Started == wire.StartedNo {
		e = e.With(wire.StartedUnknown)
	}
	if repeat {
		r.tried, r.began = true, e.Started != wire.StartedNo
	}
	r.mu.Unlock()
	if repeat && r.resend() {
		return
	}
	if caller := r.finish(); caller != nil {
		caller.Failed(id, e)
	}
}

// resend reports whether another worker has the call, or its caller has gone. Otherwise it
// ends as it had.
func (r *repeat) resend() bool {
	w := r.pool.another(r.on)
	if w == nil {
		return false
	}
	defer w.gate.leave()
	note := r.note
	note.Caller = r
	id, err := r.again(w, note)
	if err != nil {
		return errors.Is(err, errWithdrawn)
	}
	r.mu.Lock()
	over := r.over
	if !over {
		r.to, r.id = w, id
	}
	r.mu.Unlock()
	if over {
		r.recall(w, id) // it was canceled meanwhile, or answered at once
	}
	return true
}

// another returns a worker other than first, as pick does: of one that is about to end not
// everybody knows it yet, and it has few calls unanswered.
func (p *pool) another(first *incarnation) *incarnation {
	for range 100 { // see pick
		others := slices.DeleteFunc(slices.Clone(*p.members.Load()), func(w *incarnation) bool { return w == first })
		if w := p.least(others, nil); w == nil || w.gate.enter() {
			return w
		}
	}
	return nil
}

// errWithdrawn says that nobody waits for a call any more.
var errWithdrawn = &wire.Error{Code: wire.CodeCanceled, Message: "the caller gave up", Started: wire.StartedNo}

// cancel is told that the caller gave up. It takes the call back if it is in flight for the
// second time; else whoever calls does so.
func (r *repeat) cancel() {
	r.mu.Lock()
	to, id := r.to, r.id
	first := !r.over
	r.over = true
	r.mu.Unlock()
	if first {
		r.release()
	}
	if first && to != nil {
		r.recall(to, id)
	}
}

// recall takes the call back from the second worker.
func (r *repeat) recall(to *incarnation, id uint64) {
	note, status := to.calls().Take(id)
	if status != peer.Found {
		return
	}
	if to.cell != nil {
		to.cell.Cancel(r.source, id)
		return
	}
	to.session.tellCancel(id, note)
}

// secondAttempt is the extension of a message that is sent a second time.
func secondAttempt() []byte { return wire.AppendExt(nil, wire.ExtAttempt, []byte{2}) }

// repeatable has the call m of this session made again if its worker dies, if p and the
// command allow that and there is memory to keep it for so long. note is completed.
func (s *session) repeatable(p *pool, l *link, m *wire.Message, note *peer.Note) *repeat {
	size := m.Size()
	if s.conn.Admit(size) != nil {
		return nil
	}
	kept := *m
	kept.Target, kept.Command, kept.Body, kept.Tail = bytes.Clone(m.Target), bytes.Clone(m.Command), slices.Concat(m.Body, m.Tail), nil
	kept.Ext, kept.Own = secondAttempt(), nil
	r := &repeat{
		pool: p, note: *note, first: l, on: l.to, caller: l, source: (*copied)(s.conn),
		release: func() { s.conn.Dismiss(size) },
	}
	own := note.ID
	r.again = func(to *incarnation, note peer.Note) (uint64, *wire.Error) {
		if err := s.waitAgain(own, r, to); err != nil {
			return 0, err
		}
		// Before it is sent: the reply may come before hand returns.
		r.answeredBy(&link{from: s, to: to, name: to.aid})
		m := kept
		m.Millis = wire.Millis(note.Deadline)
		m.Flags &^= wire.FlagChained
		if s.arb.chained(s.inc, note.Parent, to) {
			m.Flags |= wire.FlagChained
		}
		id, err := s.arb.hand(to, &m, note, r.source, s.conn)
		if err != nil {
			s.counts.refused.Add(1)
		}
		return id, err
	}
	note.Caller = r
	return r
}

// answeredBy says on which road the answer comes, the second time.
func (r *repeat) answeredBy(l *link) {
	r.mu.Lock()
	r.caller = l
	r.mu.Unlock()
}

// waitAgain has the call own wait for another worker, if anybody still waits for it. Its
// edge is changed with mu held, because whoever takes the call off the list removes the
// edge afterwards.
func (s *session) waitAgain(own uint64, r *repeat, to *incarnation) *wire.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.asked.get(own); a == nil || a.again != r {
		return errWithdrawn
	}
	if r.note.Turn {
		s.arb.waits.remove(s.inc, own)
		if path := s.arb.waits.add(s.inc, to, own); path != nil {
			return cycle(path)
		}
	}
	s.counts.read.Add(1) // it is a new message; here, while what s has counted is not yet added up
	return nil
}

// hand gives a call that the arbiter has kept to a worker, and starts it.
func (a *Arbiter) hand(to *incarnation, m *wire.Message, note peer.Note, source cell.Source, from *peer.Conn) (uint64, *wire.Error) {
	if to.session != nil {
		id, err := to.session.conn.Request(m, note, peer.Charge{})
		if err == nil {
			to.session.conn.FlushSoon()
		}
		return id, err
	}
	cost := wire.Cost(m.Size())
	if from.Admit(cost) != nil {
		return 0, errMemory(wire.StartedNo)
	}
	id, err := to.local.Add(note)
	if err == nil {
		m.ID = id
		if err = to.cell.Deliver(to.cell.Receive(m, source, cost)); err != nil {
			to.local.Take(id)
		}
	}
	if err != nil {
		from.Dismiss(cost)
	}
	return id, err
}

// repeatable has the call c of i's made again if its worker dies. note is completed.
func (i *incarnation) repeatable(p *pool, to *incarnation, c *cell.Call, note *peer.Note) *repeat {
	r := &repeat{pool: p, note: *note, first: note.Caller, on: to, caller: note.Caller, release: func() {}}
	if to.session != nil && c.Argument != nil {
		// The bytes are the caller's again when it has given up, which may be while they are read.
		if e, err := c.Argument.Encode(nil, wire.CodecCBOR); err == nil { // else it fails at once
			c = &cell.Call{Target: c.Target, Command: c.Command, Argument: &e, Deadline: c.Deadline}
		}
	}
	r.again = func(to *incarnation, note peer.Note) (uint64, *wire.Error) {
		if t, ok := r.first.(*turnCall); ok && t.key != 0 {
			t.over()
			if path := i.arb.waits.add(i, to, t.key); path != nil {
				return 0, cycle(path)
			}
			if r.isOver() { // who gave it up has perhaps removed the edge that was there before
				t.over()
				return 0, errWithdrawn
			}
		}
		id, err := i.ask(to, cell.Scope{Host: i}, c, note, i.arb.chained(i, note.Parent, to), 2)
		if err == nil && id != 0 {
			i.arb.ledger.local.add(to) // it is a new message
		}
		return id, err
	}
	note.Caller = r
	return r
}
