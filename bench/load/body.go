package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A body begins
//
//	0 op | 1 seven zero bytes | 8 sequence number u64, big-endian
//
// and goes on with bytes that follow from the sequence number, so that a reply
// that belongs to another ask is seen.
const (
	opAsk  = 'a' // reply with the same body
	opTell = 't' // no reply
	opEach = 'e' // no reply; one with a wrong byte counts as out of order
	opMark = 'm' // reply with how many without a reply came, and how many out of order

	bodyMin = 24 // bytes, so that the reply to a mark fits
)

// fill makes b, of at least bodyMin bytes, the body with this number.
func fill(b []byte, op byte, seq uint64) {
	clear(b[:8])
	b[0] = op
	binary.BigEndian.PutUint64(b[8:], seq)
	for i := 16; i < len(b); i++ {
		b[i] = byte(seq) + byte(i)
	}
}

// intact says whether b is as fill made it.
func intact(b []byte, seq uint64) bool {
	for i := 16; i < len(b); i++ {
		if b[i] != byte(seq)+byte(i) {
			return false
		}
	}
	return true
}

// renumber makes b, which fill made, the body with another number, but for what
// follows the number: on large bodies that would be the larger part of the work.
func renumber(b []byte, seq uint64) { binary.BigEndian.PutUint64(b[8:], seq) }

// check says whether reply is the reply to ask.
func check(ask, reply []byte, all bool) error {
	if len(reply) != len(ask) {
		return fmt.Errorf("the reply has %d bytes, the ask had %d", len(reply), len(ask))
	}
	n := 16
	if all {
		n = len(ask)
	}
	if !bytes.Equal(ask[:n], reply[:n]) {
		return fmt.Errorf("ask %x was answered %x…", ask[:16], reply[:16])
	}
	return nil
}

// answerer is what an echo does with bodies. It is for one goroutine.
type answerer struct {
	told      uint64
	disorder  uint64
	last      uint64
	markReply [bodyMin]byte
}

func (a *answerer) answer(body []byte) []byte {
	if len(body) < bodyMin {
		return nil // the asking end will notice
	}
	switch body[0] {
	case opTell, opEach:
		seq := binary.BigEndian.Uint64(body[8:])
		if seq != a.last+1 || body[0] == opEach && !intact(body, seq) {
			a.disorder++
		}
		a.last = seq
		a.told++
		return nil
	case opMark:
		r := a.markReply[:]
		copy(r, body[:8])
		binary.BigEndian.PutUint64(r[8:], a.told)
		binary.BigEndian.PutUint64(r[16:], a.disorder)
		return r
	}
	return body
}

// readMark reads the reply to a mark.
func readMark(reply []byte) (told, disorder uint64, err error) {
	if len(reply) != bodyMin || reply[0] != opMark {
		return 0, 0, fmt.Errorf("a mark was answered with %d other bytes", len(reply))
	}
	return binary.BigEndian.Uint64(reply[8:]), binary.BigEndian.Uint64(reply[16:]), nil
}
