package wire

import (
	"encoding/hex"
	"errors"
	"reflect"
	"testing"
)

func TestArgs(t *testing.T) {
	for _, c := range []Codec{CodecCBOR, CodecJSON} {
		for _, tt := range []struct {
			args   []any
			kwargs map[string]any
		}{
			{nil, nil},
			{[]any{"a", 1, nil, []int{1, 2}, struct{}{}}, nil},
			{nil, map[string]any{"z": 1, "a": "x", "": struct{ A []byte }{[]byte("b")}}},
			{[]any{map[string]any{"deep": []any{[]any{}}}}, map[string]any{"k": nil}},
		} {
			body, err := EncodeArgs(c, []byte("head"), tt.args, tt.kwargs)
			if err != nil {
				t.Fatal(err)
			}
			args, kwargs, err := SplitArgs(c, body[4:])
			if err != nil {
				t.Fatalf("%d %q: %v", c, body[4:], err)
			}
			if len(args) != len(tt.args) || len(kwargs) != len(tt.kwargs) {
				t.Fatalf("%d args, %d kwargs", len(args), len(kwargs))
			}
			check := func(raw []byte, want any) {
				t.Helper()
				encoded, err := encodeItem(c, nil, want)
				if err != nil || string(encoded) != string(raw) {
					t.Errorf("%q, want %q", raw, encoded)
				}
			}
			for i, raw := range args {
				check(raw, tt.args[i])
			}
			for k, raw := range kwargs {
				check(raw, tt.kwargs[k])
			}
		}
	}
}

func TestArgsBytes(t *testing.T) {
	body, err := EncodeArgs(CodecCBOR, nil, []any{"hi", 5}, map[string]any{"b": true, "a": nil})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(body), "82"+"82"+"626869"+"05"+"a2"+"6161f6"+"6162f5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestArgsNamesTheArgument(t *testing.T) {
	for _, c := range []Codec{CodecCBOR, CodecJSON} {
		for want, tt := range map[string]struct {
			args   []any
			kwargs map[string]any
		}{
			"cannot encode chan int: field args[1]: chan int has no image on the wire":                             {[]any{1, make(chan int)}, nil},
			"cannot encode wire.job: field args[0].Tiles[0].Done: chan int has no image on the wire":               {[]any{job{Tiles: []tile{{}}}}, nil},
			"cannot encode []interface {}: field key[0]: func() has no image on the wire":                          {nil, map[string]any{"key": []any{func() {}}}},
			"cannot encode string: field the keyword \"\\xff\": text \"\\xff\" is not UTF-8; use []byte for bytes": {nil, map[string]any{"\xff": 1}},
		} {
			out, err := EncodeArgs(c, []byte("x"), tt.args, tt.kwargs)
			if err == nil || err.Error() != want || string(out) != "x" {
				t.Errorf("%q %v\nwant %s", out, err, want)
			}
		}
	}
}

func TestSplitArgsRefusals(t *testing.T) {
	for _, s := range []string{"", "01", "80", "8180", "8280", "828080", "82a0a0", "8280a10102", "8280a2616101616102", "8380a000", "8280a000", "9f80a0ff", "82d9010280a0"} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		var field *FieldError
		if _, _, err := SplitArgs(CodecCBOR, b); !errors.As(err, &field) || field.Code != CodeInvalid {
			t.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range []string{"", "1", "[]", "[[]]", "[[],[]]", "[{},{}]", "[null,{}]", "[[],null]", `[[],{"a":1,"a":2}]`, "[[],{},1]", "[[],{}]x"} {
		var field *FieldError
		if _, _, err := SplitArgs(CodecJSON, []byte(s)); !errors.As(err, &field) || field.Code != CodeInvalid {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, _, err := SplitArgs(CodecRaw, nil); err == nil {
		t.Error("raw arguments")
	}
	if args, kwargs, err := SplitArgs(CodecNone, nil); err != nil || args != nil || kwargs != nil {
		t.Error(args, kwargs, err)
	}
	if _, err := EncodeArgs(CodecRaw, nil, nil, nil); err == nil {
		t.Error("raw arguments")
	}
	if !reflect.DeepEqual(errArgs, &FieldError{Code: CodeInvalid, Reason: errArgs.Reason}) {
		t.Error("the shared error was changed")
	}
}
