package pickle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
)

// Every frame captured from pulsar reads as what an independent unpickler saw in it.
func TestCapturedMessages(t *testing.T) {
	compared := 0
	for _, f := range corpus(t) {
		v := decoded(t, f.pickle)
		if string(f.Message) == "null" {
			continue // it was too long to note
		}
		numbers := json.NewDecoder(bytes.NewReader(f.Message))
		numbers.UseNumber()
		var want any
		if err := numbers.Decode(&want); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(typed(v, nil))
		if err != nil {
			t.Fatal(err)
		}
		if want, err := json.Marshal(numbered(want)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %.600s\nwant %.600s", f.File, got, want)
		}
		compared++
	}
	if compared < 660 {
		t.Errorf("only %d frames say what is in them", compared)
	}
}

// What is not a known value passes through and names what it named.
func TestCapturedGlobals(t *testing.T) {
	for _, f := range corpus(t) {
		out, err := Append(nil, decoded(t, f.pickle), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range f.Globals {
			if line := "c" + strings.Replace(g, " ", "\n", 1) + "\n"; !bytes.Contains(out, []byte(line)) {
				t.Errorf("%s: %q is lost", f.File, g)
			}
		}
	}
}

// TestCapturedSameBytes holds the writer to the bytes of CPython's pickler in C.
func TestCapturedSameBytes(t *testing.T) {
	for _, f := range corpus(t) {
		got, err := Append([]byte("before"), decoded(t, f.pickle), Limits{})
		if err != nil {
			t.Errorf("%s: %v", f.File, err)
		} else if got, ok := bytes.CutPrefix(got, []byte("before")); !ok || !bytes.Equal(got, f.pickle) {
			t.Errorf("%s:\n got %.400q\nwant %.400q", f.File, got, f.pickle)
		}
	}
}

type object = map[string]any

// typed writes v in the JSON of testdata/README.md. around are the containers v
// stands in.
func typed(v Value, around []Value) any {
	n := int64(0)
	for _, c := range around {
		switch c.(type) {
		case *List, *Dict:
			if c == v {
				return object{"$t": "ref", "n": number(n)}
			}
			n++
		}
	}
	in := append(around[:len(around):len(around)], v)
	list := func(items []Value) any {
		all := []any{}
		for _, item := range items {
			all = append(all, typed(item, in))
		}
		return all
	}
	pairs := func(pairs []Pair) any {
		all := []any{}
		for _, p := range pairs {
			all = append(all, []any{typed(p.Key, in), typed(p.Value, in)})
		}
		return all
	}
	call := func(id globalID, args ...Value) object {
		module, name := id.name()
		return object{"$t": "obj", "op": "REDUCE", "cls": module + " " + name, "args": list(args)}
	}
	latin := func(b string, codec Str) []Value {
		return []Value{Str(appendLatin1(nil, b)), codec}
	}
	stamp := func(b []byte, zone *Zone) []Value {
		if zone == nil {
			return []Value{Bytes(b)}
		}
		return []Value{Bytes(b), zone}
	}
	switch v := v.(type) {
	case None:
		return nil
	case Bool:
		return bool(v)
	case Int:
		if v > 1<<53 || v < -1<<53 {
			return typed(Big{big.NewInt(int64(v))}, in)
		}
		return number(int64(v))
	case Big:
		return object{"$t": "int", "v": v.String()}
	case Float:
		f := float64(v)
		if f != math.Trunc(f) && f == f {
			return fraction(f)
		}
		return object{"$t": "float", "v": show(v)}
	case Str:
		return jsonText(string(v))
	case Bytes:
		if v == "" {
			return call(builtinBytes)
		}
		return call(codecsEncode, latin(string(v), "latin1")...)
	case *ByteArray:
		if len(v.Data) == 0 {
			return call(builtinByteArray)
		}
		return call(builtinByteArray, latin(string(v.Data), "latin-1")...)
	case *List:
		return list(v.Items)
	case *Tuple:
		return object{"$t": "tuple", "items": list(v.Items)}
	case *Dict:
		if v.Ordered {
			o := call(collectionsOrderedDict)
			o["dictitems"] = pairs(v.Pairs)
			return o
		}
		o := object{}
		for _, p := range v.Pairs {
			k, ok := p.Key.(Str)
			if !ok {
				return object{"$t": "dict", "items": pairs(v.Pairs)}
			}
			o[string(k)] = typed(p.Value, in)
		}
		return o
	case *Set:
		if v.Frozen {
			return call(builtinFrozenSet, &List{Items: v.Items})
		}
		return call(builtinSet, &List{Items: v.Items})
	case *Deque:
		o := call(collectionsDeque)
		if v.Bounded {
			o = call(collectionsDeque, &Tuple{}, Int(v.MaxLen))
		}
		o["items"] = list(v.Items)
		return o
	case *Complex:
		return call(builtinComplex, Float(v.Real), Float(v.Imag))
	case *Date:
		return call(datetimeDate, Bytes(v.append(nil)))
	case *Time:
		return call(datetimeTime, stamp(v.append(nil), v.Zone)...)
	case *DateTime:
		return call(datetimeDateTime, stamp(v.Time.append(v.Date.append(nil)), v.Time.Zone)...)
	case *Delta:
		return call(datetimeDelta, Int(v.Days), Int(v.Seconds), Int(v.Microseconds))
	case *Zone:
		if v.Named {
			return call(datetimeZone, &v.Offset, Str(v.Name))
		}
		return call(datetimeZone, &v.Offset)
	case *Decimal:
		return call(decimalDecimal, Str(v.Text))
	case *UUID:
		o := call(uuidUUID)
		o["op"] = "NEWOBJ"
		n := new(big.Int).SetBytes(v[:])
		o["state"] = object{"int": typed(Big{n}, in)}
		if n.IsInt64() {
			o["state"] = object{"int": typed(Int(n.Int64()), in)}
		}
		return o
	case *Global:
		return object{"$t": "global", "v": v.Module + " " + v.Name}
	case *Object:
		class := typed(v.Class, in).(object)
		o := object{"$t": "obj", "op": "REDUCE", "cls": class["v"], "args": list(v.Args.Items)}
		if v.New {
			o["op"] = "NEWOBJ"
		}
		if len(v.Items) > 0 {
			o["items"] = list(v.Items)
		}
		if len(v.Pairs) > 0 {
			o["dictitems"] = pairs(v.Pairs)
		}
		if v.State != nil {
			o["state"] = typed(v.State, in)
		}
		return o
	}
	return fmt.Sprintf("%T has no typed JSON", v)
}

// Numbers are compared as text that tells ints from floats.
func number(n int64) string     { return "int " + strconv.FormatInt(n, 10) }
func fraction(f float64) string { return "float " + strconv.FormatFloat(f, 'g', -1, 64) }

// jsonText puts U+FFFD where a lone surrogate stands, as encoding/json does.
func jsonText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == 0xed && s[i+1] >= 0xa0 {
			b.WriteRune('\ufffd')
			i += 3
			continue
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}

// numbered puts the text of number and fraction in the place of numbers.
func numbered(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return number(n)
		}
		f, err := v.Float64()
		if err != nil {
			return err.Error()
		}
		return fraction(f)
	case []any:
		for i := range v {
			v[i] = numbered(v[i])
		}
	case object:
		for k := range v {
			v[k] = numbered(v[k])
		}
	}
	return v
}
