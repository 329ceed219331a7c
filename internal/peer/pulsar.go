package peer

import (
	"log/slog"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Pulsar is a Transport whose other end is a real actor of Python's pulsar (1.6 and
// 2.0), or, with AID, a real arbiter of it: towards the socket it speaks as their
// mailboxes do, towards its Conn natively. What a Conn promises holds for it, but
// for what pulsar cannot say:
//
//   - an error becomes a callback with None, and None is no error;
//   - nobody is told that a call was given up; the late answer is dropped here;
//   - it knows no windows: what it sends beyond its room is refused, never left
//     unread, and what waits for it is bounded by the Conn's Limits alone;
//   - nothing but requests and callbacks is ever written: no heartbeat, no ping, no
//     close. It answers each ack at most once, since pulsar 2.0.2 ends its
//     connection at a second callback.
//
// No body leaves as it came: what was understood is written anew, from its values or,
// where it is plain data, opcode by opcode.
//
// As any Transport it may be read by one goroutine while another writes. Await comes
// before, and New, which binds it.
type Pulsar struct {
	// fixed
	t       Transport
	options PulsarOptions
	frames  *frame.Reader
	conn    *Conn // set by Bind

	counts pulsarCounts
	asked  questions

	stopped atomic.Bool // a stop was written: the end that follows is its answer

	// owned by the reader
	messages wire.PulsarReader
	room     []byte                // what the body of a message is written into
	aid      string                // of the actor: the other end's, or with AID our own
	ready    []byte                // native frames that Read has to give
	given    int                   // of ready
	used     amount                // of the room of the other end, from the beginning …
	seen     amount                // … and what of it was given back when it last looked
	ended    error                 // what Read returns when all is given
	joined   bool                  // the arbiter has answered the first notify …
	early    []*wire.PulsarMessage // … and what it asked before it did

	// owned by who writes
	gathered []byte // the beginning of a native frame
	out      []byte // what is to be written to the socket
	written  int    // of out
	owed     int    // bytes that were taken, and are said to be when out is empty
	body     []byte // scratch
	serial   uint64 // of the messages nobody answers
	welcomed bool   // the hello of one that joins was said
	label    string // and what it is called
	began    time.Time

	first uint64 // the id of the notify that the welcome answers; set by Await
}

// PulsarOptions say how a Pulsar behaves. The zero value is ready.
type PulsarOptions struct {
	// AID makes it the end of an actor that joins a real arbiter, with that aid.
	// Default: the arbiter's end.
	AID string
	// MaxMessage is the largest message in bytes, native or not. Default 16 MiB.
	MaxMessage int
	// Timeout is how long the other end waits for what it asks; pulsar's messages
	// have no deadline of their own. Default: what the arbiter says.
	Timeout time.Duration
	// NoRun refuses the command run, whoever sends it.
	NoRun bool
	// Logger is where oddities go. Default: slog.Default.
	Logger *slog.Logger
}

// PulsarWindow is the room to give a pulsar peer. It does not know of it, so it is wide:
// an actor of pulsar sends as much as it likes.
var PulsarWindow = wire.Window{Messages: 1 << 16, Bytes: 64 << 20}

// PulsarCounts are the oddities of one pulsar connection.
type PulsarCounts struct {
	Foreign     uint64 // frames that are no messages: text, ping, pong
	Undecodable uint64 // messages that could not be read
	Stray       uint64 // callbacks nobody waits for
	Forged      uint64 // messages in the name of another
	Refused     uint64 // messages that went nowhere for another reason
	Twice       uint64 // requests with the ack of another one in flight
}

type pulsarCounts struct{ foreign, undecodable, stray, forged, refused, twice atomic.Uint64 }

// maxStranger is the largest message, in bytes, of an end that is not known yet: its
// notify, as a rule.
const maxStranger = 256 << 10

// maxUnread is how many bytes of answers may wait for an end that is not known yet.
const maxUnread = 64 << 10

// readAhead is how many native bytes are made ready before they are given.
const readAhead = 64 << 10

// NewPulsar returns t as the Transport of a pulsar peer.
func NewPulsar(t Transport, o PulsarOptions) *Pulsar {
	if o.MaxMessage <= 0 {
		o.MaxMessage = DefaultMaxMessage
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	p := &Pulsar{
		t: t, options: o, aid: o.AID,
		frames: frame.NewReader(t, frame.Options{Masking: frame.Unmasked, Limit: min(o.MaxMessage, maxStranger)}),
	}
	if o.AID != "" { // or Await knows who it is
		p.known()
	}
	return p
}

// Bind says which Conn p is the transport of.
func (p *Pulsar) Bind(c *Conn) { p.conn = c }

// Meter has what is read counted.
func (p *Pulsar) Meter(m frame.Memory) { p.frames.SetMemory(m) }

// AID is the aid of the actor: that of the other end once Await has returned.
func (p *Pulsar) AID() string { return p.aid }

// Counts returns the oddities so far.
func (p *Pulsar) Counts() PulsarCounts {
	c := &p.counts
	return PulsarCounts{
		Foreign: c.foreign.Load(), Undecodable: c.undecodable.Load(), Stray: c.stray.Load(),
		Forged: c.forged.Load(), Refused: c.refused.Load(), Twice: c.twice.Load(),
	}
}

// Info says what the socket is.
func (p *Pulsar) Info() Info {
	info := p.t.Info()
	info.Profile = PulsarProfile
	return info
}

// Close closes the socket.
func (p *Pulsar) Close() error { return p.t.Close() }

// CloseWrite ends the sending direction, where there are two.
func (p *Pulsar) CloseWrite() error {
	if w, ok := p.t.(writeCloser); ok {
		return w.CloseWrite()
	}
	return nil
}

// joins reports whether the other end is the arbiter.
func (p *Pulsar) joins() bool { return p.options.AID != "" }

// odd counts and logs something that should not be. Of many it logs few.
func (p *Pulsar) odd(count *atomic.Uint64, what string, attrs ...any) {
	if n := count.Add(1); bits.OnesCount64(n) > 1 {
		return // not the 1st, 2nd, 4th, 8th …
	}
	attrs = append(attrs, "actor", p.aid, "from", p.t.Info().Remote)
	p.options.Logger.Warn("pulsar: "+what, attrs...)
}
