package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"

	"github.com/arbiter-go/arbiter/internal/wire"
)

// value is an argument that was typed, or a result that is to be printed: encoded, since
// a value of Go would not tell a set from a list, or 2.0 from 2. People write and read it
// as the json profile does, so that what was printed can be typed. The zero value is none.
type value struct {
	codec wire.Codec
	data  []byte
}

// parseValue reads JSON, with the forms of the json profile for what JSON lacks; what is
// no JSON is text.
func parseValue(word string) (any, error) {
	if !json.Valid([]byte(word)) {
		return word, nil
	}
	data, err := wire.AppendCBOR(nil, []byte(word), wire.Limits{})
	if err != nil {
		return nil, usage("the argument %s cannot be sent: %v", oneLine(word, 100), err).hint("as text", quote(asText(word)))
	}
	return value{wire.CodecCBOR, data}, nil
}

// asText returns the JSON of the text word.
func asText(word string) string {
	b, _ := json.Marshal(word) // a string has an image
	return string(b)
}

// isMap reports whether v is a map.
func (v value) isMap() bool { return len(v.data) > 0 && v.data[0]>>5 == 5 } // RFC 8949 §3.1

// text returns v as the json profile writes it.
func (v value) text() ([]byte, error) {
	return wire.AppendJSON(nil, v.codec, v.data, wire.Limits{})
}

// MarshalCBOR returns the image that v is.
func (v value) MarshalCBOR() ([]byte, error) {
	if v.codec != wire.CodecCBOR {
		return nil, errors.New("a value that nobody has typed")
	}
	return v.data, nil
}

// UnmarshalCBOR, UnmarshalJSON and UnmarshalRaw keep a result as it came.
func (v *value) UnmarshalCBOR(data []byte) error {
	*v = value{wire.CodecCBOR, bytes.Clone(data)}
	return nil
}

// UnmarshalJSON is UnmarshalCBOR for who answers in JSON.
func (v *value) UnmarshalJSON(data []byte) error {
	*v = value{wire.CodecJSON, bytes.Clone(data)}
	return nil
}

// UnmarshalRaw is UnmarshalCBOR for who answers with bare bytes.
func (v *value) UnmarshalRaw(data []byte) error {
	*v = value{wire.CodecRaw, bytes.Clone(data)}
	return nil
}

// printValue writes v as JSON: the same each time, whatever order its maps and sets came
// in.
func (a *app) printValue(v value) error {
	text, err := v.text()
	if err != nil {
		return &problem{exit: exitFailed, code: "not-json", text: "the result has no image in JSON: " + err.Error(), err: err}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a number is printed as it is written there
	var parsed any
	if err := d.Decode(&parsed); err != nil {
		return err
	}
	return a.print(inOrder(parsed))
}

// inOrder sorts the maps and sets in v, which are in the forms of the json profile; those
// with keys of text are sorted by whoever prints them.
func inOrder(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = inOrder(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = inOrder(v[k])
		}
		if len(v) > 1 {
			break
		}
		if pairs, ok := v["$map"].([]any); ok {
			slices.SortFunc(pairs, func(x, y any) int { return compare(x.([]any)[0], y.([]any)[0]) })
		}
		if items, ok := v["$set"].([]any); ok {
			slices.SortFunc(items, compare)
		}
	}
	return v
}

// compare orders numbers by what they are, all else as it is written.
func compare(x, y any) int {
	n, isNumber := x.(json.Number)
	m, both := y.(json.Number)
	if isNumber && both {
		f, _ := n.Float64() // beyond all floats it is an infinity
		g, _ := m.Float64()
		if c := cmp.Compare(f, g); c != 0 {
			return c
		}
	}
	a, _ := json.Marshal(x) // they were parsed
	b, _ := json.Marshal(y)
	return bytes.Compare(a, b)
}
