package wire

import (
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/arbiter-go/arbiter/internal/pickle"
)

// encodePickle appends v as a pickle of protocol 2.
func encodePickle(dst []byte, v pickle.Value) ([]byte, error) {
	out, err := pickle.Append(dst, v, pickle.Limits{Message: math.MaxInt})
	if err != nil {
		return dst, pickleError(err, CodeNotEncodable)
	}
	return out, nil
}

// pythonOf returns the value of Python that body, in c, means. The error is a
// *FieldError.
func pythonOf(c Codec, body []byte) (pickle.Value, error) {
	switch c {
	case CodecNone:
		return pickle.None{}, nil
	case CodecRaw:
		return pickle.Bytes(body), nil
	case CodecCBOR:
		if len(body) == 0 {
			return pickle.None{}, nil
		}
		if fault := checkCBOR(body, Limits{}, 0, Limits{}.budget()); fault != nil {
			return nil, fault
		}
		v, _, err := pythonItem(body, 0)
		return v, err
	case CodecJSON:
		var v any
		if fault := decode(CodecJSON, body, &v, Limits{}); fault != nil {
			return nil, fault
		}
		b, err := Encode(CodecCBOR, nil, v)
		if err != nil {
			return nil, err
		}
		return pythonOf(CodecCBOR, b)
	}
	return nil, invalid("there is no codec %d", c)
}

// pythonItem returns the value of the item at the start of b, which was checked, and
// where it ends. depth is bounded by that check.
func pythonItem(b []byte, depth int) (v pickle.Value, end int, err error) {
	h, _ := readHead(b)
	end = h.size
	switch h.major {
	case majorUint:
		if h.arg > math.MaxInt64 {
			return pickle.Big{Int: new(big.Int).SetUint64(h.arg)}, end, nil
		}
		return pickle.Int(h.arg), end, nil
	case majorNegint:
		if h.arg > math.MaxInt64 {
			n := new(big.Int).SetUint64(h.arg)
			return pickle.Big{Int: n.Not(n)}, end, nil
		}
		return pickle.Int(^int64(h.arg)), end, nil
	case majorBytes:
		end += int(h.arg)
		return pickle.Bytes(b[h.size:end]), end, nil
	case majorText:
		end += int(h.arg)
		return pickle.Str(b[h.size:end]), end, nil
	case majorArray:
		items := make([]pickle.Value, h.arg) // at most as many as b has bytes, and charged
		for i := range items {
			var n int
			if items[i], n, err = pythonItem(b[end:], depth+1); err != nil {
				return nil, 0, inArgument(err, fmt.Sprintf("[%d]", i))
			}
			end += n
		}
		return &pickle.List{Items: items}, end, nil
	case majorMap:
		return pythonMap(b, h)
	case majorTag:
		return pythonTag(b, h)
	}
	switch h.info {
	case 20:
		return pickle.Bool(false), end, nil
	case 21:
		return pickle.Bool(true), end, nil
	case 25, 26, 27:
		var f float64
		if err := valueDec.Unmarshal(b[:end], &f); err != nil {
			return nil, 0, invalid("a float that cannot be read: %v", err)
		}
		return pickle.Float(f), end, nil
	}
	return pickle.None{}, end, nil
}

func pythonMap(b []byte, h head) (v pickle.Value, end int, err error) {
	end = h.size
	d := &pickle.Dict{Pairs: make([]pickle.Pair, 0, h.arg)}
	for range h.arg {
		key, n, err := pythonItem(b[end:], 1)
		if err != nil {
			return nil, 0, inArgument(err, "[key]")
		}
		name := describeKey(b[end : end+n])
		end += n
		if key, err = hashable(key); err != nil {
			return nil, 0, err
		}
		item, n, err := pythonItem(b[end:], 1)
		if err != nil {
			return nil, 0, inArgument(err, "["+name+"]")
		}
		end += n
		d.Pairs = append(d.Pairs, pickle.Pair{Key: key, Value: item})
	}
	if twice(d.Pairs) {
		return nil, 0, invalid("a key that stands twice in one map")
	}
	return d, end, nil
}

// hashable returns v as it may be a key of a dict or be in a set: a list as a tuple, a
// set as a frozenset.
func hashable(v pickle.Value) (pickle.Value, error) {
	switch v := v.(type) {
	case *pickle.List:
		t := &pickle.Tuple{Items: v.Items}
		for i := range t.Items {
			var err error
			if t.Items[i], err = hashable(t.Items[i]); err != nil {
				return nil, err
			}
		}
		return t, nil
	case *pickle.Set:
		v.Frozen = true
	case *pickle.Dict:
		return nil, &FieldError{Code: CodeNotEncodable, Reason: "a map as a key or in a set, which Python cannot have"}
	}
	return v, nil
}

func pythonTag(b []byte, h head) (v pickle.Value, end int, err error) {
	v, n, err := pythonItem(b[h.size:], 1)
	if err != nil {
		return nil, 0, err
	}
	end = h.size + n
	switch h.arg {
	case tagTimeText:
		s := string(v.(pickle.Str))
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return nil, 0, invalid("the time %q is not as RFC 3339 has it", tell(s, 40))
		}
		v, err = momentOf(t)
		return v, end, err
	case tagTimeUnix:
		var t time.Time
		if err := valueDec.Unmarshal(b[:end], &t); err != nil {
			return nil, 0, invalid("a time that cannot be read: %v", err)
		}
		v, err = momentOf(t.UTC())
		return v, end, err
	case tagBigPos, tagBigNeg:
		n := new(big.Int).SetBytes([]byte(v.(pickle.Bytes)))
		if h.arg == tagBigNeg {
			n.Not(n)
		}
		if n.IsInt64() {
			return pickle.Int(n.Int64()), end, nil
		}
		return pickle.Big{Int: n}, end, nil
	case tagUUID:
		id := new(pickle.UUID)
		copy(id[:], v.(pickle.Bytes))
		return id, end, nil
	case tagSet:
		s := &pickle.Set{Items: v.(*pickle.List).Items}
		for i := range s.Items {
			if s.Items[i], err = hashable(s.Items[i]); err != nil {
				return nil, 0, err
			}
		}
		return s, end, nil
	}
	return v, end, nil
}

// momentOf is t as Python has it, to the microsecond.
func momentOf(t time.Time) (pickle.Value, error) {
	if t.Year() < 1 || t.Year() > 9999 {
		return nil, &FieldError{Code: CodeNotEncodable, Reason: fmt.Sprintf("the year %d, which Python does not have", t.Year())}
	}
	_, offset := t.Zone()
	zone := &pickle.Zone{Offset: pickle.Delta{Seconds: offset}}
	if offset < 0 {
		zone.Offset = pickle.Delta{Days: -1, Seconds: 86400 + offset}
	}
	return &pickle.DateTime{
		Date: pickle.Date{Year: t.Year(), Month: int(t.Month()), Day: t.Day()},
		Time: pickle.Time{Hour: t.Hour(), Minute: t.Minute(), Second: t.Second(), Microsecond: t.Nanosecond() / 1000, Zone: zone},
	}, nil
}
