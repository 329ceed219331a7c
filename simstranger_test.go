package arbiter

import (
	"fmt"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// What strangers and liars do, and peers of other versions.

// simOlder is a connection whose hello offers nothing: its ends are as if one of them
// were of the time before there was something to offer.
type simOlder struct {
	peer.Transport
	b    []byte // of the hello, and what came with it
	said bool   // the hello is whole
}

func (o *simOlder) Read(b []byte) (int, error) {
	for !o.said {
		more := make([]byte, 4096)
		n, err := o.Transport.Read(more)
		if err != nil {
			return 0, err
		}
		o.b = append(o.b, more[:n]...)
		h, size, err := frame.ParseHeader(o.b)
		if err != nil || size == 0 || len(o.b) < size+int(h.Length) {
			continue
		}
		whole := size + int(h.Length)
		var m wire.Message
		if err := m.Parse(o.b[size:whole]); err != nil {
			return 0, err
		}
		hello, err := wire.ParseHello(&m)
		if err != nil {
			return 0, err
		}
		hello.Features = 0
		again, err := hello.Message()
		if err != nil {
			return 0, err
		}
		o.b = append(frame.AppendFrame(nil, frame.Binary, again.Append(nil)), o.b[whole:]...)
		o.said = true
	}
	if len(o.b) > 0 {
		n := copy(b, o.b)
		o.b = o.b[n:]
		return n, nil
	}
	return o.Transport.Read(b)
}

// CloseWrite ends the sending direction.
func (o *simOlder) CloseWrite() error {
	return o.Transport.(interface{ CloseWrite() error }).CloseWrite()
}

// simSkew: peers of other versions are refused, or speak the older one; what they say
// that is not known is skipped.
func simSkew(w *simWorld) {
	w.cast(3)
	w.events(60, func() {
		if w.rng.IntN(3) > 0 {
			w.talk()
			return
		}
		h := rawHello(fmt.Sprint("v", len(w.raws)))
		h.Oldest, h.Newest = uint32(w.rng.IntN(4)), uint32(1+w.rng.IntN(5))
		r := w.raw(h)
		r.listen()
		for range w.rng.IntN(5) {
			r.send(wire.Message{Kind: wire.Kind(100 + w.rng.IntN(20)), Flags: 0xff, Body: make([]byte, w.rng.IntN(100))})
		}
		w.any().start(h.Name, w.job(), 0, 0)
	})
}

// simHostile: strangers who never get in, or should not have, beside others who are
// not to notice.
func simHostile(w *simWorld) {
	w.cast(3)
	w.events(100, func() {
		if w.rng.IntN(2) == 0 {
			w.talk()
			return
		}
		switch w.rng.IntN(6) {
		case 0:
			w.raw(nil).leave()
		case 1:
			w.note("half a hello")
			r := w.raw(nil)
			m, _ := rawHello("half").Message()
			b := m.Append([]byte{0x82, 126, 0, byte(m.Size())})
			r.write(b[:w.rng.IntN(len(b))])
		case 2:
			w.note("a living name is claimed")
			w.raw(rawHello(w.any().name)).listen()
		case 3:
			w.note("a slow drip")
			r := w.raw(nil)
			r.end.Slice(1)
			m, _ := rawHello(fmt.Sprint("drip", len(w.raws))).Message()
			r.send(m)
			r.listen()
		case 4:
			w.note("one that never reads")
			w.raw(rawHello(fmt.Sprint("deaf", len(w.raws))))
			w.any().start(fmt.Sprint("deaf", len(w.raws)-1), simJob{Pad: make([]byte, 10_000)}, 0, 0)
		case 5:
			w.note("connections that come and go")
			for range 20 {
				w.raw(nil).leave()
			}
		}
	})
}

// simLiars: peers who joined, and forge, replay and lie.
func simLiars(w *simWorld) {
	w.cast(3)
	w.events(120, func() {
		if w.rng.IntN(2) == 0 {
			w.talk()
			return
		}
		w.liar()
	})
}

// liar has one of the liars lie, or be called.
func (w *simWorld) liar() {
	if len(w.raws) == 0 || w.rng.IntN(8) == 0 {
		r := w.raw(rawHello(fmt.Sprint("liar", len(w.raws))))
		r.listen()
		synctest.Wait()
		return
	}
	r := w.raws[w.rng.IntN(len(w.raws))]
	if w.rng.IntN(2) == 0 {
		w.any().start(r.name, w.job(), w.upTo(500*time.Millisecond), 0)
		return
	}
	r.lie()
}
