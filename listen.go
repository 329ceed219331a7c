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
		a.accept(l, instance.Address, false, a.admitUser)
	}
	if a.options.Listen != "" {
		var config net.ListenConfig
		l, err := config.Listen(ctx, "tcp", a.options.Listen)
		if err != nil {
			return fmt.Errorf("cannot listen at %s: %w", a.options.Listen, err)
		}
		a.accept(l, "tcp:"+l.Addr().String(), a.options.HTTP != nil, a.admitToken)
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

// accept takes connections at l until it is closed, and greets them. http says whether it
// takes those that begin with an HTTP request.
func (a *Arbiter) accept(l net.Listener, address string, http bool, admit admit) {
	a.acceptAt(l, address, func(g *guest) { a.receive(g, http, admit) })
}

// acceptAt takes connections at l until it is closed. serve has each one until its end,
// and says when it knows who it is: g.greeted.
func (a *Arbiter) acceptAt(l net.Listener, address string, serve func(g *guest)) {
	a.mu.Lock()
	a.listeners = append(a.listeners, l)
	a.addresses = append(a.addresses, address)
	a.mu.Unlock()
	guests := new(guests)
	a.background(func() {
		defer guests.close() // or Stop would wait for them
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
			g := guests.enter(c)
			if !a.background(func() { serve(g) }) {
				g.greeted()
				_ = c.Close()
			}
		}
	})
}

// receive serves whoever connected as g, until that has ended. Nothing is made for it
// before it has said something.
func (a *Arbiter) receive(g *guest, http bool, admit admit) {
	g.hurry()
	read, err := peer.Await(g.conn, http)
	switch {
	case errors.Is(err, peer.ErrHTTP):
		w := &webGuest{Conn: g.conn, read: read, guest: g}
		g.lend()
		defer g.greeted()
		defer w.Close()
		a.options.HTTP(a, w)
		return
	case err != nil:
		g.greeted()
		a.refused(func() peer.Info { return peer.InfoOf(g.conn) }, g.why(err))
		_ = g.conn.Close()
		return
	}
	a.greet(peer.Choose(peer.NewTransport(g.conn), read), g, func(h *wire.Hello) *wire.Error { return admit(g.conn, h) })
}

// ServeConn serves the other end of t as an actor that joined, until that has
// ended. It is for arbitertest: nobody else can name a Transport.
func (a *Arbiter) ServeConn(t peer.Transport) {
	stop := time.AfterFunc(helloWait, func() { _ = t.Close() })
	read, err := peer.Await(t, false)
	if !stop.Stop() && err != nil {
		err = errNoHello
	}
	if err != nil {
		a.refused(t.Info, err)
		_ = t.Close()
		return
	}
	a.greet(peer.Choose(t, read), nil, func(*wire.Hello) *wire.Error { return nil })
}

// ServeWebsocket serves the client of a websocket as an actor of the json profile,
// until that has ended; it closes c. The HTTP handshake is over: read is what was
// read of c after it. With token, the hello must say Options.Token, and if there is
// none nobody may join. The package websocket does the rest.
func (a *Arbiter) ServeWebsocket(c net.Conn, read []byte, token bool) {
	var g *guest
	if w, ok := c.(*webGuest); ok {
		c, read, g = w.Conn, append(read, w.read...), w.guest
	}
	a.greet(peer.NewJSON(peer.NewTransport(c), read, frame.MaskRequired), g, func(h *wire.Hello) *wire.Error {
		if !token {
			return nil
		}
		if a.options.Token == "" {
			return wire.Errorf(wire.CodeRefused, "this arbiter has no token, so nobody can know it: set Options.Token")
		}
		return a.admitToken(c, h)
	})
}

// webGuest is a connection that began with an HTTP request.
type webGuest struct {
	net.Conn
	read  []byte // was read already
	guest *guest
}

// Read reads what was read already, then the connection.
func (w *webGuest) Read(b []byte) (int, error) {
	if len(w.read) > 0 {
		n := copy(b, w.read)
		w.read = w.read[n:]
		return n, nil
	}
	return w.Conn.Read(b)
}

// greet takes the hello of whoever is at t, and serves it until it ends. g, if not nil, is
// greeted once the hello is over.
func (a *Arbiter) greet(t peer.Transport, g *guest, admit func(*wire.Hello) *wire.Error) {
	l := new(letters)
	conn := a.newConn(t, nil, l.add)
	s, err := a.introduce(conn, t, l, g, admit)
	switch {
	case err != nil:
		if g != nil {
			g.greeted()
			err = g.why(err)
		}
		a.refused(conn.Info, err)
		conn.Close(err)
	case s != nil: // else it went elsewhere
		s.serve()
	}
}

// introduce makes a session of whoever says hello within helloWait. It is nil, without an error, for
// a program that the arbiter has started: that has one already. g, if not nil, is greeted when the
// hello is there, before anybody else reads from t: nobody's end is to be a guest's.
func (a *Arbiter) introduce(conn *peer.Conn, t peer.Transport, l *letters, g *guest, admit func(*wire.Hello) *wire.Error) (*session, error) {
	ctx, cancel := context.WithTimeoutCause(context.Background(), helloWait, errNoHello)
	defer cancel()
	hello, err := conn.AwaitHello(ctx)
	if err != nil {
		return nil, err
	}
	if g != nil {
		g.greeted()
	}
	if ushered, err := a.usher(conn, t, hello); ushered {
		return nil, err
	}
	version, failed := wire.Negotiate(hello)
	if failed == nil {
		failed = admit(hello)
	}
	if failed == nil {
		failed = checkNames(hello.Name, hello.AID)
	}
	if failed == nil {
		failed = a.checkOwn(hello.Name, hello.AID)
	}
	if failed != nil {
		if g != nil {
			g.refused() // until it was told, which takes a moment
		}
		conn.Refuse(failed)
		return nil, failed
	}
	aid := hello.AID
	if aid == "" {
		aid = a.newAID(hello.Kind)
	}
	i := &incarnation{
		arb: a, aid: aid, name: hello.Name, place: remote, part: a.ledger.local.choose(),
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
