package actor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

// order is an argument struct with a bit of everything.
type order struct {
	Item   string            `cbor:"item" json:"item"`
	Count  int               `cbor:"count" json:"count"`
	When   time.Time         `cbor:"when" json:"when"`
	Tags   map[string]string `json:"tags"`
	Secret string            `cbor:"-" json:"-"`
	Plain  bool
	hidden int
}

type Inner struct{ X, Y int }

type unnamed struct{ W int }

type outer struct {
	*Inner
	*unnamed
	Z int
}

type empty struct{}

// shown is an order as it arrived.
func shown(o order) string {
	return fmt.Sprintf("%s %d %s %v %q %t %d", o.Item, o.Count, o.When.Format("2006-01-02"), o.Tags, o.Secret, o.Plain, o.hidden)
}

var (
	Order  = actor.NewCommand[order, string]("order")
	Sizes  = actor.NewCommand[[]int, int]("sizes")
	Maybe  = actor.NewCommand[*size, string]("maybe")
	Nested = actor.NewCommand[outer, string]("nested")
	Empty  = actor.NewCommand[empty, string]("empty")
	When   = actor.NewCommand[time.Time, int]("when")
	Plain  = actor.NewCommand[none, string]("plain")
)

// clerk takes arguments of all shapes.
var clerk = &actor.Kind[none]{Name: "clerk", Handlers: []actor.Handler[none]{
	actor.Handle(Order, func(_ none, _ context.Context, o order) (string, error) { return shown(o), nil }),
	actor.Handle(Sizes, func(_ none, _ context.Context, s []int) (int, error) { return len(s), nil }),
	actor.Handle(Maybe, func(_ none, _ context.Context, s *size) (string, error) { return fmt.Sprint(s), nil }),
	actor.Handle(Nested, func(_ none, _ context.Context, o outer) (string, error) {
		if o.Inner == nil {
			return fmt.Sprint("nil ", o.Z), nil
		}
		return fmt.Sprint(o.X, o.Y, o.Z), nil
	}),
	actor.Handle(Empty, func(none, context.Context, empty) (string, error) { return "nothing", nil }),
	actor.Handle(When, func(_ none, _ context.Context, t time.Time) (int, error) { return t.Year(), nil }),
	actor.Handle(Plain, func(none, context.Context, none) (string, error) { return "plain", nil }),
}}

// Positional arguments fill the fields in order, keyword arguments by name; fields
// nobody gives are zero, as they are in a struct literal.
func TestArguments(t *testing.T) {
	day := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	everywhere(t, func(w *world) {
		s := w.put(clerk)
		for what, c := range map[string]struct {
			args []any
			want string
		}{
			"none":                 {nil, `order: "" 0`},
			"by position":          {[]any{"nail", 3, day, map[string]string{"a": "b"}, true}, `nail 3 2026-05-04 map[a:b] "" true 0`},
			"some by position":     {[]any{"nail"}, `nail 0 0001-01-01 map[] "" false 0`},
			"by name":              {[]any{actor.Kwargs{"count": 3, "item": "nail"}}, `nail 3 0001-01-01 map[] "" false 0`},
			"by the json tag":      {[]any{actor.Kwargs{"tags": map[string]string{"a": "b"}}}, ` 0 0001-01-01 map[a:b] "" false 0`},
			"by the Go name":       {[]any{actor.Kwargs{"Plain": true}}, ` 0 0001-01-01 map[] "" true 0`},
			"in another case":      {[]any{actor.Kwargs{"ITEM": "nail", "plain": true}}, `nail 0 0001-01-01 map[] "" true 0`},
			"position and name":    {[]any{"nail", actor.Kwargs{"when": day}}, `nail 0 2026-05-04 map[] "" false 0`},
			"no keywords":          {[]any{"nail", actor.Kwargs{}}, `nail 0 0001-01-01 map[] "" false 0`},
			"a whole number":       {[]any{"nail", 3.0}, "3"},
			"a null is a zero":     {[]any{nil, nil}, ` 0 0001-01-01 map[] "" false 0`},
			"a struct as a map is": {[]any{actor.Kwargs{"item": "x", "tags": nil}}, `x 0 0001-01-01 map[] "" false 0`},
		} {
			if what == "none" {
				c.want = ` 0 0001-01-01 map[] "" false 0`
			}
			got, err := actor.Call[string](w.ctx, s, "order", c.args...)
			if what == "a whole number" { // a float is no int, or it is: but never silently something else
				if err == nil && !strings.HasPrefix(got, "nail 3 ") || err != nil && !errors.Is(err, actor.ErrInvalid) {
					w.t.Errorf("%s: %q, %v", what, got, err)
				}
				continue
			}
			if got != c.want || err != nil {
				w.t.Errorf("%s: %q, %v, want %q", what, got, err, c.want)
			}
		}
		if got, err := Order.Call(w.ctx, s, order{Item: "nail", Count: 2, Secret: "lost on the way"}); got != `nail 2 0001-01-01 map[] "" false 0` || err != nil {
			w.t.Errorf("as a struct: %q, %v", got, err)
		}
		if got, err := actor.NewCommand[map[string]any, string]("order").Call(w.ctx, s, map[string]any{"item": "nail", "count": 2}); got != `nail 2 0001-01-01 map[] "" false 0` || err != nil {
			w.t.Errorf("as a map: %q, %v", got, err)
		}
		if got, err := actor.NewCommand[string, string]("order").Call(w.ctx, s, "nail"); got != `nail 0 0001-01-01 map[] "" false 0` || err != nil {
			w.t.Errorf("as its first field: %q, %v", got, err)
		}
		for what, c := range map[string]struct {
			command string
			args    []any
			want    any
		}{
			"a list":               {"sizes", []any{[]int{1, 2, 3}}, 3},
			"a pointer":            {"maybe", []any{size{1, 2}}, "&{1 2}"},
			"a nil pointer":        {"maybe", []any{nil}, "<nil>"},
			"a time":               {"when", []any{day}, 2026},
			"embedded":             {"nested", []any{1, 2, 3}, "123"},
			"embedded, some":       {"nested", []any{1}, "1 0 0"},
			"embedded, by name":    {"nested", []any{actor.Kwargs{"Z": 3}}, "nil 3"},
			"embedded, by name Y":  {"nested", []any{actor.Kwargs{"Y": 3}}, "0 3 0"},
			"an empty struct":      {"empty", nil, "nothing"},
			"nothing from nothing": {"plain", nil, "plain"},
		} {
			got, err := actor.Call[any](w.ctx, s, c.command, c.args...)
			if strings.Join(strings.Fields(fmt.Sprint(got)), "") != strings.Join(strings.Fields(fmt.Sprint(c.want)), "") || err != nil {
				w.t.Errorf("%s: %v, %v, want %v", what, got, err, c.want)
			}
		}
	})
}

// What does not fit is refused before the handler starts; the error names the
// field, and the actor lives.
func TestWrongArguments(t *testing.T) {
	everywhere(t, func(w *world) {
		s := w.put(clerk)
		for what, c := range map[string]struct {
			command string
			args    []any
			texts   []string
		}{
			"too many":            {"order", []any{1, 2, 3, 4, 5, 6}, []string{"6 positional arguments", "at most 5", "item, count, when, tags, Plain"}},
			"wrong type, first":   {"order", []any{1}, []string{`argument "item"`, "string"}},
			"wrong type, second":  {"order", []any{"nail", "three"}, []string{`argument "count"`, "int", `"three"`}},
			"wrong type, named":   {"order", []any{actor.Kwargs{"count": "three"}}, []string{`argument "count"`, "int"}},
			"wrong type, deep":    {"order", []any{actor.Kwargs{"tags": map[string]any{"a": 1}}}, []string{`argument "tags"`}},
			"unknown name":        {"order", []any{actor.Kwargs{"itme": "nail"}}, []string{`"itme"`, `did you mean "item"?`}},
			"a hidden field":      {"order", []any{actor.Kwargs{"hidden": 1}}, []string{`"hidden"`}},
			"a skipped field":     {"order", []any{actor.Kwargs{"Secret": "x"}}, []string{`"Secret"`}},
			"given twice":         {"order", []any{"nail", actor.Kwargs{"item": "screw"}}, []string{`"item" is given twice`}},
			"too large a number":  {"sizes", []any{[]any{1, uint64(1 << 63)}}, []string{"int"}},
			"a list for a number": {"when", []any{[]int{1}}, []string{"time"}},
			"two for one":         {"sizes", []any{1, 2}, []string{"2 arguments", "takes one", "[]int"}},
			"none for one":        {"sizes", nil, []string{"0 arguments", "takes one"}},
			"names for one":       {"sizes", []any{actor.Kwargs{"x": 1}}, []string{"keyword"}},
			"some for none":       {"empty", []any{1}, []string{"1 arguments", "takes none"}},
			"names for none":      {"empty", []any{actor.Kwargs{"x": 1}}, []string{`"x"`}},
			"out of reach":        {"nested", []any{actor.Kwargs{"W": 1}}, []string{`"W"`}},
			"embedded":            {"nested", []any{1, "two"}, []string{`argument "Y"`}},
		} {
			_, err := actor.Call[any](w.ctx, s, c.command, c.args...)
			want(w.t, what, err, actor.ErrInvalid, actor.StartedNo, c.texts...)
		}
		_, err := actor.NewCommand[map[string]any, string]("order").Call(w.ctx, s, map[string]any{"item": "nail", "count": []int{2}})
		want(w.t, "a field of a map", err, actor.ErrInvalid, actor.StartedNo, "count")
		_, err = actor.NewCommand[int, int]("sizes").Call(w.ctx, s, 1)
		want(w.t, "another type of command", err, actor.ErrInvalid, actor.StartedNo)
		if pong, err := actor.Ping.Call(w.ctx, s, none{}); pong != "pong" || err != nil {
			w.t.Errorf("afterwards: %q, %v", pong, err)
		}
	})
}

// What has no image on the wire is refused on this side, naming the field, and the
// handler does not start; a result without one is told to the caller, and the
// handler has run.
func TestNotEncodable(t *testing.T) {
	type job struct {
		Name string
		Done chan int
	}
	everywhere(t, func(w *world) {
		ran := &journal{}
		send := actor.NewCommand[job, none]("send")
		get := actor.NewCommand[string, job]("get")
		anything := actor.NewCommand[string, any]("anything")
		s := w.put(&actor.Kind[none]{Name: "encodes", Handlers: []actor.Handler[none]{
			actor.On(send, func(none, context.Context, job) error { ran.add("send"); return nil }),
			actor.Handle(get, func(_ none, _ context.Context, name string) (job, error) { ran.add("get"); return job{name, nil}, nil }),
			actor.Handle(anything, func(_ none, _ context.Context, name string) (any, error) {
				ran.add(name)
				switch name {
				case "func":
					return func() {}, nil
				case "list":
					return []any{1, make(chan int)}, nil
				case "text":
					return "not \xff UTF-8", nil
				}
				return complex(1, 2), nil
			}),
		}})
		_, err := send.Call(w.ctx, s, job{"a", nil})
		want(w.t, "an argument", err, actor.ErrNotEncodable, actor.StartedNo, "Done", "chan int")
		want(w.t, "sent", send.Send(w.ctx, s, job{"a", nil}), actor.ErrNotEncodable, actor.StartedNo, "Done")
		_, err = actor.Call[any](w.ctx, s, "send", 1, func() {})
		want(w.t, "by name", err, actor.ErrNotEncodable, actor.StartedNo, "args[1]", "func()")
		_, err = actor.Call[any](w.ctx, s, "send", actor.Kwargs{"Done": func() {}})
		want(w.t, "a keyword", err, actor.ErrNotEncodable, actor.StartedNo, "Done")
		ran.want(w.t, "arguments without an image")

		_, err = get.Call(w.ctx, s, "a")
		want(w.t, "a result", err, actor.ErrNotEncodable, actor.StartedYes, "result", "Done")
		for _, name := range []string{"func", "list", "text", "complex"} {
			_, err = anything.Call(w.ctx, s, name)
			want(w.t, name, err, actor.ErrNotEncodable, actor.StartedYes, "result")
		}
		ran.want(w.t, "the handlers", "get", "func", "list", "text", "complex")
		if err := anything.Send(w.ctx, s, "one way"); err != nil { // nobody looks at what comes of it
			w.t.Error(err)
		}
		synctest.Wait()
	})
}

// A result that does not fit what its caller expects says that the handler ran.
func TestResultDoesNotFit(t *testing.T) {
	everywhere(t, func(w *world) {
		s := w.put(clerk)
		_, err := actor.Call[int](w.ctx, s, "plain")
		want(w.t, "text for a number", err, actor.ErrInvalid, actor.StartedYes, "result does not fit", "int")
		if _, err := actor.Call[none](w.ctx, s, "plain"); err != nil {
			w.t.Errorf("a result nobody wants: %v", err)
		}
	})
}

// Who keeps a message, in the arbiter's program: in strict mode and over a
// connection everybody has a copy.
func TestValuesAreCopies(t *testing.T) {
	everywhere(t, func(w *world) {
		keep := actor.NewCommand[[]byte, []byte]("keep")
		var kept [][]byte
		s := w.put(&actor.Kind[none]{Name: "keeper", Handlers: []actor.Handler[none]{
			actor.Handle(keep, func(_ none, _ context.Context, b []byte) ([]byte, error) {
				kept = append(kept, b)
				return kept[0], nil
			}),
		}})
		mine := []byte("first")
		got, err := keep.Call(w.ctx, s, mine)
		if err != nil || string(got) != "first" {
			w.t.Fatalf("%q, %v", got, err)
		}
		copy(mine, "XXXXX")
		copy(got, "YYYYY")
		for n := range 100 {
			if got, err = keep.Call(w.ctx, s, fmt.Appendf(nil, "more %d", n)); err != nil || string(got) != "first" {
				w.t.Fatalf("what it has kept became %q, %v", got, err)
			}
		}
		for n, b := range kept[1:] {
			if string(b) != fmt.Sprintf("more %d", n) {
				w.t.Fatalf("what it has kept became %q at %d", b, n)
			}
		}
	})
}

// What a handler keeps of a message stays as it was, whatever comes after it, for
// every type that might point into what was read.
func TestKeptValuesStay(t *testing.T) {
	type letter struct {
		Text  string
		Bytes []byte
		Any   any
		Map   map[string][]byte
	}
	everywhere(t, func(w *world) {
		var kept []any
		text := actor.NewCommand[string, none]("text")
		data := actor.NewCommand[[]byte, none]("data")
		whole := actor.NewCommand[letter, none]("whole")
		s := w.put(&actor.Kind[none]{Name: "keeper", Handlers: []actor.Handler[none]{
			actor.On(text, func(_ none, _ context.Context, v string) error { kept = append(kept, v); return nil }),
			actor.On(data, func(_ none, _ context.Context, v []byte) error { kept = append(kept, v); return nil }),
			actor.On(whole, func(_ none, _ context.Context, v letter) error { kept = append(kept, v); return nil }),
			actor.Handle(actor.Echo, func(_ none, _ context.Context, v any) (any, error) { kept = append(kept, v); return v, nil }),
		}})
		var sent []string
		for n := range 50 {
			v := fmt.Sprintf("value %d of many", n)
			l := letter{v, []byte(v), []byte(v), map[string][]byte{v: []byte(v)}}
			for _, err := range []error{
				text.Send(w.ctx, s, v), data.Send(w.ctx, s, []byte(v)), whole.Send(w.ctx, s, l), actor.Send(w.ctx, s, "whole", v, []byte(v), []byte(v), l.Map),
			} {
				if err != nil {
					w.t.Fatal(err)
				}
			}
			got, err := actor.Echo.Call(w.ctx, s, []byte(v))
			if err != nil || string(got.([]byte)) != v {
				w.t.Fatalf("%v, %v", got, err)
			}
			sent = append(sent, fmt.Sprintf("%q", v), fmt.Sprintf("%q", []byte(v)), fmt.Sprintf("%q", l), fmt.Sprintf("%q", l), fmt.Sprintf("%q", []byte(v)))
		}
		synctest.Wait()
		var have []string
		for _, v := range kept {
			have = append(have, fmt.Sprintf("%q", v))
		}
		if !slices.Equal(have, sent) {
			for n := range min(len(have), len(sent)) {
				if have[n] != sent[n] {
					w.t.Fatalf("number %d became %s, and was %s", n, have[n], sent[n])
				}
			}
			w.t.Fatalf("%d of %d", len(have), len(sent))
		}
	})
}

// Between goroutine actors of one arbiter that is not strict values are handed
// over, as Start says: the very same slice arrives, and comes back.
func TestValuesAreHandedOver(t *testing.T) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	arb, err := arbiter.Start(t.Context(), arbiter.Options{Name: "loose", Logger: quiet, Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	ctx := arb.Context(t.Context())
	same := actor.NewCommand[[]int, []int]("same")
	s, err := arb.Spawn(ctx, &actor.Kind[none]{Name: "hands", Handlers: []actor.Handler[none]{
		actor.Handle(same, func(_ none, _ context.Context, v []int) ([]int, error) { v[0]++; return v, nil }),
	}})
	if err != nil {
		t.Fatal(err)
	}
	mine := []int{1}
	got, err := same.Call(ctx, s, mine)
	if err != nil || &got[0] != &mine[0] || mine[0] != 2 {
		t.Errorf("%v, %v, %v", got, mine, err)
	}
	// Of another type it goes the way it would go over a connection.
	other, err := actor.Call[[]int64](ctx, s, "same", mine)
	if err != nil || other[0] != 3 || mine[0] != 2 {
		t.Errorf("%v, %v, %v", other, mine, err)
	}
	_, err = actor.Call[int](ctx, s, "same", "x")
	want(t, "wrong type", err, actor.ErrInvalid, actor.StartedNo, "a list of int")
}
