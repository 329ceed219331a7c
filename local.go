package arbiter

import (
	"context"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/proc"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// An incarnation in this process is the host of its cell: what the actor sends
// takes the road of every message, but for the socket and the encoding.

var _ cell.Host = (*incarnation)(nil)

// turnCall is a call that was made in a turn.
type turnCall struct {
	*cell.Call
	from *incarnation
	key  uint64 // of its edge among the waits; 0: it has none
}

func (c *turnCall) over() {
	if c.key != 0 {
		c.from.arb.waits.remove(c.from, c.key)
	}
}

// Result ends the call with a reply from elsewhere.
func (c *turnCall) Result(id uint64, m *wire.Message) { c.over(); c.Call.Result(id, m) }

// Failed ends the call with an error.
func (c *turnCall) Failed(id uint64, e *wire.Error) { c.over(); c.Call.Failed(id, e) }

// Value ends the call with a value of this process.
func (c *turnCall) Value(v cell.Value) { c.over(); c.Call.Value(v) }

// valued is a caller in this process.
type valued interface{ Value(v cell.Value) }

// Start sends a call of i's on its way.
func (i *incarnation) Start(ctx context.Context, s cell.Scope, c *cell.Call) {
	to, entered, failed := i.arb.find(i, c.Target, c.Command)
	if failed != nil {
		c.Failed(0, failed)
		return
	}
	if entered {
		defer to.gate.leave()
	}
	if to == i && s.Turn != nil && s.Cell == i.cell {
		i.cell.Nested(s.Turn, c)
		return
	}
	if c.Accept {
		var err *wire.Error
		if to.session != nil {
			if err = i.post(ctx, to, s, c.Target, c.Command, c.Argument, inArbiter); err == nil {
				to.session.conn.Flush()
			}
		} else {
			err = i.deliver(ctx, to, s, c.Command, c.Argument, inArbiter)
		}
		if err != nil {
			c.Failed(0, at(err, to))
			return
		}
		i.arb.ledger.local.add(to)
		c.Value(nil)
		return
	}
	note := peer.Note{Caller: c, Deadline: c.Deadline, Command: c.Command}
	chained := false
	if s.Turn != nil {
		note.Parent, note.Within = s.Turn.Parent(), true
		in := &turnCall{Call: c, from: i}
		if s.Turn.Holds() && !cell.IsInPlace(c.Command) { // that is answered beside the turn
			in.key = i.arb.keys.Add(1) | localKey
			if path := i.arb.waits.add(i, to, in.key); path != nil {
				c.Failed(0, at(cycle(path), to))
				return
			}
			note.Turn = true
		}
		note.Caller = in
		chained = i.arb.chained(i, note.Parent, to)
	}
	where := any(to)
	if p := to.pooledAs(wire.Bytes(c.Target)); p != nil && to.repeats(wire.Bytes(c.Command)) {
		where = i.repeatable(p, to, c, &note)
	}
	i.arb.ledger.local.add(to) // first: its handler may be what asks for the account
	id, err := i.ask(to, s, c, note, chained, 1)
	if id == 0 {
		i.arb.ledger.local.undo(to)
	}
	if err != nil {
		note.Caller.Failed(0, at(err, to)) // which may be to make it again: then there is something to take back
	}
	if !c.Placed(where, id) {
		i.withdraw(where, id)
	}
}

// localKey keeps the keys of local calls apart from the ids of sessions' calls.
const localKey = 1 << 63

// ask hands a call to its target, for the first time or, with attempt 2, once more: then
// the argument may still be in the hands of a handler that nobody hears any more. It is
// chained if the target waits, further up, for this very call. An id of 0 without an error says that the target does not have it, and
// that somebody else who took the note of it tells the caller, or makes it again.
func (i *incarnation) ask(to *incarnation, s cell.Scope, c *cell.Call, note peer.Note, chained bool, attempt uint8) (uint64, *wire.Error) {
	if to.session != nil {
		buf := i.arb.buffers.get()
		var m wire.Message
		b, err := s.Message(&m, c.Target, c.Command, c.Argument, c.Deadline, (*buf)[:0])
		var id uint64
		if err == nil {
			i.sign(&m)
			if attempt > 1 {
				m.Ext = secondAttempt()
			}
			m.Flags &^= wire.FlagTurn
			if chained {
				m.Flags |= wire.FlagChained
			}
			id, err = to.session.conn.Request(&m, note, peer.Charge{})
		}
		i.arb.buffers.put(buf, b)
		if err == nil {
			to.session.conn.Flush()
		}
		return id, err
	}
	l := c.Letter(i.aid)
	if err := i.arb.encodeAll(&l); err != nil {
		return 0, err
	}
	id, err := to.local.Add(note)
	if err != nil {
		return 0, err
	}
	l.ID, l.Chained, l.Attempt = id, chained, attempt
	if err := to.cell.Take(c.Command, &l, i.cell); err != nil {
		return 0, untold(to, id, err)
	}
	return id, nil
}

// untold takes back the note of a call that was refused because of err. It returns err if
// that is still to be told, nil if whoever took the note before does so.
func untold(to *incarnation, id uint64, err *wire.Error) *wire.Error {
	if _, status := to.local.Take(id); status != peer.Found {
		return nil
	}
	return err
}

// encodeAll replaces the value of l by its encoding, where the arbiter is strict.
func (a *Arbiter) encodeAll(l *cell.Letter) *wire.Error {
	if !a.options.Strict || l.Value == nil {
		return nil
	}
	e, err := l.Value.Encode(nil, wire.CodecCBOR)
	if err != nil {
		return wire.AsError(err, wire.CodeNotEncodable).With(wire.StartedNo)
	}
	if len(e.Data) > a.options.MaxMessage {
		return tooLarge(len(e.Data), a.options.MaxMessage)
	}
	l.Value = &e
	return nil
}

func tooLarge(size, limit int) *wire.Error {
	return wire.Errorf(wire.CodeTooLarge, "the message has %d bytes, and the limit is %d", size, limit).NotStarted()
}

// waiting says what a one-way message does where there is no room.
type waiting uint8

const (
	inArbiter waiting = iota // it waits in the arbiter, as what comes from elsewhere does, up to the bounds
	ifRoom                   // it fails
	untilRoom                // its sender waits, until its context ends
)

// sign makes m one of i's.
func (i *incarnation) sign(m *wire.Message) {
	m.Sender, m.Ext = wire.Bytes(i.aid), nil
	if i.cell != nil {
		m.Ended = i.cell.Over()
	}
}

// post queues a one-way message to an actor elsewhere. Flush is still to be called.
func (i *incarnation) post(ctx context.Context, to *incarnation, s cell.Scope, target, command string, v cell.Value, wait waiting) *wire.Error {
	buf := i.arb.buffers.get()
	var m wire.Message
	b, failed := s.Message(&m, target, command, v, time.Time{}, (*buf)[:0])
	if failed == nil {
		i.sign(&m)
		m.Flags = m.Flags&^wire.FlagTurn | wire.FlagOneWay
		var err error
		switch wait {
		case untilRoom:
			err = to.session.conn.PostWait(ctx, &m, peer.Later)
		case ifRoom:
			err = to.session.conn.PostNow(&m, peer.Later)
		default:
			err = to.session.conn.Post(peer.Data, &m, peer.Charge{})
		}
		if err != nil {
			failed = to.postError(err)
		}
	}
	i.arb.buffers.put(buf, b)
	return failed
}

// deliver puts a one-way message into the inbox of an actor of this process.
func (i *incarnation) deliver(ctx context.Context, to *incarnation, s cell.Scope, command string, v cell.Value, wait waiting) *wire.Error {
	l := &cell.Letter{Value: v}
	l.From(i.aid)
	if err := i.arb.encodeAll(l); err != nil {
		return err
	}
	l.Waits = wait == untilRoom && (to != i || s.Turn == nil) // or it would wait for itself
	err := to.cell.Take(command, l, i.cell)
	if !l.Waits || err == nil || err.Code != wire.CodeOverloaded {
		return err
	}
	if _, limited := ctx.Deadline(); !limited {
		// Two that wait for each other's room would wait for ever.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, cell.DefaultTimeout)
		defer cancel()
	}
	for {
		// Asked for before the try, so that room made in between is not missed.
		room := to.cell.Room()
		if err = to.cell.Take(command, l, i.cell); err == nil || err.Code != wire.CodeOverloaded {
			return err
		}
		select {
		case <-room:
		case <-ctx.Done():
			l.Waits = false
			return to.cell.Take(command, l, i.cell)
		}
	}
}

// Send sends a one-way message of i's.
func (i *incarnation) Send(ctx context.Context, s cell.Scope, target, command string, v cell.Value) *wire.Error {
	return i.sendTo(ctx, s, target, command, v, untilRoom)
}

// TrySend sends a one-way message of i's if there is room for it.
func (i *incarnation) TrySend(ctx context.Context, s cell.Scope, target, command string, v cell.Value) *wire.Error {
	return i.sendTo(ctx, s, target, command, v, ifRoom)
}

// sendTo sends a one-way message to who has the address.
func (i *incarnation) sendTo(ctx context.Context, s cell.Scope, target, command string, v cell.Value, wait waiting) *wire.Error {
	if p := i.arb.allOf(target); p != nil {
		return i.sendAll(ctx, s, p, command, v)
	}
	to, entered, failed := i.arb.find(i, target, command)
	if failed != nil {
		return failed
	}
	if entered {
		defer to.gate.leave()
	}
	return i.send(ctx, s, to, target, command, v, wait)
}

// send sends a one-way message to one actor.
func (i *incarnation) send(ctx context.Context, s cell.Scope, to *incarnation, target, command string, v cell.Value, wait waiting) *wire.Error {
	if to.session == nil {
		err := i.deliver(ctx, to, s, command, v, wait)
		if err == nil {
			i.arb.ledger.local.add(to)
		}
		return at(err, to)
	}
	err := i.post(ctx, to, s, target, command, v, wait)
	if err == nil {
		i.arb.ledger.local.add(to)
		to.session.conn.FlushSoon() // whoever sends one way usually sends more
	}
	return at(err, to)
}

// Commons returns what the arbiter's actors share.
func (i *incarnation) Commons() *cell.Commons { return &i.arb.commons }

// Cancel gives up a call in flight.
func (i *incarnation) Cancel(c *cell.Call) {
	i.withdraw(c.Place())
}

// withdraw takes back a call that is in flight at the place.
func (i *incarnation) withdraw(place any, id uint64) {
	to, ok := place.(*incarnation)
	if again, repeats := place.(*repeat); repeats {
		to, ok = again.on, true
		again.cancel() // first: if it is being made again, who does so sees it, or its edge is there
		if t, turn := again.first.(*turnCall); turn {
			t.over()
		}
	}
	if ok {
		i.takeBack(to, id)
	}
}

func (i *incarnation) takeBack(to *incarnation, id uint64) {
	note, status := to.calls().Take(id)
	if status != peer.Found {
		return
	}
	if c, ok := note.Caller.(*turnCall); ok {
		c.over()
	}
	if to.cell != nil {
		to.cell.Cancel(nil, id)
		return
	}
	to.session.tellCancel(id, note)
}

// endProcess ends the process of a program, and adds what is known of it to its
// death.
func (i *incarnation) endProcess(p *proc.Process, d *wire.Death) *wire.Death {
	c := *d
	c.PID = p.PID()
	if err := p.Kill(); err != nil {
		i.arb.log.Warn("a process could not be killed", "actor", i.label(), "pid", c.PID, "error", err)
	}
	if within(burialWait, p.Exited()) {
		c.Signal = p.Exit().Signal
	}
	if c.Cause != wire.CauseStopped && c.Stderr == nil {
		c.Stderr = p.Tail()
	}
	return &c
}

// Reply hands the result of one of i's handlers to its caller.
func (i *incarnation) Reply(r *cell.Request, v cell.Value, more bool) {
	to, own, status := i.local.TakeCaller(r.ID)
	if status != peer.Found {
		return // nobody waits any more
	}
	if again, ok := to.(*repeat); ok {
		to = again.finish()
	}
	switch caller := to.(type) {
	case *link:
		caller.reply(own, r, v, more)
	case valued:
		if i.arb.options.Strict && v != nil {
			e, err := v.Encode(nil, wire.CodecCBOR)
			if err != nil {
				_, failed := r.Reply(new(wire.Message), v, nil)
				to.Failed(own, failed)
				return
			}
			if len(e.Data) > i.arb.options.MaxMessage {
				to.Failed(own, tooLarge(len(e.Data), i.arb.options.MaxMessage).With(wire.StartedYes))
				return
			}
			v = &e
		}
		caller.Value(v)
	}
}

// Fail hands the error of one of i's handlers to its caller. A one-way message
// that did not start goes back to its sender.
func (i *incarnation) Fail(r *cell.Request, e *wire.Error, _ bool) {
	if r.ID != 0 {
		if note, status := i.local.Take(r.ID); status == peer.Found {
			note.Caller.Failed(note.ID, at(e, i))
		}
		return
	}
	if e.Started == wire.StartedNo {
		c := *e
		c.Command = r.Command
		i.arb.undelivered(r.Sender, i.label(), &c)
		return
	}
	i.arb.log.Warn("a one-way message failed", "actor", i.label(), "command", r.Command, "sender", r.Sender, "error", e.Message)
}

// Ready says that i runs, or could not start, which its end then tells.
func (i *incarnation) Ready(_ *cell.Cell, err error) {
	if err == nil {
		i.markReady()
	}
}

// Ended is the end of i.
func (i *incarnation) Ended(c *cell.Cell, d *wire.Death) {
	if c.Leaked() > 0 { // or will be soon: most return when their context has ended
		i.arb.leaks.add(c)
	}
	if p := i.process.Load(); p != nil {
		if d.Cause == wire.CauseHung && i.asked.Load() && closed(p.Exited()) {
			// In time, and whoever was to see it came too late.
			d = &wire.Death{Cause: wire.CauseStopped, Reason: "it was asked to stop"}
		}
		d = i.endProcess(p, d)
	}
	if i.pool != nil {
		i.pool.ended() // first: who is told finds its name and its addresses free
	}
	i.end(d)
	if i == i.arb.self {
		// Somebody told the actor "arbiter" to stop: that is all of it.
		go func() { _ = i.arb.Stop(context.Background()) }() // whoever waits for Done learns of it
	}
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Misuse reports that an actor broke a rule nothing enforces.
func (i *incarnation) Misuse(c *cell.Cell, what string) {
	i.arb.log.Error("an actor broke a rule", "actor", c.String(), "rule", what)
	if i.arb.options.Misuse != nil {
		i.arb.options.Misuse(actor.Ref{AID: i.aid, Name: i.name}, what)
	}
}

// chained reports whether to waits, further up the chain of calls that led from's handler
// to be at work on its call parent, for what that handler now asks of it.
func (a *Arbiter) chained(from *incarnation, parent uint64, to *incarnation) bool {
	return parent != 0 && cell.Mode(to.mode.Load()) == cell.Interleaved && a.waitsAbove(from, parent, to)
}

// maxChain bounds how far up a chain of calls is followed.
const maxChain = 64

// waitsAbove reports whether goal waits, further up the chain of calls that led
// from's handler to be at work on its call parent, for that very call.
func (a *Arbiter) waitsAbove(from *incarnation, parent uint64, goal *incarnation) bool {
	for range maxChain {
		note, ok := from.calls().Peek(parent)
		if !ok {
			return false
		}
		caller := a.callerOf(note)
		if caller == goal {
			return true
		}
		if caller == nil || note.Parent == 0 {
			return false
		}
		from, parent = caller, note.Parent
	}
	return false
}

// callerOf returns whose call a note is.
func (a *Arbiter) callerOf(n peer.Note) *incarnation {
	switch c := n.Caller.(type) {
	case *link:
		return c.from.inc
	case *repeat:
		n.Caller = c.first
		return a.callerOf(n)
	case *turnCall:
		return c.from
	}
	return nil // it was made in no turn, and what is not in a turn waits for nobody
}
