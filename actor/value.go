package actor

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// None is no argument, or no result.
type None = struct{}

// typed is a value that has not left this process.
type typed[T any] struct{ v T }

// Encode appends the value; None has no image at all.
func (t *typed[T]) Encode(dst []byte, codec wire.Codec) (cell.Encoded, error) {
	if _, none := any(&t.v).(*None); none {
		return cell.Encoded{Codec: wire.CodecNone, Data: dst}, nil
	}
	if codec == wire.CodecNone {
		codec = wire.CodecCBOR
	}
	data, err := wire.Encode(codec, dst, &t.v)
	return cell.Encoded{Codec: codec, Data: data}, err
}

// Bytes returns the value if it is a []byte that is not nil.
func (t *typed[T]) Bytes() ([]byte, bool) {
	b, ok := any(&t.v).(*[]byte)
	if !ok || *b == nil {
		return nil, false
	}
	return *b, true
}

// Size is that of the value itself, and of the bytes it is all about if it is a
// []byte or a string. What other values point to is not looked at.
func (t *typed[T]) Size() int { return int(unsafe.Sizeof(t.v)) + bytesOf(any(&t.v)) }

// bytesOf is the length of what v is or points to, if that is a []byte or a string.
func bytesOf(v any) int {
	switch v := v.(type) {
	case *[]byte:
		return len(*v)
	case *string:
		return len(*v)
	case []byte:
		return len(v)
	case string:
		return len(v)
	}
	return 0
}

// arguments are the positional and keyword arguments of a dynamic call.
type arguments struct {
	args   []any
	kwargs map[string]any
}

// Encode appends an array of the positional arguments and a map of the others.
func (a *arguments) Encode(dst []byte, codec wire.Codec) (cell.Encoded, error) {
	if codec != wire.CodecJSON {
		codec = wire.CodecCBOR
	}
	data, err := wire.EncodeArgs(codec, dst, a.args, a.kwargs)
	return cell.Encoded{Codec: codec, Args: true, Data: data}, err
}

// Size is that of the bytes and strings among the arguments, and something for each.
func (a *arguments) Size() (n int) {
	const each = 16
	for _, v := range a.args {
		n += each + bytesOf(v)
	}
	for name, v := range a.kwargs {
		n += each + len(name) + bytesOf(v)
	}
	return n
}

// take returns v as a T. A value of this process that is a T already is handed
// over as it is; any other goes the way it would go over a connection, so that
// the outcome is the same.
func take[T any](v cell.Value, shape *shape) (T, error) {
	switch v := v.(type) {
	case *typed[T]:
		return v.v, nil
	case *cell.Encoded:
		if !v.Args && (shape == nil || !shape.first(v)) {
			if out, ok := wire.Scalar[T](v.Codec, v.Data, isBytes[T]() && v.Keep()); ok {
				return out, nil
			}
		}
	}
	return convert[T](v, shape) // apart: what it decodes into is allocated
}

// isBytes reports whether a T can be the bytes it was decoded from.
func isBytes[T any]() bool {
	switch any((*T)(nil)).(type) {
	case *[]byte, *string:
		return true
	}
	return false
}

// isString reports whether T is string: one that changes is never lent.
func isString[T any]() bool {
	_, ok := any((*T)(nil)).(*string)
	return ok
}

func convert[T any](v cell.Value, shape *shape) (out T, err error) {
	switch v := v.(type) {
	case nil:
	case *cell.Encoded:
		err = decode(v, &out, shape)
	default:
		var e cell.Encoded
		if e, err = v.Encode(nil, wire.CodecCBOR); err == nil {
			err = decode(&e, &out, shape)
		}
	}
	return out, err
}

func decode(e *cell.Encoded, out any, shape *shape) error {
	if _, none := out.(*None); none {
		return nil // what has no place is not looked at
	}
	if e.Args {
		return shape.fill(e.Codec, e.Data, out)
	}
	if e.Codec == wire.CodecNone {
		return nil
	}
	if shape != nil && shape.first(e) {
		return shape.fillFirst(e.Codec, e.Data, out)
	}
	return wire.Decode(e.Codec, e.Data, out)
}

// typeName describes T for people: the types of a command.
func typeName[T any]() string {
	var v *T
	name := fmt.Sprintf("%T", v)[1:]
	if name == "struct {}" {
		return ""
	}
	return strings.ReplaceAll(name, "interface {}", "any")
}
