package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/arbiter-go/arbiter/internal/pickle"
)

// CodecPickle is the codec of bodies that go from one pulsar peer to another: a
// pickle of protocol 2 that this package has made of what it had understood of
// somebody else's. The image of a request is the dict {'args': (…), 'kwargs': {…}},
// that of a result {'result': …}. It is never taken from a peer as it is: a pickle
// may run anything, and two readers may not read it alike.
const CodecPickle Codec = 4

// PulsarMessage is one message of pulsar's mailbox (pulsar 1.6 and 2.0,
// pulsar/async/mailbox.py): a dict with the keys
//
//	command id sender target args kwargs ack    a request; 1.6 has no id, and ack
//	                                            only if somebody waits
//	command result ack                          a callback; the command says so
type PulsarMessage struct {
	Callback bool
	Command  string // in lower case, as the receiver reads it
	Sender   string
	Target   string
	Ack      string // "" if nobody waits

	args   *pickle.Tuple
	kwargs *pickle.Dict
	result pickle.Value

	// plain has these instead where they are plain data, until they are asked for.
	plain *pickle.Plain
	data  []byte
	at    [2]int // which pairs of plain are args and kwargs, or the result
}

const (
	maxAck        = 255 // bytes of an ack; pulsar's have 8
	maxPulsarKeys = 8   // of a message
)

// ParsePulsar reads one message. The error is an *Error or a *FieldError; of a message
// it refuses, PulsarAck may find who waits.
func ParsePulsar(b []byte) (*PulsarMessage, error) {
	v, err := decodePickle(b)
	if err != nil {
		return nil, err
	}
	d, ok := v.(*pickle.Dict)
	if !ok {
		return nil, invalid("a message that is no dict")
	}
	m := &PulsarMessage{}
	var seen [maxPulsarKeys]string
	n := 0
	for _, p := range d.Pairs {
		key, ok := p.Key.(pickle.Str)
		if !ok {
			return nil, invalid("a message with a key that is no str")
		}
		// A key that is not known is kept, too, as far as there is room: no other
		// reader is to see another message for it.
		for _, before := range seen[:n] {
			if before == string(key) {
				return nil, invalid("a message in which %q stands twice", tell(string(key), 40))
			}
		}
		if n == len(seen) {
			return nil, invalid("a message of more than %d keys", len(seen))
		}
		seen[n] = string(key)
		n++
		if err := m.set(string(key), p.Value); err != nil {
			return nil, err
		}
	}
	m.Command = strings.ToLower(m.Command)
	m.Callback = m.Command == "callback"
	switch {
	case m.Command == "":
		return nil, invalid("a message without a command")
	case m.Callback && (m.Ack == "" || m.result == nil):
		return nil, invalid("a callback without an ack or a result")
	case !m.Callback && (m.Target == "" || m.Sender == ""):
		return nil, invalid("a request without a sender or a target")
	case !m.Callback && (m.args == nil || m.kwargs == nil):
		return nil, invalid("a request without args or kwargs")
	}
	return m, nil
}

// set takes one pair of a message.
func (m *PulsarMessage) set(key string, v pickle.Value) error {
	var to *string
	ok := true
	switch key {
	case "command":
		to = &m.Command
	case "sender":
		to = &m.Sender
	case "target":
		to = &m.Target
	case "ack":
		to = &m.Ack
		if s, isText := v.(pickle.Str); isText && len(s) > maxAck {
			return invalid("an ack of %d bytes, more than %d", len(s), maxAck)
		}
	case "args":
		m.args, ok = v.(*pickle.Tuple)
	case "kwargs":
		if m.kwargs, ok = v.(*pickle.Dict); ok {
			return checkKwargs(m.kwargs)
		}
	case "result":
		m.result = v
	}
	if to != nil {
		var s pickle.Str
		s, ok = v.(pickle.Str)
		if !utf8.ValidString(string(s)) {
			return invalid("a message whose %s has %s", key, errSurrogate)
		}
		*to = string(s)
		if _, none := v.(pickle.None); none && key == "ack" {
			ok = true
		}
	}
	if !ok {
		return invalid("a message whose %s is of the wrong type", key)
	}
	return nil
}

func checkKwargs(d *pickle.Dict) error {
	seen := make(map[pickle.Str]struct{}, len(d.Pairs))
	for _, p := range d.Pairs {
		key, ok := p.Key.(pickle.Str)
		if !ok {
			return invalid("a keyword argument whose name is no str")
		}
		if _, twice := seen[key]; twice {
			return invalid("the keyword argument %q stands twice", tell(string(key), 40))
		}
		seen[key] = struct{}{}
	}
	return nil
}

// PulsarAck finds the ack of a message that ParsePulsar refuses, as CPython writes it:
// the last pair of the dict, whose first is the command.
func PulsarAck(b []byte) (ack string, callback, ok bool) {
	s := string(b[:min(len(b), 64)])
	callback = strings.Contains(s, textOpcode("command")) && strings.Contains(s, textOpcode("callback"))
	tail := b[max(0, len(b)-maxAck-64):]
	at := bytes.LastIndex(tail, []byte(textOpcode("ack")))
	if at < 0 {
		return "", false, false
	}
	rest := skipPut(tail[at+len(textOpcode("ack")):])
	if len(rest) < 5 || rest[0] != opText {
		return "", false, false
	}
	long := binary.LittleEndian.Uint32(rest[1:])
	if long == 0 || long > maxAck || len(rest) < 5+int(long) {
		return "", false, false
	}
	n := int(long)
	ack = string(rest[5 : 5+n])
	if end := skipPut(rest[5+n:]); string(end) != "u." {
		return "", false, false
	}
	return ack, callback, true
}

// The opcodes of pickle that messages are put together of here.
const (
	opText    = 'X' // BINUNICODE: length u32, little-endian, then UTF-8
	opPut     = 'q' // BINPUT: index u8
	opLongPut = 'r' // LONG_BINPUT: index u32
	opMark    = '('
	opSet     = 's' // SETITEM
	opSetMany = 'u' // SETITEMS
	opStop    = '.'
)

func textOpcode(s string) string { return string(appendOpText(nil, s)) }

func appendOpText(dst []byte, s string) []byte {
	dst = binary.LittleEndian.AppendUint32(append(dst, opText), uint32(len(s)))
	return append(dst, s...)
}

func skipPut(b []byte) []byte {
	switch {
	case len(b) >= 2 && b[0] == opPut:
		return b[2:]
	case len(b) >= 5 && b[0] == opLongPut:
		return b[5:]
	}
	return b
}

// Text returns the positional argument n (-1: none) or the keyword argument key, if it
// is text, or the aid of an ActorProxy, which pulsar takes for one.
func (m *PulsarMessage) Text(n int, key string) (string, bool) {
	switch v := m.argument(n, key).(type) {
	case pickle.Str:
		return string(v), true
	case *pickle.Ref:
		return v.AID, true
	case *pickle.Object:
		if r := proxyOf(v); r != nil {
			return r.AID, true
		}
	}
	return "", false
}

// Seconds returns the positional argument n (-1: none) or the keyword argument key, if it is a
// number of seconds, or None: 0.
func (m *PulsarMessage) Seconds(n int, key string) (time.Duration, bool) {
	var s float64
	switch v := m.argument(n, key).(type) {
	case pickle.None:
	case pickle.Int:
		s = float64(v)
	case pickle.Float:
		s = float64(v)
	default:
		return 0, false
	}
	if !(s >= 0) { // nor NaN
		return 0, false
	}
	return time.Duration(min(s, 1e9) * float64(time.Second)), true
}

// argument returns the positional argument n (-1: none) or the keyword argument key; nil if
// there is neither.
func (m *PulsarMessage) argument(n int, key string) (v pickle.Value) {
	if m.values() != nil {
		return nil
	}
	if n >= 0 && n < len(m.args.Items) {
		v = m.args.Items[n]
	}
	for _, p := range m.kwargs.Pairs {
		if p.Key == pickle.Str(key) {
			v = p.Value
		}
	}
	return v
}

// maxParams is how many bytes Params may have: an environment holds no more.
const maxParams = 96 << 10

// Params returns the keyword arguments as a pickle in base64.
func (m *PulsarMessage) Params() (string, error) {
	if err := m.values(); err != nil {
		return "", err
	}
	b, err := encodePickle(nil, m.kwargs)
	if err != nil {
		return "", err
	}
	if base64.StdEncoding.EncodedLen(len(b)) > maxParams {
		return "", &FieldError{Code: CodeTooLarge, Reason: fmt.Sprintf("the arguments of a spawn have %d bytes, and an environment takes %d", len(b), maxParams/4*3)}
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

// PulsarInfo is what a notify says, as a heartbeat has it.
type PulsarInfo struct {
	Name  string    `cbor:"-"`
	PID   int       `cbor:"pid,omitempty"`
	Extra *rawValue `cbor:"extra,omitempty"` // all of it, if it has an image
}

// rawValue is CBOR that is encoded as it is.
type rawValue []byte

// MarshalCBOR returns the bytes.
func (r *rawValue) MarshalCBOR() ([]byte, error) { return *r, nil }

// Notified returns what m, a notify, says. It never fails: what cannot be read is left
// out.
func (m *PulsarMessage) Notified() PulsarInfo {
	var info PulsarInfo
	if m.values() != nil || len(m.args.Items) != 1 {
		return info
	}
	d, ok := m.args.Items[0].(*pickle.Dict)
	if !ok {
		return info
	}
	for _, p := range d.Pairs {
		a, ok := p.Value.(*pickle.Dict)
		if !ok || p.Key != pickle.Value(pickle.Str("actor")) {
			continue
		}
		for _, p := range a.Pairs {
			switch v := p.Value.(type) {
			case pickle.Str:
				if p.Key == pickle.Value(pickle.Str("name")) {
					info.Name = string(v)
				}
			case pickle.Int:
				if p.Key == pickle.Value(pickle.Str("process_id")) && v > 0 && v <= 1<<31-1 {
					info.PID = int(v)
				}
			}
		}
	}
	if b, err := appendPython(nil, d, maxNotified); err == nil && allText(d) {
		info.Extra = (*rawValue)(&b)
	}
	return info
}

// maxNotified is how much of what an actor notifies is kept, in bytes.
const maxNotified = 64 << 10

func allText(d *pickle.Dict) bool {
	for _, p := range d.Pairs {
		if _, ok := p.Key.(pickle.Str); !ok {
			return false
		}
	}
	return true
}

// AppendArgs appends the arguments of the request m, as a body in c: CodecPickle, or
// CodecCBOR for a message with FlagArgs. The error is a *FieldError.
func (m *PulsarMessage) AppendArgs(dst []byte, c Codec) ([]byte, error) {
	if c == CodecPickle && m.plain != nil {
		return m.plain.Append(dst, m.at[:]...), nil
	}
	if err := m.values(); err != nil {
		return dst, err
	}
	if c == CodecCBOR {
		return appendArgs(dst, m.args, m.kwargs)
	}
	return encodePickle(dst, &pickle.Dict{Pairs: []pickle.Pair{
		{Key: pickle.Str("args"), Value: m.args}, {Key: pickle.Str("kwargs"), Value: m.kwargs},
	}})
}

// AppendResult appends the result of the callback m, as a body in c: CodecPickle or
// CodecCBOR. The error is a *FieldError.
func (m *PulsarMessage) AppendResult(dst []byte, c Codec) ([]byte, error) {
	if c == CodecPickle && m.plain != nil {
		return m.plain.Append(dst, m.at[0]), nil
	}
	if err := m.values(); err != nil {
		return dst, err
	}
	if c == CodecCBOR {
		return appendPython(dst, m.result, 0)
	}
	return encodePickle(dst, &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Str("result"), Value: m.result}}})
}

// PickleArgs appends the CBOR image, with FlagArgs, of the body of a request in
// CodecPickle: for a target that is no pulsar peer. The error is a *FieldError that
// names the argument.
func PickleArgs(dst, body []byte) ([]byte, error) {
	v, err := decodePickle(body)
	if err != nil {
		return dst, err
	}
	args, kwargs, ok := argsOf(v)
	if !ok {
		return dst, invalid("a body that is no dict of args and kwargs")
	}
	return appendArgs(dst, args, kwargs)
}

func argsOf(v pickle.Value) (args *pickle.Tuple, kwargs *pickle.Dict, ok bool) {
	d, ok := v.(*pickle.Dict)
	if !ok || len(d.Pairs) != 2 {
		return nil, nil, false
	}
	args, ok1 := d.Pairs[0].Value.(*pickle.Tuple)
	kwargs, ok2 := d.Pairs[1].Value.(*pickle.Dict)
	return args, kwargs, ok1 && ok2
}
