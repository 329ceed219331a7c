package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// decodeJSON decodes data into what target points to. encoding/json alone would
// take a key that stands twice, make a float of a large integer, and put U+FFFD in
// place of what is not text.
func decodeJSON(data []byte, target reflect.Value, l Limits) *FieldError {
	p := planOf(CodecJSON, target.Type().Elem())
	if p.endless {
		return invalid("%v points to itself", target.Type().Elem())
	}
	if fault := checkJSON(data, l, p.element); fault != nil {
		return fault
	}
	if err := unmarshalJSON(data, target.Interface()); err != nil {
		var mismatch *json.UnmarshalTypeError
		if errors.As(err, &mismatch) {
			return &FieldError{Code: CodeInvalid, Field: mismatch.Field,
				Reason: fmt.Sprintf("want %s, got %s", wanted(CodecJSON, mismatch.Type), literal(data, mismatch))}
		}
		return invalid("%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if p.dynamic {
		if err := settle(target, 0); err != nil {
			return invalid("%v", err)
		}
	}
	return nil
}

func unmarshalJSON(data []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoding it panicked: %v", p)
		}
	}()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}

// literal says what the value of the mismatch is: the library gives the place
// where a string ends.
func literal(data []byte, e *json.UnmarshalTypeError) string {
	switch e.Value {
	case "string":
		end := int(e.Offset)
		if end < 2 || end > len(data) || data[end-1] != '"' {
			return "text"
		}
		for start := end - 2; start >= 0 && end-start < 1<<10; start-- {
			if data[start] != '"' {
				continue
			}
			slashes := 0
			for start-1-slashes >= 0 && data[start-1-slashes] == '\\' {
				slashes++
			}
			if slashes%2 == 0 {
				return describeJSON(data[start:end])
			}
		}
		return "text"
	case "array":
		return "a list"
	case "object":
		return "a map"
	}
	return strings.Replace(tell(e.Value, 60), "bool", "a bool", 1)
}

// describeJSON says in a few words what the checked value data is.
func describeJSON(data []byte) string {
	switch data[0] {
	case '"':
		var s string
		if json.Unmarshal(data, &s) != nil {
			return "text"
		}
		return "text " + strconv.Quote(tell(s, 40))
	case '[':
		return "a list"
	case '{':
		return "a map"
	}
	return tell(string(data), 60)
}

// A jsonLevel is a list or a map that is open in checkJSON.
type jsonLevel struct {
	list  bool
	key   bool // the next string is a key
	keys  keySet
	pairs int
}

// keySet are the keys of one map.
type keySet struct {
	few  []string
	many map[string]struct{}
}

// add notes key, and reports whether it stands in the map already.
func (s *keySet) add(key string) (twice bool) {
	if s.many == nil {
		for _, k := range s.few {
			if k == key {
				return true
			}
		}
		if s.few = append(s.few, key); len(s.few) < 16 {
			return false
		}
		s.many = make(map[string]struct{}, 2*len(s.few))
		for _, k := range s.few {
			s.many[k] = struct{}{}
		}
		return false
	}
	_, twice = s.many[key]
	s.many[key] = struct{}{}
	return twice
}

// checkJSON is to JSON what checkCBOR is to CBOR: one value within l, in UTF-8,
// nothing after it, no key twice, no half of a surrogate pair. It goes without
// recursion.
func checkJSON(data []byte, l Limits, element uint64) *FieldError {
	if !utf8.Valid(data) {
		return invalid("the JSON is not UTF-8")
	}
	// First the grammar, by a scanner that keeps one bit a level; what follows can
	// then trust it.
	if !json.Valid(data) {
		var v json.RawMessage
		if err := json.Unmarshal(data, &v); err != nil {
			return invalid("not JSON: %v", err)
		}
		return invalid("not JSON")
	}
	return walkJSON(data, l, element)
}

// walkJSON is checkJSON for data that is one JSON value in UTF-8.
func walkJSON(data []byte, l Limits, element uint64) *FieldError {
	var (
		open   []jsonLevel
		depth  = l.depth()
		wallet = budget{limit: l.memory(), left: l.memory()}
		least  = max(element, chargeNumber)
		digits = l.intBytes()/2*5 + 20 // a byte of an integer is 2.41 digits
	)
	for at := 0; at < len(data); {
		cost := uint64(0)
		switch b := data[at]; b {
		case ' ', '\t', '\r', '\n', ':':
			at++
		case ',':
			if top := &open[len(open)-1]; !top.list {
				top.key = true
			}
			at++
		case '{', '[':
			if len(open) >= depth {
				return invalid("lists and maps stand more than %d deep in one another (byte %d of the JSON)", depth, at)
			}
			open = append(open, jsonLevel{list: b == '[', key: b == '{'})
			cost = max(least, chargeList)
			if b == '{' {
				cost = max(least, chargeMap)
			}
			at++
		case '}', ']':
			open = open[:len(open)-1]
			at++
		case '"':
			end, escaped := stringEnd(data, at)
			if escaped && loneSurrogate(data[at:end]) {
				return invalid("half of a surrogate pair (byte %d of the JSON)", at)
			}
			cost = max(least, chargeText) + uint64(end-at)
			if len(open) > 0 && open[len(open)-1].key {
				top := &open[len(open)-1]
				key := string(data[at+1 : end-1])
				if escaped {
					if err := json.Unmarshal(data[at:end], &key); err != nil {
						return invalid("not JSON: %v", err)
					}
				}
				if top.keys.add(key) {
					return invalid("the key %q stands twice in one map (byte %d of the JSON)", tell(key, 40), at)
				}
				if top.key = false; top.pairs == 0 {
					cost += chargeGroup
				}
				top.pairs++
				cost += chargePair
			}
			at = end
		default: // a number, true, false or null
			start := at
			at = scalarEnd(data, at)
			if at-start > digits {
				return &FieldError{Code: CodeTooLarge, Reason: fmt.Sprintf("a number of %d digits, more than %d (byte %d of the JSON)", at-start, digits, start)}
			}
			cost = least
		}
		if !wallet.spend(cost) {
			return wallet.refusal()
		}
	}
	return nil
}

// stringEnd returns where the string that starts at data[at] ends, and whether it
// has escapes.
func stringEnd(data []byte, at int) (end int, escaped bool) {
	for at++; data[at] != '"'; at++ {
		if data[at] == '\\' {
			escaped = true
			at++
		}
	}
	return at + 1, escaped
}

// loneSurrogate reports whether the string s has an escape that is half of a
// UTF-16 pair without the other half, which is no character (RFC 8259 §8.2).
func loneSurrogate(s []byte) bool {
	for i := 0; i+1 < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		if i++; s[i] != 'u' {
			continue
		}
		u := hex4(s[i+1:])
		i += 4
		if u < 0xd800 || u > 0xdfff {
			continue
		}
		if u >= 0xdc00 || i+6 >= len(s) || s[i+1] != '\\' || s[i+2] != 'u' {
			return true
		}
		if low := hex4(s[i+3:]); low < 0xdc00 || low > 0xdfff {
			return true
		}
		i += 6
	}
	return false
}

func hex4(s []byte) uint64 {
	n, err := strconv.ParseUint(string(s[:4]), 16, 32)
	if err != nil {
		return 0
	}
	return n
}

// settle gives what stands in the interfaces of v, after a decoder, the types
// that Decode promises: exact numbers, maps by text. hops bounds the way through a
// target that held itself before.
func settle(v reflect.Value, hops int) error {
	if hops > 4*DefaultDepth {
		return errors.New("the target holds itself")
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if !v.CanSet() || v.NumMethod() > 0 {
			return settle(v.Elem(), hops+1)
		}
		x, err := settled(v.Interface(), hops+1)
		if err != nil {
			return err
		}
		if x == nil {
			v.SetZero()
		} else {
			v.Set(reflect.ValueOf(x))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			return settle(v.Elem(), hops+1)
		}
	case reflect.Struct:
		p := planOf(CodecJSON, v.Type())
		if !p.dynamic {
			return nil
		}
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				if err := settle(f, hops+1); err != nil {
					return err
				}
			}
		}
	case reflect.Slice, reflect.Array:
		if !planOf(CodecJSON, v.Type().Elem()).dynamic {
			return nil
		}
		for i := range v.Len() {
			if err := settle(v.Index(i), hops+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		if !planOf(CodecJSON, v.Type().Elem()).dynamic {
			return nil
		}
		for it := v.MapRange(); it.Next(); {
			if k := it.Key(); !k.Comparable() || !k.Equal(k) {
				return errNaN
			}
			part := reflect.New(v.Type().Elem()).Elem()
			part.Set(it.Value())
			if err := settle(part, hops+1); err != nil {
				return err
			}
			v.SetMapIndex(it.Key(), part)
		}
	}
	return nil
}

var errNaN = errors.New("a map whose key is NaN, which equals nothing")

// settled is settle for what an any holds.
func settled(x any, hops int) (any, error) {
	if hops > 4*DefaultDepth {
		return nil, errors.New("the target holds itself")
	}
	var err error
	switch x := x.(type) {
	case json.Number:
		return number(string(x))
	case []any:
		for i := range x {
			if x[i], err = settled(x[i], hops+1); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k, v := range x {
			if x[k], err = settled(v, hops+1); err != nil {
				return nil, err
			}
		}
	case map[any]any:
		text := make(map[string]any, len(x))
		var times map[string]bool // by their images
		for k, v := range x {
			switch k := k.(type) {
			case *big.Int:
				return nil, errors.New("a map whose key is a big int")
			case float64:
				if math.IsNaN(k) {
					return nil, errNaN // setting it below would add one, for ever
				}
			case time.Time:
				image := k.Format(time.RFC3339Nano)
				if times[image] {
					return nil, fmt.Errorf("the key %s stands twice in one map", image)
				}
				if times == nil {
					times = make(map[string]bool)
				}
				times[image] = true
			}
			if v, err = settled(v, hops+1); err != nil {
				return nil, err
			}
			x[k] = v
			if k, ok := k.(string); ok {
				text[k] = v
			}
		}
		if len(text) == len(x) {
			return text, nil
		}
	case string, bool, int64, float64, nil:
	default:
		if v := reflect.ValueOf(x); v.Kind() == reflect.Pointer && planOf(CodecJSON, v.Type()).dynamic {
			return x, settle(v, hops+1)
		}
	}
	return x, nil
}

// number returns the exact value of a JSON number: an int64, a *big.Int, or a
// float64 if it is written as one.
func number(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return n, nil
		}
		if n, ok := new(big.Int).SetString(s, 10); ok {
			return n, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, fmt.Errorf("the number %.40s is out of range", s)
	}
	return f, nil
}
