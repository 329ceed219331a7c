package wire

import (
	"encoding"
	"errors"
	"fmt"
	"path"
	"reflect"
	"strings"
	"time"
)

const (
	wantedLevels = 4 // of lists and maps that are told
	wantedKeys   = 3 // of a struct
)

// wanted says in a few words what value is decoded into a t. Who sent another may be
// a program in any language, which knows no type of Go: the words are those in which it
// is told what it sent.
func wanted(c Codec, t reflect.Type) string { return wantedOf(c, t, wantedLevels) }

func wantedOf(c Codec, t reflect.Type, levels int) string {
	for t.Kind() == reflect.Pointer && !endless(t) {
		t = t.Elem()
	}
	switch {
	case t == typeTime:
		return "a time"
	case t == typeBigInt:
		return "int"
	case t == reflect.TypeFor[time.Duration]() && c == CodecCBOR:
		return `a duration, as text such as "5s" or as a whole number of nanoseconds`
	case t == typeBytes, t.Kind() == reflect.Array && t.Elem().Kind() == reflect.Uint8 && !marshals(c, t):
		return "bytes"
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return "text"
	case marshals(c, t):
		return t.Name()
	}
	switch t.Kind() {
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return t.Name()
		}
		return "anything"
	case reflect.Slice, reflect.Array:
		if levels == 0 {
			return "a list"
		}
		return "a list of " + several(wantedOf(c, t.Elem(), levels-1))
	case reflect.Map:
		if of := t.Elem(); levels > 0 && (of.Kind() != reflect.Interface || of.NumMethod() > 0) {
			return "a map of " + several(wantedOf(c, of, levels-1))
		}
		return "a map"
	case reflect.Struct:
		return "a map" + keysOf(c, t)
	}
	return t.Kind().String()
}

// several is "maps such as these" of "a map such as these".
func several(one string) string {
	word, ok := strings.CutPrefix(one, "a ")
	if !ok {
		return one
	}
	end := strings.IndexAny(word+" ", " ,")
	return word[:end] + "s" + word[end:]
}

// keysOf says how the map begins that a struct is.
func keysOf(c Codec, t reflect.Type) string {
	var keys []string
	for i, f := range planOf(c, t).fields {
		if i == wantedKeys {
			keys = append(keys, "…")
			break
		}
		keys = append(keys, fmt.Sprintf("%q: …", f.name))
	}
	if keys == nil {
		return ""
	}
	return " such as {" + strings.Join(keys, ", ") + "}"
}

// unreadable says why a t could not be decoded: in the words of its own UnmarshalText, where it
// has one, but not with the name of its package.
func unreadable(t reflect.Type, err error) string {
	reason := strings.TrimPrefix(err.Error(), "cbor: ")
	if own := errors.Unwrap(err); own != nil && strings.HasPrefix(reason, "cannot unmarshal text for ") {
		for t.Kind() == reflect.Pointer && !endless(t) {
			t = t.Elem()
		}
		reason = strings.TrimPrefix(own.Error(), path.Base(t.PkgPath())+": ")
	}
	return reason
}
