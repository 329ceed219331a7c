package wire

import (
	"reflect"
	"time"
)

// spelledOut appends data, which could not be decoded into a t, to dst with durations as the
// decoder has them: text such as "5s", where t has a time.Duration, as nanoseconds. ok reports
// whether there was any. It looks no further than locate does. data was checked.
func spelledOut(dst, data []byte, t reflect.Type, levels int) (out []byte, ok bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	h, _ := readHead(data)
	if t == reflect.TypeFor[time.Duration]() && h.major == majorText {
		if d, err := time.ParseDuration(string(data[h.size:])); err == nil {
			return appendInt(dst, int64(d)), true
		}
	}
	kind := t.Kind()
	list := h.major == majorArray && (kind == reflect.Slice || kind == reflect.Array)
	table := h.major == majorMap && (kind == reflect.Map || kind == reflect.Struct)
	if levels == 0 || len(data) > locateBytes || planOf(CodecCBOR, t).marshals || !list && !table {
		return append(dst, data...), false
	}
	rest := data[h.size:]
	dst = append(dst, data[:h.size]...)
	for range h.arg {
		item := reflect.TypeFor[any]() // what has no place is left as it is
		if table {
			key := rest[:itemEnd(rest)]
			dst, rest = append(dst, key...), rest[len(key):]
			if kind == reflect.Struct {
				if f := fieldFor(planOf(CodecCBOR, t).fields, key); f != nil {
					item = f.typ
				}
			}
		}
		if kind != reflect.Struct {
			item = t.Elem()
		}
		n := itemEnd(rest)
		var found bool
		dst, found = spelledOut(dst, rest[:n], item, levels-1)
		ok, rest = ok || found, rest[n:]
	}
	return dst, ok
}
