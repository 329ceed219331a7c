package arbiter_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
)

// TestStopOfTheStuck: a stop ends although something it has called never returns, and
// says so.
func TestStopOfTheStuck(t *testing.T) {
	t.Parallel()
	began, release := make(chan struct{}), make(chan struct{})
	arb, err := arbiter.Start(t.Context(), arbiter.Options{
		Name: "test", Listen: "127.0.0.1:0", Token: "secret", StopTimeout: time.Second, Logger: quiet,
		HTTP: func(*arbiter.Arbiter, net.Conn) { close(began); <-release },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer close(release)
	c, err := net.Dial("tcp", strings.TrimPrefix(arb.Addresses()[0], "tcp:"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	<-began
	stopped := make(chan error, 1)
	go func() { stopped <- arb.Stop(context.Background()) }()
	select {
	case err := <-stopped:
		if err == nil || !strings.Contains(err.Error(), "does not return") {
			t.Errorf("stop: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("30 s after the stop began it has not ended")
	}
}
