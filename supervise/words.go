package supervise

import (
	"fmt"
	"slices"
	"strings"
)

// Restart says which ends are followed by a new start.
type Restart uint8

// The restarts. OnFailure is the default.
const (
	OnFailure Restart = iota // after a crash, not after a clean exit
	Always                   // after every end
	Never                    // after none, not even one that was asked for
)

// Strategy says who is started again when one child is.
type Strategy uint8

// The strategies. OneForOne is the default.
const (
	OneForOne Strategy = iota // the child that ended
	OneForAll                 // all children of the group
)

// The words stand in the order of the constants; they are those of JSON and of the command line.
// They are functions because the package keeps no variables.
func restarts() []string   { return []string{"on-failure", "always", "never"} }
func strategies() []string { return []string{"one-for-one", "one-for-all"} }

// String returns the word of r, as it stands in a configuration: "on-failure".
func (r Restart) String() string { return word("Restart", restarts(), uint8(r)) }

// String returns the word of s, as it stands in a configuration: "one-for-one".
func (s Strategy) String() string { return word("Strategy", strategies(), uint8(s)) }

// ParseRestart returns the Restart that s is the word of: "on-failure", "always" or
// "never", exactly so. The error of anything else lists them.
func ParseRestart(s string) (Restart, error) {
	i, err := parse("restart", restarts(), s)
	return Restart(i), err
}

// ParseStrategy returns the Strategy that s is the word of: "one-for-one" or
// "one-for-all", exactly so. The error of anything else lists them.
func ParseStrategy(s string) (Strategy, error) {
	i, err := parse("strategy", strategies(), s)
	return Strategy(i), err
}

// MarshalText returns the word of r. It fails when r is none of the constants.
func (r Restart) MarshalText() ([]byte, error) { return marshal("restart", restarts(), uint8(r)) }

// MarshalText returns the word of s. It fails when s is none of the constants.
func (s Strategy) MarshalText() ([]byte, error) { return marshal("strategy", strategies(), uint8(s)) }

// UnmarshalText sets r as [ParseRestart] reads it. It leaves r alone when it fails.
func (r *Restart) UnmarshalText(text []byte) error {
	parsed, err := ParseRestart(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}

// UnmarshalText sets s as [ParseStrategy] reads it. It leaves s alone when it fails.
func (s *Strategy) UnmarshalText(text []byte) error {
	parsed, err := ParseStrategy(string(text))
	if err == nil {
		*s = parsed
	}
	return err
}

func word(kind string, words []string, i uint8) string {
	if int(i) < len(words) {
		return words[i]
	}
	return fmt.Sprintf("%s(%d)", kind, i)
}

func parse(kind string, words []string, s string) (uint8, error) {
	i := slices.Index(words, s)
	if i < 0 {
		return 0, fmt.Errorf("supervise: unknown %s %.40q: want %s", kind, s, choice(words))
	}
	return uint8(i), nil
}

func marshal(kind string, words []string, i uint8) ([]byte, error) {
	if int(i) >= len(words) {
		return nil, fmt.Errorf("supervise: unknown %s %d: want %s", kind, i, choice(words))
	}
	return []byte(words[i]), nil
}

// choice is "a, b or c".
func choice(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
