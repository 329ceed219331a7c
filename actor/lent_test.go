package actor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/arbiter-go/arbiter/actor"
)

// filled returns n bytes of text, as few other messages have them.
func filled(n, with int) []byte {
	b := bytes.Repeat([]byte{'a' + byte(with%26)}, n)
	copy(b, fmt.Sprint(with))
	return b
}

// What is lent to a handler is its own until it returns, whatever else comes meanwhile, of
// every size, in every mode; what it returns of it arrives.
func TestLent(t *testing.T) {
	sizes := []int{0, 1, 60, 1 << 10, 1<<10 + 1, 4 << 10, 5 << 10, 9 << 10, 9<<10 + 1, 16 << 10, 100 << 10}
	for _, mode := range []actor.Mode{actor.Serial, actor.Interleaved, actor.Concurrent(4)} {
		everywhere(t, func(w *world) {
			ask := actor.NewCommand[[]byte, []byte]("ask")
			tell := actor.NewCommand[[]byte, none]("tell")
			var mu sync.Mutex
			told := make(map[string]int)
			s := w.put(&actor.Kind[none]{Name: "borrower", Mode: mode, Inbox: actor.Limits{Bytes: 64 << 20}, Handlers: []actor.Handler[none]{
				actor.Handle(ask, func(_ none, _ context.Context, b []byte) ([]byte, error) {
					before := bytes.Clone(b)
					for range 10 {
						runtime.Gosched()
					}
					if !bytes.Equal(b, before) {
						return nil, fmt.Errorf("its argument changed while it was at work")
					}
					return b, nil
				}, actor.Lent()),
				actor.On(tell, func(_ none, _ context.Context, b []byte) error {
					mu.Lock()
					defer mu.Unlock()
					told[string(b)]++
					return nil
				}, actor.Lent()),
			}})
			for _, size := range sizes {
				var asks []*actor.Pending[[]byte]
				for n := range 20 {
					asks = append(asks, ask.Start(w.ctx, s, filled(size, n)))
					if err := tell.Send(w.ctx, s, filled(size, n)); err != nil {
						w.t.Fatal(err)
					}
				}
				for n, p := range asks {
					if got, err := p.Wait(); err != nil || !bytes.Equal(got, filled(size, n)) {
						w.t.Fatalf("%d bytes came back as %d, %.20q, %v", size, len(got), got, err)
					}
				}
			}
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, size := range sizes {
				for n := range 20 {
					if told[string(filled(size, n))] == 0 {
						w.t.Errorf("message %d of %d bytes came as another", n, size)
					}
				}
			}
		})
	}
}

// Only a []byte can be lent: of anything else the handler would have a copy, and might think it
// had none.
func TestLentIsRefused(t *testing.T) {
	type image []byte
	for what, h := range map[string]actor.Handler[none]{
		"string":           actor.On(actor.NewCommand[string, none]("put"), func(none, context.Context, string) error { return nil }, actor.Lent()),
		"actor_test.image": actor.On(actor.NewCommand[image, none]("put"), func(none, context.Context, image) error { return nil }, actor.Lent()),
		"actor.None":       actor.Handle(actor.NewCommand[none, int]("put"), func(none, context.Context, none) (int, error) { return 0, nil }, actor.Lent()),
	} {
		_, err := (&actor.Kind[none]{Name: "borrower", Handlers: []actor.Handler[none]{h}}).Spec()
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), `"borrower"`) || !strings.Contains(err.Error(), `"put"`) {
			t.Errorf("a %s that is lent: %v", what, err)
		}
	}
}

// A handler that its actor's end finds at work has what was lent to it until it returns, though
// others of its kind handle messages meanwhile.
func TestLentAfterTheEnd(t *testing.T) {
	for _, size := range []int{100, 10 << 10} {
		everywhere(t, func(w *world) {
			hold := actor.NewCommand[[]byte, none]("hold")
			pass := actor.NewCommand[[]byte, none]("pass")
			begun, release, verdict := make(chan none), make(chan none), make(chan bool, 1)
			kind := &actor.Kind[none]{Name: "borrower", Handlers: []actor.Handler[none]{
				actor.On(hold, func(_ none, _ context.Context, b []byte) error {
					close(begun)
					<-release
					verdict <- bytes.Equal(b, filled(size, 7))
					return nil
				}, actor.Lent()),
				actor.On(pass, func(none, context.Context, []byte) error { return nil }, actor.Lent()),
			}}
			first, second := w.put(kind), w.put(kind)
			held := hold.Start(w.ctx, first, filled(size, 7))
			<-begun
			if err := actor.KillActor.Send(w.Context(), actor.Arbiter, first); err != nil {
				w.t.Fatal(err)
			}
			if _, err := held.Wait(); err == nil {
				w.t.Error("the call of who was killed has a result")
			}
			for n := range 50 {
				if _, err := pass.Call(w.ctx, second, filled(size, n)); err != nil {
					w.t.Fatal(err)
				}
			}
			close(release)
			if !<-verdict {
				w.t.Errorf("%d bytes changed while their handler was at work", size)
			}
		})
	}
}

// A result that is lent is whole until use returns, and one that is not stays as it was, whatever
// else is called meanwhile in the same context, of every size.
func TestCallLent(t *testing.T) {
	everywhere(t, func(w *world) {
		ask := actor.NewCommand[[]byte, []byte]("ask")
		spell := actor.NewCommand[[]byte, string]("spell")
		count := actor.NewCommand[[]byte, int]("count")
		s := w.put(&actor.Kind[none]{Name: "lender", Inbox: actor.Limits{Bytes: 64 << 20}, Handlers: []actor.Handler[none]{
			actor.Handle(ask, func(_ none, _ context.Context, b []byte) ([]byte, error) { return b, nil }, actor.Lent()),
			actor.Handle(spell, func(_ none, _ context.Context, b []byte) (string, error) { return string(b), nil }, actor.Lent()),
			actor.Handle(count, func(_ none, _ context.Context, b []byte) (int, error) { return len(b), nil }, actor.Lent()),
		}})
		var group sync.WaitGroup
		for n := range 8 {
			group.Go(func() {
				type pair struct{ got, want []byte }
				var kept []pair
				var texts []string
				for round := range 12 {
					size := []int{0, 10, 60, 4 << 10, 5 << 10, 40 << 10}[(n+round)%6]
					with := n*100 + round
					b := filled(size, with)
					got, err := ask.Call(w.ctx, s, b)
					if err != nil || !bytes.Equal(got, b) {
						w.t.Errorf("%d bytes came back as %.20q, %v", size, got, err)
					}
					kept = append(kept, pair{got, filled(size, with)})
					err = spell.CallLent(w.ctx, s, b, func(out string) error { texts = append(texts, out); return nil })
					if err != nil || len(texts) != round+1 || texts[round] != string(b) {
						w.t.Errorf("a text of %d bytes: %v", size, err)
					}
					if got, err := count.Call(w.ctx, s, b); err != nil || got != size {
						w.t.Errorf("%d bytes are %d, %v", size, got, err)
					}
					called := 0
					err = ask.CallLent(w.ctx, s, b, func(out []byte) error {
						called++
						for range 10 {
							runtime.Gosched()
						}
						if !bytes.Equal(out, b) {
							w.t.Errorf("%d bytes were lent as %.20q", size, out)
						}
						return nil
					})
					if err != nil || called != 1 {
						w.t.Errorf("use was called %d times, %v", called, err)
					}
				}
				for i, p := range kept {
					if !bytes.Equal(p.got, p.want) || texts[i] != string(p.want) {
						w.t.Errorf("a result that was kept became %.20q, %.20q, and was %.20q", p.got, texts[i], p.want)
					}
				}
			})
		}
		group.Wait()
	})
}

// An error of use is the caller's; of a call that failed, and of one without a result, there is
// nothing to use.
func TestCallLentFails(t *testing.T) {
	everywhere(t, func(w *world) {
		ask := actor.NewCommand[[]byte, []byte]("ask")
		number := actor.NewCommand[[]byte, int]("ask")
		tell := actor.NewCommand[[]byte, none]("tell", actor.NoAck())
		failed := errors.New("no room on the disk")
		s := w.put(&actor.Kind[none]{Name: "lender", Handlers: []actor.Handler[none]{
			actor.Handle(ask, func(_ none, _ context.Context, b []byte) ([]byte, error) {
				if len(b) == 0 {
					return nil, failed
				}
				return b, nil
			}),
			actor.On(tell, func(none, context.Context, []byte) error { return nil }),
		}})
		never := func(what string) func([]byte) error {
			return func([]byte) error { w.t.Errorf("%s: use was called", what); return nil }
		}
		if err := ask.CallLent(w.ctx, s, []byte("b"), func([]byte) error { return failed }); err != failed {
			w.t.Errorf("the error of use became %v", err)
		}
		err := ask.CallLent(w.ctx, s, nil, never("the handler's error"))
		var e *actor.Error
		if !errors.As(err, &e) || e.Started != actor.StartedYes || !strings.Contains(err.Error(), failed.Error()) {
			w.t.Errorf("the handler's error became %v", err)
		}
		err = ask.CallLent(w.ctx, actor.To("nobody"), nil, never("nobody"))
		want(w.t, "nobody", err, actor.ErrUnknownActor, actor.StartedNo)
		err = number.CallLent(w.ctx, s, []byte("b"), func(int) error { w.t.Error("use has a result that does not fit"); return nil })
		want(w.t, "a result that does not fit", err, actor.ErrInvalid, actor.StartedYes, "result does not fit")
		if err := tell.CallLent(w.ctx, s, []byte("b"), func(none) error { w.t.Error("use has a result of a command without"); return nil }); err != nil {
			w.t.Error(err)
		}
		synctest.Wait()
	})
}
