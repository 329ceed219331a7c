package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"unicode/utf8"

	"github.com/arbiter-go/arbiter/internal/pickle"
)

// decodePickle reads a pickle within the limits of bodies.
func decodePickle(b []byte) (pickle.Value, error) {
	v, err := pickle.Decode(b, pickle.Limits{Message: math.MaxInt})
	if err != nil {
		return nil, pickleError(err, CodeInvalid)
	}
	return v, nil
}

func pickleError(err error, code Code) error {
	var e *pickle.Error
	if errors.As(err, &e) && e.TooLarge {
		code = CodeTooLarge
	}
	return &FieldError{Code: code, Reason: err.Error()}
}

// appendArgs appends the image in CBOR, with FlagArgs, of what a pulsar command is
// called with.
func appendArgs(dst []byte, args *pickle.Tuple, kwargs *pickle.Dict) ([]byte, error) {
	out := append(dst, majorArray<<5|2)
	out = appendHead(out, majorArray, uint64(len(args.Items)))
	p := python{limit: len(dst) + maxPython}
	for i, v := range args.Items {
		var err error
		if out, err = p.append(out, v, 0); err != nil {
			return dst, inArgument(err, fmt.Sprintf("args[%d]", i))
		}
	}
	out = appendHead(out, majorMap, uint64(len(kwargs.Pairs)))
	for _, pair := range kwargs.Pairs {
		key := string(pair.Key.(pickle.Str)) // checkKwargs was there
		k, ok := appendText(out, key)
		if !ok {
			return dst, &FieldError{Code: CodeNotEncodable, Field: fmt.Sprintf("the keyword %q", key), Reason: errSurrogate}
		}
		var err error
		if out, err = p.append(k, pair.Value, 0); err != nil {
			return dst, inArgument(err, key)
		}
	}
	return out, nil
}

// maxPython is how large an image may be, in bytes: what stands in a value many times is
// written each time.
const maxPython = 64 << 20

// appendPython appends the image of v in CBOR, of at most limit bytes (0: maxPython).
// The error is a *FieldError with CodeNotEncodable; dst is then returned as it was.
func appendPython(dst []byte, v pickle.Value, limit int) ([]byte, error) {
	if limit <= 0 {
		limit = maxPython
	}
	p := python{limit: len(dst) + limit}
	out, err := p.append(dst, v, 0)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// python writes values of Python as CBOR.
//
//	None bool int float str bytes      themselves; an int of any size
//	list tuple deque                   a list
//	dict OrderedDict                   a map; keys of text, numbers, bytes
//	set frozenset                      a set
//	bytearray                          bytes
//	datetime with a timezone           a moment
//	datetime without one, date, time   text, as isoformat() writes it: it is no moment
//	timedelta                          seconds, a float
//	Decimal                            text
//	UUID                               a UUID
//	ActorProxy                         a map of aid and name: an actor.Ref
//
// Anything else has no image.
type python struct{ limit int } // of dst

const errSurrogate = "half of a surrogate pair, which is no character outside of Python"

func noImage(format string, args ...any) error {
	return &FieldError{Code: CodeNotEncodable, Reason: fmt.Sprintf(format, args...)}
}

// append appends v. depth is bounded by what Decode lets through, and looked at again
// because a value may hold itself.
func (p *python) append(dst []byte, v pickle.Value, depth int) ([]byte, error) {
	if len(dst) > p.limit {
		return nil, &FieldError{Code: CodeTooLarge, Reason: fmt.Sprintf("its image has more than %d bytes: what stands in it many times is written each time", p.limit)}
	}
	if depth > DefaultDepth {
		return nil, noImage("lists and maps stand more than %d deep in one another, or it holds itself", DefaultDepth)
	}
	switch v := v.(type) {
	case pickle.None:
		return append(dst, null), nil
	case pickle.Bool:
		return appendBool(dst, bool(v)), nil
	case pickle.Int:
		return appendInt(dst, int64(v)), nil
	case pickle.Big:
		return appendBig(dst, v), nil
	case pickle.Float:
		return binary.BigEndian.AppendUint64(append(dst, majorSimple<<5|27), math.Float64bits(float64(v))), nil
	case pickle.Str:
		out, ok := appendText(dst, string(v))
		if !ok {
			return nil, noImage(errSurrogate)
		}
		return out, nil
	case pickle.Bytes:
		return append(AppendBytesHead(dst, len(v)), v...), nil
	case *pickle.ByteArray:
		return append(AppendBytesHead(dst, len(v.Data)), v.Data...), nil
	case *pickle.List:
		return p.list(dst, v.Items, depth)
	case *pickle.Tuple:
		return p.list(dst, v.Items, depth)
	case *pickle.Deque:
		return p.list(dst, v.Items, depth)
	case *pickle.Set:
		return p.list(appendHead(dst, majorTag, tagSet), v.Items, depth)
	case *pickle.Dict:
		return p.dict(dst, v, depth)
	case *pickle.DateTime:
		if v.Time.Zone == nil {
			dst, _ = appendText(dst, dateText(v.Date)+"T"+timeText(v.Time))
			return dst, nil
		}
		zone, ok := zoneText(v.Time.Zone)
		if !ok {
			return nil, noImage("a datetime whose timezone is not of whole minutes")
		}
		dst, _ = appendText(appendHead(dst, majorTag, tagTimeText), dateText(v.Date)+"T"+timeText(v.Time)+zone)
		return dst, nil
	case *pickle.Date:
		dst, _ = appendText(dst, dateText(*v))
		return dst, nil
	case *pickle.Time:
		text := timeText(*v)
		if v.Zone != nil {
			zone, ok := zoneText(v.Zone)
			if !ok {
				return nil, noImage("a time whose timezone is not of whole minutes")
			}
			text += zone
		}
		dst, _ = appendText(dst, text)
		return dst, nil
	case *pickle.Delta:
		seconds := float64(v.Days)*86400 + float64(v.Seconds) + float64(v.Microseconds)/1e6
		return binary.BigEndian.AppendUint64(append(dst, majorSimple<<5|27), math.Float64bits(seconds)), nil
	case *pickle.Decimal:
		out, ok := appendText(dst, v.Text)
		if !ok {
			return nil, noImage("a Decimal that is not text")
		}
		return out, nil
	case *pickle.UUID:
		return append(AppendBytesHead(appendHead(dst, majorTag, tagUUID), len(v)), v[:]...), nil
	case *pickle.Ref:
		return p.ref(dst, v)
	case *pickle.Global:
		return nil, noImage("%s.%s of Python, which only another actor of pulsar can use", v.Module, v.Name)
	case *pickle.Object:
		if r := proxyOf(v); r != nil {
			return p.ref(dst, r)
		}
		return nil, noImage("an object of Python (%s), which only another actor of pulsar can use", className(v))
	case *pickle.Complex:
		return nil, noImage("a complex number")
	}
	return nil, noImage("a %T of Python", v)
}

// proxyOf returns whom o names if it is an ActorProxy as an actor pickles one that it holds:
// NEWOBJ, and its attributes. A *pickle.Ref is one as pulsar's own arbiter does.
func proxyOf(o *pickle.Object) *pickle.Ref {
	class, ok1 := o.Class.(*pickle.Global)
	state, ok2 := o.State.(*pickle.Dict)
	if !ok1 || !ok2 || !o.New || class.Module != "pulsar.async.proxy" || class.Name != "ActorProxy" {
		return nil
	}
	var r pickle.Ref
	for _, p := range state.Pairs {
		text, ok := p.Value.(pickle.Str)
		switch key, _ := p.Key.(pickle.Str); {
		case !ok:
		case key == "aid":
			r.AID = string(text)
		case key == "name":
			r.Name = string(text)
		}
	}
	if r.AID == "" {
		return nil
	}
	return &r
}

// className names the class of o, as far as it is known.
func className(o *pickle.Object) string {
	for range 8 {
		switch c := o.Class.(type) {
		case *pickle.Global:
			if (c.Name == "_reconstructor" || c.Name == "__newobj__") && o.Args != nil && len(o.Args.Items) > 0 {
				if g, ok := o.Args.Items[0].(*pickle.Global); ok {
					c = g
				}
			}
			return tell(c.Module+"."+c.Name, 80)
		case *pickle.Object:
			o = c
		}
	}
	return "unknown"
}

func (p *python) list(dst []byte, items []pickle.Value, depth int) ([]byte, error) {
	dst = appendHead(dst, majorArray, uint64(len(items)))
	for i, item := range items {
		var err error
		if dst, err = p.append(dst, item, depth+1); err != nil {
			return nil, inArgument(err, "["+strconv.Itoa(i)+"]")
		}
	}
	return dst, nil
}

func (p *python) dict(dst []byte, d *pickle.Dict, depth int) ([]byte, error) {
	if d.State != nil {
		return nil, noImage("an OrderedDict with attributes")
	}
	pairs := d.Pairs
	if twice(pairs) {
		pairs = lastOfEach(pairs)
	}
	dst = appendHead(dst, majorMap, uint64(len(pairs)))
	for _, pair := range pairs {
		var name string
		switch key := pair.Key.(type) {
		case pickle.Str:
			name = string(key)
			if !utf8.ValidString(name) {
				return nil, &FieldError{Code: CodeNotEncodable, Field: strconv.Quote(name), Reason: errSurrogate}
			}
		case pickle.Int, pickle.Bool, pickle.None, pickle.Big, pickle.Bytes:
			name = fmt.Sprintf("[%v]", key)
		case pickle.Float:
			if math.IsNaN(float64(key)) {
				return nil, noImage("a map whose key is NaN, which equals nothing")
			}
			name = fmt.Sprintf("[%v]", float64(key))
		default:
			return nil, noImage("a map with a key that is neither text nor a number (%T)", pair.Key)
		}
		var err error
		if dst, err = p.append(dst, pair.Key, depth+1); err != nil {
			return nil, inArgument(err, name)
		}
		if dst, err = p.append(dst, pair.Value, depth+1); err != nil {
			return nil, inArgument(err, name)
		}
	}
	return dst, nil
}

// keyOf is what makes a key of a dict, where it is plain.
func keyOf(v pickle.Value) any {
	switch v := v.(type) {
	case pickle.Big:
		return v.String()
	case pickle.Str, pickle.Bytes, pickle.None:
		return v
	case pickle.Bool: // True is 1
		if v {
			return pickle.Int(1)
		}
		return pickle.Int(0)
	case pickle.Float: // 1.0 is 1
		if n := pickle.Int(v); float64(n) == float64(v) && v < 1<<62 && v > -1<<62 {
			return n
		}
		return v
	}
	return v
}

func twice(pairs []pickle.Pair) bool {
	if len(pairs) < 2 {
		return false
	}
	seen := make(map[any]struct{}, len(pairs))
	for _, p := range pairs {
		k := keyOf(p.Key)
		if _, ok := seen[k]; ok {
			return true
		}
		seen[k] = struct{}{}
	}
	return false
}

// lastOfEach returns what a dict holds that was given a key more than once: the last
// value, at the place of the first.
func lastOfEach(pairs []pickle.Pair) []pickle.Pair {
	at := make(map[any]int, len(pairs))
	var out []pickle.Pair
	for _, p := range pairs {
		k := keyOf(p.Key)
		if n, ok := at[k]; ok {
			out[n].Value = p.Value
			continue
		}
		at[k] = len(out)
		out = append(out, p)
	}
	return out
}

func (p *python) ref(dst []byte, r *pickle.Ref) ([]byte, error) {
	dst = appendHead(dst, majorMap, 2)
	for _, s := range [...]string{"aid", r.AID, "name", r.Name} {
		out, ok := appendText(dst, s)
		if !ok {
			return nil, noImage(errSurrogate)
		}
		dst = out
	}
	return dst, nil
}

// appendBig appends an integer of more than 64 bits with a sign.
func appendBig(dst []byte, n pickle.Big) []byte {
	if n.IsUint64() {
		return appendHead(dst, majorUint, n.Uint64())
	}
	tag := uint64(tagBigPos)
	b := n.Bytes()
	if n.Sign() < 0 { // -1 - n
		tag = tagBigNeg
		m := new(big.Int).Not(n.Int)
		if m.IsUint64() {
			return appendHead(dst, majorNegint, m.Uint64())
		}
		b = m.Bytes()
	}
	return append(AppendBytesHead(appendHead(dst, majorTag, tag), len(b)), b...)
}

func dateText(d pickle.Date) string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

func timeText(t pickle.Time) string {
	s := fmt.Sprintf("%02d:%02d:%02d", t.Hour, t.Minute, t.Second)
	if t.Microsecond > 0 {
		s += fmt.Sprintf(".%06d", t.Microsecond)
	}
	return s
}

// zoneText is the offset of a timezone, as RFC 3339 has it.
func zoneText(z *pickle.Zone) (string, bool) {
	seconds := z.Offset.Days*86400 + z.Offset.Seconds
	if z.Offset.Microseconds != 0 || seconds%60 != 0 {
		return "", false
	}
	sign := byte('+')
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	return fmt.Sprintf("%c%02d:%02d", sign, seconds/3600, seconds/60%60), true
}
