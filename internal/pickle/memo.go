package pickle

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"unsafe"
)

// key is the identity of a value: where it is. Text and bytes are where their
// bytes are, and as long; the empty ones are one each.
type key struct {
	at   unsafe.Pointer
	what int // never 0: the length of text or bytes and which it is, or identNode
}

const (
	identText = 1 + iota
	identBytes
	identNode
	identKinds = iota
)

type entry struct {
	key key
	at  int32
}

// memo says under which number a value was written. Most messages have few values:
// looking through those is quicker than hashing, and allocates nothing.
type memo struct {
	next int32   // the next number
	few  []entry // up to its capacity; then all are in many
	many []entry // open addressing, at most three quarters full; key.what is 0 where none is
	used int
	// mult hashes: nobody who writes a message knows it, and so which of its texts
	// fall into one place.
	mult  uint64
	shift int
}

func (m *memo) find(k key) (at int32, ok bool) {
	if m.many != nil {
		e := m.place(k)
		return e.at, e.key.what != 0
	}
	for i := range m.few {
		if m.few[i].key == k {
			return m.few[i].at, true
		}
	}
	return 0, false
}

// add gives k, which is not there, the next number.
func (m *memo) add(k key) {
	e := entry{k, m.next}
	m.next++
	if m.many == nil {
		if len(m.few) < cap(m.few) {
			m.few = append(m.few, e)
			return
		}
		m.mult = rand.Uint64() | 1
		m.grow(m.few, 4*len(m.few))
	} else if 4*m.used >= 3*len(m.many) {
		m.grow(m.many, 2*len(m.many))
	}
	*m.place(k) = e
	m.used++
}

// grow moves all entries into a table for size, a power of two.
func (m *memo) grow(all []entry, size int) {
	m.many = make([]entry, size)
	m.shift = 64 - bits.Len(uint(size-1))
	m.used = 0
	for _, e := range all {
		if e.key.what != 0 {
			*m.place(e.key) = e
			m.used++
		}
	}
}

// place returns where k is, or where it would be.
func (m *memo) place(k key) *entry {
	i := (uint64(uintptr(k.at)) ^ uint64(k.what)<<40) * m.mult >> m.shift
	for {
		e := &m.many[i]
		if e.key == k || e.key.what == 0 {
			return e
		}
		i = (i + 1) & uint64(len(m.many)-1)
	}
}

// keyOf returns the identity of v. shares is false for numbers, which CPython never
// puts into the memo, and for nil.
func keyOf(v Value) (k key, shares bool) {
	var p unsafe.Pointer
	switch v := v.(type) {
	case Str:
		return keyOfString(string(v), identText), true
	case Bytes:
		return keyOfString(string(v), identBytes), true
	case *List:
		p = unsafe.Pointer(v)
	case *Tuple:
		p = unsafe.Pointer(v)
	case *Dict:
		p = unsafe.Pointer(v)
	case *Set:
		p = unsafe.Pointer(v)
	case *Deque:
		p = unsafe.Pointer(v)
	case *ByteArray:
		p = unsafe.Pointer(v)
	case *Complex:
		p = unsafe.Pointer(v)
	case *Date:
		p = unsafe.Pointer(v)
	case *Time:
		p = unsafe.Pointer(v)
	case *DateTime:
		// A Date stands at the same place.
		return key{unsafe.Pointer(v), identNode + identKinds}, v != nil
	case *Delta:
		p = unsafe.Pointer(v)
	case *Zone:
		p = unsafe.Pointer(v)
	case *Decimal:
		p = unsafe.Pointer(v)
	case *UUID:
		p = unsafe.Pointer(v)
	case *Ref:
		p = unsafe.Pointer(v)
	case *Global:
		p = unsafe.Pointer(v)
	case *Object:
		p = unsafe.Pointer(v)
	}
	return key{p, identNode}, p != nil
}

func keyOfString(s string, what int) key {
	if s == "" {
		return key{nil, what}
	}
	return key{unsafe.Pointer(unsafe.StringData(s)), len(s)*identKinds + what}
}

// fetch writes what gets the value k from the memo, if it is there.
func (e *encoder) fetch(k key) bool {
	at, ok := e.memo.find(k)
	if ok {
		e.get(at)
	}
	return ok
}

func (e *encoder) get(at int32) { e.numbered(opBinGet, opLongBinGet, at) }

// put memoises the value just written as k.
func (e *encoder) put(k key) {
	e.numbered(opBinPut, opLongBinPut, e.memo.next)
	e.memo.add(k)
}

// skip memoises the value just written, which nobody will fetch, as CPython does.
func (e *encoder) skip() {
	e.numbered(opBinPut, opLongBinPut, e.memo.next)
	e.memo.next++
}

func (e *encoder) numbered(short, long byte, at int32) {
	if at <= math.MaxUint8 {
		if e.fits(2) {
			e.dst = append(e.dst, short, byte(at))
		}
	} else if e.fits(5) {
		e.dst = binary.LittleEndian.AppendUint32(append(e.dst, long), uint32(at))
	}
}
