package pickle

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzDecode holds Decode to what it promises for any bytes: no panic, and what is
// accepted can be written, read again, and is then written the same way.
//
//	go test ./internal/pickle -run '^$' -fuzz FuzzDecode -fuzztime 5m
func FuzzDecode(f *testing.F) {
	for _, c := range accepted {
		f.Add(whole(c.body))
	}
	for i, c := range corpus(f) {
		if len(c.pickle) < 300 && i%7 == 0 {
			f.Add(c.pickle)
		}
	}
	limits := Limits{Message: 1 << 16, Memory: 1 << 20, Depth: 50, IntBytes: 64}
	f.Fuzz(func(t *testing.T, p []byte) {
		v, err := Decode(p, limits)
		if err != nil {
			var e *Error
			if v != nil || !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(p) || e.Reason == "" {
				t.Fatalf("%v, %#v", v, err)
			}
			return
		}
		// Half-finished things that are asked for before they are whole may become
		// what they are only in the second writing.
		var written [3][]byte
		for i := range written {
			written[i], err = Append(nil, v, limits)
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || !e.TooLarge {
					t.Fatalf("what was read has no pickle: %v\n%q", err, p)
				}
				return
			}
			if len(written[i]) > limits.Message {
				t.Fatalf("%d bytes were written", len(written[i]))
			}
			if v, err = Decode(written[i], Limits{}); err != nil {
				t.Fatalf("what was written is refused: %v\n%q\n%q", err, p, written[i])
			}
		}
		if !bytes.Equal(written[1], written[2]) {
			t.Fatalf("it does not settle:\n%q\n%q\n%q\n%q", p, written[0], written[1], written[2])
		}
	})
}
