package peers

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/arbiter-go/arbiter/bench/load"
)

// natsPeer asks by request and reply and tells by publishing, through a NATS
// server that does nothing else. It is the broker others are compared with.
type natsPeer struct{}

const natsSubject = "echo"

func (natsPeer) Info() load.Info {
	return load.Info{Name: load.BrokerName, Socket: "tcp", Hops: 2, About: "NATS request/reply and publish, over tcp"}
}

func (natsPeer) Hub(ctx context.Context, _ string, ready func(string)) error {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoLog: true, NoSigs: true,
		MaxPayload: 8 << 20,
		MaxPending: 256 << 20, // what is under way is bounded by the load
	})
	if err != nil {
		return err
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("the NATS server did not become ready")
	}
	ready(s.ClientURL())
	<-ctx.Done()
	return nil
}

func (natsPeer) Echo(ctx context.Context, at load.Place, answer func([]byte) []byte, ready func(string)) error {
	nc, err := nats.Connect(at.Hub, nats.NoReconnect())
	if err != nil {
		return err
	}
	defer nc.Close()
	failed := make(chan error, 1)
	sub, err := nc.Subscribe(natsSubject, func(m *nats.Msg) {
		if reply := answer(m.Data); reply != nil {
			if err := m.Respond(reply); err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		}
	})
	if err != nil {
		return err
	}
	if err := sub.SetPendingLimits(-1, 256<<20); err != nil {
		return err
	}
	// The subscription is known to the server before anybody may ask.
	if err := nc.FlushTimeout(10 * time.Second); err != nil {
		return err
	}
	ready("")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func (natsPeer) Dial(_ context.Context, at load.Place, _ int) (load.Client, error) {
	nc, err := nats.Connect(at.Hub, nats.NoReconnect())
	if err != nil {
		return nil, err
	}
	return natsClient{nc}, nil
}

type natsClient struct{ nc *nats.Conn }

func (c natsClient) Ask(ctx context.Context, body, _ []byte) ([]byte, error) {
	m, err := c.nc.RequestWithContext(ctx, natsSubject, body)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (c natsClient) Tell(body []byte) error { return c.nc.Publish(natsSubject, body) }

func (c natsClient) Close() error {
	c.nc.Close()
	return nil
}
