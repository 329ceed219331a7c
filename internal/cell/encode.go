package cell

import (
	"time"
	"unicode/utf8"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Bytes is a Value that may be a []byte: then it need not be copied into a buffer
// before it is copied into the connection's.
type Bytes interface {
	Value
	// Bytes returns the value if it is a []byte that is not nil.
	Bytes() (b []byte, ok bool)
}

// encode appends the image of v to buf, but for a tail that follows it.
func encode(v Value, buf []byte, codec wire.Codec) (e Encoded, tail []byte, err error) {
	if b, ok := v.(Bytes); ok && codec <= wire.CodecCBOR {
		if tail, ok := b.Bytes(); ok {
			return Encoded{Codec: wire.CodecCBOR, Data: wire.AppendBytesHead(buf, len(tail))}, tail, nil
		}
	}
	e, err = v.Encode(buf, codec)
	return e, nil, err
}

// Message makes m, which is blank, a native message sent to target in the scope s: a call, which
// has a deadline, or one way. Its extensions and body are appended to buf, which is returned: m is
// valid as long as nobody writes there or to v.
func (s Scope) Message(m *wire.Message, target, command string, v Value, deadline time.Time, buf []byte) ([]byte, *wire.Error) {
	m.Kind, m.Millis = wire.KindRequest, wire.Millis(deadline)
	m.Target, m.Command = wire.Bytes(target), wire.Bytes(command)
	if s.Turn != nil {
		if s.Turn.Holds() {
			m.Flags |= wire.FlagTurn
		}
		if !deadline.IsZero() { // it is a call
			buf = wire.AppendParent(buf, s.Turn.Parent())
		}
	}
	n := len(buf)
	if v != nil {
		e, tail, err := encode(v, buf, wire.CodecCBOR)
		if err != nil {
			return buf, wire.AsError(err, wire.CodeNotEncodable).With(wire.StartedNo)
		}
		buf = e.Data
		m.Codec, m.Tail = e.Codec, tail
		if e.Args {
			m.Flags |= wire.FlagArgs
		}
	}
	m.Ext, m.Body = buf[:n:n], buf[n:]
	if !utf8.Valid(m.Command) || !utf8.Valid(m.Target) {
		return buf, wire.Errorf(wire.CodeInvalid, "the target or the command is not UTF-8").NotStarted()
	}
	if !m.Fits() {
		return buf, wire.Errorf(wire.CodeInvalid, "the target or the command is longer than 255 bytes").NotStarted()
	}
	return buf, nil
}

// Reply makes m, which is blank, v as the answer to r. Its body is appended to buf, which
// is returned. A result that has no image on the wire is the error.
func (r *Request) Reply(m *wire.Message, v Value, buf []byte) ([]byte, *wire.Error) {
	m.Kind, m.ID = wire.KindReply, r.ID
	if v == nil {
		return buf, nil
	}
	n := len(buf)
	e, tail, err := encode(v, buf, r.Codec)
	if err != nil {
		e := wire.AsError(err, wire.CodeNotEncodable).With(wire.StartedYes)
		return buf, &wire.Error{Code: e.Code, Started: e.Started, Message: "its result: " + e.Message}
	}
	m.Codec, m.Body, m.Tail = e.Codec, e.Data[n:], tail
	return e.Data, nil
}

// Receive returns the request m, read from source, as it goes into c's inbox. It
// copies what it keeps of m, or takes what m lies in.
func (c *Cell) Receive(m *wire.Message, source Source, cost int) *Request {
	r := c.spec.NewRequest()
	r.ID, r.Codec, r.Sender = m.ID, m.Codec, c.senderOf(m.Sender)
	r.Chained = m.Flags&wire.FlagChained != 0
	if len(m.Ext) > 0 {
		r.Attempt = uint8(m.Attempt())
	}
	r.Size, r.Source, r.Cost = m.Size(), source, cost
	cmd := commandOf(c.spec, m.Command)
	if cmd != nil {
		r.Command, r.cmd = cmd.Name, cmd
	} else {
		r.Command = string(m.Command)
	}
	if m.Flags&wire.FlagOneWay != 0 {
		r.ID = 0
	}
	if m.Codec != wire.CodecNone || len(m.Body) > 0 {
		lease := lent
		if cmd != nil && cmd.Lends {
			lease = loaned
		}
		var data []byte
		if len(m.Body) > maxKept && cmd != nil && !cmd.Keeps {
			data, r.buffer = c.spec.bodies.take(m)
		} else {
			data = append(r.encoded.Data, m.Body...)
		}
		r.encoded = Encoded{Codec: m.Codec, Args: m.Flags&wire.FlagArgs != 0, lease: lease, Data: data}
		r.Value = &r.encoded
	}
	if m.Millis != 0 {
		r.due = dueOf(m, time.Now())
	}
	return r
}

// dueOf returns the deadline that m, which came at that time, says.
func dueOf(m *wire.Message, at time.Time) due {
	return dueAt(at.Add(time.Duration(m.Millis) * time.Millisecond))
}

// senderOf returns b as a string, the last one again if it is the same: messages
// come in runs.
func (c *Cell) senderOf(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if last := c.sender.Load(); last != nil && *last == string(b) {
		return *last
	}
	s := string(b)
	c.sender.Store(&s)
	return s
}
