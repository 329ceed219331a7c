package arbiter

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/peer"
)

// quiet is for what a test knows without being told.
var quiet = slog.New(slog.DiscardHandler)

// inside runs f in virtual time, with an arbiter that can be looked into and is stopped
// afterwards.
func inside(t *testing.T, f func(t *testing.T, arb *Arbiter), change ...func(*Options)) {
	synctest.Test(t, func(t *testing.T) {
		o := Options{Name: "test", Output: io.Discard, Logger: quiet}
		for _, change := range change {
			change(&o)
		}
		arb, err := Start(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		f(t, arb)
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// accepted returns the other end of a connection to arb, whose own is what over makes of it,
// and a function that waits until that is over.
func accepted(arb *Arbiter, over func(p *peer.PipeEnd) peer.Transport) (far *peer.PipeEnd, ended func()) {
	far, near := peer.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		arb.ServeConn(over(near))
	}()
	return far, func() { <-served }
}

// plain is a connection as it is.
func plain(p *peer.PipeEnd) peer.Transport { return p }
