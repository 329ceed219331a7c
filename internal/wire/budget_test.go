package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

func TestCheckCBORRefusals(t *testing.T) {
	for _, tt := range []struct {
		hex  string
		code Code
		want string
	}{
		{"", CodeInvalid, "cut short (byte 0"},
		{"18", CodeInvalid, "cut short"},
		{"1b00000000000000", CodeInvalid, "cut short"},
		{"0101", CodeInvalid, "1 bytes after the value (byte 1"},
		{"8201", CodeInvalid, "where 1 bytes remain"},
		{"820101" + "00", CodeInvalid, "1 bytes after"},
		{"8281", CodeInvalid, "remain"},
		{"a101", CodeInvalid, "remain"},
		{"a2010101", CodeInvalid, "remain"},
		{"1c", CodeInvalid, "0x1c has no meaning"},
		{"fd", CodeInvalid, "has no meaning"},
		{"9f01ff", CodeInvalid, "not known in advance"},
		{"bf0101ff", CodeInvalid, "not known in advance"},
		{"5f4101ff", CodeInvalid, "not known in advance"},
		{"7f6161ff", CodeInvalid, "not known in advance"},
		{"ff", CodeInvalid, "not known in advance"},
		{"4201", CodeInvalid, "a string of 2 bytes where 1 remain"},
		{"62c328", CodeInvalid, "text that is not UTF-8"},
		{"63eda080", CodeInvalid, "text that is not UTF-8"}, // a surrogate
		{"5b7fffffffffffffff", CodeInvalid, "a string of 9223372036854775807 bytes where 0 remain"},
		{"7bffffffffffffffff", CodeInvalid, "remain"},
		{"9b4000000000000000", CodeInvalid, "a list or map of 4611686018427387904 items where 0 bytes remain"},
		{"9bffffffffffffffff", CodeInvalid, "remain"},
		{"bb4000000000000000", CodeInvalid, "remain"},
		{"bb8000000000000001", CodeInvalid, "a map of 9223372036854775809 pairs"}, // twice that is 2
		{"bbffffffffffffffff", CodeInvalid, "remain"},
		{"f800", CodeInvalid, "two bytes that needs one"},
		{"f814", CodeInvalid, "two bytes that needs one"},
		{"e0", CodeInvalid, "simple value 0 is not"},
		{"f8ff", CodeInvalid, "simple value 255 is not"},
		{"c4820101", CodeInvalid, "tag 4 is not"},
		{"d9d9f701", CodeInvalid, "tag 55799 is not"},
		{"dbffffffffffffffff01", CodeInvalid, "tag 18446744073709551615 is not"},
		{"c0", CodeInvalid, "cut short"},
		{"c001", CodeInvalid, "a time (tag 0) that is not text"},
		{"c16161", CodeInvalid, "a time (tag 1) that is not a number"},
		{"c1f6", CodeInvalid, "a time (tag 1) that is not a number"},
		{"c11b7fffffffffffffff", CodeInvalid, "outside of the years"},
		{"c13b7fffffffffffffff", CodeInvalid, "outside of the years"},
		{"c1fb7ff8000000000000", CodeInvalid, "outside of the years"},
		{"c1fb4250000000000000", CodeInvalid, "outside of the years"},
		{"c1faff800000", CodeInvalid, "outside of the years"},
		{"c1f97c00", CodeInvalid, "outside of the years"},
		{"c201", CodeInvalid, "a big integer that is not bytes"},
		{"c2c24101", CodeInvalid, "a big integer that is not bytes"},
		{"d8254101", CodeInvalid, "a UUID that is not 16 bytes"},
		{"d90102a0", CodeInvalid, "a set that is not a list"},
		{"c2591001" + strings.Repeat("01", 4097), CodeTooLarge, "an integer of 4097 bytes, more than 4096"},
		{"c3591001" + strings.Repeat("01", 4097), CodeTooLarge, "an integer of 4097 bytes, more than 4096"},
	} {
		b, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		err = CheckCBOR(b, Limits{})
		var field *FieldError
		if !errors.As(err, &field) || field.Code != tt.code || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40s: %v\nwant %s %q", tt.hex, err, tt.code, tt.want)
		}
		for _, target := range []any{new(any), new([]any), new(map[string]any), new(node), new(int), new([]byte)} {
			if Decode(CodecCBOR, b, target) == nil {
				t.Errorf("%.40s was decoded into %T", tt.hex, target)
			}
		}
	}
}

func TestCheckCBORAccepts(t *testing.T) {
	for _, s := range []string{
		"00", "1800", "1b0000000000000001", "20", "3bffffffffffffffff", "40", "60", "80", "a0", "f4", "f5", "f6", "f7",
		"f90000", "fa00000000", "fb7ff8000000000000", "c074323032362d31312d32335431313a31353a30305a", "c101", "c120", "c1fb3ff0000000000000", "c1f93c00", "c1fa3f800000", "c11b0000003afff4417f",
		"c240", "c3420100", "d90102820102", "d82550" + strings.Repeat("00", 16), "82a080", "a16161a16162820102", "8180", "818180",
		"c2591000" + strings.Repeat("01", 4096),
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckCBOR(b, Limits{}); err != nil {
			t.Errorf("%.40s: %v", s, err)
		}
		if n := itemEnd(append(b, 0)); n != len(b) {
			t.Errorf("%.40s ends at %d", s, n)
		}
	}
}

// nested is n lists in one another.
func nested(n int) []byte {
	return append(bytes.Repeat([]byte{0x81}, n-1), 0x80)
}

func TestDepth(t *testing.T) {
	var v any
	if err := Decode(CodecCBOR, nested(DefaultDepth), &v); err != nil {
		t.Errorf("%d deep: %v", DefaultDepth, err)
	}
	if b, err := Encode(CodecCBOR, nil, v); err != nil || !bytes.Equal(b, nested(DefaultDepth)) {
		t.Errorf("what was decoded cannot be encoded: %v", err)
	}
	for _, n := range []int{DefaultDepth + 1, 10_000, 1 << 24} {
		if err := Decode(CodecCBOR, nested(n), &v); err == nil || !strings.Contains(err.Error(), "more than 1000 deep") {
			t.Errorf("%d deep: %v", n, err)
		}
	}
	if err := CheckCBOR(nested(5), Limits{Depth: 4}); err == nil {
		t.Error("5 deep where 4 are allowed")
	}
	if err := CheckCBOR(nested(4), Limits{Depth: 4}); err != nil {
		t.Error(err)
	}
}

func TestOrdinaryListPasses(t *testing.T) {
	list := make([]int, 70_000)
	for i := range list {
		list[i] = i
	}
	for _, c := range []Codec{CodecCBOR, CodecJSON} {
		b, err := Encode(c, nil, list)
		if err != nil {
			t.Fatal(err)
		}
		var loose any
		if err := Decode(c, b, &loose); err != nil || len(loose.([]any)) != len(list) {
			t.Errorf("codec %d into any: %v", c, err)
		}
		var exact []int
		if err := Decode(c, b, &exact); err != nil || len(exact) != len(list) || exact[69_999] != 69_999 {
			t.Errorf("codec %d: %v", c, err)
		}
	}
}

// big is what a stranger's one byte may be made into.
type big4k struct {
	Name string
	Room [4096]byte
}

// Each of these is well-formed, at most 16 MiB, and would take far more memory
// than the budget: it is refused, or decoded within the budget, and either way no
// more than that is allocated.
func TestMemoryIsBounded(t *testing.T) {
	const n = 3 << 20
	list := func(item string) []byte {
		return append(appendHead(nil, majorArray, n), strings.Repeat(item, n)...)
	}
	maps := appendHead(nil, majorMap, n)
	for i := range n {
		maps = append(appendHead(maps, majorUint, uint64(i)), 0xf6)
	}
	for name, tt := range map[string]struct {
		data   []byte
		target any
	}{
		"numbers":          {list("\x01"), new(any)},
		"lists":            {list("\x80"), new(any)},
		"maps":             {list("\xa0"), new(any)},
		"maps of one":      {list("\xa1\x60\x01"), new(any)},
		"texts":            {list("\x60"), new(any)},
		"nil structs":      {list("\xf6"), new([]big4k)},
		"wrong structs":    {list("\x01"), new([]big4k)},
		"pointers":         {list("\xa0"), new([]*big4k)},
		"map of structs":   {maps, new(map[int]big4k)},
		"unknown fields":   {maps, new(big4k)},
		"arrays":           {list("\x80"), new([][64]int)},
		"nested in struct": {append([]byte("\x81\xa1\x61L"), list("\xf6")...), new([]struct{ L []big4k })},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := Decode(CodecCBOR, tt.data, tt.target)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 3*DefaultMemory {
				t.Errorf("%d MiB allocated for %d MiB (error %v)", got>>20, len(tt.data)>>20, err)
			}
			var field *FieldError
			if err != nil && (!errors.As(err, &field) || field.Code != CodeTooLarge) {
				t.Errorf("error %v, want %s", err, CodeTooLarge)
			}
		})
	}
}

// The largest element of a type must not be charged for its small ones.
func TestSmallPartsOfLargeElementsPass(t *testing.T) {
	type sample struct {
		Room   [1024]byte
		Values []float64
		Named  map[string]int8
		Any    any
	}
	in := make([]sample, 100)
	for i := range in {
		in[i].Values = make([]float64, 1500)
		in[i].Named = map[string]int8{"a": 1, "b": 2}
		in[i].Any = []any{"x", []byte{1}, 1.5, map[string]any{"k": nil}}
	}
	b, err := Encode(CodecCBOR, nil, in)
	if err != nil {
		t.Fatal(err)
	}
	p := planOf(CodecCBOR, reflect.TypeOf(in))
	if crude := checkCBOR(b, Limits{}, p.element, Limits{}.budget()); crude == nil {
		t.Fatal("the crude charge passes: this test shows nothing")
	}
	var out []sample
	if err := Decode(CodecCBOR, b, &out); err != nil || len(out) != 100 || len(out[99].Values) != 1500 {
		t.Error(err)
	}
	if err := DecodeLimits(CodecCBOR, b, &out, Limits{Memory: 1 << 20}); AsError(err, "").Code != CodeTooLarge {
		t.Errorf("1.3 MB of samples within 1 MiB: %v", err)
	}
}

func TestTimes(t *testing.T) {
	if times(math.MaxUint64, 2) != math.MaxInt64 || times(3, 4) != 12 || times(5, 0) != 0 {
		t.Error("times")
	}
}

func TestJSONBudget(t *testing.T) {
	for _, s := range []string{
		"[" + strings.Repeat("1,", 4<<20) + "1]",
		"[" + strings.Repeat("{},", 2<<20) + "{}]",
		"[" + strings.Repeat(`{"":1},`, 1<<20) + "{}]",
	} {
		var v any
		if err := Decode(CodecJSON, []byte(s), &v); AsError(err, "").Code != CodeTooLarge {
			t.Errorf("%.20s…: %v", s, err)
		}
	}
}
