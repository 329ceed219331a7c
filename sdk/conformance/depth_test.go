//go:build unix

package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestDepth: each worker takes what is as deep as the arbiter lets it be, and gives it
// back: 1,000 lists and maps in one another, less the two that the arguments are. A map
// of any keys takes three levels of JSON.
func TestDepth(t *testing.T) {
	const levels = 998
	for _, w := range workers {
		t.Run(w.name, func(t *testing.T) {
			w.need(t)
			d := dialogue{}
			for n, form := range [][2]string{{"[", "]"}, {`{"a":`, "}"}, {`{"$set":[`, "]}"}, {`{"$map":[[1,`, "]]}"}} {
				value := strings.Repeat(form[0], levels) + `"\ud83d\ude00"` + strings.Repeat(form[1], levels)
				var want any
				in := json.NewDecoder(strings.NewReader(value))
				in.UseNumber()
				if err := in.Decode(&want); err != nil {
					t.Fatal(err)
				}
				ack := fmt.Sprint(n)
				d.Steps = append(d.Steps, step{Text: fmt.Sprintf(`{"command":"echo","target":"me","args":[%s],"ack":"%s"}`, value, ack)},
					step{Expect: map[string]any{"command": "callback", "ack": ack, "result": want}})
			}
			talk(t, w, d)
		})
	}
}
