package wire

import (
	"maps"
	"math"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

// members writes raw values by name, sorted.
func (w *textWriter) members(values map[string][]byte, c Codec, l Limits) error {
	var err error
	for i, k := range slices.Sorted(maps.Keys(values)) {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(appendJSONText(w.b, k), ':')
		if w.b, err = AppendJSON(w.b, c, values[k], l); err != nil {
			return inArgument(err, k)
		}
	}
	return nil
}

// error writes e as the member "error".
func (w *textWriter) error(e *Error) {
	w.key("error")
	w.b = append(w.b, '{')
	code := e.Code
	if code == "" {
		code = CodeApp
	}
	w.text("code", string(code))
	w.text("message", e.Error())
	w.some("app", e.App)
	switch e.Started {
	case StartedNo:
		w.bool("started", false)
	case StartedYes:
		w.bool("started", true)
	}
	w.some("target", e.Target)
	w.some("command", e.Command)
	if len(e.Path) > 0 {
		w.list("path", e.Path)
	}
	if e.Death != nil {
		w.death(e.Death)
	}
	w.b = append(w.b, '}')
}

// death writes d as the member "death".
func (w *textWriter) death(d *Death) {
	w.key("death")
	w.b = append(w.b, '{')
	w.text("cause", string(d.Cause))
	w.some("reason", d.Reason)
	if d.Cause == CauseExit || d.ExitCode != 0 {
		w.int("code", int64(d.ExitCode))
	}
	w.some("signal", d.Signal)
	if d.PID != 0 {
		w.int("pid", int64(d.PID))
	}
	if len(d.Stderr) > 0 {
		w.list("stderr", d.Stderr)
	}
	if d.Final {
		w.bool("final", true)
	}
	w.b = append(w.b, '}')
}

// AppendTextRefusal appends e as the answer to a hello.
func AppendTextRefusal(dst []byte, e *Error) []byte {
	w := newText(dst, "error")
	w.error(e)
	return w.end()
}

// AppendTextUndelivered appends that a one-way message came back.
func AppendTextUndelivered(dst []byte, e *Error) []byte {
	w := newText(dst, "undelivered")
	w.error(e)
	return w.end()
}

// AppendTextDown appends that who was watched, with ack, has ended: m is a down.
func AppendTextDown(dst []byte, m *Message, ack string) []byte {
	w := newText(dst, "down")
	w.text("ack", ack)
	w.text("actor", string(m.Sender))
	w.some("name", string(m.Command))
	w.death(ParseDeath(m))
	return w.end()
}

// AppendTextGoodbye appends why this end leaves.
func AppendTextGoodbye(dst []byte, d *Death) []byte {
	w := newText(dst, "goodbye")
	w.death(d)
	return w.end()
}

// Error reads the error of a callback or of what came back undelivered. It is nil
// if there is none. An actor's code is CodeApp unless it is of the closed set.
func (t *Text) Error() *Error {
	raw := t.raw("error")
	if raw == nil {
		return nil
	}
	e := &Error{Code: CodeApp, Message: "it gave no reason"}
	if text, ok := textOf(raw); ok {
		e.Message = text
	}
	if raw[0] == '{' {
		if members, fault := membersOf(raw); fault == nil {
			e.fill(members)
		}
	}
	if e.Started == StartedUnknown {
		switch e.Code {
		case CodeApp:
			e.Started = StartedYes
		case CodeUnknownActor, CodeUnknownCommand, CodeInvalid, CodeRefused, CodeCycle:
			e.Started = StartedNo
		}
	}
	return e
}

// fill takes what members say of an error. What is not of its type is left out: an
// error that cannot be told is a call that hangs.
func (e *Error) fill(members []textMember) {
	text := func(key string) string { s, _ := textOf(memberOf(members, key)); return s }
	e.App = text("app")
	if code := text("code"); code != "" {
		if known, ok := knownCode([]byte(code)); ok {
			e.Code = known
		} else if e.App == "" {
			e.App = code
		}
	}
	if m := text("message"); m != "" {
		e.Message = m
	}
	e.Target, e.Command = text("target"), text("command")
	e.Path = textsOf(memberOf(members, "path"))
	if raw := memberOf(members, "death"); raw != nil {
		e.Death = deathOf(raw)
	}
	if started, ok := boolOf(memberOf(members, "started")); ok {
		if e.Started = StartedNo; started {
			e.Started = StartedYes
		}
	}
}

// Death reads the death of a goodbye; nothing is "stopped".
func (t *Text) Death() *Death {
	d := &Death{}
	if raw := t.raw("death"); raw != nil {
		d = deathOf(raw)
	}
	if d.Cause == "" {
		d.Cause = CauseStopped
	}
	return d
}

func deathOf(raw []byte) *Death {
	d := &Death{}
	if raw[0] != '{' {
		return d
	}
	members, fault := membersOf(raw)
	if fault != nil {
		return d
	}
	text := func(key string) string { s, _ := textOf(memberOf(members, key)); return s }
	whole := func(key string) int {
		n, _ := numberOf(memberOf(members, key))
		return int(max(math.MinInt32, min(n, math.MaxInt32)))
	}
	d.Cause, d.Reason, d.Signal = Cause(text("cause")), text("reason"), text("signal")
	d.ExitCode, d.PID = whole("code"), whole("pid")
	d.Stderr = textsOf(memberOf(members, "stderr"))
	d.Final, _ = boolOf(memberOf(members, "final"))
	return d
}

// textsOf returns the texts in a list of JSON; others are left out, and so is what
// is more than a report holds.
func textsOf(raw []byte) (list []string) {
	if len(raw) == 0 || raw[0] != '[' {
		return nil
	}
	for at := 1; ; {
		for raw[at] == ' ' || raw[at] == '\t' || raw[at] == '\r' || raw[at] == '\n' || raw[at] == ',' {
			at++
		}
		if raw[at] == ']' {
			return list
		}
		end := valueEnd(raw, at)
		if s, ok := textOf(raw[at:end]); ok {
			if len(list) == maxReportLines {
				list = append(list[:0], list[1:]...)
			}
			list = append(list, s)
		}
		at = end
	}
}

// infoFields are the numbers of a heartbeat, and how many nanoseconds one of them
// is; 0: it is a plain count.
var infoFields = [...]struct {
	key   string
	nanos float64
}{
	{"inbox", 0}, {"accepted", 0}, {"started", 0}, {"refused", 0}, {"since", 1e6}, {"oldest", 1e6}, {"rss", 0}, {"cpu", 1e6},
}

// Info reads how the actor is, as the body of a native heartbeat. pid is that of its
// hello, 0: not known. What cannot be read is left out.
func (t *Text) Info(pid int) Message {
	m := Message{Kind: KindNotify}
	info := make(map[string]any)
	if pid > 0 {
		info["pid"] = pid
	}
	if raw := t.raw("info"); raw != nil && raw[0] == '{' {
		if members, fault := membersOf(raw); fault == nil {
			readInfo(info, members)
		}
	}
	if len(info) == 0 {
		return m
	}
	body, err := handshakeEnc.Marshal(info)
	if err != nil {
		return m
	}
	m.Codec, m.Body = CodecCBOR, body
	return m
}

func readInfo(info map[string]any, members []textMember) {
	for _, f := range infoFields {
		n, ok := numberOf(memberOf(members, f.key))
		if f.nanos != 0 {
			n *= f.nanos
		}
		if ok && n >= 0 && n < 1<<62 {
			info[f.key] = int64(n)
		}
	}
	if s, ok := textOf(memberOf(members, "handling")); ok && s != "" {
		info["handling"] = tell(s, MaxCommandName)
	}
	if raw := memberOf(members, "extra"); raw != nil && raw[0] == '{' {
		extra, fault := membersOf(raw)
		if fault != nil {
			return
		}
		if b, fault := appendMembers(nil, extra, HelloLimits); fault == nil {
			info["extra"] = cbor.RawMessage(b)
		}
	}
}
