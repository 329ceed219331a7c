package frame

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"unicode/utf8"
)

func FuzzParseHeader(f *testing.F) {
	for _, l := range lengths {
		f.Add(Header{Fin: true, Opcode: Binary, Length: l.n}.Append(nil))
		f.Add(Header{Opcode: Text, Masked: true, Mask: [4]byte{1, 2, 3, 4}, Length: l.n}.Append(nil))
	}
	f.Add([]byte{})
	f.Add([]byte("\x88\x02\x03\xe8"))
	f.Add([]byte("\xc2\x00"))
	f.Add([]byte("\x82\x7e\x00\x7d"))
	f.Add([]byte("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := ParseHeader(b)
		switch {
		case err != nil:
			var e *Error
			if n != 0 || !errors.As(err, &e) || e.Close != CloseProtocol {
				t.Fatalf("%x: %d, %v", b, n, err)
			}
			return
		case n == 0:
			if len(b) >= MaxHeader {
				t.Fatalf("%x is not enough", b)
			}
			return
		case n > len(b) || n > MaxHeader || n != h.Size():
			t.Fatalf("%x: %+v has %d bytes", b, h, n)
		case h.Length>>63 != 0 || h.Opcode.Control() && (h.Length > 125 || !h.Fin):
			t.Fatalf("%x: took %+v", b, h)
		}
		if got := h.Append(nil); !bytes.Equal(got, b[:n]) {
			t.Fatalf("%x read as %+v, which is written %x", b[:n], h, got)
		}
		// It depends on its own bytes only, and on all of them.
		if again, m, err := ParseHeader(b[:n:n]); again != h || m != n || err != nil {
			t.Fatalf("%x alone: %+v, %d, %v", b[:n], again, m, err)
		}
		for i := range n {
			if _, m, err := ParseHeader(b[:i:i]); m != 0 || err != nil {
				t.Fatalf("%x, a part of a header: %d, %v", b[:i], m, err)
			}
		}
	})
}

func FuzzMask(f *testing.F) {
	f.Add([]byte("0123"), uint8(1), uint8(3), []byte("a payload of more than thirty-two bytes, so that each loop turns"))
	f.Fuzz(func(t *testing.T, k []byte, pos, cut uint8, b []byte) {
		var key [4]byte
		copy(key[:], k)
		want, at := bytes.Clone(b), int(pos%4)
		maskSlowly(key, at, want)
		c := min(int(cut), len(b))
		Mask(key, Mask(key, at, b[:c]), b[c:])
		if !bytes.Equal(b, want) {
			t.Fatalf("%x, want %x", b, want)
		}
	})
}

// model reads a whole stream in the plainest way there is, from RFC 6455 alone,
// and returns what Next should, and the code of the violation that ends it. 0: no
// violation, only the end of the stream, whole or not.
func model(b []byte, o Options) (list []got, code CloseCode, whole bool) {
	limit := o.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	var op Opcode
	var message []byte
	begun := false
	for {
		h, n, err := ParseHeader(b)
		if err != nil {
			return list, CloseProtocol, false
		}
		if n == 0 {
			return list, 0, len(b) == 0 && !begun
		}
		b = b[n:]
		control := h.Opcode >= 8
		switch {
		case h.Masked != (o.Masking == MaskRequired):
			return list, CloseProtocol, false
		case control:
		case !o.Fragments && (!h.Fin || h.Opcode == 0), begun != (h.Opcode == 0):
			return list, CloseProtocol, false
		case h.Length > uint64(limit), len(message)+int(h.Length) > limit:
			return list, CloseTooBig, false
		}
		cut := h.Length > uint64(len(b))
		payload := bytes.Clone(b[:min(h.Length, uint64(len(b)))])
		if h.Masked {
			maskSlowly(h.Mask, 0, payload)
		}
		b = b[len(payload):]
		if control {
			if cut {
				return list, 0, false
			}
			list = append(list, got{h.Opcode, string(payload)})
			continue
		}
		if !begun {
			begun, op = true, h.Opcode
		}
		message = append(message, payload...)
		if op == Text && o.TextUTF8 && !possible(message, h.Fin && !cut) {
			return list, CloseInvalidUTF8, cut // a cut frame need not show it yet
		}
		if cut {
			return list, 0, false
		}
		if h.Fin {
			list = append(list, got{op, string(message)})
			message, begun = nil, false
		}
	}
}

// possible reports whether b is UTF-8, or, unless it is complete, could become so
// when more follows.
func possible(b []byte, complete bool) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !complete && !utf8.FullRune(b)
		}
		b = b[n:]
	}
	return true
}

// pieces gives the stream in pieces whose sizes repeat, and counts its reads.
type pieces struct {
	b     []byte
	sizes []byte
	reads int
}

func (p *pieces) Read(b []byte) (int, error) {
	size := 1 << 20
	if len(p.sizes) > 0 {
		size = int(p.sizes[p.reads%len(p.sizes)])
		if size >= 128 {
			size *= 200 // so that pieces are small, and larger than the buffer
		}
	}
	p.reads++
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.b[:min(max(size, 1), len(p.b))])
	p.b = p.b[n:]
	return n, nil
}

func FuzzReader(f *testing.F) {
	const masked, fragments, utf, repeat, lends = 1, 2, 4, 8, 16
	f.Add(frames("t:é", "b:b", "p:1", "q:", "x:\x03\xe8"), []byte{1}, uint8(utf), uint16(0))
	f.Add(frames("tm:é", "bm:b", "pm:1"), []byte{3, 1}, uint8(masked|utf), uint16(10))
	f.Add(frames("b+:a", "p:1", "c+:b", "c:c", "b:d"), []byte{2}, uint8(fragments), uint16(3))
	f.Add(frames("t+:\xf0", "c+:\x9f", "p:", "c+:\x98", "c:\x80"), []byte{1, 2, 3}, uint8(fragments|utf), uint16(0))
	f.Add(frames("tm+:\xf0", "cm+:\x9f", "cm+:\x28"), []byte{5}, uint8(masked|fragments|utf), uint16(0))
	f.Add(frames("t+:a\xff", "c:"), []byte{}, uint8(fragments|utf), uint16(0))
	f.Add(frames("c:a"), []byte{}, uint8(fragments), uint16(0))
	f.Add(frames("b:"+big(300)), []byte{200, 7}, uint8(repeat), uint16(400))
	f.Add(frames("b:"+big(300), "b+:"+big(200), "c:"+big(201)), []byte{255}, uint8(fragments|repeat), uint16(400))
	f.Add(announce(Header{Fin: true, Opcode: Text}, 60000), []byte{1}, uint8(utf), uint16(0))
	f.Add(announce(Header{Fin: true, Opcode: Text}, 1<<62), []byte{1}, uint8(utf), uint16(0))
	f.Add(frames("b:"+big(300), "t:é", "b:b"), []byte{200, 7, 1}, uint8(repeat|lends), uint16(400))
	f.Fuzz(func(t *testing.T, b, sizes []byte, flags uint8, limit uint16) {
		o := Options{Limit: int(limit) * 3, Fragments: flags&fragments != 0, TextUTF8: flags&utf != 0}
		if flags&masked != 0 {
			o.Masking = MaskRequired
		}
		if flags&repeat != 0 && len(b) > 0 { // long streams out of short inputs
			b = bytes.Repeat(b, 1+70_000/len(b))
		}
		want, code, loose := model(b, o)
		src := &pieces{b: bytes.Clone(b), sizes: sizes}
		var stream io.Reader = src
		if flags&lends != 0 {
			o.Buffers = new(Buffers)
			stream = &hesitant{src, o.Buffers}
		}
		r := NewReader(stream, o)
		most := uint64(faith)
		if o.Limit > 0 {
			most = uint64(o.Limit)
		}
		var list []got
		for {
			ready, reads := r.Ready(), src.reads
			op, payload, err := r.Next()
			if cap(r.buf) > maxBuffer || uint64(cap(r.body)) > most {
				t.Fatalf("holds %d and %d bytes under a limit of %d", cap(r.buf), cap(r.body), o.Limit)
			}
			if ready && src.reads != reads {
				t.Fatal("Ready, but Next had to read")
			}
			if err == nil {
				if !ready && src.reads == reads {
					t.Fatal("not Ready, but Next did not have to read")
				}
				list = append(list, got{op, string(payload)})
				clear(payload)
				continue
			}
			if !slices.Equal(list, want) {
				t.Fatalf("read %s, want %s", short(list), short(want))
			}
			var e *Error
			isViolation := errors.As(err, &e)
			switch {
			case code == 0 && loose: // here: whole
				if err != io.EOF {
					t.Fatalf("%v, want io.EOF", err)
				}
			case code == 0 || loose && err == io.ErrUnexpectedEOF:
				if err != io.ErrUnexpectedEOF {
					t.Fatalf("%v, want io.ErrUnexpectedEOF", err)
				}
			case !isViolation || e.Close != code:
				t.Fatalf("%v, want a violation with %d", err, code)
			}
			return
		}
	})
}
