//go:build linux

package arbiter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// TestEnvironment: what is set for an actor is in place of what the arbiter has of that
// name, and what is set for its slot in place of both; each variable is there once. What
// the arbiter says to it nobody else does.
func TestEnvironment(t *testing.T) {
	for _, name := range []string{"TEST_OURS", "TEST_SPAWN", "TEST_SLOT", "TEST_TWICE", actor.EnvAddr} {
		t.Setenv(name, "the arbiter's")
	}
	w := quietWorld(t)
	_, err := w.arb.Pool(w.ctx, nil, actor.PoolArgs{
		Name: "web", Workers: 2, WorkerEnv: []string{"TEST_SLOT={slot}", "TEST_TWICE={index}", "TEST_NEW=8000{index0}"},
		Worker: actor.SpawnArgs{Run: []string{"env"}, Silent: true, Env: []string{
			"TEST_SPAWN=the spawn's", "TEST_SLOT=the spawn's", "TEST_TWICE=1", "TEST_TWICE=2",
			"ARBITER_NAME=mine", "ARBITER_INSTANCE=mine", "ARBITER_FD=7", "ARBITER_ADDR=unix:mine",
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "both have ended", func() bool {
		return w.inspect(t, actor.To("web/1")).Info.State == "done" && w.inspect(t, actor.To("web/2")).Info.State == "done"
	})
	out, err := actor.Logs.Call(w.ctx, actor.Arbiter, actor.LogsArgs{Target: "web/2"})
	if err != nil {
		t.Fatal(err)
	}
	had := map[string][]string{}
	for _, l := range out.Lines {
		name, value, _ := strings.Cut(l.Text, "=")
		had[name] = append(had[name], value)
	}
	for name, want := range map[string][]string{
		"TEST_OURS": {"the arbiter's"}, "TEST_SPAWN": {"the spawn's"}, "TEST_SLOT": {"web/2"}, "TEST_TWICE": {"2"}, "TEST_NEW": {"80001"},
		"ARBITER_NAME": {"web/2"}, "ARBITER_FD": nil, "ARBITER_ADDR": {w.address("unix:")},
	} {
		if !slices.Equal(had[name], want) {
			t.Errorf("%s is %q, want %q", name, had[name], want)
		}
	}
	if id := had["ARBITER_INSTANCE"]; len(id) != 1 || id[0] == "mine" {
		t.Errorf("ARBITER_INSTANCE is %q", id)
	}
}
