package actor_test

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// The log of a panic says on one line where it came from in what the user wrote, innermost
// first, and nothing of what runs it.
func TestStackOfPanic(t *testing.T) {
	type place struct {
		kind *actor.Kind[none]
		call func(ctx context.Context, ref actor.Ref) error
	}
	places := map[string]place{
		"a constructor": {kind: &actor.Kind[none]{New: func(context.Context) (none, error) { blowUp("in New"); return none{}, nil }}},
		"a start hook":  {kind: &actor.Kind[none]{Started: func(none, context.Context) error { blowUp("in Started"); return nil }}},
		"a timer": {kind: &actor.Kind[none]{Started: func(_ none, ctx context.Context) error {
			actor.After(ctx, time.Second, func(context.Context) { blowUp("in a timer") })
			return nil
		}}},
		"a stop hook": {
			kind: &actor.Kind[none]{Stopping: func(none, context.Context) { blowUp("in Stopping") }},
			call: func(ctx context.Context, ref actor.Ref) error {
				_, err := actor.Stop.Call(ctx, ref, none{})
				return err
			},
		},
	}
	for how := range waysToBlow {
		places["a handler, "+how] = place{&actor.Kind[none]{Handlers: []actor.Handler[none]{blow}}, func(ctx context.Context, ref actor.Ref) error {
			_, err := Blow.Call(ctx, ref, how)
			return err
		}}
	}
	logged := regexp.MustCompile(`level=ERROR msg="panic [^\n]* stack="([^"]*)"`)
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
				place.kind.Name = "frail"
				ref, err := a.Arbiter.Spawn(a.Context(), place.kind)
				if err == nil && place.call != nil {
					err = place.call(a.Context(), ref)
				}
				time.Sleep(2 * time.Second)
				m := logged.FindStringSubmatch(a.Log())
				if m == nil {
					t.Fatalf("%v, and no panic is logged:\n%s", err, a.Log())
				}
				calls := strings.Split(m[1], " < ")
				if !strings.Contains(calls[0], "actor_test.blowUp ") || !strings.Contains(calls[0], "/hooks_test.go:") {
					t.Errorf("it came from %q, as is logged", calls[0])
				}
				for _, not := range []string{"internal/cell", "runtime.", "actor.Handle", "actor.On", "actor.After"} {
					if strings.Contains(m[1], not) {
						t.Errorf("%s is told of: %s", not, m[1])
					}
				}
			})
		})
	}
}
