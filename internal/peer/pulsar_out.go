package peer

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// What a Conn has to say, as pulsar says it. All of this runs on who writes: Await, and
// then the Conn's flusher.

// Write takes native frames and writes what they mean. It waits for the socket.
func (p *Pulsar) Write(b []byte) (int, error) {
	n := p.settle(len(b))
	if err := p.gather(b[n:]); err != nil {
		return n, err
	}
	for p.written < len(p.out) {
		k, err := WriteSome(p.t, p.out[p.written:])
		p.written += k
		p.conn.moved.Add(1) // a large message takes a while, and it is no standstill
		if err != nil {
			return n, err
		}
	}
	p.emptied()
	return len(b), nil
}

// TryWrite is Write as far as the socket takes it without waiting. While something is
// left that it does not, at least one byte of b is not taken, so that there is somebody
// who writes on.
func (p *Pulsar) TryWrite(b []byte) (int, error) {
	if err := p.push(); err != nil || p.written < len(p.out) {
		return 0, err
	}
	n := p.settle(len(b))
	if err := p.gather(b[n:]); err != nil {
		return n, err
	}
	if err := p.push(); err != nil {
		return n, err
	}
	if p.written == len(p.out) || n == len(b) {
		return len(b), nil
	}
	p.owed = 1
	return len(b) - 1, nil
}

// settle takes what was taken before and not said to be.
func (p *Pulsar) settle(n int) int {
	n = min(n, p.owed)
	p.owed -= n
	return n
}

// push writes what there is, as far as the socket takes it at once.
func (p *Pulsar) push() error {
	if p.written == len(p.out) {
		p.emptied()
		return nil
	}
	n, err := p.t.TryWrite(p.out[p.written:])
	p.written += n
	if p.written == len(p.out) {
		p.emptied()
	}
	return err
}

// maxKeptOut is how many bytes of its buffers it keeps.
const maxKeptOut = 512 << 10

func (p *Pulsar) emptied() {
	p.out, p.written = p.out[:0], 0
	if cap(p.out) > maxKeptOut {
		p.out = nil
	}
	if cap(p.body) > maxKeptOut {
		p.body = nil
	}
}

// gather takes native frames, the last of which may be cut.
func (p *Pulsar) gather(b []byte) error {
	for len(b) > 0 {
		if len(p.gathered) == 0 {
			header, whole := nativeFrame(b)
			if header == 0 || whole > len(b) {
				p.gathered = append(p.gathered, b...)
				return nil
			}
			if err := p.say(b[header:whole]); err != nil {
				return err
			}
			b = b[whole:]
			continue
		}
		header, whole := nativeFrame(p.gathered)
		lack := whole - len(p.gathered)
		if header == 0 {
			lack = 1 // of the header, one after the other
		}
		n := min(lack, len(b))
		p.gathered = append(p.gathered, b[:n]...)
		b = b[n:]
		if header == 0 || n < lack {
			continue
		}
		if err := p.say(p.gathered[header:]); err != nil {
			return err
		}
		if p.gathered = p.gathered[:0]; cap(p.gathered) > maxKeptOut {
			p.gathered = nil
		}
	}
	return nil
}

// say writes one native message into out.
func (p *Pulsar) say(b []byte) error {
	var m wire.Message
	if err := m.Parse(b); err != nil {
		return err // ours was made here
	}
	switch m.Kind {
	case wire.KindRequest:
		p.ask(&m)
	case wire.KindReply:
		p.answer(&m)
	case wire.KindError:
		if m.ID == 0 { // of the hello
			m.ID = p.first
		}
		p.answer(&m)
	case wire.KindWelcome:
		c, body := clock()
		p.answer(&wire.Message{Kind: wire.KindReply, ID: p.first, Codec: c, Body: body})
	case wire.KindHello:
		return p.join(&m)
	case wire.KindNotify:
		if p.joins() && p.welcomed {
			p.sayNotify(&m)
		}
	case wire.KindStop:
		if !p.joins() {
			_ = p.write(&wire.PulsarRequest{Command: "stop", ID: p.newID(), Sender: "arbiter", Target: p.aid, Args: true})
			p.stopped.Store(true)
		}
	case wire.KindWatch:
		p.notSaid(&m, wire.Errorf(wire.CodeRefused, "an arbiter of pulsar cannot be asked to tell of an end").NotStarted())
	}
	// Nothing else has an image, and nobody waits for it: cancel, undelivered, unwatch,
	// down, xoff, xon, goodbye,
	// and credit: what it says of the room of the other end the Conn knew before.
	return nil
}

// newID is the id of a message that nobody answers. It is no ack.
func (p *Pulsar) newID() string {
	p.serial++
	return "m" + strconv.FormatUint(p.serial, 10)
}

// ask writes a request.
func (p *Pulsar) ask(m *wire.Message) {
	r := wire.PulsarRequest{
		Command: strings.ToLower(string(m.Command)), Sender: string(m.Sender), Target: string(m.Target),
		Codec: m.Codec, Args: m.Flags&wire.FlagArgs != 0, Body: m.Body,
	}
	if p.joins() {
		r.Sender = p.aid
	} else {
		r.Target = p.aid // it knows no other name of its own
		if r.Sender == "" {
			r.Sender = "arbiter"
		}
	}
	if r.Command == "run" && p.options.NoRun {
		p.notSaid(m, wire.Errorf(wire.CodeRefused, "run is turned off for actors of pulsar").NotStarted())
		return
	}
	if m.Flags&wire.FlagOneWay == 0 {
		if !p.conn.Calls().Has(m.ID) {
			p.conn.fates.withdrawn.Add(1)
			return // nobody waits any more
		}
		var room [24]byte
		r.Ack = string(appendAck(room[:0], m.ID, m.Codec))
		r.ID = r.Ack
	} else {
		r.ID = p.newID()
	}
	if err := p.write(&r); err != nil {
		p.notSaid(m, wire.AsError(err, wire.CodeNotEncodable).With(wire.StartedNo))
		return
	}
	if r.Command == "stop" && !p.joins() {
		p.stopped.Store(true)
	}
}

// write writes r.
func (p *Pulsar) write(r *wire.PulsarRequest) error {
	b, err := r.Append(p.body[:0])
	p.body = b[:0]
	if err != nil {
		return err
	}
	p.frame(b)
	return nil
}

// frame writes one message.
func (p *Pulsar) frame(b []byte) {
	p.out = append(frame.AppendBinary(p.out, len(b)), b...)
}

// notSaid tells whoever sent m that it has no image in pulsar.
func (p *Pulsar) notSaid(m *wire.Message, e *wire.Error) {
	if m.Flags&wire.FlagOneWay == 0 || m.Kind == wire.KindWatch {
		if m.Kind == wire.KindRequest {
			p.conn.fates.refused.Add(1)
		}
		if note, status := p.conn.Calls().Take(m.ID); status == Found {
			note.Caller.Failed(note.ID, e)
		}
		return
	}
	p.conn.fates.back.Add(1)
	if p.conn.Unsent != nil {
		c := *e
		c.Command = string(m.Command)
		p.conn.Unsent(string(m.Sender), &c)
	}
}

// answer answers a request of the other end. An error is None: pulsar has no other
// word for it.
func (p *Pulsar) answer(m *wire.Message) {
	q, ok := p.asked.take(m.ID)
	if !ok {
		return // answered before
	}
	b, err := p.body[:0], error(nil)
	switch {
	case m.Kind == wire.KindError:
		b, err = wire.AppendPulsarCallback(b, q.ack, wire.CodecNone, nil)
	case q.kind == spawnQuestion:
		b, err = wire.AppendPulsarProxy(b, q.ack, p.spawned(m, &q), q.name)
	case q.kind == killQuestion:
		var text []byte
		if text, err = wire.Encode(wire.CodecCBOR, nil, "killed "+q.aid); err == nil {
			b, err = wire.AppendPulsarCallback(b, q.ack, wire.CodecCBOR, text)
		}
	default:
		b, err = wire.AppendPulsarCallback(b, q.ack, m.Codec, m.Body)
	}
	if err != nil {
		p.odd(&p.counts.refused, "an answer that has no image", "error", err)
		if b, err = wire.AppendPulsarCallback(p.body[:0], q.ack, wire.CodecNone, nil); err != nil {
			return
		}
	}
	p.body = b[:0]
	p.frame(b)
}

// spawned returns the aid of who was spawned.
func (p *Pulsar) spawned(m *wire.Message, q *question) string {
	var ref struct {
		AID string `cbor:"aid"`
	}
	if q.aid == "" && wire.Decode(m.Codec, m.Body, &ref) == nil {
		return ref.AID
	}
	return q.aid
}

// answerNow answers ack before there is a Conn.
func (p *Pulsar) answerNow(ack string, c wire.Codec, body []byte) {
	if ack == "" {
		return
	}
	if b, err := wire.AppendPulsarCallback(nil, ack, c, body); err == nil {
		p.frame(b)
	}
}

// join says who we are: the first notify, whose answer is the welcome.
func (p *Pulsar) join(m *wire.Message) error {
	h, err := wire.ParseHello(m)
	if err != nil {
		return err
	}
	p.welcomed = true
	p.label = h.Name
	if p.label == "" {
		p.label = h.Kind
	}
	return p.notifyAs(firstNotify, h.PID)
}

// sayNotify is a heartbeat.
func (p *Pulsar) sayNotify(m *wire.Message) {
	var info struct {
		PID int `cbor:"pid"`
	}
	_ = wire.Decode(m.Codec, m.Body, &info) // ours was made here
	p.serial++
	if err := p.notifyAs(string(notifyAck)+strconv.FormatUint(p.serial, 10), info.PID); err != nil {
		p.odd(&p.counts.refused, "a notify that has no image", "error", err)
	}
}

// notifyAs writes a notify with what pulsar's arbiter expects in one.
func (p *Pulsar) notifyAs(ack string, pid int) error {
	if p.began.IsZero() {
		p.began = time.Now()
	}
	info := map[string]any{
		"actor": map[string]any{
			"name": p.label, "state": "running", "actor_id": p.aid, "uptime": time.Since(p.began).Seconds(),
			"thread_id": pid, "process_id": pid, "is_process": true, "age": 0,
		},
		"extra": map[string]any{}, "system": map[string]any{},
	}
	body, err := wire.EncodeArgs(wire.CodecCBOR, nil, []any{info}, nil)
	if err != nil {
		return err
	}
	return p.write(&wire.PulsarRequest{
		Command: "notify", ID: ack, Ack: ack, Sender: p.aid, Target: "arbiter", Codec: wire.CodecCBOR, Args: true, Body: body,
	})
}

// nativeFrame returns how long the native frame at the beginning of b is, its header
// apart; 0 if its header is not there yet.
func nativeFrame(b []byte) (header, whole int) {
	switch {
	case len(b) < 2:
		return 0, 0
	case b[1] < 126:
		return 2, 2 + int(b[1])
	case b[1] == 126:
		if len(b) < 4 {
			return 0, 0
		}
		return 4, 4 + int(binary.BigEndian.Uint16(b[2:]))
	case len(b) < 10:
		return 0, 0
	}
	return 10, 10 + int(binary.BigEndian.Uint64(b[2:]))
}
