package actor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// hosting is a Member as its cell sees it, which is its Host: what a cell is given is not for
// who writes actors.
type hosting struct{ *Member }

// Start sends c on its way.
func (m hosting) Start(ctx context.Context, s cell.Scope, c *cell.Call) {
	j, err := m.join(ctx)
	if err != nil {
		c.Failed(0, joinError(err))
		return
	}
	if j.isSelf(c.Target) {
		j.startSelf(s, c)
		return
	}
	c.WokenBy(j.conn.Woken())
	m.commons.Sends(c, j.conn.Calls().Len() == 0)
	buf := m.buffers.Get().(*[]byte)
	var msg wire.Message
	b, failed := s.Message(&msg, c.Target, c.Command, c.Argument, c.Deadline, (*buf)[:0])
	if failed == nil {
		if c.Accept {
			msg.Flags |= wire.FlagAccept
		}
		var id uint64
		id, failed = j.ask(ctx, &msg, c, s.Turn == nil && !cell.IsInPlace(c.Command))
		if failed == nil {
			if !c.Placed(j, id) {
				j.forget(id)
			}
		}
	}
	m.putBuffer(buf, b)
	if failed != nil {
		c.Failed(0, failed)
	}
}

// ask posts the call c once there is room for it and, if it may be held back, messages to its
// target are not.
func (j *joined) ask(ctx context.Context, m *wire.Message, c *cell.Call, holds bool) (id uint64, failed *wire.Error) {
	f := flushing(c.Loose) // whoever starts calls usually starts more
	h := hold{target: c.Target, deadline: c.Deadline}
	defer h.end()
	for {
		if holds {
			if ctx, failed = h.wait(ctx, j); failed != nil {
				return 0, failed
			}
			if h.cancel != nil {
				m.Millis = wire.Millis(c.Deadline) // of which some has gone by
			}
		}
		id, failed = j.conn.RequestWait(ctx, m, peer.Note{Caller: c, Deadline: c.Deadline, Command: c.Command, Holds: holds}, f)
		if failed != peer.ErrHeld {
			return id, failed
		}
	}
}

// putBuffer keeps a buffer unless it has grown large.
func (m *Member) putBuffer(buf *[]byte, b []byte) {
	if cap(b) <= 64<<10 {
		*buf = b[:0]
		m.buffers.Put(buf)
	}
}

func joinError(err error) *wire.Error {
	var e *Error
	if errors.As(err, &e) {
		return &wire.Error{Code: wire.Code(e.Code), Message: e.Message, Started: wire.StartedNo}
	}
	code := wire.CodeClosed
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		code = wire.CodeDeadline
	case errors.Is(err, context.Canceled):
		code = wire.CodeCanceled
	}
	return &wire.Error{Code: code, Message: err.Error(), Started: wire.StartedNo}
}

// isSelf reports whether target names the member's own actor.
func (j *joined) isSelf(target string) bool {
	return target == j.cell.AID() || (target == j.cell.Name() && target != "")
}

// startSelf has the actor answer itself without leaving the process: within the
// turn that asks, or in a turn of its own if the asker has none.
func (j *joined) startSelf(s cell.Scope, c *cell.Call) {
	if s.Cell == j.cell && s.Turn != nil {
		j.cell.Nested(s.Turn, c)
		return
	}
	var id uint64
	if !c.Accept {
		var err *wire.Error
		id, err = j.self.Add(peer.Note{Caller: c, Deadline: c.Deadline, Command: c.Command})
		if err != nil {
			c.Failed(0, err)
			return
		}
	}
	l := c.Letter(j.cell.AID())
	l.ID = id
	if err := j.cell.Take(c.Command, &l, nil); err != nil {
		j.self.Take(id)
		c.Failed(0, err)
		return
	}
	if c.Accept {
		c.Value(nil)
		return
	}
	if !c.Placed(&j.self, id) {
		j.self.Take(id)
		j.cell.Cancel(nil, id)
	}
}

// Send sends a one-way message.
func (m hosting) Send(ctx context.Context, s cell.Scope, target, command string, v cell.Value) *wire.Error {
	return m.send(ctx, s, target, command, v, true)
}

// TrySend sends a one-way message if there is room for it.
func (m hosting) TrySend(ctx context.Context, s cell.Scope, target, command string, v cell.Value) *wire.Error {
	return m.send(ctx, s, target, command, v, false)
}

// send sends a one-way message. With wait it waits for room until ctx ends.
func (m hosting) send(ctx context.Context, s cell.Scope, target, command string, v cell.Value, wait bool) *wire.Error {
	j, err := m.join(ctx)
	if err != nil {
		return joinError(err)
	}
	if j.isSelf(target) {
		l := cell.Letter{Value: v}
		l.From(j.cell.AID())
		return j.cell.Take(command, &l, nil)
	}
	buf := m.buffers.Get().(*[]byte)
	// Without a deadline: the caller's is for having room, not for the handler.
	var msg wire.Message
	b, failed := s.Message(&msg, target, command, v, time.Time{}, (*buf)[:0])
	if failed == nil {
		msg.Flags |= wire.FlagOneWay
		if wait {
			failed = j.tell(ctx, target, &msg)
		} else {
			failed = j.tryTell(&msg)
		}
	}
	m.putBuffer(buf, b)
	return failed
}

// tell posts a one-way message once there is room for it and messages to its target are not
// held back. Whoever sends one way usually sends more, and so what is sent is written soon.
func (j *joined) tell(ctx context.Context, target string, m *wire.Message) (failed *wire.Error) {
	h := hold{target: target}
	defer h.end()
	for {
		if ctx, failed = h.wait(ctx, j); failed != nil {
			return failed
		}
		switch err := j.conn.PostWait(ctx, m, peer.Soon); err {
		case nil:
			return nil
		case peer.ErrHeld:
		default:
			return wire.AsError(err, wire.CodeClosed).With(wire.StartedNo)
		}
	}
}

// tryTell is tell for who does not wait.
func (j *joined) tryTell(m *wire.Message) *wire.Error {
	err := j.conn.PostNow(m, peer.Soon)
	if errors.Is(err, peer.ErrFull) {
		return wire.Errorf(wire.CodeOverloaded, "there is no room on the way to the arbiter").NotStarted()
	} else if err != nil {
		return wire.AsError(err, wire.CodeClosed).With(wire.StartedNo)
	}
	return nil
}

// Commons returns what there is to share; the member has one actor.
func (m hosting) Commons() *cell.Commons { return &m.commons }

// Cancel gives up a call in flight.
func (m hosting) Cancel(c *cell.Call) {
	switch at, id := c.Place(); at := at.(type) {
	case *joined:
		at.forget(id)
	case *peer.Calls:
		if _, status := at.Take(id); status == peer.Found {
			m.connected.Load().cell.Cancel(nil, id)
		}
	}
}

// forget takes a call back and tells the arbiter that nobody waits.
func (j *joined) forget(id uint64) {
	note, status := j.conn.Calls().Take(id)
	if status == peer.Found && j.conn.Cancel(id, note) == nil {
		j.conn.Flush()
	}
}

// watching is told how a watch was answered: on the reader's goroutine, so that a
// Down that follows finds the watch.
type watching struct {
	j     *joined
	watch *cell.Watch
	ended chan *wire.Error
}

func (w *watching) Result(_ uint64, m *wire.Message) {
	w.watch.ID = m.ID
	w.j.mu.Lock()
	if w.j.watches == nil {
		w.j.watches = make(map[uint64]*cell.Watch)
	}
	w.j.watches[m.ID] = w.watch
	w.j.mu.Unlock()
	w.ended <- nil
}

func (w *watching) Failed(_ uint64, e *wire.Error) { w.ended <- e }

// Watch asks the arbiter to tell of target's end.
func (m hosting) Watch(ctx context.Context, _ cell.Scope, target string, w *cell.Watch) *wire.Error {
	j, err := m.join(ctx)
	if err != nil {
		return joinError(err)
	}
	deadline := time.Now().Add(cell.DefaultTimeout)
	if d, ok := ctx.Deadline(); ok {
		deadline = d
	}
	answer := &watching{j: j, watch: w, ended: make(chan *wire.Error, 1)}
	msg := wire.Message{Kind: wire.KindWatch, Target: []byte(target), Millis: wire.Millis(deadline)}
	id, failed := j.conn.RequestWait(ctx, &msg, peer.Note{Caller: answer, Deadline: deadline, Command: "watch"}, peer.Now)
	if failed != nil {
		return failed
	}
	select {
	case failed = <-answer.ended:
		return failed
	case <-ctx.Done():
		if _, status := j.conn.Calls().Take(id); status != peer.Found {
			return <-answer.ended // it is being answered
		}
		j.unwatch(id)
		return joinError(ctx.Err())
	}
}

// Unwatch tells the arbiter that nobody waits for the end of w's target.
func (m hosting) Unwatch(w *cell.Watch) {
	j := m.connected.Load()
	j.mu.Lock()
	delete(j.watches, w.ID)
	j.mu.Unlock()
	j.unwatch(w.ID)
}

// unwatch goes the way the watch went: it must not overtake it.
func (j *joined) unwatch(id uint64) {
	if j.conn.Post(peer.Ordered, &wire.Message{Kind: wire.KindUnwatch, ID: id}, peer.Charge{}) == nil {
		j.conn.Flush()
	}
}

// What a member's own cell has to say.

// Reply sends a handler's result.
func (m hosting) Reply(r *cell.Request, v cell.Value, more bool) {
	j := m.connected.Load()
	if r.Source == nil {
		if note, status := j.self.Take(r.ID); status == peer.Found {
			note.Caller.(*cell.Call).Value(v)
		}
		return
	}
	buf := m.buffers.Get().(*[]byte)
	var reply wire.Message
	b, failed := r.Reply(&reply, v, (*buf)[:0])
	if failed == nil {
		if err := j.conn.PostAnd(peer.Reply, &reply, peer.Charge{}, flushing(more)); err != nil {
			failed = wire.AsError(err, wire.CodeOverloaded).With(wire.StartedYes)
		}
	}
	m.putBuffer(buf, b)
	if failed != nil {
		m.Fail(r, failed, more)
	}
}

// flushing says how what is posted is written by who has more to post.
func flushing(more bool) peer.Flushing {
	if more {
		return peer.Soon
	}
	return peer.Now
}

// Fail sends a handler's error; for a one-way message the arbiter is told that it
// did not start, or the log that it failed.
func (m hosting) Fail(r *cell.Request, e *wire.Error, more bool) {
	j := m.connected.Load()
	switch {
	case r.ID == 0 && e.Started == wire.StartedNo:
		c := *e
		c.Command = r.Command
		j.say(wire.KindUndelivered, 0, r.Sender, &c, more)
	case r.ID == 0:
		m.log.Warn("a one-way message failed", "actor", j.cell.String(), "command", r.Command, "sender", r.Sender, "error", e.Message)
	case r.Source == nil:
		if note, status := j.self.Take(r.ID); status == peer.Found {
			note.Caller.Failed(note.ID, e)
		}
	default:
		if e.Target == "" { // who called a pool is to know which worker it was
			c := *e
			c.Target = cmp.Or(j.cell.Name(), j.cell.AID())
			e = &c
		}
		j.say(wire.KindError, r.ID, "", e, more)
	}
}

// say posts e, as a message of kind: in short, if there is no room for more.
func (j *joined) say(kind wire.Kind, id uint64, target string, e *wire.Error, more bool) {
	post := func(e *wire.Error) error {
		m := e.Frame(kind, id)
		m.Target = []byte(target)
		return j.conn.PostAnd(peer.Reply, &m, peer.Charge{}, flushing(more))
	}
	if peer.NoRoom(post(e)) {
		_ = post(e.Brief())
	} // a lost connection is told by itself
}

// Ready says that the actor runs, with its first heartbeat.
func (m hosting) Ready(_ *cell.Cell, err error) {
	if err == nil {
		j := m.connected.Load()
		j.Beat(j.conn)
	}
}

// Ended says goodbye, with the cause, behind the last answers, and ends the connection.
func (m hosting) Ended(c *cell.Cell, d *wire.Death) {
	j := m.connected.Load()
	j.mu.Lock()
	lost := j.lost
	j.mu.Unlock()
	go func() {
		_ = j.conn.Leave(d, leaveGrace)
		<-j.ran
		j.self.End(func(peer.Note) *wire.Error {
			return (&wire.Error{Code: wire.CodeDown, Death: d, Message: "the actor has ended"}).With(wire.StartedUnknown)
		})
		m.commons.Close()
		m.finish(d, lost)
	}()
}

// finish is the end of the member's life.
func (m *Member) finish(d *wire.Death, lost error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		switch {
		case lost != nil:
			m.err = fmt.Errorf("the connection to the arbiter is gone: %w", lost)
		case d.Cause != wire.CauseStopped:
			m.err = &DownError{Err: &Error{Code: Down, Message: d.String(), Target: m.kind.KindName()}, Death: deathOf(d)}
		}
	}
	close(m.done)
}

// Misuse logs that a rule was broken.
func (m hosting) Misuse(c *cell.Cell, what string) {
	m.log.Error("an actor broke a rule", "actor", c.String(), "rule", what)
}
