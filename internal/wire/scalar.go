package wire

import (
	"math"
	"unicode/utf8"
	"unsafe"
)

// encodeScalar appends the commonest values, and what points to them, without the
// library. ok is false for any other, and for text that is not UTF-8.
func encodeScalar(dst []byte, v any) (out []byte, ok bool) {
	switch v := v.(type) {
	case nil:
		return append(dst, null), true
	case bool:
		return appendBool(dst, v), true
	case int:
		return appendInt(dst, int64(v)), true
	case int64:
		return appendInt(dst, v), true
	case string:
		return appendText(dst, v)
	case []byte:
		return appendBytes(dst, v), true
	case *bool:
		if v != nil {
			return appendBool(dst, *v), true
		}
	case *int:
		if v != nil {
			return appendInt(dst, int64(*v)), true
		}
	case *int64:
		if v != nil {
			return appendInt(dst, *v), true
		}
	case *string:
		if v != nil {
			return appendText(dst, *v)
		}
	case *[]byte:
		if v != nil {
			return appendBytes(dst, *v), true
		}
	}
	return dst, false
}

const null = 0xf6

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xf5)
	}
	return append(dst, 0xf4)
}

func appendText(dst []byte, v string) (out []byte, ok bool) {
	if !utf8.ValidString(v) {
		return dst, false
	}
	return append(appendHead(dst, majorText, uint64(len(v))), v...), true
}

func appendBytes(dst, v []byte) []byte {
	if v == nil {
		return append(dst, null)
	}
	return append(AppendBytesHead(dst, len(v)), v...)
}

// AppendBytesHead appends what stands before n bytes in their image as a []byte in
// CodecCBOR: for who has the bytes written from where they are.
func AppendBytesHead(dst []byte, n int) []byte { return appendHead(dst, majorBytes, uint64(n)) }

func appendInt(dst []byte, n int64) []byte {
	if n < 0 {
		return appendHead(dst, majorNegint, uint64(^n))
	}
	return appendHead(dst, majorUint, uint64(n))
}

// Scalar decodes data into the commonest types, and allocates nothing but what it
// copies. ok is false for any other type, and for whatever it is not sure of, right
// or wrong: that is for Decode. With keep, data is the caller's to give away: a
// []byte or a string is not copied then.
func Scalar[T any](c Codec, data []byte, keep bool) (v T, ok bool) {
	switch p := any(&v).(type) {
	case *[]byte:
		*p, ok = scalarBytes(c, data, keep)
	case *string:
		*p, ok = scalarText(c, data, keep)
	case *bool:
		ok = c == CodecCBOR && len(data) == 1 && (data[0] == 0xf4 || data[0] == 0xf5)
		*p = ok && data[0] == 0xf5
	case *int64:
		*p, ok = scalarInt(c, data)
	case *int:
		n, isInt := scalarInt(c, data)
		*p, ok = int(n), isInt && int64(int(n)) == n
	}
	return v, ok
}

func scalarBytes(c Codec, data []byte, keep bool) (b []byte, ok bool) {
	switch c {
	case CodecCBOR:
		if b, ok = wholeString(data, majorBytes); !ok {
			return nil, false
		}
	case CodecRaw:
		b = data
	default:
		return nil, false
	}
	if !keep || b == nil {
		b = append([]byte{}, b...)
	}
	return b, true
}

func scalarText(c Codec, data []byte, keep bool) (s string, ok bool) {
	if c != CodecCBOR {
		return "", false
	}
	b, ok := wholeString(data, majorText)
	if !ok || !utf8.Valid(b) {
		return "", false
	}
	if keep {
		return unsafe.String(unsafe.SliceData(b), len(b)), true
	}
	return string(b), true
}

// wholeString returns the content of the byte or text string that data is.
func wholeString(data []byte, major byte) ([]byte, bool) {
	h, reason := readHead(data)
	if reason != "" || h.major != major || h.arg != uint64(len(data)-h.size) {
		return nil, false
	}
	return data[h.size:len(data):len(data)], true
}

func scalarInt(c Codec, data []byte) (int64, bool) {
	if c != CodecCBOR {
		return 0, false
	}
	h, reason := readHead(data)
	if reason != "" || h.size != len(data) || h.arg > math.MaxInt64 {
		return 0, false
	}
	switch h.major {
	case majorUint:
		return int64(h.arg), true
	case majorNegint:
		return ^int64(h.arg), true
	}
	return 0, false
}

// decodeScalar is Scalar for who has a pointer.
func decodeScalar(data []byte, v any) (ok bool) {
	switch v := v.(type) {
	case *int:
		ok = scalarInto(data, v)
	case *int64:
		ok = scalarInto(data, v)
	case *bool:
		ok = scalarInto(data, v)
	case *string:
		ok = scalarInto(data, v)
	case *[]byte:
		ok = scalarInto(data, v)
	}
	return ok
}

func scalarInto[T any](data []byte, p *T) bool {
	v, ok := Scalar[T](CodecCBOR, data, false)
	if ok {
		*p = v
	}
	return ok
}
