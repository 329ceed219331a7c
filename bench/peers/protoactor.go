package peers

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	proto "github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/arbiter-go/arbiter/bench/load"
)

// protoactorPeer is protoactor-go with its remote, direct: two actor systems, each
// with a server, and a stream of gRPC each way. Its queues and inboxes have no bound, as
// by default.
type protoactorPeer struct{}

const (
	protoEcho    = "echo"
	protoTimeout = 30 * time.Second // of an ask: its futures know no context
)

func (protoactorPeer) Info() load.Info {
	return load.Info{Name: "protoactor", Socket: "tcp", Hops: 1, About: "protoactor-go with its remote, over tcp, direct"}
}

func (protoactorPeer) Hub(context.Context, string, func(string)) error { return errNoHub }

// protoSystem returns an actor system without a log.
func protoSystem() *proto.ActorSystem {
	return proto.NewActorSystem(proto.WithLoggerFactory(func(*proto.ActorSystem) *slog.Logger { return quiet }))
}

// protoRemote starts a server of s. It takes batches of up to 1,000 messages, so gRPC's
// own 4 MiB for a message is not enough for those of 16 KiB.
func protoRemote(s *proto.ActorSystem) *remote.Remote {
	r := remote.NewRemote(s, remote.Configure("127.0.0.1", 0, remote.WithServerOptions(grpc.MaxRecvMsgSize(1<<30))))
	r.Start()
	return r
}

func (protoactorPeer) Echo(ctx context.Context, _ load.Place, answer func([]byte) []byte, ready func(string)) error {
	s := protoSystem()
	r := protoRemote(s)
	defer r.Shutdown(false)
	props := proto.PropsFromFunc(func(c proto.Context) {
		if m, ok := c.Message().(*wrapperspb.BytesValue); ok {
			if reply := answer(m.Value); reply != nil {
				c.Respond(wrapperspb.Bytes(slices.Clone(reply)))
			}
		}
	})
	if _, err := s.Root.SpawnNamed(props, protoEcho); err != nil {
		return err
	}
	ready(s.Address())
	<-ctx.Done()
	return nil
}

func (protoactorPeer) Dial(_ context.Context, at load.Place, _ int) (load.Client, error) {
	s := protoSystem()
	return &protoactorClient{s: s, r: protoRemote(s), echo: proto.NewPID(at.Echo, protoEcho)}, nil
}

type protoactorClient struct {
	s    *proto.ActorSystem
	r    *remote.Remote
	echo *proto.PID
}

// message copies body: what is sent is encoded later, on another goroutine.
func (*protoactorClient) message(body []byte) *wrapperspb.BytesValue {
	return wrapperspb.Bytes(slices.Clone(body))
}

func (c *protoactorClient) Ask(_ context.Context, body, _ []byte) ([]byte, error) {
	v, err := c.s.Root.RequestFuture(c.echo, c.message(body), protoTimeout).Result()
	if err != nil {
		return nil, err
	}
	m, ok := v.(*wrapperspb.BytesValue)
	if !ok {
		return nil, fmt.Errorf("it was answered with %T", v)
	}
	return m.Value, nil
}

func (c *protoactorClient) Tell(body []byte) error {
	c.s.Root.Send(c.echo, c.message(body))
	return nil
}

func (c *protoactorClient) Close() error {
	c.r.Shutdown(false)
	return nil
}

// protoactorLocal is actors of protoactor-go, with the inboxes they have by default,
// which have no bound.
type protoactorLocal struct{}

func (protoactorLocal) Info() load.Info {
	return load.Info{Name: "protoactor-local", Socket: "process", About: "actors of protoactor-go"}
}

// What a local actor is sent.
type (
	protoAsk  struct{ v int64 }
	protoTell struct{ v int64 }
	protoTold struct{}
)

// protoTally is the state of a local actor.
type protoTally struct{ told int64 }

// Receive handles one message.
func (t *protoTally) Receive(c proto.Context) {
	switch m := c.Message().(type) {
	case protoAsk:
		c.Respond(m.v)
	case protoTell:
		t.told++
	case protoTold:
		c.Respond(t.told)
	}
}

func protoProps() *proto.Props {
	return proto.PropsFromProducer(func() proto.Actor { return &protoTally{} })
}

type protoactorActor struct {
	s   *proto.ActorSystem
	pid *proto.PID
}

func (protoactorLocal) Start(context.Context) (load.LocalActor, error) {
	s := protoSystem()
	return &protoactorActor{s, s.Root.Spawn(protoProps())}, nil
}

func (a *protoactorActor) ask(m any) (int64, error) {
	v, err := a.s.Root.RequestFuture(a.pid, m, protoTimeout).Result()
	if err != nil {
		return 0, err
	}
	n, ok := v.(int64)
	if !ok {
		return 0, fmt.Errorf("it was answered with %T", v)
	}
	return n, nil
}

func (a *protoactorActor) Asker() func(context.Context, int64) (int64, error) {
	return func(_ context.Context, v int64) (int64, error) { return a.ask(protoAsk{v}) }
}

func (a *protoactorActor) Tell(_ context.Context, v int64) error {
	a.s.Root.Send(a.pid, protoTell{v})
	return nil
}

func (a *protoactorActor) Told(context.Context) (int64, error) { return a.ask(protoTold{}) }

func (a *protoactorActor) Stop() {
	// That it did not stop in time is seen by nobody: the system is left to the collector.
	_ = a.s.Root.StopFuture(a.pid).Wait()
	a.s.Shutdown()
}

func (protoactorLocal) Spawn(_ context.Context, n int) (func(), error) {
	s := protoSystem()
	props := protoProps()
	pids := make([]*proto.PID, n)
	for i := range pids {
		pids[i] = s.Root.Spawn(props)
	}
	return func() {
		for _, pid := range pids {
			s.Root.Stop(pid)
		}
		s.Shutdown()
	}, nil
}
