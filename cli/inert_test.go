package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// What an actor says, whoever that is, does nothing to the terminal.
func TestHarmless(t *testing.T) {
	const evil = "\x1b]0;title\x07\x1b[2J\u009b2Jx\r"
	var out bytes.Buffer
	a := &app{out: &out, err: &out}
	a.report(a.explain(context.Background(), &actor.Error{Code: actor.App, App: evil, Message: evil, Target: "t", Command: "c"}))
	a.report(a.explain(context.Background(), &actor.DownError{Death: actor.Death{Cause: actor.CausePanic, Reason: evil, Stderr: []string{evil}}, Err: &actor.Error{Code: actor.Down, Target: "t", Command: "c"}}))
	if err := a.printInspection(actor.Inspection{Info: actor.Info{AID: "t", State: "running", Extra: map[string]any{evil: evil}}}); err != nil {
		t.Fatal(err)
	}
	if err := a.printEnd("web", actor.Death{Cause: actor.CauseStopped, Reason: evil}); err != nil {
		t.Fatal(err)
	}
	var v value
	if err := v.UnmarshalJSON([]byte(`"a\u009b2J\u007fb"`)); err != nil {
		t.Fatal(err)
	}
	if err := a.printValue(v); err != nil || !strings.Contains(out.String(), `"a\u009b2J\u007fb"`) {
		t.Errorf("a value: %v, %q", err, out.String())
	}
	if i := strings.IndexAny(out.String(), "\x1b\x07\x7f\u009b\r"); i >= 0 {
		t.Errorf("%q", out.String())
	}
}
