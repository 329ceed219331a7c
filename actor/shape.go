package actor

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"strings"

	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// shape is how positional and keyword arguments fill a command's argument type,
// worked out once when the kind is made. A struct is filled field by field, in
// order and by name; any other type is the one positional argument.
type shape struct {
	name   string // of the type
	none   bool   // it takes no argument
	fields []field
}

type field struct {
	name  string
	index []int
}

func shapeOf[T any]() *shape {
	t := reflect.TypeFor[T]()
	s := &shape{name: typeName[T](), none: t == reflect.TypeFor[None]()}
	if t.Kind() != reflect.Struct || s.none || codesItself(t) {
		return s
	}
	s.fields = []field{} // not nil: a struct without fields takes no arguments
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() || f.Anonymous || !reachable(t, f.Index) {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("cbor"), ",")
		if name == "" {
			name, _, _ = strings.Cut(f.Tag.Get("json"), ",")
		}
		if name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		s.fields = append(s.fields, field{name: name, index: f.Index})
	}
	return s
}

// reachable reports whether the field of t at index can be set: what is embedded
// by pointer is made on the way, unless its type is not exported.
func reachable(t reflect.Type, index []int) bool {
	for _, n := range index[:len(index)-1] {
		f := t.Field(n)
		t = f.Type
		if t.Kind() == reflect.Pointer {
			if !f.IsExported() {
				return false
			}
			t = t.Elem()
		}
	}
	return true
}

// fieldAt returns the field of v at index, which is reachable.
func fieldAt(v reflect.Value, index []int) reflect.Value {
	for i, n := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v
}

// codesItself reports whether t is a struct only to Go, such as time.Time.
func codesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	for _, i := range []reflect.Type{
		reflect.TypeFor[encoding.TextUnmarshaler](),
		reflect.TypeFor[encoding.BinaryUnmarshaler](),
		reflect.TypeFor[interface{ UnmarshalCBOR([]byte) error }](),
	} {
		if p.Implements(i) {
			return true
		}
	}
	return false
}

// fill decodes an argument list into out, a pointer to the shape's type.
func (s *shape) fill(codec wire.Codec, data []byte, out any) error {
	args, kwargs, err := wire.SplitArgs(codec, data)
	if err != nil {
		return err
	}
	if s.fields == nil {
		return s.single(codec, args, kwargs, out)
	}
	if len(args) > 0 && len(s.fields) == 0 {
		return s.wrong("%d arguments, and it takes none", len(args))
	}
	if len(args) > len(s.fields) {
		return s.wrong("%d positional arguments, and it takes at most %d: %s", len(args), len(s.fields), s.names())
	}
	v := reflect.ValueOf(out).Elem()
	for i, raw := range args {
		if err := s.set(v, s.fields[i], codec, raw); err != nil {
			return err
		}
	}
	for name, raw := range kwargs {
		i := s.find(name)
		if i < 0 {
			text := fmt.Sprintf("no argument is called %q", name)
			if near := wire.Nearest(name, s.each); near != "" {
				text += fmt.Sprintf("; did you mean %q?", near)
			}
			return s.wrong("%s", text)
		}
		if i < len(args) {
			return s.wrong("%q is given twice, by position and by name", s.fields[i].name)
		}
		if err := s.set(v, s.fields[i], codec, raw); err != nil {
			return err
		}
	}
	return nil
}

// single fills a type that is no struct.
func (s *shape) single(codec wire.Codec, args [][]byte, kwargs map[string][]byte, out any) error {
	switch {
	case len(kwargs) > 0:
		return s.wrong("keyword arguments, and it takes none")
	case s.none && len(args) > 0:
		return s.wrong("%d arguments, and it takes none", len(args))
	case s.none:
		return nil
	case len(args) != 1:
		return s.wrong("%d arguments, and it takes one: %s", len(args), s.name)
	}
	return wire.Decode(codec, args[0], out)
}

// first reports whether e, one bare value, is not the struct but its first field.
func (s *shape) first(e *cell.Encoded) bool {
	if len(s.fields) == 0 || len(e.Data) == 0 {
		return false
	}
	if e.Codec == wire.CodecJSON {
		trimmed := bytes.TrimLeft(e.Data, " \t\r\n")
		return len(trimmed) > 0 && trimmed[0] != '{' && trimmed[0] != 'n'
	}
	major := e.Data[0] >> 5
	return e.Codec == wire.CodecCBOR && major != 5 && e.Data[0] != 0xf6 // neither a map nor null
}

func (s *shape) fillFirst(codec wire.Codec, data []byte, out any) error {
	return s.set(reflect.ValueOf(out).Elem(), s.fields[0], codec, data)
}

func (s *shape) set(v reflect.Value, f field, codec wire.Codec, raw []byte) error {
	if err := wire.Decode(codec, raw, fieldAt(v, f.index).Addr().Interface()); err != nil {
		return s.wrong("argument %q: %v", f.name, err)
	}
	return nil
}

func (s *shape) find(name string) int {
	fold := -1
	for i, f := range s.fields {
		if f.name == name {
			return i
		}
		if strings.EqualFold(f.name, name) {
			fold = i
		}
	}
	return fold
}

func (s *shape) each(yield func(string) bool) {
	for _, f := range s.fields {
		if !yield(f.name) {
			return
		}
	}
}

func (s *shape) names() string {
	var names []string
	for name := range s.each {
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func (s *shape) wrong(format string, args ...any) error {
	return wire.Errorf(wire.CodeInvalid, format, args...).NotStarted()
}
