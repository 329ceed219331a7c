package cli

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/arbiter-go/arbiter/actor"
)

// argument is what the user gave a command: nothing, one value that is the whole
// argument, or a list of values and those with names.
type argument struct {
	whole    any // a JSON object that stands alone
	list     []any
	keywords actor.Kwargs
}

// parseArgs reads the arguments of a command: JSON, or else words; name=VALUE is a
// keyword argument.
func parseArgs(words []string) (argument, error) {
	a := argument{keywords: actor.Kwargs{}}
	for _, word := range words {
		name, text, ok := strings.Cut(word, "=")
		if !ok || !isName(name) {
			v, err := parseValue(word)
			if err != nil {
				return a, err
			}
			a.list = append(a.list, v)
			continue
		}
		v, err := parseValue(text)
		if err != nil {
			return a, err
		}
		if _, twice := a.keywords[name]; twice {
			return a, usage("the keyword argument %q is given twice", name)
		}
		a.keywords[name] = v
	}
	if len(a.list) == 1 && len(a.keywords) == 0 {
		if object, ok := a.list[0].(map[string]any); ok {
			return argument{whole: object}, nil
		}
	}
	return a, nil
}

// values returns a as the dynamic calls take it.
func (a *argument) values() []any {
	if len(a.keywords) == 0 {
		return a.list
	}
	return append(a.list, a.keywords)
}

func isName(s string) bool {
	for i, r := range s {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// parseValue reads JSON with whole numbers kept whole; what is no JSON is a
// string.
func parseValue(word string) (any, error) {
	d := json.NewDecoder(strings.NewReader(word))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return word, nil
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return word, nil // it only begins as JSON does
	}
	return plain(v)
}

// plain replaces json.Number by numbers.
func plain(v any) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case []any:
		for i := range v {
			if v[i], err = plain(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = plain(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// number returns n as it is, or an error: another number is not what was typed.
func number(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	if strings.ContainsAny(n.String(), ".eE") {
		f, err := n.Float64()
		if err != nil {
			return nil, usage("the number %s is beyond what 64 bits hold", n).hint("as text", quote(`"`+n.String()+`"`))
		}
		return f, nil
	}
	var u uint64
	if err := json.Unmarshal([]byte(n), &u); err != nil {
		return nil, usage("the number %s is beyond what 64 bits hold", n).hint("as text", quote(`"`+n.String()+`"`))
	}
	return u, nil
}
