package wire

import (
	"math"
	"reflect"
)

// checkFor is CheckCBOR for a target of type t. First everything is charged as if
// each element were the largest that t has, in one flat walk: nearly every message
// passes that. One that does not is weighed again, by what it will really become.
func checkFor(data []byte, l Limits, p *plan, t reflect.Type) *FieldError {
	fault := checkCBOR(data, l, p.element, l.budget())
	if fault == nil || fault.Code != CodeTooLarge || p.element <= chargeNumber {
		return fault
	}
	sound := Limits{Depth: l.Depth, Memory: math.MaxInt, IntBytes: l.IntBytes}
	if fault := checkCBOR(data, sound, 0, sound.budget()); fault != nil {
		return fault
	}
	s := scale{limits: l, wallet: l.budget()}
	s.weigh(data, t)
	return s.fault
}

// A scale weighs an item that was checked, by the type it is decoded into.
type scale struct {
	limits Limits
	wallet *budget
	fault  *FieldError // the first one
}

func (s *scale) spend(n uint64) {
	if s.fault == nil && !s.wallet.spend(n) {
		s.fault = s.wallet.refusal()
	}
}

// times is n things of size bytes, or more than any budget.
func times(n uint64, size uint64) uint64 {
	if size > 0 && n > math.MaxInt64/size {
		return math.MaxInt64
	}
	return n * size
}

// weigh weighs the item at the start of b, whose own t is paid for already, and
// returns what follows it. It recurs as deep as the item, which was held to
// Limits.Depth, and stops looking at the first fault.
func (s *scale) weigh(b []byte, t reflect.Type) (rest []byte) {
	if s.fault != nil {
		return nil
	}
	h, _ := readHead(b)
	for h.major == majorTag {
		b = b[h.size:]
		h, _ = readHead(b)
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
		s.spend(uint64(t.Size()))
	}
	p := planOf(CodecCBOR, t)
	kind := t.Kind()
	list := h.major == majorArray && !p.marshals
	mapped := h.major == majorMap && !p.marshals
	rest = b[h.size:]
	switch {
	case list && kind == reflect.Slice:
		s.spend(times(h.arg, uint64(t.Elem().Size())))
		for range h.arg {
			rest = s.weigh(rest, t.Elem())
		}
		return rest
	case list && kind == reflect.Array:
		for range h.arg {
			rest = s.weigh(rest, t.Elem())
		}
		return rest
	case list && kind == reflect.Struct:
		for i := range h.arg {
			if i >= uint64(len(p.fields)) {
				rest = s.plain(rest)
				continue
			}
			rest = s.weigh(rest, p.fields[i].typ)
		}
		return rest
	case mapped && kind == reflect.Map:
		if h.arg > 0 {
			// A map starts with eight slots and is half empty at its worst.
			pair := 2 * uint64(t.Key().Size()+t.Elem().Size()+8)
			s.spend(times(max(h.arg, 4), pair) + chargeMap)
		}
		for range h.arg {
			rest = s.weigh(rest, t.Key())
			rest = s.weigh(rest, t.Elem())
		}
		return rest
	case mapped && kind == reflect.Struct:
		for range h.arg {
			if s.fault != nil {
				return nil
			}
			n := itemEnd(rest)
			if f := fieldFor(p.fields, rest[:n]); f != nil {
				rest = s.weigh(rest[n:], f.typ)
			} else {
				rest = s.plain(s.plain(rest)) // the decoder keeps the keys it does not know
			}
		}
		return rest
	}
	return s.plain(b)
}

// plain weighs the item at the start of b as Limits.Memory says, and returns what
// follows it.
func (s *scale) plain(b []byte) []byte {
	if s.fault != nil {
		return nil
	}
	n := itemEnd(b)
	if h, _ := readHead(b[:n]); h.major == majorText || h.major == majorBytes {
		s.spend(chargeText + h.arg)
	} else if h.major == majorArray || h.major == majorMap || h.major == majorTag {
		// The limits on depth and integers were kept by the walk of the whole.
		if fault := checkCBOR(b[:n], s.limits, 0, s.wallet); s.fault == nil {
			s.fault = fault
		}
	} else {
		s.spend(8) // a box, if it goes into an interface
	}
	return b[n:]
}
