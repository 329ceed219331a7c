package arbiter

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/arbiter-go/arbiter/actor"
	"github.com/arbiter-go/arbiter/internal/cell"
	"github.com/arbiter-go/arbiter/internal/frame"
	"github.com/arbiter-go/arbiter/internal/peer"
	"github.com/arbiter-go/arbiter/internal/wire"
)

// listen opens the listeners of the options.
func (a *Arbiter) listen(ctx context.Context) error {
	if a.options.Control {
		l, instance, release, err := openControl(a.options.Name)
		if err != nil {
			return fmt.Errorf("cannot open the control socket: %w", err)
		}
		a.mu.Lock()
		a.closers = append(a.closers, release)
		a.mu.Unlock()
		a.accept(l, instance.Address, a.admitUser)
	}
	if a.options.Listen != "" {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", a.options.Listen)
		if err != nil {
			return fmt.Errorf("cannot listen at %s: %w", a.options.Listen, err)
		}
		a.accept(l, "tcp:"+l.Addr().String(), a.admitToken)
	}
	return nil
}

// admit says whether whoever is at the other end of c and said hello may join.
type admit func(c net.Conn, h *wire.Hello) *wire.Error

// admitUser admits processes of the same user.
func (a *Arbiter) admitUser(c net.Conn, _ *wire.Hello) *wire.Error {
	if _, err := sameUser(c); err != nil {
		return wire.Errorf(wire.CodeRefused, "%v", err)
	}
	return nil
}

// admitToken admits who knows the token.
func (a *Arbiter) admitToken(_ net.Conn, h *wire.Hello) *wire.Error {
	if subtle.ConstantTimeCompare([]byte(h.Token), []byte(a.options.Token)) == 1 {
		return nil
	}
	if h.Token == "" {
		return wire.Errorf(wire.CodeRefused, "this arbiter asks for a token, and none was given: set %s", actor.EnvToken)
	}
	return wire.Errorf(wire.CodeRefused, "the token is not this arbiter's")
}

// accept takes connections at l until it is closed, and greets them.
func (a *Arbiter) accept(l net.Listener, address string, admit admit) {
	a.acceptAt(l, address, func(ctx context.Context, c net.Conn, greeted func()) { a.receive(ctx, c, admit, greeted) })
}

// acceptAt takes connections at l until it is closed. serve has each one until its end,
// and says when it knows who it is; if ctx ends before, it lets it go.
func (a *Arbiter) acceptAt(l net.Listener, address string, serve func(ctx context.Context, c net.Conn, greeted func())) {
	a.mu.Lock()
	a.listeners = append(a.listeners, l)
	a.addresses = append(a.addresses, address)
	a.mu.Unlock()
	guests := new(guests)
	a.background(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				// Out of descriptors, usually. Going on at once would only spin.
				a.log.Error("a connection could not be accepted", "at", address, "error", err)
				time.Sleep(100 * time.Millisecond)
				continue
			}
			ctx, greeted := guests.enter()
			if !a.background(func() { serve(ctx, c, greeted) }) {
				greeted()
				_ = c.Close()
			}
		}
	})
}

// receive serves whoever connected by c, until that has ended.
func (a *Arbiter) receive(ctx context.Context, c net.Conn, admit admit, greeted func()) {
	t := peer.Choose(peer.NewTransport(c), a.options.HTTP != nil)
	l := new(letters)
	conn := a.newConn(t, nil, l.add)
	s, err := a.introduce(ctx, conn, t, l, func(h *wire.Hello) *wire.Error { return admit(c, h) })
	if errors.Is(err, peer.ErrHTTP) {
		g := &webGuest{Conn: c, read: t.ReadAlready(), ctx: ctx, greeted: greeted}
		defer greeted()
		defer g.Close()
		defer context.AfterFunc(ctx, func() { _ = g.Close() })()
		a.options.HTTP(a, g)
		return
	}
	greeted()
	a.serveGuest(conn, s, err)
}

// ServeConn serves the other end of t as an actor that joined, until that has
// ended. It is for arbitertest: nobody else can name a Transport.
func (a *Arbiter) ServeConn(t peer.Transport) {
	a.greet(context.Background(), peer.Choose(t, false), func(*wire.Hello) *wire.Error { return nil }, func() {})
}

// ServeWebsocket serves the client of a websocket as an actor of the json profile,
// until that has ended; it closes c. The HTTP handshake is over: read is what was
// read of c after it. With token, the hello must say Options.Token, and if there is
// none nobody may join. The package websocket does the rest.
func (a *Arbiter) ServeWebsocket(c net.Conn, read []byte, token bool) {
	ctx, greeted := context.Background(), func() {}
	if g, ok := c.(*webGuest); ok {
		c, read, ctx, greeted = g.Conn, append(read, g.read...), g.ctx, g.greeted
	}
	a.greet(ctx, peer.NewJSON(peer.NewTransport(c), read, frame.MaskRequired), func(h *wire.Hello) *wire.Error {
		if !token {
			return nil
		}
		if a.options.Token == "" {
			return wire.Errorf(wire.CodeRefused, "this arbiter has no token, so nobody can know it: set Options.Token")
		}
		return a.admitToken(c, h)
	}, greeted)
}

// webGuest is a connection that began with an HTTP request.
type webGuest struct {
	net.Conn
	read    []byte          // was read already
	ctx     context.Context // ends when it is to leave
	greeted func()
}

// Read reads what was read already, then the connection.
func (g *webGuest) Read(b []byte) (int, error) {
	if len(g.read) > 0 {
		n := copy(b, g.read)
		g.read = g.read[n:]
		return n, nil
	}
	return g.Conn.Read(b)
}

// greet takes the hello of whoever is at t, and serves it until it ends. greeted
// is called once the hello is over.
func (a *Arbiter) greet(ctx context.Context, t peer.Transport, admit func(*wire.Hello) *wire.Error, greeted func()) {
	l := new(letters)
	conn := a.newConn(t, nil, l.add)
	s, err := a.introduce(ctx, conn, t, l, admit)
	greeted()
	a.serveGuest(conn, s, err)
}

// serveGuest serves who was introduced as s until it ends, or closes conn because of
// err.
func (a *Arbiter) serveGuest(conn *peer.Conn, s *session, err error) {
	if s == nil && err == nil {
		return // it went elsewhere
	}
	if err != nil {
		a.refused(conn.Info(), err)
		conn.Close(err)
		return
	}
	s.serve()
}

// introduce makes a session of whoever says hello before ctx ends. It is nil, without an error, for
// a program that the arbiter has started: that has one already.
func (a *Arbiter) introduce(ctx context.Context, conn *peer.Conn, t peer.Transport, l *letters, admit func(*wire.Hello) *wire.Error) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, helloWait, errNoHello)
	defer cancel()
	hello, err := conn.AwaitHello(ctx)
	if err != nil {
		return nil, err
	}
	if ushered, err := a.usher(t, hello); ushered {
		return nil, err
	}
	version, failed := wire.Negotiate(hello)
	if failed == nil {
		failed = admit(hello)
	}
	if failed == nil {
		failed = checkNames(hello.Name, hello.AID)
	}
	if failed != nil {
		conn.Refuse(failed)
		return nil, failed
	}
	aid := hello.AID
	if aid == "" {
		aid = a.newAID(hello.Kind)
	}
	i := &incarnation{
		arb: a, aid: aid, name: hello.Name, place: remote,
	}
	i.state.Store(int32(cell.Starting))
	i.mode.Store(uint32(cell.ParseMode(hello.Mode)))
	s := a.newSession(i, conn, l)
	s.hello, s.kind = hello, hello.Kind
	if p, ok := t.(*peer.Pulsar); ok {
		i.pulsar = true
		s.pulsar.Store(p)
	}
	if failed := a.enlist(i); failed != nil {
		conn.Refuse(failed)
		return nil, failed
	}
	if err := conn.Welcome(a.welcome(i, version)); err != nil {
		i.end(connectionDeath(err))
		return nil, err
	}
	i.watchStart()
	i.happened(actor.Event{Type: "joined", Actor: i.ref(), Kind: i.kind(), Text: conn.Info().Network + " " + conn.Info().Remote})
	return s, nil
}
