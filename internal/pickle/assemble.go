package pickle

import (
	"bytes"
	"encoding/binary"
	"math"
)

// This file has what the opcodes do to the memo and to values on the stack.

// put notes the top of the stack in the memo. CPython numbers the entries from 0
// without gaps, and enters neither numbers nor the empty tuple: so no entry can
// be asked for that was not paid for, and no large int stand in many places.
func (d *decoder) put(at int64) {
	if !d.reach(1) {
		return
	}
	if at != int64(len(d.memo)) {
		d.refuse("memo entry %d where %d comes next", at, len(d.memo))
		return
	}
	v := d.stack[len(d.stack)-1]
	switch v := v.(type) {
	case None, Bool, Int, Big, Float:
		d.refuse("%s in the memo", kind(v))
		return
	case *Object:
		if v.memo != 0 {
			v.held = true
		} else {
			v.memo = int32(at) + 1
		}
	}
	if len(d.memo) == cap(d.memo) {
		var ok bool
		if d.memo, ok = room(d, d.memo, 1, chargeSlot); !ok {
			return
		}
	}
	d.memo = append(d.memo, v)
}

func (d *decoder) get(at int64) {
	if d.fault != nil {
		return
	}
	if at >= int64(len(d.memo)) {
		d.refuse("memo entry %d, and there are %d", at, len(d.memo))
		return
	}
	v := d.memo[at]
	if o, ok := v.(*Object); ok {
		o.held = true
	}
	d.push(v)
}

func (d *decoder) tuple(items []Value) {
	if !d.spend(chargeNode + chargeSlot*len(items)) {
		return
	}
	t := take(&d.store.tuples)
	if len(items) > 0 {
		t.Items = append(d.store.few(len(items)), items...)
	}
	for _, item := range items {
		if !hashable(item) {
			t.loose = true
			break
		}
	}
	d.push(t)
}

// append appends items to the list or whatever is on top of the stack.
func (d *decoder) append(items []Value) {
	var to *[]Value
	switch v := d.stack[len(d.stack)-1].(type) {
	case *List:
		to = &v.Items
	case *Deque:
		to = &v.Items
	case *Object:
		if len(v.Pairs) > 0 || v.State != nil {
			d.refuse("something is appended to an object that has its items or its state already")
			return
		}
		to = &v.Items
	default:
		d.refuse("something is appended to %s", kind(v))
		return
	}
	if *to == nil && len(items) <= fewItems {
		if d.spend(chargeSlot * len(items)) {
			*to = append(d.store.few(len(items)), items...)
		}
		return
	}
	if grown, ok := room(d, *to, len(items), chargeSlot); ok {
		*to = append(grown, items...)
	}
}

// set sets pairs, keys and values by turns, in the dict or whatever is on top of
// the stack.
func (d *decoder) set(items []Value) {
	if len(items)%2 != 0 {
		d.refuse("a key without a value")
		return
	}
	var to *[]Pair
	strict := true
	switch v := d.stack[len(d.stack)-1].(type) {
	case *Dict:
		to = &v.Pairs
	case *Object:
		if v.State != nil {
			d.refuse("something is set in an object that has its state already")
			return
		}
		to, strict = &v.Pairs, false
	default:
		d.refuse("something is set in %s", kind(v))
		return
	}
	pairs, ok := room(d, *to, len(items)/2, chargePair)
	if !ok {
		return
	}
	for i := 0; i < len(items); i += 2 {
		if strict && !hashable(items[i]) {
			d.refuse("%s is the key of a dict, and has no hash", kind(items[i]))
			return
		}
		pairs = append(pairs, Pair{items[i], items[i+1]})
	}
	*to = pairs
}

// global reads the two lines of a GLOBAL.
func (d *decoder) global() {
	module, ok1 := d.line("module")
	name, ok2 := d.line("name")
	if ok1 && ok2 && d.spend(2*chargeNode) {
		g := take(&d.store.globals)
		*g = Global{module, name, identify(module, name)}
		d.push(g)
	}
}

func (d *decoder) line(what string) (s string, ok bool) {
	if d.fault != nil {
		return "", false
	}
	rest := d.data[d.pos:]
	n := bytes.IndexByte(rest, '\n')
	if n < 0 {
		d.refuse("it is cut short in the %s of a global", what)
		return "", false
	}
	d.pos += n + 1
	s = d.copyText(rest[:n])
	if s == "" || !ascii(s) {
		d.refuse("the %s of a global is empty or not ASCII", what)
		return "", false
	}
	return s, true
}

// call is REDUCE and NEWOBJ: it keeps what they would call.
func (d *decoder) call(fresh bool) {
	class, args := d.stack[len(d.stack)-2], d.stack[len(d.stack)-1]
	t, ok := args.(*Tuple)
	if !ok {
		d.refuse("the arguments are %s, not a tuple", kind(args))
		return
	}
	d.drop(2)
	switch c := class.(type) {
	case *Global:
		v, enough := d.known(c, t.Items, fresh)
		if !enough {
			return
		}
		if v != nil {
			d.push(v)
			return
		}
	case *Object:
	default:
		d.refuse("%s is called", kind(class))
		return
	}
	if d.spend(chargeObject) {
		o := take(&d.store.objects)
		o.Class, o.Args, o.New = class, t, fresh
		d.push(o)
	}
}

// build is BUILD: it keeps the state of an object.
func (d *decoder) build() {
	state := d.stack[len(d.stack)-1]
	d.drop(1)
	switch v := d.stack[len(d.stack)-1].(type) {
	case *Object:
		switch {
		case v.State == nil:
			// What becomes a value of another type must be held by nobody who would
			// keep the object.
			if !v.held {
				known, enough := d.built(v, state)
				if !enough {
					return
				}
				if known != nil {
					d.stack[len(d.stack)-1] = known
					if v.memo != 0 {
						d.memo[v.memo-1] = known
					}
					return
				}
			}
			v.State = state
		case v.State != state: // CPython repeats the state of what holds itself
			d.refuse("an object gets a second state")
		}
	case *Dict:
		switch {
		case !v.Ordered:
			d.refuse("a dict gets a state")
		case v.State == nil:
			v.State = state
		case v.State != state:
			d.refuse("an OrderedDict gets a second state")
		}
	default:
		d.refuse("%s gets a state", kind(v))
	}
}

// discard drops the value of a POP. CPython pops only what turned out to hold
// itself, and fetches it from the memo instead. Dropping an object that is not in
// the memo would drop what its call does, unless it is the same call that is
// fetched.
func (d *decoder) discard(v Value) {
	o, ok := v.(*Object)
	if !ok || o.memo != 0 {
		return
	}
	if same, ok := d.next().(*Object); ok && same.New == o.New && same.Class == o.Class {
		return
	}
	d.refuseDrop()
}

// discardAll drops the values of a POP_MARK: the items of a tuple, which CPython has
// put into the memo, each that can be.
func (d *decoder) discardAll(items []Value) {
	for _, v := range items {
		if o, ok := v.(*Object); ok && o.memo == 0 {
			d.refuseDrop()
			return
		}
	}
}

func (d *decoder) refuseDrop() {
	d.refuse("the result of a call is dropped, and with it what the call does")
}

// next returns what the next opcode gets from the memo, or nil.
func (d *decoder) next() Value {
	rest := d.data[d.pos:]
	at := uint32(math.MaxUint32)
	switch {
	case len(rest) >= 2 && rest[0] == opBinGet:
		at = uint32(rest[1])
	case len(rest) >= 5 && rest[0] == opLongBinGet:
		at = binary.LittleEndian.Uint32(rest[1:])
	}
	if uint64(at) >= uint64(len(d.memo)) {
		return nil
	}
	return d.memo[at]
}
