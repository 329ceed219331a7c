package wire

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// The json profile writes what JSON lacks as an object with one key.
const (
	formBytes = "$bytes"
	formTime  = "$time"
	formSet   = "$set"
	formUUID  = "$uuid"
	formFloat = "$float"
	formMap   = "$map"
)

// AppendJSON appends to dst the image in the json profile of one value, which is
// encoded in c. docs/json.md has the table: what JSON lacks is an object whose one
// key begins with $. It goes without recursion, within l, and keeps nothing of data.
//
// The error is a *FieldError that names the field: CodeTooLarge over the limits,
// CodeInvalid for data that is not what c says, CodeNotEncodable for what has no
// image: a moment that no RFC 3339 text says, a key that stands twice. dst is then
// returned as it was.
func AppendJSON(dst []byte, c Codec, data []byte, l Limits) ([]byte, error) {
	switch c {
	case CodecNone:
		return append(dst, "null"...), nil
	case CodecRaw:
		return appendJSONBytes(dst, data), nil
	case CodecJSON:
		// What looks like one of the profile's own forms is none there.
		b, err := appendCBOR(nil, data, l, false)
		if err != nil {
			return dst, err
		}
		data = b
	case CodecCBOR:
	default:
		return dst, invalid("there is no codec %d", c)
	}
	if fault := checkCBOR(data, l, 0, l.budget()); fault != nil {
		return dst, fault
	}
	out, fault := (&jsonWriter{plain: plainMaps(data)}).value(dst, data)
	if fault != nil {
		return dst, fault
	}
	return out, nil
}

// jsonWriter writes checked CBOR as JSON.
type jsonWriter struct {
	plain []bool // see plainMaps; of the maps that are still to begin
	open  []writing
}

// writing is a list or a map of which a part is written.
type writing struct {
	kind  writingKind
	left  uint64 // items, or pairs
	index int    // of the item that comes next
	key   []byte // of the pair at work, as CBOR
	value bool   // the key is written, its value comes next
	begin int    // where in the JSON the key begins, in a pair
	seen  keySet // the keys so far
	close string
}

type writingKind uint8

const (
	writingList   writingKind = iota
	writingObject             // of text keys
	writingPairs              // of any keys, as a list of pairs
)

// value appends data, which is one item.
func (w *jsonWriter) value(dst, data []byte) ([]byte, *FieldError) {
	for at := 0; ; {
		var fault *FieldError
		var n int
		if dst, n, fault = w.item(dst, data[at:]); fault != nil {
			return nil, fault
		}
		at += n
		if dst, n, fault = w.next(dst, data[at:]); fault != nil {
			return nil, fault
		}
		if at += n; len(w.open) == 0 {
			return dst, nil
		}
	}
}

// next writes what stands between the item that was just written and the one that
// comes next, closing what is complete. It takes the key of an object.
func (w *jsonWriter) next(dst, data []byte) ([]byte, int, *FieldError) {
	for len(w.open) > 0 {
		top := &w.open[len(w.open)-1]
		if top.kind == writingPairs && !top.value && top.index > 0 {
			// That was a key. Its image tells whether it stands twice: one number has
			// several forms in CBOR.
			if top.seen.add(string(dst[top.begin:])) {
				return nil, 0, w.twice(top.key)
			}
			top.value = true
			return append(dst, ','), 0, nil
		}
		if top.kind == writingPairs && top.value {
			dst = append(dst, ']')
		}
		if top.left == 0 {
			dst = append(dst, top.close...)
			w.open = w.open[:len(w.open)-1]
			continue
		}
		if top.index > 0 {
			dst = append(dst, ',')
		}
		top.left--
		top.index++
		top.value = false
		switch top.kind {
		case writingList:
			return dst, 0, nil
		case writingPairs:
			h, _ := readHead(data)
			if h.major == majorArray || h.major == majorMap || h.major == majorTag && h.arg == tagSet {
				return nil, 0, w.fault(CodeNotEncodable, "a map whose key is a list, a map or a set")
			}
			dst = append(dst, '[')
			top.key, top.begin = data[:itemEnd(data)], len(dst)
			return dst, 0, nil
		}
		h, _ := readHead(data)
		n := h.size + int(h.arg)
		if top.key = data[:n]; top.seen.add(string(data[h.size:n])) {
			return nil, 0, w.twice(top.key)
		}
		top.value = true
		return append(appendJSONText(dst, data[h.size:n]), ':'), n, nil
	}
	return dst, 0, nil
}

func (w *jsonWriter) twice(key []byte) *FieldError {
	return w.fault(CodeNotEncodable, "the key %s stands twice in one map", describeKey(key))
}

// item writes one item, or the beginning of a list or a map, and returns how many
// bytes of data that was.
func (w *jsonWriter) item(dst, data []byte) ([]byte, int, *FieldError) {
	h, _ := readHead(data)
	at := h.size
	switch h.major {
	case majorUint:
		return strconv.AppendUint(dst, h.arg, 10), at, nil
	case majorNegint:
		if h.arg > math.MaxInt64 {
			n := new(big.Int).SetUint64(h.arg)
			return n.Not(n).Append(dst, 10), at, nil
		}
		return strconv.AppendInt(dst, ^int64(h.arg), 10), at, nil
	case majorBytes:
		end := at + int(h.arg)
		return appendJSONBytes(dst, data[at:end]), end, nil
	case majorText:
		end := at + int(h.arg)
		return appendJSONText(dst, data[at:end]), end, nil
	case majorArray:
		w.open = append(w.open, writing{kind: writingList, left: h.arg, close: "]"})
		return append(dst, '['), at, nil
	case majorMap:
		plain := w.plain[0]
		w.plain = w.plain[1:]
		if plain {
			w.open = append(w.open, writing{kind: writingObject, left: h.arg, close: "}"})
			return append(dst, '{'), at, nil
		}
		w.open = append(w.open, writing{kind: writingPairs, left: h.arg, close: "]}"})
		return append(dst, `{"`+formMap+`":[`...), at, nil
	case majorTag:
		return w.tagged(dst, data, h)
	}
	switch h.info {
	case 20:
		return append(dst, "false"...), at, nil
	case 21:
		return append(dst, "true"...), at, nil
	case 22, 23:
		return append(dst, "null"...), at, nil
	}
	return appendJSONFloat(dst, h.float()), at, nil
}

// tagged writes an item with a tag, whose head is h.
func (w *jsonWriter) tagged(dst, data []byte, h head) ([]byte, int, *FieldError) {
	at := h.size
	c, _ := readHead(data[at:])
	at += c.size
	switch h.arg {
	case tagSet:
		w.open = append(w.open, writing{kind: writingList, left: c.arg, close: "]}"})
		return append(dst, `{"`+formSet+`":[`...), at, nil
	case tagTimeUnix:
		var text string
		if s := c.float(); c.major == majorSimple {
			whole, part := math.Modf(s)
			text = time.Unix(int64(whole), int64(math.Round(part*1e9))).UTC().Format(time.RFC3339Nano)
		} else {
			text = time.Unix(int64(s), 0).UTC().Format(time.RFC3339Nano) // within the years 0 to 9999, a float has it exactly
		}
		return append(dst, `{"`+formTime+`":"`+text+`"}`...), at, nil
	}
	end := at + int(c.arg)
	content := data[at:end]
	switch h.arg {
	case tagTimeText:
		if fault := checkMoment(string(content)); fault != "" {
			return nil, 0, w.fault(CodeNotEncodable, "%s", fault)
		}
		dst = append(dst, `{"`+formTime+`":`...)
		return append(appendJSONText(dst, content), '}'), end, nil
	case tagUUID:
		return append(dst, `{"`+formUUID+`":"`+uuidText([16]byte(content))+`"}`...), end, nil
	}
	n := new(big.Int).SetBytes(content)
	if h.arg == tagBigNeg {
		n.Not(n)
	}
	return n.Append(dst, 10), end, nil
}

func (w *jsonWriter) fault(code Code, format string, args ...any) *FieldError {
	f := &FieldError{Code: code, Reason: fmt.Sprintf(format, args...)}
	var path strings.Builder
	for i := range w.open {
		if path.Len() > 200 {
			path.WriteString("…")
			break
		}
		switch o := &w.open[i]; {
		case o.index == 0:
		case o.kind == writingList || !o.value:
			fmt.Fprintf(&path, "[%d]", o.index-1)
		default:
			fmt.Fprintf(&path, "[%s]", describeKey(o.key))
		}
	}
	f.Field = path.String()
	return f
}

// plainMaps says of each map in data, in the order in which they begin, whether it
// is an object: all its keys are text, and it does not look like one of the
// profile's forms. It is found out beforehand, for all of them in one go: looking
// ahead at each map would take a time that grows with the depth. data was checked.
func plainMaps(data []byte) (plain []bool) {
	type level struct {
		left uint64 // items
		pair bool   // it is a map
		at   int    // in plain
		only bool   // it has one pair
	}
	var open []level
	for at := 0; at < len(data); {
		h, _ := readHead(data[at:])
		if n := len(open); n > 0 && open[n-1].pair && open[n-1].left%2 == 0 {
			top := &open[n-1]
			form := top.only && h.arg > 0 && at+h.size < len(data) && data[at+h.size] == '$'
			if h.major != majorText || form {
				plain[top.at] = false
			}
		}
		at += h.size
		switch h.major {
		case majorTag:
			continue
		case majorBytes, majorText:
			at += int(h.arg)
		case majorArray:
			if h.arg > 0 {
				open = append(open, level{left: h.arg})
				continue
			}
		case majorMap:
			plain = append(plain, true)
			if h.arg > 0 {
				open = append(open, level{left: 2 * h.arg, pair: true, at: len(plain) - 1, only: h.arg == 1})
				continue
			}
		}
		for n := len(open); n > 0; n-- {
			if open[n-1].left--; open[n-1].left > 0 {
				break
			}
			open = open[:n-1]
		}
	}
	return plain
}

// float returns the number with head h.
func (h head) float() float64 {
	switch {
	case h.major == majorUint:
		return float64(h.arg)
	case h.major == majorNegint:
		return -1 - float64(h.arg)
	case h.info == 27:
		return math.Float64frombits(h.arg)
	case h.info == 26:
		return float64(math.Float32frombits(uint32(h.arg)))
	}
	// RFC 8949, appendix D.
	exp, mant := int(h.arg>>10&0x1f), float64(h.arg&0x3ff)
	var f float64
	switch exp {
	case 0:
		f = math.Ldexp(mant, -24)
	case 31:
		if f = math.Inf(1); mant != 0 {
			return math.NaN()
		}
	default:
		f = math.Ldexp(mant+1024, exp-25)
	}
	if h.arg&0x8000 != 0 {
		f = math.Copysign(f, -1)
	}
	return f
}

// appendJSONFloat appends f so that it is read as a float again.
func appendJSONFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `{"`+formFloat+`":"nan"}`...)
	case math.IsInf(f, 1):
		return append(dst, `{"`+formFloat+`":"inf"}`...)
	case math.IsInf(f, -1):
		return append(dst, `{"`+formFloat+`":"-inf"}`...)
	}
	n := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, 64)
	for _, b := range dst[n:] {
		if b == '.' || b == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

func appendJSONBytes(dst, b []byte) []byte {
	dst = append(dst, `{"`+formBytes+`":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, `"}`...)
}

// appendJSONText appends s, which is UTF-8, as a JSON string.
func appendJSONText[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		b := s[i]
		if b >= ' ' && b != '"' && b != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch b {
		case '"', '\\':
			dst = append(dst, '\\', b)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[b>>4], digits[b&15])
		}
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// checkMoment says why text is no moment, or nothing.
func checkMoment(text string) string {
	if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
		return fmt.Sprintf("%.40q is not a moment as RFC 3339 writes it", text)
	}
	return ""
}

func uuidText(u [16]byte) string {
	s := hex.EncodeToString(u[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
