package wire

import (
	"strings"
	"unicode/utf8"
)

// The bounds of what an error or a death carries, in bytes and entries. An error
// is written to the control lane of somebody who may not read, so it is small.
const (
	maxReportText  = 16 << 10
	maxReportLines = 64
	maxReportLine  = 1 << 10
)

// Frame returns e as an error frame (KindError) or an undelivered one
// (KindUndelivered) about the message id. It never fails: text that is not UTF-8
// or too long is mended, since an error that cannot be told is a call that hangs.
func (e *Error) Frame(kind Kind, id uint64) Message {
	c := *e
	if c.Code == "" {
		c.Code = CodeApp
	}
	c.bound()
	m := Message{Kind: kind, Flags: e.Flags(), ID: id, Command: []byte(tell(string(c.Code), 255))}
	if body, err := handshakeEnc.Marshal(&c); err == nil && len(body) > 1 { // 1: an empty map
		m.Codec, m.Body = CodecCBOR, body
	}
	return m
}

// bound cuts what e carries to the bounds of what is told.
func (e *Error) bound() {
	e.Message = tell(e.Message, maxReportText)
	e.App = tell(e.App, 255)
	e.Target = tell(e.Target, 1024)
	e.Command = tell(e.Command, 1024)
	e.Path = tellAll(e.Path)
	if e.Death != nil {
		d := e.Death.told()
		e.Death = &d
	}
}

// MaxBrief is how many bytes an error that is Brief has at most, as a Message.
const MaxBrief = 1000

// Brief returns e for who has no room for more than MaxBrief bytes: what happened, to whom, and
// how the text begins.
func (e *Error) Brief() *Error {
	c := *e
	c.Message, c.Path = clip(c.Message, 256), nil
	c.App, c.Target, c.Command = clip(c.App, 64), clip(c.Target, 64), clip(c.Command, 128)
	if c.Death != nil {
		d := c.Death.Brief()
		c.Death = &d
	}
	return &c
}

// Brief is as that of an Error.
func (d Death) Brief() Death {
	d.Cause, d.Reason, d.Signal, d.Stderr = Cause(clip(string(d.Cause), 64)), clip(d.Reason, 128), clip(d.Signal, 64), nil
	return d
}

// clip is tell for what is not to grow by being mended.
func clip(s string, n int) string { return tell(strings.ToValidUTF8(s, "\uFFFD"), n) }

// ParseError reads the error in m, an error or an undelivered frame. It is never
// nil: a body that cannot be decoded still leaves the code, and a code this
// package does not know, from a newer peer, becomes CodeApp with App naming it.
func ParseError(m *Message) *Error {
	e := &Error{}
	if m.Codec == CodecCBOR {
		if err := DecodeLimits(CodecCBOR, m.Body, e, reportLimits); err != nil {
			e = &Error{Message: "the details of the error could not be read: " + err.Error()}
		}
	}
	e.bound()             // whoever wrote it may have kept to no bounds
	e.Code = CodeProtocol // of an error without a code
	if len(m.Command) > 0 {
		e.Code = CodeApp
		if c, ok := knownCode(m.Command); ok {
			e.Code = c
		} else if e.App == "" {
			e.App = tell(string(m.Command), 255)
		}
	}
	switch m.Flags & (FlagNotStarted | FlagStarted) {
	case FlagNotStarted:
		e.Started = StartedNo
	case FlagStarted:
		e.Started = StartedYes
	}
	return e
}

// knownCode finds name in the closed set, so that a known code is not copied.
func knownCode(name []byte) (Code, bool) {
	for _, c := range Codes {
		if string(name) == string(c) {
			return c, true
		}
	}
	return "", false
}

// Message returns d as a down frame (KindDown, id is that of the watch, the
// caller adds the Sender) or a goodbye (KindGoodbye, id 0). It never fails.
func (d *Death) Message(kind Kind, id uint64) Message {
	c := d.told()
	m := Message{Kind: kind, ID: id}
	if body, err := handshakeEnc.Marshal(&c); err == nil {
		m.Codec, m.Body = CodecCBOR, body
	}
	return m
}

// ParseDeath reads the death in m, a down frame or a goodbye. It is never nil: a
// goodbye without a body says "stopped", a down without one "connection", and a
// body that cannot be decoded is said in the reason.
func ParseDeath(m *Message) *Death {
	cause := CauseConnection
	if m.Kind == KindGoodbye {
		cause = CauseStopped
	}
	d := &Death{}
	if m.Codec == CodecCBOR {
		if err := DecodeLimits(CodecCBOR, m.Body, d, reportLimits); err != nil {
			d = &Death{Reason: "how it ended could not be read: " + err.Error()}
		}
	}
	if d.Cause == "" {
		d.Cause = cause
	}
	c := d.told() // whoever wrote it may have kept to no bounds
	return &c
}

var reportLimits = Limits{Depth: 8, Memory: 1 << 20}

// told returns d within the bounds of what is told.
func (d *Death) told() Death {
	c := *d
	c.Cause = Cause(tell(string(c.Cause), 64))
	c.Reason = tell(c.Reason, maxReportText)
	c.Signal = tell(c.Signal, 64)
	if n := len(c.Stderr); n > maxReportLines {
		c.Stderr = c.Stderr[n-maxReportLines:] // the last lines are the ones that say why
	}
	c.Stderr = tellAll(c.Stderr)
	return c
}

// Tell returns s as valid UTF-8 of at most n bytes and an ellipsis.
func Tell(s string, n int) string { return tell(s, n) }

// tell returns s as valid UTF-8 of at most n bytes and an ellipsis.
func tell(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

func tellAll(lines []string) []string {
	if len(lines) == 0 {
		return nil
	}
	out := make([]string, 0, min(len(lines), maxReportLines))
	for _, l := range lines[:min(len(lines), maxReportLines)] {
		out = append(out, tell(l, maxReportLine))
	}
	return out
}
