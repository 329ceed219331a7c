package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// The modes are built once, by a plain call, and never change: they are as good
// as constants, and building one costs more than encoding with it.
var (
	valueEnc     = newEncMode(cbor.SortNone)
	handshakeEnc = newEncMode(cbor.SortBytewiseLexical) // the same bytes every time
	valueDec     = newDecMode(reflect.TypeFor[map[string]any]())
	looseDec     = newDecMode(reflect.TypeFor[map[any]any]())
)

func newEncMode(sort cbor.SortMode) cbor.UserBufferEncMode {
	mode, err := cbor.EncOptions{
		Sort:          sort,
		BigIntConvert: cbor.BigIntConvertShortest,
		Time:          cbor.TimeRFC3339Nano,
		TimeTag:       cbor.EncTagRequired,
		IndefLength:   cbor.IndefLengthForbidden,
		TextMarshaler: cbor.TextMarshalerTextString,
	}.UserBufferEncMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

func newDecMode(maps reflect.Type) cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:            cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:      65535, // CheckCBOR was there before, with the caller's limits
		MaxArrayElements:     math.MaxInt32,
		MaxMapPairs:          math.MaxInt32,
		IndefLength:          cbor.IndefLengthForbidden,
		IntDec:               cbor.IntDecConvertSignedOrBigInt,
		BigIntDec:            cbor.BigIntDecodePointer,
		DefaultMapType:       maps,
		UTF8:                 cbor.UTF8RejectInvalid,
		UnrecognizedTagToAny: cbor.UnrecognizedTagContentToAny,
		TextUnmarshaler:      cbor.TextUnmarshalerTextString,
	}.DecMode()
	if err != nil {
		panic(err) // the options above are constants
	}
	return mode
}

// Empty reports whether v is the value of a command without argument or result:
// struct{}, or a pointer to one. Its image is no bytes at all, so its message says
// CodecNone.
func Empty(v any) bool {
	switch v.(type) {
	case struct{}, *struct{}:
		return true
	}
	return false
}

// Encode appends the image of v in c to dst. A value that is Empty has none.
//
// Structs, maps, slices, numbers, text, booleans, nil and what marshals itself
// have an image in CBOR and JSON, with the field names of the tags cbor or json.
// In CBOR a []byte is a byte string, a time.Time text with tag 0 to the
// nanosecond, a *big.Int an integer; encoding.BinaryMarshaler and TextMarshaler
// are bytes and text. In CodecRaw []byte and string have one, in CodecNone nothing
// but an Empty value and nil.
//
// The error is a *FieldError with CodeNotEncodable that names the field; dst is
// then returned as it was. Channels, functions, complex numbers, text that is not
// UTF-8, structs of which nothing is exported, and values that hold themselves or
// are more than DefaultDepth deep have no image.
func Encode(c Codec, dst []byte, v any) ([]byte, error) {
	if Empty(v) {
		return dst, nil
	}
	return encodeItem(c, dst, v)
}

// encodeItem is Encode for a value that must have an image: struct{} is a map.
func encodeItem(c Codec, dst []byte, v any) ([]byte, error) {
	switch c {
	case CodecCBOR:
		if out, ok := encodeScalar(dst, v); ok {
			return out, nil
		}
	case CodecJSON:
	case CodecRaw:
		raw := v
		if p, ok := v.(*any); ok && p != nil {
			raw = *p
		}
		switch v := raw.(type) {
		case []byte:
			return append(dst, v...), nil
		case string:
			return append(dst, v...), nil
		case *[]byte:
			if v != nil {
				return append(dst, *v...), nil
			}
		case *string:
			if v != nil {
				return append(dst, *v...), nil
			}
		}
		return dst, &FieldError{Code: CodeNotEncodable, Type: typeName(raw), Reason: "a raw body is []byte or string"}
	case CodecNone:
		if v == nil {
			return dst, nil
		}
		return dst, &FieldError{Code: CodeNotEncodable, Type: typeName(v), Reason: "codec 0 is for no value at all"}
	default:
		return dst, &FieldError{Code: CodeNotEncodable, Type: typeName(v), Reason: fmt.Sprintf("there is no codec %d", c)}
	}
	if v == nil {
		return append(dst, "null"...), nil // CBOR was served above
	}
	t := reflect.TypeOf(v)
	p := planOf(c, t)
	var fault *FieldError
	switch {
	case p.endless:
		fault = typeFault(c, t, "", map[reflect.Type]bool{})
	case p.walk:
		fault = (&walk{codec: c}).value(reflect.ValueOf(v), nil, 0, 0)
	}
	if fault == nil {
		out, err := encodeChecked(c, dst, v)
		if err == nil {
			return out, nil
		}
		fault = faultOf(c, v, err)
	}
	fault.Type = typeName(v)
	return dst, fault
}

// CheckImage returns how many bytes v takes on the wire, or why it could not be read at the other
// end of a connection: what is encoded may have a key that no map of Go can have.
func CheckImage(v map[string]any) (size int, err error) {
	if len(v) == 0 {
		return 0, nil
	}
	image, err := Encode(CodecCBOR, nil, v)
	if err != nil {
		return 0, err
	}
	var read map[string]any
	return len(image), Decode(CodecCBOR, image, &read)
}

// faultOf finds the field for which encoding v failed with err.
func faultOf(c Codec, v any, err error) *FieldError {
	if !planOf(c, reflect.TypeOf(v)).marshals { // else err is all there is to say
		if fault := (&walk{codec: c, full: true}).value(reflect.ValueOf(v), nil, 0, 0); fault != nil {
			return fault
		}
		if fault := typeFault(c, reflect.TypeOf(v), "", map[reflect.Type]bool{}); fault != nil {
			return fault
		}
	}
	return &FieldError{Code: CodeNotEncodable, Reason: strings.TrimPrefix(strings.TrimPrefix(err.Error(), "cbor: "), "json: ")}
}

// encodeChecked encodes v and makes sure that a reader takes it. A method of v
// that panics is an error.
func encodeChecked(c Codec, dst []byte, v any) (out []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = dst, fmt.Errorf("encoding it panicked: %v", p)
		}
	}()
	buf := bytes.NewBuffer(dst)
	if c == CodecJSON {
		enc := json.NewEncoder(buf)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return dst, err
		}
		out = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
		// The library writes what is not UTF-8 as this escape, and a true U+FFFD as
		// itself; what is written with a backslash before it is somebody's text.
		if body := out[len(dst):]; bytes.Contains(body, []byte(`\ufffd`)) {
			if fault := (&walk{codec: c, full: true}).value(reflect.ValueOf(v), nil, 0, 0); fault != nil {
				return dst, fault
			}
		}
		return out, nil
	}
	if err := valueEnc.MarshalToBuffer(v, buf); err != nil {
		return dst, err
	}
	out = buf.Bytes()
	if planOf(c, reflect.TypeOf(v)).text {
		l := Limits{Memory: math.MaxInt, IntBytes: math.MaxInt} // the reader's own business
		if fault := checkCBOR(out[len(dst):], l, 0, l.budget()); fault != nil {
			return dst, fault
		}
	}
	return out, nil
}

// Decode decodes data, in c, into what v points to, within the default Limits. It
// never panics, keeps nothing of data, and fails with a *FieldError that says
// which field, what was wanted and what was found; v may then be filled in part.
//
// Into an any, CBOR and JSON give nil, bool, int64, float64, string, []any and
// map[string]any; an integer beyond int64 gives a *big.Int. CBOR also gives
// []byte, time.Time, and map[any]any for a map whose keys are not all text; a set
// is a list, a UUID its 16 bytes. Struct fields the data does not have are left
// alone, fields the struct does not have are skipped, a key that stands twice is
// refused.
//
// A time.Duration is nanoseconds, in CBOR also text as time.ParseDuration reads it: people
// write "5s".
//
// CodecRaw needs a *[]byte, *string or *any, or what has a method UnmarshalRaw. With CodecNone v is left untouched.
// A *struct{} wants no value: no bytes, nil, or an empty list, or a map, will do.
func Decode(c Codec, data []byte, v any) error { return DecodeLimits(c, data, v, Limits{}) }

// DecodeLimits is Decode under other limits than the default ones.
func DecodeLimits(c Codec, data []byte, v any, l Limits) error {
	if err := decode(c, data, v, l); err != nil {
		return err
	}
	return nil
}

func decode(c Codec, data []byte, v any, l Limits) *FieldError {
	switch c {
	case CodecNone:
		return nil
	case CodecRaw:
		switch v := v.(type) {
		case *[]byte:
			*v = append([]byte{}, data...)
			return nil
		case *string:
			*v = string(data)
			return nil
		case *any:
			*v = append([]byte{}, data...)
			return nil
		case interface{ UnmarshalRaw([]byte) error }:
			if err := v.UnmarshalRaw(data); err != nil {
				return invalid("%v", err)
			}
			return nil
		}
		return invalid("want %s, got raw bytes", pointed(CodecRaw, v))
	case CodecCBOR, CodecJSON:
	default:
		return invalid("there is no codec %d", c)
	}
	if Empty(v) {
		return decodeNothing(c, data, l)
	}
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return invalid("Decode needs a pointer that is not nil, not %s", typeName(v))
	}
	if len(data) == 0 {
		return invalid("want %s, got no value", pointed(c, v))
	}
	if c == CodecJSON {
		return decodeJSON(data, target, l)
	}
	if decodeScalar(data, v) {
		return nil
	}
	return decodeCBOR(data, target, l)
}

func invalid(format string, args ...any) *FieldError {
	return &FieldError{Code: CodeInvalid, Reason: fmt.Sprintf(format, args...)}
}

// decodeNothing checks that data is the image of no value.
func decodeNothing(c Codec, data []byte, l Limits) *FieldError {
	if len(data) == 0 {
		return nil
	}
	if c == CodecJSON {
		if fault := checkJSON(data, l, 0); fault != nil {
			return fault
		}
		s := bytes.TrimSpace(data)
		if s[0] == '{' || string(s) == "null" || s[0] == '[' && len(bytes.TrimSpace(s[1:len(s)-1])) == 0 {
			return nil
		}
		return invalid("want no value, got %s", describeJSON(s))
	}
	if fault := checkCBOR(data, l, 0, l.budget()); fault != nil {
		return fault
	}
	if data[0]>>5 == majorMap || data[0] == majorArray<<5 || data[0] == 0xf6 || data[0] == 0xf7 {
		return nil
	}
	return invalid("want no value, got %s", describeCBOR(data))
}

func decodeCBOR(data []byte, target reflect.Value, l Limits) *FieldError {
	p := planOf(CodecCBOR, target.Type().Elem())
	if p.endless {
		return invalid("%v points to itself", target.Type().Elem())
	}
	if fault := checkFor(data, l, p, target.Type().Elem()); fault != nil {
		return fault
	}
	var err error
	dated := false
	if p.dynamic {
		dated, _ = datedKey(data) // which valueDec would take for a key of text
	}
	if !dated {
		if err = unmarshal(valueDec, data, target.Interface()); err == nil {
			return nil
		}
	}
	if p.dynamic {
		// Perhaps only a map in an any has keys that are not text.
		loose := unmarshal(looseDec, data, target.Interface())
		if loose == nil {
			if err := settle(target, 0); err != nil {
				return invalid("%v", err)
			}
			return nil
		}
		if err == nil {
			err = loose // nobody has asked valueDec
		}
	}
	if spelled, ok := spelledOut(nil, data, target.Type().Elem(), locateLevels); ok {
		return decodeCBOR(spelled, target, l)
	}
	return locate(data, target.Type().Elem(), err)
}

// unmarshal decodes data with mode. A method of v that panics is an error, as is
// whatever in the library still would: the bytes are a stranger's.
func unmarshal(mode cbor.DecMode, data []byte, v any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoding it panicked: %v", p)
		}
	}()
	return mode.Unmarshal(data, v)
}

func typeName(v any) string {
	if v == nil {
		return "nil"
	}
	return reflect.TypeOf(v).String()
}

// pointed says what is wanted for what v points to.
func pointed(c Codec, v any) string {
	if t := reflect.TypeOf(v); t != nil && t.Kind() == reflect.Pointer {
		return wanted(c, t.Elem())
	}
	return typeName(v)
}
