package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
)

type tile struct {
	N    int
	Done chan int
}

type job struct {
	Name  string
	Tiles []tile
}

type node struct {
	Name string
	Next *node
	Kids []*node
}

type (
	selfPointer *selfPointer
	selfSlice   []selfSlice
	selfMap     map[string]selfMap
)

type opaque struct{ hidden int }

type failing struct{}

func (failing) MarshalCBOR() ([]byte, error) { return nil, errors.New("no ink") }
func (failing) MarshalJSON() ([]byte, error) { return nil, errors.New("no ink") }

type panicking struct{ X int }

func (panicking) MarshalCBOR() ([]byte, error)  { panic("boom") }
func (*panicking) UnmarshalCBOR([]byte) error   { panic("boom") }
func (panicking) MarshalJSON() ([]byte, error)  { panic("boom") }
func (*panicking) UnmarshalJSON(b []byte) error { panic("boom") }

func TestEncodeRefusals(t *testing.T) {
	ring := &node{Name: "a"}
	ring.Next = &node{Name: "b", Next: ring}
	inSlice := &node{Name: "a"}
	inSlice.Kids = []*node{inSlice, inSlice}
	inMap := map[string]any{}
	inMap["self"] = inMap
	var inInterface any
	inInterface = &inInterface
	inList := []any{nil}
	inList[0] = inList
	var loop selfPointer
	loop = &loop
	slice := selfSlice{nil}
	slice[0] = slice
	deepMap := selfMap{}
	deepMap["x"] = deepMap
	deep := any(1)
	for range DefaultDepth + 1 {
		deep = []any{deep}
	}

	for name, tt := range map[string]struct {
		codecs []Codec
		v      any
		want   string // what the error says
	}{
		"chan in slice":      {nil, job{"x", []tile{{}, {}, {}, {Done: make(chan int)}}}, "cannot encode wire.job: field Tiles[0].Done: chan int has no image on the wire"},
		"nil func":           {nil, struct{ F []func() }{[]func(){nil}}, "field F[0]: func() has no image on the wire"},
		"func":               {nil, func() {}, "cannot encode func(): func() has no image on the wire"},
		"complex":            {nil, struct{ C complex128 }{}, "field C: complex128 has no image"},
		"func in any":        {nil, map[string]any{"f": []any{1, func() {}}}, `field ["f"][1]: func() has no image on the wire`},
		"opaque":             {nil, opaque{1}, "wire.opaque has no exported field"},
		"opaque in any":      {nil, struct{ E error }{errors.New("x")}, "field E: errors.errorString has no exported field"},
		"utf8":               {nil, "a\xffb", `text "a\xffb" is not UTF-8`},
		"utf8 in struct":     {nil, &node{Kids: []*node{nil, {Name: "\xff"}}}, `field Kids[1].Name: text "\xff" is not UTF-8`},
		"utf8 in key":        {nil, map[string]int{"\xff": 1}, `field ["\xff"]: text "\xff" is not UTF-8`},
		"marshaler fails":    {nil, struct{ F failing }{}, "field F: wire.failing: "},
		"marshaler panics":   {nil, struct{ P *panicking }{&panicking{}}, "field P: wire.panicking: encoding it panicked: boom"},
		"top panics":         {nil, panicking{}, "boom"},
		"ring":               {nil, ring, "does it hold itself?"},
		"ring by slices":     {nil, inSlice, "does it hold itself?"},
		"ring by map":        {nil, inMap, "does it hold itself?"},
		"ring by interface":  {nil, inInterface, "does it hold itself?"},
		"ring by list":       {nil, inList, "does it hold itself?"},
		"ring by own slice":  {nil, slice, "does it hold itself?"},
		"ring by own map":    {nil, deepMap, "does it hold itself?"},
		"endless pointer":    {nil, loop, "points to itself"},
		"endless in struct":  {nil, struct{ L []selfPointer }{[]selfPointer{loop}}, "field L[]: wire.selfPointer points to itself"},
		"endless in any":     {nil, []any{loop}, "field [0]: wire.selfPointer points to itself"},
		"deep":               {nil, deep, "more than 1000 deep"},
		"NaN":                {[]Codec{CodecJSON}, struct{ F []float64 }{[]float64{1, math.NaN()}}, "field F[1]: NaN has no image in JSON"},
		"unlisted tag":       {[]Codec{CodecCBOR}, []any{1, cbor.Tag{Number: 4, Content: []int{1, 2}}}, "tag 4 is not one that is understood"},
		"simple value":       {[]Codec{CodecCBOR}, cbor.SimpleValue(99), "simple value 99"},
		"broken raw message": {[]Codec{CodecCBOR}, struct{ R cbor.RawMessage }{cbor.RawMessage{0x82, 1}}, "field R: "},
		"raw int":            {[]Codec{CodecRaw}, 1, "cannot encode int: a raw body is []byte or string"},
		"none":               {[]Codec{CodecNone}, 1, "codec 0 is for no value"},
		"no codec":           {[]Codec{9}, 1, "there is no codec 9"},
	} {
		if tt.codecs == nil {
			tt.codecs = []Codec{CodecCBOR, CodecJSON}
		}
		for _, c := range tt.codecs {
			t.Run(fmt.Sprintf("%s/%d", name, c), func(t *testing.T) {
				dst := []byte("before")
				out, err := Encode(c, dst, tt.v)
				if string(out) != "before" {
					t.Errorf("dst is now %q", out)
				}
				var field *FieldError
				if !errors.As(err, &field) {
					t.Fatalf("error %v (%T), want a *FieldError", err, err)
				}
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %q\nwant %q", err, tt.want)
				}
				if e := AsError(err, CodeApp); e.Code != CodeNotEncodable || e.Message != err.Error() {
					t.Errorf("as *Error: %q %q", e.Code, e.Message)
				}
			})
		}
	}
}

type inner struct {
	Width  int  `cbor:"width" json:"width"`
	Narrow int8 `cbor:"narrow" json:"narrow"`
}

type outer struct {
	Tiles []inner          `cbor:"tiles" json:"tiles"`
	Named map[string]inner `cbor:"named" json:"named"`
	When  time.Time        `cbor:"when" json:"when"`
	Any   any              `cbor:"any" json:"any"`
	ID    [4]byte          `cbor:"id" json:"-"`
}

func TestDecodeNamesTheField(t *testing.T) {
	for _, tt := range []struct {
		hex    string
		target any
		want   string
	}{
		{"6374656e", new(int), `want int, got text "ten"`},
		{"a1657769647468" + "6374656e", new(inner), `field "width": want int, got text "ten"`},
		{"a1655749445448" + "6374656e", new(inner), `field "width": want int, got text "ten"`},
		{"a1666e6172726f77" + "19012c", new(inner), `field "narrow": want int8, got int 300`},
		{"a1666e6172726f77" + "f93e00", new(inner), `field "narrow": want int8, got float 1.5`},
		{"a16574696c6573" + "82a0a16577696474686378797a", new(outer), `field "tiles[1].width": want int, got text "xyz"`},
		{"a16574696c6573" + "a0", new(outer), `field "tiles": want a list of maps such as {"width": …, "narrow": …}, got a map of 0`},
		{"a1656e616d6564" + "a16161a165776964746881" + "01", new(outer), `field "named[\"a\"].width": want int, got a list of 1`},
		{"a1647768656e" + "6161", new(outer), `field "when": `},
		{"a1647768656e" + "c0" + "6161", new(outer), `field "when": `},
		{"a2636e65770163616e7902", new(struct{ New string }), `field "New": want string, got int 1`},
		{"a2616101616102", new(map[string]int), "duplicate map key"},
		{"a2616101616102", new(any), "duplicate map key"},
		{"a2657769647468016577696474680" + "2", new(inner), "duplicate map key"},
		{"a1814101" + "01", new(any), "key"},
		{"a1f97e0001", new(any), "key is NaN"},
		{"a1f97e00a10102", new(map[float64]any), "key is NaN"},
		{"a1c249010000000000000000" + "01", new(any), "key is a big int"},
		{"01", new(chan int), "want chan, got int 1"},
		{"01", new(fmt.Stringer), "want Stringer, got int 1"},
		{"01", new(panicking), "decoding it panicked: boom"},
		{"01", 7, "needs a pointer"},
		{"01", nil, "needs a pointer"},
		{"01", (*int)(nil), "needs a pointer"},
		{"01", new(selfPointer), "points to itself"},
		{"", new(int), "want int, got no value"},
		{"01", new(struct{}), "want no value, got int 1"},
	} {
		data, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		err = Decode(CodecCBOR, data, tt.target)
		var field *FieldError
		if !errors.As(err, &field) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s into %T: %v\nwant %s", tt.hex, tt.target, err, tt.want)
			continue
		}
		if field.Code != CodeInvalid {
			t.Errorf("%s into %T: code %s", tt.hex, tt.target, field.Code)
		}
	}
}

func TestDecodeJSONRefusals(t *testing.T) {
	for _, tt := range []struct {
		data   string
		target any
		want   string
	}{
		{`"ten"`, new(int), `want int, got text "ten"`},
		{`{"width":"te\"n"}`, new(inner), `field "width": want int, got text "te\"n"`},
		{`{"tiles":[{},{"width":{}}]}`, new(outer), `width": want int, got a map`},
		{`{"narrow":300}`, new(inner), `field "narrow": want int8, got number 300`},
		{`{"a":1,"a":2}`, new(any), `the key "a" stands twice`},
		{`{"a":1,"\u0061":2}`, new(any), `the key "a" stands twice`},
		{`{"x":[{"a":1},{"b":{"c":1,"c":1}}]}`, new(any), `the key "c" stands twice`},
		{`1 2`, new(any), "not JSON"},
		{`{"a":1}]`, new(any), "not JSON"},
		{`{"a":`, new(any), "not JSON"},
		{`nul`, new(any), "not JSON"},
		{`"\ud800"`, new(any), "half of a surrogate pair"},
		{`"\udc00\ud800"`, new(any), "half of a surrogate pair"},
		{`"\ud800\u0041"`, new(any), "half of a surrogate pair"},
		{"\"\xff\"", new(any), "not UTF-8"},
		{strings.Repeat("[", 1001) + strings.Repeat("]", 1001), new(any), "more than 1000 deep"},
		{strings.Repeat("[", 1<<20), new(any), ""},
		{strings.Repeat("9", 20000), new(any), "a number of 20000 digits"},
		{`1e999`, new(any), "out of range"},
		{`1`, new(panicking), "panicked: boom"},
		{``, new(any), "got no value"},
		{`[1]`, new(struct{}), "want no value, got a list"},
	} {
		err := Decode(CodecJSON, []byte(tt.data), tt.target)
		var field *FieldError
		if !errors.As(err, &field) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s into %T: %v\nwant %s", tt.data, tt.target, err, tt.want)
		}
	}
}

func TestDecodeIntoAny(t *testing.T) {
	when := time.Date(2026, 11, 23, 11, 15, 0, 123456789, time.UTC)
	huge, _ := new(big.Int).SetString("18446744073709551616", 10)
	for _, tt := range []struct {
		codec Codec
		in    any
		want  any
	}{
		{CodecCBOR, nil, nil},
		{CodecCBOR, true, true},
		{CodecCBOR, uint8(7), int64(7)},
		{CodecCBOR, int64(math.MinInt64), int64(math.MinInt64)},
		{CodecCBOR, uint64(math.MaxUint64), new(big.Int).SetUint64(math.MaxUint64)},
		{CodecCBOR, huge, huge},
		{CodecCBOR, 1.5, 1.5},
		{CodecCBOR, float32(1.5), 1.5},
		{CodecCBOR, []byte{1, 2}, []byte{1, 2}},
		{CodecCBOR, when, when},
		{CodecCBOR, []int{1, 2}, []any{int64(1), int64(2)}},
		{CodecCBOR, inner{1, 2}, map[string]any{"width": int64(1), "narrow": int64(2)}},
		{CodecCBOR, map[int]any{1: map[string]any{"a": 1}}, map[any]any{int64(1): map[string]any{"a": int64(1)}}},
		{CodecCBOR, []any{map[int]int{1: 2}, map[string]int{"a": 1}}, []any{map[any]any{int64(1): int64(2)}, map[string]any{"a": int64(1)}}},
		{CodecCBOR, cbor.Tag{Number: 258, Content: []int{1}}, []any{int64(1)}},
		{CodecCBOR, cbor.Tag{Number: 37, Content: make([]byte, 16)}, make([]byte, 16)},
		{CodecCBOR, netip.MustParseAddr("127.0.0.1"), []byte{127, 0, 0, 1}},
		{CodecJSON, nil, nil},
		{CodecJSON, int64(math.MaxInt64), int64(math.MaxInt64)},
		{CodecJSON, huge, huge},
		{CodecJSON, 1.5, 1.5},
		{CodecJSON, "<&>\ufffd", "<&>\ufffd"},
		{CodecJSON, `\ufffd`, `\ufffd`},
		{CodecJSON, "😀", "😀"},
		{CodecJSON, map[string]any{"a": []any{1, nil}}, map[string]any{"a": []any{int64(1), nil}}},
		{CodecRaw, "abc", []byte("abc")},
	} {
		b, err := Encode(tt.codec, nil, tt.in)
		if err != nil {
			t.Errorf("encode %v: %v", tt.in, err)
			continue
		}
		var got any
		if err := Decode(tt.codec, b, &got); err != nil {
			t.Errorf("decode %v: %v", tt.in, err)
			continue
		}
		if w, ok := tt.want.(time.Time); ok {
			if g, ok := got.(time.Time); !ok || !g.Equal(w) {
				t.Errorf("%v became %#v", tt.in, got)
			}
			continue
		}
		if w, ok := tt.want.(*big.Int); ok {
			if g, ok := got.(*big.Int); !ok || g.Cmp(w) != 0 {
				t.Errorf("%v became %#v", tt.in, got)
			}
			continue
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%v became %#v, want %#v", tt.in, got, tt.want)
		}
	}
}

func TestAnyInsideTypes(t *testing.T) {
	type holder struct {
		A any
		M map[string]any
		L []struct{ B any }
		N map[string]struct{ C any }
		R json.Number
	}
	var h holder
	if err := Decode(CodecJSON, []byte(`{"A":1,"M":{"x":{"y":[2]}},"L":[{"B":3}],"N":{"n":{"C":4}},"R":5}`), &h); err != nil {
		t.Fatal(err)
	}
	want := holder{
		A: int64(1), M: map[string]any{"x": map[string]any{"y": []any{int64(2)}}},
		L: []struct{ B any }{{int64(3)}}, N: map[string]struct{ C any }{"n": {int64(4)}}, R: "5",
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("got %#v", h)
	}
	// A target that holds itself before: an error or a value, but an end.
	self := &struct{ Self any }{}
	self.Self = self
	Decode(CodecJSON, []byte(`{}`), self)
	Decode(CodecCBOR, []byte{0xa1, 0x64, 'S', 'e', 'l', 'f', 0xa1, 1, 2}, self)
}

func TestRoundTrip(t *testing.T) {
	type base struct{ ID int }
	type all struct {
		base
		I8   int8
		U64  uint64
		F32  float32
		S    string
		B    []byte
		L    []string
		M    map[string]int
		P    *int
		T    time.Time
		Big  *big.Int
		Tree *node
		Any  any
		D    time.Duration
		Arr  [3]int
		Addr netip.Addr
	}
	n := 7
	in := all{
		base: base{3}, I8: -128, U64: math.MaxUint64, F32: 0.1, S: "grüße", B: []byte{0, 1}, L: []string{"", "x"},
		M: map[string]int{"a": 1, "b": 2}, P: &n, T: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Big: new(big.Int).Lsh(big.NewInt(1), 200), Tree: &node{Name: "r", Kids: []*node{{Name: "k"}}}, Any: "x",
		D: time.Second, Arr: [3]int{1, 2, 3}, Addr: netip.MustParseAddr("::1"),
	}
	for _, c := range []Codec{CodecCBOR, CodecJSON} {
		b, err := Encode(c, []byte("head"), in)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b, []byte("head")) {
			t.Errorf("codec %d does not append", c)
		}
		var out all
		if err := Decode(c, b[4:], &out); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(in, out) {
			t.Errorf("codec %d\nin  %+v\nout %+v", c, in, out)
		}
	}
}

// A time is no text because it stands in a key, wherever the map is.
func TestTimesAsKeys(t *testing.T) {
	when := time.Date(2026, 11, 23, 11, 15, 0, 0, time.UTC)
	const text = "2026-11-23T11:15:00Z"
	for name, in := range map[string]any{
		"alone":          map[time.Time]int{when: 1},
		"in a list":      []any{1, map[time.Time]int{when: 1}},
		"in a map":       map[string]any{"a": map[time.Time]int{when: 1}},
		"beside text":    map[any]any{"a": 1, when: 1},
		"beside itself":  map[any]any{text: 1, when: 1},
		"its value":      map[time.Time]any{when: map[time.Time]int{when: 1}},
		"in a long list": append(make([]any, 30), map[time.Time]int{when: 1}),
	} {
		first, err := Encode(CodecCBOR, nil, in)
		if err != nil {
			t.Fatal(name, err)
		}
		var v any
		if err := Decode(CodecCBOR, first, &v); err != nil {
			t.Fatal(name, err)
		}
		second, err := Encode(CodecCBOR, nil, v)
		if err != nil {
			t.Fatal(name, err)
		}
		times := func(b []byte) int { return bytes.Count(b, append([]byte{0xc0, 0x74}, text...)) }
		if len(first) != len(second) || times(first) != times(second) {
			t.Errorf("%s: %x became %x", name, first, second)
		}
	}

	// Each way a time can be written.
	pair := func(keys ...string) []byte {
		b := []byte{0xa0 | byte(len(keys))}
		for _, k := range keys {
			b = append(append(b, k...), 0xf6)
		}
		return b
	}
	for name, key := range map[string]string{"text": "\xc0\x74" + text, "text, a long tag": "\xd8\x00\x74" + text, "seconds": "\xc1\x1a\x69\x23\x80\xc4"} {
		var v any
		if err := Decode(CodecCBOR, pair(key), &v); err != nil {
			t.Fatal(name, err)
		}
		m, _ := v.(map[any]any)
		for k := range m {
			if at, ok := k.(time.Time); !ok || !at.Equal(time.Unix(0x692380c4, 0)) && !at.Equal(when) {
				t.Errorf("%s: %#v", name, v)
			}
		}
		if len(m) != 1 {
			t.Errorf("%s: %#v", name, v)
		}
	}
	var typed map[string]any
	if err := Decode(CodecCBOR, pair("\xc0\x74"+text), &typed); err != nil || len(typed) != 1 {
		t.Errorf("%v, %v", typed, err)
	}

	// In UTC these are one time with one image, which no map has twice.
	defer func(l *time.Location) { time.Local = l }(time.Local)
	time.Local = time.UTC
	var v any
	err := Decode(CodecCBOR, pair("\xc1\x00", "\xc0\x741970-01-01T00:00:00Z"), &v)
	if err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%#v, %v", v, err)
	}
}

// What is wrong with a map that has a time for a key is said, and the field named.
func TestTimesAsKeysRefused(t *testing.T) {
	const when = "\xc0\x742026-11-23T11:15:00Z"
	for name, test := range map[string]struct{ in, reason string }{
		"no time":            {"\xa1\xc0\x61a\x01", "time"},
		"twice":              {"\xa2" + when + "\x01" + when + "\x02", "duplicate"},
		"beside a list":      {"\xa2" + when + "\x01\x81\x01\x02", "key"},
		"beside a twice":     {"\x82\xa1" + when + "\x01\xa2\x01\x02\x01\x02", "duplicate"},
		"too long to locate": {"\xa2" + when + "\x01" + when + "\x5a\x00\x20\x00\x00" + strings.Repeat("x", 2<<20), "duplicate"},
	} {
		var alone any
		var list []any
		var field struct{ A any }
		for _, target := range []struct {
			in    string
			v     any
			field string
		}{{test.in, &alone, ""}, {"\x81" + test.in, &list, "[0]"}, {"\xa1\x61A" + test.in, &field, "A"}} {
			err := Decode(CodecCBOR, []byte(target.in), target.v)
			var fault *FieldError
			if !errors.As(err, &fault) || fault.Code != CodeInvalid || !strings.Contains(fault.Reason, test.reason) {
				t.Errorf("%s into %T: %v", name, target.v, err)
			} else if fault.Field != target.field && len(target.in) < locateBytes {
				t.Errorf("%s into %T: field %q", name, target.v, fault.Field)
			}
		}
	}
}

// The short ways must give what the library gives.
func TestScalarsAgreeWithTheLibrary(t *testing.T) {
	for _, v := range []any{
		0, 23, 24, 255, 256, 65535, 65536, math.MaxInt, -1, -24, -25, -256, -257, math.MinInt,
		int64(5), int64(-5), int64(1<<32 - 1), int64(1 << 32), int64(math.MaxInt64), int64(math.MinInt64), true, false, nil, "", "abc", strings.Repeat("x", 300), []byte{}, []byte(nil), []byte("abc"),
	} {
		got, err := Encode(CodecCBOR, nil, v)
		if err != nil {
			t.Fatal(err)
		}
		want, err := valueEnc.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%#v: %x, want %x", v, got, want)
		}
		for _, target := range []func() any{
			func() any { return new(int) }, func() any { return new(int64) }, func() any { return new(string) },
			func() any { return new([]byte) }, func() any { return new(bool) },
		} {
			short, long := target(), target()
			shortErr, longErr := Decode(CodecCBOR, got, short), valueDec.Unmarshal(got, long)
			if (shortErr == nil) != (longErr == nil) || longErr == nil && !reflect.DeepEqual(short, long) {
				t.Errorf("%#v into %T: %v %v, want %v %v", v, short, short, shortErr, long, longErr)
			}
		}
	}
}

func TestNoValue(t *testing.T) {
	for _, c := range []Codec{CodecNone, CodecCBOR, CodecJSON, CodecRaw} {
		b, err := Encode(c, nil, struct{}{})
		if err != nil || len(b) != 0 {
			t.Errorf("codec %d: %x, %v", c, b, err)
		}
	}
	for _, b := range []string{"", "\xf6", "\x80", "\xa0", "\xa1\x61a\x01"} {
		if err := Decode(CodecCBOR, []byte(b), &struct{}{}); err != nil {
			t.Errorf("%x: %v", b, err)
		}
	}
	for _, b := range []string{"", "null", "[ ]", `{"a":1}`} {
		if err := Decode(CodecJSON, []byte(b), &struct{}{}); err != nil {
			t.Errorf("%s: %v", b, err)
		}
	}
	n := 5
	if err := Decode(CodecNone, []byte("x"), &n); err != nil || n != 5 {
		t.Errorf("no codec: %d, %v", n, err)
	}
	if !Empty(struct{}{}) || !Empty(&struct{}{}) || Empty(nil) || Empty(0) {
		t.Error("Empty")
	}
}

func TestRaw(t *testing.T) {
	// A result is encoded by its pointer, and may be of type any.
	text, bytes := "\xff\x00", []byte("\xff\x00")
	for _, v := range []any{text, bytes, &text, &bytes, ptrTo[any](text), ptrTo[any](bytes)} {
		if b, err := Encode(CodecRaw, nil, v); string(b) != text || err != nil {
			t.Errorf("%T: %q, %v", v, b, err)
		}
	}
	if _, err := Encode(CodecRaw, nil, ptrTo[any](1)); err == nil || !strings.Contains(err.Error(), "int") {
		t.Errorf("a number in an any: %v", err)
	}
	b, err := Encode(CodecRaw, nil, []byte("\xff\x00"))
	if err != nil {
		t.Fatal(err)
	}
	var s string
	var p []byte
	if Decode(CodecRaw, b, &s) != nil || Decode(CodecRaw, b, &p) != nil || s != "\xff\x00" || string(p) != s {
		t.Errorf("%q %q", s, p)
	}
	b[0] = 0
	if p[0] != 0xff {
		t.Error("Decode kept the buffer")
	}
	if err := Decode(CodecRaw, b, new(int)); err == nil || err.Error() != "want int, got raw bytes" {
		t.Error(err)
	}
}

func ptrTo[T any](v T) *T { return &v }
