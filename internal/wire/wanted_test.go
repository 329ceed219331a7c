package wire

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

type colour uint8

func (c *colour) UnmarshalText(text []byte) error {
	return fmt.Errorf("wire: there is no colour %s", text)
}

func (c colour) MarshalText() ([]byte, error) { return []byte("red"), nil }

type painted struct {
	Colour colour        `cbor:"colour" json:"colour"`
	Layers *[]layer      `cbor:"layers" json:"layers"`
	Dries  time.Duration `cbor:"dries" json:"dries"`
	Name   word          `cbor:"name" json:"name"`
	By     map[string]layer
	Free   map[string]any
	ID     *[4]byte
	Of     [2]*big.Int
}

type layer struct {
	Depth int `cbor:"depth" json:"depth"`
}

type word string

type list []list

// What is wanted is said to programs in any language, which know no type of Go.
func TestWanted(t *testing.T) {
	for _, test := range []struct {
		v    any
		want string
	}{
		{5, "int"}, {uint8(5), "uint8"}, {word(""), "string"}, {new(*bool), "bool"}, {1.5, "float64"},
		{[]byte{}, "bytes"}, {[4]byte{}, "bytes"}, {time.Time{}, "a time"}, {big.Int{}, "int"}, {colour(1), "text"},
		{time.Second, `a duration, as text such as "5s" or as a whole number of nanoseconds`},
		{[]time.Duration{}, `a list of durations, as text such as "5s" or as a whole number of nanoseconds`},
		{[]string{}, "a list of string"}, {[][]time.Time{}, "a list of lists of times"}, {[]any{}, "a list of anything"},
		{map[string]any{}, "a map"}, {map[string]uint64{}, "a map of uint64"}, {map[string][]layer{}, `a map of lists of maps such as {"depth": …}`},
		{&painted{}, `a map such as {"colour": …, "layers": …, "dries": …, …}`}, {struct{ n int }{}, "a map"},
		{list{}, "a list of lists of lists of lists of lists"},
	} {
		if got := wanted(CodecCBOR, reflect.TypeOf(test.v)); got != test.want {
			t.Errorf("for a %T: %s, want %s", test.v, got, test.want)
		}
	}
	for _, v := range []any{time.Second, []painted{}, new(selfPointer)} {
		if got := wanted(CodecJSON, reflect.TypeOf(v)); strings.Contains(got, "wire.") || strings.Contains(got, "time.") {
			t.Errorf("for a %T in JSON: %s", v, got)
		}
	}
}

// No text that tells why a value does not fit has the name of a Go package.
func TestRefusalsNameNoPackage(t *testing.T) {
	large := `"` + strings.Repeat("x", locateBytes) + `"`
	for text, want := range map[string]string{
		`{"colour":"red"}`:                     `field "colour": there is no colour red`,
		`{"colour":[]}`:                        `field "colour": want text, got a list of 0`,
		`{"layers":"many"}`:                    `field "layers": want a list of maps such as {"depth": …}, got text "many"`,
		`{"layers":[{"depth":"x"}]}`:           `field "layers[0].depth": want int, got text "x"`,
		`{"name":5}`:                           `field "name": want string, got int 5`,
		`{"By":5}`:                             `field "By": want a map of maps such as {"depth": …}, got int 5`,
		`{"Free":5}`:                           `field "Free": want a map, got int 5`,
		`{"ID":"x"}`:                           `field "ID": want bytes, got text "x"`,
		`{"layers":"many","By":` + large + `}`: `field "layers": it takes no UTF-8 text string`,
		`5`:                                    `want a map such as {"colour": …, "layers": …, "dries": …, …}, got int 5`,
	} {
		for _, c := range []Codec{CodecCBOR, CodecJSON} {
			data := []byte(text)
			if c == CodecCBOR {
				var err error
				if data, err = AppendCBOR(nil, data, Limits{}); err != nil {
					t.Fatal(err)
				}
			}
			err := Decode(c, data, new(painted))
			var fault *FieldError
			if !errors.As(err, &fault) || c == CodecCBOR && fault.Error() != want {
				t.Errorf("%.40s: %.200v, want %s", text, err, want)
			}
			for _, name := range []string{"wire.", "time.", "[]", "interface"} {
				if strings.Contains(err.Error(), name) {
					t.Errorf("%.40s: %.200v", text, err)
				}
			}
		}
	}
}
