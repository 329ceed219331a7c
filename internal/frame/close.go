package frame

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// CloseCode says why a connection is closed (RFC 6455 §7.4, and the registry it
// begins).
type CloseCode uint16

// The codes that this project sends or expects.
const (
	CloseNormal      CloseCode = 1000
	CloseGoingAway   CloseCode = 1001
	CloseProtocol    CloseCode = 1002 // a violation of the protocol
	CloseUnsupported CloseCode = 1003 // a kind of data that is not taken
	CloseNoStatus    CloseCode = 1005 // never sent: the close had no code
	CloseAbnormal    CloseCode = 1006 // never sent: there was no close
	CloseInvalidUTF8 CloseCode = 1007
	ClosePolicy      CloseCode = 1008
	CloseTooBig      CloseCode = 1009
	CloseInternal    CloseCode = 1011
)

// Sendable reports whether c may be sent: 1000 to 1003 and 1007 to 1014, which
// are registered, and 3000 to 4999, which are for libraries and programs.
func (c CloseCode) Sendable() bool {
	return c >= 1000 && c <= 1003 || c >= 1007 && c <= 1014 || c >= 3000 && c <= 4999
}

// maxReason is the longest reason of a close, in bytes.
const maxReason = maxControl - 2

// ParseClose reads the payload of a close frame (RFC 6455 §5.5.1). An empty one is
// CloseNoStatus. An error is an *Error: a payload of one byte, a code that must
// not be sent, a reason that is not UTF-8.
func ParseClose(payload []byte) (CloseCode, string, error) {
	switch len(payload) {
	case 0:
		return CloseNoStatus, "", nil
	case 1:
		return 0, "", errCloseShort
	}
	code := CloseCode(binary.BigEndian.Uint16(payload))
	if !code.Sendable() {
		return 0, "", errCloseCode(code)
	}
	if !utf8.Valid(payload[2:]) {
		return 0, "", errCloseUTF8
	}
	return code, string(payload[2:]), nil
}

// AppendClose appends the payload of a close frame to dst, at most 125 bytes. A
// reason that is too long is cut between two characters, and what is not UTF-8 in
// it is replaced. A code that must not be sent is left out, and the reason with
// it: the payload is empty, which says CloseNoStatus.
func AppendClose(dst []byte, code CloseCode, reason string) []byte {
	if !code.Sendable() {
		return dst
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	reason = strings.ToValidUTF8(reason, string(utf8.RuneError))
	if len(reason) > maxReason {
		cut := maxReason
		for !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	return append(dst, reason...)
}
