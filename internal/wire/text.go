package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// MaxAck is how long the ack of a message of the json profile may be, in bytes.
const MaxAck = 64

// Text is one message of the json profile that was read: the members of its object.
// It points into the bytes it was parsed from.
type Text struct {
	Command string // "" if it says none
	Target  string // "" likewise
	Ack     string // "" likewise, and for one that cannot be: then fault says so

	whole   []byte
	members []textMember
	fault   *Error
}

type textMember struct {
	key string
	raw []byte // its value, which is JSON
}

// ParseText reads one message of the json profile. It fails, with CodeProtocol, for
// what is no JSON object in UTF-8 or has a key twice; whatever else is wrong with the
// message is told by the methods, so that it can be answered.
func ParseText(b []byte) (*Text, *Error) {
	if !utf8.Valid(b) {
		return nil, Errorf(CodeProtocol, "a message that is not UTF-8")
	}
	if !json.Valid(b) {
		fault := checkJSON(b, Limits{}, 0)
		return nil, Errorf(CodeProtocol, "a message that cannot be read: %v", fault)
	}
	t := &Text{whole: b}
	members, fault := membersOf(b)
	if fault != nil {
		return nil, Errorf(CodeProtocol, "a message that cannot be read: %v", fault)
	}
	t.members = members
	t.Command = t.name("command", MaxCommandName)
	t.Target = t.name("target", MaxCommandName)
	t.Ack = t.name("ack", MaxAck)
	return t, nil
}

// membersOf splits an object, b, which is valid JSON.
func membersOf(b []byte) ([]textMember, *FieldError) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' {
		return nil, invalid("it is %s, not an object", describeJSON(b))
	}
	var (
		all  []textMember
		keys keySet
		at   = 1
	)
	for {
		for b[at] == ' ' || b[at] == '\t' || b[at] == '\r' || b[at] == '\n' || b[at] == ',' {
			at++
		}
		if b[at] == '}' {
			return all, nil
		}
		end, escaped := stringEnd(b, at)
		if escaped && loneSurrogate(b[at:end]) {
			return nil, invalid("half of a surrogate pair in a key")
		}
		key := unquote(b[at:end], escaped)
		if keys.add(key) {
			return nil, invalid("the key %q stands twice", tell(key, 40))
		}
		for at = end; b[at] == ' ' || b[at] == '\t' || b[at] == '\r' || b[at] == '\n' || b[at] == ':'; {
			at++
		}
		end = valueEnd(b, at)
		all = append(all, textMember{key, b[at:end:end]})
		at = end
	}
}

// raw returns the value of a member; nil if there is none, or it is null.
func (t *Text) raw(key string) []byte { return memberOf(t.members, key) }

func memberOf(members []textMember, key string) []byte {
	for i := range members {
		if m := &members[i]; m.key == key {
			if string(m.raw) == "null" {
				return nil
			}
			return m.raw
		}
	}
	return nil
}

// Has reports whether the message says something under key.
func (t *Text) Has(key string) bool { return t.raw(key) != nil }

// Text returns a member that is text of 1 to limit bytes; "" if it is none.
func (t *Text) Text(key string, limit int) string {
	s, _ := textOf(t.raw(key))
	if len(s) > limit {
		return ""
	}
	return s
}

// name returns a member that is text of 1 to limit bytes.
func (t *Text) name(key string, limit int) string {
	raw := t.raw(key)
	if raw == nil {
		return ""
	}
	s, ok := textOf(raw)
	if !ok || s == "" || len(s) > limit {
		if t.fault == nil {
			t.fault = Errorf(CodeInvalid, "%q is %s; it is text of 1 to %d bytes", key, describeJSON(raw), limit).NotStarted()
		}
		return ""
	}
	return s
}

// textOf returns what the JSON string raw says.
func textOf(raw []byte) (string, bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	_, escaped := stringEnd(raw, 0)
	if escaped && loneSurrogate(raw) {
		return "", false
	}
	return unquote(raw, escaped), true
}

func numberOf(raw []byte) (float64, bool) {
	if len(raw) == 0 || raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	return f, err == nil
}

func boolOf(raw []byte) (is, ok bool) {
	return string(raw) == "true", string(raw) == "true" || string(raw) == "false"
}

// defaultTimeout is how long a call waits that does not say, in milliseconds.
const defaultTimeout = 30_000

// TextRequest is what a request of the json profile says beside its command, target
// and ack.
type TextRequest struct {
	Millis   uint32 // until nobody waits; of a call
	Parent   string // the ack of the request in whose handler it was made; "": none
	Turn     bool   // it keeps the turn; as said, or else false …
	TurnSaid bool   // … and whether it was
	Args     bool   // the body is an array of arguments: FlagArgs
	Codec    Codec
	Body     []byte
}

// Request reads a request. What fails with CodeInvalid or CodeTooLarge is to be
// answered so; the message names the field.
func (t *Text) Request(l Limits) (*TextRequest, *Error) {
	if t.fault != nil {
		return nil, t.fault
	}
	refuse := func(format string, args ...any) (*TextRequest, *Error) {
		return nil, Errorf(CodeInvalid, format, args...).NotStarted()
	}
	if t.Command == "" {
		return refuse("a message without a command")
	}
	if t.Target == "" {
		return refuse("%q is no message to the arbiter itself: a request needs a target", t.Command)
	}
	r := &TextRequest{Millis: defaultTimeout}
	if raw := t.raw("timeout"); raw != nil {
		ms, ok := numberOf(raw)
		if !ok || !(ms > 0) {
			return refuse("\"timeout\" is %s; it is a number of milliseconds, more than 0", describeJSON(raw))
		}
		r.Millis = uint32(min(math.Ceil(ms), math.MaxUint32))
	}
	if raw := t.raw("parent"); raw != nil {
		var ok bool
		if r.Parent, ok = textOf(raw); !ok {
			return refuse("\"parent\" is %s; it is the ack of the request that is being handled", describeJSON(raw))
		}
	}
	if raw := t.raw("turn"); raw != nil {
		if r.Turn, r.TurnSaid = boolOf(raw); !r.TurnSaid {
			return refuse("\"turn\" is %s; it is true or false", describeJSON(raw))
		}
	}
	if err := t.arguments(r, l); err != nil {
		return nil, AsError(err, CodeInvalid).With(StartedNo)
	}
	return r, nil
}

// arguments makes the body of r. Nothing is a body of its own: no arguments.
func (t *Text) arguments(r *TextRequest, l Limits) error {
	args, kwargs := t.raw("args"), t.raw("kwargs")
	if args != nil && args[0] != '[' {
		return invalid("\"args\" is %s; it is a list", describeJSON(args))
	}
	var named []textMember
	if kwargs != nil {
		if kwargs[0] != '{' {
			return invalid("\"kwargs\" is %s; it is an object", describeJSON(kwargs))
		}
		var fault *FieldError
		if named, fault = membersOf(kwargs); fault != nil {
			return inArgument(fault, "kwargs")
		}
	}
	l.Depth = l.depth() - 1 // the list and the map stand in a list
	out := []byte{majorArray<<5 | 2}
	if args == nil {
		args = []byte("[]")
	}
	out, fault := walked(out, args, l)
	if fault != nil {
		return inArgument(fault, "args")
	}
	if len(named) == 0 && len(out) == 2 && out[1] == majorArray<<5 {
		return nil
	}
	if out, fault = appendMembers(out, named, l); fault != nil {
		return fault
	}
	r.Args, r.Codec, r.Body = true, CodecCBOR, out
	return nil
}

// walked appends the value of raw, which is valid JSON, as CBOR.
func walked(dst, raw []byte, l Limits) ([]byte, *FieldError) {
	if fault := walkJSON(raw, l.ofJSON(), 0); fault != nil {
		return nil, fault
	}
	return cborOf(dst, raw, l, true)
}

// appendMembers appends members as a CBOR map. A key is a name there, whatever it
// begins with.
func appendMembers(dst []byte, members []textMember, l Limits) ([]byte, *FieldError) {
	dst = appendHead(dst, majorMap, uint64(len(members)))
	l.Depth = l.depth() - 1
	for _, m := range members {
		dst, _ = appendText(dst, m.key)
		out, fault := walked(dst, m.raw, l)
		if fault != nil {
			return nil, inArgument(fault, m.key).(*FieldError)
		}
		dst = out
	}
	return dst, nil
}

// Result reads the result of a callback as CBOR; nothing is null.
func (t *Text) Result(l Limits) ([]byte, *Error) {
	raw := t.raw("result")
	if raw == nil {
		return []byte{null}, nil
	}
	out, fault := walked(nil, raw, l)
	if fault != nil {
		e := AsError(fault, CodeInvalid)
		code := e.Code
		if code == CodeInvalid {
			code = CodeNotEncodable // the caller's arguments were fine
		}
		return nil, &Error{Code: code, Started: StartedYes, Message: "its result: " + e.Message}
	}
	return out, nil
}

// A textWriter writes one message of the json profile, member by member.
type textWriter struct{ b []byte }

func newText(dst []byte, command string) *textWriter {
	return &textWriter{appendJSONText(append(dst, `{"command":`...), command)}
}

func (w *textWriter) key(key string) {
	if n := len(w.b); n > 0 && w.b[n-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(append(append(w.b, '"'), key...), `":`...)
}

func (w *textWriter) text(key, value string) {
	w.key(key)
	w.b = appendJSONText(w.b, tell(value, math.MaxInt32))
}

// some is text, where there is any.
func (w *textWriter) some(key, value string) {
	if value != "" {
		w.text(key, value)
	}
}

func (w *textWriter) int(key string, n int64) {
	w.key(key)
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *textWriter) bool(key string, is bool) {
	w.key(key)
	w.b = strconv.AppendBool(w.b, is)
}

func (w *textWriter) list(key string, values []string) {
	w.key(key)
	w.b = append(w.b, '[')
	for i, v := range values {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = appendJSONText(w.b, tell(v, math.MaxInt32))
	}
	w.b = append(w.b, ']')
}

func (w *textWriter) end() []byte { return append(w.b, '}') }

// AppendTextRequest appends the request m as a message to an actor. ack is what it
// answers with; "": nobody waits. The error says why it has no image: see AppendJSON.
func AppendTextRequest(dst []byte, m *Message, ack string, l Limits) ([]byte, *Error) {
	w := newText(dst, string(m.Command))
	w.text("target", string(m.Target))
	w.some("sender", string(m.Sender))
	if err := w.arguments(m, l); err != nil {
		return dst, AsError(err, CodeNotEncodable).With(StartedNo)
	}
	if ack != "" {
		w.text("ack", ack)
		if m.Millis != 0 {
			w.int("timeout", int64(m.Millis))
		}
	}
	if m.Flags&FlagChained != 0 {
		w.bool("chained", true)
	}
	return w.end(), nil
}

// arguments writes the body of m: as arguments, or as the one argument it is.
func (w *textWriter) arguments(m *Message, l Limits) error {
	if m.Flags&FlagArgs == 0 {
		if m.Codec == CodecNone {
			return nil
		}
		w.key("args")
		out, err := AppendJSON(append(w.b, '['), m.Codec, m.Body, l)
		if err != nil {
			return inArgument(err, "args[0]")
		}
		w.b = append(out, ']')
		return nil
	}
	args, kwargs, err := SplitArgs(m.Codec, m.Body)
	if err != nil {
		return err
	}
	if len(args) > 0 {
		w.key("args")
		w.b = append(w.b, '[')
		for i, a := range args {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			if w.b, err = AppendJSON(w.b, m.Codec, a, l); err != nil {
				return inArgument(err, fmt.Sprintf("args[%d]", i))
			}
		}
		w.b = append(w.b, ']')
	}
	if len(kwargs) > 0 {
		w.key("kwargs")
		w.b = append(w.b, '{')
		if err := w.members(kwargs, m.Codec, l); err != nil {
			return err
		}
		w.b = append(w.b, '}')
	}
	return nil
}

// AppendTextCallback appends the reply m as the answer to ack.
func AppendTextCallback(dst []byte, m *Message, ack string, l Limits) ([]byte, *Error) {
	w := newText(dst, "callback")
	w.text("ack", ack)
	w.key("result")
	out, err := AppendJSON(w.b, m.Codec, m.Body, l)
	if err != nil {
		e := AsError(err, CodeNotEncodable)
		return dst, &Error{Code: e.Code, Started: StartedYes, Message: "the result: " + e.Message}
	}
	w.b = out
	return w.end(), nil
}

// AppendTextFailure appends e as the answer to ack.
func AppendTextFailure(dst []byte, e *Error, ack string) []byte {
	w := newText(dst, "callback")
	w.text("ack", ack)
	w.error(e)
	return w.end()
}

// AppendTextCancel appends that nobody waits for the request with ack any more.
func AppendTextCancel(dst []byte, ack string) []byte {
	w := newText(dst, "cancel")
	w.text("ack", ack)
	return w.end()
}

// AppendTextStop appends that an actor is to stop.
func AppendTextStop(dst []byte, reason string) []byte {
	w := newText(dst, "stop")
	w.some("reason", reason)
	return w.end()
}
