package frame

import (
	"unicode/utf8"
)

// placed reads the payload of the frame whose header has n bytes to where Place wants
// it. It returns nil if that is nowhere.
func (r *Reader) placed(h *Header, n int) ([]byte, error) {
	for r.end-r.start < n+PlaceHead {
		if err := r.fill(n + PlaceHead); err != nil {
			return nil, err
		}
	}
	head := r.start + n
	dst, err := r.place(r.buf[head:head+PlaceHead:head+PlaceHead], int(h.Length))
	if err != nil || dst == nil {
		return nil, err
	}
	r.start = head + int(h.Length) - len(dst)
	if r.body != nil {
		r.used(0)
	}
	for have := 0; have < len(dst); {
		left := len(dst) - have
		if r.start < r.end || left < minBuffer {
			k, err := r.read(dst[have:])
			if err != nil {
				return nil, cut(err)
			}
			have += k
			continue
		}
		k, err := r.readStream(dst[have:min(len(dst)+ahead, cap(dst))])
		if err != nil {
			return nil, cut(err)
		}
		if have += k; have > len(dst) {
			r.hold()
			r.end = copy(r.buf, dst[len(dst):have])
		}
	}
	if r.start == r.end {
		// What is placed comes in rows. What is read of the next one before it is known where that
		// goes is to be moved there.
		r.size, r.small = minBuffer, 0
		r.account()
	}
	return dst, nil
}

// collect adds the payload of a frame to the body. The header has been used.
func (r *Reader) collect(h *Header) error {
	if !r.message {
		r.message, r.opcode = true, h.Opcode
		r.body, r.checked = r.body[:0], 0
	}
	pos := 0
	for left := int(h.Length); left > 0; {
		if !r.reserve(left, h.Fin) {
			if err := r.skip(&left); err != nil {
				return err
			}
			break
		}
		have := len(r.body)
		n, err := r.read(r.body[have:min(have+left, cap(r.body))])
		if err != nil {
			return err
		}
		r.body = r.body[:have+n]
		left -= n
		if h.Masked {
			pos = Mask(h.Mask, pos, r.body[have:])
		}
		if err := r.checkText(h.Fin && left == 0); err != nil {
			return err
		}
	}
	if h.Fin && h.Length == 0 { // the loop has not seen the end
		return r.checkText(true)
	}
	return nil
}

// skip reads the rest of a payload for which there is no memory. As much as fits into a
// stub is kept, because it says what the message was.
func (r *Reader) skip(left *int) error {
	if !r.cut {
		return errMemory
	}
	if r.body == nil {
		r.body = make([]byte, 0, stub) // not counted: it is let go with the message
	}
	for *left > 0 {
		if r.start == r.end {
			if err := r.fill(1); err != nil {
				return err
			}
		}
		b := r.buf[r.start:min(r.end, r.start+*left)]
		r.start += len(b)
		*left -= len(b)
		keep := 0
		if r.missing == 0 {
			keep = min(len(b), cap(r.body)-len(r.body))
			r.body = append(r.body, b[:keep]...)
		}
		r.missing += len(b) - keep
	}
	return nil
}

// read reads some of a payload into b: what is buffered first, then from the
// stream. The end of a payload is read through the buffer, so that the frames
// behind it come with it.
func (r *Reader) read(b []byte) (int, error) {
	if r.start == r.end {
		if len(b) >= r.size {
			return r.readStream(b)
		}
		if err := r.fill(1); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.buf[r.start:r.end])
	r.start += n
	return n, nil
}

// reserve makes room in the body for the next of the left bytes that a frame has
// announced: for all of them up to faith in total, beyond that for as many as have
// arrived. It reports whether there is room for any. Unless the frame is the last of its message there will be more, and
// the body at least doubles.
func (r *Reader) reserve(left int, last bool) bool {
	if r.missing > 0 {
		return false // what comes after what was skipped is skipped, too
	}
	have := len(r.body)
	size := have + left
	if size <= cap(r.body) {
		return true
	}
	double := have + min(have, max(0, r.limit-have)) // never above the limit, never an overflow
	if size > faith {
		if have < cap(r.body) {
			return true // what there is can take some
		}
		size = min(size, max(faith, double))
	}
	if !last {
		size = max(size, double)
	}
	if !r.affords(r.size, size) {
		return false
	}
	body := make([]byte, have, size)
	copy(body, r.body)
	r.body = body
	return true
}

// used notes that a message of n bytes was read, and lets the body go when it has
// not been of use for a while.
func (r *Reader) used(n int) {
	if n > cap(r.body)/4 {
		r.smaller = 0
		return
	}
	if r.smaller++; r.smaller >= manySmaller {
		r.smaller = 0
		r.body = nil
		r.account()
	}
}

// checkText checks what is new in the body, if it is text. A character that is cut
// off at the end is wrong only in the last piece.
func (r *Reader) checkText(last bool) error {
	if r.opcode != Text || !r.textUTF8 {
		return nil
	}
	b := r.body[r.checked:]
	if !last {
		b = b[:len(b)-incomplete(b)]
	}
	if !utf8.Valid(b) {
		return errUTF8
	}
	r.checked += len(b)
	return nil
}

// incomplete returns how many bytes at the end of b begin a character that further
// bytes could complete.
func incomplete(b []byte) int {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if tail := b[len(b)-i:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return i
		}
	}
	return 0
}

// PassLarge has Next read past a binary message of one frame that is over the limit, which it
// refuses otherwise. It then returns Continuation, which nothing else is, and no more of the
// payload than its first and its last ends bytes. It is for readers that take neither masks nor
// fragments.
func (r *Reader) PassLarge(ends int) { r.ends = ends }

// pass reads past the payload of the frame whose header has n bytes, and returns both its ends.
func (r *Reader) pass(h *Header, n int) ([]byte, error) {
	r.start += n
	kept := make([]byte, 0, 2*r.ends)
	for left := h.Length; left > 0; {
		if r.start == r.end {
			if err := r.fill(1); err != nil {
				return nil, cut(err)
			}
		}
		b := r.buf[r.start : r.start+int(min(left, uint64(r.end-r.start)))]
		r.start += len(b)
		left -= uint64(len(b))
		head := min(len(b), max(0, r.ends-len(kept)))
		kept = append(kept, b[:head]...)
		tail := b[max(head, len(b)-r.ends):]
		if over := len(kept) + len(tail) - cap(kept); over > 0 { // of the tail so far
			kept = append(kept[:r.ends], kept[r.ends+over:]...)
		}
		kept = append(kept, tail...)
	}
	return kept, nil
}
