package peer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// What a pulsar peer says, made native. All of this runs on the reader.

// Await reads until the other end has said, by a notify, that it is an actor that
// admit lets in, as which it is then known. Whoever is not let in, for the error that admit
// returns, is answered as pulsar's arbiter answers it, and may try again; until then its
// messages go nowhere. The error is that of the socket: Close ends Await.
func (p *Pulsar) Await(admit func(aid string) error) error {
	for range maxStrange {
		m, err := p.next()
		if err != nil {
			return err
		}
		switch {
		case m == nil:
		case m.Callback:
			p.odd(&p.counts.stray, "a callback nobody waits for", "ack", m.Ack)
		case m.Command != "notify":
			p.odd(&p.counts.refused, "a message before the first notify goes nowhere: if a hook start has sent it, see child.py in docs/pulsar.md",
				"command", m.Command, "sender", m.Sender)
			p.answerNow(m.Ack, wire.CodecNone, nil)
		default:
			err := admit(m.Sender)
			if err == nil {
				p.aid = m.Sender
				p.known()
				return p.greet(m)
			}
			p.odd(&p.counts.forged, "a notify of somebody who is not let in", "sender", m.Sender, "error", err)
			c, body := clock()
			p.answerNow(m.Ack, c, body)
		}
		if err := p.push(); err != nil {
			return err
		}
		if len(p.out)-p.written > maxUnread {
			return errors.New("it does not read its answers")
		}
	}
	return errStrange
}

// greet makes the hello of the actor that has said m, its first notify.
func (p *Pulsar) greet(m *wire.PulsarMessage) error {
	info := m.Notified()
	h := wire.Hello{
		Newest: wire.Version, Oldest: wire.MinVersion, Kind: "actor", AID: p.aid, Mode: "concurrent",
		Inbox: endless, PID: max(info.PID, 0), Language: "python, pulsar", Codecs: []wire.Codec{wire.CodecPickle},
	}
	if wire.ValidName(info.Name) == nil {
		h.Kind = info.Name
	}
	hello, err := h.Message()
	if err != nil {
		return err
	}
	p.give(&hello)
	if m.Ack != "" {
		if p.first, err = p.asked.add(question{ack: m.Ack}); err != nil {
			return err
		}
	}
	p.beat(&info)
	return nil
}

// clock is what a notify is answered: the time in seconds since 1970.
func clock() (wire.Codec, []byte) {
	body, err := wire.Encode(wire.CodecCBOR, nil, float64(time.Now().UnixNano())/1e9)
	if err != nil {
		panic(err) // a float has an image
	}
	return wire.CodecCBOR, body
}

// known has the other end's messages read: pulsar knows no limit, so one that is over ours does
// not end the connection.
func (p *Pulsar) known() {
	p.frames.SetLimit(p.options.MaxMessage)
	p.frames.PassLarge(maxEnds)
}

// maxEnds is how much is kept of either end of a message that is too large: its command stands
// in one, and its ack in the other.
const maxEnds = 512

// next returns the next message of the socket, which is valid until the one after it is read; nil
// for one that cannot be read.
func (p *Pulsar) next() (*wire.PulsarMessage, error) {
	for {
		op, payload, err := p.frames.Next()
		switch {
		case err != nil:
			return nil, err
		case p.conn != nil:
			p.conn.in.reads.Add(1) // a sign of life, whatever it is
		}
		switch {
		case op == frame.Binary:
			return p.parse(payload), nil
		case op == frame.Continuation:
			p.unread(payload, wire.CodeTooLarge, wire.CodeTooLarge, fmt.Errorf("it has more than %d bytes", p.options.MaxMessage))
			return nil, nil
		case op == frame.Close:
			return nil, io.EOF
		}
		p.odd(&p.counts.foreign, "a frame that is no message", "frame", op.String())
		if err := p.aimless(); err != nil {
			return nil, err
		}
	}
}

// aimless counts something that is neither a request nor an answer: one is kept for it,
// a flood is not.
func (p *Pulsar) aimless() error {
	var err error
	if p.conn != nil {
		err = p.conn.aimless()
	} else if c := &p.counts; c.foreign.Load()+c.undecodable.Load() > maxStrange {
		err = errStrange
	}
	if err != nil {
		p.ended = err
	}
	return err
}

// maxStrange is how much an end that is not known may say: one that waits to be expected
// notifies every few seconds.
const maxStrange = 1000

var errStrange = wire.Errorf(wire.CodeProtocol, "it has said %d things, and not who it is", maxStrange)

// parse reads one message; nil if it cannot be read.
func (p *Pulsar) parse(payload []byte) *wire.PulsarMessage {
	var m *wire.PulsarMessage
	var err error
	if p.joins() { // some are kept, and all are to become CBOR
		m, err = wire.ParsePulsar(payload)
	} else {
		m, err = p.messages.Parse(payload)
	}
	if err == nil {
		return m
	}
	p.unread(payload, wire.CodeNotEncodable, wire.CodeInvalid, err)
	return nil
}

// unread sees to a message that is not read, because of err; payload has both its ends. Its ack,
// if that much can be found, is answered, and whoever waits for its result is told: with one code
// or the other.
func (p *Pulsar) unread(payload []byte, result, request wire.Code, err error) {
	p.odd(&p.counts.undecodable, "a message that cannot be read", "error", err)
	if p.aimless() != nil {
		return
	}
	ack, callback, ok := wire.PulsarAck(payload)
	switch {
	case !ok:
	case callback:
		if id, _, ok := parseAck(ack); ok && p.conn != nil {
			e := wire.Errorf(result, "its result cannot be read: %v", err)
			e.Started = wire.StartedYes
			p.fail(id, e)
		}
	case p.conn == nil:
		p.answerNow(ack, wire.CodecNone, nil)
	default:
		if id, e := p.asked.add(question{ack: ack}); e == nil {
			p.refuse(id, wire.Errorf(request, "it cannot be read: %v", err))
		}
	}
}

// Read gives the native frames that the other end's messages mean.
func (p *Pulsar) Read(b []byte) (int, error) {
	for p.given == len(p.ready) {
		p.ready, p.given = p.ready[:0], 0
		if cap(p.ready) > 4*readAhead {
			p.ready = nil
		}
		if p.ended != nil {
			return 0, p.ended
		}
		if p.conn != nil {
			p.conn.Flush() // what was refused is answered before it is waited for more
		}
		p.take()
		for p.ended == nil && len(p.ready) < readAhead && p.frames.Ready() {
			p.take()
		}
	}
	n := copy(b, p.ready[p.given:])
	p.given += n
	return n, nil
}

// take takes one message.
func (p *Pulsar) take() {
	m, err := p.next()
	if err != nil {
		p.end(err)
		return
	}
	switch {
	case m == nil:
	case m.Callback:
		p.callback(m)
	case p.joins() && !p.joined && len(p.early) < maxEarly:
		p.early = append(p.early, m) // the welcome comes first
	default:
		p.request(m)
	}
}

// maxEarly is how many requests may overtake the answer to the first notify.
const maxEarly = 64

// end notes the end of the connection. After a stop it is the answer to that, also for
// those who asked for it: pulsar's command answers nobody.
func (p *Pulsar) end(err error) {
	p.ended = err
	if p.stopped.Load() && (err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)) {
		p.ended = io.EOF
		p.conn.Calls().Each(func(id uint64, n Note) {
			if strings.EqualFold(n.Command, "stop") {
				p.give(&wire.Message{Kind: wire.KindReply, ID: id})
			}
		})
		m := (&wire.Death{Cause: wire.CauseStopped, Reason: "asked to"}).Message(wire.KindGoodbye, 0)
		p.give(&m)
	}
}

// give makes m ready to be read.
func (p *Pulsar) give(m *wire.Message) {
	p.ready = m.Append(frame.AppendBinary(p.ready, m.Size()))
}

// keep keeps the room of a body, which was written into room, for the next one: after
// give nobody has it.
func (p *Pulsar) keep(body []byte) {
	if cap(body) <= 4*readAhead {
		p.room = body[:0]
	}
}

// callback passes the answer to one of ours on. The connection is kept where nobody
// waits for it: pulsar's own cannot be closed for what they say.
func (p *Pulsar) callback(c *wire.PulsarMessage) {
	if p.joins() && !p.joined && c.Ack == firstNotify {
		p.joined = true
		p.welcome()
		for _, m := range p.early {
			p.request(m)
		}
		p.early = nil
		return
	}
	id, codec, ok := parseAck(c.Ack)
	if !ok || !p.conn.Calls().Has(id) {
		if !p.joins() || c.Ack == "" || c.Ack[0] != notifyAck {
			p.odd(&p.counts.stray, "a callback nobody waits for", "ack", c.Ack)
			_ = p.aimless()
		}
		return
	}
	m := wire.Message{Kind: wire.KindReply, ID: id, Codec: codec}
	var err error
	if m.Body, err = c.AppendResult(p.room[:0], codec); err != nil {
		e := wire.AsError(err, wire.CodeNotEncodable).With(wire.StartedYes)
		p.fail(id, &wire.Error{Code: e.Code, Started: e.Started, Message: "its result: " + e.Message})
		return
	}
	if m.Size() > p.options.MaxMessage {
		p.fail(id, wire.Errorf(wire.CodeTooLarge, "its result has %d bytes, and the limit is %d", m.Size(), p.options.MaxMessage).With(wire.StartedYes))
		return
	}
	p.give(&m)
	p.keep(m.Body)
}

// fail has the call id, one of ours, end with e.
func (p *Pulsar) fail(id uint64, e *wire.Error) {
	if !p.conn.Calls().Has(id) {
		return
	}
	m := e.Frame(wire.KindError, id)
	p.give(&m)
}

// request takes a request of the other end.
func (p *Pulsar) request(r *wire.PulsarMessage) {
	m := wire.Message{
		Kind: wire.KindRequest, Flags: wire.FlagOneWay, Sender: wire.Bytes(r.Sender),
		Target: wire.Bytes(r.Target), Command: wire.Bytes(r.Command),
	}
	q := question{ack: r.Ack}
	refused := p.check(r)
	if refused == nil && r.Command == "notify" && !p.joins() {
		p.notify(r)
		return
	}
	if refused == nil {
		refused = p.fill(&m, r, &q)
	}
	if r.Ack != "" {
		id, err := p.asked.add(q)
		switch {
		case errors.Is(err, errAckTwice):
			p.odd(&p.counts.twice, "a request with the ack of another one", "ack", r.Ack, "command", r.Command)
		case err != nil:
			p.odd(&p.counts.refused, "a request that is not answered", "command", r.Command, "error", err)
			return
		default:
			m.Flags &^= wire.FlagOneWay
			m.ID = id
		}
	}
	if refused == nil {
		refused = p.charge(&m)
	}
	if refused != nil {
		p.refuse(m.ID, refused)
		return
	}
	if wait := cmp.Or(q.wait, p.options.Timeout); wait > 0 && m.ID != 0 {
		m.Millis = uint32(min(max(wait.Milliseconds(), 1), 1<<32-1))
	}
	p.give(&m)
	p.keep(m.Body)
}

// check refuses what cannot be let through.
func (p *Pulsar) check(r *wire.PulsarMessage) *wire.Error {
	switch {
	case p.joins():
		// It is the arbiter: it speaks for others.
	case r.Sender != p.aid:
		p.odd(&p.counts.forged, "a message in the name of another", "sender", r.Sender, "command", r.Command)
		return wire.Errorf(wire.CodeRefused, "the actor %q speaks as %q", p.aid, r.Sender).NotStarted()
	case r.Command == "run" && (p.options.NoRun || forArbiter(r.Target)):
		p.odd(&p.counts.refused, "run is refused", "target", r.Target)
		return wire.Errorf(wire.CodeRefused, "%q may not have %q run a function", p.aid, r.Target).NotStarted()
	}
	if len(r.Target) > 255 || len(r.Command) > 255 || len(r.Sender) > 255 {
		p.odd(&p.counts.refused, "a name of more than 255 bytes")
		return wire.Errorf(wire.CodeInvalid, "a name of more than 255 bytes").NotStarted()
	}
	return nil
}

// forArbiter reports whether a message for target is for the arbiter itself.
func forArbiter(target string) bool { return target == "arbiter" || target == "monitor" }

// fill gives m its body. What the arbiter answers in another way than pulsar's is
// asked in that way.
func (p *Pulsar) fill(m *wire.Message, r *wire.PulsarMessage, q *question) *wire.Error {
	var err error
	switch {
	case !p.joins() && forArbiter(r.Target) && r.Command == "spawn":
		err = p.spawn(m, r, q)
	case !p.joins() && forArbiter(r.Target) && r.Command == "kill_actor":
		q.kind = killQuestion
		q.aid, _ = r.Text(0, "aid")
		q.wait = killWait(r)
		m.Codec = wire.CodecCBOR
		m.Body, err = wire.Encode(wire.CodecCBOR, nil, map[string]any{"aid": q.aid})
	case p.joins():
		m.Codec = wire.CodecCBOR
		m.Flags |= wire.FlagArgs
		m.Body, err = r.AppendArgs(p.room[:0], m.Codec)
	default:
		m.Codec = wire.CodecPickle
		m.Flags |= wire.FlagArgs
		m.Body, err = r.AppendArgs(p.room[:0], m.Codec)
	}
	if len(q.aid) > 255 || len(q.name) > 255 { // they are kept until it is answered
		err = wire.Errorf(wire.CodeInvalid, "a name of more than 255 bytes")
	}
	if err == nil && m.Size() > p.options.MaxMessage {
		err = wire.Errorf(wire.CodeTooLarge, "the message has %d bytes, and the limit is %d", m.Size(), p.options.MaxMessage)
	}
	if err == nil {
		return nil
	}
	q.aid, q.name = "", ""
	p.odd(&p.counts.refused, "a message that goes nowhere", "command", r.Command, "target", r.Target, "error", err)
	return wire.AsError(err, wire.CodeNotEncodable).With(wire.StartedNo)
}

// killWait is how long the kill_actor r waits for the end; 0: as long as all that is asked.
// pulsar's waits for 5 s if it is not told.
func killWait(r *wire.PulsarMessage) time.Duration {
	if d, ok := r.Seconds(1, "timeout"); ok {
		return d
	}
	return 5 * time.Second
}

// charge takes the room of m, or says that there is none: the account is the Conn's own,
// which would end the connection.
func (p *Pulsar) charge(m *wire.Message) *wire.Error {
	cost := wire.Cost(m.Size())
	if !p.conn.room.has(p.used, &p.seen, cost) {
		inUse := p.used - p.seen
		messages, bytes := inUse.messages(), inUse.bytes()
		p.odd(&p.counts.refused, "a message beyond its room", "messages", messages, "bytes", bytes)
		return wire.Errorf(wire.CodeOverloaded, "%d messages, %d bytes of it are under way already", messages, bytes).NotStarted()
	}
	p.used += amountOf(1, uint64(cost))
	return nil
}

// refuse answers the request id, if it has one, with e. The answer takes the way of
// all the others.
func (p *Pulsar) refuse(id uint64, e *wire.Error) {
	p.conn.in.refused.Add(1)
	if id == 0 {
		return
	}
	m := e.Frame(wire.KindError, id)
	p.post(&m)
}

// post has m written.
func (p *Pulsar) post(m *wire.Message) {
	if err := p.conn.Post(Reply, m, Charge{}); err != nil && !errors.Is(err, ErrClosed) {
		p.conn.Close(fmt.Errorf("it does not read what it is sent: %w", err))
	}
}

// notify takes the heartbeat of the other end.
func (p *Pulsar) notify(r *wire.PulsarMessage) {
	if r.Ack != "" {
		if id, err := p.asked.add(question{ack: r.Ack}); err == nil {
			m := wire.Message{Kind: wire.KindReply, ID: id}
			m.Codec, m.Body = clock()
			p.post(&m)
		}
	}
	info := r.Notified()
	p.beat(&info)
}

// beat is a heartbeat with what the actor knows of itself.
func (p *Pulsar) beat(info *wire.PulsarInfo) {
	body, err := wire.Encode(wire.CodecCBOR, nil, info)
	if err != nil {
		return
	}
	p.give(&wire.Message{Kind: wire.KindNotify, Codec: wire.CodecCBOR, Body: body})
}

// welcome is made of the answer to the first notify of one that joins.
func (p *Pulsar) welcome() {
	w := wire.Welcome{
		Version: wire.Version, AID: p.aid, Arbiter: "arbiter", Window: endless, MaxMessage: p.options.MaxMessage,
		Interval: uint32(notifyEvery.Milliseconds()), Timeout: uint32((4 * notifyEvery).Milliseconds()),
	}
	m, err := w.Message()
	if err != nil {
		p.ended = err
		return
	}
	p.give(&m)
}

// notifyEvery is how often one that joins notifies: as pulsar does with its default
// timeout of 30 s.
const notifyEvery = 9 * time.Second
