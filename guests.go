package arbiter

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// helloWait is how long whoever connects may take to say who it is, and maxGuests
// how many may be at it at a time.
const (
	helloWait = 5 * time.Second
	maxGuests = 256
)

var (
	// errNoHello ends a connection over which nobody says who it is.
	errNoHello = fmt.Errorf("no hello came within %v", helloWait)
	// errOusted ends one of too many of these.
	errOusted = fmt.Errorf("no hello came, and %d others have come to this listener since", maxGuests)
	// errClosing ends those that are left.
	errClosing = errors.New("no hello came before the arbiter stopped")
)

// guests are those at a listener who have not said yet who they are. When there are
// too many, the one that has been silent longest makes room: a hello takes
// milliseconds, so that who opens connections and says nothing keeps nobody out.
type guests struct {
	mu     sync.Mutex
	silent list.List // of *guest; the oldest in front
	shut   bool      // none is to enter any more
}

// guest is one of them. It needs no goroutine and no timer besides its reader and the
// deadline of its connection: there may be thousands a second.
type guest struct {
	of   *guests
	conn net.Conn

	// Guarded by of.mu.
	at     *list.Element
	closes bool  // who reads sets deadlines of its own: it is closed when it has to go
	known  bool  // it has said who it is
	gone   error // why it has to go; nil: it may stay
}

// enter adds who has connected by c.
func (g *guests) enter(c net.Conn) *guest {
	v := &guest{of: g, conn: c}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.addLocked(v)
	return v
}

func (g *guests) addLocked(v *guest) {
	if g.silent.Len() >= maxGuests {
		g.silent.Remove(g.silent.Front()).(*guest).oustLocked(errOusted)
	}
	v.at = g.silent.PushBack(v)
}

// close sends all of them away. None is to enter any more. Who is being answered by HTTP has
// a moment to be told the rest.
func (g *guests) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for g.silent.Len() > 0 {
		v := g.silent.Remove(g.silent.Front()).(*guest)
		if !v.closes {
			v.oustLocked(errClosing)
			continue
		}
		v.gone = errClosing
		_ = v.conn.SetReadDeadline(longAgo)
		time.AfterFunc(lastAnswer, func() { _ = v.conn.Close() })
	}
}

// lastAnswer is how long an answer by HTTP may take once the arbiter stops.
const lastAnswer = time.Second

// longAgo is a deadline that is over.
var longAgo = time.Unix(1, 0)

// oustLocked has who reads from g notice that it is to go.
func (g *guest) oustLocked(why error) {
	if g.gone = why; g.closes {
		go g.conn.Close() // which may wait for the reader
	} else {
		_ = g.conn.SetReadDeadline(longAgo)
	}
}

// hurry gives g until helloWait from now.
func (g *guest) hurry() {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	if g.gone == nil {
		_ = g.conn.SetReadDeadline(time.Now().Add(helloWait))
	}
}

// lend leaves the deadlines of the connection to somebody else.
func (g *guest) lend() {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	if g.closes = true; g.gone != nil {
		go g.conn.Close()
	} else {
		_ = g.conn.SetReadDeadline(time.Time{})
	}
}

// greeted says that g is a guest no more. It may be called more than once.
func (g *guest) greeted() {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	if g.known {
		return
	}
	g.known = true
	g.of.silent.Remove(g.at)
	if !g.closes {
		_ = g.conn.SetReadDeadline(time.Time{})
	}
}

// refused says that g, who was greeted, is not let in: until it was told so it is a guest again,
// or any number of those who say a wrong token would be held at a time.
func (g *guest) refused() {
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	if g.of.shut {
		g.oustLocked(errClosing)
		return
	}
	g.known = false
	g.of.addLocked(g)
}

// why returns why reading from g has failed with err.
func (g *guest) why(err error) error {
	late := errors.Is(err, os.ErrDeadlineExceeded)
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	switch {
	case g.gone != nil && (late || errors.Is(err, net.ErrClosed)):
		return g.gone
	case late:
		return errNoHello
	}
	return err
}
