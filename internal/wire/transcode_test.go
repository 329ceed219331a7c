package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"
)

// Every value has one image each way: what is read is written again as it was.
func TestTranscode(t *testing.T) {
	for _, test := range []struct{ text, cbor string }{
		{`null`, "f6"},
		{`true`, "f5"},
		{`0`, "00"},
		{`-1`, "20"},
		{`23`, "17"},
		{`24`, "1818"},
		{`18446744073709551615`, "1bffffffffffffffff"},
		{`-18446744073709551616`, "3bffffffffffffffff"},
		{`18446744073709551616`, "c249010000000000000000"},
		{`-18446744073709551617`, "c349010000000000000000"},
		{`1.0`, "fb3ff0000000000000"},
		{`-0.0`, "fb8000000000000000"},
		{`1e+300`, "fb7e37e43c8800759c"},
		{`0.1`, "fb3fb999999999999a"},
		{`""`, "60"},
		{`"ü\u0000\"\\\n"`, "66c3bc00225c0a"},
		{`[]`, "80"},
		{`[1,[2,3],{}]`, "83018202" + "03a0"},
		{`{"a":1,"b":[true]}`, "a26161016162" + "81f5"},
		{`{"":1}`, "a16001"},
		{`{"$bytes":"AQI="}`, "420102"},
		{`{"$bytes":""}`, "40"},
		{`{"$time":"2026-11-26T10:00:00.5Z"}`, "c076" + hex.EncodeToString([]byte("2026-11-26T10:00:00.5Z"))},
		{`{"$set":[1,2]}`, "d90102820102"},
		{`{"$uuid":"00112233-4455-6677-8899-aabbccddeeff"}`, "d8255000112233445566778899aabbccddeeff"},
		{`{"$float":"inf"}`, "f97c00"},
		{`{"$float":"-inf"}`, "f9fc00"},
		{`{"$float":"nan"}`, "f97e00"},
		{`{"$map":[[1,"one"],["$x",2]]}`, "a201636f6e65622478" + "02"},
		{`{"$map":[["$x",1]]}`, "a162247801"},
		{`{"$map":[[{"$bytes":"AQ=="},{"$map":[["$map",[{"$set":[]}]]]}]]}`, "a14101" + "a1" + "64246d6170" + "81d9010280"},
		{`{"$x":1,"$y":2}`, "a262247801622479" + "02"},
	} {
		data, err := AppendCBOR(nil, []byte(test.text), Limits{})
		if err != nil || hex.EncodeToString(data) != test.cbor {
			t.Errorf("%s: %x, %v, want %s", test.text, data, err, test.cbor)
			continue
		}
		if err := CheckCBOR(data, Limits{}); err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
		text, err := AppendJSON(nil, CodecCBOR, data, Limits{})
		if err != nil || string(text) != test.text {
			t.Errorf("%s is written as %s, %v", test.text, text, err)
		}
	}
}

// What only one side knows.
func TestAppendJSON(t *testing.T) {
	for _, test := range []struct {
		codec Codec
		data  string
		want  string
	}{
		{CodecNone, "", `null`},
		{CodecRaw, "ff00", `{"$bytes":"/wA="}`},
		{CodecCBOR, "f7", `null`},
		{CodecCBOR, "f93e00", `1.5`},
		{CodecCBOR, "f90001", `5.960464477539063e-08`},
		{CodecCBOR, "f97c00", `{"$float":"inf"}`},
		{CodecCBOR, "f97e00", `{"$float":"nan"}`},
		{CodecCBOR, "fa3dcccccd", `0.10000000149011612`},
		{CodecCBOR, "c11a67000000", `{"$time":"2024-10-04T14:47:28Z"}`},
		{CodecCBOR, "c1fb41d9c00000200000", `{"$time":"2024-10-04T14:47:28.5Z"}`},
		{CodecCBOR, "c120", `{"$time":"1969-12-31T23:59:59Z"}`},
		{CodecCBOR, "c24101", `1`},
		{CodecCBOR, "1801", `1`},
		{CodecJSON, hex.EncodeToString([]byte(` {"$bytes": "AQI=", "n": 1.50} `)), `{"$bytes":"AQI=","n":1.5}`},
		{CodecJSON, hex.EncodeToString([]byte(`{"$bytes": "AQI="}`)), `{"$map":[["$bytes","AQI="]]}`},
	} {
		data, _ := hex.DecodeString(test.data)
		got, err := AppendJSON(nil, test.codec, data, Limits{})
		if err != nil || string(got) != test.want {
			t.Errorf("%d %s: %s, %v, want %s", test.codec, test.data, got, err, test.want)
		}
	}
}

// What is refused, with the place.
func TestTranscodeRefuses(t *testing.T) {
	deep := func(open, close string, n int) string {
		return strings.Repeat(open, n) + "1" + strings.Repeat(close, n)
	}
	for _, test := range []struct {
		text string
		code Code
		says string
	}{
		{``, CodeInvalid, "not JSON"},
		{`{"a":1,"a":2}`, CodeInvalid, `"a" stands twice`},
		{`1 2`, CodeInvalid, "not JSON"},
		{"\"\xff\"", CodeInvalid, "UTF-8"},
		{`"\ud800"`, CodeInvalid, "surrogate"},
		{`{"$bogus":1}`, CodeInvalid, "$bogus"},
		{`[0,{"when":{"$time":5}}]`, CodeInvalid, `"[1][\"when\"]": $time is 5`},
		{`{"$time":"yesterday"}`, CodeInvalid, "RFC 3339"},
		{`{"$bytes":"AQI"}`, CodeInvalid, "padding"},
		{`{"$bytes":"AR=="}`, CodeInvalid, "padding"},
		{`{"$uuid":"00112233445566778899aabbccddeeff"}`, CodeInvalid, "$uuid"},
		{`{"$float":"NaN"}`, CodeInvalid, "nan"},
		{`{"$set":{}}`, CodeInvalid, "$set is a map"},
		{`{"$map":[[1]]}`, CodeInvalid, "lists of two"},
		{`{"$map":[{"a":1,"b":2}]}`, CodeInvalid, "lists of two"},
		{`{"$map":[[1,2],[1,3]]}`, CodeInvalid, "stands twice"},
		{`{"$map":[[[1],2]]}`, CodeInvalid, "key is a list"},
		{`1e999`, CodeInvalid, "out of range"},
		{strings.Repeat("9", 10_200), CodeTooLarge, "bytes"},
		{strings.Repeat("9", 20_000), CodeTooLarge, "digits"},
		{deep("[", "]", 1001), CodeInvalid, "1000 deep"},
		{deep(`{"a":`, "}", 1001), CodeInvalid, "1000 deep"},
		{deep(`{"$set":[`, "]}", 1001), CodeInvalid, "1000 deep"},
		{deep(`{"$map":[[1,`, "]]}", 1001), CodeInvalid, "1000 deep"},
		{deep("[", "]", 100_000), CodeInvalid, ""},
		{"[" + strings.Repeat("1,", 3_000_000) + "1]", CodeTooLarge, "memory"},
	} {
		name := test.text[:min(len(test.text), 40)]
		out, err := AppendCBOR([]byte("x"), []byte(test.text), Limits{})
		var f *FieldError
		if !errors.As(err, &f) || f.Code != test.code || !strings.Contains(err.Error(), test.says) || string(out) != "x" {
			t.Errorf("%s: %.20x, %v, want %s that says %q", name, out, err, test.code, test.says)
		}
	}
	for _, test := range []struct {
		data string
		code Code
		says string
	}{
		{"", CodeInvalid, "cut short"},
		{"8201", CodeInvalid, "items"},
		{"82 01 c0 63 6e6f77", CodeNotEncodable, `"now"`},
		{"a1 61 61 81 a2 6162 01 6162 02", CodeNotEncodable, `"b" stands twice`},
		{"a1 80 01", CodeNotEncodable, "key is a list"},
		{"a1 d90102 80 01", CodeNotEncodable, "key is a list"},
		{"c4 82 01 02", CodeInvalid, "tag 4"},
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(test.data, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		out, err := AppendJSON([]byte("x"), CodecCBOR, data, Limits{})
		var f *FieldError
		if !errors.As(err, &f) || f.Code != test.code || !strings.Contains(err.Error(), test.says) || string(out) != "x" {
			t.Errorf("%s: %s, %v, want %s that says %q", test.data, out, err, test.code, test.says)
		}
	}
}

// As deep as may be works both ways, and takes no time that grows with the depth.
func TestTranscodeDeep(t *testing.T) {
	for _, form := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`{"$set":[`, "]}"}, {`{"$map":[[1,`, "]]}"}} {
		inner := "[" + strings.Repeat("1,", 100_000) + "1]"
		text := strings.Repeat(form[0], 999) + inner + strings.Repeat(form[1], 999)
		data, err := AppendCBOR(nil, []byte(text), Limits{})
		if err != nil {
			t.Errorf("%s: %v", form[0], err)
			continue
		}
		back, err := AppendJSON(nil, CodecCBOR, data, Limits{})
		if err != nil || string(back) != text {
			t.Errorf("%s: %v, %d bytes, want %d", form[0], err, len(back), len(text))
		}
	}
}

// What Go encodes comes back as it was.
func TestTranscodeGoValues(t *testing.T) {
	big1, _ := new(big.Int).SetString("-123456789012345678901234567890", 10)
	in := map[string]any{
		"int": int64(-7), "big": big1, "float": 2.0, "bytes": []byte{1, 2}, "nil": nil, "yes": true,
		"time": time.Date(2026, 11, 26, 10, 0, 0, 123456789, time.UTC), "list": []any{"a", math.Inf(1)},
		"ints": map[any]any{int64(1): "one", "two": int64(2)},
	}
	data, err := Encode(CodecCBOR, nil, in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := AppendJSON(nil, CodecCBOR, data, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	back, err := AppendCBOR(nil, text, Limits{})
	if err != nil || !bytes.Equal(back, data) {
		t.Errorf("%x\n%x\n%v", data, back, err)
	}
}

func FuzzAppendCBOR(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5,"x",null,true,{"$bytes":"AQI="}]}`, `{"$map":[[1,{"$set":[1]}],["$x",{"$time":"2026-11-26T10:00:00.5Z"}]]}`,
		`{"$uuid":"00112233-4455-6677-8899-aabbccddeeff"}`, `[[],{},"",-0,1e5,123456789012345678901234567890]`, `{"$float":"nan"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l := Limits{Depth: 20, Memory: 1 << 20, IntBytes: 64}
		data, err := AppendCBOR(nil, text, l)
		if err != nil {
			return
		}
		if err := CheckCBOR(data, l); err != nil {
			t.Fatalf("%s became %x, which is refused: %v", text, data, err)
		}
		again, err := AppendJSON(nil, CodecCBOR, data, l)
		if err != nil || !json.Valid(again) {
			t.Fatalf("%s became %x, and that %s, %v", text, data, again, err)
		}
		back, err := AppendCBOR(nil, again, Limits{Depth: 20, Memory: 4 << 20, IntBytes: 64})
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%s became %x, then %s, then %x, %v", text, data, again, back, err)
		}
	})
}

func FuzzAppendJSON(f *testing.F) {
	for _, s := range []string{"a201636f6e65622478" + "02", "d90102820102", "c24101", "f97e00", "c1fb41d9c00000200000", "83f6f7f4"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := Limits{Depth: 20, Memory: 1 << 20, IntBytes: 64}
		text, err := AppendJSON(nil, CodecCBOR, data, l)
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Fatalf("%x became %s, which is no JSON", data, text)
		}
		wide := Limits{Depth: 20, Memory: 8 << 20, IntBytes: 64}
		back, err := AppendCBOR(nil, text, wide)
		if err != nil {
			t.Fatalf("%x became %s, which is refused: %v", data, text, err)
		}
		again, err := AppendJSON(nil, CodecCBOR, back, wide)
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%x became %s, then %x, then %s, %v", data, text, back, again, err)
		}
	})
}
