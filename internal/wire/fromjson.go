package wire

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// formLevels is how many levels of JSON a level of a value may take: a map of any
// keys is an object, a list and a pair.
const formLevels = 3

// AppendCBOR appends to dst, as CBOR, the value whose image in the json profile is
// text: AppendJSON says what that is. Integers are exact, a number with a point or
// an exponent is a float. It goes without recursion, within l, and keeps nothing of
// text; what it appends is within l, too.
//
// The error is a *FieldError that names the field: CodeTooLarge over the limits,
// else CodeInvalid, also for an object whose one key begins with $ and is not in
// the table. dst is then returned as it was.
func AppendCBOR(dst, text []byte, l Limits) ([]byte, error) {
	return appendCBOR(dst, text, l, true)
}

func appendCBOR(dst, text []byte, l Limits, forms bool) ([]byte, error) {
	if fault := checkJSON(text, l.ofJSON(), 0); fault != nil {
		return dst, fault
	}
	out, fault := cborOf(dst, text, l, forms)
	if fault != nil {
		return dst, fault
	}
	return out, nil
}

// ofJSON returns the limits of the text of a value that is held to l.
func (l Limits) ofJSON() Limits {
	l.Depth = formLevels*l.depth() + formLevels
	return l
}

// cborOf is AppendCBOR for text that was checked. Without forms an object is a map
// whatever its keys are.
func cborOf(dst, text []byte, l Limits, forms bool) ([]byte, *FieldError) {
	r := &jsonReader{text: text, limits: l, forms: forms, counts: countItems(text)}
	for {
		r.space()
		var fault *FieldError
		if dst, fault = r.item(dst); fault != nil {
			return nil, fault
		}
		if fault = r.next(); fault != nil {
			return nil, fault
		}
		if len(r.open) == 0 {
			return dst, nil
		}
	}
}

// countItems returns how many items each list, and how many pairs each object in
// text has, in the order in which they begin: CBOR says it beforehand.
func countItems(text []byte) (counts []uint32) {
	var open []int // indices into counts
	fresh := false // a list or an object has just begun
	for at := 0; at < len(text); {
		b := text[at]
		switch b {
		case ' ', '\t', '\r', '\n', ':':
			at++
			continue
		case '}', ']':
			open = open[:len(open)-1]
			fresh = false
			at++
			continue
		}
		if fresh {
			counts[open[len(open)-1]] = 1
			fresh = false
		}
		switch b {
		case ',':
			counts[open[len(open)-1]]++
			at++
		case '{', '[':
			open = append(open, len(counts))
			counts = append(counts, 0)
			fresh = true
			at++
		default:
			at = scalarEnd(text, at)
		}
	}
	return counts
}

// scalarEnd returns where the string, number or word that begins at text[at] ends.
func scalarEnd(text []byte, at int) int {
	if text[at] == '"' {
		end, _ := stringEnd(text, at)
		return end
	}
	for at < len(text) {
		switch text[at] {
		case ' ', '\t', '\r', '\n', ',', ':', ']', '}':
			return at
		}
		at++
	}
	return at
}

// jsonReader reads checked JSON as CBOR.
type jsonReader struct {
	text   []byte
	at     int
	limits Limits
	forms  bool
	counts []uint32 // of the lists and objects that are still to begin
	open   []reading
	depth  int // of the value
}

// reading is a list or an object that is open.
type reading struct {
	kind  readingKind
	left  uint32 // items, or pairs
	index int    // of the item that comes next
	key   string // of the pair at work
	begin int    // where in the CBOR the key begins, in a pair
	seen  keySet // keys of a $map, as CBOR
}

type readingKind uint8

const (
	readingList   readingKind = iota
	readingObject             // a map of text keys
	readingPairs              // the list in a $map
	readingPair               // a list of two in that
	readingForm               // the object around a $map or a $set: it adds nothing
)

func (r *jsonReader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\r', '\n', ',', ':':
			r.at++
		default:
			return
		}
	}
}

// str reads the string at r.at.
func (r *jsonReader) str() string {
	end, escaped := stringEnd(r.text, r.at)
	raw := r.text[r.at:end]
	r.at = end
	return unquote(raw, escaped)
}

// unquote returns what the string raw, which was checked, says.
func unquote(raw []byte, escaped bool) string {
	if !escaped {
		return string(raw[1 : len(raw)-1])
	}
	var s string
	_ = json.Unmarshal(raw, &s) // it was checked
	return s
}

// next closes what is complete, and takes the key of the pair that comes next.
func (r *jsonReader) next() *FieldError {
	for len(r.open) > 0 {
		top := &r.open[len(r.open)-1]
		if top.left > 0 {
			top.left--
			top.index++
			if top.kind == readingObject {
				r.space()
				top.key = r.str()
			}
			return nil
		}
		r.space()
		r.at++ // the bracket
		switch top.kind {
		case readingList, readingObject, readingPairs:
			r.depth--
		}
		r.open = r.open[:len(r.open)-1]
	}
	return nil
}

// item appends one item, or the beginning of one that has parts.
func (r *jsonReader) item(dst []byte) ([]byte, *FieldError) {
	if n := len(r.open); n > 0 {
		switch top := &r.open[n-1]; top.kind {
		case readingObject:
			dst, _ = appendText(dst, top.key)
		case readingPairs:
			return r.pair(dst)
		case readingPair:
			if top.index == 2 {
				if fault := r.pairKey(dst, top); fault != nil {
					return nil, fault
				}
			} else {
				top.begin = len(dst)
			}
		}
	}
	switch r.text[r.at] {
	case '{':
		return r.object(dst)
	case '[':
		n, fault := r.begin(readingList)
		if fault != nil {
			return nil, fault
		}
		return appendHead(dst, majorArray, uint64(n)), nil
	case '"':
		dst, _ = appendText(dst, r.str())
		return dst, nil
	case 't':
		r.at += 4
		return append(dst, 0xf5), nil
	case 'f':
		r.at += 5
		return append(dst, 0xf4), nil
	case 'n':
		r.at += 4
		return append(dst, null), nil
	}
	end := scalarEnd(r.text, r.at)
	text := string(r.text[r.at:end])
	r.at = end
	return r.number(dst, text)
}

// begin opens the list or the object at r.at and returns how many items it has.
func (r *jsonReader) begin(kind readingKind) (uint32, *FieldError) {
	n := r.counts[0]
	r.counts = r.counts[1:]
	r.at++
	switch kind {
	case readingList, readingObject, readingPairs:
		if r.depth++; r.depth > r.limits.depth() {
			return 0, r.invalid("lists and maps stand more than %d deep in one another", r.limits.depth())
		}
	}
	r.open = append(r.open, reading{kind: kind, left: n})
	return n, nil
}

// object appends the beginning of a map, or what a form says.
func (r *jsonReader) object(dst []byte) ([]byte, *FieldError) {
	if r.forms && r.counts[0] == 1 {
		before := r.at
		r.at++
		r.space()
		if key := r.str(); strings.HasPrefix(key, "$") {
			return r.form(dst, key)
		}
		r.at = before
	}
	n, fault := r.begin(readingObject)
	if fault != nil {
		return nil, fault
	}
	return appendHead(dst, majorMap, uint64(n)), nil
}

// form appends what the object with the one key says, of which the key was read.
func (r *jsonReader) form(dst []byte, key string) ([]byte, *FieldError) {
	r.counts = r.counts[1:]
	r.space()
	first := r.text[r.at]
	switch key {
	case formMap, formSet:
		if first != '[' {
			return nil, r.invalid("%s is %s; it has a list", key, r.describe())
		}
		r.open = append(r.open, reading{kind: readingForm})
		kind := readingList
		if key == formMap {
			kind = readingPairs
		}
		n, fault := r.begin(kind)
		if fault != nil {
			return nil, fault
		}
		if kind == readingPairs {
			return appendHead(dst, majorMap, uint64(n)), nil
		}
		return appendHead(appendHead(dst, majorTag, tagSet), majorArray, uint64(n)), nil
	case formBytes, formTime, formUUID, formFloat:
		if first != '"' {
			return nil, r.invalid("%s is %s; it has text", key, r.describe())
		}
	default:
		return nil, r.invalid("there is no form %.40q; write a map with such a key as {\"$map\": [[%.40q, …]]}", key, key)
	}
	text := r.str()
	r.space()
	r.at++ // the bracket
	switch key {
	case formBytes:
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil || strings.ContainsAny(text, "\r\n") {
			return nil, r.invalid("%s is not base64 with its padding", key)
		}
		return append(AppendBytesHead(dst, len(b)), b...), nil
	case formTime:
		if fault := checkMoment(text); fault != "" {
			return nil, r.invalid("%s: %s", key, fault)
		}
		dst, _ = appendText(appendHead(dst, majorTag, tagTimeText), text)
		return dst, nil
	case formUUID:
		u, ok := parseUUID(text)
		if !ok {
			return nil, r.invalid("%s is %.40q; it is written as 00112233-4455-6677-8899-aabbccddeeff", key, text)
		}
		return append(AppendBytesHead(appendHead(dst, majorTag, tagUUID), len(u)), u[:]...), nil
	}
	switch text {
	case "nan":
		return append(dst, majorSimple<<5|25, 0x7e, 0), nil // the shortest form, as Encode has it
	case "inf":
		return append(dst, majorSimple<<5|25, 0x7c, 0), nil
	case "-inf":
		return append(dst, majorSimple<<5|25, 0xfc, 0), nil
	}
	return nil, r.invalid("%s is %.40q; it is nan, inf or -inf", key, text)
}

// pair opens one pair of a $map.
func (r *jsonReader) pair(dst []byte) ([]byte, *FieldError) {
	if r.text[r.at] != '[' || r.counts[0] != 2 {
		return nil, r.invalid("%s has %s in it; it is made of lists of two", formMap, r.describe())
	}
	_, fault := r.begin(readingPair)
	return dst, fault
}

// pairKey looks at the key of a pair, which has been appended to dst.
func (r *jsonReader) pairKey(dst []byte, pair *reading) *FieldError {
	key := dst[pair.begin:]
	h, _ := readHead(key)
	pairs := &r.open[len(r.open)-2]
	switch {
	case h.major == majorArray || h.major == majorMap || h.major == majorTag && h.arg == tagSet:
		return r.invalid("a map whose key is a list, a map or a set")
	case pairs.seen.add(string(key)):
		return r.invalid("the key %s stands twice in one map", describeKey(key))
	}
	return nil
}

// number appends the number that text says.
func (r *jsonReader) number(dst []byte, text string) ([]byte, *FieldError) {
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, r.invalid("the number %.40s is out of range", text)
		}
		return appendFloat(dst, f), nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return appendInt(dst, n), nil
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, r.invalid("%.40s is not a number", text)
	}
	major, tag := byte(majorUint), uint64(tagBigPos)
	if n.Sign() < 0 {
		major, tag = majorNegint, tagBigNeg
		n.Not(n)
	}
	if n.IsUint64() {
		return appendHead(dst, major, n.Uint64()), nil
	}
	b := n.Bytes()
	if len(b) > r.limits.intBytes() {
		f := r.invalid("an integer of %d bytes, more than %d", len(b), r.limits.intBytes())
		f.Code = CodeTooLarge
		return nil, f
	}
	return append(AppendBytesHead(appendHead(dst, majorTag, tag), len(b)), b...), nil
}

// describe says in a few words what begins at r.at.
func (r *jsonReader) describe() string {
	return describeJSON(r.text[r.at:valueEnd(r.text, r.at)])
}

func (r *jsonReader) invalid(format string, args ...any) *FieldError {
	f := &FieldError{Code: CodeInvalid, Reason: fmt.Sprintf(format, args...)}
	var path strings.Builder
	for i := range r.open {
		if path.Len() > 200 {
			path.WriteString("…")
			break
		}
		switch o := &r.open[i]; {
		case o.kind == readingForm || o.kind == readingPair || o.index == 0:
		case o.kind == readingObject:
			fmt.Fprintf(&path, "[%q]", tell(o.key, 40))
		default:
			fmt.Fprintf(&path, "[%d]", o.index-1)
		}
	}
	f.Field = path.String()
	return f
}

// valueEnd returns where the value that begins at text[at] ends. text was checked.
func valueEnd(text []byte, at int) int {
	for depth := 0; ; {
		switch text[at] {
		case '{', '[':
			depth++
			at++
		case '}', ']':
			depth--
			at++
		case ' ', '\t', '\r', '\n', ',', ':':
			at++
			continue
		default:
			at = scalarEnd(text, at)
		}
		if depth == 0 {
			return at
		}
	}
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, majorSimple<<5|27), math.Float64bits(f))
}

// parseUUID reads the one form that uuidText writes, in either case.
func parseUUID(text string) (u [16]byte, ok bool) {
	if len(text) != 36 || !slices.Equal([]byte{text[8], text[13], text[18], text[23]}, []byte("----")) {
		return u, false
	}
	b, err := hex.DecodeString(text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:])
	if err != nil || len(b) != len(u) {
		return u, false
	}
	return [16]byte(b), true
}
