package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

const sizeOfW = wire.HeaderSize + 1 // of a request with a command of one byte and no body

func TestWindowIsKept(t *testing.T) {
	cost := wire.Cost(sizeOfW)
	for name, window := range map[string]wire.Window{
		"messages": {Messages: 4, Bytes: 1 << 30},
		"bytes":    {Messages: 1 << 20, Bytes: uint64(4*cost + cost/2)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := byHand(t, Options{}, window)
				var want []string
				for i := range 10 {
					want = append(want, fmt.Sprint(i))
					mustPost(t, e.Conn, Data, oneWay(want[i], 0))
				}
				mustPost(t, e.Conn, Ordered, &wire.Message{Kind: wire.KindDown, Command: []byte("d")})
				e.Flush()
				var got []string
				read := func(n int) {
					for range n {
						got = append(got, p.next().command)
					}
					synctest.Wait()
					if d := e.Stats().MessagesOut - 1; d != uint64(len(got)) { // 1: the welcome
						t.Fatalf("%d messages were written, want %d", d, len(got))
					}
				}
				read(4)
				p.take(2, sizeOfW)
				read(2)
				p.take(4, sizeOfW)
				read(5) // the down needs no room, but its place
				if want := append(want, "d"); !slices.Equal(got, want) {
					t.Errorf("the far end got %q, want %q", got, want)
				}
			})
		})
	}
}

// A message larger than the whole window goes alone.
func TestLargerThanWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wire.Window{Messages: 100, Bytes: 1000})
		for _, c := range [...]string{"a", "b"} {
			mustPost(t, e.Conn, Data, oneWay(c, 50_000))
		}
		e.Flush()
		p.next()
		synctest.Wait()
		if h := e.out.held.len(); h != 1 {
			t.Fatalf("%d messages are held, want 1", h)
		}
		p.take(1, sizeOfW+50_000)
		if l := p.next(); l.command != "b" {
			t.Errorf("got %v", l)
		}
	})
}

// Credits that cannot be true end the connection.
func TestFalseCredit(t *testing.T) {
	credit := func(messages, bytes, started uint64) wire.Message {
		return wire.Credit{Messages: messages, Bytes: bytes, Started: started}.Message(new([16]byte))
	}
	cost := uint64(wire.Cost(sizeOfW))
	for name, m := range map[string]wire.Message{
		"messages never sent":     credit(3, cost, 0),
		"bytes never sent":        credit(2, 3*cost, 0),
		"messages taken back":     credit(0, cost, 0),
		"bytes taken back":        credit(1, 0, 0),
		"handlers taken back":     credit(1, cost, 0),
		"without its counters":    {Kind: wire.KindCredit, ID: 1},
		"every id there is":       credit(wire.MaxID, cost, 1),
		"all the bytes there are": credit(1, 1<<64-1, 1),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := byHand(t, Options{}, DefaultWindow)
				mustPost(t, e.Conn, Data, oneWay("a", 0))
				mustPost(t, e.Conn, Data, oneWay("b", 0))
				e.Flush()
				good := credit(1, cost, 1)
				p.say(&good)
				p.say(&m)
				wantCode(t, e.why(), wire.CodeProtocol)
			})
		})
	}
}

// Who sends more than it was granted is cut off, and told why.
func TestBeyondTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{Window: wire.Window{Messages: 3, Bytes: 1 << 20}}, DefaultWindow)
		for range 4 {
			p.say(oneWay("x", 0))
		}
		wantCode(t, e.why(), wire.CodeProtocol)
		if n := len(e.got()); n != 3 {
			t.Errorf("%d messages were taken, want 3", n)
		}
		if l := p.next(); l.kind != wire.KindGoodbye {
			t.Errorf("the far end was told %v, want a goodbye with the reason", l)
		}
	})
}

// The window is granted again in few frames, at a quarter of it, and never stops.
func TestCreditsFlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := strangers(Options{}, Options{Window: wire.Window{Messages: 40, Bytes: 1 << 20}})
		taken := 0
		b.on = func(c *Conn, m *wire.Message) {
			taken++
			c.Started()
			c.Charge(m).Return()
		}
		shake(t, a.Conn, b.Conn)
		a.run(t)
		b.run(t)
		const n = 1000
		for range n {
			if err := a.PostWait(t.Context(), oneWay("x", 100), Later); err != nil {
				t.Fatal(err)
			}
			a.Flush()
		}
		synctest.Wait()
		if taken != n {
			t.Errorf("%d messages were taken, want %d", taken, n)
		}
		if credits := b.Stats().MessagesOut; credits > n/4 {
			t.Errorf("%d frames went back for %d messages in a window of 40", credits, n)
		}
		a.out.mu.Lock()
		defer a.out.mu.Unlock()
		if a.out.started < n-10 { // a quarter of the window
			t.Errorf("the other end is known to have started %d handlers, want nearly %d", a.out.started, n)
		}
	})
}

// Who waits for room is served in the order it came, and let go when its context
// or the connection ends.
func TestPostWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wire.Window{Messages: 1, Bytes: 1 << 20})
		if err := e.PostWait(t.Context(), oneWay("0", 0), Later); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make([]error, 6)
		done := make(chan int, 6)
		for i := 1; i < 6; i++ {
			go func() {
				at := t.Context()
				if i == 2 {
					at = ctx
				}
				ended[i] = e.PostWait(at, oneWay(fmt.Sprint(i), 0), Later)
				e.Flush()
				done <- i
			}()
			synctest.Wait()
		}
		cancel()
		if i := <-done; i != 2 {
			t.Fatalf("%d ended, want the one that was canceled", i)
		}
		wantCode(t, ended[2], wire.CodeCanceled)
		for _, want := range [...]string{"0", "1", "3"} {
			if l := p.next(); l.command != want {
				t.Errorf("got %q, want %q", l.command, want)
			}
			p.take(1, sizeOfW)
			synctest.Wait()
		}
		e.Close(nil) // "4" was posted with the last credit, "5" waits
		for range 4 {
			<-done
		}
		if ended[1] != nil || ended[3] != nil || ended[4] != nil {
			t.Errorf("those there was room for ended with %v", ended)
		}
		wantCode(t, ended[5], wire.CodeClosed)
	})
}

// A call that waits for room ends once, by whatever comes first.
func TestRequestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wire.Window{Messages: 1, Bytes: 1 << 20})
		var o outcome
		if _, err := e.RequestWait(t.Context(), request("0", 0), Note{Caller: &o, ID: 100}, Later); err != nil {
			t.Fatal(err)
		}
		_, err := e.RequestWait(within(t, time.Second), request("1", 0), Note{Caller: &o, ID: 101}, Later)
		if wantCode(t, err, wire.CodeDeadline).Started != wire.StartedNo {
			t.Error("the error does not say that it did not start")
		}
		if o.len() != 0 || e.Calls().Len() != 1 {
			t.Errorf("%d calls ended, %d are in flight; want none and one", o.len(), e.Calls().Len())
		}
		// Its deadline as a call comes before its context's: its Caller is told.
		waits := make(chan *wire.Error, 1)
		go func() {
			_, err := e.RequestWait(within(t, time.Hour), request("2", 0), Note{Caller: &o, ID: 102, Deadline: time.Now().Add(time.Second)}, Later)
			waits <- err
		}()
		<-time.After(2 * time.Second)
		if wantCode(t, o.of(t, 102), wire.CodeDeadline).Started != wire.StartedNo {
			t.Error("the error does not say that it did not start")
		}
		p.next()
		p.take(1, sizeOfW)
		if err := <-waits; err != nil {
			t.Errorf("RequestWait: %v, although its Caller was told", err)
		}
		e.Flush()
		mustPost(t, e.Conn, Control, &wire.Message{Kind: wire.KindNotify})
		e.Flush()
		if l := p.next(); l.kind != wire.KindNotify {
			t.Errorf("%v was written, although nobody waits for it", l)
		}
		e.Close(errors.New("over"))
		_ = e.why()
		wantCode(t, o.of(t, 100), wire.CodeClosed)
	})
}

// Who comes later does not pass who waits for room, though it would fit: or a large
// message would never go.
func TestWaitersInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wire.Window{Messages: 100, Bytes: 2000})
		first, large, small := oneWay("first", 900), oneWay("large", 1500), oneWay("small", 0)
		ctx, cancel := context.WithCancel(context.Background())
		var waits sync.WaitGroup
		for _, m := range []*wire.Message{first, large, small} {
			waits.Go(func() {
				if err := e.PostWait(ctx, m, Later); err != nil {
					t.Error(err)
				}
				e.Flush()
			})
			synctest.Wait()
		}
		if l := p.next(); l.command != "first" {
			t.Errorf("%q is sent first", l.command)
		}
		var body [16]byte
		p.say(new(wire.Credit{Messages: 1, Bytes: uint64(wire.Cost(first.Size()))}.Message(&body)))
		for _, want := range []string{"large", "small"} {
			if l := p.next(); l.command != want {
				t.Errorf("%q is sent, want %q", l.command, want)
			}
		}
		waits.Wait()
		cancel()
	})
}

// Who has given up sends nothing more, though it is not seen yet and there is room now:
// what comes after the end of an actor would come after its Down.
func TestWaiterGivesUp(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			e, p := noRoom(t)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- e.PostWait(ctx, oneWay("late", 10), Later) }()
			synctest.Wait()
			credit := wire.Credit{Messages: 1, Bytes: uint64(wire.Cost(oneWay("first", 10).Size()))}
			m := credit.Message(new([16]byte))
			cancel()
			if _, err := e.credited(&m); err != nil {
				t.Fatal(err)
			}
			mustPost(t, e.Conn, Data, oneWay("second", 10))
			e.Flush()
			wantCode(t, <-ended, wire.CodeCanceled)
			if l := p.next(); l.command != "second" {
				t.Fatalf("%q was sent by who had given up", l.command)
			}
		})
	}
}

// Who gives up at the head of those who wait lets those behind it go that fit: nothing else
// may come for long that would.
func TestWaiterMakesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wire.Window{Messages: 100, Bytes: 3000})
		mustPost(t, e.Conn, Data, oneWay("stuck", 1500)) // more than half, so that large has to wait
		e.Flush()
		p.next()
		impatient := within(t, time.Second)
		gaveUp, sent := make(chan error, 1), make(chan error, 1)
		go func() { gaveUp <- e.PostWait(impatient, oneWay("large", 2000), Later) }()
		synctest.Wait()
		go func() { sent <- e.PostWait(t.Context(), oneWay("small", 10), Later) }()
		synctest.Wait()
		wantCode(t, <-gaveUp, wire.CodeDeadline)
		began := time.Now()
		if err := <-sent; err != nil || time.Since(began) > 0 {
			t.Fatalf("what was behind who gave up: %v, after %v, want it sent at once", err, time.Since(began))
		}
		if l := p.next(); l.command != "small" {
			t.Errorf("%q is sent, want what was behind who gave up", l.command)
		}
	})
}

// What may be held back is not posted to who is Held, though there is room: that is the room
// its sender was given for others, after the word to send no more. Its own may be long on the
// way to the outbox, past where it was asked for that.
func TestHeldIsNotPosted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, DefaultWindow)
		e.Held = func(target []byte) bool { return string(target) == "held" }
		held := func(what string, err error) {
			t.Helper()
			if err != error(ErrHeld) {
				t.Errorf("%s: %v, want %v", what, err, ErrHeld)
			}
		}
		var o outcome
		held("PostWait", e.PostWait(t.Context(), to(oneWay("send", 10), "held"), Later))
		held("PostNow", e.PostNow(to(oneWay("try", 10), "held"), Later))
		_, err := e.RequestWait(t.Context(), to(request("call", 10), "held"), Note{Caller: &o, ID: 1, Holds: true}, Later)
		held("RequestWait", err)
		if n := e.Calls().Len(); n != 0 {
			t.Errorf("%d calls are noted, of none that were posted", n)
		}
		if _, err := e.RequestWait(t.Context(), to(request("handler's", 10), "held"), Note{Caller: &o, ID: 2}, Later); err != nil {
			t.Errorf("a call that is not held back: %v", err)
		}
		if err := e.PostNow(to(oneWay("other", 10), "other"), Later); err != nil {
			t.Errorf("to another: %v", err)
		}
		e.Flush()
		for _, want := range []string{"handler's", "other"} {
			if l := p.next(); l.command != want {
				t.Errorf("%q is sent, want %q", l.command, want)
			}
		}
	})
}

// A call that waits for room waits no longer than its deadline, where its context has none:
// its caller is told then, and is to have that.
func TestRequestWaitsUntilDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := noRoom(t)
		var o outcome
		began := time.Now()
		_, err := e.RequestWait(t.Context(), request("late", 10), Note{Caller: &o, ID: 1, Deadline: began.Add(time.Second)}, Later)
		if took := time.Since(began); took > time.Second+minSweep {
			t.Errorf("it has waited for %v, and its deadline was after 1s", took)
		}
		if err == nil { // else nobody is told but who has called
			synctest.Wait() // whoever has found the deadline over may be about to tell
			err = wantCode(t, o.of(t, 1), wire.CodeDeadline)
		}
		wantCode(t, err, wire.CodeDeadline)
	})
}

// A call that has waited for room says what remains of its time then, not what there was
// when it began to wait.
func TestTimeOfWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := noRoom(t)
		m := request("late", 10)
		m.Millis = 30_000
		go func() {
			var o outcome
			_, _ = e.RequestWait(t.Context(), m, Note{Caller: &o, ID: 1, Deadline: time.Now().Add(30 * time.Second)}, Later)
		}()
		time.Sleep(20 * time.Second)
		p.take(1, oneWay("first", 10).Size())
		_, b, err := p.frames.Next()
		if err != nil {
			t.Fatal(err)
		}
		var got wire.Message
		if err := got.Parse(b); err != nil {
			t.Fatal(err)
		}
		if string(got.Command) != "late" || got.Millis != 10_000 {
			t.Errorf("it is sent %q with %d ms, want what remains, 10 s", got.Command, got.Millis)
		}
	})
}
