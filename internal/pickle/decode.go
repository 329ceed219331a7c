package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
)

// Decode reads one pickle of protocol 2, which must be all of data. Nothing in it
// is executed, looked up or imported. What it returns does not point into data; its
// texts point into one copy of it, which lives as long as any of them.
//
// The error is an *Error: the message is malformed, holds what CPython's pickler
// never writes in protocol 2, or is over a limit of l. It takes time and memory in
// proportion to l.Memory at most, and a bounded stack, whatever data is.
func Decode(data []byte, l Limits) (Value, error) {
	var room rooms // not in d: what points into itself is allocated
	d := decoder{limits: l, data: data, left: l.memory()}
	d.stack, d.memo, d.marks = room.stack[:0], room.memo[:0], room.marks[:0]
	v := d.run()
	if d.fault != nil {
		return nil, d.fault
	}
	return v, nil
}

// rooms are what most messages need.
type rooms struct {
	stack [32]Value
	memo  [40]Value
	marks [8]int32
}

// decoder is CPython's unpickling machine, without the hands.
//
// After a fault the steps go on with whatever they have; run looks at it after
// each opcode.
type decoder struct {
	limits Limits
	data   []byte
	op     int // where the current opcode stands
	pos    int // where the next byte stands
	left   int // of the memory budget
	fault  *Error

	stack []Value
	marks []int32 // how high the stack was at each MARK
	memo  []Value

	store store
}

func (d *decoder) refuse(format string, args ...any) {
	d.stop(false, format, args...)
}

func (d *decoder) tooLarge(format string, args ...any) {
	d.stop(true, format, args...)
}

// stop notes the first fault.
func (d *decoder) stop(large bool, format string, args ...any) {
	if d.fault != nil {
		return
	}
	d.fault = &Error{Offset: d.op, Reason: fmt.Sprintf(format, args...), TooLarge: large}
	if d.op < len(d.data) {
		d.fault.Opcode = opcodeName(d.data[d.op])
	}
}

// spend takes n bytes from the memory budget, and reports whether it had them.
func (d *decoder) spend(n int) bool {
	if n > d.left {
		d.tooLarge("its values would take more than %d bytes of memory", d.limits.memory())
		return false
	}
	d.left -= n
	return true
}

func (d *decoder) run() Value {
	if n := len(d.data); n > d.limits.message() {
		d.tooLarge("a message of %d bytes, more than %d", n, d.limits.message())
		return nil
	}
	if !d.start() {
		return nil
	}
	for d.fault == nil {
		d.op = d.pos
		op := d.byte()
		if d.fault != nil {
			break
		}
		if op == opStop {
			return d.end()
		}
		d.step(op)
	}
	return nil
}

// start reads PROTO.
func (d *decoder) start() bool {
	if len(d.data) < 2 {
		d.refuse("it is cut short: a pickle begins with PROTO and a version")
		return false
	}
	if d.data[0] != opProto {
		d.refuse("it begins with byte 0x%02x, not with PROTO (0x80): it is not a pickle, or one of protocol 0 or 1; protocol %d is what pulsar emits and what is read here",
			d.data[0], protocol)
		d.fault.Opcode = "" // whatever it is, it is not meant as one
		return false
	}
	if v := d.data[1]; v != protocol {
		d.refuse("it is of protocol %d; protocol %d is what pulsar emits and what is read here", v, protocol)
		return false
	}
	d.pos = 2
	return true
}

// end is STOP.
func (d *decoder) end() Value {
	switch {
	case len(d.marks) > 0:
		d.refuse("a MARK was never used")
	case len(d.stack) == 0:
		d.refuse("there is no value")
	case len(d.stack) > 1:
		d.refuse("%d values are left over beside the last one", len(d.stack)-1)
	case d.pos < len(d.data):
		d.refuse("%d bytes follow", len(d.data)-d.pos)
	default:
		v := d.stack[0]
		if measure(v, d.limits.depth()) {
			return v
		}
		d.tooLarge("containers stand more than %d deep in one another", d.limits.depth())
	}
	return nil
}

func (d *decoder) step(op byte) {
	switch op {
	case opNone:
		d.push(None{})
	case opNewTrue:
		d.push(Bool(true))
	case opNewFalse:
		d.push(Bool(false))
	case opBinInt1:
		d.push(Int(d.byte())) // Go keeps the boxes of these
	case opBinInt2:
		if b := d.take(2); b != nil && d.spend(chargeNumber) {
			d.push(Int(binary.LittleEndian.Uint16(b)))
		}
	case opBinInt:
		if b := d.take(4); b != nil && d.spend(chargeNumber) {
			d.push(Int(int32(binary.LittleEndian.Uint32(b))))
		}
	case opLong1:
		d.long(int(d.byte()))
	case opLong4:
		if b := d.take(4); b != nil {
			d.long(int(int32(binary.LittleEndian.Uint32(b))))
		}
	case opBinFloat:
		if b := d.take(8); b != nil && d.spend(chargeNumber) {
			d.push(Float(math.Float64frombits(binary.BigEndian.Uint64(b))))
		}
	case opBinUnicode:
		if b := d.take(4); b != nil {
			d.str(int64(binary.LittleEndian.Uint32(b)), false)
		}
	case opBinString:
		if b := d.take(4); b != nil {
			d.str(int64(int32(binary.LittleEndian.Uint32(b))), true)
		}
	case opShortBinString:
		d.str(int64(d.byte()), true)

	case opBinPut:
		d.put(int64(d.byte()))
	case opLongBinPut:
		if b := d.take(4); b != nil {
			d.put(int64(binary.LittleEndian.Uint32(b)))
		}
	case opBinGet:
		d.get(int64(d.byte()))
	case opLongBinGet:
		if b := d.take(4); b != nil {
			d.get(int64(binary.LittleEndian.Uint32(b)))
		}

	case opMark:
		if grown, ok := room(d, d.marks, 1, 4); ok && d.spend(chargeStep) {
			d.marks = append(grown, int32(len(d.stack)))
		}
	case opEmptyTuple:
		d.tuple(nil)
	case opTuple1, opTuple2, opTuple3:
		n := int(op-opTuple1) + 1
		if d.reach(n) {
			items := d.stack[len(d.stack)-n:]
			d.drop(n)
			d.tuple(items)
		}
	case opTuple:
		if items, ok := d.marked(); ok {
			d.tuple(items)
		}
	case opEmptyList:
		if d.spend(chargeNode) {
			d.push(take(&d.store.lists))
		}
	case opEmptyDict:
		if d.spend(2 * chargeNode) {
			d.push(take(&d.store.dicts))
		}
	case opAppend:
		if d.reach(2) {
			item := d.stack[len(d.stack)-1:]
			d.drop(1)
			d.append(item)
		}
	case opAppends:
		if items, ok := d.marked(); ok && d.reach(1) {
			d.append(items)
		}
	case opSetItem:
		if d.reach(3) {
			pair := d.stack[len(d.stack)-2:]
			d.drop(2)
			d.set(pair)
		}
	case opSetItems:
		if items, ok := d.marked(); ok && d.reach(1) {
			d.set(items)
		}

	case opGlobal:
		d.global()
	case opReduce, opNewObj:
		if d.reach(2) {
			d.call(op == opNewObj)
		}
	case opBuild:
		if d.reach(2) && d.spend(chargeStep) {
			d.build()
		}

	case opPop:
		if d.reach(1) && d.spend(chargeStep) {
			v := d.stack[len(d.stack)-1]
			d.drop(1)
			d.discard(v)
		}
	case opPopMark:
		if items, ok := d.marked(); ok {
			d.discardAll(items)
		}

	case opProto:
		d.refuse("PROTO stands only at the start")
	default:
		name, why := describe(op)
		if name == "" {
			d.refuse("byte 0x%02x is not an opcode", op)
			return
		}
		d.refuse("%s", why)
	}
}

// byte returns the next byte.
func (d *decoder) byte() byte {
	if d.pos >= len(d.data) {
		d.refuse("it is cut short")
		return 0
	}
	b := d.data[d.pos]
	d.pos++
	return b
}

// take returns the next n bytes, or nil.
func (d *decoder) take(n int) []byte {
	if n > len(d.data)-d.pos {
		d.refuse("it is cut short: %d bytes where %d remain", n, len(d.data)-d.pos)
		return nil
	}
	b := d.data[d.pos : d.pos+n]
	d.pos += n
	return b
}

// reach reports whether n values stand above the last MARK.
func (d *decoder) reach(n int) bool {
	if d.fault != nil {
		return false
	}
	have := len(d.stack)
	if len(d.marks) > 0 {
		have -= int(d.marks[len(d.marks)-1])
	}
	if have < n {
		d.refuse("it takes %d values, and %d stand above the last MARK", n, have)
		return false
	}
	return true
}

// marked takes the values above the last MARK, and it. They are valid until the
// next push.
func (d *decoder) marked() (items []Value, ok bool) {
	if len(d.marks) == 0 {
		d.refuse("there is no MARK")
		return nil, false
	}
	at := d.marks[len(d.marks)-1]
	d.marks = d.marks[:len(d.marks)-1]
	items = d.stack[at:]
	d.stack = d.stack[:at]
	return items, true
}

func (d *decoder) push(v Value) {
	if d.fault != nil {
		return
	}
	if len(d.stack) == cap(d.stack) {
		var ok bool
		if d.stack, ok = room(d, d.stack, 1, chargeSlot); !ok {
			return
		}
	}
	d.stack = append(d.stack, v)
}

func (d *decoder) drop(n int) { d.stack = d.stack[:len(d.stack)-n] }

// room returns s with place for n more, each of size bytes, if the budget allows.
func room[T any](d *decoder, s []T, n, size int) (grown []T, ok bool) {
	if n <= cap(s)-len(s) {
		return s, true
	}
	want := len(s) + n
	if len(s) > 0 {
		want = max(want, 2*len(s), 4)
	}
	if !d.spend(want * size) {
		return s, false
	}
	grown = make([]T, len(s), want)
	copy(grown, s)
	return grown, true
}

// long reads an int of n bytes.
func (d *decoder) long(n int) {
	if n < 0 {
		d.refuse("an int of %d bytes", n)
		return
	}
	if n > d.limits.intBytes() {
		d.tooLarge("an int of %d bytes, more than %d", n, d.limits.intBytes())
		return
	}
	b := d.take(n)
	if d.fault != nil || !d.spend(chargeNumber) {
		return
	}
	if n <= 8 {
		var u uint64
		for i, c := range b {
			u |= uint64(c) << (8 * i)
		}
		shift := 64 - 8*n
		d.push(Int(int64(u<<shift) >> shift))
		return
	}
	if !d.spend(2*chargeNode + n) {
		return
	}
	be := append(d.store.scratch[:0], b...)
	d.store.scratch = be
	slices.Reverse(be)
	v := new(big.Int)
	if be[0]&0x80 == 0 {
		v.SetBytes(be)
	} else { // two's complement
		for i := range be {
			be[i] ^= 0xff
		}
		v.Not(v.SetBytes(be))
	}
	if v.IsInt64() {
		d.push(Int(v.Int64()))
		return
	}
	d.push(Big{v})
}

// str reads a text of n bytes. One of Python 2 is read as CPython 3 reads it, as
// ASCII.
func (d *decoder) str(n int64, old bool) {
	if d.fault != nil {
		return
	}
	if n < 0 {
		d.refuse("a str of %d bytes", n)
		return
	}
	if n > int64(len(d.data)-d.pos) {
		d.refuse("a str of %d bytes where %d remain", n, len(d.data)-d.pos)
		return
	}
	d.pos += int(n)
	s := d.copyText(d.data[d.pos-int(n) : d.pos])
	switch {
	case old && !ascii(s):
		d.refuse("a str of Python 2 that is not ASCII, which CPython 3 does not read either")
	case !old && !validText(s):
		d.refuse("a str that is not UTF-8")
	case d.spend(chargeText):
		d.push(Str(s))
	}
}
