package arbiter_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/supervise"
)

// A keeper keeps what it is sent, and writes into it, as its own. With what it was given
// first of all it may be told to die.
type keeper struct {
	mark byte
	kept [][]byte
}

// keeps is what a keeper says of what it was sent.
type keeps struct {
	First bool // it was as its sender had it
	Kept  int  // how many it has, all of which are as it has left them
}

var (
	Mark   = actor.NewCommand[[]byte, keeps]("mark", actor.Idempotent())
	Pile   = actor.NewCommand[[]byte, actor.None]("pile", actor.NoAck())
	Hand   = actor.NewCommand[byte, []byte]("hand")
	Keeper = &actor.Kind[*keeper]{Name: "keeper",
		New: func(ctx context.Context) (*keeper, error) {
			self, _ := actor.Current(ctx)
			return &keeper{mark: self.Ref().AID[0] | 0x80}, nil
		},
		Handlers: []actor.Handler[*keeper]{
			actor.Handle(Mark, func(h *keeper, ctx context.Context, b []byte) (keeps, error) {
				as := h.keep(b)
				if len(b) > 0 && b[len(b)-1] == 'd' && actor.Attempt(ctx) == 1 {
					panic("as asked")
				}
				return as, h.look()
			}),
			actor.On(Pile, func(h *keeper, _ context.Context, b []byte) error {
				if !h.keep(b).First {
					panic("somebody else has written into it")
				}
				return h.look()
			}),
			actor.Handle(Hand, func(_ *keeper, _ context.Context, c byte) ([]byte, error) {
				return bytes.Repeat([]byte{c}, large), nil
			}),
		},
	}
)

// large is how large what is kept is: it goes in pieces.
const large = 700 << 10

// keep keeps b but for its last byte, which says what is to be done, and marks it.
func (h *keeper) keep(b []byte) keeps {
	body := b[:len(b)-1]
	first := bytes.Equal(body, bytes.Repeat([]byte{'x'}, len(body)))
	for i := range body {
		body[i] = h.mark
	}
	h.kept = append(h.kept, body)
	return keeps{first, len(h.kept)}
}

// look says whether what was kept is still as it was left.
func (h *keeper) look() error {
	for i, b := range h.kept {
		if !bytes.Equal(b, bytes.Repeat([]byte{h.mark}, len(b))) {
			return fmt.Errorf("what was kept at %d of %d has changed", i, len(h.kept))
		}
	}
	return nil
}

// TestBodiesAreOnesOwn: a handler may keep a []byte that came to it over a connection, and write into it,
// however large: no other message comes into its memory, no other worker has the same, and
// what is asked again is asked with what was sent.
func TestBodiesAreOnesOwn(t *testing.T) {
	sent := func(end byte) []byte { return append(bytes.Repeat([]byte{'x'}, large), end) }
	for _, in := range []string{"goroutine", "process"} {
		w := newWorld(t, func(o *arbiter.Options) { o.Kinds = append(o.Kinds, Keeper) })
		policy := supervise.Policy{MaxCrashes: -1}
		pool, err := w.arb.Pool(w.ctx, Keeper, actor.PoolArgs{Name: "keepers", Workers: 3, Worker: actor.SpawnArgs{In: in, Restart: &policy}})
		if err != nil {
			t.Fatal(err)
		}
		for from, ctx := range callersOf(w) {
			if in == "goroutine" && from == "arbiter" {
				continue // within a process nothing is copied, unless it is Strict
			}
			for range 3 {
				if err := Pile.Send(ctx, actor.To("keepers/*"), sent('.')); err != nil {
					t.Fatal(err)
				}
			}
			for n := range 3 {
				to := actor.To(fmt.Sprintf("keepers/%d", n+1))
				if h, err := Mark.Call(ctx, to, sent('.')); err != nil || !h.First || h.Kept < 4 {
					t.Errorf("%s from %s: %+v, %v", in, from, h, err)
				}
			}
			if h, err := Mark.Call(ctx, pool, sent('d')); err != nil || !h.First {
				t.Errorf("%s from %s: asked again: %+v, %v", in, from, h, err)
			}
			var handed [4][]byte
			for i := range handed {
				b, err := Hand.Call(ctx, pool, byte('a'+i))
				if err != nil {
					t.Fatal(err)
				}
				handed[i] = b
			}
			for i, b := range handed {
				if !bytes.Equal(b, bytes.Repeat([]byte{byte('a' + i)}, large)) {
					t.Errorf("%s from %s: result %d has changed", in, from, i)
				}
			}
		}
	}
}

// late is bytes of which is known when they are read to be sent.
type late struct {
	b    []byte
	sent *atomic.Bool // by then they are their sender's again
	read *atomic.Bool // afterwards
}

// MarshalCBOR is called by who encodes it.
func (l late) MarshalCBOR() ([]byte, error) {
	if l.sent.Load() {
		l.read.Store(true)
	}
	return append([]byte{0x59, byte(len(l.b) >> 8), byte(len(l.b))}, l.b...), nil
}

// TestIdempotentIsCopied: what a pool sends once more, to a process, is not read from its sender's
// memory again: that one may have given the call up, and use it for something else.
func TestIdempotentIsCopied(t *testing.T) {
	w := newWorld(t)
	pool, err := w.arb.Pool(w.ctx, Keeper, actor.PoolArgs{Name: "keepers", Workers: 2, Worker: actor.SpawnArgs{In: "process", Restart: &supervise.Policy{}}})
	if err != nil {
		t.Fatal(err)
	}
	var sent, read atomic.Bool
	mark := actor.NewCommand[late, keeps]("mark", actor.Idempotent())
	p := mark.Start(w.ctx, pool, late{append(bytes.Repeat([]byte{'x'}, 300), 'd'), &sent, &read})
	sent.Store(true)
	if k, err := p.Wait(); err != nil || !k.First {
		t.Errorf("the second attempt: %+v, %v", k, err)
	}
	if read.Load() {
		t.Error("the argument was read again after the call was made")
	}
}

// TestLentIsAskedAgain: what is asked again of a worker that keeps nothing is what was sent, though
// the first had what it lay in, and its reader goes on with that.
func TestLentIsAskedAgain(t *testing.T) {
	look := actor.NewCommand[[]byte, bool]("look", actor.Idempotent())
	kind := &actor.Kind[actor.None]{Name: "looker", Handlers: []actor.Handler[actor.None]{
		actor.Handle(look, func(_ actor.None, ctx context.Context, b []byte) (bool, error) {
			if actor.Attempt(ctx) == 1 && b[0]%4 == 0 {
				panic("as asked")
			}
			return bytes.Count(b, b[:1]) == len(b), nil
		}, actor.Lent()),
	}}
	w := newWorld(t, func(o *arbiter.Options) { o.Kinds = append(o.Kinds, kind) })
	pool := poolOf(w, kind, "goroutine")
	ctx := w.member(w.address("unix:"), Caller, actor.JoinOptions{}).Context(w.ctx)
	var all sync.WaitGroup
	var went atomic.Int64
	const callers, calls = 12, 20
	for g := range callers {
		all.Go(func() {
			for n := range calls {
				// A worker that dies a second time takes the call with it.
				switch same, err := look.Call(ctx, pool, bytes.Repeat([]byte{byte(g*calls + n)}, 300_000+n*1000)); {
				case err == nil && !same:
					t.Errorf("number %d of %d has come with other bytes", n, g)
				case err == nil:
					went.Add(1)
				case !errors.Is(err, actor.ErrDown):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := went.Load(); n < callers*calls/2 {
		t.Errorf("%d of %d have an answer", n, callers*calls)
	}
}
