package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// EncodeArgs appends to dst the body of a request with FlagArgs: a list of the
// positional arguments and a map of the keyword ones, whose keys are sorted. The
// codec is CodecCBOR or CodecJSON. The error is a *FieldError that names the
// argument, as args[2] or by its keyword; dst is then returned as it was.
func EncodeArgs(c Codec, dst []byte, args []any, kwargs map[string]any) ([]byte, error) {
	out := dst
	var err error
	switch c {
	case CodecCBOR:
		out = append(out, majorArray<<5|2)
		out = appendHead(out, majorArray, uint64(len(args)))
		for i, a := range args {
			if out, err = encodeItem(c, out, a); err != nil {
				return dst, inArgument(err, fmt.Sprintf("args[%d]", i))
			}
		}
		out = appendHead(out, majorMap, uint64(len(kwargs)))
		for _, k := range slices.Sorted(maps.Keys(kwargs)) {
			if out, err = encodeItem(c, out, k); err != nil {
				return dst, inArgument(err, fmt.Sprintf("the keyword %q", k))
			}
			if out, err = encodeItem(c, out, kwargs[k]); err != nil {
				return dst, inArgument(err, k)
			}
		}
		return out, nil
	case CodecJSON:
		out = append(out, "[["...)
		for i, a := range args {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = encodeItem(c, out, a); err != nil {
				return dst, inArgument(err, fmt.Sprintf("args[%d]", i))
			}
		}
		out = append(out, "],{"...)
		for i, k := range slices.Sorted(maps.Keys(kwargs)) {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = encodeItem(c, out, k); err != nil {
				return dst, inArgument(err, fmt.Sprintf("the keyword %q", k))
			}
			out = append(out, ':')
			if out, err = encodeItem(c, out, kwargs[k]); err != nil {
				return dst, inArgument(err, k)
			}
		}
		return append(out, "}]"...), nil
	}
	return dst, &FieldError{Code: CodeNotEncodable, Reason: fmt.Sprintf("arguments by position and keyword need CBOR or JSON, not codec %d", c)}
}

// SplitArgs splits the body of a request with FlagArgs into its arguments, each
// still encoded with c and pointing into body: Decode reads it. The whole body is
// held to the default Limits, a keyword may stand once. The error is a
// *FieldError. A CodecNone body has no arguments.
func SplitArgs(c Codec, body []byte) (args [][]byte, kwargs map[string][]byte, err error) {
	switch c {
	case CodecNone:
		return nil, nil, nil
	case CodecCBOR:
		return splitCBOR(body)
	case CodecJSON:
		return splitJSON(body)
	}
	return nil, nil, &FieldError{Code: CodeInvalid, Reason: fmt.Sprintf("arguments by position and keyword are CBOR or JSON, not codec %d", c)}
}

var errArgs = &FieldError{Code: CodeInvalid, Reason: "arguments are a list of two: the positional ones as a list, the keyword ones as a map"}

func splitCBOR(body []byte) (args [][]byte, kwargs map[string][]byte, err error) {
	if err := checkCBOR(body, Limits{}, 0, Limits{}.budget()); err != nil {
		return nil, nil, err
	}
	if body[0] != majorArray<<5|2 {
		return nil, nil, errArgs
	}
	b := body[1:]
	h, _ := readHead(b)
	if h.major != majorArray {
		return nil, nil, errArgs
	}
	b = b[h.size:]
	if h.arg > 0 {
		args = make([][]byte, h.arg) // at most as many as body has bytes, and charged
	}
	for i := range args {
		n := itemEnd(b)
		args[i], b = b[:n:n], b[n:]
	}
	h, _ = readHead(b)
	if h.major != majorMap {
		return nil, nil, errArgs
	}
	b = b[h.size:]
	if h.arg > 0 {
		kwargs = make(map[string][]byte, h.arg)
	}
	for range h.arg {
		k, _ := readHead(b)
		if k.major != majorText {
			return nil, nil, &FieldError{Code: CodeInvalid, Reason: "the name of a keyword argument is not text"}
		}
		name := string(b[k.size : k.size+int(k.arg)])
		b = b[k.size+int(k.arg):]
		if _, twice := kwargs[name]; twice {
			return nil, nil, &FieldError{Code: CodeInvalid, Reason: fmt.Sprintf("the keyword argument %.64q stands twice", name)}
		}
		n := itemEnd(b)
		kwargs[name], b = b[:n:n], b[n:]
	}
	return args, kwargs, nil
}

func splitJSON(body []byte) (args [][]byte, kwargs map[string][]byte, err error) {
	if err := checkJSON(body, Limits{}, 0); err != nil {
		return nil, nil, err
	}
	var both []json.RawMessage
	if json.Unmarshal(body, &both) != nil || len(both) != 2 {
		return nil, nil, errArgs
	}
	var list []json.RawMessage
	var named map[string]json.RawMessage
	if bytes.Equal(both[0], []byte("null")) || json.Unmarshal(both[0], &list) != nil ||
		bytes.Equal(both[1], []byte("null")) || json.Unmarshal(both[1], &named) != nil {
		return nil, nil, errArgs
	}
	if len(list) > 0 {
		args = make([][]byte, len(list))
		for i, raw := range list {
			args[i] = raw
		}
	}
	if len(named) > 0 {
		kwargs = make(map[string][]byte, len(named))
		for k, raw := range named {
			kwargs[k] = raw
		}
	}
	return args, kwargs, nil
}

// inArgument names the argument in which err was found.
func inArgument(err error, name string) error {
	e, ok := err.(*FieldError)
	if !ok {
		return err
	}
	c := *e
	switch {
	case c.Field == "":
		c.Field = name
	case c.Field[0] == '[':
		c.Field = name + c.Field
	default:
		c.Field = name + "." + c.Field
	}
	return &c
}

// appendHead appends the head of an item, in its shortest form.
func appendHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n < 1<<8:
		return append(dst, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}
