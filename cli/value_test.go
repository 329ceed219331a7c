//go:build unix

package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// What is typed is what is printed, in one form: a result can be given back.
func TestValues(t *testing.T) {
	deep := strings.Repeat("[", 999) + "1" + strings.Repeat("]", 999)
	for _, test := range []struct{ word, want string }{
		{`5`, `5`},
		{` 5 `, `5`},
		{`-340282366920938463463374607431768211456`, `-340282366920938463463374607431768211456`},
		{`18446744073709551615`, `18446744073709551615`},
		{`2.0`, `2.0`},
		{`1e3`, `1000.0`},
		{`word`, `"word"`},
		{``, `""`},
		{`{"b":1,"a":{"d":2,"c":[]}}`, `{"a":{"c":[],"d":2},"b":1}`},
		{`<&>`, `"<&>"`},
		{`null`, `null`},
		{`{"$bytes":"YWJjZGVm"}`, `{"$bytes":"YWJjZGVm"}`},
		{`{"$time":"2026-11-26T10:00:00.5+01:00"}`, `{"$time":"2026-11-26T10:00:00.5+01:00"}`},
		{`{"$uuid":"00112233-4455-6677-8899-AABBCCDDEEFF"}`, `{"$uuid":"00112233-4455-6677-8899-aabbccddeeff"}`},
		{`[{"$float":"nan"},{"$float":"inf"},{"$float":"-inf"}]`, `[{"$float":"nan"},{"$float":"inf"},{"$float":"-inf"}]`},
		{`{"$set":[10,9,"b","a",[2],[1]]}`, `{"$set":["a","b",9,10,[1],[2]]}`},
		{`{"$map":[[1,"one"],["1","text"]]}`, `{"$map":[["1","text"],[1,"one"]]}`},
		{`{"$map":[[10,{"$map":[[true,1],[-1,2]]}],[9.5,0],[{"$bytes":""},0]]}`, `{"$map":[[9.5,0],[10,{"$map":[[-1,2],[true,1]]}],[{"$bytes":""},0]]}`},
		{`{"$map":[["$x",2]]}`, `{"$map":[["$x",2]]}`},
		{`{"$map":[["x",2]]}`, `{"x":2}`},
		{`{"$x":1,"y":2}`, `{"$x":1,"y":2}`},
		{deep, deep},
	} {
		arg, err := parseArgs([]string{"v=" + test.word})
		if err != nil {
			t.Errorf("%.60s: %v", test.word, err)
			continue
		}
		data, err := wire.Encode(wire.CodecCBOR, nil, arg.keywords["v"])
		if err != nil {
			t.Errorf("%.60s: %v", test.word, err)
			continue
		}
		var v value
		if err := wire.Decode(wire.CodecCBOR, data, &v); err != nil {
			t.Errorf("%.60s: %v", test.word, err)
			continue
		}
		var out bytes.Buffer
		if err := (&app{out: &out, format: "jsonl"}).printValue(v); err != nil || strings.TrimSuffix(out.String(), "\n") != test.want {
			t.Errorf("%.60s is printed as %.200s, %v; want %.60s", test.word, out.String(), err, test.want)
		}
	}
}

// What looks like a form and is none is refused, before anything is sent.
func TestValuesRefused(t *testing.T) {
	for _, test := range []struct{ word, want string }{
		{`{"$byte":"YWJj"}`, `no form "$byte"`},
		{`{"$bytes":"YWJ"}`, "base64"},
		{`{"$time":"today"}`, "RFC 3339"},
		{`{"$map":[[1,2],[1,3]]}`, "twice"},
		{`{"a":1,"a":2}`, "twice"},
		{`1e999`, "out of range"},
	} {
		_, err := parseArgs([]string{test.word})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want it to have %q", test.word, err, test.want)
		}
	}
}

// Who answers in another codec is printed as well, and who answers nothing.
func TestValueCodecs(t *testing.T) {
	for _, test := range []struct {
		codec wire.Codec
		data  string
		want  string
	}{
		{wire.CodecNone, "", "null"},
		{wire.CodecRaw, "abc", `{"$bytes":"YWJj"}`},
		{wire.CodecJSON, `{"$bytes":"YWJj","n":1.0}`, `{"$bytes":"YWJj","n":1.0}`},
		{wire.CodecJSON, `{"$bytes":"YWJj"}`, `{"$map":[["$bytes","YWJj"]]}`}, // text, where it comes from
	} {
		var v value
		if err := wire.Decode(test.codec, []byte(test.data), &v); err != nil {
			t.Errorf("%q: %v", test.data, err)
			continue
		}
		if text, err := v.text(); err != nil || string(text) != test.want {
			t.Errorf("%q is %s, %v; want %s", test.data, text, err, test.want)
		}
	}
}
