package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// The limits of one body when Limits leaves them zero.
const (
	DefaultDepth    = 1000
	DefaultMemory   = 64 << 20
	DefaultIntBytes = 4096
)

// Limits bound what decoding one body may cost, whoever wrote it. The zero value
// of each field means its default.
type Limits struct {
	// Depth is how many lists and maps may stand inside one another. Default 1000.
	Depth int
	// Memory is what the decoded values may take, in bytes, by a charge that errs
	// upwards: 24 for a number, 32 and its length for a string, 40 for a list, 80
	// for a map and 64 more for each of its pairs; an element of a list or a map
	// costs at least what its Go type does. Default 64 MiB, that is about 2.7
	// million numbers.
	Memory int
	// IntBytes is how long an integer may be, in bytes. Default 4096.
	IntBytes int
}

func (l Limits) depth() int {
	if l.Depth > 0 {
		return l.Depth
	}
	return DefaultDepth
}

func (l Limits) memory() int {
	if l.Memory > 0 {
		return l.Memory
	}
	return DefaultMemory
}

func (l Limits) intBytes() int {
	if l.IntBytes > 0 {
		return l.IntBytes
	}
	return DefaultIntBytes
}

func (l Limits) budget() *budget { return &budget{limit: l.memory(), left: l.memory()} }

// The charges of the memory budget, in bytes.
const (
	chargeNumber = 24 // an interface and the box it points to
	chargeText   = 32 // an interface and the string's header
	chargeList   = 40 // an interface and the slice's header
	chargeMap    = 80 // an interface and an empty map
	chargeGroup  = 272
	chargePair   = 64 // a map's slot, at the load it may have after growing
)

// budget is what may still be spent.
type budget struct{ limit, left int }

// spend takes n and reports whether there was as much. n may be as large as a
// stranger likes: it is compared, never added.
func (b *budget) spend(n uint64) bool {
	if n > uint64(b.left) {
		return false
	}
	b.left -= int(n)
	return true
}

func (b *budget) refusal() *FieldError {
	return &FieldError{Code: CodeTooLarge, Reason: fmt.Sprintf("its values would take more than %d bytes of memory", b.limit)}
}

// The tags of RFC 8949 that a body may have, and what each must stand before.
// Everything else is refused, decimal fractions (4) too: a reader that does not
// know them takes one for a list of two numbers. Send a decimal as text.
const (
	tagTimeText = 0   // RFC 3339 text
	tagTimeUnix = 1   // seconds since 1970, a number
	tagBigPos   = 2   // bytes
	tagBigNeg   = 3   // bytes
	tagUUID     = 37  // 16 bytes
	tagSet      = 258 // a list
)

// The major types of RFC 8949 §3.1.
const (
	majorUint   = 0
	majorNegint = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorSimple = 7
)

// head is the first bytes of a CBOR item (RFC 8949 §3).
type head struct {
	major byte
	info  byte
	arg   uint64 // a number, a length or a count; the bits of a float
	size  int    // of the head itself
}

// readHead reads the head at the start of b. reason says why it cannot.
func readHead(b []byte) (h head, reason string) {
	if len(b) == 0 {
		return head{}, "it is cut short"
	}
	h = head{major: b[0] >> 5, info: b[0] & 31, size: 1}
	switch {
	case h.info < 24:
		h.arg = uint64(h.info)
		return h, ""
	case h.info == 31:
		return head{}, "lengths that are not known in advance are not allowed"
	case h.info > 27:
		return head{}, fmt.Sprintf("byte 0x%02x has no meaning", b[0])
	}
	h.size += 1 << (h.info - 24)
	if len(b) < h.size {
		return head{}, "it is cut short"
	}
	switch h.info {
	case 24:
		h.arg = uint64(b[1])
	case 25:
		h.arg = uint64(binary.BigEndian.Uint16(b[1:]))
	case 26:
		h.arg = uint64(binary.BigEndian.Uint32(b[1:]))
	case 27:
		h.arg = binary.BigEndian.Uint64(b[1:])
	}
	return h, ""
}

// CheckCBOR walks data, without recursion and without decoding it, and reports
// why it is not one CBOR item within l: well-formed (RFC 8949 §3), nothing after
// it, every length within what remains, text in UTF-8, no indefinite lengths, no
// tags but 0 and 1 (times), 2 and 3 (big integers), 37 (UUID) and 258 (set), no
// simple values but false, true, null and undefined. What it accepts can be
// decoded in bounded memory and stack. Duplicate map keys are left to Decode.
//
// The error is a *FieldError: CodeTooLarge over the memory or the length of an
// integer, else CodeInvalid.
func CheckCBOR(data []byte, l Limits) error {
	if err := checkCBOR(data, l, 0, l.budget()); err != nil {
		return err
	}
	return nil
}

// checkCBOR is CheckCBOR for a target whose lists and maps have elements of up to
// element bytes. It spends from wallet.
func checkCBOR(data []byte, l Limits, element uint64, wallet *budget) *FieldError {
	var (
		room    [32]uint64
		open    = room[:0] // of each container around: how many items it still lacks
		depth   = l.depth()
		least   = max(element, chargeNumber)
		before  = -1 // the tag that stands before this item, or -1
		invalid = func(at int, reason string) *FieldError {
			return &FieldError{Code: CodeInvalid, Reason: fmt.Sprintf("%s (byte %d of the CBOR)", reason, at)}
		}
	)
	for at := 0; ; {
		h, reason := readHead(data[at:])
		if reason != "" {
			return invalid(at, reason)
		}
		start := at
		at += h.size
		if before >= 0 {
			if reason := tagged(before, h, l.intBytes()); reason != "" {
				code := CodeInvalid
				if (before == tagBigPos || before == tagBigNeg) && h.major == majorBytes {
					code = CodeTooLarge
				}
				return &FieldError{Code: code, Reason: fmt.Sprintf("%s (byte %d of the CBOR)", reason, start)}
			}
			before = -1
		}
		cost := least
		switch h.major {
		case majorBytes, majorText:
			if h.arg > uint64(len(data)-at) {
				return invalid(start, fmt.Sprintf("a string of %d bytes where %d remain", h.arg, len(data)-at))
			}
			end := at + int(h.arg)
			if h.major == majorText && !utf8.Valid(data[at:end]) {
				return invalid(start, "text that is not UTF-8")
			}
			at = end
			cost = max(cost, chargeText) + h.arg
		case majorArray, majorMap:
			items := h.arg
			if h.major == majorMap {
				if items > math.MaxUint64/2 {
					return invalid(start, fmt.Sprintf("a map of %d pairs where %d bytes remain", h.arg, len(data)-at))
				}
				items *= 2
			}
			if items > uint64(len(data)-at) {
				return invalid(start, fmt.Sprintf("a list or map of %d items where %d bytes remain", items, len(data)-at))
			}
			if len(open) >= depth {
				return invalid(start, fmt.Sprintf("lists and maps stand more than %d deep in one another", depth))
			}
			if h.major == majorArray {
				cost = max(cost, chargeList)
			} else if cost = max(cost, chargeMap) + h.arg*chargePair; h.arg > 0 {
				cost += chargeGroup
			}
			if !wallet.spend(cost) {
				return wallet.refusal()
			}
			if items > 0 {
				open = append(open, items)
				continue
			}
			cost = 0
		case majorTag:
			if !listed(h.arg) {
				return invalid(start, fmt.Sprintf("tag %d is not one that is understood", h.arg))
			}
			before = int(h.arg)
			continue
		case majorSimple:
			switch h.info {
			case 20, 21, 22, 23, 25, 26, 27: // false, true, null, undefined, floats
			case 24:
				if h.arg < 32 {
					return invalid(start, "a simple value in two bytes that needs one")
				}
				return invalid(start, fmt.Sprintf("simple value %d is not one that is understood", h.arg))
			default:
				return invalid(start, fmt.Sprintf("simple value %d is not one that is understood", h.arg))
			}
		}
		if !wallet.spend(cost) {
			return wallet.refusal()
		}
		for len(open) > 0 {
			top := &open[len(open)-1]
			if *top--; *top > 0 {
				break
			}
			open = open[:len(open)-1]
		}
		if len(open) == 0 {
			if at != len(data) {
				return invalid(at, fmt.Sprintf("%d bytes after the value", len(data)-at))
			}
			return nil
		}
	}
}

func listed(tag uint64) bool {
	switch tag {
	case tagTimeText, tagTimeUnix, tagBigPos, tagBigNeg, tagUUID, tagSet:
		return true
	}
	return false
}

// The range of times that RFC 3339 has an image for, in seconds since 1970.
const (
	minTime = -62167219200 // 0000-01-01
	maxTime = 253402300799 // 9999-12-31T23:59:59
)

// seconds returns the number with head h, near enough to be held to a range.
func seconds(h head) float64 {
	switch {
	case h.major == majorUint:
		return float64(h.arg)
	case h.major == majorNegint:
		return -float64(h.arg) - 1
	case h.info == 26:
		return float64(math.Float32frombits(uint32(h.arg)))
	case h.info == 27:
		return math.Float64frombits(h.arg)
	}
	if h.arg&0x7c00 == 0x7c00 {
		return math.NaN() // or an infinity
	}
	return 0 // any other half is at most 65504
}

// tagged says why an item with head h cannot stand after tag.
func tagged(tag int, h head, intBytes int) string {
	switch tag {
	case tagTimeText:
		if h.major != majorText {
			return "a time (tag 0) that is not text"
		}
	case tagTimeUnix:
		if h.major != majorUint && h.major != majorNegint && (h.major != majorSimple || h.info < 25 || h.info > 27) {
			return "a time (tag 1) that is not a number"
		}
		if s := seconds(h); !(s >= minTime && s <= maxTime) { // NaN neither
			return "a time (tag 1) outside of the years 0 to 9999"
		}
	case tagBigPos, tagBigNeg:
		if h.major != majorBytes {
			return "a big integer that is not bytes"
		}
		if h.arg > uint64(intBytes) {
			return fmt.Sprintf("an integer of %d bytes, more than %d", h.arg, intBytes)
		}
	case tagUUID:
		if h.major != majorBytes || h.arg != 16 {
			return "a UUID that is not 16 bytes"
		}
	case tagSet:
		if h.major != majorArray {
			return "a set that is not a list"
		}
	}
	return ""
}

// itemEnd returns where the item at the start of b ends. b was checked.
func itemEnd(b []byte) int {
	at := 0
	for lacking := uint64(1); lacking > 0; lacking-- {
		h, _ := readHead(b[at:])
		at += h.size
		switch h.major {
		case majorBytes, majorText:
			at += int(h.arg)
		case majorArray:
			lacking += h.arg
		case majorMap:
			lacking += 2 * h.arg
		case majorTag:
			lacking++
		}
	}
	return at
}

// datedKey reports whether a map in the item at the start of b has a key that is a
// time as text, and what follows the item. b was checked, so it recurs no deeper
// than Limits.Depth. rest means nothing when there is one.
func datedKey(b []byte) (found bool, rest []byte) {
	h, _ := readHead(b)
	b = b[h.size:]
	switch h.major {
	case majorBytes, majorText:
		return false, b[h.arg:]
	case majorTag:
		return datedKey(b)
	case majorArray, majorMap:
		for range h.arg {
			if h.major == majorMap {
				key, _ := readHead(b)
				if key.major == majorTag && key.arg == tagTimeText {
					return true, nil
				}
				if found, b = datedKey(b); found {
					return true, nil
				}
			}
			if found, b = datedKey(b); found {
				return true, nil
			}
		}
	}
	return false, b
}
