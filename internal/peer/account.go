package peer

import (
	"sync/atomic"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Account is what became of the requests that were posted to a Conn, as far as this
// end knows: what the other end has taken or begun it tells with its next credit. All
// numbers count from the beginning of the connection.
type Account struct {
	Taken     uint64 // posted, or noted as calls while the connection ended
	Withdrawn uint64 // of these, taken back by their callers before they were written
	Written   uint64 // written whole
	Credited  uint64 // of these, out of the other end's inbox
	Started   uint64 // … because their handlers began
	Back      uint64 // one-way, and come back as undelivered
	Refused   uint64 // calls that were answered with an error that says that they did not start
}

// fates are the parts of an Account that only the reader, or the translator of a
// profile, counts.
type fates struct {
	withdrawn atomic.Uint64
	back      atomic.Uint64
	refused   atomic.Uint64
}

// Account returns what became of what was posted so far.
func (c *Conn) Account() Account {
	o := &c.out
	o.mu.Lock()
	a := Account{Taken: o.taken, Withdrawn: o.withdrawn, Written: o.wrote, Credited: o.credited.Messages, Started: o.started}
	told := o.window != endless
	o.mu.Unlock()
	a.Back, a.Refused = c.fates.back.Load(), c.fates.refused.Load()
	overtaken := c.fates.withdrawn.Load()
	a.Withdrawn += overtaken
	a.Written -= min(overtaken, a.Written)
	if !told {
		// It knows no windows, and so says nothing of what it has taken: what was written
		// is taken for started, unless it came back.
		a.Credited = a.Written
		a.Started = a.Written - min(a.Written, a.Back+a.Refused)
	}
	return a
}

// answered counts the error m, if it says that the call did not start.
func (f *fates) answered(m *wire.Message) {
	if m.Kind == wire.KindError && m.Flags&wire.FlagNotStarted != 0 {
		f.refused.Add(1)
	}
}

// cameBack counts m, a message that the other end sends back. One actor may send back no more than
// it was sent: who could, would have anybody told anything. An arbiter may, of a message to all.
// What an actor has sent to itself was never sent here.
func (c *Conn) cameBack(m *wire.Message) *wire.Error {
	if c.guest != "" && string(m.Target) == c.guest {
		return nil
	}
	o := &c.out
	o.mu.Lock()
	sent := o.sent.Messages
	o.mu.Unlock()
	if c.guest != "" && c.fates.back.Load() >= sent { // the reader alone adds to it
		return wire.Errorf(wire.CodeProtocol, "a message comes back as undelivered, where %d were sent, and all have", sent)
	}
	c.fates.back.Add(1)
	return nil
}

// TellTaken queues a credit if the other end has not been told all that was taken
// and begun here. Who beats asks for it, so that both ends agree when all is quiet.
func (c *Conn) TellTaken() {
	r, o := &c.room, &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.started.Load() != r.toldStarted || r.back.load() != r.told.load() {
		r.due.Store(true)
		if o.open && !o.shut && !o.parted {
			c.grantLocked()
		}
	}
}

// isRequest reports whether the frame b, whose header has n bytes, is a request.
func isRequest(b []byte, n int, h frame.Header) bool {
	return h.Length > 0 && wire.Kind(b[n]) == wire.KindRequest
}
