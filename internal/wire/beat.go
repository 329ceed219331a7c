package wire

import (
	"math"
	"time"
	"unicode/utf8"
)

// Beat is the body of a heartbeat: what an actor that joined says of itself. All of it is
// optional. What else an arbiter tells of an actor it knows without being told.
type Beat struct {
	State    string         `cbor:"state,omitempty" json:"state,omitempty"`
	PID      int            `cbor:"pid,omitempty" json:"pid,omitempty"`
	Inbox    int            `cbor:"inbox,omitempty" json:"inbox,omitempty"`       // messages that wait
	Accepted uint64         `cbor:"accepted,omitempty" json:"accepted,omitempty"` // messages taken in its life
	Started  uint64         `cbor:"started,omitempty" json:"started,omitempty"`
	Refused  uint64         `cbor:"refused,omitempty" json:"refused,omitempty"`
	Oldest   time.Duration  `cbor:"oldest,omitempty" json:"oldest,omitempty"`     // how long the oldest message that waits has waited
	Handling string         `cbor:"handling,omitempty" json:"handling,omitempty"` // the command whose handler has run longest
	Since    time.Duration  `cbor:"since,omitempty" json:"since,omitempty"`       // for how long
	RSS      int64          `cbor:"rss,omitempty" json:"rss,omitempty"`           // bytes resident, of its process
	CPU      time.Duration  `cbor:"cpu,omitempty" json:"cpu,omitempty"`           // that its process has used
	Extra    map[string]any `cbor:"extra,omitempty" json:"extra,omitempty"`       // what its kind says
}

// ParseBeat returns what m, a heartbeat, says. As most are, a map of numbers and short texts, it
// is read here; whatever else may be in one, Decode reads.
func ParseBeat(m *Message) (b Beat, err error) {
	if m.Codec == CodecCBOR && b.read(m.Body) {
		return b, nil
	}
	slow := new(Beat)
	err = Decode(m.Codec, m.Body, slow)
	return *slow, err
}

// read reads body as far as that needs no Decode, and reports whether it was all.
func (b *Beat) read(body []byte) bool {
	h, bad := readHead(body)
	if bad != "" || h.major != majorMap || h.arg > maxBeatKeys {
		return false
	}
	body = body[h.size:]
	seen := 0 // which keys, as bits
	for range h.arg {
		k, bad := readHead(body)
		if bad != "" || k.major != majorText || k.arg > uint64(len(body)-k.size) {
			return false
		}
		key := body[k.size : k.size+int(k.arg)]
		body = body[k.size+int(k.arg):]
		v, bad := readHead(body)
		if bad != "" {
			return false
		}
		body = body[v.size:]
		bit, ok := b.set(string(key), v, body)
		if !ok || seen&(1<<bit) != 0 { // one that stands twice is refused by Decode
			return false
		}
		seen |= 1 << bit
		if v.major == majorText {
			body = body[v.arg:]
		}
	}
	return len(body) == 0
}

// maxBeatKeys is how many keys a heartbeat has, at most, that is read without Decode.
const maxBeatKeys = 11

// set sets what key stands for to v, a number or the head of the text that rest begins with. It
// returns the number of that key, or false where that is for Decode.
func (b *Beat) set(key string, v head, rest []byte) (n int, ok bool) {
	switch key {
	case "state", "handling":
		if v.major != majorText || v.arg > uint64(len(rest)) || !utf8.Valid(rest[:v.arg]) {
			return 0, false
		}
		if key == "state" {
			b.State = string(rest[:v.arg])
			return 0, true
		}
		b.Handling = string(rest[:v.arg])
		return 1, true
	}
	if v.major != majorUint || v.arg > math.MaxInt64 || v.arg > math.MaxInt && (key == "pid" || key == "inbox") {
		return 0, false
	}
	switch key {
	case "pid":
		b.PID, n = int(v.arg), 2
	case "inbox":
		b.Inbox, n = int(v.arg), 3
	case "accepted":
		b.Accepted, n = v.arg, 4
	case "started":
		b.Started, n = v.arg, 5
	case "refused":
		b.Refused, n = v.arg, 6
	case "oldest":
		b.Oldest, n = time.Duration(v.arg), 7
	case "since":
		b.Since, n = time.Duration(v.arg), 8
	case "rss":
		b.RSS, n = int64(v.arg), 9
	case "cpu":
		b.CPU, n = time.Duration(v.arg), 10
	default:
		return 0, false
	}
	return n, true
}
