//go:build unix

package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// Both ends of the pulsar profile: one of ours joins another of ours as it joins a real
// arbiter of pulsar.
func TestPulsarJoin(t *testing.T) {
	w := newWorld(t)
	_, at := w.up("--pulsar", "127.0.0.1:0", "--pulsar-aids", "g1,g2", "--pulsar-timeout", "20s")
	i := slices.IndexFunc(at.Addresses, func(a string) bool { return strings.HasPrefix(a, "pulsar:") })
	if i < 0 {
		t.Fatalf("it listens at %v", at.Addresses)
	}
	taken := strings.TrimPrefix(at.Addresses[i], "pulsar:")
	w.expect(exitFailed, "", []string{"cannot listen at " + taken + ": the port is taken  [port-in-use]", "see by whom", " --pulsar 127.0.0.1:0\n"}, "up", "--name", "other", "--pulsar", taken)
	_, ended := w.begin("join", "--pulsar", strings.TrimPrefix(at.Addresses[i], "pulsar:"), "--aid", "g1", "--name", "golem")
	// Which process it is, it says with its first heartbeat.
	ps := w.until("g1 is there", func(ps map[string]actor.Info) bool { return ps["g1"].State == "running" && ps["g1"].PID != 0 })
	if g := ps["g1"]; g.Profile != "pulsar" || g.Kind != "golem" {
		t.Errorf("g1 is %+v", g)
	}
	w.expect(exitOK, "\"pong\"\n", nil, "call", "g1", "ping")
	w.expect(exitOK, "[\n  1,\n  \"two\",\n  null\n]\n", nil, "call", "g1", "echo", `[1, "two", null]`)
	w.expect(exitOK, "g1 stopped: asked to\n", nil, "stop", "g1")
	if got := <-ended; got.code != exitOK || !strings.Contains(got.errors, "joined the pulsar arbiter") {
		t.Errorf("join ended with %d\n%s", got.code, got.errors)
	}
	// Nobody is to be run by a name that is none, and nothing without its command.
	if got := w.run("call", "arbiter", "spawn", "in=pulsar"); got.code != exitRefused || !strings.Contains(got.errors, "--pulsar-spawn") {
		t.Errorf("a spawn without a command: %d\n%s", got.code, got.errors)
	}
}

func TestWords(t *testing.T) {
	for text, want := range map[string][]string{
		"python3 child.py {aid}":        {"python3", "child.py", "{aid}"},
		` sh  -c 'a "b" c' "it's" x""y`: {"sh", "-c", `a "b" c`, "it's", "xy"},
		`a ''`:                          {"a", ""},
	} {
		if got, err := words(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "  ", "a 'b", "'' a"} {
		if got, err := words(text); err == nil {
			t.Errorf("%q was taken for %q", text, got)
		}
	}
}
