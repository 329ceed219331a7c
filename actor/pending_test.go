package actor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/arbitertest"
)

// The outcome is the same however often, and from wherever, it is waited for.
func TestWaitTwice(t *testing.T) {
	everywhere(t, func(w *world) {
		g := newGate()
		s := w.put(&actor.Kind[none]{Name: "slow", Handlers: []actor.Handler[none]{g.handler(), blow}})
		p := Take.Start(w.ctx, s, 7)
		var waiting sync.WaitGroup
		for range 5 {
			waiting.Go(func() {
				if n, err := p.Wait(); n != 7 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		synctest.Wait()
		select {
		case <-p.Done():
			w.t.Error("it is done before its handler is")
		default:
		}
		close(g.open[7])
		waiting.Wait()
		<-p.Done()
		p.Cancel() // too late
		if n, err := p.Wait(); n != 7 || err != nil {
			w.t.Errorf("once more: %d, %v", n, err)
		}

		failed := Blow.Start(w.ctx, s, "bang")
		_, first := failed.Wait()
		failed.Cancel()
		_, second := failed.Wait()
		wantDown(w.t, "first", first, actor.CausePanic)
		if first.Error() != second.Error() {
			w.t.Errorf("first %v, then %v", first, second)
		}
	})
}

// A call that was given up is over at once for everybody who waits, and its
// handler's context ends; that the handler goes on harms nobody.
func TestCancelRunning(t *testing.T) {
	everywhere(t, func(w *world) {
		ended := &journal{}
		kind := &actor.Kind[none]{Name: "stubborn", Handlers: []actor.Handler[none]{
			actor.Handle(Take, func(_ none, ctx context.Context, n int) (int, error) {
				<-ctx.Done()
				ended.add(ctx.Err().Error())
				time.Sleep(time.Minute) // it does not care
				return n, nil
			}),
		}}
		s := w.put(kind)
		p := Take.Start(w.ctx, s, 1)
		var waiting sync.WaitGroup
		for range 3 {
			waiting.Go(func() {
				_, err := p.Wait()
				want(t, "canceled", err, actor.ErrCanceled, actor.StartedUnknown)
				if !errors.Is(err, context.Canceled) {
					t.Errorf("%v is not context.Canceled", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		p.Cancel()
		p.Cancel()
		waiting.Wait()
		if took := time.Since(began); took != 0 {
			w.t.Errorf("it was told after %v", took)
		}
		synctest.Wait()
		ended.want(w.t, "the handler's context", "context canceled")
		if v, err := actor.Echo.Call(w.within(2*time.Minute), s, 1); fmt.Sprint(v) != "1" || err != nil {
			w.t.Errorf("the next one: %v, %v", v, err)
		}
		if took := time.Since(began); took != time.Minute {
			w.t.Errorf("the next one began after %v", took)
		}
	})
}

// A call that is given up while it waits in the inbox never starts, and takes no
// room any longer.
func TestCancelQueued(t *testing.T) {
	everywhere(t, func(w *world) {
		g := newGate()
		s := w.put(&actor.Kind[none]{Name: "slow", Handlers: []actor.Handler[none]{g.handler()}})
		first, second, third := Take.Start(w.ctx, s, 0), Take.Start(w.ctx, s, 1), Take.Start(w.ctx, s, 2)
		synctest.Wait()
		second.Cancel()
		_, err := second.Wait()
		want(w.t, "canceled", err, actor.ErrCanceled, actor.StartedUnknown)
		synctest.Wait()
		if info, err := actor.GetInfo.Call(w.ctx, s, none{}); info.Inbox != 1 || err != nil {
			w.t.Errorf("%d wait, %v", info.Inbox, err)
		}
		close(g.open[0])
		close(g.open[2])
		for _, p := range []*actor.Pending[int]{first, third} {
			if _, err := p.Wait(); err != nil {
				w.t.Error(err)
			}
		}
		g.want(w.t, "began", "0", "2")
	})
}

// Room that a canceled message gives back is there for who waits for room.
func TestCancelMakesRoom(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		g := newGate()
		s := a.Spawn(&actor.Kind[none]{Name: "slow", Inbox: actor.Limits{Messages: 2}, Handlers: []actor.Handler[none]{g.handler()}})
		first, second := Take.Start(a.Context(), s, 0), Take.Start(a.Context(), s, 1)
		synctest.Wait()
		sent := make(chan error, 1)
		go func() { sent <- Take.Send(a.Context(), s, 2) }()
		synctest.Wait()
		if len(sent) != 0 {
			t.Fatalf("there was room: %v", <-sent)
		}
		second.Cancel()
		synctest.Wait()
		select {
		case err := <-sent:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("there is room, and nobody told who waits for it")
		}
		close(g.open[0])
		close(g.open[2])
		if _, err := first.Wait(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		g.want(t, "began", "0", "2")
	})
}

// A call ends when the ctx it was started in does, whether or not somebody waits.
func TestStartContextEnds(t *testing.T) {
	everywhere(t, func(w *world) {
		ended := &journal{}
		s := w.put(&actor.Kind[none]{Name: "blocks", Mode: actor.Concurrent(4), Handlers: []actor.Handler[none]{
			actor.Handle(Block, func(_ none, ctx context.Context, _ none) (none, error) {
				<-ctx.Done()
				ended.add(ctx.Err().Error())
				return none{}, ctx.Err()
			}),
		}})
		ctx, cancel := context.WithCancel(w.ctx)
		p := Block.Start(ctx, s, none{})
		synctest.Wait()
		began := time.Now()
		cancel()
		<-p.Done()
		if took := time.Since(began); took != 0 {
			w.t.Errorf("it was over %v after its context", took)
		}
		_, err := p.Wait()
		want(w.t, "canceled", err, actor.ErrCanceled, actor.StartedUnknown)

		unwatched, cancel := context.WithCancel(w.ctx)
		Block.Start(unwatched, s, none{})
		synctest.Wait()
		cancel()
		synctest.Wait()
		ended.want(w.t, "the handlers", "context canceled", "context canceled")

		if _, err := Block.Start(unwatched, s, none{}).Wait(); !errors.Is(err, actor.ErrCanceled) {
			w.t.Errorf("in a context that is over: %v", err)
		} else {
			want(w.t, "in a context that is over", err, actor.ErrCanceled, actor.StartedNo)
		}
		want(w.t, "send in a context that is over", actor.Send(unwatched, s, "block"), actor.ErrCanceled, actor.StartedNo)
	})
}

// The calls a handler has started and not waited for end with it.
func TestCallsEndWithHandler(t *testing.T) {
	everywhere(t, func(w *world) {
		ended := &journal{}
		far := w.put(&actor.Kind[none]{Name: "far", Mode: actor.Concurrent(2), Handlers: []actor.Handler[none]{
			actor.Handle(Block, func(_ none, ctx context.Context, _ none) (none, error) {
				<-ctx.Done()
				ended.add("over")
				return none{}, ctx.Err()
			}),
		}})
		var left []*actor.Pending[none]
		s := w.put(doer("starter", func(ctx context.Context, _ int) error {
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			_ = cancel // the handler's context ends it
			left = append(left, Block.Start(ctx, far, none{}), Block.Start(derived, far, none{}))
			time.Sleep(time.Second)
			return nil
		}))
		if _, err := Do.Call(w.ctx, s, 0); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		ended.want(w.t, "the calls it left", "over", "over")
		for _, p := range left {
			select {
			case <-p.Done():
			default:
				w.t.Error("a call goes on after its handler")
			}
			_, err := p.Wait()
			want(w.t, "afterwards", err, actor.ErrCanceled, actor.StartedUnknown)
		}
	})
}

// The deadline is told when it is due, whatever the handler does; the handler sees
// it, what it returns later is dropped, and work that is late does not start.
func TestDeadline(t *testing.T) {
	everywhere(t, func(w *world) {
		saw := &journal{}
		s := w.put(&actor.Kind[none]{Name: "late", Handlers: []actor.Handler[none]{
			actor.Handle(Take, func(_ none, ctx context.Context, n int) (int, error) {
				d, _ := ctx.Deadline()
				saw.add(fmt.Sprintf("%d has %v", n, time.Until(d)))
				time.Sleep(3 * time.Second)
				if errors.Is(ctx.Err(), context.DeadlineExceeded) {
					saw.add(fmt.Sprintf("%d is late", n))
				}
				return n, nil
			}),
		}})
		began := time.Now()
		late, behind, last := Take.Start(w.within(time.Second), s, 1), Take.Start(w.within(2*time.Second), s, 2), Take.Start(w.within(10*time.Second), s, 3)
		for n, p := range []*actor.Pending[int]{late, behind} {
			_, err := p.Wait()
			if !errors.Is(err, actor.ErrDeadline) || !errors.Is(err, context.DeadlineExceeded) {
				w.t.Errorf("%d: %v", n, err)
			}
			due := time.Duration(n+1) * time.Second
			if took := time.Since(began); took < due || took > due+50*time.Millisecond {
				w.t.Errorf("a deadline of %v was told after %v", due, took)
			}
		}
		if n, err := last.Wait(); n != 3 || err != nil {
			w.t.Errorf("%d, %v", n, err)
		}
		saw.want(w.t, "the handlers", "1 has 1s", "1 is late", "3 has 7s")
	})
}

// A nested call has what is left of the deadline, and no more.
func TestDeadlineIsInherited(t *testing.T) {
	everywhere(t, func(w *world) {
		far := w.put(&actor.Kind[none]{Name: "far", Handlers: []actor.Handler[none]{block}})
		var inner error
		var took time.Duration
		s := w.put(doer("near", func(ctx context.Context, _ int) error {
			time.Sleep(3 * time.Second)
			began := time.Now()
			_, inner = Block.Call(ctx, far, none{})
			took = time.Since(began)
			return inner
		}))
		_, err := Do.Call(w.within(5*time.Second), s, 0)
		if !errors.Is(err, actor.ErrDeadline) {
			w.t.Errorf("%v", err)
		}
		synctest.Wait()
		if !errors.Is(inner, actor.ErrDeadline) || took < 2*time.Second-time.Millisecond || took > 2*time.Second+50*time.Millisecond {
			w.t.Errorf("the nested call: %v, after %v", inner, took)
		}
	})
}

// A full inbox refuses a call at once and certainly not started. A send waits: for
// room, for the end of its ctx, or for that of the actor.
func TestInboxFull(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		g := newGate()
		kind := &actor.Kind[none]{Name: "small", Inbox: actor.Limits{Messages: 2}, Handlers: []actor.Handler[none]{g.handler()}}
		s := a.Spawn(kind)
		m := a.Join(&actor.Kind[none]{Name: "caller"}, actor.JoinOptions{})
		for _, n := range []int{0, 1} {
			if err := Take.Send(a.Context(), s, n); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for who, ctx := range map[string]context.Context{"arbiter": a.Context(), "member": m.Context(context.Background())} {
			began := time.Now()
			_, err := Take.Call(ctx, s, 9)
			want(t, who, err, actor.ErrOverloaded, actor.StartedNo, "inbox is full", "2 messages")
			if took := time.Since(began); took != 0 {
				t.Errorf("%s was told after %v", who, took)
			}
			if pong, err := actor.Ping.Call(ctx, s, none{}); pong != "pong" || err != nil {
				t.Errorf("%s: ping: %q, %v", who, pong, err)
			}
		}

		began := time.Now()
		short, cancel := context.WithTimeout(a.Context(), time.Second)
		defer cancel()
		err := Take.Send(short, s, 9)
		want(t, "send", err, actor.ErrOverloaded, actor.StartedNo)
		if took := time.Since(began); took != time.Second {
			t.Errorf("a send that may wait 1s waited %v", took)
		}
		sent := make(chan error, 1)
		go func() { sent <- Take.Send(a.Context(), s, 2) }()
		synctest.Wait()
		if len(sent) != 0 {
			t.Fatalf("there was room: %v", <-sent)
		}
		close(g.open[0])
		if err := <-sent; err != nil {
			t.Error(err)
		}
		go func() { sent <- Take.Send(a.Context(), s, 3) }()
		synctest.Wait()
		if _, err := a.Kill(context.Background(), s); err != nil {
			t.Error(err)
		}
		wantDown(t, "send to who dies meanwhile", <-sent, actor.CauseKilled)
		g.want(t, "began", "0", "1")
		if letters := a.DeadLetters(); len(letters) != 1 || letters[0].Command != "take" || letters[0].Code != actor.Down {
			t.Errorf("%+v", letters)
		}
		close(g.open[1])
	})
}

// The bytes of an inbox are bounded too.
func TestInboxBytes(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		g := newGate()
		s := a.Spawn(&actor.Kind[none]{Name: "small", Inbox: actor.Limits{Bytes: 10_000}, Handlers: []actor.Handler[none]{g.handler()}})
		m := a.Join(&actor.Kind[none]{Name: "caller"}, actor.JoinOptions{})
		ctx := m.Context(context.Background())
		p := Take.Start(ctx, s, 0)
		large := actor.Echo.Start(ctx, s, make([]byte, 9000))
		_, err := actor.Echo.Call(ctx, s, make([]byte, 9000))
		want(t, "more bytes than there is room for", err, actor.ErrOverloaded, actor.StartedNo, "bytes")
		close(g.open[0])
		if _, err := p.Wait(); err != nil {
			t.Error(err)
		}
		if v, err := large.Wait(); len(v.([]byte)) != 9000 || err != nil {
			t.Error(err)
		}
	})
}

// A handler that sends itself more than its inbox takes is told at once: it would
// wait for itself.
func TestSelfSendFull(t *testing.T) {
	arbitertest.Run(t, func(t *testing.T, a *arbitertest.Arbiter) {
		var errs []error
		kind := doer("self", func(ctx context.Context, n int) error {
			self, _ := actor.Current(ctx)
			if n == 0 {
				for range 4 {
					errs = append(errs, Do.Send(ctx, self.Ref(), 1))
				}
			}
			return nil
		})
		kind.Inbox = actor.Limits{Messages: 3}
		if _, err := Do.Call(a.Context(), a.Spawn(kind), 0); err != nil {
			t.Fatal(err)
		}
		if len(errs) != 4 || errs[0] != nil || errs[1] != nil || !errors.Is(errs[2], actor.ErrOverloaded) || !errors.Is(errs[3], actor.ErrOverloaded) {
			t.Errorf("%v", errs)
		}
	})
}

// A command without acknowledgement is over for its caller once it is accepted;
// what comes of it is nobody's to wait for.
func TestNoAck(t *testing.T) {
	everywhere(t, func(w *world) {
		started := &journal{}
		s := w.put(&actor.Kind[none]{Name: "quiet", Handlers: []actor.Handler[none]{
			actor.On(Note, func(_ none, ctx context.Context, text string) error {
				time.Sleep(time.Minute)
				started.add(fmt.Sprintf("%s %v", text, ctx.Err()))
				return errors.New("nobody hears")
			}),
		}})
		began := time.Now()
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		p := Note.Start(ctx, s, "a")
		if _, err := p.Wait(); err != nil {
			w.t.Error(err)
		}
		if _, err := Note.Call(ctx, s, "b"); err != nil {
			w.t.Error(err)
		}
		cancel() // what was accepted goes on
		p.Cancel()
		if took := time.Since(began); took != 0 {
			w.t.Errorf("it took %v to be accepted", took)
		}
		_, err := Note.Call(w.ctx, actor.To("nobody"), "c")
		want(w.t, "nobody", err, actor.ErrUnknownActor, actor.StartedNo)
		_, err = actor.Call[none](w.within(4*time.Minute), s, "note", "d") // the dynamic form knows no better than to wait
		want(w.t, "by name", err, actor.ErrApp, actor.StartedYes, "nobody hears")
		started.want(w.t, "all of it", "a <nil>", "b <nil>", "d <nil>")
	})
}

// Nobody sends in a context without a sender, and is told what to use.
func TestNoSender(t *testing.T) {
	p := Block.Start(context.Background(), actor.To("it"), none{})
	<-p.Done()
	_, err := p.Wait()
	want(t, "call", err, actor.ErrRefused, actor.StartedNo, "Arbiter.Context")
	want(t, "send", Block.Send(context.Background(), actor.To("it"), none{}), actor.ErrRefused, actor.StartedNo, "Arbiter.Context")
	want(t, "send by name", actor.Send(context.Background(), "it", "block"), actor.ErrRefused, actor.StartedNo, `"it"`)
	if _, ok := actor.Current(context.Background()); ok {
		t.Error("there is an actor")
	}
	if _, ok := actor.Caller(context.Background()); ok {
		t.Error("there is a caller")
	}
}

// A Pending that nobody has started is over, with an error.
func TestZeroPending(t *testing.T) {
	var p actor.Pending[int]
	p.Cancel()
	<-p.Done()
	n, err := p.Wait()
	want(t, "wait", err, actor.ErrInvalid, actor.StartedNo, "Command.Start")
	if n != 0 {
		t.Errorf("its result is %d", n)
	}
}
