package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
)

func TestMain(m *testing.M) {
	hook := arbiter.Child(workerKind)
	if code, ok := act(hook); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// Every scene can be played, with little of everything, and says what it measured.
func TestScenes(t *testing.T) {
	small := sizes{conns: 40, clients: 2, actors: 1000, workers: 20, processes: 3, mesh: 8,
		rest: 100 * time.Millisecond, work: 100 * time.Millisecond, seed: 1}
	for _, sc := range scenes {
		t.Run(sc.name, func(t *testing.T) {
			figures, err := play(t.Context(), sc, small, "")
			if err != nil {
				t.Fatal(err)
			}
			if len(figures) < 3 {
				t.Errorf("it says %v", figures)
			}
			var b strings.Builder
			write(&b, sc, figures, nil)
			t.Log(&b)
		})
	}
}

// A call without an outcome, or with one that may not be, fails a scene.
func TestNoOutcome(t *testing.T) {
	var c calls
	c.merge(calls{Outcomes: map[string]int{outcomeValue: 3}}, calls{Outcomes: map[string]int{"overloaded": 1, outcomeNone: 1}})
	if c.count() != 5 {
		t.Errorf("%+v", c)
	}
	if err := c.failed("it", outcomeValue, "overloaded"); err == nil || !strings.Contains(err.Error(), `1 calls came to "none"`) {
		t.Error(err)
	}
	if err := c.failed("it", outcomeValue, outcomeNone); err == nil || !strings.Contains(err.Error(), "overloaded") {
		t.Error(err)
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-run [", "missing closing"},
		{"-run nothing", "no scene matches"},
		{"extra", `what is "extra"?`},
		{"-conns 2000000000", "need more descriptors"},
	} {
		err := run(t.Context(), strings.Fields(test.args))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.args, err, test.want)
		}
	}
}
