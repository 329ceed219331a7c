package arbiter

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
	"github.com/arbiter-go/arbiter/supervise"
)

// repeats is an arbiter with a pool of two, whose calls are looked at from within.
type repeats struct {
	t      *testing.T
	arb    *Arbiter
	ctx    context.Context
	began  chan int           // the attempts that the pool's handlers began
	answer chan struct{}      // closed: they answer
	given  context.CancelFunc // ends the call to the pool that the last asker made
}

var (
	poolLook = actor.NewCommand[actor.None, int]("look", actor.Idempotent())
	askPool  = actor.NewCommand[actor.None, int]("ask")
	relayAsk = actor.NewCommand[actor.Ref, int]("relay")
)

// newRepeats starts it, in a bubble of synctest. What a worker's inbox holds is bounded by room.
func newRepeats(t *testing.T, room actor.Limits) *repeats {
	r := &repeats{t: t, began: make(chan int, 16), answer: make(chan struct{})}
	worker := &actor.Kind[struct{}]{Name: "worker", Mode: actor.Interleaved, Inbox: room, Handlers: []actor.Handler[struct{}]{
		actor.Handle(relayAsk, func(_ struct{}, ctx context.Context, to actor.Ref) (int, error) {
			return askPool.Call(ctx, to, actor.None{})
		}),
		actor.Handle(poolLook, func(_ struct{}, ctx context.Context, _ actor.None) (int, error) {
			answer := r.answer
			r.began <- actor.Attempt(ctx)
			select {
			case <-answer:
			case <-ctx.Done():
			}
			return actor.Attempt(ctx), ctx.Err()
		})}}
	arb, err := Start(context.Background(), Options{Name: "test", Kinds: []actor.Behaviour{worker}, Output: io.Discard, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = arb.Stop(context.Background()) })
	r.arb = arb
	ctx, cancel := context.WithTimeout(arb.Context(context.Background()), time.Minute)
	t.Cleanup(cancel)
	r.ctx = ctx
	policy := supervise.Policy{MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond, MaxCrashes: -1}
	if _, err := arb.Pool(ctx, worker, actor.PoolArgs{Name: "pool", Workers: 2, Worker: actor.SpawnArgs{Restart: &policy}}); err != nil {
		t.Fatal(err)
	}
	r.settle()
	return r
}

// settle waits until both workers run.
func (r *repeats) settle() {
	r.until("both run", func() bool {
		for _, name := range []string{"pool/1", "pool/2"} {
			if i := r.arb.registry.get(name); i == nil || !i.readyNow() || i.leaves() || i.calls().Ended() {
				return false
			}
		}
		return true
	})
}

// until waits until ok holds, in virtual time.
func (r *repeats) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("not so after 20 s: %s", what)
		}
	}
}

// begins waits until a handler of the pool begins, and returns which attempt it is.
func (r *repeats) begins() (attempt int) {
	r.t.Helper()
	select {
	case attempt = <-r.began:
	case <-r.ctx.Done():
		r.t.Fatal("no handler began")
	}
	return attempt
}

// askers are an actor of this process and one elsewhere, which ask the pool in their
// handlers.
func (r *repeats) askers(mode actor.Mode) map[string]actor.Ref {
	asker := &actor.Kind[struct{}]{Name: "asker", Mode: mode, Handlers: []actor.Handler[struct{}]{
		actor.Handle(askPool, func(_ struct{}, ctx context.Context, _ actor.None) (int, error) {
			ctx, r.given = context.WithCancel(ctx)
			return poolLook.Call(ctx, actor.To("pool"), actor.None{})
		})}}
	here, err := r.arb.Spawn(r.ctx, asker)
	if err != nil {
		r.t.Fatal(err)
	}
	ours, theirs := peer.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		r.arb.ServeConn(theirs)
	}()
	m := actor.NewMember("", asker, actor.JoinOptions{Logger: slog.New(slog.DiscardHandler)}.Over(ours))
	elsewhere, err := m.Ref(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = m.Close()
		<-served
	})
	return map[string]actor.Ref{"here": here, "elsewhere": elsewhere}
}

// inFlight returns the worker that has the one call to the pool, and what is noted of it.
func (r *repeats) inFlight() (on *incarnation, again *repeat) {
	for _, name := range []string{"pool/1", "pool/2"} {
		on := r.arb.registry.get(name)
		on.calls().Each(func(_ uint64, n peer.Note) { again, _ = n.Caller.(*repeat) })
		if again != nil {
			return on, again
		}
	}
	r.t.Fatal("no worker has the call")
	return nil, nil
}

// edges returns how many waits the arbiter knows of who.
func (r *repeats) edges(who actor.Ref) int {
	i := r.arb.registry.get(who.AID)
	r.arb.waits.mu.Lock()
	defer r.arb.waits.mu.Unlock()
	return len(i.waitsFor)
}

// kill ends who has the call.
func (r *repeats) kill(on *incarnation) {
	if _, err := r.arb.Kill(r.ctx, actor.To(on.aid)); err != nil {
		r.t.Error(err)
	}
}

// TestRepeatWaits: a call that was made again leaves no wait behind, in any mode; the caller
// that keeps its turn waits for the second worker meanwhile.
func TestRepeatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, mode := range []actor.Mode{actor.Serial, actor.Interleaved, actor.Concurrent(4)} {
			r := newRepeats(t, actor.Limits{})
			for where, who := range r.askers(mode) {
				r.answer = make(chan struct{})
				p := askPool.Start(r.ctx, who, actor.None{})
				r.begins()
				on, _ := r.inFlight()
				r.kill(on)
				if n := r.begins(); n != 2 {
					t.Errorf("%v, %s: attempt %d", mode, where, n)
				}
				want := 0
				if mode == actor.Serial {
					want = 1
				}
				if n := r.edges(who); n != want {
					t.Errorf("%v, %s: %d waits while it is with the second, want %d", mode, where, n, want)
				}
				close(r.answer)
				if n, err := p.Wait(); n != 2 || err != nil {
					t.Errorf("%v, %s: %d, %v", mode, where, n, err)
				}
				r.until("no wait is left", func() bool { return r.edges(who) == 0 || t.Failed() })
				r.settle()
			}
		}
	})
}

// TestRepeatGivenUp: a call that is given up while it is being made again leaves no wait
// behind, and nobody works on it: whether that is before it is sent or just after.
func TestRepeatGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, sent := range []bool{false, true} {
			r := newRepeats(t, actor.Limits{})
			for where, who := range r.askers(actor.Serial) {
				p := askPool.Start(r.ctx, who, actor.None{})
				r.begins()
				on, again := r.inFlight()
				send := again.again
				again.again = func(to *incarnation, note peer.Note) (id uint64, err *wire.Error) {
					if sent {
						id, err = send(to, note)
					}
					r.given()
					r.until("it is given up", again.isOver)
					if !sent {
						id, err = send(to, note)
					}
					return id, err
				}
				r.kill(on)
				if _, err := p.Wait(); err == nil {
					t.Errorf("%s: it was answered", where)
				}
				r.until("no worker has it", func() bool {
					for _, name := range []string{"pool/1", "pool/2"} {
						if i := r.arb.registry.get(name); i == nil || i.calls().Len() > 0 {
							return false
						}
					}
					return true
				})
				if n := r.edges(who); n != 0 {
					t.Errorf("given up, sent %v, %s: %d waits are left", sent, where, n)
				}
				for len(r.began) > 0 {
					<-r.began
				}
				r.settle()
			}
		}
	})
}

// TestRepeatAnsweredAtOnce: the second answer finds the road from the second worker, however
// early it comes: by the first one nobody would flush it.
func TestRepeatAnsweredAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRepeats(t, actor.Limits{})
		who := r.askers(actor.Serial)["elsewhere"]
		p := askPool.Start(r.ctx, who, actor.None{})
		r.begins()
		on, again := r.inFlight()
		send := again.again
		again.again = func(to *incarnation, note peer.Note) (uint64, *wire.Error) {
			id, err := send(to, note)
			again.mu.Lock()
			if l, ok := again.caller.(*link); !ok || l.to != to {
				t.Errorf("it was sent to %s, and is answered by %v", to.label(), again.caller)
			}
			again.mu.Unlock()
			return id, err
		}
		r.kill(on)
		r.begins()
		close(r.answer)
		if n, err := p.Wait(); n != 2 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// TestRepeatRefused: a call that a worker refuses because it is just ending goes to another
// one, as one that it had does.
func TestRepeatRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRepeats(t, actor.Limits{})
		close(r.answer)
		ending := r.arb.registry.get("pool/1")
		ending.calls().End(func(n peer.Note) *wire.Error { return ending.downError(&wire.Death{Cause: wire.CauseKilled}, n) })
		for where, who := range r.askers(actor.Serial) {
			again := 0
			for range 6 {
				n, err := askPool.Call(r.ctx, who, actor.None{})
				if err != nil {
					t.Fatalf("%s: %v", where, err)
				}
				r.begins()
				if n == 2 {
					again++
				}
			}
			if again == 0 {
				t.Errorf("%s: none was refused: nothing was shown", where)
			}
			if n := r.edges(who); n != 0 {
				t.Errorf("%s: %d waits are left", where, n)
			}
		}
		if a := r.arb.account(); !a.Balanced() {
			t.Errorf("the account: %v", a)
		}
	})
}

// TestRepeatChained: a second worker that waits for the very call is given it as one that may
// exceed its room, though the first one was not.
func TestRepeatChained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRepeats(t, actor.Limits{Messages: 1})
		for where, who := range r.askers(actor.Serial) {
			r.answer = make(chan struct{})
			p := relayAsk.Start(r.ctx, actor.To("pool/2"), who)
			r.begins()
			on, _ := r.inFlight()
			if on.label() != "pool/1" {
				t.Fatalf("%s: %s has it, which is not idle", where, on.label())
			}
			r.kill(on)
			close(r.answer)
			if n, err := p.Wait(); n != 2 || err != nil {
				t.Fatalf("%s: %d, %v", where, n, err)
			}
			r.begins()
			r.settle()
		}
	})
}
