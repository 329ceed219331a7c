package pickle

import "math/big"

// globalID says which known global a Global is.
type globalID uint8

// The globals that become values, or are part of how one is written.
const (
	unknown globalID = iota
	codecsEncode
	builtinBytes
	builtinByteArray
	builtinSet
	builtinFrozenSet
	builtinComplex
	builtinObject
	datetimeDate
	datetimeTime
	datetimeDateTime
	datetimeDelta
	datetimeZone
	decimalDecimal
	uuidUUID
	collectionsOrderedDict
	collectionsDeque
	copyregReconstructor
	pulsarActorProxy
	globalIDs
)

// name returns the module and name of a known global, as Python 2 has them.
func (id globalID) name() (module, name string) {
	switch id {
	case codecsEncode:
		return "_codecs", "encode"
	case builtinBytes:
		return "__builtin__", "bytes"
	case builtinByteArray:
		return "__builtin__", "bytearray"
	case builtinSet:
		return "__builtin__", "set"
	case builtinFrozenSet:
		return "__builtin__", "frozenset"
	case builtinComplex:
		return "__builtin__", "complex"
	case builtinObject:
		return "__builtin__", "object"
	case datetimeDate:
		return "datetime", "date"
	case datetimeTime:
		return "datetime", "time"
	case datetimeDateTime:
		return "datetime", "datetime"
	case datetimeDelta:
		return "datetime", "timedelta"
	case datetimeZone:
		return "datetime", "timezone"
	case decimalDecimal:
		return "decimal", "Decimal"
	case uuidUUID:
		return "uuid", "UUID"
	case collectionsOrderedDict:
		return "collections", "OrderedDict"
	case collectionsDeque:
		return "collections", "deque"
	case copyregReconstructor:
		return "copy_reg", "_reconstructor"
	case pulsarActorProxy:
		return "pulsar.async.proxy", "ActorProxy"
	}
	return "", ""
}

// identify is the inverse of globalID.name.
func identify(module, name string) globalID {
	for id := unknown + 1; id < globalIDs; id++ {
		if m, n := id.name(); n == name && m == module {
			return id
		}
	}
	return unknown
}

// known returns the value that the known global g makes of args, or nil if they do
// not fit: then the call stays an Object. enough is false if the budget does not
// allow it.
func (d *decoder) known(g *Global, args []Value, fresh bool) (v Value, enough bool) {
	if fresh { // NEWOBJ: of the known ones only a UUID begins so, and it needs its state
		return nil, true
	}
	switch g.id {
	case codecsEncode:
		if text, ok := textOf(args, "latin1"); ok {
			if !d.spend(chargeText + len(text)) {
				return nil, false
			}
			if b, ok := latin1(text); ok {
				return Bytes(b), true
			}
		}
	case builtinBytes:
		if len(args) == 0 {
			return Bytes(""), d.spend(chargeText)
		}
	case builtinByteArray:
		if len(args) == 0 {
			return &ByteArray{}, d.spend(chargeNode)
		}
		if text, ok := textOf(args, "latin-1"); ok {
			if !d.spend(chargeNode + len(text)) {
				return nil, false
			}
			if b, ok := latin1Bytes(text); ok {
				return &ByteArray{b}, true
			}
		}
	case builtinSet, builtinFrozenSet:
		if l, ok := only[*List](args); ok {
			// The places are paid for again although they are shared: each set is
			// written with all its items.
			if !d.spend(chargeNode + chargeSlot*len(l.Items)) {
				return nil, false
			}
			for _, item := range l.Items {
				if !hashable(item) {
					return nil, true
				}
			}
			return &Set{Items: l.Items[:len(l.Items):len(l.Items)], Frozen: g.id == builtinFrozenSet}, true
		}
	case builtinComplex:
		if len(args) == 2 {
			re, ok1 := args[0].(Float)
			im, ok2 := args[1].(Float)
			if ok1 && ok2 {
				return &Complex{float64(re), float64(im)}, d.spend(chargeNode)
			}
		}
	case datetimeDate:
		if b, ok := only[Bytes](args); ok && len(b) == 4 {
			if date := dateOf(string(b)); date.exists() && d.spend(chargeNode) {
				v := take(&d.store.dates)
				*v = date
				return v, true
			} else if d.fault != nil {
				return nil, false
			}
		}
	case datetimeTime:
		if b, zone, ok := stamp(args); ok && len(b) == 6 {
			if t := timeOf(b, zone); t.exists() {
				return &t, d.spend(chargeNode)
			}
		}
	case datetimeDateTime:
		if b, zone, ok := stamp(args); ok && len(b) == 10 {
			t := DateTime{dateOf(b[:4]), timeOf(b[4:], zone)}
			if t.Date.exists() && t.Time.exists() {
				return &t, d.spend(2 * chargeNode)
			}
		}
	case datetimeDelta:
		if len(args) == 3 {
			days, ok1 := small(args[0])
			secs, ok2 := small(args[1])
			micros, ok3 := small(args[2])
			if delta := (Delta{days, secs, micros}); ok1 && ok2 && ok3 && delta.normal() {
				return &delta, d.spend(chargeNode)
			}
		}
	case datetimeZone:
		if len(args) == 1 || len(args) == 2 {
			delta, ok := args[0].(*Delta)
			if !ok || !delta.withinDay() {
				break
			}
			zone := Zone{Offset: *delta}
			if len(args) == 2 {
				name, ok := args[1].(Str)
				if !ok {
					break
				}
				zone.Named, zone.Name = true, string(name)
			}
			return &zone, d.spend(2*chargeNode + len(zone.Name))
		}
	case decimalDecimal:
		if text, ok := only[Str](args); ok {
			if !d.spend(chargeNode + len(text)) {
				return nil, false
			}
			if decimal(string(text)) {
				return &Decimal{string(text)}, true
			}
		}
	case collectionsOrderedDict:
		if len(args) == 0 {
			return &Dict{Ordered: true}, d.spend(2 * chargeNode)
		}
	case collectionsDeque:
		if len(args) == 0 {
			return &Deque{}, d.spend(2 * chargeNode)
		}
		if len(args) == 2 {
			empty, ok1 := args[0].(*Tuple)
			n, ok2 := args[1].(Int)
			if ok1 && ok2 && len(empty.Items) == 0 && n >= 0 && Int(int(n)) == n {
				return &Deque{Bounded: true, MaxLen: int(n)}, d.spend(2 * chargeNode)
			}
		}
	}
	return nil, true
}

// built returns the value that an object of a known class is with its state, or
// nil: then it stays an Object. enough is false if the budget does not allow it.
func (d *decoder) built(o *Object, state Value) (v Value, enough bool) {
	g, ok := o.Class.(*Global)
	if !ok || len(o.Items) > 0 || len(o.Pairs) > 0 {
		return nil, true
	}
	dict, ok := state.(*Dict)
	if !ok || dict.Ordered {
		return nil, true
	}
	switch {
	case g.id == uuidUUID && o.New && len(o.Args.Items) == 0:
		if u := uuidOf(dict.Pairs); u != nil {
			return u, d.spend(chargeNode)
		}
	case g.id == copyregReconstructor && !o.New && proxyArgs(o.Args.Items):
		if ref := refOf(dict.Pairs); ref != nil {
			return ref, d.spend(chargeObject + len(ref.AID) + len(ref.Name))
		}
	}
	return nil, true
}

// only returns the one argument there is, if it is a T.
func only[T Value](args []Value) (v T, ok bool) {
	if len(args) != 1 {
		return v, false
	}
	v, ok = args[0].(T)
	return v, ok
}

// textOf returns the first of two arguments if the second names codec.
func textOf(args []Value, codec Str) (text string, ok bool) {
	if len(args) != 2 {
		return "", false
	}
	s, ok1 := args[0].(Str)
	name, ok2 := args[1].(Str)
	return string(s), ok1 && ok2 && name == codec
}

// small returns v if it is an int of at most 32 bits.
func small(v Value) (n int, ok bool) {
	i, ok := v.(Int)
	return int(i), ok && i == Int(int32(i))
}

// stamp returns the arguments of a time or datetime: its bytes and its zone.
func stamp(args []Value) (b string, zone *Zone, ok bool) {
	if len(args) != 1 && len(args) != 2 {
		return "", nil, false
	}
	s, ok := args[0].(Bytes)
	if ok && len(args) == 2 {
		zone, ok = args[1].(*Zone)
	}
	return string(s), zone, ok
}

// dateOf reads the four bytes of a date (CPython Lib/datetime.py, date._getstate).
func dateOf(b string) Date {
	return Date{Year: int(b[0])<<8 | int(b[1]), Month: int(b[2]), Day: int(b[3])}
}

// timeOf reads the six bytes of a time (time._getstate).
func timeOf(b string, zone *Zone) Time {
	return Time{int(b[0]), int(b[1]), int(b[2]), int(b[3])<<16 | int(b[4])<<8 | int(b[5]), zone}
}

func (d Date) exists() bool {
	return d.Year >= 1 && d.Year <= 9999 && d.Month >= 1 && d.Month <= 12 && d.Day >= 1 && d.Day <= daysIn(d.Year, d.Month)
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

func (t Time) exists() bool {
	return within(t.Hour, 24) && within(t.Minute, 60) && within(t.Second, 60) && within(t.Microsecond, 1e6)
}

func (d Delta) normal() bool {
	return d.Days >= -999999999 && d.Days <= 999999999 && within(d.Seconds, 86400) && within(d.Microseconds, 1e6)
}

// withinDay reports whether d may be the offset of a zone: less than a day either
// way. Its seconds and microseconds are never negative.
func (d Delta) withinDay() bool {
	return d.normal() && (d.Days == 0 || d.Days == -1 && (d.Seconds > 0 || d.Microseconds > 0))
}

func within(n, limit int) bool { return n >= 0 && n < limit }

// decimal reports whether s is a number as Decimal.__str__ writes it, or near it:
// [sign] digits [. digits] [E [sign] digits], Infinity, NaN or sNaN with digits.
func decimal(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	if s == "Infinity" {
		return true
	}
	if rest, ok := cutAny(s, "NaN", "sNaN"); ok {
		return len(digits(rest)) == 0
	}
	rest := digits(s)
	n := len(s) - len(rest)
	if rest != "" && rest[0] == '.' {
		fraction := digits(rest[1:])
		n += len(rest) - 1 - len(fraction)
		rest = fraction
	}
	if n == 0 {
		return false
	}
	if rest == "" {
		return true
	}
	if rest[0] != 'E' && rest[0] != 'e' {
		return false
	}
	rest = rest[1:]
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		rest = rest[1:]
	}
	return rest != "" && digits(rest) == ""
}

// digits returns what follows the digits at the start of s.
func digits(s string) string {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[i:]
}

func cutAny(s string, prefixes ...string) (rest string, ok bool) {
	for _, p := range prefixes {
		if len(s) >= len(p) && s[:len(p)] == p {
			return s[len(p):], true
		}
	}
	return s, false
}

// uuidOf reads the state {'int': n} that a UUID of CPython 3.6 has.
func uuidOf(state []Pair) *UUID {
	if len(state) != 1 || state[0].Key != Str("int") {
		return nil
	}
	var n *big.Int
	switch v := state[0].Value.(type) {
	case Int:
		n = big.NewInt(int64(v))
	case Big:
		n = v.Int
	default:
		return nil
	}
	if n.Sign() < 0 || n.BitLen() > 128 {
		return nil
	}
	u := new(UUID)
	n.FillBytes(u[:])
	return u
}

// proxyArgs reports whether args are those with which an ActorProxy is made:
// (ActorProxy, object, None).
func proxyArgs(args []Value) bool {
	if len(args) != 3 || args[2] != Value(None{}) {
		return false
	}
	class, ok1 := args[0].(*Global)
	base, ok2 := args[1].(*Global)
	return ok1 && ok2 && class.id == pulsarActorProxy && base.id == builtinObject
}

// refOf reads the state of an ActorProxy: aid, name, cfg and, if it has one,
// address, in any order and each once.
func refOf(state []Pair) *Ref {
	var (
		ref       Ref
		aid, name Value
	)
	for _, p := range state {
		var field *Value
		switch p.Key {
		case Str("aid"):
			field = &aid
		case Str("name"):
			field = &name
		case Str("cfg"):
			field = &ref.Config
		case Str("address"):
			field = &ref.Address
		default:
			return nil
		}
		if *field != nil {
			return nil
		}
		*field = p.Value
	}
	a, ok1 := aid.(Str)
	n, ok2 := name.(Str)
	if !ok1 || !ok2 || ref.Config == nil {
		return nil
	}
	ref.AID, ref.Name = string(a), string(n)
	return &ref
}
