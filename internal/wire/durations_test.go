package wire

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

type waits struct {
	Grace  time.Duration            `cbor:"grace"`
	Least  *time.Duration           `cbor:"least"`
	Steps  []time.Duration          `cbor:"steps"`
	ByName map[string]time.Duration `cbor:"byName"`
	Note   string                   `cbor:"note"`
	Any    any                      `cbor:"any"`
	Inner  []*waits                 `cbor:"inner"`
}

// People write durations as text, wherever one stands, and other text stays what it is.
func TestDurations(t *testing.T) {
	decoded := func(text string) (w waits, err error) {
		data, err := AppendCBOR(nil, []byte(text), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		return w, Decode(CodecCBOR, data, &w)
	}
	second := time.Second
	for text, want := range map[string]waits{
		`{"grace":5}`: {Grace: 5},
		`{"grace":"1.5s","note":"5s","any":"5s"}`:     {Grace: 1500 * time.Millisecond, Note: "5s", Any: "5s"},
		`{"any":{"$map":[[1,"5s"]]},"GRACE":"-1s"}`:   {Grace: -second, Any: map[any]any{int64(1): "5s"}},
		`{"least":"1s","steps":["1s",5]}`:             {Least: &second, Steps: []time.Duration{second, 5}},
		`{"byName":{"a":"1s"},"more":{"grace":"x"}}`:  {ByName: map[string]time.Duration{"a": second}},
		`{"inner":[null,{"inner":[{"grace":"1s"}]}]}`: {Inner: []*waits{nil, {Inner: []*waits{{Grace: second}}}}},
	} {
		if got, err := decoded(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		`{"grace":"soon"}`:                  `"grace": want a duration, as text such as "5s" or as a whole number of nanoseconds, got text "soon"`,
		`{"grace":"1s","steps":["1s","2"]}`: `"steps[1]": want a duration`,
		`{"grace":"1s","note":5}`:           `"note": want string, got int 5`,
		`{"grace":1.5}`:                     `"grace": want a duration`,
	} {
		if _, err := decoded(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to have %q", text, err, want)
		}
	}
	var d time.Duration
	if err := Decode(CodecCBOR, []byte("\x625s"), &d); err != nil || d != 5*second {
		t.Errorf("by itself it is %v, %v", d, err)
	}
}
