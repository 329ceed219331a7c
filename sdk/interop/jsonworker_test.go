package interop

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// jsonWorker is the worker that speaks by a jsonClient.
type jsonWorker struct{ holds holds }

// jsonValues are the values of a case as JSON has them.
var jsonValues = [][2]string{
	{"null", `null`}, {"true", `true`}, {"false", `false`},
	{"an int", `-1`}, {"2^53 + 1", `9007199254740993`}, {"2^63", `9223372036854775808`}, {"-2^63", `-9223372036854775808`},
	{"2^200", `1606938044258990275541962092341162602522202993782792835301376`}, {"-2^200", `-1606938044258990275541962092341162602522202993782792835301376`},
	{"a whole float", `2.0`}, {"a float", `0.1`}, {"the largest float", `1.7976931348623157e308`}, {"the smallest float", `5e-324`}, {"-0.0", `-0.0`},
	{"nan", `{"$float":"nan"}`}, {"inf", `{"$float":"inf"}`}, {"-inf", `{"$float":"-inf"}`},
	{"no text", `""`}, {"text", `"e\u0301 \u0000 \ud83d\ude00"`}, {"no bytes", `{"$bytes":""}`}, {"bytes", `{"$bytes":"AP8="}`},
	{"list", `[1,"a",null,[]]`},
	{"map", `{"a":1,"b":{}}`}, {"map with numbers as keys", `{"$map":[[1,"int"],["1","text"],[2.5,"float"]]}`},
	{"map with bytes and null as keys", `{"$map":[[{"$bytes":"aw=="},1],[null,2]]}`}, {"map with the key $x alone", `{"$map":[["$x",1]]}`},
	{"set", `{"$set":["a"]}`},
	{"moment", `{"$time":"2026-11-26T10:00:00.123456789Z"}`}, {"moment in another zone", `{"$time":"2026-11-26T15:30:00+05:30"}`},
	{"UUID", `{"$uuid":"00112233-4455-6677-8899-aabbccddeeff"}`},
	{"nested", `{"a":[{"b":[{"c":[{"$bytes":"eA=="},{"$set":[1]},9223372036854775808,null]}]}]}`},
}

func (w *jsonWorker) handle(ctx context.Context, c *jsonClient, command string, args []json.RawMessage) (any, *jsonError) {
	var err error
	into := func(list ...any) {
		for i, p := range list {
			if err == nil && i < len(args) {
				err = json.Unmarshal(args[i], p)
			}
		}
	}
	failed := func() *jsonError {
		if err == nil {
			return nil
		}
		code := "app"
		if errors.Is(err, context.DeadlineExceeded) {
			code = "deadline"
		}
		return &jsonError{Code: code, Message: err.Error()}
	}
	var target, text, form string
	var low, high, step int
	switch command {
	case "ping":
		return "pong", nil
	case "echo":
		return args[0], nil
	case "show":
		return showJSON(args[0]), nil
	case "fail":
		into(&text, &form)
		return nil, &jsonError{Code: "app", App: text, Message: form}
	case "hold":
		if into(&text); err == nil {
			err = w.holds.hold(ctx, text)
		}
		return nil, failed()
	case "begun":
		var held bool
		if into(&text); err == nil {
			held, err = w.holds.begun(ctx, text)
		}
		return held, failed()
	case "fate":
		into(&text, &low)
		return w.holds.fate(text, low), failed()
	case "offer":
		into(&target)
		var list [][]string
		for _, v := range jsonValues {
			arrived := outcomeJSON(c.ask(ctx, target, "show", callTimeout, json.RawMessage(v[1])))
			list = append(list, []string{v[0], arrived, outcomeJSON(c.ask(ctx, target, "echo", callTimeout, json.RawMessage(v[1])))})
		}
		return list, failed()
	case "sweep":
		into(&target, &form, &low, &high, &step)
		return w.sweep(ctx, c, target, form, low, high, step), failed()
	case "ask":
		var list []any
		into(&target, &text, &list, &low)
		return outcomeJSON(c.ask(ctx, target, text, low, list...)), failed()
	case "abandon":
		into(&target, &text)
		held, give := context.WithCancel(ctx)
		defer give()
		what := make(chan string, 1)
		go func() { what <- outcomeJSON(c.ask(held, target, "hold", callTimeout, text)) }()
		_, err = c.ask(ctx, target, "begun", callTimeout, text)
		give()
		return <-what, failed()
	}
	return nil, &jsonError{Code: "unknown_command", Message: "no command " + command}
}

func (w *jsonWorker) sweep(ctx context.Context, c *jsonClient, target, form string, low, high, step int) string {
	for n := low; n <= high; n += step {
		var v any = strings.Repeat("x", n)
		if form == "bytes" {
			v = map[string]string{"$bytes": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", n)))}
		}
		want, err := json.Marshal(v)
		if err != nil {
			return err.Error()
		}
		if got, err := c.ask(ctx, target, "echo", callTimeout, v); err != nil || !bytes.Equal(got, want) {
			return fmt.Sprintf("%d bytes came back otherwise: %v", n, err)
		}
	}
	return "the same"
}

func outcomeJSON(result json.RawMessage, err error) string {
	var e *jsonError
	switch {
	case err == nil:
		return showJSON(result)
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.As(err, &e) && e.Code == "app":
		return "app " + e.App + ": " + e.Message
	case errors.As(err, &e) && e.Death != nil:
		return e.Code + " " + e.Death.Cause
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

// showJSON writes down the JSON text of a value, as show does.
func showJSON(text json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if len(text) == 0 {
		return "null"
	}
	if err := d.Decode(&v); err != nil {
		return err.Error()
	}
	return showTree(v)
}

func showTree(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
			return floatText(f)
		}
		return v.String()
	case string:
		return quoted(v)
	case []any:
		return "[" + strings.Join(trees(v), ", ") + "]"
	}
	m := v.(map[string]any)
	if len(m) == 1 {
		for key, x := range m {
			if strings.HasPrefix(key, "$") {
				return showForm(key, x)
			}
		}
	}
	var pairs []any
	for k, x := range m {
		pairs = append(pairs, []any{k, x})
	}
	return pairsText(pairs)
}

func trees(list []any) []string {
	texts := make([]string, len(list))
	for i, x := range list {
		texts[i] = showTree(x)
	}
	return texts
}

func showForm(key string, v any) string {
	text, _ := v.(string)
	switch key {
	case "$bytes":
		b, err := base64.StdEncoding.Strict().DecodeString(text)
		if err != nil {
			return err.Error()
		}
		return show(b)
	case "$time":
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return err.Error()
		}
		return show(t)
	case "$uuid":
		return "uuid " + text
	case "$float":
		return text
	case "$set":
		return "set[" + strings.Join(sorted(trees(v.([]any))), ", ") + "]"
	case "$map":
		return pairsText(v.([]any))
	}
	return "a form that nobody knows: " + key
}

func pairsText(pairs []any) string {
	var texts []string
	for _, p := range pairs {
		pair := p.([]any)
		texts = append(texts, showTree(pair[0])+": "+showTree(pair[1]))
	}
	return "{" + strings.Join(sorted(texts), ", ") + "}"
}
