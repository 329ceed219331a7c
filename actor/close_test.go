package actor_test

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/peer"
)

// A member that is closed, or whose Serve is to end, while nobody answers its hello hangs up at
// once: nobody has failed, and whoever calls is told that it is closed.
func TestCloseWhileConnecting(t *testing.T) {
	ends := map[string]func(m *actor.Member) error{
		"Close": func(m *actor.Member) error {
			time.Sleep(time.Second)
			return m.Close()
		},
		"Serve": func(m *actor.Member) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return m.Serve(ctx)
		},
		"Serve too late": func(m *actor.Member) error {
			time.Sleep(time.Second)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return m.Serve(ctx)
		},
	}
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := peer.Pipe()
				defer theirs.Close()
				m := actor.NewMember("", &actor.Kind[none]{Name: "caller"}, actor.JoinOptions{}.Over(ours))
				began := time.Now()
				called := make(chan error, 1)
				go func() {
					_, err := actor.Ping.Call(m.Context(context.Background()), actor.Arbiter, none{})
					called <- err
				}()
				synctest.Wait()
				if err := end(m); err != nil {
					t.Errorf("%s: %v", how, err)
				}
				<-m.Done()
				if took := time.Since(began); took != time.Second || m.Err() != nil {
					t.Errorf("it has ended after %v with %v", took, m.Err())
				}
				want(t, "the call that connects", <-called, actor.ErrClosed, actor.StartedNo, "this member is closed")
				_, err := actor.Ping.Call(m.Context(context.Background()), actor.Arbiter, none{})
				want(t, "another", err, actor.ErrClosed, actor.StartedNo, "this member is closed")
			})
		})
	}
}

// The same of what listens, and never answers, at an address.
func TestServeNobodyAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		cancel()
		_, _ = c.Read(make([]byte, 1<<10)) // the hello …
		for err == nil {
			_, err = c.Read(make([]byte, 1<<10)) // … and that it hangs up
		}
	}()
	if err := actor.Serve(ctx, "tcp:"+l.Addr().String(), &actor.Kind[none]{Name: "server"}, actor.JoinOptions{}); err != nil {
		t.Errorf("its ctx has ended: %v", err)
	}
}
