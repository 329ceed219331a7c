package cli

import (
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
		if v, ok := a.list[0].(value); ok && v.isMap() {
			return argument{whole: v}, nil
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
