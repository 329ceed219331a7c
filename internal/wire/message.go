package wire

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"
	"unsafe"
)

// Kind says what a native frame is. Kinds are below 0x80, because a pulsar frame
// begins with pickle's PROTO opcode, 0x80. A peer skips kinds it does not know.
type Kind uint8

// The kinds of the native profile.
const (
	KindHello       Kind = 1  // the first frame of whoever connects: who it is, what it answers
	KindWelcome     Kind = 2  // the answer: its aid and its limits
	KindRequest     Kind = 3  // a command
	KindReply       Kind = 4  // its result
	KindError       Kind = 5  // its error: the code stands in Command, the details in the body; also refuses a hello
	KindCancel      Kind = 6  // whoever asked for ID no longer waits
	KindUndelivered Kind = 7  // a one-way message came back: the code in Command, the details in the body
	KindWatch       Kind = 8  // tell me once when Target ends; answered like a request
	KindUnwatch     Kind = 9  // the watch with this ID is over
	KindDown        Kind = 10 // Sender, named Command, watched as ID, has ended; the Death is in the body
	KindCredit      Kind = 11 // what the receiver has taken so far: see Credit
	KindXoff        Kind = 12 // send nothing more to Target for now
	KindXon         Kind = 13 // go on sending to Target
	KindNotify      Kind = 14 // the heartbeat; the first one says "I am running"
	KindStop        Kind = 15 // finish what you have and end; the reason is in the body
	KindGoodbye     Kind = 16 // the last frame: why this end leaves; the Death is in the body
	KindPiece       Kind = 17 // a part of another message: see Piece; only where both ends take them
)

var kindNames = [...]string{
	KindHello: "hello", KindWelcome: "welcome", KindRequest: "request", KindReply: "reply",
	KindError: "error", KindCancel: "cancel", KindUndelivered: "undelivered", KindWatch: "watch",
	KindUnwatch: "unwatch", KindDown: "down", KindCredit: "credit", KindXoff: "xoff",
	KindXon: "xon", KindNotify: "notify", KindStop: "stop", KindGoodbye: "goodbye",
	KindPiece: "piece",
}

// String returns the kind's name in docs/protocol.md.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Flags are bits whose meaning depends on the kind. Unknown bits are ignored.
type Flags uint8

// Flags of a request.
const (
	FlagOneWay  Flags = 1 << 0 // nobody waits for a reply; a refusal comes back as undelivered
	FlagAccept  Flags = 1 << 1 // reply, with nothing, as soon as the message is accepted
	FlagTurn    Flags = 1 << 2 // sent by a handler that keeps its actor's turn while it waits
	FlagArgs    Flags = 1 << 3 // the body is an array: positional arguments, then a map of keyword ones
	FlagChained Flags = 1 << 4 // set by the arbiter: the target itself waits, further up, for this one
)

// Flags of an error or an undelivered message: what is known of the handler.
const (
	FlagNotStarted Flags = 1 << 0 // the handler certainly did not start
	FlagStarted    Flags = 1 << 1 // the handler certainly started
)

// Codec says how a body is encoded.
type Codec uint8

// The codecs of bodies.
const (
	CodecNone Codec = 0 // there is no body
	CodecCBOR Codec = 1 // RFC 8949, within the limits of Decode
	CodecJSON Codec = 2 // RFC 8259
	CodecRaw  Codec = 3 // the bytes themselves
)

// HeaderSize is the length of the fixed part of a native message.
const HeaderSize = 20

// MaxID is the largest id: a number every language can hold (2^53 - 1).
const MaxID = 1<<53 - 1

// Message is one message of the native profile. Its slices point into the buffer
// it was parsed from.
//
//	 0 kind < 0x80   1 flags   2 body codec   3 target length
//	 4 remaining milliseconds, u32
//	 8 id, u64 (at most MaxID)
//	16 sender length   17 command length   18 extensions length, u16
//	20 target  sender  command  extensions  body
//
// All numbers are big-endian.
type Message struct {
	Kind    Kind
	Flags   Flags
	Codec   Codec
	Millis  uint32 // what remains until the deadline; 0: no deadline is known
	ID      uint64 // of the sender's choosing; a reply repeats it
	Target  []byte // at most 255 bytes, as Sender and Command
	Sender  []byte
	Command []byte
	Ext     []byte // extensions: type u8, length u16, value; at most 65,535 bytes
	Body    []byte
	Tail    []byte // more of the body, where it is written from two places; Parse leaves it empty
	// Ended, if not nil, is true once the actor of this process that sends it has ended: then
	// it is not posted, for somebody may have been told. It is not on the wire, and Parse leaves
	// it as it is.
	Ended *atomic.Bool
	// Own, if not nil, is what m lies in. It is for the first who takes m on, and only until
	// whoever has read m goes on. Parse leaves it as it is.
	Own *Memory
}

// ErrSenderEnded refuses what an actor sends that has ended, though its handler goes on.
var ErrSenderEnded = Errorf(CodeClosed, "its sender has ended").NotStarted()

// Late reports whether m's sender has ended.
func (m *Message) Late() bool { return m.Ended != nil && m.Ended.Load() }

// Millis is what remains until d, on the wire: at least 1 where there is a
// deadline, 0 where there is none.
func Millis(d time.Time) uint32 {
	if d.IsZero() {
		return 0
	}
	return uint32(min(max(time.Until(d).Milliseconds(), 1), 1<<32-1))
}

// A MalformedError says why bytes are not a message.
type MalformedError struct{ Reason string }

func (e *MalformedError) Error() string { return "not a native message: " + e.Reason }

var (
	errShort = &MalformedError{"shorter than its header says"}
	errKind  = &MalformedError{"its first byte is not below 0x80"}
	errID    = &MalformedError{"its id is 2^53 or more"}
)

// Parse reads one message from b, which it fills whole. It allocates nothing.
func (m *Message) Parse(b []byte) error { return m.ParseCut(b, 0) }

// ParseCut is Parse for a message that lacks so many bytes at its end, as far as those are of
// its body and its extensions: then m has what is there of them.
func (m *Message) ParseCut(b []byte, missing int) error {
	if len(b) < HeaderSize {
		return errShort
	}
	if b[0] >= 0x80 {
		return errKind
	}
	id := binary.BigEndian.Uint64(b[8:16])
	if id > MaxID {
		return errID
	}
	target := HeaderSize + int(b[3])
	sender := target + int(b[16])
	command := sender + int(b[17])
	ext := command + int(binary.BigEndian.Uint16(b[18:20]))
	if ext > len(b) {
		if command > len(b) || ext > len(b)+missing {
			return errShort
		}
		ext = len(b)
	}
	m.Kind, m.Flags, m.Codec = Kind(b[0]), Flags(b[1]), Codec(b[2])
	m.Millis, m.ID = binary.BigEndian.Uint32(b[4:8]), id
	m.Target = b[HeaderSize:target]
	m.Sender = b[target:sender]
	m.Command = b[sender:command]
	m.Ext = b[command:ext]
	m.Body, m.Tail = b[ext:], nil
	return nil
}

// Size returns the length of m on the wire, without the frame's own header.
func (m *Message) Size() int {
	return HeaderSize + len(m.Target) + len(m.Sender) + len(m.Command) + len(m.Ext) + len(m.Body) + len(m.Tail)
}

// Fits reports whether every part of m is within what its header can say.
func (m *Message) Fits() bool {
	return len(m.Target) <= 255 && len(m.Sender) <= 255 && len(m.Command) <= 255 &&
		len(m.Ext) <= 65535 && m.ID <= MaxID
}

// Append appends m to dst. m must Fit.
func (m *Message) Append(dst []byte) []byte {
	var h [HeaderSize]byte
	h[0], h[1], h[2], h[3] = byte(m.Kind), byte(m.Flags), byte(m.Codec), byte(len(m.Target))
	binary.BigEndian.PutUint32(h[4:], m.Millis)
	binary.BigEndian.PutUint64(h[8:], m.ID)
	h[16], h[17] = byte(len(m.Sender)), byte(len(m.Command))
	binary.BigEndian.PutUint16(h[18:], uint16(len(m.Ext)))
	dst = append(dst, h[:]...)
	dst = append(dst, m.Target...)
	dst = append(dst, m.Sender...)
	dst = append(dst, m.Command...)
	dst = append(dst, m.Ext...)
	dst = append(dst, m.Body...)
	return append(dst, m.Tail...)
}

// Ext types. One with the high bit set must be understood, or the message is
// refused; another is skipped by who does not know it.
const (
	ExtParent byte = 1 // u64: the id of the request in whose handler this one was made
	ExtTrace  byte = 2 // the W3C traceparent, as text
	// ExtAttempt is u8, from 2 on: a pool makes the call once more, because a worker died
	// that had it. Set by the arbiter only.
	ExtAttempt byte = 3

	ExtMustUnderstand byte = 0x80
)

// AppendExt appends one extension to dst.
func AppendExt(dst []byte, typ byte, value []byte) []byte {
	dst = append(dst, typ, byte(len(value)>>8), byte(len(value)))
	return append(dst, value...)
}

// AppendParent appends the extension ExtParent to dst.
func AppendParent(dst []byte, id uint64) []byte {
	dst = append(dst, ExtParent, 0, 8)
	return binary.BigEndian.AppendUint64(dst, id)
}

// Parent returns the value of ExtParent, if m has it.
func (m *Message) Parent() (uint64, bool) {
	for ext := m.Ext; len(ext) >= 3; {
		n := int(binary.BigEndian.Uint16(ext[1:3]))
		if len(ext) < 3+n {
			break
		}
		if ext[0] == ExtParent && n == 8 {
			return binary.BigEndian.Uint64(ext[3:11]), true
		}
		ext = ext[3+n:]
	}
	return 0, false
}

// Attempt returns the value of ExtAttempt, 1 if m does not have it.
func (m *Message) Attempt() int {
	for ext := m.Ext; len(ext) >= 3; {
		n := int(binary.BigEndian.Uint16(ext[1:3]))
		if len(ext) < 3+n {
			break
		}
		if ext[0] == ExtAttempt && n == 1 {
			return max(1, int(ext[3]))
		}
		ext = ext[3+n:]
	}
	return 1
}

// Bytes returns the bytes of s without copying them, for a Message's fields. They
// must not be written to; nothing in this module writes to a Message's names.
func Bytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// CheckExt reports whether the extensions of m are whole and none is one that
// must be understood and is not.
func (m *Message) CheckExt() error {
	for ext := m.Ext; len(ext) > 0; {
		if len(ext) < 3 {
			return &MalformedError{"its extensions are cut short"}
		}
		n := int(binary.BigEndian.Uint16(ext[1:3]))
		if len(ext) < 3+n {
			return &MalformedError{"its extensions are cut short"}
		}
		if ext[0]&ExtMustUnderstand != 0 {
			return &MalformedError{fmt.Sprintf("it needs extension %d, which this version does not know", ext[0])}
		}
		ext = ext[3+n:]
	}
	return nil
}

// Credit is what the receiver of data has taken so far, counted from the
// connection's first message and never reset. A credit frame carries Messages in
// ID and Bytes and Started in the body, 16 bytes.
type Credit struct {
	Messages uint64 // data messages taken: their room is free again
	Bytes    uint64 // their cost: see Cost
	Started  uint64 // how many requests' handlers have begun
}

// MessageOverhead is what a message costs in a window beside its bytes, so that a
// window of bytes bounds the memory of small messages too.
const MessageOverhead = 192

// Cost is what a data message of size bytes (Message.Size) takes of a window.
func Cost(size int) int { return size + MessageOverhead }

// Message returns c as a credit frame whose body uses buf's room.
func (c Credit) Message(buf *[16]byte) Message {
	binary.BigEndian.PutUint64(buf[:8], c.Bytes)
	binary.BigEndian.PutUint64(buf[8:], c.Started)
	return Message{Kind: KindCredit, Codec: CodecRaw, ID: c.Messages & MaxID, Body: buf[:]}
}

// ParseCredit reads the credit frame m.
func ParseCredit(m *Message) (Credit, error) {
	if len(m.Body) < 16 {
		return Credit{}, &MalformedError{"a credit without its counters"}
	}
	return Credit{
		Messages: m.ID,
		Bytes:    binary.BigEndian.Uint64(m.Body[:8]),
		Started:  binary.BigEndian.Uint64(m.Body[8:16]),
	}, nil
}
