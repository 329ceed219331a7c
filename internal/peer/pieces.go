package peer

import (
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

const (
	// farPiece and nearPiece are how many bytes of a large message are written between
	// two looks at what may pass it: to another machine, and over a socket of this one,
	// where 64 KiB take no time and a system call does. A farPiece fits into one segment
	// of the loopback with its header; a few bytes more would be a segment of their own.
	farPiece  = 63 << 10
	nearPiece = 255 << 10
	// unsent is how much of a TCP connection's the kernel takes without sending it.
	unsent = 128 << 10
	// soleAt is how many bytes are free before a large frame in its chunk, at least: with its own
	// header that is room for the header of a first piece. Those of the other pieces are
	// written over the end of the piece before, which has left: nothing is moved.
	soleAt = wire.HeaderSize
	// largeHeader is the header of a frame of 64 KiB or more.
	largeHeader = 10
	// maxHead is how much there is before the body of a frame whose body stays where it was read.
	maxHead = 1 << 10
	// front is how much is free before a message that comes in pieces: room for the header of a
	// frame, with the first piece's, and for the sender, who did not say who he is.
	front = 320

	// faith is how much is allocated for a message because its first piece says how long
	// it is. Beyond that, memory grows with the bytes that have come.
	faith = 1 << 20

	// A buffer that no message in pieces needs is let go after so many others, or two
	// heartbeats: one that is as good as at rest keeps none.
	manyWhole = 16
	beatWhole = manyWhole / 2
	// stub is how much of a message in pieces is kept for which there is no memory: what
	// says who is to be told.
	stub = 2 << 10
)

// pieceSize is how large the pieces are that t gets.
func pieceSize(t Transport) int {
	if network := t.Info().Network; network == "unix" || network == "socketpair" {
		return nearPiece
	}
	return farPiece
}

// cuttable reports whether the chunk is a large frame that is to go in pieces of size
// bytes, and whether in the row of replies. If size is 0 none is.
func (c *chunk) cuttable(size int) (reply, ok bool) {
	body := c.at + largeHeader
	if !c.sole || size == 0 || len(c.b)-body <= size {
		return false, false
	}
	return wire.InPieces(wire.Kind(c.b[body]))
}

// cut makes what is to be written next of the chunk of a large frame its next piece, of
// size bytes.
func (c *chunk) cut(reply bool, size int) {
	body := c.at + largeHeader
	at := max(c.end, body) // what is before it has left
	left := len(c.b) - at
	n := min(size, left)
	var room [frame.MaxHeader + wire.HeaderSize]byte
	header := wire.Piece{First: at == body, Reply: reply, Left: uint64(left)}.Append(frame.AppendBinary(room[:0], wire.HeaderSize+n))
	c.off = at - len(header)
	c.end = at + n
	copy(c.b[c.off:], header)
}

// unfinished reports whether pieces of the chunk are left to be written, and the last
// one was written whole.
func (c *chunk) unfinished() bool { return c.off == c.end && c.end < len(c.b) }

// pieces are the messages that come in pieces, at most one of each row. It is owned by
// the reader.
type pieces struct {
	agreed bool // both ends take them
	rows   [2]assembly
	placed *assembly // whose bytes the frame that was read last has …
	there  bool      // … and they are where they belong

	spare []byte // of a message that was handled, for the next
	whole int    // messages since then that came whole
}

// assembly is the message of one row.
type assembly struct {
	b       []byte // what has come, behind its front, and room for more
	left    int    // bytes that have not come; 0: there is no message
	missing int    // bytes that have come and were dropped, for want of memory
}

// row returns the assembly of p's row.
func (ps *pieces) row(p wire.Piece) *assembly {
	if p.Reply {
		return &ps.rows[1]
	}
	return &ps.rows[0]
}

// place says where the rest of a frame goes, of which head is the beginning and n the
// length: behind what has come of its message if it is a piece, else nowhere. All that
// there is to check of a message is checked with its first piece, before there is memory
// for it: a request is charged to the window of who sends it. Where there is no memory
// for it, the piece is read into the Reader's buffer and dropped.
func (c *Conn) place(head []byte, n int) ([]byte, error) {
	if wire.Kind(head[0]) != wire.KindPiece || n > faith {
		return nil, nil // what is larger is read as it comes first
	}
	return c.piece(head, n)
}

// piece is place for a piece, of any length, which then belongs to the assembly placed.
func (c *Conn) piece(head []byte, n int) ([]byte, error) {
	ps := &c.in.pieces
	if !ps.agreed {
		return nil, wire.Errorf(wire.CodeProtocol, "a piece of a message, and it was not agreed to take pieces")
	}
	p, err := wire.ParsePiece(head)
	if err != nil {
		return nil, wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	a := ps.row(p)
	n -= wire.HeaderSize
	if err := p.Check(n, uint64(a.left), c.options.MaxMessage); err != nil {
		return nil, wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	if p.First {
		if err := c.begins(p, head[wire.HeaderSize:]); err != nil {
			return nil, err
		}
		a.left, a.missing = int(p.Left), 0
		if ps.spare == nil {
			ps.spare = make([]byte, front)
			c.reading.force(front)
		}
		a.b, ps.spare = ps.spare[:front], nil
	}
	ps.placed, ps.there = a, c.reserve(a, n)
	a.left -= n
	if !ps.there {
		return nil, nil
	}
	have := len(a.b)
	a.b = a.b[:have+n]
	return a.b[have:], nil
}

// strayed takes in the bytes of a piece that are not where they belong: b, of n with
// those that were not even read into memory.
func (c *Conn) strayed(dst, b []byte, n int) {
	ps := &c.in.pieces
	a := ps.placed
	if ps.there && len(b) == n {
		copy(dst, b)
		return
	}
	if ps.there {
		a.b = a.b[:len(a.b)-n]
	}
	keep := 0
	if a.missing == 0 {
		keep = min(len(b), max(0, front+stub-len(a.b)))
		before := cap(a.b)
		a.b = append(a.b, b[:keep]...)
		c.reading.force(cap(a.b) - before)
	}
	a.missing += n - keep
}

// begins checks the message that p, of which head is the fixed header, begins.
func (c *Conn) begins(p wire.Piece, head []byte) *wire.Error {
	kind, id, err := wire.ParseHead(head)
	if err != nil {
		return wire.Errorf(wire.CodeProtocol, "%v", err)
	}
	reply, ok := wire.InPieces(kind)
	if !ok || reply != p.Reply {
		return wire.Errorf(wire.CodeProtocol, "a %v in pieces, where none may be", kind)
	}
	if reply {
		return c.asked(id)
	}
	return c.roomFor(int(p.Left))
}

// asked returns an error if id is that of no call there ever was.
func (c *Conn) asked(id uint64) *wire.Error {
	if c.calls.status(id) == Never {
		c.in.never.Add(1)
		return wire.Errorf(wire.CodeProtocol, "a reply to %d, which was never asked", id)
	}
	return nil
}

// reserve makes room for n more bytes, of those that are left. It reports false if there
// is no memory for them: then there is none for what comes after them either.
func (c *Conn) reserve(a *assembly, n int) bool {
	if a.missing > 0 {
		return false
	}
	have := len(a.b)
	if have+n <= cap(a.b) {
		return true
	}
	size := min(have+a.left, max(have+n, 2*have, faith))
	whole := size == have+a.left
	if whole && size <= maxPooled && !c.reading.tight() && c.reading.more(wire.BufferSize(size)-cap(a.b)) {
		size = wire.BufferSize(size) // it may go on to who takes the message
	} else if !c.reading.more(size - cap(a.b)) {
		return false
	}
	b := make([]byte, have, size)
	copy(b, a.b)
	a.b = b
	return true
}

// assembled returns what the message lies in, behind its front, that the piece that was read last
// has made whole, and how many bytes it lacks at its end; nil if it has not.
func (ps *pieces) assembled() (b []byte, missing int) {
	a := ps.placed
	ps.placed = nil
	if a.left > 0 {
		return nil, 0
	}
	b = a.b
	a.b = nil
	return b, a.missing
}

// recycle keeps b for another message, unless memory is short. It is in the place of what was
// counted as so many bytes.
func (c *Conn) recycle(b []byte, counted int) {
	ps := &c.in.pieces
	c.reading.less(counted - cap(b))
	if cap(b) > cap(ps.spare) && c.reading.spares(cap(b)) {
		b, ps.spare = ps.spare, b
	}
	c.reading.less(cap(b))
	ps.whole = 0
}

// other notes n messages that came whole.
func (c *Conn) other(n int) {
	ps := &c.in.pieces
	if ps.spare == nil {
		return
	}
	if ps.whole += n; ps.whole >= manyWhole {
		c.reading.less(cap(ps.spare))
		ps.spare = nil
	}
}
