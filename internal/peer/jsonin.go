package peer

import (
	"errors"
	"io"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// kindPong is the kind of a message that only a jsonTransport posts and takes: a
// pong frame with its body.
const kindPong wire.Kind = 0x7f

// jsonIn is owned by the reader.
type jsonIn struct {
	source   jsonSource
	masking  frame.Masking
	frames   *frame.Reader // of source; made by Bind
	native   []byte        // frames that are translated and not read yet
	off      int
	greeted  bool // the hello was read
	notify   bool // a first heartbeat is to be made up
	posted   bool // something waits for a flush
	parting  bool // the peer has sent a close frame
	over     error
	bye      *wire.Message // what is said before that; nil: nothing
	hello    *wire.TextHello
	received amount // requests that were translated, as the Conn counts them …
	seen     amount // … and what of these was given back when it last looked
}

// batch is how many bytes of native frames one Read makes, if there is so much.
const batch = 64 << 10

// Read returns native frames. It waits only while there is none.
func (j *jsonTransport) Read(b []byte) (int, error) {
	if err := j.ready(); err != nil {
		return 0, err
	}
	return j.give(b), nil
}

// ReadLoan is Read.
func (j *jsonTransport) ReadLoan(l frame.Loan) (int, error) {
	if j.off == len(j.native) {
		l.Return()
	}
	if err := j.ready(); err != nil {
		return 0, err
	}
	return j.give(l.Take()), nil
}

// ready waits for native frames.
func (j *jsonTransport) ready() error {
	for j.off == len(j.native) {
		j.native, j.off = j.native[:0], 0
		if cap(j.native) > 2*batch {
			j.native = nil // one message was large
		}
		if j.over != nil {
			j.leave()
			return j.over
		}
		if err := j.more(); err != nil {
			j.over = err // what came before it is read first
		}
	}
	return nil
}

// give returns how many bytes of native frames are in b now.
func (j *jsonTransport) give(b []byte) int {
	n := copy(b, j.native[j.off:])
	j.off += n
	return n
}

// more translates at least one frame, and whatever else is there already.
func (j *jsonTransport) more() error {
	if j.notify {
		j.notify = false
		m := (&wire.Text{}).Info(j.hello.PID)
		j.put(&m)
		return nil
	}
	if j.greeted {
		j.frames.SetLimit(j.conn.options.MaxMessage)
	}
	for {
		if j.posted && !j.frames.Ready() {
			j.posted = false
			j.conn.Flush()
		}
		op, payload, err := j.frames.Next()
		if err != nil {
			return j.readError(err)
		}
		if !j.greeted && op == frame.Text {
			return j.sayHello(payload)
		}
		if err := j.take(op, payload); err != nil {
			return err
		}
		if len(j.native) >= batch || !j.frames.Ready() {
			return nil
		}
	}
}

// readError says what a failed read means, and notes with which code the peer is
// told.
func (j *jsonTransport) readError(err error) error {
	var f *frame.Error
	if errors.As(err, &f) {
		return j.violate(violates(f.Close, "a frame that may not be: %s", f.Reason))
	}
	return err
}

// violate has the peer told with the code of v, and returns v as a Conn knows it.
func (j *jsonTransport) violate(v *violation) error {
	j.code.Store(uint32(v.code))
	d := wire.Death{Cause: wire.CauseProtocol, Reason: v.Message}
	m := d.Message(wire.KindGoodbye, 0)
	j.bye = &m
	return v.Error
}

// leave says why this end leaves, with a close frame, and gives the peer a moment to
// read it, and to close. Nothing is read from it any more.
func (j *jsonTransport) leave() {
	m := j.bye
	if m == nil || !j.greeted { // a hello is refused by its own answer
		return
	}
	j.bye = nil
	wait := time.NewTimer(lingerTime)
	defer wait.Stop()
	if j.conn.Post(Control, m, Charge{}) != nil {
		return
	}
	j.conn.FlushSoon()
	select {
	case <-j.left:
	case <-j.gone:
		return
	case <-wait.C:
		return
	}
	if j.parting {
		return // it knows
	}
	// A socket that is closed while unread bytes are in it may lose what was written.
	stop := time.AfterFunc(lingerTime, func() { _ = j.socket.Close() })
	defer stop.Stop()
	_ = j.CloseWrite()
	drain(j.socket)
}

// put appends m as a frame for the Conn.
func (j *jsonTransport) put(m *wire.Message) {
	j.native = m.Append(frame.AppendBinary(j.native, m.Size()))
}

// post has the Conn write m to the peer.
func (j *jsonTransport) post(class Class, m *wire.Message) error {
	err := j.conn.Post(class, m, Charge{})
	switch {
	case err == nil:
		j.posted = true
	case class == Control && (errors.Is(err, ErrFull) || errors.Is(err, ErrBudget)):
		// Too many pings at once. One that is not answered is made up for by the next.
	case errors.Is(err, ErrFull), errors.Is(err, ErrBudget):
		return wire.Errorf(wire.CodeProtocol, "it does not read what it is sent: %v", err)
	}
	return nil
}

// sayHello translates the hello.
func (j *jsonTransport) sayHello(payload []byte) error {
	t, e := wire.ParseText(payload)
	if e != nil {
		return j.violate(&violation{e, frame.CloseInvalidUTF8})
	}
	h, e := t.Hello()
	if e != nil {
		return j.violate(&violation{e, frame.ClosePolicy})
	}
	h.Inbox = endless
	m, err := h.Message()
	if err != nil {
		return j.violate(&violation{wire.AsError(err, wire.CodeInvalid), frame.ClosePolicy})
	}
	j.hello, j.greeted, j.notify = h, true, h.Ready
	j.put(&m)
	return nil
}

// take translates one frame.
func (j *jsonTransport) take(op frame.Opcode, payload []byte) error {
	switch op {
	case frame.Text:
		return j.takeText(payload)
	case frame.Ping, frame.Pong: // a sign of life, as every byte is
		if err := j.conn.aimless(); err != nil {
			return j.violate(violates(frame.ClosePolicy, "%s", wire.AsError(err, wire.CodeProtocol).Message))
		}
		if op == frame.Pong {
			return nil
		}
		return j.post(Control, &wire.Message{Kind: kindPong, Body: payload})
	case frame.Close:
		return j.closed(payload)
	}
	return j.violate(violates(frame.CloseUnsupported, "a %s frame, where only text is taken", op))
}

// closed answers the close frame of the peer with one, and is the end.
func (j *jsonTransport) closed(payload []byte) error {
	code, _, err := frame.ParseClose(payload)
	if err != nil {
		return j.readError(err)
	}
	if code == frame.CloseNoStatus {
		code = frame.CloseNormal
	}
	j.parting = true
	return j.departed(code)
}

// departed ends the connection because the peer has ended it: with a close frame, and
// no goodbye before it.
func (j *jsonTransport) departed(code frame.CloseCode) error {
	j.code.Store(uint32(code))
	j.bye = &wire.Message{Kind: wire.KindGoodbye, Command: []byte("close")}
	return io.EOF
}

// takeText translates one message.
func (j *jsonTransport) takeText(payload []byte) error {
	t, e := wire.ParseText(payload)
	if e != nil {
		return j.violate(&violation{e, frame.CloseInvalidUTF8})
	}
	if t.Target != "" {
		return j.takeRequest(t)
	}
	switch t.Command {
	case "callback":
		return j.takeCallback(t)
	case "cancel":
		if id, ok := j.acks.id(t.Ack, false); ok {
			j.acks.remove(id)
			j.put(&wire.Message{Kind: wire.KindCancel, ID: id})
		}
	case "watch":
		return j.takeWatch(t)
	case "unwatch":
		if id, ok := j.acks.id(t.Ack, true); ok {
			j.acks.unwatch(id)
			j.put(&wire.Message{Kind: wire.KindUnwatch, ID: id})
		}
	case "notify":
		m := t.Info(j.hello.PID)
		j.put(&m)
	case "undelivered":
		if e := t.Error(); e != nil {
			m := e.Frame(wire.KindUndelivered, 0)
			m.Target = []byte(t.Text("sender", wire.MaxName))
			j.put(&m)
		}
	case "goodbye":
		m := t.Death().Message(wire.KindGoodbye, 0)
		j.put(&m)
		return j.departed(frame.CloseNormal)
	case "hello", "welcome":
		return j.violate(violates(frame.ClosePolicy, "a second %s", t.Command))
	default:
		return j.takeRequest(t) // which says what is wrong with it
	}
	return nil
}

// takeWatch translates the wish to be told of an end.
func (j *jsonTransport) takeWatch(t *wire.Text) error {
	actor := t.Text("actor", wire.MaxCommandName)
	if actor == "" || t.Ack == "" {
		return j.refuse(t, 0, wire.Errorf(wire.CodeInvalid, "a watch needs the actor, and an ack of 1 to %d bytes", wire.MaxAck).NotStarted())
	}
	id, err := j.newID(t, true)
	if id == 0 {
		return err
	}
	j.put(&wire.Message{Kind: wire.KindWatch, ID: id, Target: []byte(actor)})
	return nil
}

// newID returns the id of the call or watch t. If that is 0 it was refused.
func (j *jsonTransport) newID(t *wire.Text, watch bool) (uint64, error) {
	id, free := j.acks.add(t.Ack, watch)
	if !free {
		// It cannot be answered: its answer would be taken for the other one's.
		return 0, j.violate(violates(frame.ClosePolicy, "the ack %q belongs to another call or watch in flight", t.Ack))
	}
	if id == 0 {
		return 0, j.refuse(t, 0, wire.Errorf(wire.CodeOverloaded, "%d calls and watches of this actor are in flight", maxAcks).NotStarted())
	}
	return id, nil
}

// takeRequest translates a request.
func (j *jsonTransport) takeRequest(t *wire.Text) error {
	var id uint64
	if t.Ack != "" {
		var err error
		if id, err = j.newID(t, false); id == 0 {
			return err
		}
	}
	r, e := t.Request(wire.Limits{})
	if e != nil {
		return j.refuse(t, id, e)
	}
	m := wire.Message{
		Kind: wire.KindRequest, ID: id, Target: []byte(t.Target), Command: []byte(t.Command),
		Codec: r.Codec, Body: r.Body,
	}
	if r.Args {
		m.Flags |= wire.FlagArgs
	}
	if id == 0 {
		m.Flags |= wire.FlagOneWay
	} else {
		m.Millis = r.Millis
	}
	if r.Parent != "" {
		parent, ok := idOf(r.Parent)
		if !ok {
			return j.refuse(t, id, wire.Errorf(wire.CodeInvalid, "\"parent\" is %.40q, which is not the ack of a request to this actor", r.Parent).NotStarted())
		}
		m.Ext = wire.AppendParent(nil, parent)
	}
	if id != 0 && (r.Turn || !r.TurnSaid && r.Parent != "" && j.hello.Mode == "serial") {
		m.Flags |= wire.FlagTurn
	}
	if size := m.Size(); size > j.conn.options.MaxMessage {
		return j.refuse(t, id, wire.Errorf(wire.CodeTooLarge, "the message has %d bytes, and the limit is %d", size, j.conn.options.MaxMessage).NotStarted())
	}
	if !j.admit(wire.Cost(m.Size())) {
		w := j.conn.room.window
		return j.refuse(t, id, wire.Errorf(wire.CodeOverloaded, "more than %d messages or %d bytes of this actor are under way; send slower", w.Messages, w.Bytes).NotStarted())
	}
	j.put(&m)
	return nil
}

// admit counts a request of cost, and reports whether there is room for it: as the
// Conn will, which has not seen yet all that was translated.
func (j *jsonTransport) admit(cost int) bool {
	if !j.conn.room.has(j.received, &j.seen, cost) {
		return false
	}
	j.received += amountOf(1, uint64(cost))
	return true
}

// refuse answers t, whose id is 0 if it is one-way, with e.
func (j *jsonTransport) refuse(t *wire.Text, id uint64, e *wire.Error) error {
	j.conn.in.refused.Add(1)
	if id != 0 {
		m := e.Frame(wire.KindError, id)
		return j.post(Reply, &m)
	}
	e.Command, e.Target = t.Command, t.Target
	if t.Ack == "" {
		m := e.Frame(wire.KindUndelivered, 0)
		return j.post(Reply, &m)
	}
	// It has no id: there are too many of them.
	m := e.Frame(wire.KindError, 0)
	m.Ext = wire.AppendExt(nil, extAck, []byte(t.Ack))
	return j.post(Reply, &m)
}

// extAck is an extension of an error that only a jsonTransport posts and takes: the
// ack of a message that was given no id.
const extAck = 0x7f

// takeCallback translates an answer.
func (j *jsonTransport) takeCallback(t *wire.Text) error {
	id, ok := idOf(t.Ack)
	if !ok {
		return j.violate(violates(frame.ClosePolicy, "a callback with the ack %.40q, which never was one", t.Ack))
	}
	if j.conn.calls.status(id) == Never {
		j.conn.in.never.Add(1)
		return j.violate(violates(frame.ClosePolicy, "a reply to %d, which was never asked", id))
	}
	if e := t.Error(); e != nil {
		m := e.Frame(wire.KindError, id)
		j.put(&m)
		return nil
	}
	m := wire.Message{Kind: wire.KindReply, ID: id, Codec: wire.CodecCBOR}
	body, e := t.Result(wire.Limits{})
	if m.Body = body; e == nil && m.Size() > j.conn.options.MaxMessage {
		e = wire.Errorf(wire.CodeTooLarge, "its result: the message has %d bytes, and the limit is %d", m.Size(), j.conn.options.MaxMessage).With(wire.StartedYes)
	}
	if e != nil {
		m = e.Frame(wire.KindError, id)
	}
	j.put(&m)
	return nil
}
