package wire

import (
	"math"
	"unicode/utf8"

	"github.com/arbiter-go/arbiter/internal/pickle"
)

// PulsarReader reads messages one after the other. The zero value is ready. It is used by
// one goroutine.
type PulsarReader struct {
	plain pickle.Plain
	m     PulsarMessage
}

// Parse is ParsePulsar, but makes no values where nobody asks for them: what one actor
// of pulsar sends another is written anew without. The message is valid until the next
// Parse, and while b is as it is; its strings are for good.
func (r *PulsarReader) Parse(b []byte) (*PulsarMessage, error) {
	if r.plain.Read(b, pickle.Limits{Message: math.MaxInt}) && r.m.fill(&r.plain) {
		r.m.plain, r.m.data = &r.plain, b
		return &r.m, nil
	}
	r.m.plain = nil // and Parse may be the next one's
	return ParsePulsar(b)
}

// fill takes the message p, which is plain. It returns false if it is not what nearly all
// are, or is wrong: ParsePulsar knows.
func (m *PulsarMessage) fill(p *pickle.Plain) bool {
	const (
		command = 1 << iota
		sender
		target
		ack
		args
		kwargs
		result
		id
	)
	seen := 0
	if p.Len() > maxPulsarKeys {
		return false
	}
	for i := range p.Len() {
		var to *string
		which := 0
		switch string(p.Key(i)) {
		case "command":
			which, to = command, &m.Command
		case "sender":
			which, to = sender, &m.Sender
		case "target":
			which, to = target, &m.Target
		case "ack":
			which, to = ack, &m.Ack
			if p.IsNone(i) {
				return false
			}
		case "args":
			which, m.at[0] = args, i
			if !p.IsTuple(i) {
				return false
			}
		case "kwargs":
			which, m.at[1] = kwargs, i
			if !p.IsEmptyDict(i) { // their names are to be looked at
				return false
			}
		case "result":
			which, m.at[0] = result, i
		case "id":
			which = id
		default:
			return false
		}
		if seen&which != 0 {
			return false
		}
		seen |= which
		if to != nil {
			b, ok := p.Text(i)
			if !ok || len(b) == 0 || which == ack && len(b) > maxAck || !lower(b) && which == command {
				return false
			}
			if *to != string(b) {
				if !utf8.Valid(b) {
					return false
				}
				*to = string(b)
			}
		}
	}
	m.args, m.kwargs, m.result = nil, nil, nil
	switch seen {
	case command | result | ack:
		m.Callback = m.Command == "callback"
		m.Sender, m.Target = "", ""
		return m.Callback
	case command | sender | target | args | kwargs:
		m.Ack = ""
	case command | sender | target | args | kwargs | ack:
	default:
		return false
	}
	m.Callback = false
	return m.Command != "callback"
}

// lower reports whether b is as strings.ToLower has it, as far as it is ASCII.
func lower(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// values makes the values of m, if they are not there.
func (m *PulsarMessage) values() error {
	if m.plain == nil {
		return nil
	}
	n, err := ParsePulsar(m.data)
	if err != nil {
		return err // more than there is memory for
	}
	m.args, m.kwargs, m.result = n.args, n.kwargs, n.result
	m.plain, m.data = nil, nil
	return nil
}
