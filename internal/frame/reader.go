package frame

import (
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf8"
)

// Masking says what a Reader demands of the frames it reads.
type Masking uint8

const (
	// Unmasked refuses masked frames: the raw profiles, and the client's side of
	// a websocket.
	Unmasked Masking = iota
	// MaskRequired refuses frames without a mask: the server's side of a websocket
	// (RFC 6455 §5.1).
	MaskRequired
)

// DefaultLimit is the limit of a message, in bytes, when Options name none.
const DefaultLimit = 16 << 20

// Options are what a Reader takes and refuses. The zero value takes unmasked
// messages of one frame each.
type Options struct {
	// Masking says whether frames must be masked or must not be. Default: Unmasked.
	Masking Masking
	// Limit is the longest payload of one whole message, in bytes, its fragments
	// together. Default (0 or less): DefaultLimit. Control frames are not concerned.
	Limit int
	// Fragments lets a message come in fragments, which are put together. Default:
	// it is refused.
	Fragments bool
	// TextUTF8 refuses text that is not valid UTF-8: in fragments, or in a frame
	// larger than the buffer, as soon as that shows. Default: text is not looked at.
	TextUTF8 bool
	// Place, if not nil, is asked where the payload of a large binary frame of one
	// fragment without a mask goes. head is its first PlaceHead bytes, valid only during
	// the call, and n its length, which is within the limit. The last bytes of the
	// payload are then read into dst, as many as that has, and are what Next returns; of
	// those before them, at most PlaceHead, there is no more than head. What the capacity
	// of dst has beyond its length may be written to. A dst of nil: into a buffer of the
	// Reader's, as without Place. The error is one for Next. It is not asked where a
	// frame of less than 64 KiB has come whole with others.
	Place func(head []byte, n int) (dst []byte, err error)
	// Cut has a message for which there is no memory (SetMemory) read all the same, and told
	// without its end: see Reader.Missing. Default: it is an error.
	Cut bool
	// Buffers, if not nil, are where the buffer comes from. If the stream is Patient, it is
	// given back while nothing comes. Default: the reader has one of its own.
	Buffers *Buffers
}

// PlaceHead is how many bytes of a frame Options.Place is given.
const PlaceHead = 40

const (
	minBuffer = 4 << 10   // bytes of the buffer of a reader at rest
	maxBuffer = 256 << 10 // and of one that is kept busy

	// smallRead is the longest read that the smallest buffer would serve as well,
	// and manySmall how many in a row give a larger buffer back.
	smallRead = minBuffer / 2
	manySmall = 16

	// faith is how much is allocated because a header says so.
	faith = 1 << 20

	// maxRest is the largest body that is kept, where memory is counted, while nothing comes.
	maxRest = 4 << 20

	// stub is how much of a message is kept for which there is no memory.
	stub = 2 << 10

	// A body that is no longer needed is let go after manySmaller messages, none
	// longer than a quarter of it.
	manySmaller = 16

	// placeFrom is the least payload that is asked a place for, and ahead how many bytes
	// behind it are read along, where dst has room for them: what tells where the next
	// one goes.
	placeFrom = 32 << 10
	ahead     = MaxHeader + PlaceHead

	// maxEmpty is how many reads in a row may bring nothing.
	maxEmpty = 100
)

// Reader reads messages and control frames from a stream. One goroutine at a time
// may use it.
//
// It reads as much as the stream has and its buffer holds, so that one read takes
// many small frames: what it has read cannot be read from the stream again. Its
// buffer is 4 KiB, up to 256 KiB while reads fill it (see Options.Buffers). A message that is longer or
// in fragments is put together in a body of its own, which is used again and let
// go when traffic becomes smaller.
type Reader struct {
	src       io.Reader
	masking   Masking
	fragments bool
	textUTF8  bool
	limit     int
	place     func([]byte, int) ([]byte, error)
	memory    Memory // nil: nobody counts
	cut       bool
	ends      int      // of a message that is passed over; 0: it is refused
	buffers   *Buffers // nil: it has one of its own
	patient   Patient  // src, if it is one and there are buffers

	buf        []byte  // buf[start:end] is read and not yet used
	lent       *buffer // buf, if it is of buffers
	start, end int
	size       int   // what len(buf) shall be at the next read
	small      int   // small reads in a row
	readErr    error // came with the last bytes; told when they are used up
	err        error // what Next has returned, and returns from then on

	body    []byte // the message that is being put together
	taken   int    // of memory
	missing int    // bytes that the message would have had beyond its body
	smaller int    // messages since the body was last of use
	message bool   // a fragmented message is begun and not ended
	opcode  Opcode // its opcode
	checked int    // how much of the body is known to be UTF-8
}

// NewReader returns a Reader of r. It reads nothing and allocates no buffer before
// the first Next.
func NewReader(r io.Reader, o Options) *Reader {
	x := &Reader{src: r, masking: o.Masking, fragments: o.Fragments, textUTF8: o.TextUTF8, place: o.Place, cut: o.Cut, buffers: o.Buffers, size: minBuffer}
	if o.Buffers != nil {
		x.patient, _ = r.(Patient)
	}
	x.SetLimit(o.Limit)
	return x
}

// SetLimit changes the longest payload of one whole message, in bytes, from the
// next frame on. 0 or less: DefaultLimit.
func (r *Reader) SetLimit(n int) {
	if n <= 0 {
		n = DefaultLimit
	}
	r.limit = n
}

// Ready reports whether a further message or control frame is already in the
// buffer, so that Next returns it, or refuses it, without reading from the
// stream. It is false when the next thing to tell is the end of the stream or a
// header that is refused: who flushes its answers when Ready is false has flushed
// them before it hears of the end.
func (r *Reader) Ready() bool {
	if n, _ := r.plain(); n > 0 {
		return true
	}
	for b := r.buf[r.start:r.end]; ; {
		h, n, err := ParseHeader(b)
		if err != nil || n == 0 || h.Length > uint64(len(b)-n) {
			return false
		}
		if h.Fin {
			return true
		}
		b = b[n+int(h.Length):]
	}
}

// Rest returns a copy of what was read and not used yet, and lets go of the buffer: somebody
// else goes on reading the stream.
func (r *Reader) Rest() []byte {
	rest := bytes.Clone(r.buf[r.start:r.end])
	r.release()
	return rest
}

// Peek returns the payload that Next returns next, if that is a binary frame all of which
// is in the buffer already, and nothing out of the common; else nil. It is valid as long as
// what Next returns: what Next returned before stays so, too, since nothing is read.
func (r *Reader) Peek() []byte {
	n, whole := r.plain()
	if n == 0 {
		return nil
	}
	return r.buf[r.start+n : r.start+whole : r.start+whole]
}

// Next returns the next whole message, as Text or Binary, or the next control
// frame, unmasked. Control frames between the fragments of a message come when
// they arrive, before the message. The payload is valid until the next call of
// Next, but for what Peek says; the caller may change it.
//
// The error is io.EOF if the stream ended after a whole message,
// io.ErrUnexpectedEOF if it ended inside one, an *Error for a violation, or else
// what the stream returned. After an error every call returns that error.
func (r *Reader) Next() (op Opcode, payload []byte, err error) {
	r.missing = 0
	if n, whole := r.plain(); n > 0 {
		payload = r.buf[r.start+n : r.start+whole : r.start+whole]
		r.start += whole
		if r.body != nil {
			r.used(len(payload))
		}
		return Binary, payload, nil
	}
	op, payload, err = r.next()
	if err != nil {
		r.err = err
		r.release() // nothing more will come of it
		r.body = nil
		return 0, nil, err
	}
	return op, payload, nil
}

// plain is the short way for what nearly every frame is: a whole binary message
// without a mask, of at most 65,535 bytes, all in the buffer and nothing wrong with
// it. It returns the sizes of the header and of the whole frame. Everything else
// is 0, and goes the long way, which would lead plain frames to the same end.
func (r *Reader) plain() (n, whole int) {
	b := r.buf[r.start:r.end]
	if len(b) < 2 || b[0] != bitFin|byte(Binary) || r.message || r.masking != Unmasked {
		return 0, 0
	}
	n, length := 2, int(b[1])
	if length > maxControl {
		if length != length16 || len(b) < 4 {
			return 0, 0
		}
		n, length = 4, int(binary.BigEndian.Uint16(b[2:]))
		if length <= maxControl {
			return 0, 0
		}
	}
	if length > r.limit || n+length > len(b) {
		return 0, 0
	}
	return n, n + length
}

func (r *Reader) next() (Opcode, []byte, error) {
	if r.err != nil {
		return 0, nil, r.err
	}
	for {
		h, n, err := ParseHeader(r.buf[r.start:r.end])
		if err != nil {
			return 0, nil, err
		}
		if n == 0 {
			if err := r.fill(r.end - r.start + 1); err != nil {
				return 0, nil, err
			}
			continue
		}
		if err := r.check(&h); err != nil {
			if r.ends > 0 && h.Opcode == Binary && h.Fin && !h.Masked && h.Length > uint64(r.limit) {
				payload, err := r.pass(&h, n)
				return Continuation, payload, err
			}
			return 0, nil, err
		}
		if r.place != nil && h.Opcode == Binary && h.Fin && !h.Masked && h.Length >= placeFrom {
			if dst, err := r.placed(&h, n); dst != nil || err != nil {
				return Binary, dst, err
			}
		}
		if h.Opcode.Control() || h.Fin && !r.message && h.Length <= uint64(maxBuffer-n) && r.affords(r.grown(n+int(h.Length)), cap(r.body)) {
			payload, err := r.view(&h, n)
			return h.Opcode, payload, err
		}
		r.start += n
		if err := r.collect(&h); err != nil {
			return 0, nil, err
		}
		if h.Fin {
			r.message = false
			body := r.body
			r.used(len(body))
			return r.opcode, body, nil
		}
	}
}

// check refuses what is wrong with h in this place of the stream.
func (r *Reader) check(h *Header) error {
	if h.Masked != (r.masking == MaskRequired) {
		if h.Masked {
			return errMasked
		}
		return errUnmasked
	}
	if h.Opcode.Control() {
		return nil
	}
	begun := 0
	switch {
	case !r.fragments && (!h.Fin || h.Opcode == Continuation):
		return errFragments
	case r.message:
		if h.Opcode != Continuation {
			return errInterleaved
		}
		begun = len(r.body) + r.missing
	case h.Opcode == Continuation:
		return errNoStart
	}
	// The length is less than 2^63, so the sum is less than 2^64. Once it is
	// within the limit it is an int on every machine.
	if size := uint64(begun) + h.Length; size > uint64(r.limit) {
		return errTooBig(size, r.limit)
	}
	return nil
}

// view returns the payload of the frame whose header has n bytes, as a part of the
// buffer. The whole frame fits into maxBuffer.
func (r *Reader) view(h *Header, n int) ([]byte, error) {
	whole := n + int(h.Length)
	for r.end-r.start < whole {
		if err := r.fill(whole); err != nil {
			return nil, err
		}
	}
	payload := r.buf[r.start+n : r.start+whole : r.start+whole]
	r.start += whole
	if h.Masked {
		Mask(h.Mask, 0, payload)
	}
	if h.Opcode == Text && r.textUTF8 && !utf8.Valid(payload) {
		return nil, errUTF8
	}
	if r.body != nil && !r.message {
		r.used(len(payload))
	}
	return payload, nil
}

// fill reads once from the stream, into a buffer of at least need bytes, of which
// fewer are there. The size of the buffer follows what the reads bring. What the
// last Next returned may be overwritten.
func (r *Reader) fill(need int) error {
	if need > r.size { // it was asked for: a header fits into any buffer
		r.size, r.small = r.grown(need), 0
	}
	empty := r.start == r.end
	if r.memory != nil && empty && !r.message && cap(r.body) > maxBuffer && (cap(r.body) > maxRest || r.memory.Short()) {
		r.body = nil // it may be long until the next message comes
		r.account()
	}
	var n, free int
	var err error
	if empty && r.patient != nil {
		r.start, r.end = 0, 0
		n, err = r.readLoan()
		free = len(r.buf)
	} else {
		r.hold()
		free = len(r.buf) - r.end
		n, err = r.readStream(r.buf[r.end:])
	}
	r.end += n
	switch {
	case n > smallRead:
		r.small = 0
		if n == free && r.size < maxBuffer && r.affords(r.size*4, cap(r.body)) {
			r.size *= 4
		}
	case r.size > minBuffer:
		if r.small++; r.small >= manySmall {
			r.size, r.small = minBuffer, 0
			r.account()
		}
	}
	return err
}

// readStream reads at least one byte from the stream into b, or returns why it cannot.
func (r *Reader) readStream(b []byte) (int, error) {
	return r.readSome(func() (int, error) { return r.src.Read(b) })
}

// readLoan is readStream into the buffer, which is empty, and which the reader has when it
// returns with something.
func (r *Reader) readLoan() (int, error) {
	return r.readSome(func() (int, error) { return r.patient.ReadLoan(Loan{r}) })
}

func (r *Reader) readSome(read func() (int, error)) (int, error) {
	if r.readErr != nil {
		return 0, r.ended(r.readErr)
	}
	for range maxEmpty {
		n, err := read()
		if n > 0 {
			r.readErr = err
			return n, nil
		}
		if err != nil {
			return 0, r.ended(err)
		}
	}
	return 0, io.ErrNoProgress
}

// cut returns err, as io.ErrUnexpectedEOF if it is io.EOF.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ended returns err, as io.ErrUnexpectedEOF if it is io.EOF inside a message.
func (r *Reader) ended(err error) error {
	if r.message || r.end > r.start {
		return cut(err)
	}
	return err
}
