package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/arbiter-go/arbiter"
	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/bench/load"
)

// arbiterPeer is arbiter itself: the hub is a program with an arbiter, echo and
// caller are actors that join it, each in its own process. Its asks are calls, of a
// goroutine each; with start one goroutine keeps them under way by Start. Neither the echo nor
// the caller keeps the bytes it is given, and both say so: Lent, CallLent. With keeps they do not.
type arbiterPeer struct {
	socket string
	start  bool
	keeps  bool
}

const arbiterToken = "bench"

func (p arbiterPeer) Info() load.Info {
	i := load.Info{Name: "arbiter-" + p.socket, Socket: p.socket, Hops: 2, About: "arbiter over " + p.socket}
	if p.start {
		i.Name += "-start"
		i.About += ", with one goroutine that starts all asks"
		i.Aside = true
	}
	if p.keeps {
		i.Name += "-kept"
		i.About += ", with an echo and a caller that may keep what they are given"
		i.Aside = true
	}
	return i
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func (p arbiterPeer) Hub(ctx context.Context, dir string, ready func(string)) error {
	o := arbiter.Options{Name: "bench", Logger: quiet}
	if p.socket == "unix" {
		if err := os.Setenv("XDG_RUNTIME_DIR", dir); err != nil {
			return err
		}
		o.Control = true
	} else {
		o.Listen, o.Token = "127.0.0.1:0", arbiterToken
	}
	arb, err := arbiter.Start(ctx, o)
	if err != nil {
		return err
	}
	ready(arb.Addresses()[0])
	<-ctx.Done()
	return arb.Stop(context.WithoutCancel(ctx))
}

// The protocol of the echo actor.
var (
	echoAsk  = actor.NewCommand[[]byte, []byte]("ask")
	echoTell = actor.NewCommand[[]byte, actor.None]("tell", actor.NoAck())
	echoRef  = actor.To("bench-echo")
)

func (p arbiterPeer) join(kind actor.Behaviour, at load.Place, name string) *actor.Member {
	return actor.NewMember(at.Hub, kind, actor.JoinOptions{Token: arbiterToken, Name: name, Logger: quiet})
}

func (p arbiterPeer) Echo(ctx context.Context, at load.Place, answer func([]byte) []byte, ready func(string)) error {
	var options []actor.HandlerOption
	if !p.keeps {
		options = append(options, actor.Lent())
	}
	kind := &actor.Kind[actor.None]{
		Name: "echo",
		Handlers: []actor.Handler[actor.None]{
			actor.Handle(echoAsk, func(_ actor.None, _ context.Context, b []byte) ([]byte, error) { return answer(b), nil }, options...),
			actor.On(echoTell, func(_ actor.None, _ context.Context, b []byte) error { answer(b); return nil }, options...),
		},
		Started: func(actor.None, context.Context) error { ready(""); return nil },
	}
	m := p.join(kind, at, echoRef.Name)
	defer m.Close()
	return m.Serve(ctx)
}

func (p arbiterPeer) Dial(ctx context.Context, at load.Place, _ int) (load.Client, error) {
	m := p.join(&actor.Kind[actor.None]{Name: "load"}, at, "")
	if _, err := m.Ref(ctx); err != nil {
		m.Close()
		return nil, err
	}
	c := &arbiterClient{m: m, ctx: m.Context(context.Background()), keeps: p.keeps}
	if p.start {
		return &arbiterStarter{c}, nil
	}
	return c, nil
}

type arbiterClient struct {
	m     *actor.Member
	ctx   context.Context
	asker atomic.Pointer[asker]
	keeps bool
}

// asker is the context that asks are made in: made once for a context, as who asks again and
// again does.
type asker struct{ given, ctx context.Context }

func (c *arbiterClient) Ask(ctx context.Context, body, room []byte) (reply []byte, err error) {
	a := c.asker.Load()
	if a == nil || a.given != ctx {
		a = &asker{ctx, c.m.Context(ctx)}
		c.asker.Store(a)
	}
	if c.keeps {
		return echoAsk.Call(a.ctx, echoRef, body)
	}
	err = echoAsk.CallLent(a.ctx, echoRef, body, func(b []byte) error {
		reply = append(room[:0], b...)
		return nil
	})
	return reply, err
}

func (c *arbiterClient) Tell(body []byte) error { return echoTell.Send(c.ctx, echoRef, body) }

func (c *arbiterClient) Close() error { return c.m.Close() }

// arbiterStarter keeps asks under way by Start, as who has many to make does, and waits for
// them in their order.
type arbiterStarter struct{ *arbiterClient }

// Loop is that of load.Looper.
func (c *arbiterStarter) Loop(ctx context.Context, n int, next func(slot int, reply []byte) []byte) error {
	ctx = c.m.Context(ctx)
	asks := make([]*actor.Pending[[]byte], n)
	under := 0
	start := func(slot int, body []byte) {
		if asks[slot] = nil; body != nil {
			asks[slot] = echoAsk.Start(ctx, echoRef, body)
			under++
		}
	}
	for slot := range asks {
		start(slot, next(slot, nil))
	}
	for slot := 0; under > 0; slot = (slot + 1) % n {
		if asks[slot] == nil {
			continue
		}
		reply, err := asks[slot].Wait()
		if err != nil {
			return err
		}
		under--
		start(slot, next(slot, reply))
	}
	return nil
}

// arbiterLocal is goroutine actors of arbiter.
type arbiterLocal struct{}

func (arbiterLocal) Info() load.Info {
	return load.Info{Name: "arbiter-goroutine", Socket: "process", About: "goroutine actors of arbiter"}
}

// tally is the state of a local actor.
type tally struct{ told int64 }

var (
	localAsk  = actor.NewCommand[int64, int64]("ask")
	localTell = actor.NewCommand[int64, actor.None]("tell", actor.NoAck())
	localTold = actor.NewCommand[actor.None, int64]("told")

	localKind = &actor.Kind[*tally]{
		Name: "tally",
		New:  func(context.Context) (*tally, error) { return &tally{}, nil },
		Handlers: []actor.Handler[*tally]{
			actor.Handle(localAsk, func(_ *tally, _ context.Context, v int64) (int64, error) { return v, nil }),
			actor.On(localTell, func(t *tally, _ context.Context, _ int64) error { t.told++; return nil }),
			actor.Handle(localTold, func(t *tally, _ context.Context, _ actor.None) (int64, error) { return t.told, nil }),
		},
	}
)

type arbiterActor struct {
	arb *arbiter.Arbiter
	ref actor.Ref
	ctx context.Context // what the arbiter sends in
}

func startLocal(ctx context.Context) (*arbiter.Arbiter, error) {
	return arbiter.Start(ctx, arbiter.Options{Name: "bench", Logger: quiet})
}

func (arbiterLocal) Start(ctx context.Context) (load.LocalActor, error) {
	arb, err := startLocal(ctx)
	if err != nil {
		return nil, err
	}
	ref, err := arb.Spawn(ctx, localKind)
	if err != nil {
		return nil, err
	}
	return &arbiterActor{arb, ref, arb.Context(ctx)}, nil
}

func (a *arbiterActor) Asker() func(context.Context, int64) (int64, error) {
	var given, sender context.Context // made once for a context, as who asks again and again does
	return func(ctx context.Context, v int64) (int64, error) {
		if ctx != given {
			given, sender = ctx, a.arb.Context(ctx)
		}
		return localAsk.Call(sender, a.ref, v)
	}
}

func (a *arbiterActor) Tell(_ context.Context, v int64) error {
	return localTell.Send(a.ctx, a.ref, v)
}

func (a *arbiterActor) Told(ctx context.Context) (int64, error) {
	for {
		told, err := localTold.Call(a.arb.Context(ctx), a.ref, actor.None{})
		if !errors.Is(err, actor.ErrOverloaded) {
			return told, err
		}
		runtime.Gosched() // a call does not wait for room, and whoever told has just filled the inbox
	}
}

func (a *arbiterActor) Stop() { _ = a.arb.Stop(context.Background()) }

func (arbiterLocal) Spawn(ctx context.Context, n int) (func(), error) {
	arb, err := startLocal(ctx)
	if err != nil {
		return nil, err
	}
	for i := range n {
		if _, err := arb.Spawn(ctx, localKind); err != nil {
			return nil, fmt.Errorf("actor %d: %w", i, err)
		}
	}
	return func() { _ = arb.Stop(context.Background()) }, nil
}
