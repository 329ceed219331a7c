package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/bench/load"
	"github.com/arbiter-go/arbiter/bench/peers"
)

func TestMain(m *testing.M) {
	if code, ok := load.Child(peers.All()); ok {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// Every peer carries every figure's messages, whole and in order.
func TestEveryPeer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	o := load.Options{Set: peers.All(), Rounds: 1, Work: load.Work{Each: 2 * time.Second, Count: 100, Verify: true}}
	cells, err := load.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cells {
		switch {
		case c.Err != nil:
			t.Errorf("%s at %s: %v", c.Info.Name, c.Figure.Name, c.Err)
		case c.NoTell || c.Info.Missing != "":
		case len(c.Results) != 1 || c.Results[0].Count == 0:
			t.Errorf("%s at %s: %+v", c.Info.Name, c.Figure.Name, c.Results)
		}
	}
	var table strings.Builder
	lines := load.Lines(cells, time.Now())
	if err := load.WriteTable(&table, cells, lines); err != nil {
		t.Fatal(err)
	}
	for _, f := range load.Figures() {
		if !strings.Contains(table.String(), "**"+f.Name+"**") {
			t.Errorf("the table has no %s:\n%s", f.Name, &table)
		}
	}
	for _, l := range lines {
		if l.Figure == "ask-64" && l.Peer == "arbiter-unix" && (l.Ideal != "relay-unix" || l.Ratio <= 0 || l.NATS <= 0) {
			t.Errorf("it is compared with nobody: %+v", l)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-run [", "missing closing"},
		{"-run nothing", "no figure matches"},
		{"-peers nobody", `no peer "nobody"; there are relay-unix`},
		{"extra", `what is "extra"?`},
	} {
		err := run(t.Context(), peers.All(), strings.Fields(test.args))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.args, err, test.want)
		}
	}
}
