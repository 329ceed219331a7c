package arbiter_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/faultproxy"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// road puts a proxy before a listener of the arbiter, "tcp:" or "unix:".
func (w *world) road(listener string, roads faultproxy.Roads) *faultproxy.Proxy {
	w.t.Helper()
	p, err := faultproxy.Listen(w.address(listener), roads)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.Close)
	return p
}

// traveller joins over p as an actor of kind, and returns the connection, too.
func (w *world) traveller(p *faultproxy.Proxy, kind actor.Behaviour) (*actor.Member, actor.Ref, *faultproxy.Link) {
	w.t.Helper()
	m := w.member(p.Address(), kind, actor.JoinOptions{Token: "secret"})
	ref, err := m.Ref(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	link, err := p.Next(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return m, ref, link
}

// ends counts what a watch of who is told.
func (w *world) ends(who actor.Ref) chan actor.Ended {
	w.t.Helper()
	ended := make(chan actor.Ended, 8)
	if _, err := actor.Watch(w.ctx, who, func(_ context.Context, e actor.Ended) { ended <- e }); err != nil {
		w.t.Fatal(err)
	}
	return ended
}

// TestFrameCut: a connection that ends inside a frame, whatever way, is one death: all
// who wait are told, with the cause, each watcher once; the actor sees it, too, and is
// over; and nothing connects again.
func TestFrameCut(t *testing.T) {
	faults := map[string]faultproxy.Fault{"reset": faultproxy.Reset, "cut": faultproxy.Cut, "half-close": faultproxy.HalfClose}
	for _, listener := range []string{"tcp:", "unix:"} {
		for name, fault := range faults {
			for way, direction := range []string{"up", "down"} {
				t.Run(listener+name+" "+direction, func(t *testing.T) {
					w := newWorld(t)
					p := w.road(listener, faultproxy.Roads{})
					m, ref, link := w.traveller(p, Victim)
					other := w.join(w.address("unix:"), Victim, actor.JoinOptions{})
					watched := []chan actor.Ended{w.ends(ref), w.ends(ref)}
					var waiting []*actor.Pending[actor.None]
					for range 4 {
						waiting = append(waiting, Block.Start(w.ctx, ref, actor.None{}))
					}
					if _, err := Double.Call(w.ctx, ref, 1); err != nil { // they are all there
						t.Fatal(err)
					}

					hit := link.After(faultproxy.Way(way), 300_000, fault)
					cut := make(chan time.Time, 1)
					go func() { <-hit; cut <- time.Now() }()
					_, err := actor.Echo.Call(w.ctx, ref, make([]byte, 1<<20))
					began := <-cut
					check := func(who string, err error) {
						var down *actor.DownError
						if !errors.As(err, &down) || down.Cause != actor.CauseConnection {
							t.Errorf("%s is told %v", who, err)
						}
					}
					check("who was cut off", err)
					for _, c := range waiting {
						_, err := c.Wait()
						check("who waits", err)
					}
					for _, ended := range watched {
						if e := <-ended; e.Cause != actor.CauseConnection || e.Ref.AID != ref.AID {
							t.Errorf("a watcher is told %+v", e)
						}
					}
					t.Logf("all were told within %v: %v", time.Since(began), err)
					select {
					case <-m.Done():
					case <-time.After(time.Second + slack):
						t.Error("the actor goes on")
					}
					if _, err := Double.Call(m.Context(context.Background()), other, 1); err == nil {
						t.Error("the member connects again")
					}
					if _, err := Double.Call(w.ctx, ref, 1); !errors.Is(err, actor.ErrDown) && !errors.Is(err, actor.ErrUnknownActor) {
						t.Errorf("a call to who has ended: %v", err)
					}
					if n := p.Connections(); n != 1 {
						t.Errorf("%d connections", n)
					}
					if n, err := Double.Call(w.ctx, other, 4); n != 8 || err != nil {
						t.Errorf("somebody else noticed: %d, %v", n, err)
					}
					for _, ended := range watched {
						select {
						case e := <-ended:
							t.Errorf("a watcher is told again: %+v", e)
						default:
						}
					}
				})
			}
		}
	}
}

// TestBadRoads: what is slow, late or in crumbs works as it does otherwise, for as long as
// it goes on at all.
func TestBadRoads(t *testing.T) {
	roads := map[string]faultproxy.Road{
		"byte by byte": {Piece: 1}, "late": {Delay: 60 * time.Millisecond}, "slow": {Rate: 512 << 10}, "crumbs": {Piece: 3, Delay: time.Millisecond},
	}
	for name, road := range roads {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = 100*time.Millisecond, 3*time.Second })
			p := w.road("tcp:", faultproxy.Roads{Up: road, Down: road})
			_, native, _ := w.traveller(p, Subject)
			for profile, ref := range map[string]actor.Ref{"native": native, "json": w.pull(p.Address(), Subject)} {
				if n, err := Double.Call(w.ctx, ref, 21); n != 42 || err != nil {
					t.Errorf("%s: %d, %v", profile, n, err)
				}
				text := strings.Repeat("0123456789", 5000)
				if v, err := actor.Echo.Call(w.ctx, ref, text); v != text || err != nil {
					t.Errorf("%s: an echo of %d bytes: %v", profile, len(text), err)
				}
				for n := range 20 {
					if err := Record.Send(w.ctx, ref, n); err != nil {
						t.Fatal(err)
					}
				}
				list, err := Recorded.Call(w.ctx, ref, actor.None{})
				if fmt.Sprint(list) != "[0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19]" || err != nil {
					t.Errorf("%s: recorded %v, %v", profile, list, err)
				}
			}
		})
	}
}

// TestStalled: a road on which nothing comes any more is given up after the timeout, by
// both ends, and who waits is told; one that goes on before that is not.
func TestStalled(t *testing.T) {
	const interval, timeout = 100 * time.Millisecond, 800 * time.Millisecond
	w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = interval, timeout })
	p := w.road("tcp:", faultproxy.Roads{})
	m, ref, link := w.traveller(p, Weaver)
	ended := w.ends(ref)

	link.Do(faultproxy.Up, faultproxy.Stall)
	call := Double.Start(w.ctx, ref, 4)
	<-time.After(2 * interval) // less than the timeout
	link.Resume(faultproxy.Up)
	if n, err := call.Wait(); n != 8 || err != nil {
		t.Fatalf("after a short stall: %d, %v", n, err)
	}

	began := time.Now()
	link.Do(faultproxy.Up, faultproxy.Stall)
	link.Do(faultproxy.Down, faultproxy.Stall)
	_, err := Double.Call(w.ctx, ref, 4)
	var down *actor.DownError
	if !errors.As(err, &down) || down.Cause != actor.CauseHeartbeat {
		t.Errorf("who waits is told %v", err)
	}
	if e := <-ended; e.Cause != actor.CauseHeartbeat {
		t.Errorf("a watcher is told %+v", e)
	}
	told := time.Since(began)
	<-m.Done()
	t.Logf("told after %v, and the actor has ended after %v, with a timeout of %v: %v", told, time.Since(began), timeout, m.Err())
	if told < timeout-interval {
		t.Errorf("it was given up after %v", told)
	}
}

// TestCorrupted: a byte that is not what it was, anywhere in what a member or the arbiter
// sends, harms that connection at most: what waits ends, the end says why, and nobody
// else notices. A wrong byte inside an argument is not seen: that is what checksums of
// the road are for.
func TestCorrupted(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.Heartbeat, o.HeartbeatTimeout = 50*time.Millisecond, time.Second })
	p := w.road("tcp:", faultproxy.Roads{})
	other := w.join(w.address("unix:"), Weaver, actor.JoinOptions{})
	refusals := make(map[string]int)
	for way := range 2 {
		for at := range 28 { // the frame's header and the message's
			m, ref, link := w.traveller(p, Weaver)
			ended := w.ends(ref)
			if _, err := Double.Call(w.ctx, ref, 1); err != nil {
				t.Fatal(err)
			}
			hit := link.After(faultproxy.Way(way), int64(at), faultproxy.Corrupt)
			ctx, cancel := context.WithTimeout(m.Context(w.ctx), 2*time.Second)
			var all sync.WaitGroup
			all.Go(func() { _, _ = Double.Call(ctx, other, 21) })
			all.Go(func() { _, _ = Double.Call(ctx, ref, 21) })
			all.Wait() // each ends, whichever way
			cancel()
			<-hit // at the latest by a heartbeat
			if n, err := Double.Call(w.ctx, other, 4); n != 8 || err != nil {
				t.Fatalf("byte %d: somebody else noticed: %d, %v", at, n, err)
			}
			if way == int(faultproxy.Up) && at == 0 { // no opcode: nothing else can be
				e := <-ended
				if e.Cause != actor.CauseProtocol || !strings.Contains(e.Reason, "reserved") {
					t.Errorf("the first byte of a frame: %+v", e)
				}
				ended <- e
			}
			m.Close()
			e := <-ended
			switch e.Cause {
			case actor.CauseProtocol, actor.CauseConnection, actor.CauseStopped, actor.CauseHeartbeat:
				if e.Cause != actor.CauseStopped && e.Reason == "" {
					t.Errorf("way %d, byte %d: it ended without a reason: %+v", way, at, e)
				}
				refusals[string(e.Cause)]++
			default:
				t.Errorf("way %d, byte %d: %+v", way, at, e)
			}
		}
	}
	t.Log("they ended so often by", refusals)
	if refusals[string(actor.CauseProtocol)] < 5 {
		t.Errorf("too few were refused: %v", refusals)
	}
}

// TestSlowHello: who does not say hello within five seconds is cut off, however it
// spends them.
func TestSlowHello(t *testing.T) {
	t.Parallel()
	w := quietWorld(t)
	h := &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "slow", Token: "secret"}
	m, err := h.Message()
	if err != nil {
		t.Fatal(err)
	}
	native := frame.AppendFrame(nil, frame.Binary, m.Append(nil))
	json := frame.AppendFrame(nil, frame.Text, []byte(`{"command":"hello","kind":"slow","token":"secret"}`))
	var all sync.WaitGroup
	for name, hello := range map[string][]byte{
		"nothing": nil, "half of a hello": native[:len(native)/2], "half of one in json": json[:len(json)/2],
		"drip": native, "drip in json": json, "drip in fragments": []byte("\x01\x01{\x00\x01 \x00\x01 \x00\x01 \x00\x01 \x00\x01 \x00\x01 \x00\x01 \x00\x01 \x00\x01 "),
	} {
		all.Go(func() {
			p, err := faultproxy.Listen(w.address("tcp:"), faultproxy.Roads{Up: faultproxy.Road{Piece: 1, Rate: 4}})
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			c, err := net.Dial("tcp", strings.TrimPrefix(p.Address(), "tcp:"))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			began := time.Now()
			_ = c.SetDeadline(began.Add(60 * time.Second))
			if _, err := c.Write(hello); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			r := frame.NewReader(c, frame.Options{})
			for err == nil {
				_, _, err = r.Next()
			}
			took := time.Since(began)
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() || took < 4*time.Second || took > 5*time.Second+slack {
				t.Errorf("%s: cut off after %v: %v", name, took, err)
			}
		})
	}
	all.Wait()
	other := w.spawn(Victim)
	if n, err := Double.Call(w.ctx, other, 4); n != 8 || err != nil {
		t.Errorf("afterwards: %d, %v", n, err)
	}
}
