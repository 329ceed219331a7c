package peer

import (
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// jsonOut is owned by the flusher, but for code.
type jsonOut struct {
	partial []byte // of a native frame, of which the rest has not come yet
	pending []byte // text frames that are translated …
	wrote   int    // … and how much of them is written
	text    []byte // the message that is being translated
	// last says that the last byte that was taken does not count as written yet: a
	// Conn that is told that all is written does not call again, so that is said when
	// nothing is pending.
	last    bool
	parted  bool          // a close frame was translated: nothing follows it
	shut    bool          // it was written whole
	left    chan struct{} // closed then
	welcome bool          // the welcome was written
	aid     string        // the peer's, as the welcome says

	code atomic.Uint32 // of the close frame; 0: as the goodbye has it
}

// TryWrite takes native frames as far as their translation can be written without
// waiting.
func (j *jsonTransport) TryWrite(b []byte) (int, error) {
	return j.write(b, func(text []byte) (int, error) { return j.socket.TryWrite(text) })
}

// Write takes native frames and waits until their translation is written.
func (j *jsonTransport) Write(b []byte) (int, error) {
	return j.write(b, func(text []byte) (int, error) {
		n, err := WriteSome(j.socket, text)
		if n > 0 {
			j.conn.moved.Add(1) // a large message takes a while, and it is no standstill
		}
		return n, err
	})
}

// write translates b, in batches, and writes with put until b is done with or put
// takes nothing.
func (j *jsonTransport) write(b []byte, put func([]byte) (int, error)) (n int, err error) {
	for {
		for j.wrote < len(j.pending) {
			k, err := put(j.pending[j.wrote:])
			j.wrote += k
			if err != nil || k == 0 {
				return n, err
			}
		}
		if j.pending, j.wrote = j.pending[:0], 0; cap(j.pending) > 2*batch {
			j.pending = nil
		}
		if j.parted && !j.shut {
			j.shut = true
			close(j.left)
		}
		if j.last && n < len(b) {
			j.last = false
			n++
		}
		if n == len(b) {
			return n, nil
		}
		n += j.translate(b[n:])
	}
}

// translate takes frames from b until enough is pending, and returns how much of b
// counts as written: while anything is pending, one byte less than was taken.
func (j *jsonTransport) translate(b []byte) (n int) {
	for n < len(b) && len(j.pending) < batch {
		whole, k := j.gather(b[n:])
		n += k
		if whole == nil {
			break
		}
		var m wire.Message
		if h, size, err := frame.ParseHeader(whole); err == nil && h.Opcode == frame.Binary && m.Parse(whole[size:]) == nil && !j.parted {
			j.say(&m)
		}
		if j.partial = j.partial[:0]; cap(j.partial) > 2*batch {
			j.partial = nil
		}
	}
	if len(j.pending) > 0 {
		j.last = true
		n--
	}
	return n
}

// gather returns the native frame that b, after what came before, begins with, or
// nil if it goes on beyond b; and how much of b that is.
func (j *jsonTransport) gather(b []byte) (whole []byte, n int) {
	if len(j.partial) == 0 {
		if size := frameSize(b); size > 0 && size <= len(b) {
			return b[:size], size
		}
	}
	for len(j.partial) < frame.MaxHeader && frameSize(j.partial) == 0 {
		if n == len(b) {
			return nil, n
		}
		j.partial = append(j.partial, b[n])
		n++
	}
	k := min(frameSize(j.partial)-len(j.partial), len(b)-n)
	j.partial = append(j.partial, b[n:n+k]...)
	n += k
	if len(j.partial) < frameSize(j.partial) {
		return nil, n
	}
	return j.partial, n
}

// frameSize returns how long the frame is that b begins with; 0 if b does not say yet.
func frameSize(b []byte) int {
	h, n, err := frame.ParseHeader(b)
	if err != nil || n == 0 {
		return 0
	}
	return n + int(h.Length)
}

// say translates one message.
func (j *jsonTransport) say(m *wire.Message) {
	j.text = j.text[:0]
	defer func() {
		if cap(j.text) > 2*batch {
			j.text = nil
		}
	}()
	switch m.Kind {
	case wire.KindRequest:
		j.sayRequest(m)
	case wire.KindReply, wire.KindError:
		j.sayAnswer(m)
	case wire.KindWelcome:
		if w, err := wire.ParseWelcome(m); err == nil {
			j.welcome, j.aid = true, w.AID
			j.frame(w.AppendText(j.text))
		}
	case wire.KindCancel:
		j.frame(wire.AppendTextCancel(j.text, ackOf(m.ID)))
	case wire.KindUndelivered:
		j.frame(wire.AppendTextUndelivered(j.text, wire.ParseError(m)))
	case wire.KindDown:
		if ack, ok := j.acks.remove(m.ID); ok {
			j.frame(wire.AppendTextDown(j.text, m, ack))
		}
	case wire.KindNotify:
		j.pending = frame.AppendFrame(j.pending, frame.Ping, nil)
	case kindPong:
		j.pending = frame.AppendFrame(j.pending, frame.Pong, m.Body)
	case wire.KindStop:
		j.frame(wire.AppendTextStop(j.text, string(m.Body)))
	case wire.KindGoodbye:
		d := wire.ParseDeath(m)
		if len(m.Command) == 0 { // else the peer has left itself
			j.frame(wire.AppendTextGoodbye(j.text, d))
		}
		code := frame.CloseGoingAway
		if d.Cause == wire.CauseProtocol {
			code = frame.ClosePolicy
		}
		j.sayClose(code, d.Reason)
	}
}

// frame appends text as a text frame.
func (j *jsonTransport) frame(text []byte) {
	j.text = text
	j.pending = frame.AppendFrame(j.pending, frame.Text, text)
}

// sayClose appends the close frame, with code unless the reader knows better.
func (j *jsonTransport) sayClose(code frame.CloseCode, reason string) {
	if c := j.code.Load(); c != 0 {
		code = frame.CloseCode(c)
	}
	j.pending = frame.AppendFrame(j.pending, frame.Close, frame.AppendClose(nil, code, reason))
	j.parted = true
}

// sayRequest translates a request to the peer. One that has no image fails here and
// now, as if the peer had answered so.
func (j *jsonTransport) sayRequest(m *wire.Message) {
	ack := ""
	oneWay := m.Flags&wire.FlagOneWay != 0
	if !oneWay {
		if !j.conn.calls.Has(m.ID) {
			j.conn.fates.withdrawn.Add(1)
			return // a cancel has overtaken it: the peer need not know that this can be
		}
		ack = ackOf(m.ID)
	}
	if len(m.Target) == 0 {
		m.Target = wire.Bytes(j.aid) // what has no target is for the connection itself
	}
	text, e := wire.AppendTextRequest(j.text, m, ack, wire.Limits{})
	if e == nil {
		if e = j.tooLarge(text); e != nil {
			e.Started = wire.StartedNo
		}
	}
	switch {
	case e == nil:
		j.frame(text)
	case oneWay:
		j.conn.fates.back.Add(1)
		if f := j.conn.Unsent; f != nil {
			e.Command = string(m.Command)
			f(string(m.Sender), e)
		}
	default:
		j.conn.fates.refused.Add(1)
		if note, status := j.conn.calls.Take(m.ID); status == Found {
			note.Caller.Failed(note.ID, e)
		}
	}
}

// tooLarge says why text cannot be sent, if it cannot.
func (j *jsonTransport) tooLarge(text []byte) *wire.Error {
	if limit := j.conn.options.MaxMessage; len(text) > limit {
		return wire.Errorf(wire.CodeTooLarge, "as JSON the message has %d bytes, and the limit is %d", len(text), limit)
	}
	return nil
}

// sayAnswer translates the answer to a call or a watch of the peer.
func (j *jsonTransport) sayAnswer(m *wire.Message) {
	failed := m.Kind == wire.KindError
	if failed && !j.welcome {
		e := wire.ParseError(m)
		j.frame(wire.AppendTextRefusal(j.text, e))
		j.sayClose(frame.ClosePolicy, e.Error())
		return
	}
	ack, ok := j.acks.answer(m.ID, failed)
	if !ok {
		if ack, ok = ackIn(m); !ok {
			return // it was taken back meanwhile
		}
	}
	if failed {
		j.frame(wire.AppendTextFailure(j.text, wire.ParseError(m), ack))
		return
	}
	text, e := wire.AppendTextCallback(j.text, m, ack, wire.Limits{})
	if e == nil {
		if e = j.tooLarge(text); e != nil {
			e.Started = wire.StartedYes
		}
	}
	if e != nil {
		text = wire.AppendTextFailure(j.text[:0], e, ack)
	}
	j.frame(text)
}

// ackIn returns the ack of an answer to what was given no id.
func ackIn(m *wire.Message) (string, bool) {
	if len(m.Ext) < 3 || m.Ext[0] != extAck {
		return "", false
	}
	return string(m.Ext[3:]), true
}
