package peer

import "github.com/arbiter-go/arbiter/internal/wire"

// Stats are the counters of a Conn, from its beginning, and what is queued now.
type Stats struct {
	MessagesIn, BytesIn   uint64
	MessagesOut, BytesOut uint64

	Late    uint64 // replies to calls that were over
	Never   uint64 // replies to calls that never were
	Unknown uint64 // messages of a kind not known here, skipped
	Dropped uint64 // messages that were queued and not written
	Full    uint64 // posts that were refused because a class was at its bound
	Held    uint64 // data that had to wait for the other end's window
	Flushes uint64 // how often somebody began to write

	Queued   [3]int      // what Control, Reply and Data count now, as Limits do
	HeldNow  int         // data messages held now
	UnderWay wire.Window // of the other end's window: sent, and not given back
	Owing    wire.Window // of the window granted: received, and not given back
}

// Stats returns the counters. They are not all of one moment.
func (c *Conn) Stats() Stats {
	s := Stats{
		MessagesIn: c.in.messages.Load(),
		BytesIn:    c.in.bytes.Load(),
		Late:       c.in.late.Load(),
		Never:      c.in.never.Load(),
		Unknown:    c.in.unknown.Load(),
	}
	s.Owing = wire.Window{
		Messages: c.room.receivedMessages.Load() - c.room.messages.Load(),
		Bytes:    c.room.receivedBytes.Load() - c.room.bytes.Load(),
	}
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	s.MessagesOut, s.BytesOut = o.stats.messages, o.stats.bytes
	s.Dropped, s.Full, s.Held, s.Flushes = o.stats.dropped, o.stats.full, o.stats.held, o.stats.flushes
	s.Queued, s.HeldNow = o.load, o.held.len()
	s.UnderWay = wire.Window{Messages: o.sent.Messages - o.credited.Messages, Bytes: o.sent.Bytes - o.credited.Bytes}
	return s
}
