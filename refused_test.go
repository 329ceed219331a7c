package arbiter_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/supervise"
)

// TestRefusedAreGuests: who says a token that is none is held no longer, and no more of them at a
// time, than those who say nothing.
func TestRefusedAreGuests(t *testing.T) {
	for name, hello := range map[string]string{
		"a wrong token": `{"command":"hello","kind":"x","token":"wrong"}`,
		"no hello":      `{"command":"hello"}`,
	} {
		t.Run(name, func(t *testing.T) { refusedAreGuests(t, frame.AppendFrame(nil, frame.Text, []byte(hello))) })
	}
}

func refusedAreGuests(t *testing.T, hello []byte) {
	w := newWorld(t)
	var all []net.Conn
	for range 600 {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.address("tcp:"), "tcp:"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(hello); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 512)); err != nil { // it was told
			t.Fatal(err)
		}
		all = append(all, c)
	}
	time.Sleep(50 * time.Millisecond)
	open := 0
	for _, c := range all {
		// Whoever is heard no more gets a reset for what it says.
		_, _ = io.WriteString(c, "x")
		time.Sleep(100 * time.Microsecond)
		if _, err := io.WriteString(c, "x"); err == nil {
			open++
		}
	}
	if open > 256 {
		t.Errorf("%d connections of those who were refused are held", open)
	}
}

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
