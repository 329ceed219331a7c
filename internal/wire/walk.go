package wire

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"unicode/utf8"
)

// maxNodes bounds the walk of one value: a value of more parts is over any
// message's limit, or shares its parts so often that it never ends.
const maxNodes = 16 << 20

// A walk looks through a Go value for what has no image on the wire. It goes by
// reflection, so it runs only where a plan asks for it, or when encoding failed.
type walk struct {
	codec Codec
	full  bool // look at everything, not only at what a plan asks for
	nodes int
}

// A step is one element of the path from the whole value to a part.
type step struct {
	up    *step
	field string
	index int
	key   reflect.Value
}

func (s *step) String() string {
	if s == nil {
		return ""
	}
	path := s.up.String()
	// A value that holds itself gives a path as deep as the limit: its start tells.
	if len(path) > 200 {
		return tell(path, 200)
	}
	switch {
	case s.field != "":
		if path == "" {
			return s.field
		}
		return path + "." + s.field
	case s.key.IsValid():
		if s.key.Kind() == reflect.String {
			return fmt.Sprintf("%s[%.40q]", path, s.key.String())
		}
		return fmt.Sprintf("%s[%.40v]", path, s.key)
	}
	return path + "[" + strconv.Itoa(s.index) + "]"
}

// value returns the first fault of v, or nil. depth counts the lists and maps
// around v, hops everything that was gone through.
func (w *walk) value(v reflect.Value, at *step, depth, hops int) *FieldError {
	if !v.IsValid() {
		return nil // a nil interface
	}
	t := v.Type()
	if w.nodes++; w.nodes > maxNodes {
		return w.fault(at, fmt.Sprintf("it has more than %d parts; does it hold itself?", maxNodes))
	}
	if depth > DefaultDepth || hops > 4*DefaultDepth {
		return w.fault(at, fmt.Sprintf("lists and maps stand more than %d deep in one another; does it hold itself?", DefaultDepth))
	}
	p := planOf(w.codec, t)
	if p.endless {
		return w.fault(at, t.String()+" points to itself")
	}
	if !w.full && !p.walk {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return w.value(v.Elem(), at, depth, hops+1)
	case reflect.Interface:
		return w.value(v.Elem(), at, depth, hops+1)
	}
	if p.marshals {
		return w.image(v, at)
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return w.fault(at, t.String()+" has no image on the wire")
	case reflect.Uintptr:
		if w.codec != CodecJSON {
			return w.fault(at, t.String()+" has no image on the wire")
		}
	case reflect.String:
		if s := v.String(); !utf8.ValidString(s) {
			return w.fault(at, fmt.Sprintf("text %.40q is not UTF-8; use []byte for bytes", s))
		}
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); w.codec == CodecJSON && (math.IsNaN(f) || math.IsInf(f, 0)) {
			return w.fault(at, fmt.Sprintf("%v has no image in JSON", f))
		}
	case reflect.Slice, reflect.Array:
		if !w.full && !planOf(w.codec, t.Elem()).walk {
			return nil
		}
		if t.Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := range v.Len() {
			if err := w.value(v.Index(i), &step{up: at, index: i}, depth+1, hops+1); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			here := &step{up: at, key: it.Key()}
			if err := w.value(it.Key(), here, depth+1, hops+1); err != nil {
				return err
			}
			if err := w.value(it.Value(), here, depth+1, hops+1); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if p.opaque {
			return w.fault(at, t.String()+" has no exported field, so nothing of it would arrive")
		}
		fields := p.walked
		if w.full {
			fields = p.fields
		}
		for _, f := range fields {
			part, err := v.FieldByIndexErr(f.index)
			if err != nil {
				continue // of an embedded struct that is nil
			}
			if err := w.value(part, &step{up: at, field: f.path}, depth+1, hops+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// image looks at a value that makes its own image, when looking for a fault.
func (w *walk) image(v reflect.Value, at *step) *FieldError {
	if !w.full || harmless(v.Type()) || !v.CanInterface() {
		return nil
	}
	if _, err := encodeChecked(w.codec, nil, v.Interface()); err != nil {
		return w.fault(at, fmt.Sprintf("%v: %v", v.Type(), err))
	}
	return nil
}

func (w *walk) fault(at *step, reason string) *FieldError {
	return &FieldError{Code: CodeNotEncodable, Field: at.String(), Reason: reason}
}

// typeFault returns where t, rather than a value of it, has no image: the
// libraries refuse a type for a field that this value may not even hold.
func typeFault(c Codec, t reflect.Type, at string, met map[reflect.Type]bool) *FieldError {
	if met[t] || marshals(c, t) {
		return nil
	}
	met[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return &FieldError{Code: CodeNotEncodable, Field: at, Reason: t.String() + " has no image on the wire"}
	case reflect.Pointer:
		if endless(t) {
			return &FieldError{Code: CodeNotEncodable, Field: at, Reason: t.String() + " points to itself"}
		}
		return typeFault(c, t.Elem(), at, met)
	case reflect.Slice, reflect.Array:
		return typeFault(c, t.Elem(), at+"[]", met)
	case reflect.Map:
		if err := typeFault(c, t.Key(), at+"[]", met); err != nil {
			return err
		}
		return typeFault(c, t.Elem(), at+"[]", met)
	case reflect.Struct:
		for _, f := range fieldsOf(c, t) {
			path := f.path
			if at != "" {
				path = at + "." + path
			}
			if err := typeFault(c, f.typ, path, met); err != nil {
				return err
			}
		}
	}
	return nil
}
