package frame

import (
	"encoding/binary"
	"strconv"
)

// Opcode says what a frame is (RFC 6455 §5.2). All others are reserved.
type Opcode uint8

// The opcodes.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// Control reports whether op is that of a control frame: at most 125 bytes, never
// fragmented, allowed between the fragments of a message (RFC 6455 §5.5).
func (op Opcode) Control() bool { return op&0x8 != 0 }

// known reports whether op is one of the constants.
func (op Opcode) known() bool {
	const set = 1<<Continuation | 1<<Text | 1<<Binary | 1<<Close | 1<<Ping | 1<<Pong
	return op < 16 && uint16(set)>>op&1 != 0
}

// String returns the name of op in lower case, or "opcode 3" for a reserved one.
func (op Opcode) String() string {
	switch op {
	case Continuation:
		return "continuation"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return "opcode " + strconv.Itoa(int(op))
}

// Header is the header of one frame (RFC 6455 §5.2):
//
//	 0                   1
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5
//	+-+-+-+-+-------+-+-------------+-------------------------------+
//	|F|R|R|R| opcode|M| length (7)  | 16 bits if length is 126,     |
//	|I|S|S|S|  (4)  |A|             | 64 bits if it is 127,         |
//	|N|V|V|V|       |S|             | big-endian                    |
//	| |1|2|3|       |K|             |                               |
//	+-+-+-+-+-------+-+-------------+-------------------------------+
//	| the mask, 4 bytes, if MASK    | the payload                   |
//	+-------------------------------+-------------------------------+
type Header struct {
	Fin    bool
	Opcode Opcode
	Masked bool
	Mask   [4]byte // meaningful if Masked
	Length uint64  // of the payload, in bytes; less than 2^63
}

// MaxHeader is the length of the longest header, in bytes.
const MaxHeader = 14

const (
	maxControl = 125 // bytes of a control frame's payload, and the longest 7-bit length

	bitFin       = 0x80
	bitsReserved = 0x70
	bitsOpcode   = 0x0f
	bitMask      = 0x80
	bitsLength   = 0x7f
	length16     = 126
	length64     = 127
)

// ParseHeader reads one header from the beginning of b. n is its size in bytes; if
// n is 0 and err is nil, b is too short and more bytes are needed. It needs no
// more bytes than it must to refuse a header.
//
// An error is an *Error with CloseProtocol: a reserved bit or opcode, a length
// that is not in the shortest form or has its highest bit set, a control frame
// that is fragmented or longer than 125 bytes. It allocates nothing unless the
// opcode is reserved. It keeps nothing of b, and may be called from any goroutine.
func ParseHeader(b []byte) (h Header, n int, err error) {
	if len(b) < 2 {
		if len(b) == 1 {
			err = checkFirst(b[0])
		}
		return Header{}, 0, err
	}
	if err := checkFirst(b[0]); err != nil {
		return Header{}, 0, err
	}
	h.Fin = b[0]&bitFin != 0
	h.Opcode = Opcode(b[0] & bitsOpcode)
	h.Masked = b[1]&bitMask != 0
	h.Length = uint64(b[1] & bitsLength)
	n = 2
	if h.Length > maxControl {
		if h.Opcode.Control() {
			return Header{}, 0, errControlSize
		}
		if h.Length == length16 {
			if len(b) < 4 {
				return Header{}, 0, nil
			}
			h.Length = uint64(binary.BigEndian.Uint16(b[2:]))
			n = 4
			if h.Length <= maxControl {
				return Header{}, 0, errMinimal
			}
		} else {
			if len(b) < 10 {
				return Header{}, 0, nil
			}
			h.Length = binary.BigEndian.Uint64(b[2:])
			n = 10
			if h.Length>>63 != 0 {
				return Header{}, 0, errHuge
			}
			if h.Length <= 0xffff {
				return Header{}, 0, errMinimal
			}
		}
	}
	if h.Masked {
		if len(b) < n+4 {
			return Header{}, 0, nil
		}
		h.Mask = [4]byte(b[n:])
		n += 4
	}
	return h, n, nil
}

// checkFirst refuses what the first byte of a header alone shows to be wrong.
func checkFirst(b byte) error {
	if b&bitsReserved != 0 {
		return errReserved
	}
	op := Opcode(b & bitsOpcode)
	if !op.known() {
		return errOpcode(op)
	}
	if b&bitFin == 0 && op.Control() {
		return errControlFin
	}
	return nil
}

// Size returns the length of h on the wire, in bytes.
func (h Header) Size() int {
	n := 2
	if h.Length > 0xffff {
		n = 10
	} else if h.Length > maxControl {
		n = 4
	}
	if h.Masked {
		n += 4
	}
	return n
}

// Append appends h to dst, its length in the shortest form. It checks nothing: a
// header that ParseHeader would refuse is the caller's mistake.
func (h Header) Append(dst []byte) []byte {
	first := byte(h.Opcode & bitsOpcode)
	if h.Fin {
		first |= bitFin
	}
	var mask byte
	if h.Masked {
		mask = bitMask
	}
	dst = appendStart(dst, first, mask, h.Length)
	if h.Masked {
		dst = append(dst, h.Mask[:]...)
	}
	return dst
}

// appendStart appends the first byte and the length in the shortest form.
func appendStart(dst []byte, first, mask byte, n uint64) []byte {
	switch {
	case n <= maxControl:
		return append(dst, first, mask|byte(n))
	case n <= 0xffff:
		return append(dst, first, mask|length16, byte(n>>8), byte(n))
	}
	dst = append(dst, first, mask|length64)
	return binary.BigEndian.AppendUint64(dst, n)
}

// AppendBinary appends the header of an unmasked final binary frame whose payload
// is n bytes: what every message of the native profile begins with. The caller
// appends the payload.
func AppendBinary(dst []byte, n int) []byte {
	return appendStart(dst, bitFin|byte(Binary), 0, uint64(n))
}

// BinaryHeaderSize returns how many bytes AppendBinary appends for n.
func BinaryHeaderSize(n int) int {
	return Header{Length: uint64(n)}.Size()
}

// AppendFrame appends a whole unmasked final frame. The payload of a control
// frame is the caller's to keep within 125 bytes.
func AppendFrame(dst []byte, op Opcode, payload []byte) []byte {
	dst = appendStart(dst, bitFin|byte(op&bitsOpcode), 0, uint64(len(payload)))
	return append(dst, payload...)
}
