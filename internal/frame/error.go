package frame

import "fmt"

// Error is a violation of the protocol or of a limit by the other end. The
// stream cannot be read further.
type Error struct {
	Reason string    // what was wrong, in words that follow "the frame was refused:"
	Close  CloseCode // what to tell the other end: CloseProtocol, CloseInvalidUTF8 or CloseTooBig
}

func (e *Error) Error() string { return "the frame was refused: " + e.Reason }

func violation(reason string) *Error { return &Error{reason, CloseProtocol} }

var (
	errReserved    = violation("a reserved bit is set, and no extension was agreed on")
	errMinimal     = violation("its length is not in the shortest form")
	errMemory      = violation("there is no memory for it: too much is held for others already")
	errHuge        = violation("the highest bit of its length is set")
	errControlFin  = violation("a control frame is fragmented")
	errControlSize = violation("a control frame is longer than 125 bytes")
	errMasked      = violation("it is masked, and here frames are not")
	errUnmasked    = violation("it is not masked, and here frames must be")
	errFragments   = violation("the message is in fragments, which are not taken here")
	errNoStart     = violation("it continues a message, and none was begun")
	errInterleaved = violation("a new message begins inside a fragmented one")
	errCloseShort  = violation("a close of 1 byte is too short for a code")
	errUTF8        = &Error{"the text is not valid UTF-8", CloseInvalidUTF8}
	errCloseUTF8   = &Error{"the reason of the close is not valid UTF-8", CloseInvalidUTF8}
)

func errOpcode(op Opcode) *Error {
	return violation(fmt.Sprintf("opcode %d is reserved", uint8(op)))
}

func errCloseCode(code CloseCode) *Error {
	return violation(fmt.Sprintf("close code %d must not be sent", uint16(code)))
}

// errTooBig takes the size as the sum of what came before and what is announced:
// the sum of an int and 63 bits does not overflow.
func errTooBig(size uint64, limit int) *Error {
	return &Error{fmt.Sprintf("a message of %d bytes or more is over the limit of %d", size, limit), CloseTooBig}
}
