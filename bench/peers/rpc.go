package peers

import (
	"context"
	"errors"
	"net"
	"net/rpc"
	"sync"

	"github.com/arbiter-go/arbiter/bench/load"
)

// rpcPeer is net/rpc of the standard library, direct: gob over one TCP connection,
// asks told apart by a sequence number, a goroutine for each at the server.
type rpcPeer struct{}

func (rpcPeer) Info() load.Info {
	return load.Info{Name: "net-rpc", Socket: "tcp", Hops: 1, About: "net/rpc over tcp, direct"}
}

func (rpcPeer) Hub(context.Context, string, func(string)) error { return errNoHub }

// rpcEcho is the service. net/rpc calls it from a goroutine for each ask.
type rpcEcho struct{ answer *oneAtATime }

// Ask is what is called.
func (e *rpcEcho) Ask(body []byte, reply *[]byte) error {
	*reply = e.answer.copied(body)
	return nil
}

func (rpcPeer) Echo(ctx context.Context, at load.Place, answer func([]byte) []byte, ready func(string)) error {
	server := rpc.NewServer()
	if err := server.RegisterName("Echo", &rpcEcho{&oneAtATime{answer: answer}}); err != nil {
		return err
	}
	ln, err := listen(ctx, "tcp", at.Dir, "")
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	ready(ln.Addr().String())
	var conns sync.WaitGroup
	defer conns.Wait()
	for {
		conn, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		conns.Go(func() {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			server.ServeConn(conn)
		})
	}
}

func (rpcPeer) Dial(ctx context.Context, at load.Place, _ int) (load.Client, error) {
	conn, err := dial(ctx, "tcp", at.Echo)
	if err != nil {
		return nil, err
	}
	return rpcClient{rpc.NewClient(conn)}, nil
}

type rpcClient struct{ *rpc.Client }

func (c rpcClient) Ask(ctx context.Context, body, room []byte) ([]byte, error) {
	reply := room[:0]
	call := c.Go("Echo.Ask", body, &reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		return reply, call.Error
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Tell is not done with a call whose reply nobody looks at: that is still a reply.
func (rpcClient) Tell([]byte) error { return load.ErrNoTell }
