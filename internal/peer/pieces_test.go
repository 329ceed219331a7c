package peer

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// wide is a window that bounds nothing here.
var wide = wire.Window{Messages: 1 << 20, Bytes: 1 << 40}

// takesPieces is byHand with a far end that takes pieces.
func takesPieces(t testing.TB, o Options) (*end, *peerOf) {
	t.Helper()
	h := hello(wide)
	h.Features = wire.FeaturePieces
	return byHandAs(t, o, h, func(p *PipeEnd) Transport { return p })
}

// random returns n bytes that are the same for the same n.
func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)})
	_, _ = r.Read(b)
	return b
}

// heard is what a Conn has received, with its bytes.
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) add(c *Conn, m *wire.Message) {
	c.Charge(m).Return()
	if m.Kind == wire.KindNotify || m.Kind == wire.KindGoodbye {
		return
	}
	h.say(string(m.Command), m.Body)
}

func (h *heard) say(what string, body []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	verdict := "as it was"
	if !bytes.Equal(body, random(len(body))) {
		verdict = "damaged"
	}
	h.all = append(h.all, fmt.Sprint(what, " ", len(body), " ", verdict))
}

// Result and Failed make heard a Caller.
func (h *heard) Result(id uint64, m *wire.Message) { h.say(fmt.Sprint("reply ", id), m.Body) }
func (h *heard) Failed(id uint64, e *wire.Error)   { h.say(fmt.Sprint("error ", id, e), nil) }

func (h *heard) list() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.all)
}

// What is large comes as it was sent and in its order, both ways, whatever the sizes,
// however the transport cuts, and whatever passes between; each message counts once.
func TestPieces(t *testing.T) {
	sizes := []int{0, 100, largeChunk - 2*wire.HeaderSize, largeChunk, largeChunk + 1, largeChunk + farPiece, nearPiece, nearPiece + 1, 3*farPiece - 50, 200_000, 1<<20 + 1, 5000, 3<<20 + 7, 10}
	for slice, piece := range map[int]int{0: nearPiece, 1021: farPiece, 70_000: nearPiece, 3000: wire.MinPiece} {
		t.Run(fmt.Sprint(slice, " ", piece), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var atA, atB heard
				a, b := strangers(Options{Window: wide}, Options{Window: wide})
				a.on, b.on = atA.add, atB.add
				a.pipe.Slice(slice)
				b.pipe.Slice(slice)
				shake(t, a.Conn, b.Conn)
				a.out.piece, b.out.piece = piece, piece
				a.run(t)
				b.run(t)
				var want, replies []string
				for n, size := range sizes {
					body := random(size)
					for _, e := range []*end{a, b} {
						m := request(fmt.Sprint("m", n), 0)
						m.Flags, m.Body = wire.FlagOneWay, body
						mustPost(t, e.Conn, Data, m)
						mustPost(t, e.Conn, Control, &wire.Message{Kind: wire.KindNotify})
					}
					id, err := a.Calls().Add(Note{Caller: &atA, ID: uint64(n)})
					if err != nil {
						t.Fatal(err)
					}
					mustPost(t, b.Conn, Reply, &wire.Message{Kind: wire.KindReply, ID: id, Codec: wire.CodecRaw, Body: body})
					want = append(want, fmt.Sprintf("m%d %d as it was", n, size))
					replies = append(replies, fmt.Sprintf("reply %d %d as it was", n, size))
					a.Flush()
					b.FlushSoon()
				}
				synctest.Wait()
				if got := atB.list(); !slices.Equal(got, want) {
					t.Errorf("one end has %q, want %q", got, want)
				}
				var requests, results []string
				for _, s := range atA.list() {
					if s[0] == 'r' {
						results = append(results, s)
					} else {
						requests = append(requests, s)
					}
				}
				if !slices.Equal(requests, want) || !slices.Equal(results, replies) {
					t.Errorf("the other has %q and %q, want %q and %q", requests, results, want, replies)
				}
				out, in := a.Stats(), b.Stats() // the hello is only sent
				if out.MessagesOut != in.MessagesIn+1 || out.BytesOut != in.BytesIn || out.Queued != [3]int{} {
					t.Errorf("%+v were sent, %+v came", out, in)
				}
				if n, bytes := b.Charged(); n != 0 || bytes != 0 {
					t.Errorf("%d messages, %d bytes are charged", n, bytes)
				}
			})
		})
	}
}

// What is control passes between the pieces of a large message, and replies and data
// take turns.
func TestControlBetweenPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := takesPieces(t, Options{})
		mustPost(t, e.Conn, Data, oneWay("large", 4<<20))
		mustPost(t, e.Conn, Data, oneWay("after", 10))
		mustPost(t, e.Conn, Reply, &wire.Message{Kind: wire.KindReply, ID: 1, Codec: wire.CodecRaw, Body: make([]byte, 1<<20)})
		e.Flush()
		synctest.Wait() // the pipe is full
		mustPost(t, e.Conn, Control, &wire.Message{Kind: wire.KindStop})
		var order []string
		stop := 0
		for len(order) == 0 || order[len(order)-1] != "after" {
			op, b, err := p.frames.Next()
			if err != nil || op != frame.Binary {
				t.Fatal(op, err)
			}
			piece, failed := wire.ParsePiece(b)
			var m wire.Message
			switch {
			case failed == nil && piece.Reply:
				order = append(order, "reply")
			case failed == nil:
				order = append(order, "data")
			case m.Parse(b) != nil:
				t.Fatal(m.Parse(b))
			case m.Kind == wire.KindStop:
				stop = len(order)
				order = append(order, "stop")
			default:
				order = append(order, string(m.Command))
			}
		}
		// What the pipe held, and the piece that was being written.
		if most := DefaultPipe/farPiece + 1; stop == 0 || stop > most {
			t.Errorf("%d pieces passed before control, and %d were under way: %q", stop, most, order)
		}
		turns := slices.DeleteFunc(slices.Clone(order), func(s string) bool { return s == "stop" })
		for i := range 2 * (1 << 20 / farPiece) {
			if want := [2]string{"reply", "data"}[i%2]; turns[i] != want {
				t.Fatalf("frame %d is %s, want %s: %q", i, turns[i], want, turns)
			}
		}
	})
}

// Who has not said that it takes pieces gets none, and may send none.
func TestPiecesNotAgreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := byHand(t, Options{}, wide)
		mustPost(t, e.Conn, Data, oneWay("large", 1<<20))
		e.Flush()
		if l := p.next(); l.kind != wire.KindRequest || l.body != 1<<20 {
			t.Errorf("it is sent %v", l)
		}
		p.bytes(pieceFrame(wire.Piece{First: true, Left: 1 << 20}, make([]byte, farPiece)))
		wantCode(t, e.why(), wire.CodeProtocol)
	})
	// Features that nobody knows are not taken up.
	synctest.Test(t, func(t *testing.T) {
		a, b := strangers(Options{}, Options{})
		said := make(chan *wire.Welcome, 1)
		go func() {
			h := hello(wide)
			h.Features = 12
			w, _ := a.Hello(t.Context(), h)
			said <- w
		}()
		if _, err := b.AwaitHello(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Welcome(welcome(wide)); err != nil {
			t.Fatal(err)
		}
		if w := <-said; w == nil || w.Features != features {
			t.Errorf("welcome with %+v, want the features %d", w, features)
		}
		a.Close(nil)
		b.Close(nil)
	})
}

// pieceFrame is the frame of p with b of its message.
func pieceFrame(p wire.Piece, b []byte) []byte {
	return append(p.Append(frame.AppendBinary(nil, wire.HeaderSize+len(b))), b...)
}

// A message that is posted before the handshake is cut like others.
func TestPiecesOfWhatWasHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at heard
		a, b := strangers(Options{Window: wide}, Options{Window: wide})
		b.on = at.add
		var want []string
		for n, size := range []int{10, 300_000, 20, 1 << 20, 150_000} {
			m := oneWay(fmt.Sprint("m", n), 0)
			m.Body = random(size)
			mustPost(t, a.Conn, Data, m)
			want = append(want, fmt.Sprintf("m%d %d as it was", n, size))
		}
		shake(t, a.Conn, b.Conn)
		a.run(t)
		b.run(t)
		synctest.Wait()
		if got := at.list(); !slices.Equal(got, want) {
			t.Errorf("it has %q, want %q", got, want)
		}
	})
}

// A connection that ends between the pieces of a message never had it: its caller is
// told that it did not start, and of a one-way one its owner is told. Where everything
// but the last piece has been read, too, nothing is heard of it at the other end.
func TestCutBetweenPieces(t *testing.T) {
	for _, oneWays := range []bool{false, true} {
		for read := range 8 {
			synctest.Test(t, func(t *testing.T) {
				var lost []string
				var o outcome
				e, p := takesPieces(t, Options{Lost: func(m *wire.Message) { lost = append(lost, string(m.Command)) }})
				m := request("large", 16*farPiece-100)
				var sent uint64
				if oneWays {
					m.Flags = wire.FlagOneWay
					mustPost(t, e.Conn, Data, m)
				} else {
					id, err := e.Request(m, Note{Caller: &o, ID: 1}, Charge{})
					if err != nil {
						t.Fatal(err)
					}
					note, _ := e.Calls().Peek(id)
					sent = note.Sent
				}
				e.pipe.Slice(1000)
				e.Flush()
				for range read {
					if _, _, err := p.frames.Next(); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				e.pipe.Cut()
				<-e.ran
				if n := e.Account().Written; n != 0 {
					t.Fatalf("%d are said to be written, after %d of 16 pieces", n, read)
				}
				if want := oneWays; want != slices.Equal(lost, []string{"large"}) {
					t.Errorf("after %d pieces %q are lost", read, lost)
				}
				if !oneWays {
					if e.Written(sent) {
						t.Error("it is said to be written")
					}
					if failed := wantCode(t, o.of(t, 1), wire.CodeClosed); failed.Started != wire.StartedNo {
						t.Errorf("after %d pieces: %v, started: %v", read, failed, failed.Started)
					}
				}
				if q := e.Stats().Queued; q != [3]int{} {
					t.Errorf("%v bytes are queued", q)
				}
			})
		}
	}
}

// The same at the end that reads.
func TestReadBetweenPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := takesPieces(t, Options{Window: wide})
		whole := oneWay("large", 4*farPiece).Append(nil)
		for at, left := 0, len(whole); left > farPiece; at, left = at+farPiece, left-farPiece {
			p.bytes(pieceFrame(wire.Piece{First: at == 0, Left: uint64(left)}, whole[at:at+farPiece]))
		}
		synctest.Wait()
		if n, bytes := e.Charged(); n != 1 || bytes != uint64(wire.Cost(len(whole))) {
			t.Errorf("%d messages, %d bytes are charged, want the whole of one", n, bytes)
		}
		_ = p.pipe.Close()
		if err := e.why(); err != io.EOF {
			t.Errorf("it ended with %v", err)
		}
		if got := e.got(); len(got) != 0 {
			t.Errorf("it received %v", got)
		}
	})
}

// What must not be ends the connection, before there is memory for it, with a reason.
func TestBadPieces(t *testing.T) {
	type p = wire.Piece
	const kind, whole = wire.KindRequest, 1 << 20
	begin := func(k wire.Kind, id uint64, n int) []byte {
		m := wire.Message{Kind: k, ID: id}
		return append(m.Append(nil), make([]byte, n-wire.HeaderSize)...)
	}
	first := pieceFrame(p{First: true, Left: whole}, begin(kind, 1, farPiece))
	for _, test := range []struct {
		name   string
		frames [][]byte
	}{
		{"no first one", [][]byte{pieceFrame(p{Left: 100}, make([]byte, 100))}},
		{"no first one of this row", [][]byte{first, pieceFrame(p{Reply: true, Left: whole - farPiece}, make([]byte, farPiece))}},
		{"a second message", [][]byte{first, first}},
		{"another length", [][]byte{first, pieceFrame(p{Left: whole}, make([]byte, farPiece))}},
		{"beyond its length", [][]byte{first, pieceFrame(p{Left: whole - farPiece}, make([]byte, whole-farPiece+1))}},
		{"a first one beyond its length", [][]byte{pieceFrame(p{First: true, Left: 5000}, begin(kind, 1, 5001))}},
		{"length 0", [][]byte{pieceFrame(p{First: true}, nil)}},
		{"length 0 with bytes", [][]byte{pieceFrame(p{First: true}, begin(kind, 1, 100))}},
		{"no bytes", [][]byte{first, pieceFrame(p{Left: whole - farPiece}, nil)}},
		{"tiny", [][]byte{first, pieceFrame(p{Left: whole - farPiece}, make([]byte, wire.MinPiece-1))}},
		{"over the limit", [][]byte{pieceFrame(p{First: true, Left: 16<<20 + 1}, begin(kind, 1, farPiece))}},
		{"over all limits", [][]byte{pieceFrame(p{First: true, Left: wire.MaxID}, begin(kind, 1, farPiece))}},
		{"shorter than a message", [][]byte{pieceFrame(p{First: true, Left: 19}, make([]byte, 19))}},
		{"a stop", [][]byte{pieceFrame(p{First: true, Left: whole}, begin(wire.KindStop, 0, farPiece))}},
		{"a piece in pieces", [][]byte{pieceFrame(p{First: true, Left: whole}, begin(wire.KindPiece, 5, farPiece))}},
		{"a hello", [][]byte{pieceFrame(p{First: true, Left: whole}, begin(wire.KindHello, 1, farPiece))}},
		{"a credit", [][]byte{pieceFrame(p{First: true, Left: whole}, begin(wire.KindCredit, 1, farPiece))}},
		{"a kind of a later version", [][]byte{pieceFrame(p{First: true, Left: whole}, begin(100, 1, farPiece))}},
		{"pickle", [][]byte{pieceFrame(p{First: true, Left: whole}, begin(0x80, 1, farPiece))}},
		{"a request among the replies", [][]byte{pieceFrame(p{First: true, Reply: true, Left: whole}, begin(kind, 1, farPiece))}},
		{"a reply among the requests", [][]byte{pieceFrame(p{First: true, Left: whole}, begin(wire.KindReply, 1, farPiece))}},
		{"a reply never asked for", [][]byte{pieceFrame(p{First: true, Reply: true, Left: whole}, begin(wire.KindReply, 1, farPiece))}},
		{"an id of 2^53", [][]byte{pieceFrame(p{First: true, Left: whole}, begin(kind, wire.MaxID+1, farPiece))}},
		{"names beyond its end", [][]byte{pieceFrame(p{First: true, Left: 40}, append([]byte{3, 0, 0, 255}, make([]byte, 36)...))}},
		{"beyond the window", [][]byte{first, pieceFrame(p{Left: whole - farPiece}, make([]byte, whole-farPiece)), first}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, far := takesPieces(t, Options{Window: wire.Window{Messages: 10, Bytes: 1000}})
				e.on = func(*Conn, *wire.Message) {} // it gives no room back
				go func() { _, _ = far.pipe.Write(bytes.Join(test.frames, nil)) }()
				t.Log(wantCode(t, e.why(), wire.CodeProtocol))
				if held := cap(e.in.pieces.rows[0].b) + cap(e.in.pieces.rows[1].b); held > faith {
					t.Errorf("it holds %d bytes", held)
				}
			})
		})
	}
}

// Who begins a message and says no more makes the other end hold no more than it has
// sent, or 1 MiB, in each row.
func TestPiecesOnFaith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := takesPieces(t, Options{Window: wide})
		var o outcome
		id, err := e.Request(request("ask", 0), Note{Caller: &o, ID: 1}, Charge{})
		if err != nil {
			t.Fatal(err)
		}
		begin := func(k wire.Kind, id uint64) []byte {
			m := wire.Message{Kind: k, ID: id}
			return append(m.Append(nil), make([]byte, farPiece-wire.HeaderSize)...)
		}
		p.bytes(pieceFrame(wire.Piece{First: true, Left: 16 << 20}, begin(wire.KindRequest, 1)))
		p.bytes(pieceFrame(wire.Piece{First: true, Reply: true, Left: 16 << 20}, begin(wire.KindReply, id)))
		synctest.Wait()
		for i := range e.in.pieces.rows {
			if held := cap(e.in.pieces.rows[i].b); held > faith {
				t.Errorf("row %d holds %d bytes for one piece", i, held)
			}
		}
		left := 16<<20 - farPiece
		for range 40 {
			p.bytes(pieceFrame(wire.Piece{Left: uint64(left)}, make([]byte, farPiece)))
			left -= farPiece
		}
		synctest.Wait()
		if held := cap(e.in.pieces.rows[0].b); held > 2*41*farPiece {
			t.Errorf("it holds %d bytes for %d", held, 41*farPiece)
		}
	})
}

// The cancel of a call follows it while that is being written, and passes ahead after.
func TestCancelBehindItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, p := takesPieces(t, Options{})
		var o outcome
		call := func(name string, size int) (uint64, Note) {
			id, err := e.RequestWait(t.Context(), request(name, size), Note{Caller: &o, Command: name}, Later)
			if err != nil {
				t.Fatal(err)
			}
			note, _ := e.Calls().Take(id)
			return id, note
		}
		first, firstNote := call("first", 10)
		e.Flush()
		second, secondNote := call("second", 2<<20)
		e.Flush()
		synctest.Wait()
		for id, note := range map[uint64]Note{first: firstNote, second: secondNote} {
			if err := e.Cancel(id, note); err != nil {
				t.Fatal(err)
			}
		}
		last := uint64(0)
		var order []string
		for len(order) < 4 {
			_, b, err := p.frames.Next()
			if err != nil {
				t.Fatal(err)
			}
			if piece, err := wire.ParsePiece(b); err == nil {
				last = piece.Left - uint64(len(b)-wire.HeaderSize)
				if last == 0 {
					order = append(order, "second")
				}
				continue
			}
			var m wire.Message
			if err := m.Parse(b); err != nil {
				t.Fatal(err)
			}
			if m.Kind == wire.KindCancel {
				order = append(order, map[uint64]string{first: "cancel first", second: "cancel second"}[m.ID])
			} else {
				order = append(order, string(m.Command))
			}
		}
		if want := []string{"first", "cancel first", "second", "cancel second"}; !slices.Equal(order, want) {
			t.Errorf("the order is %q, want %q", order, want)
		}
	})
}

// FuzzPieces: whatever frames come, what is received is what was said whole, piece by
// piece, up to the first that must not be.
func FuzzPieces(f *testing.F) {
	f.Add([]byte{0, 200, 0, 0, 255, 0, 0}, uint16(5000))
	f.Add([]byte{1, 200, 2, 100, 3, 0, 200, 0, 255}, uint16(9000))
	f.Add([]byte{4, 1, 5, 5, 0, 40, 0, 255, 1, 50, 1, 255}, uint16(40_000))
	f.Fuzz(func(t *testing.T, script []byte, size uint16) {
		c := New(nobody{}, Options{Window: wide})
		c.in.pieces.agreed = true
		var o outcome
		id, failed := c.calls.Add(Note{Caller: &o, ID: 1})
		if failed != nil {
			t.Fatal(failed)
		}
		messages := [2][]byte{
			(&wire.Message{Kind: wire.KindRequest, ID: 7, Command: []byte("x"), Body: random(int(size))}).Append(nil),
			(&wire.Message{Kind: wire.KindReply, ID: id, Body: random(int(size))}).Append(nil),
		}
		left := [2]int{}
		done := [2]int{}
		e := &end{Conn: c}
		for len(script) >= 2 {
			row, bad, n := int(script[0]&1), script[0]&6 == 6, int(script[1])<<8|255
			skew := script[0] >> 5
			script = script[2:]
			whole := messages[row]
			first := left[row] == 0
			if first {
				left[row] = len(whole)
			}
			at := len(whole) - left[row]
			n = min(n, left[row])
			p := wire.Piece{First: first, Reply: row == 1, Left: uint64(left[row])}
			good := n == left[row] || n >= wire.MinPiece
			if bad {
				switch skew {
				case 0:
					p.First = !p.First
				case 1:
					p.Left++
				case 2:
					p.Reply = !p.Reply
				default:
					p.Left = 1 << (8 * skew)
				}
				// A first piece may say any length within the limit, of which n are here.
				good = first && p.First && p.Reply == (row == 1) && p.Left <= DefaultMaxMessage && n >= wire.MinPiece
				if !p.First && left[1-row] > 0 && p.Reply != (row == 1) && p.Left == uint64(left[1-row]) {
					return // it happens to be one of the other row
				}
			}
			_, err := e.take(e, nil, frame.Binary, pieceFrame(p, whole[at:at+n])[frame.BinaryHeaderSize(wire.HeaderSize+n):])
			if good != (err == nil) {
				t.Fatalf("%+v with %d bytes, where %d were left: %v", p, n, left[row], err)
			}
			if err != nil {
				wantCode(t, err, wire.CodeProtocol)
				break
			}
			if bad {
				return // what follows does not belong to it
			}
			if left[row] -= n; left[row] == 0 {
				done[row]++
			}
		}
		requests := 0
		for _, l := range e.got() {
			if l.kind != wire.KindRequest || l.body != int(size) {
				t.Fatalf("it received %v", l)
			}
			requests++
		}
		if requests != done[0] || o.len() != min(done[1], 1) {
			t.Fatalf("%d requests and %d results came, of %v", requests, o.len(), done)
		}
	})
}

// nobody is the transport of a Conn that is not run.
type nobody struct{}

func (nobody) Read([]byte) (int, error)       { return 0, io.EOF }
func (nobody) Write(b []byte) (int, error)    { return len(b), nil }
func (nobody) TryWrite(b []byte) (int, error) { return len(b), nil }
func (nobody) Close() error                   { return nil }
func (nobody) Info() Info                     { return Info{} }
