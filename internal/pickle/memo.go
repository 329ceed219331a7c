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
	what int // the length of text or bytes and which it is, or identNode
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
	// many are the entries, in pieces that are never moved, and table says where: open
	// addressing, at most three quarters full, of the number of an entry and 1.
	many  [][]entry
	used  int
	table []int32
	// mult hashes: nobody who writes a message knows it, and so which of its texts
	// fall into one place.
	mult  uint64
	shift int
}

// memoPiece is how many entries a piece of the memo has.
const memoPiece = 1 << 9

func (m *memo) find(k key) (at int32, ok bool) {
	if m.table != nil {
		if n := *m.place(k); n != 0 {
			return m.entry(n - 1).at, true
		}
		return 0, false
	}
	for i := range m.few {
		if m.few[i].key == k {
			return m.few[i].at, true
		}
	}
	return 0, false
}

func (m *memo) entry(n int32) *entry { return &m.many[n/memoPiece][n%memoPiece] }

// add gives k, which is not there, the next number.
func (m *memo) add(k key) {
	e := entry{k, m.next}
	m.next++
	if m.table == nil {
		if len(m.few) < cap(m.few) {
			m.few = append(m.few, e)
			return
		}
		m.mult = rand.Uint64() | 1
		m.grow(4 * len(m.few))
		for _, e := range m.few {
			m.enter(e)
		}
	} else if 4*m.used >= 3*len(m.table) {
		m.grow(2 * len(m.table))
	}
	m.enter(e)
}

func (m *memo) enter(e entry) {
	last := len(m.many) - 1
	if m.used%memoPiece == 0 {
		m.many = append(m.many, make([]entry, 0, memoPiece))
		last++
	}
	m.many[last] = append(m.many[last], e)
	m.used++
	*m.place(e.key) = int32(m.used)
}

// grow makes the table one of size places, a power of two.
func (m *memo) grow(size int) {
	m.table = make([]int32, size)
	m.shift = 64 - bits.Len(uint(size-1))
	n := int32(0)
	for _, piece := range m.many {
		for i := range piece {
			n++
			*m.place(piece[i].key) = n
		}
	}
}

// place returns where the number of k is, or where it would be: 0.
func (m *memo) place(k key) *int32 {
	i := (uint64(uintptr(k.at)) ^ uint64(k.what)<<40) * m.mult >> m.shift
	for {
		n := &m.table[i]
		if *n == 0 || m.entry(*n-1).key == k {
			return n
		}
		i = (i + 1) & uint64(len(m.table)-1)
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
