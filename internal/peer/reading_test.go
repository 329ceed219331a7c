package peer

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/internal/wire"
)

var readingSeeds = flag.Uint64("reading-seeds", 6, "how many seeds TestReadingRandomly runs")

// TestReadingRandomly: whatever comes, of whatever size, in pieces or not, in whatever portions, and however much
// memory is left, each request is handled once, in order and undamaged, as far as it was read, and each
// call is answered once; the window is charged with what came; and when all is over nothing is held.
func TestReadingRandomly(t *testing.T) {
	for seed := range *readingSeeds {
		synctest.Test(t, func(t *testing.T) { readRandomly(t, seed) })
		if t.Failed() {
			t.Fatalf("that was seed %d", seed)
		}
	}
}

func readRandomly(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 9))
	window := wire.Window{Messages: 1 << 16, Bytes: 1 << 30}
	budget := NewBudget(8 << 20)
	pa, pb := PipeSize(1 + rnd.IntN(600<<10))
	a, b := &end{Conn: New(pa, Options{Budget: budget, Window: window})}, &end{Conn: New(pb, Options{Window: window})}
	shake(t, b.Conn, a.Conn)
	r := &randomReader{rnd: rand.New(rand.NewPCG(seed, 10))}
	ran := make(chan struct{})
	go func() { defer close(ran); _ = a.Run(r) }()
	b.run(t)
	if rnd.IntN(3) == 0 {
		pb.Slice(1 + rnd.IntN(70_000))
	}
	b.out.piece = []int{0, farPiece, nearPiece, 4096, 1 << 20, 3 << 20}[rnd.IntN(6)]
	kept, calls, want := 0, 0, []uint32(nil)
	for n := range uint32(60) {
		size := []int{0, 10, 300, 3000, 5000, 40_000, 100_000, 200_000, 300_000, 700_000, 1 << 20, 2_500_000}[rnd.IntN(12)] + rnd.IntN(9)
		if rnd.IntN(2) == 0 {
			size = rnd.IntN(50)
		}
		if rnd.IntN(6) == 0 { // others hold more or less from now on
			now := rnd.IntN(9 << 20)
			budget.Keep(now - kept)
			kept = now
		}
		if rnd.IntN(3) == 0 {
			calls++
			id, err := a.Calls().Add(Note{Caller: r, ID: uint64(size)})
			if err != nil {
				t.Fatal(err)
			}
			mustPost(t, b.Conn, Reply, &wire.Message{Kind: wire.KindReply, ID: id, Codec: wire.CodecRaw, Body: random(size)})
		} else {
			m := oneWay("", 0)
			m.Command = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, n), uint32(size))
			m.Body = random(size)
			if rnd.IntN(8) == 0 {
				m.Ext = wire.AppendExt(nil, wire.ExtTrace, random(rnd.IntN(60_000)))
			}
			mustPost(t, b.Conn, Data, m)
			want = append(want, n)
		}
		if rnd.IntN(3) == 0 {
			b.FlushSoon()
		}
		if rnd.IntN(10) == 0 {
			synctest.Wait()
		}
	}
	b.FlushSoon()
	cut := rnd.IntN(4) == 0
	if cut {
		pb.Cut()
	}
	synctest.Wait()
	if r.wrong != "" {
		t.Error(r.wrong)
	}
	for _, ch := range r.charges {
		ch.Return()
	}
	if !cut {
		select {
		case <-ran:
			t.Errorf("it has ended: %v", a.Conn.why())
		default:
		}
		if !slices.Equal(r.seen, want) || r.answered != calls {
			t.Errorf("handled are %d, want %d; %d calls are answered, of %d", r.seen, want, r.answered, calls)
		}
		if n, bytes := a.Charged(); n != 0 || bytes != 0 {
			t.Errorf("%d messages, %d bytes are charged", n, bytes)
		}
		if all, reading := a.Holds(); all != reading {
			t.Errorf("%d bytes are held, and %d for reading", all, reading)
		}
	}
	a.Close(nil)
	b.Close(nil)
	<-ran
	if n := budget.Held(); n != int64(kept) {
		t.Errorf("%d bytes are held, and %d by others", n, kept)
	}
}

// randomReader looks at what it is given, and keeps what that is charged with for a while.
type randomReader struct {
	mu       sync.Mutex
	rnd      *rand.Rand
	seen     []uint32 // the numbers of the requests
	answered int
	charges  []Charge
	wrong    string
}

func (r *randomReader) handle(m *wire.Message, ch Charge, missing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, size := binary.BigEndian.Uint32(m.Command), int(binary.BigEndian.Uint32(m.Command[4:]))
	switch {
	case ch.Cost != wire.Cost(m.Size()+missing):
		r.wrong = fmt.Sprintf("request %d of %d bytes is charged with %d", n, m.Size()+missing, ch.Cost)
	case missing == 0 && len(m.Body) != size, !bytes.Equal(m.Body, random(size)[:len(m.Body)]):
		r.wrong = fmt.Sprintf("request %d of %d bytes has %d, and %d are missing", n, size, len(m.Body), missing)
	}
	r.seen = append(r.seen, n)
	r.charges = append(r.charges, ch)
	for len(r.charges) > 0 && r.rnd.IntN(3) > 0 {
		i := r.rnd.IntN(len(r.charges))
		r.charges[i].Return()
		r.charges = slices.Delete(r.charges, i, i+1)
	}
}

func (r *randomReader) Receive(c *Conn, m *wire.Message) {
	if m.Kind == wire.KindRequest {
		r.handle(m, c.Charge(m), c.Missing())
	}
}

func (r *randomReader) ReceiveRun(_ *Conn, run *Run) bool {
	if r.rnd.IntN(4) == 0 {
		return false
	}
	for i := range run.Messages {
		r.handle(&run.Messages[i], run.Charge(i), 0)
	}
	return true
}

func (r *randomReader) Result(id uint64, m *wire.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answered++; uint64(len(m.Body)) != id || !bytes.Equal(m.Body, random(len(m.Body))) {
		r.wrong = fmt.Sprintf("a result of %d bytes has %d", id, len(m.Body))
	}
}

func (r *randomReader) Failed(_ uint64, e *wire.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answered++; e.Code != wire.CodeOverloaded && e.Code != wire.CodeClosed {
		r.wrong = e.Error()
	}
}

func (r *randomReader) Dry(*Conn)  {}
func (r *randomReader) Beat(*Conn) {}
