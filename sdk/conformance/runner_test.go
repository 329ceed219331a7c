package conformance

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// testCase is one of testdata/cases.json: steps that one actor takes, which runs it,
// and what is to come of them. Each language has such a runner.
//
// In what a case sends and expects, "$target" is the aid of the worker under test,
// "$self" that of the runner, "$a" that of the actor spawned as "a". Values are written
// as docs/json.md says; {"@repeat": "x", "@times": 3} is "xxx". Of an error only what
// the case says is looked at, of "message" only whether it has that in it; of a
// result with "like", likewise only some keys.
type testCase struct {
	Name  string            `json:"name"`
	Basic bool              `json:"basic"` // a first worker passes it
	Not   map[string]string `json:"not"`   // where it does not apply, and why
	Steps []caseStep        `json:"steps"`
}

type caseStep struct {
	Do      string         `json:"do"` // call, send, start, cancel, join, spawn, watch, down, sweep
	As      string         `json:"as"` // what start, spawn and watch made
	Target  string         `json:"target"`
	Command string         `json:"command"`
	Args    []any          `json:"args"`
	Kwargs  map[string]any `json:"kwargs"`
	Timeout int            `json:"timeout"` // milliseconds; default 10 s
	Result  *any           `json:"result"`
	Like    map[string]any `json:"like"`
	Error   map[string]any `json:"error"`
	Variant string         `json:"variant"` // of spawn
	Extra   map[string]any `json:"extra"`   // of spawn
	Cause   string         `json:"cause"`   // of down
	Code    *int           `json:"code"`    // of down
	Sizes   [][2]int       `json:"sizes"`   // of sweep: echo a text of each size
}

// UnmarshalJSON tells a result of null from none.
func (s *caseStep) UnmarshalJSON(b []byte) error {
	type plain caseStep
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode((*plain)(s)); err != nil {
		return err
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(b, &keys); err != nil {
		return err
	}
	if _, ok := keys["result"]; ok && s.Result == nil {
		s.Result = new(any)
	}
	return nil
}

func readCases(path string) (list []testCase, err error) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	return list, err
}

// conform runs the cases in the file, but those to skip, against a target, and says
// what went wrong in each.
func (s *subject) conform(ctx context.Context, a conformArgs) ([]result, error) {
	cases, err := readCases(a.File)
	if err != nil {
		return nil, err
	}
	self, _ := actor.Current(ctx)
	var results []result
	for _, c := range cases {
		if _, skip := a.Skip[c.Name]; skip {
			continue
		}
		r := &running{
			launch: a.Launch, names: map[string]string{"$target": a.Target, "$self": self.Ref().AID},
			started: map[string]*call{}, watches: map[string]chan actor.Death{},
		}
		why := ""
		if err := r.run(ctx, c); err != nil {
			why = err.Error()
		}
		results = append(results, result{c.Name, why})
	}
	return results, nil
}

// running is one case under way.
type running struct {
	launch  map[string]map[string]any
	names   map[string]string
	own     []string // aids
	started map[string]*call
	watches map[string]chan actor.Death
}

// call is one that was started.
type call struct {
	cancel context.CancelFunc
	done   chan map[string]any
}

func (r *running) run(ctx context.Context, c testCase) error {
	ctx, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	defer func() {
		for _, c := range r.started {
			c.cancel()
			<-c.done
		}
		for _, aid := range r.own {
			_ = actor.Send(ctx, aid, "stop") // it may have ended
		}
	}()
	for i, step := range c.Steps {
		if err := r.step(ctx, step); err != nil {
			return fmt.Errorf("step %d, %s %s: %w", i+1, step.Do, step.Command, err)
		}
	}
	return nil
}

func (r *running) step(ctx context.Context, s caseStep) error {
	target, _ := r.value(s.Target).(string)
	switch s.Do {
	case "call":
		return r.settle(s, r.ask(ctx, s, target))
	case "send":
		args, _ := r.value(s.Args).([]any)
		return actor.Send(ctx, target, s.Command, args...)
	case "start":
		ctx, cancel := context.WithCancel(ctx)
		c := &call{cancel, make(chan map[string]any, 1)}
		r.started[s.As] = c
		if len(s.Args) == 1 { // sent now, so that the calls of a case are in order
			p := actor.NewCommand[any, any](s.Command).Start(ctx, actor.To(target), r.value(s.Args[0]))
			go func() { c.done <- outcome(p.Wait()) }()
		} else {
			go func() { c.done <- r.ask(ctx, s, target) }()
		}
		return nil
	case "cancel":
		r.started[s.As].cancel()
		return nil
	case "join":
		c := r.started[s.As]
		delete(r.started, s.As)
		defer c.cancel()
		return r.settle(s, <-c.done)
	case "spawn":
		args := maps.Clone(r.launch[s.Variant])
		args["extra"] = r.value(s.Extra)
		ref, err := actor.Call[actor.Ref](ctx, "arbiter", "spawn", actor.Kwargs(args))
		r.names["$"+s.As] = ref.AID
		r.own = append(r.own, ref.AID)
		return err
	case "watch":
		c := make(chan actor.Death, 1)
		r.watches[s.As] = c
		_, err := actor.Watch(ctx, actor.To(target), func(_ context.Context, e actor.Ended) { c <- e.Death })
		return err
	case "down":
		select {
		case d := <-r.watches[s.As]:
			if string(d.Cause) != s.Cause || s.Code != nil && d.ExitCode != *s.Code {
				return fmt.Errorf("it %v", d)
			}
			return nil
		case <-ctx.Done():
			return errors.New("nothing was heard of the end")
		}
	case "sweep":
		for _, size := range s.Sizes {
			for n := size[0]; n <= size[1]; n++ {
				text := strings.Repeat("x", n)
				if got, err := actor.Call[string](ctx, target, "echo", text); err != nil || got != text {
					return fmt.Errorf("a text of %d bytes: %v", n, err)
				}
			}
		}
		return nil
	}
	return fmt.Errorf("there is no step %q", s.Do)
}

func (r *running) ask(ctx context.Context, s caseStep, target string) map[string]any {
	a := callArgs{Target: target, Command: s.Command, Timeout: s.Timeout}
	if a.Timeout == 0 {
		a.Timeout = 10000
	}
	a.Args, _ = r.value(s.Args).([]any)
	a.Kwargs, _ = r.value(s.Kwargs).(map[string]any)
	return outcome(a.call(ctx))
}

// settle compares what became of a call with what the step wants.
func (r *running) settle(s caseStep, got map[string]any) error {
	if s.Error != nil {
		if _, ok := got["result"]; ok {
			return fmt.Errorf("it went well: %.300v", got)
		}
		for key, want := range s.Error {
			text, _ := got[key].(string)
			if key == "message" && strings.Contains(text, want.(string)) {
				continue
			}
			if !same(r.value(want), got[key]) {
				return fmt.Errorf("the error's %s is %v, want %v: %.300v", key, got[key], want, got)
			}
		}
		return nil
	}
	v, ok := got["result"]
	if !ok {
		return fmt.Errorf("%.300v", got)
	}
	if s.Like != nil {
		m, _ := v.(map[string]any)
		for key, want := range s.Like {
			if !same(r.value(want), m[key]) {
				return fmt.Errorf("got %.200v, want %.200v", v, s.Like)
			}
		}
	}
	if s.Result != nil && !same(r.value(*s.Result), v) {
		return fmt.Errorf("got %.200v, want %.200v", v, r.value(*s.Result))
	}
	return nil
}

// value is what a value of a case, as it was read from JSON, is in Go.
func (r *running) value(v any) any {
	switch v := v.(type) {
	case string:
		if name, ok := r.names[v]; ok {
			return name
		}
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, _ := v.Float64()
			return f
		}
		n, _ := new(big.Int).SetString(v.String(), 10)
		if n.IsInt64() {
			return n.Int64()
		}
		return n
	case []any:
		list := make([]any, len(v))
		for i, x := range v {
			list[i] = r.value(x)
		}
		return list
	case map[string]any:
		if text, ok := v["@repeat"].(string); ok {
			n, _ := v["@times"].(json.Number).Int64()
			return strings.Repeat(text, int(n))
		}
		if len(v) == 1 {
			for key, x := range v {
				if strings.HasPrefix(key, "$") {
					return r.form(key, x)
				}
			}
		}
		m := make(map[string]any, len(v))
		for key, x := range v {
			m[key] = r.value(x)
		}
		return m
	}
	return v
}

// form is what an object of one key that begins with $ is.
func (r *running) form(key string, v any) any {
	text, _ := v.(string)
	switch key {
	case "$bytes":
		b, _ := base64.StdEncoding.DecodeString(text)
		return b
	case "$time":
		t, _ := time.Parse(time.RFC3339Nano, text)
		return t
	case "$float":
		return map[string]float64{"nan": math.NaN(), "inf": math.Inf(1), "-inf": math.Inf(-1)}[text]
	case "$map":
		m := map[any]any{}
		texts := map[string]any{}
		for _, pair := range v.([]any) {
			k, x := r.value(pair.([]any)[0]), r.value(pair.([]any)[1])
			m[k] = x
			if s, ok := k.(string); ok {
				texts[s] = x
			}
		}
		if len(texts) == len(m) {
			return texts
		}
		return m
	}
	return fmt.Sprintf("a case uses %s, which Go's any has not", key)
}

// same reports whether two values are equal, and of the same type.
func same(want, got any) bool {
	switch want := want.(type) {
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i := range want {
			if !same(want[i], list[i]) {
				return false
			}
		}
		return true
	case map[string]any:
		return sameMap(want, got)
	case map[any]any:
		return sameMap(want, got)
	case []byte:
		b, ok := got.([]byte)
		return ok && bytes.Equal(want, b)
	case *big.Int:
		n, ok := got.(*big.Int)
		return ok && want.Cmp(n) == 0
	case time.Time:
		t, ok := got.(time.Time)
		return ok && want.Equal(t)
	case float64:
		f, ok := got.(float64)
		return ok && (math.Float64bits(want) == math.Float64bits(f) || math.IsNaN(want) && math.IsNaN(f))
	}
	return want == got
}

func sameMap[K comparable](want map[K]any, got any) bool {
	m, ok := got.(map[K]any)
	if !ok || len(m) != len(want) {
		return false
	}
	for k, x := range want {
		if y, ok := m[k]; !ok || !same(x, y) {
			return false
		}
	}
	return true
}
