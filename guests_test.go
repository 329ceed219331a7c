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
