package arbiter

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// simRaw is a peer written with nothing but frames, which says what it likes.
type simRaw struct {
	w    *simWorld
	name string
	end  *peer.PipeEnd
	read sync.WaitGroup

	mu    sync.Mutex // guards what follows
	asked []uint64   // ids of calls it was asked, answered or not
	mine  uint64     // the last id of its own
	mute  bool       // it answers nothing
}

// rawHello is the hello of a peer called name.
func rawHello(name string) *wire.Hello {
	return &wire.Hello{Newest: wire.Version, Oldest: wire.MinVersion, Kind: "raw", Name: name, Inbox: wire.Window{Messages: 64, Bytes: 1 << 16}}
}

// raw connects a peer that says hello with h; nil: it says nothing.
func (w *simWorld) raw(h *wire.Hello) *simRaw {
	ours, theirs := peer.PipeSize(1 << (8 + w.rng.IntN(8)))
	r := &simRaw{w: w, end: ours, mute: w.rng.IntN(4) == 0}
	w.guests.Go(func() { w.arb.ServeConn(theirs) })
	if h != nil {
		r.name = h.Name
		if w.rng.IntN(2) == 0 {
			h.Features = wire.FeaturePieces
		}
		m, err := h.Message()
		if err != nil {
			w.t.Fatal(err)
		}
		r.send(m)
	}
	w.raws = append(w.raws, r)
	return r
}

// listen reads until the connection ends, and answers what it is asked.
func (r *simRaw) listen() {
	r.read.Go(func() {
		frames := frame.NewReader(r.end, frame.Options{Limit: 16 << 20})
		var open wire.Message // of which pieces come; its names do not matter
		for {
			op, payload, err := frames.Next()
			var m wire.Message
			if err != nil || op == frame.Binary && m.Parse(payload) != nil {
				return
			}
			if p, err := wire.ParsePiece(payload); op == frame.Binary && err == nil && !p.Reply {
				if p.First {
					open = wire.Message{Kind: wire.Kind(m.Body[0]), Flags: wire.Flags(m.Body[1]), ID: binary.BigEndian.Uint64(m.Body[8:])}
				}
				if p.Left > uint64(len(m.Body)) {
					continue
				}
				m = open
			}
			if op != frame.Binary || m.Kind != wire.KindRequest || m.Flags&wire.FlagOneWay != 0 {
				continue
			}
			r.mu.Lock()
			r.asked = append(r.asked, m.ID)
			mute := r.mute
			r.mu.Unlock()
			if !mute {
				r.send(wire.Message{Kind: wire.KindReply, ID: m.ID, Codec: wire.CodecRaw, Body: []byte("what do I know")})
			}
		}
	})
}

// send writes a message as far as that is taken: nobody waits for a liar.
func (r *simRaw) send(m wire.Message) { r.write(frame.AppendFrame(nil, frame.Binary, m.Append(nil))) }

func (r *simRaw) write(b []byte) {
	for len(b) > 0 {
		n, err := r.end.TryWrite(b)
		if n == 0 || err != nil {
			return
		}
		b = b[n:]
	}
}

// piece is p with n bytes, which begin with m.
func (r *simRaw) piece(p wire.Piece, m wire.Message, n int) wire.Message {
	var piece wire.Message
	if err := piece.Parse(p.Append(nil)); err != nil {
		r.w.t.Error(err)
	}
	piece.Body = append(m.Append(nil), make([]byte, n)...)[:n]
	return piece
}

func (r *simRaw) leave() {
	_ = r.end.Close()
	r.read.Wait()
}

// lie does one thing that a peer must not do, or that is of no use.
func (r *simRaw) lie() {
	w := r.w
	r.mu.Lock()
	var asked uint64
	if n := len(r.asked); n > 0 {
		asked = r.asked[w.rng.IntN(n)]
	}
	r.mine++
	mine := r.mine
	r.mu.Unlock()
	target := w.any().name
	call := wire.Message{Kind: wire.KindRequest, Target: []byte(target), Command: []byte("ask"), ID: mine, Millis: 500, Codec: wire.CodecCBOR, Body: []byte{0xa0}}
	var credit [16]byte
	what := ""
	switch w.rng.IntN(22) {
	case 17:
		what = "begins a call in pieces, and says no more of it"
		r.send(r.piece(wire.Piece{First: true, Left: 1 << 20}, call, wire.MinPiece))
	case 18:
		what = "goes on with what it did not begin"
		r.send(r.piece(wire.Piece{Left: 5000, Reply: w.rng.IntN(2) == 0}, call, 5000))
	case 19:
		what = "sends more of a message than it has"
		r.send(r.piece(wire.Piece{First: true, Left: 10_000}, call, wire.MinPiece))
		r.send(r.piece(wire.Piece{Left: 10_000 - wire.MinPiece}, call, 10_000))
	case 20:
		what = "begins an answer in pieces"
		answer := wire.Message{Kind: wire.KindReply, ID: asked, Codec: wire.CodecRaw}
		r.send(r.piece(wire.Piece{First: true, Reply: true, Left: 5000}, answer, wire.MinPiece))
		if w.rng.IntN(2) == 0 {
			what += ", and ends it"
			r.send(r.piece(wire.Piece{Reply: true, Left: 5000 - wire.MinPiece}, answer, 5000-wire.MinPiece))
		}
	case 21:
		what = "calls in pieces"
		call.Body = append([]byte{0xa1, 0x63, 'p', 'a', 'd', 0x59, 0x20, 0}, make([]byte, 0x2000)...)
		whole := call.Append(nil)
		for at := 0; at < len(whole); at += wire.MinPiece {
			b := whole[at:min(at+wire.MinPiece, len(whole))]
			p := wire.Piece{First: at == 0, Left: uint64(len(whole) - at)}
			r.write(frame.AppendFrame(nil, frame.Binary, append(p.Append(nil), b...)))
		}
	case 0:
		what = "answers a call again"
		r.send(wire.Message{Kind: wire.KindReply, ID: asked, Codec: wire.CodecRaw})
	case 1:
		what = "fails a call again"
		r.send(wire.Errorf(wire.CodeApp, "no").NotStarted().Frame(wire.KindError, asked))
	case 2:
		what = "answers somebody else's call"
		r.send(wire.Message{Kind: wire.KindReply, ID: 1<<20 + uint64(w.rng.IntN(4)), Codec: wire.CodecRaw})
	case 3:
		what = "answers what was never asked"
		r.send(wire.Message{Kind: wire.KindReply, ID: w.rng.Uint64() >> 12, Codec: wire.CodecRaw})
	case 4:
		what = "credits"
		r.send(wire.Credit{Messages: uint64(w.rng.IntN(10)), Bytes: uint64(w.rng.IntN(10_000)), Started: uint64(w.rng.IntN(10))}.Message(&credit))
	case 5:
		what = "sends back what it was not sent"
		m := wire.Errorf(wire.CodeDown, "no").NotStarted().Frame(wire.KindUndelivered, 0)
		m.Target = []byte(target)
		r.send(m)
	case 6:
		what = "uses an id twice"
		r.send(call)
		r.send(call)
	case 7:
		what = "sends more than its window"
		call.Flags, call.ID = wire.FlagOneWay, 0
		call.Command, call.Body = []byte("tell"), append([]byte{0xa1, 0x63, 'p', 'a', 'd', 0x5a, 0, 2, 0, 0}, make([]byte, 128<<10)...)
		for range 20 {
			r.send(call)
		}
	case 8:
		what = "calls without an id"
		call.ID = 0
		r.send(call)
	case 9:
		what = "claims to be " + target
		call.Sender = []byte(target)
		r.send(call)
	case 10:
		what = "says hello again"
		m, _ := rawHello(target).Message()
		r.send(m)
	case 11:
		what = "says garbage"
		b := make([]byte, 1+w.rng.IntN(40))
		for i := range b {
			b[i] = byte(w.rng.Uint32())
		}
		r.write(b)
	case 12:
		what = "pings"
		for range 200 {
			r.write(frame.AppendFrame(nil, frame.Ping, nil))
		}
	case 13:
		what = "says empty things"
		for range 200 {
			r.write([]byte{0x82, 0})
		}
	case 14:
		what = "watches and unwatches"
		for n := range 50 {
			r.send(wire.Message{Kind: wire.KindWatch, ID: mine + uint64(n), Target: []byte(target)})
			r.send(wire.Message{Kind: wire.KindUnwatch, ID: mine + uint64(n)})
			r.send(wire.Message{Kind: wire.KindCancel, ID: mine + uint64(n)})
		}
		r.mu.Lock()
		r.mine += 50
		r.mu.Unlock()
	case 15:
		what = "says goodbye and stays"
		d := wire.Death{Cause: wire.CauseStopped}
		r.send(d.Message(wire.KindGoodbye, 0))
	case 16:
		what = "asks for what nobody has"
		call.Command = []byte(fmt.Sprint("no such command ", mine))
		r.send(call)
	}
	w.note("%s %s", r.name, what)
}
