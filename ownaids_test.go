package arbiter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// TestOwnAIDs: nobody is given an aid that the arbiter will make.
func TestOwnAIDs(t *testing.T) {
	w := newWorld(t)
	ref, err := w.arb.Spawn(w.ctx, Subject, actor.Name("w"), actor.Restart(supervise.Policy{Restart: supervise.Always}))
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(ref.AID, "-")
	var n int
	fmt.Sscan(part[len(part)-2], &n)
	for k := n + 1; k < n+40; k++ {
		part[len(part)-2] = fmt.Sprint(k)
		_, err := w.member(w.address("tcp:"), Victim, actor.JoinOptions{Token: "secret", AID: strings.Join(part, "-")}).Ref(w.ctx)
		if err == nil && k == n+1 {
			t.Errorf("somebody joins as %s", strings.Join(part, "-"))
		}
	}
	// A name is not to be one either, but may be made of one.
	for name, want := range map[string]error{
		"helper-" + ref.AID: nil, "a-b-" + ref.AID: nil,
		part[0] + "-999999-" + part[len(part)-1]: actor.ErrInvalid, "nobody-1-" + part[len(part)-1]: actor.ErrInvalid,
	} {
		if _, err := w.arb.Spawn(w.ctx, Subject, actor.Name(name)); !errors.Is(err, want) {
			t.Errorf("spawn of %q: %v, want %v", name, err, want)
		}
		if _, err := w.arb.Pool(w.ctx, Subject, actor.PoolArgs{Name: "p-" + name}); want == nil && err != nil {
			t.Errorf("a pool called p-%s: %v", name, err)
		}
	}
	if _, err := w.arb.Kill(w.ctx, ref); err != nil {
		t.Fatal(err)
	}
	eventually(t, "w is in ps again", func() bool {
		all, err := actor.Ps.Call(w.ctx, actor.Arbiter, actor.None{})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			if i.Name == "w" {
				return true
			}
		}
		return false
	})
}
