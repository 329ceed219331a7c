package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
)

// number writes a value that has no identity.
func (e *encoder) number(v Value) {
	switch v := v.(type) {
	case None:
		e.op(opNone)
	case Bool:
		if v {
			e.op(opNewTrue)
		} else {
			e.op(opNewFalse)
		}
	case Int:
		e.int(int64(v))
	case Big:
		e.big(v.Int)
	case Float:
		e.float(float64(v))
	default:
		e.refuse("there is a nil Value in it; None is None{}")
	}
}

// int writes an int in the shortest form there is.
func (e *encoder) int(v int64) {
	switch {
	case v >= 0 && v <= math.MaxUint8:
		if e.fits(2) {
			e.dst = append(e.dst, opBinInt1, byte(v))
		}
	case v >= 0 && v <= math.MaxUint16:
		if e.fits(3) {
			e.dst = binary.LittleEndian.AppendUint16(append(e.dst, opBinInt2), uint16(v))
		}
	case v == int64(int32(v)):
		if e.fits(5) {
			e.dst = binary.LittleEndian.AppendUint32(append(e.dst, opBinInt), uint32(v))
		}
	default:
		n := 5
		for n < 8 && v != v<<(64-8*n)>>(64-8*n) {
			n++
		}
		if e.fits(2 + n) {
			e.dst = append(e.dst, opLong1, byte(n))
			for i := range n {
				e.dst = append(e.dst, byte(v>>(8*i)))
			}
		}
	}
}

// big writes an int of any size: two's complement, little-endian, in as few bytes
// as keep its sign (CPython Lib/pickle.py, encode_long).
func (e *encoder) big(v *big.Int) {
	if v == nil {
		e.refuse("there is a Big without a number in it")
		return
	}
	if v.IsInt64() {
		e.int(v.Int64())
		return
	}
	n := v.BitLen()/8 + 1
	if v.Sign() < 0 {
		n = new(big.Int).Not(v).BitLen()/8 + 1 // -2^(8n-1) still fits into n bytes
	}
	if n > e.limits.intBytes() {
		e.tooLarge("an int of %d bytes, more than %d", n, e.limits.intBytes())
		return
	}
	if !e.fits(5 + n) {
		return
	}
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	if n <= math.MaxUint8 {
		e.dst = append(e.dst, opLong1, byte(n))
	} else {
		e.dst = binary.LittleEndian.AppendUint32(append(e.dst, opLong4), uint32(n))
	}
	at := len(e.dst)
	e.dst = append(e.dst, make([]byte, n)...)
	v.FillBytes(e.dst[at:])
	slices.Reverse(e.dst[at:])
}

func (e *encoder) float(v float64) {
	if e.fits(9) {
		e.dst = binary.BigEndian.AppendUint64(append(e.dst, opBinFloat), math.Float64bits(v))
	}
}

// text writes a str that is valid.
func (e *encoder) text(s string) {
	if e.size(len(s)) {
		e.dst = append(e.dst, s...)
	}
}

// size writes the head of a str of n bytes, if all of it fits.
func (e *encoder) size(n int) bool {
	if !e.fits(5+n) || uint64(n) > math.MaxUint32 {
		return false
	}
	e.dst = binary.LittleEndian.AppendUint32(append(e.dst, opBinUnicode), uint32(n))
	return true
}

// name writes a str that is a constant of this package.
func (e *encoder) name(s Str) { e.value(s) }

// bytes writes bytes as CPython does, which in protocol 2 has no opcode for them:
// the call of a function of Python 2 that makes them of text.
func (e *encoder) bytes(b string) {
	if b == "" {
		e.known(builtinBytes)
		e.op(opEmptyTuple)
		e.op(opReduce)
		return
	}
	e.known(codecsEncode)
	e.latin1(b, "latin1")
}

func (e *encoder) byteArray(b []byte) {
	e.known(builtinByteArray)
	if len(b) == 0 {
		e.op(opEmptyTuple)
		e.op(opReduce)
		return
	}
	e.latin1(string(b), "latin-1")
}

// latin1 writes the arguments (text, codec) and the call.
func (e *encoder) latin1(b string, codec Str) {
	if e.size(latin1Len(b)) {
		e.dst = appendLatin1(e.dst, b)
	}
	e.skip()
	e.name(codec)
	e.reduce(2)
}

// reduce makes a tuple of the last n values, 1 to 3, and writes the call with it.
func (e *encoder) reduce(n int) {
	e.op(byte(opTuple1 + n - 1))
	e.skip()
	e.op(opReduce)
}

// known writes a known global.
func (e *encoder) known(id globalID) {
	if at := e.global[id]; at != 0 {
		e.get(at - 1)
		return
	}
	e.global[id] = e.memo.next + 1
	module, name := id.name()
	e.lines(module, name)
	e.skip()
}

// class writes a Global, which may be a known one.
func (e *encoder) class(g *Global, k key) {
	if id := identify(g.Module, g.Name); id != unknown {
		e.known(id)
		return
	}
	for _, s := range [...]string{g.Module, g.Name} {
		if !lineable(s) {
			e.refuse("%.40q is not a name of Python", s)
			return
		}
	}
	e.lines(g.Module, g.Name)
	e.put(k)
}

func (e *encoder) lines(module, name string) {
	if !e.fits(3 + len(module) + len(name)) {
		return
	}
	e.dst = append(e.dst, opGlobal)
	e.dst = append(append(e.dst, module...), '\n')
	e.dst = append(append(e.dst, name...), '\n')
}

// small writes the known values that hold no others, but for a zone.
func (e *encoder) small(v Value) {
	switch v := v.(type) {
	case *Complex:
		e.known(builtinComplex)
		e.float(v.Real)
		e.float(v.Imag)
		e.reduce(2)
	case *Date:
		if !v.exists() {
			e.refuse("there is no date %04d-%02d-%02d", v.Year, v.Month, v.Day)
			return
		}
		e.known(datetimeDate)
		e.stamp(v.append(nil), nil)
	case *Time:
		if !v.exists() {
			e.refuse("there is no time %02d:%02d:%02d.%06d", v.Hour, v.Minute, v.Second, v.Microsecond)
			return
		}
		e.known(datetimeTime)
		e.stamp(v.append(nil), v.Zone)
	case *DateTime:
		if d, t := v.Date, v.Time; !d.exists() || !t.exists() {
			e.refuse("there is no time %04d-%02d-%02d %02d:%02d:%02d.%06d", d.Year, d.Month, d.Day, t.Hour, t.Minute, t.Second, t.Microsecond)
			return
		}
		e.known(datetimeDateTime)
		e.stamp(v.Time.append(v.Date.append(nil)), v.Time.Zone)
	case *Delta:
		e.delta(*v)
	case *Decimal:
		if !decimal(v.Text) {
			e.refuse("%.40q is not a number of Python's decimal", v.Text)
			return
		}
		e.known(decimalDecimal)
		e.text(v.Text)
		e.skip()
		e.reduce(1)
	default:
		e.refuse("%T is not a Value of this package", v)
	}
}

// stamp writes the arguments of a date or time, its bytes and its zone, and the
// call.
func (e *encoder) stamp(b []byte, zone *Zone) {
	e.bytes(string(b))
	e.skip()
	if zone == nil {
		e.reduce(1)
		return
	}
	e.value(zone)
	e.reduce(2)
}

func (e *encoder) delta(d Delta) {
	if !d.normal() {
		e.refuse("there is no timedelta of %d days, %d seconds, %d microseconds", d.Days, d.Seconds, d.Microseconds)
		return
	}
	e.known(datetimeDelta)
	e.int(int64(d.Days))
	e.int(int64(d.Seconds))
	e.int(int64(d.Microseconds))
	e.reduce(3)
}

func (e *encoder) zone(z *Zone) {
	if !z.Offset.withinDay() {
		e.refuse("there is no timezone %d days and %d seconds off", z.Offset.Days, z.Offset.Seconds)
		return
	}
	e.known(datetimeZone)
	e.delta(z.Offset)
	e.skip()
	if !z.Named {
		e.reduce(1)
		return
	}
	e.value(Str(z.Name))
	e.reduce(2)
}

// append appends the four bytes of a date.
func (d Date) append(dst []byte) []byte {
	return append(dst, byte(d.Year>>8), byte(d.Year), byte(d.Month), byte(d.Day))
}

// append appends the six bytes of a time.
func (t Time) append(dst []byte) []byte {
	us := t.Microsecond
	return append(dst, byte(t.Hour), byte(t.Minute), byte(t.Second), byte(us>>16), byte(us>>8), byte(us))
}
