package pickle

import (
	"fmt"
	"math/big"
	"slices"
)

// Append appends the pickle of v to dst, as CPython writes it in protocol 2, with
// the module names of Python 2. What stands in v twice is written once, and
// fetched from the memo where it stands again; what holds itself is allowed.
//
// The error is an *Error, and dst is then returned as it was. A pickle longer than
// l.Message, containers more than l.Depth deep in one another and an int longer
// than l.IntBytes are TooLarge. Text that is not UTF-8 (but for lone surrogates),
// a date that does not exist, a list as the key of a dict, a nil Value and the like
// have no pickle; a tuple as a key is not looked into. It takes
// time in proportion to l.Message and the size of v, and a bounded stack.
func Append(dst []byte, v Value, l Limits) ([]byte, error) {
	e := encoder{limits: l, dst: dst, start: len(dst)}
	e.tasks, e.memo.few = e.taskRoom[:0], e.memoRoom[:0]
	e.dst = append(e.dst, opProto, protocol)
	e.run(v)
	e.op(opStop)
	if e.fault != nil {
		return dst, e.fault
	}
	return e.dst, nil
}

// encoder writes one pickle. After a fault the steps go on; run looks at it
// between them.
type encoder struct {
	limits Limits
	dst    []byte
	start  int // where the pickle begins in dst
	fault  *Error

	tasks  []task // the containers that are being written, outermost first
	memo   memo
	global [globalIDs]int32 // the memo's entry of each known global and 1; 0: none

	taskRoom [8]task
	memoRoom [32]entry
}

// task is a container that is being written.
type task struct {
	v     Value
	phase int
	at    int // the next item, or half of a pair
}

func (e *encoder) refuse(format string, args ...any) {
	if e.fault == nil {
		e.fault = &Error{Offset: -1, Reason: fmt.Sprintf(format, args...)}
	}
}

func (e *encoder) tooLarge(format string, args ...any) {
	if e.fault == nil {
		e.fault = &Error{Offset: -1, Reason: fmt.Sprintf(format, args...), TooLarge: true}
	}
}

// fits reports whether n more bytes fit into the message, and makes room for them: twice
// as much as there was, since append would allocate a large one many times over.
func (e *encoder) fits(n int) bool {
	if e.fault != nil {
		return false
	}
	have := len(e.dst) - e.start
	if n > e.limits.message()-have {
		e.tooLarge("its pickle would be longer than %d bytes", e.limits.message())
		return false
	}
	if n > cap(e.dst)-len(e.dst) {
		more := max(n, min(len(e.dst), e.limits.message()-have))
		e.dst = slices.Grow(e.dst, more)
	}
	return true
}

func (e *encoder) op(op byte) {
	if e.fits(1) {
		e.dst = append(e.dst, op)
	}
}

// run writes v. Each turn writes one value, then takes from the innermost
// container the next one, ending those that have no more.
func (e *encoder) run(v Value) {
	for e.fault == nil {
		e.value(v)
		for {
			if len(e.tasks) == 0 || e.fault != nil {
				return
			}
			next, more := e.resume(&e.tasks[len(e.tasks)-1])
			if more {
				v = next
				break
			}
			e.tasks = e.tasks[:len(e.tasks)-1]
		}
	}
}

// begin makes v, a container, the innermost one.
func (e *encoder) begin(v Value) {
	if len(e.tasks) >= e.limits.depth() {
		e.tooLarge("containers stand more than %d deep in one another", e.limits.depth())
		return
	}
	e.tasks = append(e.tasks, task{v: v})
}

// value writes v, or begins to.
func (e *encoder) value(v Value) {
	key, shares := keyOf(v)
	if !shares {
		e.number(v)
		return
	}
	if e.fetch(key) {
		return
	}
	switch v := v.(type) {
	case Str:
		if !validText(string(v)) {
			e.refuse("text %.40q is not UTF-8; use Bytes for bytes", string(v))
			return
		}
		e.text(string(v))
		e.put(key)
	case Bytes:
		e.bytes(string(v))
		e.put(key)
	case *ByteArray:
		e.byteArray(v.Data)
		e.put(key)
	case *List:
		e.op(opEmptyList)
		e.put(key)
		e.begin(v)
	case *Dict:
		if v.Ordered {
			e.known(collectionsOrderedDict)
			e.op(opEmptyTuple)
			e.op(opReduce)
		} else {
			e.op(opEmptyDict)
			if v.State != nil {
				e.refuse("a dict that is not Ordered has no State")
			}
		}
		e.put(key)
		e.begin(v)
	case *Deque:
		e.known(collectionsDeque)
		e.op(opEmptyTuple)
		if v.Bounded {
			if v.MaxLen < 0 {
				e.refuse("there is no deque of at most %d items", v.MaxLen)
			}
			e.int(int64(v.MaxLen))
			e.op(opTuple2)
			e.skip()
		}
		e.op(opReduce)
		e.put(key)
		e.begin(v)
	case *Tuple:
		if len(v.Items) > 3 {
			e.op(opMark)
		}
		e.begin(v)
	case *Set:
		if v.Frozen {
			e.known(builtinFrozenSet)
		} else {
			e.known(builtinSet)
		}
		e.op(opEmptyList)
		e.skip()
		e.begin(v)
	case *Ref:
		e.known(copyregReconstructor)
		e.known(pulsarActorProxy)
		e.known(builtinObject)
		e.op(opNone)
		e.op(opTuple3)
		e.skip()
		e.op(opReduce)
		e.put(key)
		e.op(opEmptyDict)
		e.skip()
		e.op(opMark)
		e.begin(v)
	case *Object:
		if v.Args == nil {
			e.refuse("an object without arguments: its Args is nil")
			return
		}
		e.begin(v)
	case *UUID:
		e.known(uuidUUID)
		e.op(opEmptyTuple)
		e.op(opNewObj)
		e.put(key)
		e.op(opEmptyDict)
		e.skip()
		e.name("int")
		e.big(new(big.Int).SetBytes(v[:]))
		e.op(opSetItem)
		e.op(opBuild)
	case *Global:
		e.class(v, key)
	case *Zone:
		e.zone(v)
		e.put(key)
	default:
		e.small(v)
		e.put(key)
	}
}

// resume goes on with a container after its last value was written, and returns
// the next one. Where there is none, the container is whole.
func (e *encoder) resume(t *task) (next Value, more bool) {
	switch v := t.v.(type) {
	case *List:
		return e.items(t, v.Items, true)
	case *Deque:
		return e.items(t, v.Items, false)
	case *Tuple:
		if t.at < len(v.Items) {
			t.at++
			return v.Items[t.at-1], true
		}
		e.endTuple(v)
	case *Dict:
		if t.phase == 0 {
			if next, more := e.pairs(t, v.Pairs, !v.Ordered); more {
				if t.at%2 == 1 && !hashable(next) {
					e.refuse("%s is the key of a dict, and has no hash", kind(next))
				}
				return next, true
			}
			t.phase = 1
			if v.State != nil {
				return v.State, true
			}
		}
		if v.State != nil {
			e.op(opBuild)
		}
	case *Set:
		if next, more := e.items(t, v.Items, true); more {
			if !hashable(next) {
				e.refuse("%s is in a set, and has no hash", kind(next))
			}
			return next, true
		}
		e.op(opTuple1)
		e.skip()
		e.op(opReduce)
		e.putOrFetch(v)
	case *Ref:
		return e.ref(t, v)
	case *Object:
		return e.object(t, v)
	}
	return nil, false
}

// items writes the MARKs and APPENDs around the items of t: batches of 1,000, and
// a single APPEND for one item. CPython's pickler in C uses that for a list only if
// it has a single item; for what else has items, if the last batch has.
func (e *encoder) items(t *task, items []Value, list bool) (next Value, more bool) {
	n := len(items)
	first := t.at - t.at%batchSize // of the batch that t.at is in
	if t.at == n || t.at == first {
		if t.at > 0 { // a batch is whole
			if first == t.at {
				first -= batchSize
			}
			if alone(first, t.at, list) {
				e.op(opAppend)
			} else {
				e.op(opAppends)
			}
		}
		if t.at == n {
			return nil, false
		}
		if !alone(t.at, n, list) {
			e.op(opMark)
		}
	}
	t.at++
	return items[t.at-1], true
}

// pairs is items for pairs; t.at counts keys and values.
func (e *encoder) pairs(t *task, pairs []Pair, dict bool) (next Value, more bool) {
	i := t.at / 2
	if t.at%2 == 1 {
		t.at++
		return pairs[i].Value, true
	}
	n := len(pairs)
	first := i - i%batchSize
	if i == n || i == first {
		if i > 0 {
			if first == i {
				first -= batchSize
			}
			if alone(first, i, dict) {
				e.op(opSetItem)
			} else {
				e.op(opSetItems)
			}
		}
		if i == n {
			return nil, false
		}
		if !alone(i, n, dict) {
			e.op(opMark)
		}
	}
	t.at++
	return pairs[i].Key, true
}

// alone reports whether the items from first to end are one that goes without a
// MARK.
func alone(first, end int, exact bool) bool {
	return end-first == 1 && (first == 0 || !exact)
}

func (e *encoder) endTuple(v *Tuple) {
	n := len(v.Items)
	if n == 0 {
		e.op(opEmptyTuple) // the only container CPython does not memoise
		return
	}
	key, _ := keyOf(v)
	if at, ok := e.memo.find(key); ok {
		// It holds itself, and was written while it was: CPython throws away what it
		// has on the stack and fetches that one.
		if n > 3 {
			e.op(opPopMark)
		} else {
			for range n {
				e.op(opPop)
			}
		}
		e.get(at)
		return
	}
	switch n {
	case 1:
		e.op(opTuple1)
	case 2:
		e.op(opTuple2)
	case 3:
		e.op(opTuple3)
	default:
		e.op(opTuple)
	}
	e.put(key)
}

// putOrFetch memoises v, the result of the call just written, or fetches it if it
// holds itself and was written meanwhile.
func (e *encoder) putOrFetch(v Value) (fetched bool) {
	key, _ := keyOf(v)
	if at, ok := e.memo.find(key); ok {
		e.op(opPop)
		e.get(at)
		return true
	}
	e.put(key)
	return false
}

// The phases of an object.
const (
	objectClass = iota
	objectArgs
	objectCall
	objectItems
	objectPairs
	objectState
	objectDone
)

func (e *encoder) object(t *task, v *Object) (next Value, more bool) {
	for {
		switch t.phase {
		case objectClass:
			switch v.Class.(type) {
			case *Global, *Object:
			default:
				e.refuse("the class of an object is %s; it is a *Global or an *Object", kind(v.Class))
				return nil, false
			}
			t.phase = objectArgs
			return v.Class, true
		case objectArgs:
			t.phase = objectCall
			return v.Args, true
		case objectCall:
			if v.New {
				e.op(opNewObj)
			} else {
				e.op(opReduce)
			}
			if e.putOrFetch(v) {
				return nil, false
			}
			t.phase = objectItems
		case objectItems:
			if len(v.Items) > 0 {
				if next, more := e.items(t, v.Items, false); more {
					return next, true
				}
			}
			t.phase, t.at = objectPairs, 0
		case objectPairs:
			if len(v.Pairs) > 0 {
				if next, more := e.pairs(t, v.Pairs, false); more {
					return next, true
				}
			}
			t.phase = objectState
			if v.State != nil {
				return v.State, true
			}
		case objectState:
			if v.State != nil {
				e.op(opBuild)
			}
			t.phase = objectDone
		default:
			return nil, false
		}
	}
}

// ref writes the attributes of an ActorProxy and its BUILD.
func (e *encoder) ref(t *task, v *Ref) (next Value, more bool) {
	t.phase++
	switch t.phase {
	case 1:
		return Str("aid"), true
	case 2:
		return Str(v.AID), true
	case 3:
		return Str("name"), true
	case 4:
		return Str(v.Name), true
	case 5:
		return Str("cfg"), true
	case 6:
		return v.Config, true
	}
	if v.Address != nil {
		switch t.phase {
		case 7:
			return Str("address"), true
		case 8:
			return v.Address, true
		}
	}
	e.op(opSetItems)
	e.op(opBuild)
	return nil, false
}
