package pickle

import "math/big"

// A Value is one value of Python. The types are, and there are no others:
//
//	None Bool Int Big Float Str Bytes            plain values
//	*List *Tuple *Dict *Set *Deque *ByteArray    containers
//	*Complex *Date *Time *DateTime *Delta *Zone *Decimal *UUID *Ref
//	*Global *Object                              anything else, never executed
//
// Pointers have identity: a list that stands in a value twice is one *List, and
// may hold itself. Text and bytes are one value of Python if they are one Go
// string, the same bytes in memory. A value may be read by any number of
// goroutines; whoever changes one is alone with it.
type Value interface{ python() }

type (
	// None is Python's None.
	None struct{}
	// Bool is a bool.
	Bool bool
	// Int is an int of at most 64 bits.
	Int int64
	// Float is a float. The bits of a NaN are kept.
	Float float64
	// Str is a str, in UTF-8. A lone surrogate, which UTF-8 has no place for, is
	// kept as the three bytes that CPython's error handler surrogatepass writes;
	// utf8.ValidString tells whether there is any.
	Str string
	// Bytes are bytes, which like a str cannot be changed.
	Bytes string
)

// Big is an int of more than 64 bits. Decode never returns one that an Int holds,
// nor a nil one.
type Big struct{ *big.Int }

// List is a list.
type List struct {
	Items []Value
	depth int32
}

// Tuple is a tuple.
type Tuple struct {
	Items []Value
	depth int32
	loose bool // something in it has no hash
}

// Pair is a key of a dict and its value.
type Pair struct{ Key, Value Value }

// Dict is a dict or, if Ordered, a collections.OrderedDict.
type Dict struct {
	// Pairs are all pairs in the order they were sent. A key may repeat: in Python
	// the last one wins, at the place of the first.
	Pairs   []Pair
	Ordered bool
	// State is the attributes an OrderedDict was given, nearly always nil.
	State Value
	depth int32
}

// Set is a set or, if Frozen, a frozenset. Items may repeat.
type Set struct {
	Items  []Value
	Frozen bool
	depth  int32
}

// Deque is a collections.deque.
type Deque struct {
	Items []Value
	// Bounded says that MaxLen is its maxlen; else it has none.
	Bounded bool
	MaxLen  int
	depth   int32
}

// ByteArray is a bytearray.
type ByteArray struct{ Data []byte }

// Complex is a complex.
type Complex struct{ Real, Imag float64 }

// Date is a datetime.date; it exists in the calendar, year 1 to 9999.
type Date struct{ Year, Month, Day int }

// Time is a datetime.time, with its tzinfo or nil. Python's fold does not cross in
// protocol 2.
type Time struct {
	Hour, Minute, Second, Microsecond int
	Zone                              *Zone
}

// DateTime is a datetime.datetime.
type DateTime struct {
	Date Date
	Time Time
}

// Delta is a datetime.timedelta in Python's normal form: Seconds in [0, 86400),
// Microseconds in [0, 1000000), at most 999,999,999 days either way.
type Delta struct{ Days, Seconds, Microseconds int }

// Zone is a datetime.timezone. Its offset is less than a day either way.
type Zone struct {
	Offset Delta
	// Named says that Name was given; else Python makes one of the offset.
	Named bool
	Name  string
}

// Decimal is a decimal.Decimal, as Python writes it: "1.10", "-0E+3", "NaN",
// "Infinity".
type Decimal struct{ Text string }

// UUID is a uuid.UUID.
type UUID [16]byte

// Ref is an ActorProxy of pulsar, which names an actor.
type Ref struct {
	AID, Name string
	// Config is the actor's configuration, an Object or None: real actors take a
	// Ref without one.
	Config Value
	// Address is where the actor listens, or None. It may be nil: not there.
	Address Value
	depth   int32
}

// Global is a class, function or other thing that a module of Python holds. The
// names are those of Python 2 (__builtin__, copy_reg), as protocol 2 has them.
type Global struct {
	Module, Name string
	id           globalID // of what Decode read
}

// Object is what came of calling something with arguments. Nothing here calls it:
// it is kept whole, to be written again.
type Object struct {
	// Class is what was called, a *Global or an *Object.
	Class Value
	Args  *Tuple
	// New says that Class.__new__ was called (NEWOBJ), not Class itself (REDUCE).
	New bool
	// Items and Pairs are what was appended to it and set in it, State what its
	// __setstate__ or __dict__ was given, in this order. State is nil if there was
	// none.
	Items []Value
	Pairs []Pair
	State Value
	depth int32
	memo  int32 // the memo's entry for it and 1; 0: none
	held  bool  // somebody may hold it beside the top of the stack and that entry
}

func (None) python()       {}
func (Bool) python()       {}
func (Int) python()        {}
func (Big) python()        {}
func (Float) python()      {}
func (Str) python()        {}
func (Bytes) python()      {}
func (*List) python()      {}
func (*Tuple) python()     {}
func (*Dict) python()      {}
func (*Set) python()       {}
func (*Deque) python()     {}
func (*ByteArray) python() {}
func (*Complex) python()   {}
func (*Date) python()      {}
func (*Time) python()      {}
func (*DateTime) python()  {}
func (*Delta) python()     {}
func (*Zone) python()      {}
func (*Decimal) python()   {}
func (*UUID) python()      {}
func (*Ref) python()       {}
func (*Global) python()    {}
func (*Object) python()    {}

// kind names v in errors.
func kind(v Value) string {
	switch v := v.(type) {
	case nil:
		return "nothing"
	case None:
		return "None"
	case Bool:
		return "a bool"
	case Int, Big:
		return "an int"
	case Float:
		return "a float"
	case Str:
		return "a str"
	case Bytes:
		return "bytes"
	case *List:
		return "a list"
	case *Tuple:
		return "a tuple"
	case *Dict:
		return "a dict"
	case *Set:
		if v.Frozen {
			return "a frozenset"
		}
		return "a set"
	case *Deque:
		return "a deque"
	case *ByteArray:
		return "a bytearray"
	case *Complex:
		return "a complex"
	case *Date:
		return "a date"
	case *Time:
		return "a time"
	case *DateTime:
		return "a datetime"
	case *Delta:
		return "a timedelta"
	case *Zone:
		return "a timezone"
	case *Decimal:
		return "a Decimal"
	case *UUID:
		return "a UUID"
	case *Ref:
		return "an ActorProxy"
	case *Global:
		return "a global"
	case *Object:
		return "an object"
	}
	return "a value"
}

// hashable reports whether v may be a key: what has no hash in Python may not. Of
// an object nobody knows.
func hashable(v Value) bool {
	switch v := v.(type) {
	case *List, *Dict, *Deque, *ByteArray:
		return false
	case *Set:
		return v.Frozen
	case *Tuple:
		return !v.loose
	}
	return true
}
