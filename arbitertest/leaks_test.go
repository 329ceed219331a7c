package arbitertest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// Of arbiters that live at the same time, as with t.Parallel, the first to stop is not taken for
// the one that has started what the others have; and what any of them leaves behind is told by the
// last one.
func TestParallelArbitersLeak(t *testing.T) {
	for _, leaks := range []bool{false, true} {
		first, second, third := &recorder{TB: t}, &recorder{TB: t}, &recorder{TB: t}
		arbitertest.New(first)
		b := arbitertest.New(second)
		b.Join(kindOnce, actor.JoinOptions{}) // of whose reader the first knows nothing
		if leaks {
			free := make(chan struct{})
			defer close(free)
			go func() { <-free }()
		}
		first.finish()
		arbitertest.New(third)
		second.finish()
		if first.Failed() || len(second.failures) > 0 && !leaks {
			t.Errorf("leaks: %v; the first: %q, the second: %q", leaks, first.failures, second.failures)
		}
		third.finish()
		if told := strings.Contains(strings.Join(third.failures, "\n"), "left behind"); told != leaks {
			t.Errorf("leaks: %v, the last one: %q", leaks, third.failures)
		}
	}
}

// A test that stops its arbiter itself is told of its dead letters all the same.
func TestStoppedByItsTest(t *testing.T) {
	r := &recorder{TB: t}
	a := arbitertest.New(r, kindOnce)
	m := a.Join(kindOnce, actor.JoinOptions{})
	ctx := m.Context(context.Background())
	if err := actor.Send(ctx, a.Spawn(kindOnce), "nothing"); err != nil {
		t.Fatal(err)
	}
	if _, err := actor.Ping.Call(ctx, actor.Arbiter, actor.None{}); err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	r.finish()
	if len(r.failures) != 1 || !strings.HasPrefix(r.failures[0], "a dead letter nobody asked for") {
		t.Errorf("failures: %q", r.failures)
	}
}

// A kind that is nil fails the test, with a word of it.
func TestNilKindFails(t *testing.T) {
	for what, do := range map[string]func(a *arbitertest.Arbiter){
		"spawn": func(a *arbitertest.Arbiter) { a.Spawn(nil) },
		"join":  func(a *arbitertest.Arbiter) { a.Join(nil, actor.JoinOptions{}) },
	} {
		r := &recorder{TB: t}
		a := arbitertest.New(r)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			do(a)
		}()
		<-ended
		r.finish()
		if len(r.failures) != 1 || !strings.Contains(r.failures[0], what+" nil: the kind is nil") {
			t.Errorf("failures: %q", r.failures)
		}
	}
}
