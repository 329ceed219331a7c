package wire

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/arbiter-go/arbiter/internal/pickle"
)

// PulsarRequest is a request to a pulsar peer.
type PulsarRequest struct {
	Command, ID, Sender, Target string
	Ack                         string // "": nobody waits
	Codec                       Codec
	Args                        bool // Body has FlagArgs
	Body                        []byte
}

// Append appends r as pulsar 2.0 writes it: 1.6 ignores the id. The error is a
// *FieldError that names the argument; dst is then returned as it was.
func (r *PulsarRequest) Append(dst []byte) ([]byte, error) {
	body := r.Body
	if r.Codec != CodecPickle {
		d, err := r.dict()
		if err != nil {
			return dst, err
		}
		if body, err = encodePickle(nil, d); err != nil {
			return dst, err
		}
	}
	begin, pairs, ok := splice(body)
	if !ok {
		return dst, invalid("a body in the codec %d that is no dict", r.Codec)
	}
	out := append(append(dst, begin...), opMark)
	for _, t := range [...]string{"command", r.Command, "id", r.ID, "sender", r.Sender, "target", r.Target} {
		out = appendOpText(out, t)
	}
	out = append(out, pairs...)
	if r.Ack != "" {
		out = appendOpText(appendOpText(out, "ack"), r.Ack)
	}
	return append(out, opSetMany, opStop), nil
}

// dict returns the arguments of r in their pulsar form. Without FlagArgs the body is the
// one argument.
func (r *PulsarRequest) dict() (*pickle.Dict, error) {
	args, kwargs := &pickle.Tuple{}, &pickle.Dict{}
	switch {
	case r.Args:
		list, named, err := SplitArgs(r.Codec, r.Body)
		if err != nil {
			return nil, err
		}
		for i, b := range list {
			v, err := pythonOf(r.Codec, b)
			if err != nil {
				return nil, inArgument(err, fmt.Sprintf("args[%d]", i))
			}
			args.Items = append(args.Items, v)
		}
		for _, k := range slices.Sorted(maps.Keys(named)) {
			v, err := pythonOf(r.Codec, named[k])
			if err != nil {
				return nil, inArgument(err, k)
			}
			kwargs.Pairs = append(kwargs.Pairs, pickle.Pair{Key: pickle.Str(k), Value: v})
		}
	case r.Codec != CodecNone && len(r.Body) > 0:
		v, err := pythonOf(r.Codec, r.Body)
		if err != nil {
			return nil, inArgument(err, "args[0]")
		}
		args.Items = []pickle.Value{v}
	}
	if r.Command == "run" && len(args.Items) > 0 {
		if s, ok := args.Items[0].(pickle.Str); ok {
			g, err := globalOf(string(s))
			if err != nil {
				return nil, err
			}
			args.Items[0] = g
		}
	}
	return &pickle.Dict{Pairs: []pickle.Pair{
		{Key: pickle.Str("args"), Value: args}, {Key: pickle.Str("kwargs"), Value: kwargs},
	}}, nil
}

// globalOf returns the function that s, "@module.name", names to pulsar's run.
func globalOf(s string) (*pickle.Global, error) {
	at := strings.LastIndexByte(s, '.')
	if len(s) > 255 || !strings.HasPrefix(s, "@") || at < 2 || at == len(s)-1 {
		return nil, &FieldError{Code: CodeInvalid, Field: "args[0]", Reason: fmt.Sprintf("%q names no function of Python: \"@module.name\", such as \"@__main__.add\"", tell(s, 80))}
	}
	for part := range strings.SplitSeq(s[1:], ".") {
		if !identifier(part) {
			return nil, &FieldError{Code: CodeInvalid, Field: "args[0]", Reason: fmt.Sprintf("%q is no name in Python", tell(part, 80))}
		}
	}
	return &pickle.Global{Module: s[1:at], Name: s[at+1:]}, nil
}

func identifier(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// AppendPulsarCallback appends the answer to ack, whose result is body in c. The error
// is a *FieldError; dst is then returned as it was.
func AppendPulsarCallback(dst []byte, ack string, c Codec, body []byte) ([]byte, error) {
	var v pickle.Value = pickle.None{}
	var err error
	switch c {
	case CodecPickle:
		return appendCallback(dst, ack, body)
	case CodecNone:
	default:
		if v, err = pythonOf(c, body); err != nil {
			return dst, err
		}
	}
	return appendCallbackOf(dst, ack, v)
}

// AppendPulsarProxy appends the answer to ack, the proxy of an actor, as pulsar's spawn
// answers. Real actors take one without its configuration and address.
func AppendPulsarProxy(dst []byte, ack, aid, name string) ([]byte, error) {
	return appendCallbackOf(dst, ack, &pickle.Ref{AID: aid, Name: name, Config: pickle.None{}, Address: pickle.None{}})
}

func appendCallbackOf(dst []byte, ack string, v pickle.Value) ([]byte, error) {
	body, err := encodePickle(nil, &pickle.Dict{Pairs: []pickle.Pair{{Key: pickle.Str("result"), Value: v}}})
	if err != nil {
		return dst, err
	}
	return appendCallback(dst, ack, body)
}

func appendCallback(dst []byte, ack string, body []byte) ([]byte, error) {
	begin, pairs, ok := splice(body)
	if !ok {
		return dst, invalid("a result that is no dict")
	}
	out := append(append(dst, begin...), opMark)
	out = appendOpText(appendOpText(out, "command"), "callback")
	out = append(out, pairs...)
	out = appendOpText(appendOpText(out, "ack"), ack)
	return append(out, opSetMany, opStop), nil
}

// splice takes a body in CodecPickle, a dict, apart: what stands before its pairs, and
// the pairs, to which others can be added without decoding it. What it says of the memo
// stays true, because what is added does not use that.
func splice(body []byte) (begin, pairs []byte, ok bool) {
	const least = len("\x80\x02}")
	if len(body) < least+2 || string(body[:least]) != "\x80\x02}" || body[len(body)-1] != opStop {
		return nil, nil, false
	}
	n := least
	if body[n] == opPut {
		n += 2
	}
	begin, pairs = body[:n], body[n:len(body)-2]
	switch end := body[len(body)-2]; {
	case end == opSetMany && len(pairs) > 0 && pairs[0] == opMark:
		return begin, pairs[1:], true
	case end == opSet && len(pairs) > 0 && pairs[0] == opText:
		return begin, pairs, true
	}
	return nil, nil, false
}
