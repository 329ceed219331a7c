package arbiter_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/arbiter-go/arbiter/actor"
)

// TestStrangersKeepNobodyOut: many connections over which half a hello came, and no more,
// hold all the places for those who have not said who they are. Whoever does joins at
// once: the oldest of them goes.
func TestStrangersKeepNobodyOut(t *testing.T) {
	w := newWorld(t)
	address := w.address("tcp:")
	const strangers = 300 // 256 are taken
	var left []net.Conn
	for range strangers {
		c, err := net.Dial("tcp", strings.TrimPrefix(address, "tcp:"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("\x82\x24\x01\x00\x01")); err != nil {
			t.Fatal(err)
		}
		left = append(left, c)
	}
	// They are taken in the order in which they came, so the first is gone when the last
	// is there.
	if b, err := io.ReadAll(left[0]); len(b) > 0 {
		t.Errorf("the first was told %q, %v", b, err)
	}
	m := w.member(address, Victim, actor.JoinOptions{Token: "secret"})
	ref, err := m.Ref(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := Double.Call(w.ctx, ref, 4); n != 8 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.Arbiter)
	if err != nil {
		t.Fatal(err)
	}
	if n, _ := in.Info.Extra["refused connections"].(uint64); n < 1 || n > strangers {
		t.Errorf("%d connections are counted as refused", n)
	}
	eventually(t, "the log says why", func() bool { return strings.Contains(w.log.String(), "others wanted to say theirs") })
}
