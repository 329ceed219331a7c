// Package relay is the ideal hub: the least a program must do to carry messages
// from one process to another through a third, and so the limit other hubs are
// compared with.
//
// It keeps a frame's boundaries and looks at eight bytes to know where it goes.
// There are no codecs, deadlines, windows, errors for the sender or checks of who
// sends. What it does do is batch as well as can be: a reader routes all it has
// into its targets' buffers, writes them without waiting when it runs dry, and
// only what the kernel will not take at once is left to a goroutine.
//
// An end (Client, Echo) and the hub use the same connection code. A Hub and a
// Client may be used from many goroutines, except where a method says otherwise.
package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A frame is an unmasked binary one of RFC 6455 §5.2, then
//
//	0 target u8 | 1 sender u8 | 2 zero u16 | 4 slot u32 | 8 body     big-endian
//
// A reply repeats the slot. Target 255 is the hub itself, which takes the sender
// for the connection's number and sends the frame back.
const (
	idSize   = 8
	hubPlace = 255
	maxFrame = 32 << 20 // bytes with the header; larger ones end the connection
)

var errFrame = errors.New("relay: not an unmasked binary frame with an id")

// headSize returns the length of the header of a frame with n bytes of payload.
func headSize(n int) int {
	switch {
	case n < 126:
		return 2
	case n < 1<<16:
		return 4
	}
	return 10
}

// frameSize reads the header at the start of b: its length and the frame's. Both
// are 0 if b does not hold all of the header.
func frameSize(b []byte) (head, total int, err error) {
	if len(b) < 2 {
		return 0, 0, nil
	}
	if b[0] != 0x82 {
		return 0, 0, errFrame
	}
	n := int(b[1])
	switch {
	case n < 126:
		head = 2
	case n == 126:
		if len(b) < 4 {
			return 0, 0, nil
		}
		head, n = 4, int(binary.BigEndian.Uint16(b[2:]))
	case n == 127:
		if len(b) < 10 {
			return 0, 0, nil
		}
		long := binary.BigEndian.Uint64(b[2:])
		if long > maxFrame {
			return 0, 0, fmt.Errorf("relay: a frame of %d bytes, more than %d", long, maxFrame)
		}
		head, n = 10, int(long)
	default:
		return 0, 0, errFrame
	}
	if n < idSize {
		return 0, 0, errFrame
	}
	return head, head + n, nil
}

// id is the eight bytes after a frame's header.
type id struct {
	target, sender uint8
	slot           uint32
}

func readID(b []byte) id {
	return id{b[0], b[1], binary.BigEndian.Uint32(b[4:])}
}

// appendFrame appends a whole frame to dst.
func appendFrame(dst []byte, at id, body []byte) []byte {
	n := idSize + len(body)
	switch headSize(n) {
	case 2:
		dst = append(dst, 0x82, byte(n))
	case 4:
		dst = append(dst, 0x82, 126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x82, 127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	dst = append(dst, at.target, at.sender, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, at.slot)
	return append(dst, body...)
}
