package wire

import (
	"encoding/binary"
	"fmt"
)

// FeaturePieces says that an end takes large messages in pieces, so that others pass
// between them. It sends them so to who takes them, too.
const FeaturePieces Features = 1 << 0

// Flags of a piece.
const (
	FlagFirst   Flags = 1 << 0 // it begins a message
	FlagOfReply Flags = 1 << 1 // of a reply or an error; else of a request
)

// MinPiece is how many bytes of a message a piece has at least, but for the last one:
// who sends many messages in many small pieces would only make work.
const MinPiece = 4 << 10

// A Piece is the header of a frame of kind KindPiece, whose body is some of the bytes of
// another message. There are two rows of them, one of requests and one of replies, and in
// each at most one message is begun and not ended. So that is all that a piece says:
//
//	 0 kind 17   1 flags   2 codec 3   3 zeros
//	 8 bytes of the message that have not come yet, with those of this piece, u64
//	16 zeros     20 bytes of the message
type Piece struct {
	First bool
	Reply bool   // of the row of replies
	Left  uint64 // bytes that have not come before; in the first piece, of the whole message
}

// Append appends p to dst. The bytes of the message are to follow.
func (p Piece) Append(dst []byte) []byte {
	m := Message{Kind: KindPiece, Codec: CodecRaw, ID: p.Left}
	if p.First {
		m.Flags |= FlagFirst
	}
	if p.Reply {
		m.Flags |= FlagOfReply
	}
	return m.Append(dst)
}

// ParsePiece reads the first HeaderSize bytes of a frame of kind KindPiece. The error is a
// *MalformedError.
func ParsePiece(b []byte) (p Piece, err error) {
	if len(b) < HeaderSize {
		return p, errShort
	}
	if Kind(b[0]) != KindPiece {
		return p, &MalformedError{fmt.Sprintf("a %v, where a piece should be", Kind(b[0]))}
	}
	if b[3] != 0 || b[16] != 0 || b[17] != 0 || b[18] != 0 || b[19] != 0 {
		return p, &MalformedError{"a piece with names or extensions of its own"}
	}
	left := binary.BigEndian.Uint64(b[8:16])
	if left > MaxID {
		return p, errID
	}
	flags := Flags(b[1])
	return Piece{First: flags&FlagFirst != 0, Reply: flags&FlagOfReply != 0, Left: left}, nil
}

// ParseHead reads of a message, whose first HeaderSize bytes b begins with, what it is. The
// error is a *MalformedError.
func ParseHead(b []byte) (kind Kind, id uint64, err error) {
	switch {
	case len(b) < HeaderSize:
		return 0, 0, errShort
	case b[0] >= 0x80:
		return 0, 0, errKind
	}
	if id = binary.BigEndian.Uint64(b[8:16]); id > MaxID {
		return 0, 0, errID
	}
	return Kind(b[0]), id, nil
}

// InPieces reports whether a message of kind k may come in pieces, and whether in the row
// of replies. What is control must not wait until it is whole, and everything else is
// small.
func InPieces(k Kind) (reply, ok bool) {
	switch k {
	case KindRequest:
		return false, true
	case KindReply, KindError:
		return true, true
	}
	return false, false
}

// Check returns why a piece with n bytes of a message, of which left have not come before
// and none is open if left is 0, may not come now; nil if it may. A message has at most
// most bytes. The error is a *MalformedError.
func (p Piece) Check(n int, left uint64, most int) error {
	switch {
	case p.First && left > 0:
		return &MalformedError{fmt.Sprintf("a message begins in pieces, and of the one before it %d bytes have not come", left)}
	case p.First && p.Left > uint64(most):
		return &MalformedError{fmt.Sprintf("a message of %d bytes in pieces is over the limit of %d", p.Left, most)}
	case !p.First && left == 0:
		return &MalformedError{"a piece goes on with a message that was not begun"}
	case !p.First && p.Left != left:
		return &MalformedError{fmt.Sprintf("a piece says that %d bytes have not come, and it is %d", p.Left, left)}
	case n <= 0:
		return &MalformedError{"a piece without a byte of its message"}
	case uint64(n) > p.Left:
		return &MalformedError{fmt.Sprintf("a piece of %d bytes, where its message has %d more", n, p.Left)}
	case uint64(n) < p.Left && n < MinPiece:
		return &MalformedError{fmt.Sprintf("a piece of %d bytes, which is not the last one and less than %d", n, MinPiece)}
	case p.First && n < HeaderSize:
		return &MalformedError{"a first piece that does not say what its message is"}
	}
	return nil
}
