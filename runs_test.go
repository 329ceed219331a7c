package arbiter_test

import (
	"fmt"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// Of requests that come together each has its own outcome: the arbiter hands those to one target
// on at once, and what is wrong with one of them is told of that one.
func TestRequestsTogether(t *testing.T) {
	w := newWorld(t)
	w.join(w.address("unix:"), Subject, actor.JoinOptions{Name: "elsewhere"})
	w.spawn(Subject, actor.Name("here"))
	type said struct {
		target, command string
		id              uint64
	}
	double := func(target string, ids ...uint64) (all []said) {
		for _, id := range ids {
			all = append(all, said{target, "double", id})
		}
		return all
	}
	for name, test := range map[string]struct {
		said []said
		want map[uint64][]string // by id, as what it was answered, in order
	}{
		"all answered":      {double("elsewhere", 1, 2, 3, 4), nil},
		"of this process":   {double("here", 1, 2, 3, 4), nil},
		"one twice":         {double("elsewhere", 1, 2, 2, 3), map[uint64][]string{2: {"invalid", "4"}}},
		"one without an id": {double("elsewhere", 1, 0, 2), map[uint64][]string{0: {"invalid"}}},
		"nobody":            {double("nobody", 1, 2), map[uint64][]string{1: {"unknown_actor"}, 2: {"unknown_actor"}}},
		"one unknown command": {append(double("elsewhere", 1, 2), said{"elsewhere", "dubble", 3}, said{"elsewhere", "double", 4}),
			map[uint64][]string{3: {"unknown_command"}}},
		"two targets": {append(double("elsewhere", 1, 2), double("here", 3, 4)...), nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.raw()
			r.t = t
			r.join()
			var b []byte
			want := make(map[uint64][]string)
			n := 0
			for _, s := range test.said {
				body, err := wire.Encode(wire.CodecCBOR, nil, s.id)
				if err != nil {
					t.Fatal(err)
				}
				m := wire.Message{Kind: wire.KindRequest, ID: s.id, Target: []byte(s.target), Command: []byte(s.command), Codec: wire.CodecCBOR, Body: body}
				b = m.Append(frame.AppendBinary(b, m.Size()))
				if test.want[s.id] == nil {
					want[s.id] = append(want[s.id], fmt.Sprint(2*s.id))
				}
				n++
			}
			for id, answers := range test.want {
				want[id] = answers
			}
			r.write(b)
			got := make(map[uint64][]string)
			for range n {
				m, err := r.next()
				if err != nil {
					t.Fatalf("%v, after %v", err, got)
				}
				var answer int
				switch m.Kind {
				case wire.KindError:
					got[m.ID] = append(got[m.ID], string(wire.ParseError(&m).Code))
				case wire.KindReply:
					if err := wire.Decode(m.Codec, m.Body, &answer); err != nil {
						t.Fatal(err)
					}
					got[m.ID] = append(got[m.ID], fmt.Sprint(answer))
				default:
					t.Fatalf("a %v", m.Kind)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("answers are %v, want %v", got, want)
			}
		})
	}
}
