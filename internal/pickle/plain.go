package pickle

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"
)

// Plain takes messages apart that are dicts of plain data, without making their values:
// None, bools, numbers, text, tuples, lists and dicts, as CPython's pickler writes them.
// Of what it has read some pairs can be written anew. It is used again and again, by one
// goroutine, and keeps its room, up to a bound.
//
// It reads a part of what Decode does, and nothing else: what it takes, Decode takes, but
// for Limits.Memory, since it makes nothing that could be paid for; of values there may be
// 2 million, of texts and containers 131,072. And like Append it writes only opcodes it
// has understood, one by one.
type Plain struct {
	data  []byte
	stack []cell
	marks []markAt
	memo  []noted
	pairs []cell // keys and values by turns, and the end
}

// cell is a value on the stack.
type cell struct {
	start int32 // where its first opcode stands
	depth int32 // containers in one another, it counted
	items int32 // of a list or dict, so far
	shape shape
}

type shape uint8

const (
	atomShape shape = iota // None, a bool, a number
	textShape
	solidShape // a tuple that may be a key
	looseShape // a tuple of something that may not
	listShape
	dictShape
)

type markAt struct{ height, at int32 }

// noted is an entry of the memo.
type noted struct {
	from, to int32 // of a text: its bytes
	text     bool
	now      int32 // in what is written, its number and 1; 0: none yet
}

const (
	maxPlainStack  = 1 << 16 // values on the stack …
	maxPlainMemo   = 1 << 17 // … in the memo …
	maxPlainValues = 1 << 21 // … and in all, of what is read without a budget
	maxPlainKept   = 1 << 12 // of stack and memo, of what is kept for the next message
)

// Read takes data apart, and reports whether it is plain: if not, Decode says what it is.
// Until the next Read p points into data.
func (p *Plain) Read(data []byte, l Limits) bool {
	p.data = data
	p.stack, p.marks, p.memo, p.pairs = emptied(p.stack), emptied(p.marks), emptied(p.memo), emptied(p.pairs)
	return len(data) <= min(l.message(), math.MaxInt32) && p.read(l)
}

func emptied[T any](s []T) []T {
	if cap(s) > maxPlainKept {
		return nil
	}
	return s[:0]
}

func (p *Plain) read(l Limits) bool {
	data := p.data
	if len(data) < 3 || data[0] != opProto || data[1] != protocol || data[2] != opEmptyDict {
		return false
	}
	pos, values := 2, 0
	for len(p.stack) <= maxPlainStack && values < maxPlainValues && pos < len(data) {
		start, op := pos, data[pos]
		left := len(data) - pos
		pos++
		var c cell
		switch op {
		case opNone, opNewTrue, opNewFalse:
		case opBinInt1:
			pos++
		case opBinInt2:
			pos += 2
		case opBinInt:
			pos += 4
		case opBinFloat:
			pos += 8
		case opLong1:
			if left < 2 || int(data[pos]) > l.intBytes() {
				return false
			}
			pos += 1 + int(data[pos])

		case opBinUnicode:
			if left < 5 {
				return false
			}
			n := binary.LittleEndian.Uint32(data[pos:])
			pos += 4
			if uint64(n) > uint64(len(data)-pos) {
				return false
			}
			from := pos
			pos += int(n)
			if !validText(unsafe.String(unsafe.SliceData(data[from:pos]), pos-from)) { // it is not kept
				return false
			}
			c.shape = textShape
			if pos = p.put(pos, noted{from: int32(from), to: int32(pos), text: true}); pos == 0 {
				return false
			}
		case opBinGet, opLongBinGet:
			at := uint32(0)
			switch {
			case op == opBinGet && left >= 2:
				at = uint32(data[pos])
				pos++
			case op == opLongBinGet && left >= 5:
				at = binary.LittleEndian.Uint32(data[pos:])
				pos += 4
			default:
				return false
			}
			if uint64(at) >= uint64(len(p.memo)) || !p.memo[at].text {
				return false // a container that stands twice
			}
			c.shape = textShape

		case opEmptyTuple:
			c.shape, c.depth = solidShape, 1
		case opEmptyList, opEmptyDict:
			c.shape, c.depth = listShape, 1
			if op == opEmptyDict {
				c.shape = dictShape
			}
			if pos = p.put(pos, noted{}); pos == 0 {
				return false
			}
		case opMark:
			if len(p.stack) == 0 || len(p.marks) >= l.depth() {
				return false
			}
			p.marks = append(p.marks, markAt{int32(len(p.stack)), int32(start)})
			continue
		case opTuple1, opTuple2, opTuple3:
			n := len(p.stack) - int(op-opTuple1) - 1
			if n < p.floor() {
				return false
			}
			start = int(p.stack[n].start)
			if c = p.tuple(n); c.depth > int32(l.depth()) {
				return false
			}
			if pos = p.put(pos, noted{}); pos == 0 {
				return false
			}
		case opTuple:
			m, ok := p.mark()
			if !ok || len(p.stack)-int(m.height) <= 3 {
				return false
			}
			start = int(m.at)
			if c = p.tuple(int(m.height)); c.depth > int32(l.depth()) {
				return false
			}
			if pos = p.put(pos, noted{}); pos == 0 {
				return false
			}

		case opAppend, opSetItem:
			n := len(p.stack) - 1
			if op == opSetItem {
				n--
			}
			if n <= p.floor() || p.stack[n-1].items > 0 || !p.add(n, op == opSetItem, l) {
				return false // of more than one there are batches
			}
			continue
		case opAppends, opSetItems:
			m, ok := p.mark()
			if !ok || int(m.height) <= p.floor() {
				return false
			}
			if m.height == 1 { // the message's own
				return op == opSetItems && p.end(pos, l)
			}
			if !p.add(int(m.height), op == opSetItems, l) {
				return false
			}
			continue
		default:
			return false
		}
		if pos > len(data) {
			return false
		}
		values++
		c.start = int32(start)
		p.stack = append(p.stack, c)
	}
	return false
}

// put reads the opcode that notes the value just read in the memo, and returns where it
// ends; 0 if it is not there.
func (p *Plain) put(pos int, n noted) int {
	at := len(p.memo)
	b := p.data[pos:]
	switch {
	case at < 256 && len(b) >= 2 && b[0] == opBinPut && int(b[1]) == at:
		pos += 2
	case at >= 256 && at < maxPlainMemo && len(b) >= 5 && b[0] == opLongBinPut && int64(binary.LittleEndian.Uint32(b[1:])) == int64(at):
		pos += 5
	default:
		return 0
	}
	if at == cap(p.memo) {
		p.memo = slices.Grow(p.memo, max(at, 64)) // append would move many of them more often
	}
	p.memo = append(p.memo, n)
	return pos
}

// floor is how many values stand below the last MARK.
func (p *Plain) floor() int {
	if n := len(p.marks); n > 0 {
		return int(p.marks[n-1].height)
	}
	return 0
}

func (p *Plain) mark() (m markAt, ok bool) {
	n := len(p.marks) - 1
	if n < 0 {
		return m, false
	}
	m, p.marks = p.marks[n], p.marks[:n]
	return m, true
}

// tuple takes the values from n on, and returns the tuple of them.
func (p *Plain) tuple(n int) cell {
	c := cell{shape: solidShape, depth: 1}
	for i := range p.stack[n:] {
		item := &p.stack[n+i]
		c.depth = max(c.depth, item.depth+1)
		if item.shape >= looseShape {
			c.shape = looseShape
		}
	}
	p.stack = p.stack[:n]
	return c
}

// add puts the values from n on into the container before them, a list or a dict.
func (p *Plain) add(n int, pairs bool, l Limits) bool {
	to, items := &p.stack[n-1], p.stack[n:]
	if n == 1 || pairs && (to.shape != dictShape || !keyed(items)) || !pairs && to.shape != listShape {
		return false
	}
	count := len(items)
	if pairs {
		count /= 2
	}
	if count == 0 || count > batchSize || to.items%batchSize != 0 {
		return false // CPython's batches are full, but for the last one
	}
	to.items += int32(count)
	for i := range items {
		to.depth = max(to.depth, items[i].depth+1)
	}
	p.stack = p.stack[:n]
	return to.depth <= int32(l.depth())
}

// keyed reports whether each second of items may be a key.
func keyed(items []cell) bool {
	for i := 0; i < len(items); i += 2 {
		if items[i].shape >= looseShape {
			return false
		}
	}
	return len(items)%2 == 0
}

// end takes the pairs of the message.
func (p *Plain) end(pos int, l Limits) bool {
	items := p.stack[1:]
	if len(p.marks) > 0 || pos != len(p.data)-1 || p.data[pos] != opStop || !keyed(items) {
		return false
	}
	for i := range items {
		if items[i].depth >= int32(l.depth()) || i%2 == 0 && items[i].shape != textShape {
			return false
		}
	}
	p.pairs = append(append(p.pairs, items...), cell{start: int32(pos - 1)})
	return true
}

// Len is how many pairs there are. All keys are text.
func (p *Plain) Len() int { return len(p.pairs) / 2 }

// Key returns the key of pair i. It is part of the data.
func (p *Plain) Key(i int) []byte { return p.text(&p.pairs[2*i]) }

// Text returns the value of pair i, if that is text. It is part of the data.
func (p *Plain) Text(i int) (b []byte, ok bool) {
	c := &p.pairs[2*i+1]
	if c.shape != textShape {
		return nil, false
	}
	return p.text(c), true
}

// IsNone reports whether the value of pair i is None.
func (p *Plain) IsNone(i int) bool {
	c := &p.pairs[2*i+1]
	return c.shape == atomShape && p.data[c.start] == opNone
}

// IsTuple reports whether the value of pair i is a tuple.
func (p *Plain) IsTuple(i int) bool {
	c := p.pairs[2*i+1].shape
	return c == solidShape || c == looseShape
}

// IsEmptyDict reports whether the value of pair i is a dict that holds nothing.
func (p *Plain) IsEmptyDict(i int) bool {
	c := &p.pairs[2*i+1]
	return c.shape == dictShape && c.depth == 1 && skipPut(p.data, int(c.start)+1) == int(p.pairs[2*i+2].start)
}

// text returns the bytes of a text where it stands or is fetched.
func (p *Plain) text(c *cell) []byte {
	at := int(c.start)
	switch p.data[at] {
	case opBinGet:
		n := p.memo[p.data[at+1]]
		return p.data[n.from:n.to]
	case opLongBinGet:
		n := p.memo[binary.LittleEndian.Uint32(p.data[at+1:])]
		return p.data[n.from:n.to]
	}
	n := int(binary.LittleEndian.Uint32(p.data[at+1:]))
	return p.data[at+5 : at+5+n]
}

// skipPut returns where the opcode at pos ends, if it is one that puts into the memo.
func skipPut(b []byte, pos int) int {
	switch b[pos] {
	case opBinPut:
		return pos + 2
	case opLongBinPut:
		return pos + 5
	}
	return pos
}

// Append appends the pickle of the dict of these pairs, of those that Read has found, to
// dst: what Append writes of it, where CPython has written the data.
func (p *Plain) Append(dst []byte, pairs ...int) []byte {
	size := 16
	for _, i := range pairs {
		size += int(p.pairs[2*i+2].start-p.pairs[2*i].start) + 16
	}
	dst = slices.Grow(dst, size)
	for i := range p.memo {
		p.memo[i].now = 0
	}
	w := plainWriter{p: p, dst: append(dst, opProto, protocol, opEmptyDict, opBinPut, 0), next: 1}
	if len(pairs) != 1 {
		w.dst = append(w.dst, opMark)
	}
	for _, i := range pairs {
		for half := range 2 {
			w.copy(int(p.pairs[2*i+half].start), int(p.pairs[2*i+half+1].start))
		}
	}
	if len(pairs) != 1 {
		return append(w.dst, opSetItems, opStop)
	}
	return append(w.dst, opSetItem, opStop)
}

type plainWriter struct {
	p    *Plain
	dst  []byte
	next int32 // the next number of the memo
}

// copy writes the value whose opcodes stand from pos to end. Of these only those change
// that have a number of the memo.
func (w *plainWriter) copy(pos, end int) {
	data := w.p.data
	run := pos // what stands from here on is written as it is
	for pos < end {
		switch data[pos] {
		case opBinInt1:
			pos += 2
		case opBinInt2:
			pos += 3
		case opBinInt:
			pos += 5
		case opBinFloat:
			pos += 9
		case opLong1:
			pos += 2 + int(data[pos+1])
		case opBinUnicode:
			pos += 5 + int(binary.LittleEndian.Uint32(data[pos+1:]))
		case opBinPut, opLongBinPut:
			w.dst = append(w.dst, data[run:pos]...)
			n := w.p.number(pos)
			pos = skipPut(data, pos)
			run = pos
			w.put(n)
		case opBinGet:
			w.dst = append(w.dst, data[run:pos]...)
			w.fetch(w.p.number(pos))
			pos += 2
			run = pos
		case opLongBinGet:
			w.dst = append(w.dst, data[run:pos]...)
			w.fetch(w.p.number(pos))
			pos += 5
			run = pos
		default: // without an operand: Read has let no other through
			pos++
		}
	}
	w.dst = append(w.dst, data[run:end]...)
}

// number returns the entry of the memo that the opcode at pos names.
func (p *Plain) number(pos int) *noted {
	switch p.data[pos] {
	case opBinPut, opBinGet:
		return &p.memo[p.data[pos+1]]
	}
	return &p.memo[binary.LittleEndian.Uint32(p.data[pos+1:])]
}

func (w *plainWriter) put(n *noted) {
	w.numbered(opBinPut, opLongBinPut, w.next)
	w.next++
	n.now = w.next
}

// fetch writes what fetches a text, or the text itself, if it stands in none of the pairs
// before.
func (w *plainWriter) fetch(n *noted) {
	if n.now != 0 {
		w.numbered(opBinGet, opLongBinGet, n.now-1)
		return
	}
	w.dst = binary.LittleEndian.AppendUint32(append(w.dst, opBinUnicode), uint32(n.to-n.from))
	w.dst = append(w.dst, w.p.data[n.from:n.to]...)
	w.put(n)
}

func (w *plainWriter) numbered(short, long byte, at int32) {
	if at < 256 {
		w.dst = append(w.dst, short, byte(at))
		return
	}
	w.dst = binary.LittleEndian.AppendUint32(append(w.dst, long), uint32(at))
}
