package conformance

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
)

var matrix = flag.Bool("matrix", false, "run what is left out because something else checks much the same: more dialogues, and goroutine actors that ask those of other languages")

// child makes process actors of this test possible: it belongs to the program.
var child *arbiter.ChildHook

func TestMain(m *testing.M) {
	child = arbiter.Child(kinds()...)
	flag.Parse()
	os.Exit(m.Run())
}

func kinds() (list []actor.Behaviour) {
	for _, name := range slices.Sorted(maps.Keys(subjects)) {
		list = append(list, subjects[name])
	}
	return list
}

// party is who runs the cases, or who they are run against: a language, or a place
// of Go's.
type party struct {
	name   string
	tags   []string // by which a case against it may be left out
	asks   []string // … or one that it runs
	basic  bool
	worker worker // of a language
}

func parties() []party {
	list := []party{
		{name: "goroutine", tags: []string{"go", "goroutine"}, asks: []string{"go", "goroutine asks"}},
		{name: "process", tags: []string{"go", "process"}, asks: []string{"go", "process asks"}},
	}
	for _, w := range workers {
		list = append(list, party{name: w.name, basic: w.basic, worker: w})
	}
	return list
}

// launch says how an actor of each variant is spawned.
func (p party) launch(t *testing.T) map[string]map[string]any {
	t.Helper()
	list := map[string]map[string]any{}
	for _, variant := range []string{"serial", "interleaved", "concurrent", "small"} {
		if p.worker.name == "" {
			list[variant] = map[string]any{"kind": "conformance-" + variant, "in": p.name}
			continue
		}
		run := append(slices.Clone(p.worker.run), variant)
		path, err := filepath.Abs(run[1])
		if err != nil {
			t.Fatal(err)
		}
		run[1] = path
		list[variant] = map[string]any{"kind": "conformance", "run": run}
	}
	return list
}

// TestConformance has actors of every language ask those of every other, and their
// own, the same things. All of them: go test ./sdk/conformance -matrix
func TestConformance(t *testing.T) {
	cases, err := readCases("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	ctx := start(t)
	for _, caller := range parties() {
		if caller.basic {
			continue // a first worker calls nobody
		}
		for _, target := range parties() {
			if !*matrix && caller.name == "goroutine" && target.worker.name != "" {
				continue
			}
			t.Run(caller.name+" asks "+target.name, func(t *testing.T) {
				for _, p := range []party{caller, target} {
					if p.worker.name != "" {
						p.worker.need(t)
					}
				}
				t.Parallel()
				skip := map[string]string{}
				for _, c := range cases {
					for tag, why := range c.Not {
						if slices.Contains(caller.asks, tag) || slices.Contains(target.tags, tag) {
							skip[c.Name] = why
						}
					}
					if target.basic && !c.Basic {
						skip[c.Name] = "it is a first worker"
					}
				}
				launch := target.launch(t)
				from := spawn(t, ctx, caller.launch(t)["concurrent"])
				to := spawn(t, ctx, launch["concurrent"])
				ctx, done := context.WithTimeout(ctx, 3*time.Minute)
				defer done()
				results, err := actor.Call[[]result](ctx, from, "conform", actor.Kwargs{"file": file, "launch": launch, "target": to.AID, "skip": skip})
				if err != nil {
					t.Fatal(err)
				}
				if len(results)+len(skip) != len(cases) {
					t.Errorf("%d cases were run and %d left out, of %d", len(results), len(skip), len(cases))
				}
				for _, r := range results {
					if r.Why != "" {
						t.Errorf("%s: %s", r.Name, r.Why)
					}
				}
				if !target.basic {
					for name, why := range skip {
						t.Logf("left out: %s: %s", name, why)
					}
				}
				t.Logf("%d cases", len(results))
			})
		}
	}
}

func start(t *testing.T) context.Context {
	t.Helper()
	arb, err := arbiter.Start(context.Background(), arbiter.Options{
		Name: "conformance", Kinds: kinds(), Child: child, Strict: true, Output: io.Discard, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		// One case is about what is too large. The other is for machines that are busy.
		MaxMessage: 2 << 20, HeartbeatTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := arb.Stop(context.Background()); err != nil {
			t.Errorf("the arbiter did not stop by itself: %v", err)
		}
	})
	return arb.Context(context.Background())
}

func spawn(t *testing.T, ctx context.Context, args map[string]any) actor.Ref {
	t.Helper()
	ref, err := actor.Call[actor.Ref](ctx, "arbiter", "spawn", actor.Kwargs(args))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = actor.Stop.Send(ctx, ref, actor.None{}) }) // it may have ended
	return ref
}
