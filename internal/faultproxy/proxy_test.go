package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// through returns the two ends of a connection through a proxy, and the link between.
func through(t *testing.T, network string, roads Roads) (client, server net.Conn, l *Link) {
	t.Helper()
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "s")
	}
	target, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	p, err := Listen(network+":"+target.Addr().String(), roads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	_, address, _ := strings.Cut(p.Address(), ":")
	if client, err = net.Dial(network, address); err != nil {
		t.Fatal(err)
	}
	if server, err = target.Accept(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if l, err = p.Next(ctx); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server} {
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return client, server, l
}

var text = bytes.Repeat([]byte("0123456789"), 10_000)

// What comes through is what was sent, both ways, whatever the road; and the end, too.
func TestRoads(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for name, road := range map[string]Road{"good": {}, "pieces": {Piece: 7}, "late": {Delay: 20 * time.Millisecond}, "slow": {Rate: 1 << 20}} {
			t.Run(network+"/"+name, func(t *testing.T) {
				client, server, l := through(t, network, Roads{Up: road, Down: road})
				for w, ends := range [][2]net.Conn{{client, server}, {server, client}} {
					began := time.Now()
					go func() { _, _ = ends[0].Write(text); closeWrite(ends[0]) }()
					got, err := io.ReadAll(ends[1])
					if !bytes.Equal(got, text) || err != nil {
						t.Errorf("way %d: %d bytes of %d, %v", w, len(got), len(text), err)
					}
					least := road.Delay
					if road.Rate > 0 {
						least = time.Duration(len(text)) * time.Second / time.Duration(road.Rate) / 2
					}
					if took := time.Since(began); took < least {
						t.Errorf("way %d took %v, and no less than %v is possible", w, took, least)
					}
					if n := l.Passed(Way(w)); n != int64(len(text)) {
						t.Errorf("way %d: %d bytes passed", w, n)
					}
				}
				<-l.Done()
			})
		}
	}
}

// Each fault happens at its byte.
func TestFaults(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			begin := func(f Fault) (client, server net.Conn, l *Link, hit <-chan struct{}) {
				client, server, l = through(t, network, Roads{})
				hit = l.After(Up, 12_345, f)
				if _, err := client.Write(text[:20_000]); err != nil {
					t.Fatal(err)
				}
				return client, server, l, hit
			}
			_, server, l, hit := begin(Reset)
			<-hit
			got, err := io.ReadAll(server) // a reset may overtake what it follows
			if len(got) > 12_345 || network == "tcp" && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("reset: %d bytes, %v", len(got), err)
			}
			<-l.Done()

			_, server, l, hit = begin(Cut)
			if got, err := io.ReadAll(server); !bytes.Equal(got, text[:12_345]) || err != nil {
				t.Errorf("cut: %d bytes, %v", len(got), err)
			}
			<-hit
			<-l.Done()

			client, server, _, hit := begin(HalfClose)
			if got, err := io.ReadAll(server); !bytes.Equal(got, text[:12_345]) || err != nil {
				t.Errorf("half-close: %d bytes, %v", len(got), err)
			}
			<-hit
			go func() { _, _ = server.Write([]byte("back")) }()
			var back [4]byte
			if _, err := io.ReadFull(client, back[:]); string(back[:]) != "back" {
				t.Errorf("after a half-close comes %q, %v", back, err)
			}

			_, server, l, hit = begin(Stall)
			<-hit
			if n := l.Passed(Up); n != 12_345 {
				t.Errorf("stall: %d bytes passed", n)
			}
			l.Resume(Up)
			whole := make([]byte, 20_000)
			if _, err := io.ReadFull(server, whole); !bytes.Equal(whole, text[:20_000]) {
				t.Errorf("stall: it does not go on as it should: %v", err)
			}

			_, server, _, hit = begin(Corrupt)
			<-hit
			if _, err := io.ReadFull(server, whole); err != nil {
				t.Error(err)
			}
			for i, b := range whole {
				if (b != text[i]) != (i == 12_345) || i == 12_345 && b != ^text[i] {
					t.Fatalf("corrupt: byte %d is %x, and was %x", i, b, text[i])
				}
			}
		})
	}
}

// Close leaves nothing, whatever is under way.
func TestClose(t *testing.T) {
	client, server, l := through(t, "tcp", Roads{Up: Road{Rate: 1000}})
	l.Do(Down, Stall)
	go func() { _, _ = client.Write(text) }()
	go func() { _, _ = server.Write(text) }()
	var b [1]byte
	if _, err := server.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	// The cleanup closes the proxy, and does not return before its goroutines have ended.
}
