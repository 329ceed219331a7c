package wire

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// The bounds of the search for the field that did not fit: it decodes parts again,
// so a stranger's message must not make it long.
const (
	locateLevels = 8
	locateBytes  = 1 << 20
)

// locate turns err, why data could not be decoded into a t, into one that names
// the field. data was checked.
func locate(data []byte, t reflect.Type, err error) *FieldError {
	path := ""
	for level := 0; level < locateLevels && len(data) <= locateBytes; level++ {
		name, part, typ, partErr := misfit(data, t)
		if partErr == nil {
			break
		}
		if path != "" && !strings.HasPrefix(name, "[") {
			path += "."
		}
		path, data, t, err = path+name, part, typ, partErr
	}
	fault := &FieldError{Code: CodeInvalid, Field: path}
	var mismatch *cbor.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		fault.Reason = unreadable(t, err)
		return fault
	}
	if mismatch.StructFieldName != "" && len(data) > locateBytes {
		name := mismatch.StructFieldName // with its type before it
		fault.Field, fault.Reason = name[strings.LastIndex(name, ".")+1:], "it takes no "+mismatch.CBORType
		return fault
	}
	fault.Reason = fmt.Sprintf("want %s, got %s", wanted(CodecCBOR, t), describeCBOR(data))
	if t.Kind() == reflect.Interface && t.NumMethod() == 0 {
		// Everything fits an any but what cannot be a key of a Go map.
		fault.Reason = "a map whose keys cannot be the keys of a Go map"
	}
	return fault
}

// misfit returns the first part of data, a list or a map, that cannot be decoded
// into what t has for it, with its name, or no error if each part by itself fits.
func misfit(data []byte, t reflect.Type) (name string, part []byte, typ reflect.Type, err error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	h, _ := readHead(data)
	for h.major == majorTag {
		data = data[h.size:]
		h, _ = readHead(data)
	}
	if planOf(CodecCBOR, t).marshals || h.major != majorArray && h.major != majorMap {
		return "", nil, nil, nil
	}
	rest := data[h.size:]
	next := func() []byte {
		n := itemEnd(rest)
		item := rest[:n]
		rest = rest[n:]
		return item
	}
	fits := func(item []byte, t reflect.Type) error {
		return unmarshal(looseDec, item, reflect.New(t).Interface())
	}
	kind := t.Kind()
	switch {
	case h.major == majorArray && (kind == reflect.Slice || kind == reflect.Array):
		for i := range h.arg {
			item := next()
			if kind == reflect.Array && i >= uint64(t.Len()) {
				break
			}
			if err := fits(item, t.Elem()); err != nil {
				return "[" + strconv.FormatUint(i, 10) + "]", item, t.Elem(), err
			}
		}
	case h.major == majorArray && kind == reflect.Struct:
		for i, f := range planOf(CodecCBOR, t).fields {
			if uint64(i) >= h.arg {
				break
			}
			item := next()
			if err := fits(item, f.typ); err != nil {
				return f.name, item, f.typ, err
			}
		}
	case h.major == majorMap && kind == reflect.Map:
		for range h.arg {
			key, item := next(), next()
			if err := fits(key, t.Key()); err != nil {
				return "[key]", key, t.Key(), err
			}
			if err := fits(item, t.Elem()); err != nil {
				return "[" + describeKey(key) + "]", item, t.Elem(), err
			}
		}
	case h.major == majorMap && kind == reflect.Struct:
		fields := planOf(CodecCBOR, t).fields
		for range h.arg {
			key, item := next(), next()
			f := fieldFor(fields, key)
			if f == nil {
				continue
			}
			if err := fits(item, f.typ); err != nil {
				return f.name, item, f.typ, err
			}
		}
	}
	return "", nil, nil, nil
}

// fieldFor returns the field with the given key: by its exact name, else without
// regard to case, as the decoder does it.
func fieldFor(fields []field, key []byte) *field {
	h, _ := readHead(key)
	var name string
	switch h.major {
	case majorText:
		name = string(key[h.size:])
	case majorUint, majorNegint:
		n, ok := scalarInt(CodecCBOR, key)
		if !ok {
			return nil
		}
		name = strconv.FormatInt(n, 10)
	default:
		return nil
	}
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	for i := range fields {
		if strings.EqualFold(fields[i].name, name) {
			return &fields[i]
		}
	}
	return nil
}

func describeKey(key []byte) string {
	if h, _ := readHead(key); h.major == majorText {
		return strconv.Quote(tell(string(key[h.size:]), 40))
	}
	return describeCBOR(key)
}

// describeCBOR says in a few words what the checked item data is.
func describeCBOR(data []byte) string {
	h, _ := readHead(data)
	switch h.major {
	case majorUint:
		return "int " + strconv.FormatUint(h.arg, 10)
	case majorNegint:
		if h.arg > math.MaxInt64 {
			n := new(big.Int).SetUint64(h.arg)
			return "int " + n.Not(n).String()
		}
		return "int " + strconv.FormatInt(^int64(h.arg), 10)
	case majorBytes:
		return fmt.Sprintf("%d bytes", h.arg)
	case majorText:
		return "text " + strconv.Quote(tell(string(data[h.size:]), 40))
	case majorArray:
		return fmt.Sprintf("a list of %d", h.arg)
	case majorMap:
		return fmt.Sprintf("a map of %d", h.arg)
	case majorTag:
		switch h.arg {
		case tagTimeText, tagTimeUnix:
			return "a time"
		case tagBigPos, tagBigNeg:
			return "a big int"
		case tagUUID:
			return "a UUID"
		}
		return "a set"
	}
	switch h.info {
	case 20:
		return "false"
	case 21:
		return "true"
	case 22, 23:
		return "nil"
	}
	var f float64
	if err := valueDec.Unmarshal(data, &f); err != nil {
		return "a float"
	}
	return "float " + strconv.FormatFloat(f, 'g', -1, 64)
}
