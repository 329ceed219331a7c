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

	"github.com/arbiter-go/arbiter"
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

// TestStopWaitsForNoGuest: who has not said who it is by then is not waited for, in
// whatever part of that it is.
func TestStopWaitsForNoGuest(t *testing.T) {
	asked := make(chan struct{}, 3)
	w := newWorld(t, func(o *arbiter.Options) {
		o.HTTP = func(_ *arbiter.Arbiter, c net.Conn) {
			asked <- struct{}{}
			_, _ = io.Copy(io.Discard, c)
		}
		o.Pulsar.Bind = "127.0.0.1:0"
	})
	var left []net.Conn
	for _, of := range []string{"tcp:", "unix:", "pulsar:"} {
		network, address, _ := strings.Cut(w.address(of), ":")
		if network == "pulsar" {
			network = "tcp"
		}
		for _, said := range []string{"", "\x82\x24\x01\x00\x01", "GET / HT"} {
			c, err := net.Dial(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, said); err != nil {
				t.Fatal(err)
			}
			switch {
			case said == "GET / HT" && of == "tcp:":
				<-asked
			case said == "GET / HT":
				continue // no request of HTTP is taken there, so that it is refused at once
			}
			left = append(left, c)
		}
	}
	began := time.Now()
	if err := w.arb.Stop(context.Background()); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second { // they had 5 s
		t.Errorf("Stop took %v", took)
	}
	for i, c := range left {
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d was told %q, %v", i, b, err)
		}
	}
}

// TestBrowsersKeepNobodyOut: who has begun an HTTP request is a guest as well.
func TestBrowsersKeepNobodyOut(t *testing.T) {
	asked := make(chan struct{}, 300)
	w := newWorld(t, func(o *arbiter.Options) {
		o.HTTP = func(_ *arbiter.Arbiter, c net.Conn) {
			asked <- struct{}{}
			err := error(os.ErrDeadlineExceeded)
			for n := 0; n < 100 && errors.Is(err, os.ErrDeadlineExceeded); n++ {
				_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)) // of its own, as servers have
				_, err = io.Copy(io.Discard, c)
			}
		}
	})
	address := strings.TrimPrefix(w.address("tcp:"), "tcp:")
	var first net.Conn
	for i := range 300 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n"); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = c
			<-asked // it is HTTP that reads it now
		}
	}
	_ = first.SetReadDeadline(time.Now().Add(4 * time.Second))
	if _, err := first.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the first to come: %v, want its end", err)
	}
}

// TestStopLetsHTTPAnswer: what is being answered when the arbiter stops is told to its end,
// and who goes on for ever is not waited for.
func TestStopLetsHTTPAnswer(t *testing.T) {
	asked, stopping := make(chan struct{}), make(chan struct{})
	w := newWorld(t, func(o *arbiter.Options) {
		o.HTTP = func(_ *arbiter.Arbiter, c net.Conn) {
			asked <- struct{}{}
			<-stopping
			_, _ = io.WriteString(c, "the answer")
			for {
				_ = c.SetReadDeadline(time.Time{})
				if _, err := io.Copy(io.Discard, c); errors.Is(err, net.ErrClosed) {
					return
				}
			}
		}
	})
	c, err := net.Dial("tcp", strings.TrimPrefix(w.address("tcp:"), "tcp:"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-asked
	stopped := make(chan error, 1)
	go func() { stopped <- w.arb.Stop(context.Background()) }()
	for { // nobody gets in once the listener is closed
		late, err := net.Dial("tcp", c.RemoteAddr().String())
		if err != nil {
			break
		}
		_ = late.Close()
	}
	close(stopping)
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if b, err := io.ReadAll(c); string(b) != "the answer" || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("told %q, %v", b, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
}

// TestHTTPAtListenOnly: at the control socket a request of HTTP is what it is to every other
// listener, no frame.
func TestHTTPAtListenOnly(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) {
		o.HTTP = func(_ *arbiter.Arbiter, c net.Conn) { _, _ = io.WriteString(c, "served") }
	})
	for of, want := range map[string]string{"tcp:": "served", "unix:": "protocol"} {
		network, address, _ := strings.Cut(w.address(of), ":")
		c, err := net.Dial(network, address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if b, _ := io.ReadAll(c); !strings.Contains(string(b), want) { // it may end with a reset: not all was read
			t.Errorf("%s %q, want %q in it", of, b, want)
		}
		_ = c.Close()
	}
}
