package peer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/wire"
)

const interval, timeout = 3 * time.Second, 10 * time.Second

// Silence ends a connection, also in the middle of a message, after the timeout and
// at most an interval more.
func TestSilence(t *testing.T) {
	for name, b := range map[string][]byte{"nothing": nil, "half a frame": {0x82, 100, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := byHand(t, Options{Interval: interval, Timeout: timeout}, DefaultWindow)
				<-time.After(time.Second)
				p.bytes(b)
				began := time.Now()
				if err := e.why(); err != ErrSilent {
					t.Errorf("Run: %v, want %v", err, ErrSilent)
				}
				if d := time.Since(began); d < timeout-time.Second || d > timeout+interval {
					t.Errorf("it was given up after %v", d)
				}
			})
		})
	}
}

// How long it was silent is known, to what it is looked at: from the last heartbeat that was answered on.
func TestHowLongSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{Interval: interval, Timeout: timeout}, wide)
		e.beat = func(*Conn) {}
		for range 5 {
			<-time.After(interval - time.Second)
			p.say(&wire.Message{Kind: wire.KindNotify})
			synctest.Wait()
			e.Answer()
		}
		last := time.Now()
		if err := e.why(); err != ErrSilent {
			t.Errorf("Run: %v, want %v", err, ErrSilent)
		}
		if d, silent := time.Since(last), e.Silence(); silent < timeout || silent > d {
			t.Errorf("it was silent for %v, by its own account %v", d, silent)
		}
	})
}

// Any byte is a sign of life, and both ends beat.
func TestBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := strangers(Options{Interval: interval, Timeout: timeout}, Options{Interval: interval, Timeout: timeout})
		for _, e := range [...]*end{a, b} {
			e.beat = func(c *Conn) {
				_ = c.Post(Control, &wire.Message{Kind: wire.KindNotify}, Charge{})
				c.Flush()
			}
		}
		shake(t, a.Conn, b.Conn)
		a.run(t)
		b.run(t)
		const long = time.Hour
		<-time.After(long)
		want := int(long / interval)
		for _, e := range [...]*end{a, b} {
			if n := len(e.got()); n < want-1 || n > want {
				t.Errorf("%d beats in %v, want %d", n, long, want)
			}
		}
	})
}

// One that beats but leaves unread what waits for it is given up too, and one that
// reads slowly is not.
func TestStuck(t *testing.T) {
	for name, reads := range map[string]bool{"stuck": false, "slow": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := byHand(t, Options{Interval: interval, Timeout: timeout}, wire.Window{Messages: 1 << 20, Bytes: 1 << 30})
				for range 40 {
					mustPost(t, e.Conn, Data, oneWay("bulk", 100<<10))
				}
				e.Flush()
				began := time.Now()
				for range 25 {
					p.say(&wire.Message{Kind: wire.KindNotify})
					if reads {
						p.next()
					}
					<-time.After(interval)
					synctest.Wait() // who is given up at this moment is by now
					select {
					case <-e.ran:
						if reads || e.err != ErrStuck {
							t.Fatalf("Run: %v", e.err)
						}
						if d := time.Since(began); d < stuckAfter*timeout || d > (stuckAfter+1)*timeout {
							t.Errorf("it was given up after %v", d)
						}
						return
					default:
					}
				}
				if !reads {
					t.Error("it was never given up")
				}
			})
		})
	}
}

// One that reads without a pause is not stuck, however slow its line is.
func TestSlowIsNotStuck(t *testing.T) {
	for name, test := range map[string]struct {
		over  func(*PipeEnd) Transport
		bytes int // read at a time
	}{
		"as it is": {func(p *PipeEnd) Transport { return p }, 100},
		"chosen":   {func(p *PipeEnd) Transport { return Choose(p, nil) }, 100},
		"whole":    {func(p *PipeEnd) Transport { return struct{ Transport }{p} }, 5 << 10}, // each write waits until all of it is
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, p := byHandOver(t, Options{Interval: interval, Timeout: timeout}, wide, test.over)
				mustPost(t, e.Conn, Data, oneWay("bulk", 1<<20))
				e.FlushSoon()
				for range 100 {
					p.say(&wire.Message{Kind: wire.KindNotify})
					_, _ = p.pipe.Read(make([]byte, test.bytes))
					<-time.After(interval)
					select {
					case <-e.ran:
						t.Fatalf("Run: %v", e.err)
					default:
					}
				}
			})
		})
	}
}

// If this process was stopped, what the other end sent meanwhile is read before it
// is called silent: it gets one more period, once.
func TestStoppedItself(t *testing.T) {
	pa, _ := Pipe()
	c := New(pa, Options{Interval: interval, Timeout: timeout})
	k := &c.alive
	now := time.Now()
	k.heard, k.movedAt, k.due = now, now, now.Add(interval)
	now = now.Add(time.Hour) // the timer fires an hour late
	if err := c.lookLocked(now); err != nil {
		t.Errorf("right after a stop: %v", err)
	}
	k.due = now.Add(interval)
	if err := c.lookLocked(now.Add(interval)); err != nil {
		t.Errorf("an interval after it: %v", err)
	}
	k.due = now.Add(timeout)
	if err := c.lookLocked(now.Add(timeout)); err != ErrSilent {
		t.Errorf("a timeout after it: %v, want %v", err, ErrSilent)
	}
	k.due = now.Add(timeout)
	if err := c.lookLocked(now.Add(time.Hour)); err != ErrSilent {
		t.Errorf("after a second stop, with nothing read since the first: %v, want %v", err, ErrSilent)
	}
}

// The welcome says how often to beat, where the options do not.
func TestWelcomeSetsKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := strangers(Options{}, Options{})
		go func() {
			_, _ = b.AwaitHello(t.Context())
			w := welcome(DefaultWindow)
			w.Interval, w.Timeout = 3000, 10_000
			_ = b.Welcome(w)
		}()
		if _, err := a.Hello(t.Context(), hello(DefaultWindow)); err != nil {
			t.Fatal(err)
		}
		a.run(t)
		if err := a.why(); err != ErrSilent {
			t.Errorf("Run: %v, want %v", err, ErrSilent)
		}
	})
}

// Frames that say nothing are taken as long as there are not too many of them, and then
// the other end is told why it is cut off.
func TestFlood(t *testing.T) {
	for _, test := range []struct {
		name   string
		frames int // between two looks
		cut    bool
	}{{"few", 100, false}, {"as many as may be", maxAimless, false}, {"too many", maxAimless + 1, true}} {
		t.Run(test.name, func(t *testing.T) {
			c := New(nil, Options{Interval: time.Second})
			now := time.Now()
			c.alive.looked = now
			for range 3 {
				for range test.frames {
					if err := c.aimless(); err != nil && !test.cut {
						t.Fatal(err)
					}
				}
				now = now.Add(time.Second)
				if err := c.lookLocked(now); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.aimless(); (err != nil) != test.cut {
				t.Errorf("the next one: %v", err)
			}
		})
	}
}
