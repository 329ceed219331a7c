package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/arbiter-go/arbiter/bench/load"
)

// grpcPeer is gRPC, direct, without TLS. Its service is
//
//	service Echo {
//	  rpc Ask(google.protobuf.BytesValue) returns (google.protobuf.BytesValue);
//	  rpc Stream(stream google.protobuf.BytesValue) returns (stream google.protobuf.BytesValue);
//	}
//
// with Ask a unary call for each ask, or all asks of a connection on one Stream: a
// stream keeps order, so replies need no number, and asks are kept under way by the
// goroutine that receives, as the ideal relay's are. A connection has one stream.
type grpcPeer struct{ stream bool }

// grpcMax is the largest message, in bytes. gRPC's own default is 4 MiB.
const grpcMax = 64 << 20

func (p grpcPeer) Info() load.Info {
	if p.stream {
		return load.Info{Name: "grpc-stream", Socket: "tcp", Hops: 1, About: "gRPC over tcp, direct, a bidirectional stream"}
	}
	return load.Info{Name: "grpc-unary", Socket: "tcp", Hops: 1, About: "gRPC over tcp, direct, unary calls"}
}

func (grpcPeer) Hub(context.Context, string, func(string)) error { return errNoHub }

// grpcEcho is the service's implementation.
type grpcEcho interface {
	Ask(context.Context, *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error)
	Stream(grpc.BidiStreamingServer[wrapperspb.BytesValue, wrapperspb.BytesValue]) error
}

const (
	grpcAsk    = "/bench.Echo/Ask"
	grpcStream = "/bench.Echo/Stream"
)

// grpcService is what protoc makes of the service above.
var grpcService = grpc.ServiceDesc{
	ServiceName: "bench.Echo",
	HandlerType: (*grpcEcho)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Ask", Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		in := new(wrapperspb.BytesValue)
		if err := decode(in); err != nil {
			return nil, err
		}
		return srv.(grpcEcho).Ask(ctx, in)
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, ClientStreams: true, Handler: func(srv any, s grpc.ServerStream) error {
		return srv.(grpcEcho).Stream(&grpc.GenericServerStream[wrapperspb.BytesValue, wrapperspb.BytesValue]{ServerStream: s})
	}}},
}

type grpcAnswerer struct{ answer oneAtATime }

func (a *grpcAnswerer) Ask(_ context.Context, in *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
	return wrapperspb.Bytes(a.answer.copied(in.Value)), nil
}

func (a *grpcAnswerer) Stream(s grpc.BidiStreamingServer[wrapperspb.BytesValue, wrapperspb.BytesValue]) error {
	for {
		in, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if reply := a.answer.copied(in.Value); reply != nil {
			if err := s.Send(wrapperspb.Bytes(reply)); err != nil {
				return err
			}
		}
	}
}

func (grpcPeer) Echo(ctx context.Context, at load.Place, answer func([]byte) []byte, ready func(string)) error {
	ln, err := listen(ctx, "tcp", at.Dir, "")
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(grpcMax))
	s.RegisterService(&grpcService, &grpcAnswerer{oneAtATime{answer: answer}})
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	ready(ln.Addr().String())
	if err := s.Serve(ln); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

func (p grpcPeer) Dial(ctx context.Context, at load.Place, _ int) (load.Client, error) {
	conn, err := grpc.NewClient(at.Echo, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(grpcMax)))
	if err != nil {
		return nil, err
	}
	if !p.stream {
		return grpcUnary{conn}, nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s, err := conn.NewStream(ctx, &grpcService.Streams[0], grpcStream)
	if err != nil {
		cancel()
		conn.Close()
		return nil, err
	}
	c := &grpcStreamClient{conn: conn, cancel: cancel, alone: make(chan struct{}, 1),
		s: &grpc.GenericClientStream[wrapperspb.BytesValue, wrapperspb.BytesValue]{ClientStream: s}}
	return c, nil
}

type grpcUnary struct{ conn *grpc.ClientConn }

func (c grpcUnary) Ask(ctx context.Context, body, _ []byte) ([]byte, error) {
	out := new(wrapperspb.BytesValue)
	if err := c.conn.Invoke(ctx, grpcAsk, wrapperspb.Bytes(body), out); err != nil {
		return nil, err
	}
	return out.Value, nil
}

func (grpcUnary) Tell([]byte) error { return load.ErrNoTell }

func (c grpcUnary) Close() error { return c.conn.Close() }

// grpcStreamClient asks over one stream. One goroutine at a time may send on it, one
// receive: Tell and Loop are not called beside each other, and Ask waits for its turn.
type grpcStreamClient struct {
	conn   *grpc.ClientConn
	cancel context.CancelFunc
	s      grpc.BidiStreamingClient[wrapperspb.BytesValue, wrapperspb.BytesValue]
	alone  chan struct{} // has room for one: whoever asks
	sends  sync.Mutex
}

// send returns when body is encoded, so it is the caller's again: it would not be
// with a stats handler or tracing, of which there is none.
func (c *grpcStreamClient) send(body []byte) error {
	c.sends.Lock()
	defer c.sends.Unlock()
	return c.s.Send(wrapperspb.Bytes(body))
}

// Ask sends body and takes the next reply, which is its own. With Loop it is used by
// marks only.
func (c *grpcStreamClient) Ask(ctx context.Context, body, _ []byte) ([]byte, error) {
	select {
	case c.alone <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-c.alone }()
	if err := c.send(body); err != nil {
		return nil, c.why(err)
	}
	m, err := c.s.Recv() // ends with the stream, which ends with the connection
	if err != nil {
		return nil, err
	}
	return m.Value, nil
}

func (c *grpcStreamClient) Tell(body []byte) error { return c.why(c.send(body)) }

// Loop keeps n asks under way: this goroutine receives, another one sends, for one that
// did both would wait for room to send while nobody reads what makes room. The replies
// come in the order of the asks.
func (c *grpcStreamClient) Loop(ctx context.Context, n int, next func(slot int, reply []byte) []byte) error {
	stop := context.AfterFunc(ctx, c.cancel)
	defer stop()
	bodies := make(chan []byte, n)
	waiting := make(chan int, n) // slots, in the order of their asks
	ask := func(slot int, reply []byte) {
		if body := next(slot, reply); body != nil {
			waiting <- slot
			bodies <- body
		}
	}
	for slot := range n {
		ask(slot, nil)
	}
	var sender sync.WaitGroup
	defer sender.Wait()
	defer close(bodies)
	sender.Go(func() {
		for body := range bodies {
			// That of an ended stream is seen by who receives, with the reason.
			_ = c.send(body)
		}
	})
	for len(waiting) > 0 {
		m, err := c.s.Recv()
		if err != nil {
			return err
		}
		ask(<-waiting, m.Value)
	}
	return nil
}

// why returns what ended the stream: its Send says only that it has ended.
func (c *grpcStreamClient) why(err error) error {
	if errors.Is(err, io.EOF) {
		_, err = c.s.Recv()
		return fmt.Errorf("the stream has ended: %w", err)
	}
	return err
}

func (c *grpcStreamClient) Close() error {
	c.cancel()
	return c.conn.Close()
}
