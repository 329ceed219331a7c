package cell

import (
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
	Data  []byte
}

// Encode appends the bytes as they are.
func (e *Encoded) Encode(dst []byte, _ wire.Codec) (Encoded, error) {
	return Encoded{Codec: e.Codec, Args: e.Args, Data: append(dst, e.Data...)}, nil
}

// Request is a message in an inbox, or a turn the actor owes itself.
type Request struct {
	Command  string
	Value    Value
	Sender   string    // the aid of who sent it; "" if that is no actor
	ID       uint64    // among the calls in flight on the target; 0: one-way
	Deadline time.Time // zero: none
	Codec    wire.Codec
	Chained  bool   // the target waits, further up, for this one: it may overtake and exceed the bound
	Size     int    // what it is charged to the inbox
	Source   Source // the connection it came by; nil if it did not
	Cost     int    // what Source gets back once the request is started or dropped

	encoded Encoded // what Value points to, if it came over a connection
	turn    Turn    // what its handler is given

	paid bool
	cmd  *Command
	do   func(t *Turn, state any) // a hook, a timer or a Down instead of a command
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
	if begins {
		r.Source.Started()
	}
	r.Source.Credit(r.Cost)
}
