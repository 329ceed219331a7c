package cell

import (
	"cmp"
	"context"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// Value is an argument or a result on its way. Inside one process it stays what
// it is; to cross a connection it is encoded.
type Value interface {
	// Encode appends the value to dst, in codec if it has the choice.
	Encode(dst []byte, codec wire.Codec) (Encoded, error)
}

// Encoded is a value as bytes.
type Encoded struct {
	Codec wire.Codec
	Args  bool // Data is an array of positional arguments and a map: wire.FlagArgs
	lease lease
	Data  []byte
}

// lease says who else has to do with the Data of an Encoded.
type lease uint8

const (
	borrowed lease = iota // it is somebody else's
	loaned                // likewise, but who decodes it needs no copy: he keeps nothing of it
	lent                  // it is the request's, and used again when that is over …
	kept                  // … unless somebody has kept it
	owned                 // nobody else's
)

// Encode appends the bytes as they are.
func (e *Encoded) Encode(dst []byte, _ wire.Codec) (Encoded, error) {
	return Encoded{Codec: e.Codec, Args: e.Args, Data: append(dst, e.Data...)}, nil
}

// Keep reports whether who decodes Data may have it, or parts of it, instead of a
// copy; it is for nobody else then, but where it was lent to one who keeps nothing.
func (e *Encoded) Keep() bool {
	if e.lease == lent {
		e.lease = kept
	}
	return e.lease != borrowed
}

// Sized is a Value that can tell, roughly and at once, how many bytes it takes.
type Sized interface {
	Value
	Size() int
}

// Request is a message whose handler is at work, or that came over a connection alone, or a
// turn the actor owes itself. In an inbox it is in a Letter.
type Request struct {
	Command string
	Value   Value
	Sender  string // the aid of who sent it; "" if that is no actor
	ID      uint64 // among the calls in flight on the target; 0: one-way
	Codec   wire.Codec
	Chained bool   // the target waits, further up, for this one: it may overtake and exceed the bound
	Granted bool   // its sender had the room before it sent: it may exceed the bound
	Size    int    // what it is charged to the inbox
	Source  Source // the connection it came by; nil if it did not
	Room    Source // who is told instead of Source that it is started or dropped; nil: Source is
	Cost    int    // what that gets back then
	Attempt uint8  // how often a pool has made this call, with this time; 0: once
	Nested  bool   // a call the actor makes to itself: it has no ID, and is answered all the same

	encoded Encoded // what Value points to, if it came over a connection …
	buffer  []byte  // … and what that is in, if it is of Spec.bodies

	paid   bool
	reuse  bool // it came from NewRequest
	told   bool // it is in Cell.told
	due    due
	cmd    *Command
	parcel *parcel // whose messages it stands for in their letters; nil: it is one itself

	// Guarded by Cell.mu: those at work, and in which turn.
	prev, next *Request
	began      time.Time // when its handler began; zero: not noted
	turn       *Turn

	do func(ctx context.Context, state any) // a hook, a timer or a Down instead of a command
}

// maxKept is how many bytes of a body's buffer a request that waits to be used
// again keeps.
const maxKept = 4 << 10

// NewRequest returns an empty request to an actor of the kind. Whoever handles it
// has it used again afterwards, so it is not to be kept.
func (s *Spec) NewRequest() *Request {
	if r, ok := s.requests.Get().(*Request); ok {
		return r
	}
	return &Request{reuse: true}
}

// recycle takes back a request that is over.
func (s *Spec) recycle(r *Request) {
	if !r.reuse {
		return
	}
	var body []byte
	if of := r.encoded; of.lease == lent || of.lease == loaned {
		spoil(of.Data)
		if body = of.Data[:0]; cap(body) > maxKept || r.buffer != nil {
			body = nil
		}
		s.bodies.put(r.buffer)
	}
	*r = Request{reuse: true, encoded: Encoded{Data: body}}
	s.requests.Put(r)
}

// Source is the connection a request came by. Its methods must not block.
type Source interface {
	Credit(cost int) // the sender has its room back
	Started()        // the handler begins
}

// pay gives the sender its room back, once, when the handler begins or the
// request is dropped.
func (r *Request) pay(begins bool) {
	if r.Source == nil || r.paid {
		return
	}
	r.paid = true
	to := cmp.Or(r.Room, r.Source)
	if begins {
		to.Started()
	}
	to.Credit(r.Cost)
}
