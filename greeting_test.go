package arbiter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// newGuest returns a guest, the only one of all, and both ends of its connection.
func newGuest() (all *guests, g *guest, ours, theirs net.Conn) {
	all = new(guests)
	ours, theirs = net.Pipe()
	return all, all.enter(ours), ours, theirs
}

// begun begins f, and returns what is closed when that has returned.
func begun(f func()) (over <-chan struct{}) {
	c := make(chan struct{})
	go func() {
		defer close(c)
		f()
	}()
	return c
}

// A guest that says nothing, or half of what it has to, has helloWait and no longer.
func TestGuestsHaveTheirTime(t *testing.T) {
	for name, said := range map[string]string{"nothing": "", "half a hello": "\x82\x24\x01\x00\x01", "a fragment": "\x01\x02{}"} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				ours, theirs := net.Pipe()
				began := time.Now()
				go arb.receive(new(guests).enter(ours), true, func(net.Conn, *wire.Hello) *wire.Error {
					t.Error("it was admitted")
					return nil
				})
				if _, err := io.WriteString(theirs, said); err != nil {
					t.Fatal(err)
				}
				_, err := theirs.Read(make([]byte, 1))
				if took := time.Since(began); err != io.EOF || took != helloWait {
					t.Errorf("%v after %v", err, took)
				}
			})
		})
	}
}

// A guest whose connection was lent has to go all the same, whatever deadlines it has now.
func TestLentGuestsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guests := new(guests)
		ours, theirs := net.Pipe()
		defer theirs.Close()
		g := guests.enter(ours)
		g.hurry()
		g.lend()
		read := make(chan error)
		go func() {
			err := error(os.ErrDeadlineExceeded)
			for range 100 {
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				_ = ours.SetReadDeadline(time.Now().Add(time.Second))
				_, err = ours.Read(make([]byte, 1))
			}
			read <- err
		}()
		time.Sleep(2 * helloWait)
		select {
		case err := <-read:
			t.Fatalf("before it had to go: %v", err)
		default:
		}
		for range maxGuests {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			guests.enter(a)
		}
		if err := g.why(<-read); err != io.ErrClosedPipe && !errors.Is(err, errOusted) {
			t.Error(err)
		}
		g.greeted() // nothing is left to be done
		if guests.silent.Len() != maxGuests {
			t.Errorf("%d guests are left", guests.silent.Len())
		}
	})
}

// Who is refused is held until it was told why, and of those there are no more at a time than of
// those who say nothing.
func TestRefusedAreGuests(t *testing.T) {
	for name, hello := range map[string]string{
		"a wrong token": `{"command":"hello","kind":"x","token":"wrong"}`,
		"no hello":      `{"command":"hello"}`,
	} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				const strangers = maxGuests + 50
				all := new(guests)
				var told, over atomic.Int32
				var each sync.WaitGroup
				for range strangers {
					ours, theirs := net.Pipe()
					each.Go(func() {
						arb.receive(all.enter(ours), false, func(net.Conn, *wire.Hello) *wire.Error { return invalid("the token is wrong") })
					})
					each.Go(func() {
						if _, err := theirs.Write(frame.AppendFrame(nil, frame.Text, []byte(hello))); err != nil {
							t.Error(err)
						}
						if n, _ := theirs.Read(make([]byte, 512)); n > 0 {
							told.Add(1)
						}
						_, _ = io.Copy(io.Discard, theirs)
						over.Add(1)
					})
					synctest.Wait()
				}
				if n := strangers - over.Load(); told.Load() != strangers || n > maxGuests || n < 1 && name == "a wrong token" {
					t.Errorf("of %d who were refused %d were told, and %d are held", strangers, told.Load(), n)
				}
				time.Sleep(helloWait)
				each.Wait()
				if over.Load() != strangers {
					t.Errorf("%d of %d are over at last", over.Load(), strangers)
				}
			})
		})
	}
}

// Who has said hello is no guest: it stays, also if all guests have to go before it is
// welcomed.
func TestWelcomedAreNoGuests(t *testing.T) {
	hello := frame.AppendFrame(nil, frame.Text, []byte(`{"command":"hello","kind":"x","aid":"x-1"}`))
	for name, lent := range map[string]bool{"by its deadline": false, "by its end": true} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				guests, g, ours, theirs := newGuest()
				if lent {
					g.lend()
				}
				served := begun(func() {
					arb.greet(peer.NewJSON(peer.NewTransport(ours), nil, frame.Unmasked), g, func(*wire.Hello) *wire.Error {
						guests.close()
						time.Sleep(time.Millisecond) // who is to be closed is, by then
						return nil
					})
				})
				if _, err := theirs.Write(hello); err != nil {
					t.Fatal(err)
				}
				r := frame.NewReader(theirs, frame.Options{})
				_, welcome, err := r.Next()
				if err != nil || !strings.Contains(string(welcome), `"welcome"`) {
					t.Fatalf("%s, %v", welcome, err)
				}
				select {
				case <-served:
					t.Error("it has ended")
				case <-time.After(time.Millisecond):
				}
				_ = theirs.Close()
				<-served
			})
		})
	}
}

// Whoever is in has no deadline left of when it was a guest, and is counted as one no more.
func TestDeadlinesEndWithTheHello(t *testing.T) {
	hello := []byte(`{"command":"hello","kind":"x","aid":"x-1"}`)
	whole := frame.AppendFrame(nil, frame.Text, hello)
	fragments := append(frame.Header{Opcode: frame.Text, Length: 5}.Append(nil), hello[:5]...)
	fragments = append(frame.Header{Fin: true, Opcode: frame.Continuation, Length: uint64(len(hello) - 5)}.Append(fragments), hello[5:]...)
	for name, said := range map[string][]byte{"whole": whole, "in fragments": fragments} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				guests, g, _, theirs := newGuest()
				served := begun(func() {
					arb.receive(g, true, func(net.Conn, *wire.Hello) *wire.Error {
						if guests.silent.Len() > 0 {
							t.Error("it is a guest still")
						}
						return nil
					})
				})
				go func() {
					_, _ = theirs.Write(said)
					_, _ = io.Copy(io.Discard, theirs)
				}()
				select {
				case <-served:
					t.Error("it has ended")
				case <-time.After(2 * helloWait):
				}
				_ = theirs.Close()
				<-served
			})
		})
	}
}

// Who ended before its hello, or spoke HTTP, is a guest no more when that is over, and its
// connection is closed.
func TestGuestsLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []byte
		arb, err := Start(t.Context(), Options{Name: "test", Output: io.Discard, Logger: quiet, HTTP: func(_ *Arbiter, c net.Conn) {
			_ = c.SetDeadline(time.Now().Add(time.Hour)) // it has all the time that its server gives it
			got = make([]byte, 9)
			_, _ = io.ReadFull(c, got)
		}})
		if err != nil {
			t.Fatal(err)
		}
		guests := new(guests)
		for _, said := range []string{"\x82\x24\x01", "\x82\x00", "\xff\xff", "GET / "} {
			ours, theirs := net.Pipe()
			g := guests.enter(ours)
			served := begun(func() {
				arb.receive(g, true, func(net.Conn, *wire.Hello) *wire.Error { return nil })
			})
			_, _ = io.WriteString(theirs, said)
			if said[0] == 'G' {
				time.Sleep(2 * helloWait)
				_, _ = io.WriteString(theirs, "HTTP")
			}
			_, _ = io.Copy(io.Discard, theirs)
			<-served
			if _, err := ours.Read(make([]byte, 1)); err != io.ErrClosedPipe {
				t.Errorf("%q: its connection is not closed: %v", said, err)
			}
			if n := guests.silent.Len(); n > 0 {
				t.Errorf("%q: %d guests are left", said, n)
			}
		}
		if string(got) != "GET / HTT" {
			t.Errorf("HTTP got %q", got)
		}
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// What a guest is told to do about its time, in each order.
func TestGuestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := func(steps func(gs *guests, g *guest)) (time.Duration, error) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			defer ours.Close()
			gs := new(guests)
			g := gs.enter(ours)
			steps(gs, g)
			began := time.Now()
			_ = theirs.SetDeadline(began.Add(time.Hour))
			go func() {
				time.Sleep(time.Minute)
				_ = theirs.Close()
			}()
			_, err := ours.Read(make([]byte, 1))
			return time.Since(began), g.why(err)
		}
		for name, test := range map[string]struct {
			steps func(gs *guests, g *guest)
			err   error
			after time.Duration
		}{
			"nothing is said":        {func(_ *guests, g *guest) { g.hurry() }, errNoHello, helloWait},
			"it went before it came": {func(gs *guests, g *guest) { gs.close(); g.hurry() }, errClosing, 0},
			"it went":                {func(gs *guests, g *guest) { g.hurry(); gs.close() }, errClosing, 0},
			"it went before it was lent": {func(gs *guests, g *guest) {
				gs.close()
				g.lend()
				synctest.Wait()
				g.conn.SetReadDeadline(time.Now().Add(time.Hour)) // as who has it now may
			}, io.ErrClosedPipe, 0},
			"greeted":                {func(_ *guests, g *guest) { g.hurry(); g.greeted() }, io.EOF, time.Minute},
			"greeted, and all go":    {func(gs *guests, g *guest) { g.hurry(); g.greeted(); gs.close() }, io.EOF, time.Minute},
			"it went as it said who": {func(gs *guests, g *guest) { g.hurry(); gs.close(); g.greeted() }, io.EOF, time.Minute},
			"lent":                   {func(_ *guests, g *guest) { g.hurry(); g.lend() }, io.EOF, time.Minute},
			"lent, with a new time":  {func(_ *guests, g *guest) { g.lend(); g.conn.SetReadDeadline(time.Now().Add(time.Second)); g.greeted() }, errNoHello, time.Second},
			"greeted, and once again": {func(_ *guests, g *guest) {
				g.greeted()
				g.conn.SetReadDeadline(time.Now().Add(time.Second))
				g.greeted()
			}, errNoHello, time.Second},
		} {
			if took, err := begin(test.steps); err != test.err || took != test.after {
				t.Errorf("%s: %v after %v, want %v after %v", name, err, took, test.err, test.after)
			}
			time.Sleep(time.Minute)
		}
	})
}

// Who says nothing over a Transport is let go as well.
func TestServeConnEnds(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		for _, said := range []string{"", "\x82\x24\x01"} {
			began := time.Now()
			far, ended := accepted(arb, plain)
			_, _ = io.WriteString(far, said)
			ended()
			if took := time.Since(began); took != helloWait {
				t.Errorf("%q: after %v", said, took)
			}
			if _, err := far.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("%q: %v", said, err)
			}
		}
	})
}

// The log says why a guest was let go, in whatever part of its hello it was.
func TestRefusalsSayWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		arb, err := Start(t.Context(), Options{Name: "test", Output: io.Discard, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range []string{"", "\x82\x24\x01", "\x01\x02{}"} {
			for how, want := range map[string]error{"it waits": errNoHello, "all go": errClosing, "a transport": errNoHello} {
				log.Reset()
				guests, g, ours, theirs := newGuest()
				served := begun(func() {
					if how == "a transport" {
						arb.ServeConn(peer.NewTransport(ours))
					} else {
						arb.receive(g, true, func(net.Conn, *wire.Hello) *wire.Error { return nil })
					}
				})
				_, _ = io.WriteString(theirs, said)
				synctest.Wait()
				if how == "all go" {
					guests.close()
				}
				<-served
				if !strings.Contains(log.String(), want.Error()) {
					t.Errorf("%q, %s: %s", said, how, log.String())
				}
				time.Sleep(2 * time.Second) // a line a second
			}
		}
		if err := arb.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// What was read of a websocket is read in its order, and its guest is none after its hello.
func TestWebsocketGuest(t *testing.T) {
	inside(t, func(t *testing.T, arb *Arbiter) {
		hello := []byte(`{"command":"hello","kind":"x","aid":"x-1"}`)
		h := frame.Header{Fin: true, Opcode: frame.Text, Masked: true, Mask: [4]byte{1, 2, 3, 4}, Length: uint64(len(hello))}
		frame.Mask(h.Mask, 0, hello)
		said := append(h.Append(nil), hello...)
		guests, g, ours, theirs := newGuest()
		g.lend()
		served := begun(func() {
			arb.ServeWebsocket(&webGuest{Conn: ours, read: said[10:20], guest: g}, said[:10:10], false)
		})
		if _, err := theirs.Write(said[20:]); err != nil {
			t.Fatal(err)
		}
		_, welcome, err := frame.NewReader(theirs, frame.Options{}).Next()
		if err != nil || !strings.Contains(string(welcome), `"welcome"`) {
			t.Errorf("%s, %v", welcome, err)
		}
		if n := guests.silent.Len(); n > 0 {
			t.Error("it is a guest still")
		}
		_ = theirs.Close()
		<-served
	})
}
