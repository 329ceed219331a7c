package actor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
)

var (
	Take = actor.NewCommand[int, int]("take")
	Ask  = actor.NewCommand[actor.Ref, string]("ask")
	Sum  = actor.NewCommand[int, int]("sum")
	Who  = actor.NewCommand[none, actor.Ref]("who")
)

// gate is an actor's handlers at work, which a test lets go one by one.
type gate struct {
	journal
	open [16]chan struct{}
}

func newGate() *gate {
	g := &gate{}
	for n := range g.open {
		g.open[n] = make(chan struct{})
	}
	return g
}

// handler answers Take: it writes down when it begins, and ends when its gate opens.
func (g *gate) handler() actor.Handler[none] {
	return actor.Handle(Take, func(_ none, _ context.Context, n int) (int, error) {
		g.add(fmt.Sprint(n))
		<-g.open[n]
		return n, nil
	})
}

// begun are the handlers that have begun, from the one at place on, as a set: those
// that begin together may write in any order.
func (g *gate) begun(from int) []string {
	synctest.Wait()
	lines := g.all()[from:]
	slices.Sort(lines)
	return lines
}

// A concurrent actor runs up to its limit of handlers, begun in order, and takes
// the next when one ends.
func TestConcurrent(t *testing.T) {
	everywhere(t, func(w *world) {
		g := newGate()
		s := w.put(&actor.Kind[none]{Name: "many", Mode: actor.Concurrent(3), Handlers: []actor.Handler[none]{g.handler()}})
		var calls []*actor.Pending[int]
		for n := range 8 {
			calls = append(calls, Take.Start(w.ctx, s, n))
		}
		if got := g.begun(0); !slices.Equal(got, []string{"0", "1", "2"}) {
			w.t.Fatalf("three at a time: %q", got)
		}
		for n, ends := range []int{1, 3, 0, 2, 4} {
			close(g.open[ends])
			if got, err := calls[ends].Wait(); got != ends || err != nil {
				w.t.Errorf("%d: %d, %v", ends, got, err)
			}
			if got := g.begun(3 + n); !slices.Equal(got, []string{fmt.Sprint(3 + n)}) {
				w.t.Fatalf("when %d had ended began %q", ends, got)
			}
		}
		for _, n := range []int{5, 6, 7} {
			close(g.open[n])
			if _, err := calls[n].Wait(); err != nil {
				w.t.Error(err)
			}
		}
	})
}

// A limit below one is one.
func TestConcurrentOfNone(t *testing.T) {
	everywhere(t, func(w *world) {
		g := newGate()
		s := w.put(&actor.Kind[none]{Name: "one", Mode: actor.Concurrent(0), Handlers: []actor.Handler[none]{g.handler()}})
		for n := range 3 {
			close(g.open[n])
			if err := actor.Send(w.ctx, s, "take", n); err != nil {
				w.t.Error(err)
			}
		}
		synctest.Wait()
		g.want(w.t, "all, in order", "0", "1", "2")
	})
}

// A panic of one handler ends a concurrent actor and all its other calls.
func TestConcurrentPanic(t *testing.T) {
	everywhere(t, func(w *world) {
		over, told := &journal{}, make(chan struct{})
		s := w.put(&actor.Kind[none]{Name: "many", Mode: actor.Concurrent(2), Handlers: []actor.Handler[none]{
			blow,
			actor.Handle(Block, func(_ none, ctx context.Context, _ none) (none, error) {
				<-ctx.Done()
				over.add(ctx.Err().Error())
				<-told // what it returns is too late
				return none{}, nil
			}),
		}})
		p := Block.Start(w.ctx, s, none{})
		_, err := Blow.Call(w.ctx, s, "both")
		wantDown(w.t, "the one that panics", err, actor.CausePanic)
		_, err = p.Wait()
		wantDown(w.t, "the other", err, actor.CausePanic)
		close(told)
		synctest.Wait()
		over.want(w.t, "the other's context", "context canceled")
	})
}

// A serial actor takes one message at a time, in order, and a call it makes keeps
// its turn.
func TestSerial(t *testing.T) {
	everywhere(t, func(w *world) {
		g, order := newGate(), &journal{}
		far := w.put(&actor.Kind[none]{Name: "far", Handlers: []actor.Handler[none]{g.handler()}})
		s := w.put(asker("serial", actor.Serial, order))
		p := Ask.Start(w.ctx, s, far)
		for n := range 3 {
			if err := Note.Send(w.ctx, s, fmt.Sprint("note ", n)); err != nil {
				w.t.Fatal(err)
			}
		}
		synctest.Wait()
		order.want(w.t, "while it waits in a call", "asks")
		close(g.open[0])
		if _, err := p.Wait(); err != nil {
			w.t.Error(err)
		}
		synctest.Wait()
		order.want(w.t, "afterwards", "asks", "resumes", "note 0", "note 1", "note 2")
	})
}

// asker calls another from its handler and writes down what it does.
func asker(name string, mode actor.Mode, order *journal) *actor.Kind[none] {
	return &actor.Kind[none]{Name: name, Mode: mode, Handlers: []actor.Handler[none]{
		actor.Handle(Ask, func(_ none, ctx context.Context, who actor.Ref) (string, error) {
			order.add("asks")
			_, err := Take.Call(ctx, who, 0)
			order.add("resumes")
			return "", err
		}),
		actor.On(Note, func(_ none, _ context.Context, text string) error { order.add(text); return nil }),
		actor.On(Busy, func(_ none, _ context.Context, d time.Duration) error {
			order.add("busy")
			time.Sleep(d)
			order.add("idle")
			return nil
		}),
	}}
}

// While an interleaved handler waits in a call others start, one at a time; it
// goes on when it has the turn again, before those that have not begun.
func TestInterleaved(t *testing.T) {
	everywhere(t, func(w *world) {
		g, order := newGate(), &journal{}
		far := w.put(&actor.Kind[none]{Name: "far", Handlers: []actor.Handler[none]{g.handler()}})
		s := w.put(asker("weaver", actor.Interleaved, order))
		p := Ask.Start(w.ctx, s, far)
		synctest.Wait()
		if err := Note.Send(w.ctx, s, "note"); err != nil {
			w.t.Fatal(err)
		}
		busy := Busy.Start(w.ctx, s, time.Second)
		if err := Note.Send(w.ctx, s, "last"); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		close(g.open[0]) // its answer is there, and the turn is another's
		synctest.Wait()
		order.want(w.t, "while another has the turn", "asks", "note", "busy")
		if _, err := p.Wait(); err != nil {
			w.t.Error(err)
		}
		if _, err := busy.Wait(); err != nil {
			w.t.Error(err)
		}
		synctest.Wait()
		order.want(w.t, "afterwards", "asks", "note", "busy", "idle", "resumes", "last")
	})
}

// The outcome of a call an interleaved handler makes is fixed by its deadline,
// though the handler goes on only when it has the turn.
func TestInterleavedDeadline(t *testing.T) {
	everywhere(t, func(w *world) {
		g, order := newGate(), &journal{}
		far := w.put(&actor.Kind[none]{Name: "far", Handlers: []actor.Handler[none]{g.handler()}})
		kind := asker("weaver", actor.Interleaved, order)
		var inner error
		var told time.Duration
		kind.Handlers[0] = actor.Handle(Ask, func(_ none, ctx context.Context, who actor.Ref) (string, error) {
			began := time.Now()
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, inner = Take.Call(ctx, who, 0)
			told = time.Since(began)
			return "went on", nil
		})
		s := w.put(kind)
		p := Ask.Start(w.ctx, s, far)
		synctest.Wait()
		busy := Busy.Start(w.ctx, s, 5*time.Second)
		time.Sleep(2 * time.Second)
		close(g.open[0]) // too late
		if text, err := p.Wait(); text != "went on" || err != nil {
			w.t.Errorf("%q, %v", text, err)
		}
		if !errors.Is(inner, actor.ErrDeadline) || told != 5*time.Second {
			w.t.Errorf("its call: %v, after %v", inner, told)
		}
		if _, err := busy.Wait(); err != nil {
			w.t.Error(err)
		}
	})
}

// An interleaved actor that is stopped ends the handlers that wait first; one that
// is killed ends their contexts.
func TestInterleavedEnds(t *testing.T) {
	everywhere(t, func(w *world) {
		g, order := newGate(), &journal{}
		far := w.put(&actor.Kind[none]{Name: "far", Handlers: []actor.Handler[none]{g.handler()}})
		kind := asker("weaver", actor.Interleaved, order)
		kind.Stopping = func(none, context.Context) { order.add("stopping") }
		s := w.put(kind)
		p := Ask.Start(w.ctx, s, far)
		synctest.Wait()
		if err := actor.Stop.Send(w.ctx, s, none{}); err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		close(g.open[0])
		if _, err := p.Wait(); err != nil {
			w.t.Error(err)
		}
		synctest.Wait()
		order.want(w.t, "stopped", "asks", "resumes", "stopping")

		killed := &journal{}
		other := asker("victim", actor.Interleaved, killed)
		s = w.put(other)
		stuck := newGate()
		far = w.put(&actor.Kind[none]{Name: "farther", Handlers: []actor.Handler[none]{stuck.handler()}})
		p = Ask.Start(w.ctx, s, far)
		synctest.Wait()
		if _, err := actor.KillActor.Call(w.ctx, actor.Arbiter, s); err != nil {
			w.t.Fatal(err)
		}
		_, err := p.Wait()
		wantDown(w.t, "killed", err, actor.CauseKilled)
		synctest.Wait()
		killed.want(w.t, "killed", "asks", "resumes")
		close(stuck.open[0])
	})
}

// A call to oneself runs at once, in place, in every mode: it is part of the turn,
// knows who asks, and ends like any other call.
func TestSelfCalls(t *testing.T) {
	for name, mode := range map[string]actor.Mode{"serial": actor.Serial, "interleaved": actor.Interleaved, "concurrent": actor.Concurrent(1)} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(w *world) { selfCalls(w, mode) })
		})
	}
}

func selfCalls(w *world, mode actor.Mode) {
	report := &journal{}
	refuse := actor.NewCommand[none, none]("refuse", actor.NoAck())
	try := actor.NewCommand[none, none]("try")
	s := w.put(&actor.Kind[none]{Name: "self", Mode: mode, Handlers: []actor.Handler[none]{
		blow,
		actor.Handle(Sum, func(_ none, ctx context.Context, n int) (int, error) {
			if n == 0 {
				return 0, nil
			}
			self, _ := actor.Current(ctx)
			below, err := Sum.Call(ctx, self.Ref(), n-1)
			return n + below, err
		}),
		actor.Handle(Who, func(_ none, ctx context.Context, _ none) (actor.Ref, error) {
			from, _ := actor.Caller(ctx)
			return from, nil
		}),
		actor.On(refuse, func(none, context.Context, none) error { return errors.New("told to nobody") }),
		actor.On(try, func(_ none, ctx context.Context, _ none) error {
			self, _ := actor.Current(ctx)
			me := self.Ref()
			if from, err := Who.Call(ctx, me, none{}); from.AID != me.AID || err != nil {
				report.add(fmt.Sprintf("who asks: %v, %v", from, err))
			}
			_, err := actor.Call[int](ctx, me, "sum", "ten")
			var e *actor.Error
			if !errors.As(err, &e) || e.Code != actor.Invalid || e.Started != actor.StartedNo {
				report.add(fmt.Sprintf("wrong argument: %+v", e))
			}
			_, err = actor.Call[int](ctx, me, "sun", 1)
			if !errors.As(err, &e) || e.Code != actor.UnknownCommand || e.Started != actor.StartedNo {
				report.add(fmt.Sprintf("unknown command: %+v", e))
			}
			if _, err := refuse.Call(ctx, me, none{}); err != nil {
				report.add(fmt.Sprintf("a command without acknowledgement: %v", err))
			}
			if pong, err := actor.Ping.Call(ctx, me, none{}); pong != "pong" || err != nil {
				report.add(fmt.Sprintf("ping: %q, %v", pong, err))
			}
			over, cancel := context.WithCancel(ctx)
			cancel()
			if _, err := Sum.Call(over, me, 1); !errors.Is(err, actor.ErrCanceled) {
				report.add(fmt.Sprintf("a canceled context: %v", err))
			}
			return nil
		}),
	}})
	if n, err := Sum.Call(w.ctx, s, 100); n != 5050 || err != nil {
		w.t.Errorf("a hundred calls to oneself: %d, %v", n, err)
	}
	if _, err := try.Call(w.ctx, s, none{}); err != nil {
		w.t.Error(err)
	}
	report.want(w.t, "calls to oneself")
	// One way to oneself is a message like any other: behind the turn.
	_, err := Blow.Call(w.ctx, s, "it")
	wantDown(w.t, "panic", err, actor.CausePanic)
}

// A handler that sends itself a message gets it in a turn of its own.
func TestSelfSend(t *testing.T) {
	everywhere(t, func(w *world) {
		order := &journal{}
		s := w.put(doer("self", func(ctx context.Context, n int) error {
			order.add(fmt.Sprint("begin ", n))
			self, _ := actor.Current(ctx)
			if n < 3 {
				if err := Do.Send(ctx, self.Ref(), n+1); err != nil {
					return err
				}
			}
			order.add(fmt.Sprint("end ", n))
			return nil
		}))
		if _, err := Do.Call(w.ctx, s, 1); err != nil {
			w.t.Error(err)
		}
		synctest.Wait()
		order.want(w.t, "it", "begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3")
	})
}

// A panic in a call to oneself is the actor's death, told to who called first.
func TestSelfPanic(t *testing.T) {
	everywhere(t, func(w *world) {
		s := w.put(&actor.Kind[none]{Name: "self", Handlers: []actor.Handler[none]{
			blow,
			actor.On(Do, func(_ none, ctx context.Context, _ int) error {
				self, _ := actor.Current(ctx)
				_, err := Blow.Call(ctx, self.Ref(), "deep inside")
				return err
			}),
		}})
		_, err := Do.Call(w.ctx, s, 0)
		wantDown(w.t, "panic", err, actor.CausePanic, "deep inside")
	})
}

// In a context made by Arbiter.Context, or Member.Context, that is the sender, even
// inside a handler: a bridge sends into the other arbiter.
func TestContextInHandler(t *testing.T) {
	everywhere(t, func(w *world) {
		far := w.put(&actor.Kind[none]{Name: "far", Handlers: []actor.Handler[none]{
			actor.Handle(Who, func(_ none, ctx context.Context, _ none) (actor.Ref, error) {
				from, _ := actor.Caller(ctx)
				return from, nil
			}),
		}})
		bridge := w.Join(&actor.Kind[none]{Name: "bridge"}, actor.JoinOptions{AID: "bridge"})
		var as [3]actor.Ref
		s := w.put(doer("near", func(ctx context.Context, _ int) error {
			for n, ctx := range []context.Context{ctx, bridge.Context(ctx), w.Arbiter.Arbiter.Context(ctx)} {
				from, err := Who.Call(ctx, far, none{})
				if err != nil {
					return err
				}
				as[n] = from
			}
			return nil
		}))
		if _, err := Do.Call(w.ctx, s, 0); err != nil {
			w.t.Fatal(err)
		}
		for n, aid := range []string{s.AID, "bridge", "arbiter"} {
			if as[n].AID != aid {
				w.t.Errorf("sent as %q, want %q", as[n].AID, aid)
			}
		}
	})
}
