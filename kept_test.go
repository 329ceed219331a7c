package arbiter_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// held is what the arbiter holds for others, in bytes.
func (w *world) held() int64 {
	w.t.Helper()
	in, err := actor.InspectActor.Call(w.ctx, actor.Arbiter, actor.Arbiter)
	if err != nil {
		w.t.Fatal(err)
	}
	return in.Memory.Held
}

// TestIdleKeepsNothing: who has sent a large message, and is silent then, keeps no memory
// by it that nobody counts.
func TestIdleKeepsNothing(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.MemoryBudget = 64 << 20 })
	live := func() int {
		runtime.GC()
		runtime.GC() // what is in pools goes with the second one
		return int(heap())
	}
	large := wire.Message{Kind: wire.KindRequest, Flags: wire.FlagOneWay, Codec: wire.CodecRaw, Target: []byte("nobody"), Command: []byte("x"), Body: make([]byte, 12<<20)}
	frames := large.Append(frame.AppendBinary(nil, large.Size()))
	before := live()
	for n := range 10 {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.address("tcp:"), "tcp:"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		e := &enemy{c: c}
		if !e.join("") || !e.write(frames) {
			t.Fatal("it was not taken")
		}
		go e.read()
		eventually(t, "it is refused", func() bool { return w.letters() > n })
	}
	frames = nil
	if grown := live() - before; grown > 30<<20 {
		t.Errorf("the heap has grown by %d MiB, and %d bytes are held", grown>>20, w.held())
	}
}

// letters is how many dead letters there ever were.
func (w *world) letters() int {
	return int(accountOf(w.t, w.ctx, actor.Arbiter).DeadLetters)
}

// TestCutOffKeepsNothing: of who is cut off while it sends something large, nothing is
// held, nor counted as held, once it is gone.
func TestCutOffKeepsNothing(t *testing.T) {
	w := newWorld(t, func(o *arbiter.Options) { o.MemoryBudget = 64 << 20 })
	text := func(s string) []byte { return frame.AppendFrame(nil, frame.Text, []byte(s)) }
	before := w.held()
	for range 3 {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.address("tcp:"), "tcp:"))
		if err != nil {
			t.Fatal(err)
		}
		e := &enemy{c: c}
		e.joinJSON()
		b := bytes.Repeat(text(`{"command":"notify"}`), 45_000) // a flood
		b = append(b, frame.Header{Fin: true, Opcode: frame.Text, Length: 15 << 20}.Append(nil)...)
		go e.write(append(b, bytes.Repeat([]byte(" "), 14<<20)...))
		e.read()
		c.Close()
	}
	eventually(t, "nothing is held any more", func() bool { return w.held() <= before })
	if n := w.held(); n > before {
		t.Errorf("%d bytes are held, and %d were before", n, before)
	}
}

// TestLettersKeepNoSender: what waits in an inbox keeps nothing of who sent it and has ended, but
// for its aid.
func TestLettersKeepNoSender(t *testing.T) {
	type none = actor.None
	type state struct{ _ [1 << 16]byte }
	w := newWorld(t)
	tell, pass := actor.NewCommand[none, none]("tell"), actor.NewCommand[actor.Ref, none]("pass")
	hold := make(chan struct{})
	defer close(hold)
	slow := w.spawn(&actor.Kind[none]{Name: "slow", Handlers: []actor.Handler[none]{
		actor.On(tell, func(none, context.Context, none) error { <-hold; return nil }),
	}})
	var kept []weak.Pointer[state]
	sender := &actor.Kind[*state]{
		Name: "sender",
		New: func(context.Context) (*state, error) {
			s := new(state)
			kept = append(kept, weak.Make(s))
			return s, nil
		},
		Handlers: []actor.Handler[*state]{
			actor.On(pass, func(_ *state, ctx context.Context, to actor.Ref) error { return tell.Send(ctx, to, none{}) }),
		},
	}
	for range 20 {
		s := w.spawn(sender)
		if _, err := pass.Call(w.ctx, s, slow); err != nil {
			t.Fatal(err)
		}
		if _, err := w.arb.Kill(w.ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "they are let go, but perhaps for who was the last", func() bool {
		runtime.GC()
		n := 0
		for _, s := range kept {
			if s.Value() != nil {
				n++
			}
		}
		return n <= 2
	})
}

// TestHeartbeatsKeepLittle: the last heartbeat of each actor is kept, and no more of it than
// it has bytes, though what it says may take sixty times as many.
func TestHeartbeatsKeepLittle(t *testing.T) {
	w := newWorld(t)
	live := func() int {
		runtime.GC()
		runtime.GC()
		return int(heap())
	}
	const maps = 65_000
	body := append([]byte("\xa1\x65extra\xa2\x61n\x07\x61x\x99"), byte(maps>>8), byte(maps&0xff))
	body = append(body, bytes.Repeat([]byte{0xa0}, maps)...)
	before := live()
	const n = 5
	var last string
	for range n {
		r := w.raw()
		last = r.join().AID
		r.send(wire.Message{Kind: wire.KindNotify, Codec: wire.CodecCBOR, Body: body})
		r.send(wire.Message{Kind: wire.KindRequest, ID: 1, Target: []byte("arbiter"), Command: []byte("ping"), Millis: 5000})
		if _, err := r.next(); err != nil {
			t.Fatal(err)
		}
	}
	if grown := live() - before; grown > 10<<20 {
		t.Errorf("after %d heartbeats of %d bytes the heap has grown by %d MiB", n, len(body), grown>>20)
	}
	if info := w.inspect(t, actor.To(last)).Info; fmt.Sprint(info.Extra["n"]) != "7" {
		t.Errorf("it said that n is 7, and shown is %v", info.Extra["n"])
	}
}
