package interop

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// goWorker is the worker in Go.
type goWorker struct{ holds holds }

type (
	failArgs struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	fateArgs struct {
		Tag string `json:"tag"`
		MS  int    `json:"ms"`
	}
	sweepArgs struct {
		Target string `json:"target"`
		Form   string `json:"form"`
		Low    int    `json:"low"`
		High   int    `json:"high"`
		Step   int    `json:"step"`
	}
	askArgs struct {
		Target  string `json:"target"`
		Command string `json:"command"`
		Args    []any  `json:"args"`
		Timeout int    `json:"timeout"`
	}
	abandonArgs struct {
		Target string `json:"target"`
		Tag    string `json:"tag"`
	}
)

// goKind has the commands that every worker has: show, fail, hold, begun and fate of who
// is asked, and offer, sweep, ask and abandon of who asks.
var goKind = &actor.Kind[*goWorker]{
	Name: "interop", Mode: actor.Concurrent(64), New: func(context.Context) (*goWorker, error) { return &goWorker{}, nil },
	Handlers: []actor.Handler[*goWorker]{
		actor.Handle(actor.NewCommand[any, string]("show"), func(_ *goWorker, _ context.Context, v any) (string, error) {
			return show(v), nil
		}),
		actor.On(actor.NewCommand[failArgs, actor.None]("fail"), func(_ *goWorker, _ context.Context, a failArgs) error {
			return actor.NewError(a.Code, a.Message)
		}),
		actor.On(actor.NewCommand[string, actor.None]("hold"), func(w *goWorker, ctx context.Context, tag string) error {
			return w.holds.hold(ctx, tag)
		}),
		actor.Handle(actor.NewCommand[string, bool]("begun"), func(w *goWorker, ctx context.Context, tag string) (bool, error) {
			return w.holds.begun(ctx, tag)
		}),
		actor.Handle(actor.NewCommand[fateArgs, string]("fate"), func(w *goWorker, _ context.Context, a fateArgs) (string, error) {
			return w.holds.fate(a.Tag, a.MS), nil
		}),
		actor.Handle(actor.NewCommand[string, [][]string]("offer"), (*goWorker).offer),
		actor.Handle(actor.NewCommand[sweepArgs, string]("sweep"), (*goWorker).sweep),
		actor.Handle(actor.NewCommand[askArgs, string]("ask"), (*goWorker).ask),
		actor.Handle(actor.NewCommand[abandonArgs, string]("abandon"), (*goWorker).abandon),
	},
}

type named struct {
	name  string
	value any
}

func goValues() []named {
	power := func(n uint) *big.Int { return new(big.Int).Lsh(big.NewInt(1), n) }
	minus := func(n *big.Int) *big.Int { return n.Neg(n) }
	return []named{
		{"null", nil}, {"true", true}, {"false", false},
		{"an int", -1}, {"2^53 + 1", int64(1<<53 + 1)}, {"2^63", uint64(1 << 63)}, {"-2^63", int64(math.MinInt64)}, {"2^200", power(200)}, {"-2^200", minus(power(200))},
		{"a whole float", 2.0}, {"a float", 0.1}, {"the largest float", math.MaxFloat64}, {"the smallest float", math.SmallestNonzeroFloat64}, {"-0.0", math.Copysign(0, -1)},
		{"nan", math.NaN()}, {"inf", math.Inf(1)}, {"-inf", math.Inf(-1)},
		{"no text", ""}, {"text", "e\u0301 \u0000 \U0001f600"}, {"no bytes", []byte{}}, {"bytes", []byte{0, 255}},
		{"list", []any{1, "a", nil, []any{}}},
		{"map", map[string]any{"a": 1, "b": map[string]any{}}}, {"map with numbers as keys", map[any]any{1: "int", "1": "text", 2.5: "float"}},
		{"map with the key $x alone", map[string]any{"$x": 1}},
		{"moment", time.Date(2026, 11, 26, 10, 0, 0, 123456789, time.UTC)}, {"moment in another zone", time.Date(2026, 11, 26, 15, 30, 0, 0, time.FixedZone("", 19800))},
		{"nested", map[string]any{"a": []any{map[string]any{"b": []any{map[string]any{"c": []any{[]byte("x"), []any{1}, uint64(1 << 63), nil}}}}}}},
		{"half of a surrogate pair", "\xed\xa0\xbd"}, {"object of a class", make(chan int)},
	}
}

func (w *goWorker) offer(ctx context.Context, target string) (list [][]string, err error) {
	for _, v := range goValues() {
		arrived := outcome(actor.Call[any](ctx, actor.To(target), "show", v.value))
		list = append(list, []string{v.name, arrived, outcome(actor.Call[any](ctx, actor.To(target), "echo", v.value))})
	}
	return list, nil
}

func (w *goWorker) sweep(ctx context.Context, a sweepArgs) (string, error) {
	for n := a.Low; n <= a.High; n += a.Step {
		text := strings.Repeat("x", n)
		var got any
		var err error
		if a.Form == "text" {
			got, err = actor.Call[any](ctx, actor.To(a.Target), "echo", text)
		} else {
			got, err = actor.Call[any](ctx, actor.To(a.Target), "echo", []byte(text))
			if b, ok := got.([]byte); ok {
				got = string(b)
			}
		}
		if err != nil || got != text {
			return fmt.Sprintf("%d bytes came back otherwise: %v", n, err), nil
		}
	}
	return "the same", nil
}

func (w *goWorker) ask(ctx context.Context, a askArgs) (string, error) {
	ctx, done := context.WithTimeout(ctx, time.Duration(a.Timeout)*time.Millisecond)
	defer done()
	return outcome(actor.Call[any](ctx, actor.To(a.Target), a.Command, a.Args...)), nil
}

func (w *goWorker) abandon(ctx context.Context, a abandonArgs) (string, error) {
	held, give := context.WithCancel(ctx)
	defer give()
	what := make(chan string, 1)
	go func() { what <- outcome(actor.Call[any](held, actor.To(a.Target), "hold", a.Tag)) }()
	if _, err := actor.Call[bool](ctx, actor.To(a.Target), "begun", a.Tag); err != nil {
		return "", err
	}
	give()
	return <-what, nil
}

// outcome writes down what became of a call.
func outcome(v any, err error) string {
	var e *actor.Error
	var down *actor.DownError
	switch {
	case err == nil:
		return show(v)
	case errors.As(err, &down):
		return "down " + string(down.Cause)
	case errors.As(err, &e) && errors.Is(err, actor.ErrApp):
		return fmt.Sprintf("app %s: %s", e.App, e.Message)
	case errors.As(err, &e):
		return string(e.Code)
	}
	return err.Error()
}

// show writes down a value as every worker does: what Go has no type for is not here.
// Numbers, texts and lists are as in JSON, but that a float has a point, an exponent or
// a name; before what else there is stands what it is.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool, int64, uint64, *big.Int:
		return fmt.Sprint(v)
	case float64:
		return floatText(v)
	case string:
		return quoted(v)
	case []byte:
		return "bytes " + orNone(hex.EncodeToString(v))
	case time.Time:
		return "moment " + v.UTC().Format(time.RFC3339Nano)
	case []any:
		return "[" + strings.Join(shown(v), ", ") + "]"
	case map[string]any:
		return mapText(v)
	case map[any]any:
		return mapText(v)
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.String {
		return show([]byte(r.String())) // bytes that are a key, as the CBOR package has them
	}
	return fmt.Sprintf("%T %[1]v", v)
}

func shown(list []any) []string {
	texts := make([]string, len(list))
	for i, x := range list {
		texts[i] = show(x)
	}
	return texts
}

func mapText[K comparable](m map[K]any) string {
	var pairs []string
	for k, x := range m {
		pairs = append(pairs, show(k)+": "+show(x))
	}
	slices.Sort(pairs)
	return "{" + strings.Join(pairs, ", ") + "}"
}

func floatText(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

func quoted(text string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string cannot fail
	return strings.TrimSpace(b.String())
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
