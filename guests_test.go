package arbiter_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

// TestSilentGuests: connections over which nobody says anything keep nobody out, also
// where there are more of them than a listener has places for those; the first come are
// the first to go.
func TestSilentGuests(t *testing.T) {
	w := newWorld(t)
	silent := make([]net.Conn, 300)
	for i := range silent {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.address("tcp:"), "tcp:"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent[i] = c
	}
	// Whoever has to wait for them to be given up waits longer than this.
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	m := w.member(w.address("tcp:"), Subject, actor.JoinOptions{Token: "secret"})
	if _, err := m.Ref(ctx); err != nil {
		t.Fatalf("who is not silent is kept out: %v", err)
	}
	_ = silent[0].SetReadDeadline(time.Now().Add(4 * time.Second))
	if _, err := silent[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the first to come: %v, want its end", err)
	}
	_ = silent[299].SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := silent[299].Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the last to come: %v, want it open", err)
	}
}

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
	eventually(t, "the log says why", func() bool { return strings.Contains(w.log.String(), "others have come to this listener since") })
}
