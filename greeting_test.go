package arbiter

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// A guest that says nothing, or half of what it has to, has helloWait and no longer.
func TestGuestsHaveTheirTime(t *testing.T) {
	for name, said := range map[string]string{"nothing": "", "half a hello": "\x82\x24\x01\x00\x01", "a fragment": "\x01\x02{}"} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				ours, theirs := net.Pipe()
				began := time.Now()
				go arb.receive(new(guests).enter(ours), func(net.Conn, *wire.Hello) *wire.Error {
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

// Who has to go while its connection is being lent goes as well.
func TestGuestGoesBeforeItIsLent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guests := new(guests)
		ours, theirs := net.Pipe()
		defer theirs.Close()
		g := guests.enter(ours)
		guests.close()
		g.lend()
		_ = theirs.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		if err := g.why(net.ErrClosed); !errors.Is(err, errClosing) {
			t.Error(err)
		}
	})
}

// Who has said hello is no guest: it stays, also if all guests have to go before it is
// welcomed.
func TestWelcomedAreNoGuests(t *testing.T) {
	hello := frame.AppendFrame(nil, frame.Text, []byte(`{"command":"hello","kind":"x","aid":"x-1"}`))
	for name, lent := range map[string]bool{"by its deadline": false, "by its end": true} {
		t.Run(name, func(t *testing.T) {
			inside(t, func(t *testing.T, arb *Arbiter) {
				ours, theirs := net.Pipe()
				guests := new(guests)
				g := guests.enter(ours)
				if lent {
					g.lend()
				}
				served := make(chan struct{})
				go func() {
					defer close(served)
					arb.greet(peer.NewJSON(peer.NewTransport(ours), nil, frame.Unmasked), g, func(*wire.Hello) *wire.Error {
						guests.close()
						time.Sleep(time.Millisecond) // who is to be closed is, by then
						return nil
					})
				}()
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
